//! The frames by which a server asks a worker.

use super::Payload;
use crate::error::WireError;
use crate::reader::Reader;
use crate::sink::Sink;

/// Work for the peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Push<'a> {
    /// Returned by the reply.
    pub correlation_id: u64,
    /// The work.
    pub payload: &'a [u8],
}

/// The answer to a `Push`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushReply<'a> {
    /// From the `Push`.
    pub correlation_id: u64,
    /// The result.
    pub payload: &'a [u8],
}

impl<'a> Payload<'a> for Push<'a> {
    fn decode(reader: &mut Reader<'a>, _flags: u8) -> Result<Self, WireError> {
        Ok(Self { correlation_id: reader.u64()?, payload: reader.bytes()? })
    }

    fn encode(&self, sink: &mut impl Sink) {
        sink.put_u64(self.correlation_id);
        sink.put_bytes(self.payload);
    }
}

impl<'a> Payload<'a> for PushReply<'a> {
    fn decode(reader: &mut Reader<'a>, _flags: u8) -> Result<Self, WireError> {
        Ok(Self { correlation_id: reader.u64()?, payload: reader.bytes()? })
    }

    fn encode(&self, sink: &mut impl Sink) {
        sink.put_u64(self.correlation_id);
        sink.put_bytes(self.payload);
    }
}
