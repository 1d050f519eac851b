//! The frames by which a receiver answers a message: accept, defer, reject.

use super::Payload;
use crate::error::WireError;
use crate::reader::Reader;
use crate::sink::Sink;

/// The message was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accept<'a> {
    /// Which message.
    pub referenced_message_id: &'a str,
}

/// Not now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defer<'a> {
    /// Which message.
    pub referenced_message_id: &'a str,
    /// For people.
    pub reason: Option<&'a str>,
}

/// Not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject<'a> {
    /// Which message.
    pub referenced_message_id: &'a str,
    /// For people.
    pub reason: Option<&'a str>,
}

impl<'a> Payload<'a> for Accept<'a> {
    fn decode(reader: &mut Reader<'a>, _flags: u8) -> Result<Self, WireError> {
        Ok(Self { referenced_message_id: reader.str()? })
    }

    fn encode(&self, sink: &mut impl Sink) {
        sink.put_str(self.referenced_message_id);
    }
}

impl<'a> Payload<'a> for Defer<'a> {
    fn decode(reader: &mut Reader<'a>, _flags: u8) -> Result<Self, WireError> {
        Ok(Self { referenced_message_id: reader.str()?, reason: reader.optional(Reader::str)? })
    }

    fn encode(&self, sink: &mut impl Sink) {
        sink.put_str(self.referenced_message_id);
        sink.put_optional(self.reason, Sink::put_str);
    }
}

impl<'a> Payload<'a> for Reject<'a> {
    fn decode(reader: &mut Reader<'a>, _flags: u8) -> Result<Self, WireError> {
        Ok(Self { referenced_message_id: reader.str()?, reason: reader.optional(Reader::str)? })
    }

    fn encode(&self, sink: &mut impl Sink) {
        sink.put_str(self.referenced_message_id);
        sink.put_optional(self.reason, Sink::put_str);
    }
}
