//! The frames of the connection itself, all on stream 0.

use super::Payload;
use super::refusal::Refusal;
use crate::error::WireError;
use crate::negotiate::Version;
use crate::reader::Reader;
use crate::sink::Sink;

/// The first frame of a client: the versions it speaks and its token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connect<'a> {
    /// Lowest version, not checked against the highest.
    pub min_version: Version,
    /// Highest version.
    pub max_version: Version,
    /// Whatever the server's authentication understands.
    pub auth_token: &'a [u8],
}

/// The server's answer to a `Connect` that it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectAck {
    /// The version that both speak from here on.
    pub selected_version: Version,
    /// Bits of granted extensions.
    pub capabilities: u32,
}

/// The server's answer to a `Connect` that it refuses.
pub type ConnectError<'a> = Refusal<'a>;

/// The end of a connection, announced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disconnect;

/// Asks whether the peer is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ping;

/// The answer to a `Ping`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pong;

fn read_version(reader: &mut Reader<'_>) -> Result<Version, WireError> {
    Ok(Version { major: reader.u16()?, minor: reader.u16()? })
}

fn put_version(sink: &mut impl Sink, version: Version) {
    sink.put_u16(version.major);
    sink.put_u16(version.minor);
}

impl<'a> Payload<'a> for Connect<'a> {
    fn decode(reader: &mut Reader<'a>, _flags: u8) -> Result<Self, WireError> {
        Ok(Self { min_version: read_version(reader)?, max_version: read_version(reader)?, auth_token: reader.bytes()? })
    }

    fn encode(&self, sink: &mut impl Sink) {
        put_version(sink, self.min_version);
        put_version(sink, self.max_version);
        sink.put_bytes(self.auth_token);
    }
}

impl<'a> Payload<'a> for ConnectAck {
    fn decode(reader: &mut Reader<'a>, _flags: u8) -> Result<Self, WireError> {
        Ok(Self { selected_version: read_version(reader)?, capabilities: reader.u32()? })
    }

    fn encode(&self, sink: &mut impl Sink) {
        put_version(sink, self.selected_version);
        sink.put_u32(self.capabilities);
    }
}

macro_rules! empty_payload {
    ($($frame:ident)*) => {$(
        impl<'a> Payload<'a> for $frame {
            fn decode(_reader: &mut Reader<'a>, _flags: u8) -> Result<Self, WireError> {
                Ok(Self)
            }

            fn encode(&self, _sink: &mut impl Sink) {}
        }
    )*};
}

empty_payload!(Disconnect Ping Pong);
