//! Runs of rows to frames: the hot way out (design §6). One call writes the frames of a whole run.

use crate::columns::{HEAD_WIDTH, Row, column, from_column};
use crate::envelope::SchemaId;
use crate::frame::{Head, kind};

/// Bytes of a Deliver frame up to and including the schema id: header, sequence, envelope length, schema id.
const DELIVER_LEAD: usize = Head::BYTES + 8 + 4 + size_of::<SchemaId>();

/// Bytes of a `PublishAck` frame.
const PUBLISH_ACK: usize = Head::BYTES + 8;

/// The types whose rows have an envelope.
const ENVELOPED: [i32; 3] = [kind::PUBLISH as i32, kind::CONVERSATION_MESSAGE as i32, kind::DELIVER as i32];

/// What all Deliver frames of a run have in common.
#[derive(Clone, Copy, Debug)]
pub struct DeliverRun<'a> {
    /// The subscription's stream.
    pub stream_id: u32,
    /// `delivery_seq` of the first frame; the others count on from it.
    pub first_sequence: u64,
    /// Replaces the schema id of every envelope.
    pub schema_id: &'a SchemaId,
}

/// Writes a Deliver frame (flags 0) for each of `count` rows from `first` on, and returns the bytes written.
///
/// `bytes` and `columns` are those of a scan. `None` if `target` is too small or the columns do not describe rows of `bytes` that carry an
/// envelope; the content of `target` is of no use then.
pub fn encode_deliver_run(
    bytes: &[u8],
    columns: &[i32],
    first: usize,
    count: usize,
    run: DeliverRun<'_>,
    target: &mut [u8],
) -> Option<usize> {
    let (rows, _) = columns.get(HEAD_WIDTH..)?.as_chunks();
    let rows = rows.get(first..first.checked_add(count)?)?;
    let room = target.len();
    let mut rest = target;
    let mut lead = [0; DELIVER_LEAD];
    lead[0] = kind::DELIVER;
    lead[2..6].copy_from_slice(&run.stream_id.to_be_bytes());
    lead[22..].copy_from_slice(run.schema_id);
    let mut sequence = run.first_sequence;
    for row in rows {
        // The envelope behind its schema id, which goes out as it came in.
        let tail = envelope_tail(bytes, row)?;
        let envelope_length = u32::try_from(size_of::<SchemaId>() + tail.len()).ok()?;
        let payload_length = envelope_length.checked_add(12)?;
        lead[6..10].copy_from_slice(&payload_length.to_be_bytes());
        lead[10..18].copy_from_slice(&sequence.to_be_bytes());
        lead[18..22].copy_from_slice(&envelope_length.to_be_bytes());
        let (frame, next) = rest.split_at_mut_checked(DELIVER_LEAD + tail.len())?;
        let (frame_lead, frame_tail) = frame.split_at_mut(DELIVER_LEAD);
        frame_lead.copy_from_slice(&lead);
        frame_tail.copy_from_slice(tail);
        rest = next;
        sequence = sequence.wrapping_add(1);
    }
    Some(room - rest.len())
}

fn envelope_tail<'a>(bytes: &'a [u8], row: &Row) -> Option<&'a [u8]> {
    if !ENVELOPED.contains(&row[column::TYPE]) {
        return None;
    }
    let start = from_column(row[column::ENVELOPE]) + size_of::<SchemaId>();
    let end = from_column(row[column::PAYLOAD]) + from_column(row[column::PAYLOAD_LENGTH]);
    bytes.get(start..end)
}

/// Writes `count` `PublishAck` frames with consecutive message ids from `first_message_id` on, and returns the bytes written.
///
/// `None` if `target` is too small; nothing was written then.
pub fn encode_publish_ack_run(
    stream_id: u32,
    flags: u8,
    first_message_id: u64,
    count: usize,
    target: &mut [u8],
) -> Option<usize> {
    let length = count.checked_mul(PUBLISH_ACK)?;
    let (frames, _) = target.get_mut(..length)?.as_chunks_mut::<PUBLISH_ACK>();
    let mut ack = [0; PUBLISH_ACK];
    ack[0] = kind::PUBLISH_ACK;
    ack[1] = flags;
    ack[2..6].copy_from_slice(&stream_id.to_be_bytes());
    ack[9] = 8;
    let mut message_id = first_message_id;
    for frame in frames {
        ack[10..].copy_from_slice(&message_id.to_be_bytes());
        *frame = ack;
        message_id = message_id.wrapping_add(1);
    }
    Some(length)
}
