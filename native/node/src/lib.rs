//! The N-API binding: argument conversion and nothing else. The mirror of `ts/codec/binding.ts`, name for name, which describes each function.
//!
//! JavaScript owns all memory. Bad input is answered with return codes; only an argument of the wrong type throws.

mod borrow;
pub mod claims;

use borrow::{JsonText, View, lend};
use liminal_core::batch::{self, DeliverRun};
use liminal_core::names::NameTable;
use liminal_core::negotiate::{self, Version};
use liminal_core::scan;
use liminal_core::schema::{self, JsonError};
use liminal_core::{Frame, SchemaId, WireError};
use napi_derive::napi;

/// Stands for an array that a function does not take.
const NONE: View<'static, u8> = View::EMPTY;

/// Scans frames into columns.
#[napi]
#[must_use]
pub fn scan_frames(
    bytes: View<'_, u8>,
    start: u32,
    end: u32,
    columns: View<'_, i32>,
    names: View<'_, u8>,
    max_frame_bytes: u32,
) -> i64 {
    lend(bytes, names, NONE, columns, move |bytes, names, _, columns| {
        let chunk = bytes.get(..end as usize)?;
        scan::scan(chunk, start as usize, columns, &NameTable::new(names), max_frame_bytes as usize).and_then(number)
    })
}

/// Writes the Deliver frames of a run.
#[napi]
#[must_use]
#[allow(clippy::too_many_arguments, reason = "objects do not cross the boundary")]
pub fn encode_deliver_run(
    bytes: View<'_, u8>,
    columns: View<'_, i32>,
    first: u32,
    count: u32,
    stream_id: u32,
    sequence_high: u32,
    sequence_low: u32,
    schema_id: View<'_, u8>,
    target: View<'_, u8>,
    offset: u32,
) -> i64 {
    lend(bytes, columns, schema_id, target, move |bytes, columns, schema_id, target| {
        let run = DeliverRun {
            stream_id,
            first_sequence: join(sequence_high, sequence_low),
            schema_id: schema_id.try_into().ok()?,
        };
        let target = target.get_mut(offset as usize..)?;
        batch::encode_deliver_run(bytes, columns, first as usize, count as usize, run, target).and_then(number)
    })
}

/// Writes the `PublishAck` frames of a run.
#[napi]
#[must_use]
pub fn encode_publish_ack_run(
    stream_id: u32,
    flags: u8,
    message_id_high: u32,
    message_id_low: u32,
    count: u32,
    target: View<'_, u8>,
    offset: u32,
) -> i64 {
    lend(NONE, NONE, NONE, target, move |_, _, _, target| {
        let first = join(message_id_high, message_id_low);
        let target = target.get_mut(offset as usize..)?;
        batch::encode_publish_ack_run(stream_id, flags, first, count as usize, target).and_then(number)
    })
}

/// Writes the schema id of JSON text.
#[napi]
#[must_use]
pub fn schema_id(json: JsonText, target: View<'_, u8>) -> i64 {
    lend(NONE, NONE, NONE, target, move |_, _, _, target| {
        let target: &mut SchemaId = target.first_chunk_mut()?;
        let id = json.0.ok_or(JsonError::LoneSurrogate).and_then(|json| schema::schema_id(&json));
        Some(match id {
            Ok(id) => {
                *target = id;
                0
            }
            Err(JsonError::Invalid) => -1,
            Err(JsonError::TooDeep) => -2,
            Err(JsonError::LoneSurrogate) => -3,
        })
    })
}

/// Says whether a subscriber and a channel agree on a schema.
#[napi]
#[must_use]
pub fn negotiate_schema(channel_schema: View<'_, u8>, accepted: View<'_, u8>) -> i64 {
    lend(channel_schema, accepted, NONE, NONE, |channel, accepted, _, _| {
        let channel: &SchemaId = channel.try_into().ok()?;
        let (accepted, rest) = accepted.as_chunks();
        if !rest.is_empty() {
            return None;
        }
        Some(negotiate::schema(channel, accepted).map_or_else(reason, |_| 0))
    })
}

/// Picks the highest supported version within a range.
#[napi]
#[must_use]
pub fn negotiate_version(
    min_major: u16,
    min_minor: u16,
    max_major: u16,
    max_minor: u16,
    supported: View<'_, u8>,
) -> i64 {
    lend(supported, NONE, NONE, NONE, move |supported, _, _, _| {
        let (versions, rest) = supported.as_chunks::<4>();
        if !rest.is_empty() {
            return None;
        }
        let min = Version { major: min_major, minor: min_minor };
        let max = Version { major: max_major, minor: max_minor };
        let versions = versions.iter().map(|&[major_high, major, minor_high, minor]| Version {
            major: u16::from_be_bytes([major_high, major]),
            minor: u16::from_be_bytes([minor_high, minor]),
        });
        let Version { major, minor } = negotiate::version(min, max, versions).ok()?;
        Some(i64::from(major) << 16 | i64::from(minor))
    })
}

/// Decodes a frame and encodes it again.
#[napi]
#[must_use]
pub fn transcode_frame(bytes: View<'_, u8>, target: View<'_, u8>) -> i64 {
    lend(bytes, NONE, NONE, target, |bytes, _, _, target| {
        match Frame::decode(bytes).and_then(|(frame, _)| frame.encode_into(target)) {
            Ok(length) => number(length),
            Err(error) => Some(-reason(error)),
        }
    })
}

/// A u64 of its halves.
fn join(high: u32, low: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

fn reason(error: WireError) -> i64 {
    i64::from(error.reason_code())
}

fn number(count: usize) -> Option<i64> {
    i64::try_from(count).ok()
}
