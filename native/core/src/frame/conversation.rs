//! The frames of conversations.

use super::Payload;
use crate::envelope::Envelope;
use crate::error::WireError;
use crate::reader::Reader;
use crate::sink::Sink;

/// Opens a conversation with whoever answers a subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConversationOpen<'a> {
    /// Chosen by the opener.
    pub conversation_id: u64,
    /// What the conversation is about.
    pub subject: &'a str,
}

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConversationMessage<'a> {
    /// From the `ConversationOpen`.
    pub conversation_id: u64,
    /// The message.
    pub envelope: Envelope<'a>,
}

/// The end of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConversationClose<'a> {
    /// From the `ConversationOpen`.
    pub conversation_id: u64,
    /// Why, where there is something to say.
    pub reason_code: Option<u16>,
    /// For people.
    pub message: Option<&'a str>,
}

/// A conversation failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConversationError<'a> {
    /// From the `ConversationOpen`.
    pub conversation_id: u64,
    /// Names the failure.
    pub reason_code: u16,
    /// For people.
    pub message: Option<&'a str>,
}

impl<'a> Payload<'a> for ConversationOpen<'a> {
    fn decode(reader: &mut Reader<'a>, _flags: u8) -> Result<Self, WireError> {
        Ok(Self { conversation_id: reader.u64()?, subject: reader.str()? })
    }

    fn encode(&self, sink: &mut impl Sink) {
        sink.put_u64(self.conversation_id);
        sink.put_str(self.subject);
    }
}

impl<'a> Payload<'a> for ConversationMessage<'a> {
    fn decode(reader: &mut Reader<'a>, _flags: u8) -> Result<Self, WireError> {
        Ok(Self { conversation_id: reader.u64()?, envelope: Envelope::decode_field(reader)? })
    }

    fn encode(&self, sink: &mut impl Sink) {
        sink.put_u64(self.conversation_id);
        self.envelope.encode_field(sink);
    }
}

impl<'a> Payload<'a> for ConversationClose<'a> {
    fn decode(reader: &mut Reader<'a>, _flags: u8) -> Result<Self, WireError> {
        Ok(Self {
            conversation_id: reader.u64()?,
            reason_code: reader.optional(Reader::u16)?,
            message: reader.optional(Reader::str)?,
        })
    }

    fn encode(&self, sink: &mut impl Sink) {
        sink.put_u64(self.conversation_id);
        sink.put_optional(self.reason_code, Sink::put_u16);
        sink.put_optional(self.message, Sink::put_str);
    }
}

impl<'a> Payload<'a> for ConversationError<'a> {
    fn decode(reader: &mut Reader<'a>, _flags: u8) -> Result<Self, WireError> {
        Ok(Self { conversation_id: reader.u64()?, reason_code: reader.u16()?, message: reader.optional(Reader::str)? })
    }

    fn encode(&self, sink: &mut impl Sink) {
        sink.put_u64(self.conversation_id);
        sink.put_u16(self.reason_code);
        sink.put_optional(self.message, Sink::put_str);
    }
}
