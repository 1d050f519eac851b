//! The type bytes of all known frames (wire §4).

/// See [`Connect`](super::connection::Connect).
pub const CONNECT: u8 = 0x01;
/// See [`ConnectAck`](super::connection::ConnectAck).
pub const CONNECT_ACK: u8 = 0x02;
/// See [`ConnectError`](super::connection::ConnectError).
pub const CONNECT_ERROR: u8 = 0x03;
/// See [`Disconnect`](super::connection::Disconnect).
pub const DISCONNECT: u8 = 0x04;
/// See [`Subscribe`](super::channel::Subscribe).
pub const SUBSCRIBE: u8 = 0x05;
/// See [`SubscribeAck`](super::channel::SubscribeAck).
pub const SUBSCRIBE_ACK: u8 = 0x06;
/// See [`SubscribeError`](super::channel::SubscribeError).
pub const SUBSCRIBE_ERROR: u8 = 0x07;
/// See [`Unsubscribe`](super::channel::Unsubscribe).
pub const UNSUBSCRIBE: u8 = 0x08;
/// See [`Publish`](super::channel::Publish).
pub const PUBLISH: u8 = 0x09;
/// See [`PublishAck`](super::channel::PublishAck).
pub const PUBLISH_ACK: u8 = 0x0a;
/// See [`PublishError`](super::channel::PublishError).
pub const PUBLISH_ERROR: u8 = 0x0b;
/// See [`ConversationOpen`](super::conversation::ConversationOpen).
pub const CONVERSATION_OPEN: u8 = 0x0c;
/// See [`ConversationMessage`](super::conversation::ConversationMessage).
pub const CONVERSATION_MESSAGE: u8 = 0x0d;
/// See [`ConversationClose`](super::conversation::ConversationClose).
pub const CONVERSATION_CLOSE: u8 = 0x0e;
/// See [`ConversationError`](super::conversation::ConversationError).
pub const CONVERSATION_ERROR: u8 = 0x0f;
/// See [`Accept`](super::pressure::Accept).
pub const ACCEPT: u8 = 0x10;
/// See [`Defer`](super::pressure::Defer).
pub const DEFER: u8 = 0x11;
/// See [`Reject`](super::pressure::Reject).
pub const REJECT: u8 = 0x12;
/// See [`Ping`](super::connection::Ping).
pub const PING: u8 = 0x13;
/// See [`Pong`](super::connection::Pong).
pub const PONG: u8 = 0x14;
/// See [`Push`](super::push::Push).
pub const PUSH: u8 = 0x15;
/// See [`PushReply`](super::push::PushReply).
pub const PUSH_REPLY: u8 = 0x16;
/// See [`WorkerRegister`](super::worker::WorkerRegister).
pub const WORKER_REGISTER: u8 = 0x17;
/// See [`WorkerRegisterAck`](super::worker::WorkerRegisterAck).
pub const WORKER_REGISTER_ACK: u8 = 0x18;
/// See [`Deliver`](super::channel::Deliver).
pub const DELIVER: u8 = 0x19;

/// Whether the type has a layout of its own; all others are taken as they come.
#[must_use]
#[inline]
pub const fn is_known(type_id: u8) -> bool {
    matches!(type_id, CONNECT..=DELIVER)
}

/// Whether the type belongs to the connection as a whole and therefore to stream 0.
#[must_use]
#[inline]
pub const fn is_control(type_id: u8) -> bool {
    matches!(
        type_id,
        CONNECT | CONNECT_ACK | CONNECT_ERROR | DISCONNECT | PING | PONG | WORKER_REGISTER | WORKER_REGISTER_ACK
    )
}
