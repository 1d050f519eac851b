use std::fmt;

/// How bytes, frames and negotiations break the protocol (wire §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireError {
    /// Fewer than 10 bytes: a stream reader waits for more.
    IncompleteHeader,
    /// Fewer payload bytes than the header declares: a stream reader waits for more.
    TruncatedPayload,
    /// A known frame type on the wrong kind of stream.
    InvalidStream,
    /// No supported version within the offered range.
    VersionMismatch,
    /// The channel's schema is not among the accepted ones.
    SchemaIncompatible,
    /// Something wrong inside a payload, or a frame value that has no valid encoding; the text says what.
    Codec(&'static str),
}

impl WireError {
    /// The u16 that names this error in an error frame.
    #[must_use]
    pub const fn reason_code(self) -> u16 {
        match self {
            Self::IncompleteHeader => 1,
            Self::TruncatedPayload => 2,
            Self::InvalidStream => 4,
            Self::VersionMismatch => 7,
            Self::SchemaIncompatible => 8,
            Self::Codec(_) => 9,
        }
    }

    /// The stable name of this error, the same in every implementation.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::IncompleteHeader => "IncompleteHeader",
            Self::TruncatedPayload => "TruncatedPayload",
            Self::InvalidStream => "InvalidStream",
            Self::VersionMismatch => "VersionMismatch",
            Self::SchemaIncompatible => "SchemaIncompatible",
            Self::Codec(_) => "CodecError",
        }
    }
}

impl fmt::Display for WireError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Codec(what) => write!(formatter, "{}: {what}", self.name()),
            _ => formatter.write_str(self.name()),
        }
    }
}

impl std::error::Error for WireError {}
