//! The frames of channels: subscribing, publishing, delivering.

use super::Payload;
use super::refusal::Refusal;
use crate::envelope::{Envelope, SchemaId};
use crate::error::WireError;
use crate::reader::Reader;
use crate::sink::Sink;

/// The flag of [`Publish`] that says that a key follows the envelope: the one flag that changes a layout.
pub const PUBLISH_HAS_KEY: u8 = 0x02;

/// Asks for the messages of a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscribe<'a> {
    /// Name of the channel.
    pub channel: &'a str,
    /// Schemas that the subscriber understands; none means any.
    pub accepted_schemas: &'a [SchemaId],
    /// Deliveries that may be unanswered at a time, never 0.
    pub max_in_flight: u32,
}

/// A subscription exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscribeAck<'a> {
    /// The subscription's id on this connection.
    pub subscription_id: u64,
    /// The schema that deliveries follow.
    pub selected_schema: &'a SchemaId,
}

/// A subscription was refused or has ended.
pub type SubscribeError<'a> = Refusal<'a>;

/// Ends a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsubscribe {
    /// From the `SubscribeAck`.
    pub subscription_id: u64,
}

/// Publishes a message on a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish<'a> {
    /// Name of the channel.
    pub channel: &'a str,
    /// The message.
    pub envelope: Envelope<'a>,
    /// Present if and only if the flags have [`PUBLISH_HAS_KEY`].
    pub idempotency_key: Option<&'a str>,
}

/// A message was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishAck {
    /// The message's id.
    pub message_id: u64,
}

/// A message was refused.
pub type PublishError<'a> = Refusal<'a>;

/// A published message on its way to a subscriber.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deliver<'a> {
    /// Position in the subscription, from 1.
    pub delivery_seq: u64,
    /// The message.
    pub envelope: Envelope<'a>,
}

impl<'a> Payload<'a> for Subscribe<'a> {
    fn decode(reader: &mut Reader<'a>, _flags: u8) -> Result<Self, WireError> {
        let subscribe =
            Self { channel: reader.str()?, accepted_schemas: reader.schemas()?, max_in_flight: reader.u32()? };
        subscribe.check(0)?;
        Ok(subscribe)
    }

    fn check(&self, _flags: u8) -> Result<(), WireError> {
        if self.max_in_flight == 0 {
            return Err(WireError::Codec("maxInFlight is 0"));
        }
        Ok(())
    }

    fn encode(&self, sink: &mut impl Sink) {
        sink.put_str(self.channel);
        sink.put_length(self.accepted_schemas.len());
        sink.put(self.accepted_schemas.as_flattened());
        sink.put_u32(self.max_in_flight);
    }
}

impl<'a> Payload<'a> for SubscribeAck<'a> {
    fn decode(reader: &mut Reader<'a>, _flags: u8) -> Result<Self, WireError> {
        Ok(Self { subscription_id: reader.u64()?, selected_schema: reader.schema()? })
    }

    fn encode(&self, sink: &mut impl Sink) {
        sink.put_u64(self.subscription_id);
        sink.put(self.selected_schema);
    }
}

impl<'a> Payload<'a> for Unsubscribe {
    fn decode(reader: &mut Reader<'a>, _flags: u8) -> Result<Self, WireError> {
        Ok(Self { subscription_id: reader.u64()? })
    }

    fn encode(&self, sink: &mut impl Sink) {
        sink.put_u64(self.subscription_id);
    }
}

impl<'a> Payload<'a> for Publish<'a> {
    fn decode(reader: &mut Reader<'a>, flags: u8) -> Result<Self, WireError> {
        Ok(Self {
            channel: reader.str()?,
            envelope: Envelope::decode_field(reader)?,
            idempotency_key: if flags & PUBLISH_HAS_KEY == 0 { None } else { Some(reader.str()?) },
        })
    }

    fn check(&self, flags: u8) -> Result<(), WireError> {
        if (flags & PUBLISH_HAS_KEY != 0) != self.idempotency_key.is_some() {
            return Err(WireError::Codec("Publish flag 0x02 and the idempotency key contradict each other"));
        }
        Ok(())
    }

    fn encode(&self, sink: &mut impl Sink) {
        sink.put_str(self.channel);
        self.envelope.encode_field(sink);
        if let Some(key) = self.idempotency_key {
            sink.put_str(key);
        }
    }
}

impl<'a> Payload<'a> for PublishAck {
    fn decode(reader: &mut Reader<'a>, _flags: u8) -> Result<Self, WireError> {
        Ok(Self { message_id: reader.u64()? })
    }

    fn encode(&self, sink: &mut impl Sink) {
        sink.put_u64(self.message_id);
    }
}

impl<'a> Payload<'a> for Deliver<'a> {
    fn decode(reader: &mut Reader<'a>, _flags: u8) -> Result<Self, WireError> {
        Ok(Self { delivery_seq: reader.u64()?, envelope: Envelope::decode_field(reader)? })
    }

    fn encode(&self, sink: &mut impl Sink) {
        sink.put_u64(self.delivery_seq);
        self.envelope.encode_field(sink);
    }
}
