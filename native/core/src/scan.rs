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
        }
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

fn check_utf8(bytes: &[u8]) -> Result<(), WireError> {
    std::str::from_utf8(bytes).map(drop).map_err(|_| WireError::Codec("a string is not valid UTF-8"))
}

const MALFORMED: WireError = WireError::Codec("a length does not fit its block");

/// Offset of the causal block in an envelope: behind the schema id and the block's length.
const CAUSAL: usize = size_of::<SchemaId>() + 4;
