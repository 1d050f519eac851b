//! Frames of types that this protocol does not know: kept verbatim, skipped by sessions.

use super::kind;
use crate::error::WireError;
use crate::reader::Reader;
use crate::sink::Sink;

/// A frame of another protocol version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown<'a> {
    /// The type byte as it came.
    pub type_id: u8,
    /// The payload as it came.
    pub payload: &'a [u8],
}

impl<'a> Unknown<'a> {
    pub(super) fn decode(type_id: u8, reader: &mut Reader<'a>) -> Self {
        Self { type_id, payload: reader.remaining() }
    }

    pub(super) fn check(&self) -> Result<(), WireError> {
        if kind::is_known(self.type_id) {
            return Err(WireError::Codec("an Unknown frame has the type byte of a known frame"));
        }
        Ok(())
    }

    pub(super) fn encode(&self, sink: &mut impl Sink) {
        sink.put(self.payload);
    }
}
