//! Frames as values that borrow the bytes they were read from: one module per family.

pub mod channel;
pub mod connection;
pub mod conversation;
mod head;
pub mod kind;
pub mod pressure;
pub mod push;
mod refusal;
pub mod unknown;
pub mod worker;

use channel::{Deliver, Publish, PublishAck, PublishError, Subscribe, SubscribeAck, SubscribeError, Unsubscribe};
use connection::{Connect, ConnectAck, ConnectError, Disconnect, Ping, Pong};
use conversation::{ConversationClose, ConversationError, ConversationMessage, ConversationOpen};
pub use head::Head;
use pressure::{Accept, Defer, Reject};
use push::{Push, PushReply};
pub use refusal::Refusal;
use unknown::Unknown;
use worker::{WorkerRegister, WorkerRegisterAck};

use crate::error::WireError;
use crate::reader::Reader;
use crate::sink::{Counter, Sink, Slice};

/// Any frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Kept verbatim for every type.
    pub flags: u8,
    /// 0 for connection frames, at least 1 for all other known types.
    pub stream_id: u32,
    /// What the frame says.
    pub body: Body<'a>,
}

/// The payload of one frame type.
pub(crate) trait Payload<'a>: Sized {
    fn decode(reader: &mut Reader<'a>, flags: u8) -> Result<Self, WireError>;

    /// Refuses a value that the encoder could write and no decoder would take.
    fn check(&self, _flags: u8) -> Result<(), WireError> {
        Ok(())
    }

    fn encode(&self, sink: &mut impl Sink);
}

macro_rules! bodies {
    ($($kind:ident => $name:ident $(<$borrow:lifetime>)?,)*) => {
        /// What a frame says, by type.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Body<'a> {
            $(
                #[doc = concat!("Type [`kind::", stringify!($kind), "`].")]
                $name($name $(<$borrow>)?),
            )*
            /// Any other type.
            Unknown(Unknown<'a>),
        }

        impl<'a> Body<'a> {
            /// The type byte.
            #[must_use]
            pub const fn type_id(&self) -> u8 {
                match self {
                    $(Self::$name(_) => kind::$kind,)*
                    Self::Unknown(unknown) => unknown.type_id,
                }
            }

            fn read(head: Head, reader: &mut Reader<'a>) -> Result<Self, WireError> {
                Ok(match head.type_id {
                    $(kind::$kind => Self::$name($name::decode(reader, head.flags)?),)*
                    type_id => Self::Unknown(Unknown::decode(type_id, reader)),
                })
            }

            fn check(&self, flags: u8) -> Result<(), WireError> {
                match self {
                    $(Self::$name(payload) => payload.check(flags),)*
                    Self::Unknown(unknown) => unknown.check(),
                }
            }

            fn encode(&self, sink: &mut impl Sink) {
                match self {
                    $(Self::$name(payload) => payload.encode(sink),)*
                    Self::Unknown(unknown) => unknown.encode(sink),
                }
            }
        }
    };
}

bodies! {
    CONNECT => Connect<'a>,
    CONNECT_ACK => ConnectAck,
    CONNECT_ERROR => ConnectError<'a>,
    DISCONNECT => Disconnect,
    SUBSCRIBE => Subscribe<'a>,
    SUBSCRIBE_ACK => SubscribeAck<'a>,
    SUBSCRIBE_ERROR => SubscribeError<'a>,
    UNSUBSCRIBE => Unsubscribe,
    PUBLISH => Publish<'a>,
    PUBLISH_ACK => PublishAck,
    PUBLISH_ERROR => PublishError<'a>,
    CONVERSATION_OPEN => ConversationOpen<'a>,
    CONVERSATION_MESSAGE => ConversationMessage<'a>,
    CONVERSATION_CLOSE => ConversationClose<'a>,
    CONVERSATION_ERROR => ConversationError<'a>,
    ACCEPT => Accept<'a>,
    DEFER => Defer<'a>,
    REJECT => Reject<'a>,
    PING => Ping,
    PONG => Pong,
    PUSH => Push<'a>,
    PUSH_REPLY => PushReply<'a>,
    WORKER_REGISTER => WorkerRegister<'a>,
    WORKER_REGISTER_ACK => WorkerRegisterAck<'a>,
    DELIVER => Deliver<'a>,
}

impl<'a> Body<'a> {
    /// Reads the payload that belongs to a header, with every check that comes after its presence (wire §6).
    ///
    /// # Errors
    /// [`WireError::InvalidStream`], which is checked first, or [`WireError::Codec`].
    pub fn decode(head: Head, payload: &'a [u8]) -> Result<Self, WireError> {
        head.check_stream()?;
        let mut reader = Reader::new(payload);
        let body = Self::read(head, &mut reader)?;
        reader.finish()?;
        Ok(body)
    }
}

impl<'a> Frame<'a> {
    /// Reads the frame at the start of `bytes` and says how many bytes it took.
    ///
    /// # Errors
    /// In the order of wire §6: [`WireError::IncompleteHeader`], [`WireError::TruncatedPayload`], [`WireError::InvalidStream`],
    /// [`WireError::Codec`].
    pub fn decode(bytes: &'a [u8]) -> Result<(Self, usize), WireError> {
        let head = Head::parse(bytes).ok_or(WireError::IncompleteHeader)?;
        let length = head.frame_length();
        let payload = bytes.get(Head::BYTES..length).ok_or(WireError::TruncatedPayload)?;
        let body = Body::decode(head, payload)?;
        Ok((Self { flags: head.flags, stream_id: head.stream_id, body }, length))
    }

    /// Bytes that the frame takes when encoded.
    #[must_use]
    pub fn encoded_length(&self) -> usize {
        let mut counter = Counter { length: Head::BYTES };
        self.body.encode(&mut counter);
        counter.length
    }

    /// Writes the frame to the start of `target` and says how many bytes it took.
    ///
    /// # Errors
    /// [`WireError::InvalidStream`], which is checked first; [`WireError::Codec`] for a value that has no valid encoding or a target that
    /// is too small. Nothing was written then.
    pub fn encode_into(&self, target: &mut [u8]) -> Result<usize, WireError> {
        let mut head =
            Head { type_id: self.body.type_id(), flags: self.flags, stream_id: self.stream_id, payload_length: 0 };
        // An Unknown frame may be on any stream, whatever its type byte claims.
        if !matches!(self.body, Body::Unknown(_)) {
            head.check_stream()?;
        }
        self.body.check(self.flags)?;
        let length = self.encoded_length();
        head.payload_length = u32::try_from(length - Head::BYTES)
            .map_err(|_| WireError::Codec("the payload is longer than a frame can declare"))?;
        let target = target.get_mut(..length).ok_or(WireError::Codec("the target is too small for the frame"))?;
        let mut slice = Slice::new(target);
        head.encode(&mut slice);
        self.body.encode(&mut slice);
        Ok(length)
    }

    /// The frame as bytes.
    ///
    /// # Errors
    /// Those of [`Frame::encode_into`].
    pub fn encode(&self) -> Result<Vec<u8>, WireError> {
        let mut bytes = vec![0; self.encoded_length()];
        self.encode_into(&mut bytes)?;
        Ok(bytes)
    }
}
