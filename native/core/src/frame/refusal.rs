use super::Payload;
use crate::error::WireError;
use crate::reader::Reader;
use crate::sink::Sink;

/// Why a peer refused a request: the payload of `ConnectError`, `SubscribeError` and `PublishError`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal<'a> {
    /// Names the failure, see `ReasonCode` on the TypeScript side.
    pub reason_code: u16,
    /// For people.
    pub message: Option<&'a str>,
}

impl<'a> Payload<'a> for Refusal<'a> {
    fn decode(reader: &mut Reader<'a>, _flags: u8) -> Result<Self, WireError> {
        Ok(Self { reason_code: reader.u16()?, message: reader.optional(Reader::str)? })
    }

    fn encode(&self, sink: &mut impl Sink) {
        sink.put_u16(self.reason_code);
        sink.put_optional(self.message, Sink::put_str);
    }
}
