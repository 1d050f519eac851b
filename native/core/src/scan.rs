//! A chunk of frames to columns of numbers: the hot way in (design §6).
//!
//! A scan accepts exactly the frames that [`Frame::decode`](crate::Frame::decode) accepts. The frequent ones, those that carry an envelope
//! and `PublishAck`, are checked here, on the bytes in place; all others go through their decoder.

use crate::columns::{HEAD_WIDTH, ROW_WIDTH, Row, Status, column, head, to_column};
use crate::envelope::{CausalContext, SchemaId};
use crate::error::WireError;
use crate::frame::channel::PUBLISH_HAS_KEY;
use crate::frame::push::{Push, PushReply};
use crate::frame::{Body, Head, kind};
use crate::names::NameTable;

/// Scans the frames at the start of `chunk[start..]` into `columns` and returns the number of rows.
///
/// Stops at the first of: the end of the chunk, a column array without room, a header that declares a frame of more than `max_frame_bytes`
/// (header included), a frame that is not there completely, a malformed frame. The head of the columns is always written.
///
/// `None`, with nothing written, if `start` is not within the chunk or the columns are shorter than their head.
pub fn scan(
    chunk: &[u8],
    start: usize,
    columns: &mut [i32],
    names: &NameTable<'_>,
    max_frame_bytes: usize,
) -> Option<usize> {
    let (summary, rows) = columns.split_first_chunk_mut::<HEAD_WIDTH>()?;
    let (rows, _) = rows.as_chunks_mut();
    if start > chunk.len() {
        return None;
    }
    let mut scan = Scan { chunk, rows, count: 0, at: start, run: Run::default(), channel: None, names };
    let (status, detail) = scan.frames(max_frame_bytes);
    scan.end_run();
    summary[head::COUNT] = to_column(scan.count);
    summary[head::CONSUMED] = to_column(scan.at);
    summary[head::STATUS] = status as i32;
    summary[head::DETAIL] = detail;
    Some(scan.count)
}

struct Scan<'a> {
    chunk: &'a [u8],
    rows: &'a mut [Row],
    count: usize,
    at: usize,
    run: Run,
    /// The last channel name of a Publish.
    channel: Option<Channel<'a>>,
    names: &'a NameTable<'a>,
}

/// A channel name that is known to be valid, and its number in the column.
#[derive(Clone, Copy)]
struct Channel<'a> {
    name: &'a [u8],
    id: i32,
}

/// The run that the next row may extend.
#[derive(Default)]
struct Run {
    first: usize,
    length: i32,
    /// Type, flags and stream of its rows; 0 where there is no run to extend.
    lead: u64,
}

impl<'a> Scan<'a> {
    fn frames(&mut self, max_frame_bytes: usize) -> (Status, i32) {
        loop {
            let rest = &self.chunk[self.at..];
            if rest.is_empty() {
                return (Status::Complete, 0);
            }
            if self.count == self.rows.len() {
                return (Status::Full, 0);
            }
            let Some(head) = Head::parse(rest) else {
                return (Status::Partial, 0);
            };
            let length = head.frame_length();
            if length > max_frame_bytes {
                return (Status::TooLarge, 0);
            }
            let Some(payload) = rest.get(Head::BYTES..length) else {
                return (Status::Partial, to_column(length));
            };
            if let Err(error) = self.frame(head, payload) {
                return (Status::Malformed, i32::from(error.reason_code()));
            }
            self.at += length;
            if head.type_id == kind::PUBLISH {
                self.rest_of_run(head, max_frame_bytes);
            }
        }
    }

    /// Scans what follows a Publish and is of its run, up to the first frame that is not, or not well formed, or says something about its
    /// origin: that one is for the general way.
    ///
    /// All that the rows of a run share is known here, which leaves a loop small enough to stay in registers.
    #[inline]
    fn rest_of_run(&mut self, head: Head, max_frame_bytes: usize) {
        let Some(Channel { name, id }) = self.channel else { return };
        let chunk = self.chunk;
        let keyed = head.flags & PUBLISH_HAS_KEY != 0;
        let lead = u64::from(kind::PUBLISH) << 40 | u64::from(head.flags) << 32 | u64::from(head.stream_id);
        // Offsets in a frame: behind the name, and of the payload.
        let name_end = LEAD + name.len();
        let payload_at = name_end + PLAIN;
        let mut at = self.at;
        let mut count = self.count;
        while let Some(row) = self.rows.get_mut(count) {
            let Some(start) = chunk[at..].first_chunk::<LEAD>() else { break };
            let length = Head::BYTES + number_at(start, 6);
            let Some(frame) = chunk.get(at..at + length) else { break };
            if u64_at(start, 0) >> 16 != lead || number_at(start, 10) != name.len() || length > max_frame_bytes {
                break;
            }
            let Some(fields) = frame.get(name_end..).and_then(<[u8]>::first_chunk::<PLAIN>) else { break };
            if !are_equal(&frame[LEAD..name_end], name) {
                break;
            }
            let envelope_length = number_at(fields, 0);
            let payload_length = number_at(fields, PLAIN - 4);
            if u64_at(fields, PLAIN - 10) >> 16 != NO_ORIGIN || envelope_length != PLAIN - 4 + payload_length {
                break;
            }
            let end = payload_at + payload_length;
            let mut key_at = 0;
            let mut key_length = -1;
            if keyed {
                let Some((length, key)) = frame.get(end..).and_then(<[u8]>::split_first_chunk::<4>) else { break };
                if number_at(length, 0) != key.len() || check_utf8(key).is_err() {
                    break;
                }
                key_at = to_column(at + end + 4);
                key_length = to_column(key.len());
            } else if end != length {
                break;
            }
            *row = [
                to_column(at),
                to_column(length),
                i32::from(kind::PUBLISH),
                i32::from(head.flags),
                head.stream_id.cast_signed(),
                id,
                to_column(at + name_end + 4),
                to_column(at + payload_at),
                to_column(payload_length),
                key_at,
                key_length,
                0,
                0,
            ];
            at += length;
            count += 1;
        }
        self.run.length += to_column(count - self.count);
        self.at = at;
        self.count = count;
    }

    #[inline]
    fn frame(&mut self, head: Head, payload: &'a [u8]) -> Result<(), WireError> {
        let mut row = [0; ROW_WIDTH];
        row[column::START] = to_column(self.at);
        row[column::LENGTH] = to_column(head.frame_length());
        row[column::TYPE] = i32::from(head.type_id);
        row[column::FLAGS] = i32::from(head.flags);
        row[column::STREAM] = head.stream_id.cast_signed();
        row[column::CHANNEL] = -1;
        row[column::KEY_LENGTH] = -1;
        let offset = self.at + Head::BYTES;
        let lead = u64::from(head.type_id) << 40 | u64::from(head.flags) << 32 | u64::from(head.stream_id);
        let extends = match head.type_id {
            kind::PUBLISH => {
                head.check_stream()?;
                let same_channel = self.publish(&mut row, head, payload, offset)?;
                same_channel && lead == self.run.lead
            }
            kind::CONVERSATION_MESSAGE | kind::DELIVER => {
                head.check_stream()?;
                row[column::ID] = to_column(offset);
                let end = envelope_field(&mut row, payload, offset, size_of::<u64>())?;
                if end != payload.len() {
                    return Err(MALFORMED);
                }
                head.type_id == kind::DELIVER && lead == self.run.lead
            }
            kind::PUBLISH_ACK => {
                head.check_stream()?;
                row[column::ID] = to_column(offset);
                if payload.len() != size_of::<u64>() {
                    return Err(MALFORMED);
                }
                lead == self.run.lead
            }
            _ => {
                let body = Body::decode(head, payload)?;
                self.other(&mut row, &body, offset);
                false
            }
        };
        if extends {
            self.run.length += 1;
        } else {
            self.end_run();
            let extensible = matches!(head.type_id, kind::PUBLISH | kind::DELIVER | kind::PUBLISH_ACK);
            self.run = Run { first: self.count, length: 1, lead: if extensible { lead } else { 0 } };
        }
        self.rows[self.count] = row;
        self.count += 1;
        Ok(())
    }

    /// Checks the payload of a Publish. Says whether its channel is that of the Publish before it.
    #[inline]
    fn publish(&mut self, row: &mut Row, head: Head, payload: &'a [u8], offset: usize) -> Result<bool, WireError> {
        let name_end = 4 + length_at(payload, 0)?;
        let name = payload.get(4..name_end).ok_or(MALFORMED)?;
        let end = envelope_field(row, payload, offset, name_end)?;
        if head.flags & PUBLISH_HAS_KEY == 0 {
            if end != payload.len() {
                return Err(MALFORMED);
            }
        } else {
            let key = payload.get(end + 4..).ok_or(MALFORMED)?;
            if length_at(payload, end)? != key.len() {
                return Err(MALFORMED);
            }
            check_utf8(key)?;
            row[column::KEY] = to_column(offset + end + 4);
            row[column::KEY_LENGTH] = to_column(key.len());
        }
        let same = self.channel.filter(|channel| channel.name == name);
        let channel = match same {
            Some(channel) => channel,
            None => Channel { name, id: self.channel_id(name)? },
        };
        row[column::CHANNEL] = channel.id;
        self.channel = Some(channel);
        Ok(same.is_some())
    }

    /// The column's number for a channel name: names in the table are valid, all others have to show it.
    fn channel_id(&self, name: &[u8]) -> Result<i32, WireError> {
        match self.names.find(name) {
            Some(id) => Ok(id.cast_signed()),
            None => check_utf8(name).map(|()| -1),
        }
    }

    /// The columns of all types without an envelope.
    fn other(&self, row: &mut Row, body: &Body<'_>, offset: usize) {
        match body {
            Body::Subscribe(subscribe) => {
                row[column::CHANNEL] = self.names.find(subscribe.channel.as_bytes()).map_or(-1, u32::cast_signed);
            }
            Body::Push(Push { payload, .. }) | Body::PushReply(PushReply { payload, .. }) => {
                row[column::ID] = to_column(offset);
                row[column::PAYLOAD] = to_column(offset + size_of::<u64>() + 4);
                row[column::PAYLOAD_LENGTH] = to_column(payload.len());
            }
            Body::SubscribeAck(_)
            | Body::Unsubscribe(_)
            | Body::ConversationOpen(_)
            | Body::ConversationClose(_)
            | Body::ConversationError(_) => row[column::ID] = to_column(offset),
            _ => {}
        }
    }

    fn end_run(&mut self) {
        if self.run.length > 0 {
            self.rows[self.run.first][column::RUN] = self.run.length;
        }
    }
}

/// Checks the env-field at `at` of a payload that starts at `offset` of the chunk, and returns where in the payload it ends.
#[inline]
fn envelope_field(row: &mut Row, payload: &[u8], offset: usize, at: usize) -> Result<usize, WireError> {
    let start = at + 4;
    let end = start + length_at(payload, at)?;
    let envelope = payload.get(start..end).ok_or(MALFORMED)?;
    let causal_length = length_at(envelope, CAUSAL - 4)?;
    let payload_at = CAUSAL + causal_length + 4;
    let payload_length = length_at(envelope, payload_at - 4)?;
    if payload_at + payload_length != envelope.len() {
        return Err(MALFORMED);
    }
    let causal = &envelope[CAUSAL..CAUSAL + causal_length];
    // Nothing said about the origin, as most messages have it.
    if causal != [0, 0] {
        CausalContext::decode(causal)?;
    }
    row[column::ENVELOPE] = to_column(offset + start);
    row[column::PAYLOAD] = to_column(offset + start + payload_at);
    row[column::PAYLOAD_LENGTH] = to_column(payload_length);
    Ok(end)
}

#[inline]
fn length_at(block: &[u8], at: usize) -> Result<usize, WireError> {
    let length = block.get(at..).and_then(<[u8]>::first_chunk).ok_or(MALFORMED)?;
    Ok(u32::from_be_bytes(*length) as usize)
}

#[inline]
fn check_utf8(bytes: &[u8]) -> Result<(), WireError> {
    const HIGH_BITS: u64 = 0x8080_8080_8080_8080;
    if let Some((first, last)) = ends(bytes)
        && (first | last) & HIGH_BITS == 0
    {
        return Ok(());
    }
    std::str::from_utf8(bytes).map(drop).map_err(|_| WireError::Codec("a string is not valid UTF-8"))
}

const MALFORMED: WireError = WireError::Codec("a length does not fit its block");

/// Bytes of a frame before the content of its first string.
const LEAD: usize = Head::BYTES + 4;

/// Bytes of an env-field without origin, up to its payload: two lengths, a schema id, the causal block and its length.
const PLAIN: usize = 4 + CAUSAL + 2 + 4;

/// A causal block that says nothing, behind its length.
const NO_ORIGIN: u64 = 0x0000_0002_0000;

#[inline]
fn number_at<const N: usize>(block: &[u8; N], at: usize) -> usize {
    u32::from_be_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]]) as usize
}

#[inline]
fn u64_at<const N: usize>(block: &[u8; N], at: usize) -> u64 {
    let bytes = std::array::from_fn(|index| block[at + index]);
    u64::from_be_bytes(bytes)
}

/// Equality of short texts without a call: most channel names are short.
#[inline]
fn are_equal(left: &[u8], right: &[u8]) -> bool {
    match (ends(left), ends(right)) {
        (Some(left_ends), Some(right_ends)) if left.len() == right.len() => left_ends == right_ends,
        _ => left == right,
    }
}

/// The bytes of a text of 4 to 16 bytes as two numbers, whose bytes may overlap: equal for equal texts of one length.
#[inline]
fn ends(text: &[u8]) -> Option<(u64, u64)> {
    if text.len() > 16 {
        return None;
    }
    if let (Some(first), Some(last)) = (text.first_chunk::<8>(), text.last_chunk::<8>()) {
        return Some((u64::from_ne_bytes(*first), u64::from_ne_bytes(*last)));
    }
    let (first, last) = (text.first_chunk::<4>()?, text.last_chunk::<4>()?);
    Some((u32::from_ne_bytes(*first).into(), u32::from_ne_bytes(*last).into()))
}

/// Offset of the causal block in an envelope: behind the schema id and the block's length.
const CAUSAL: usize = size_of::<SchemaId>() + 4;
