use super::kind;
use crate::error::WireError;
use crate::sink::Sink;

/// The header that starts every frame (wire §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// See [`kind`].
    pub type_id: u8,
    /// Kept verbatim for every type.
    pub flags: u8,
    /// 0 for connection frames, at least 1 for all other known types.
    pub stream_id: u32,
    /// Bytes that follow the header.
    pub payload_length: u32,
}

impl Head {
    /// Bytes of a header.
    pub const BYTES: usize = 10;

    /// The header at the start of `bytes`, if all of it is there.
    #[must_use]
    #[inline]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let &[type_id, flags, s0, s1, s2, s3, l0, l1, l2, l3] = bytes.first_chunk()?;
        Some(Self {
            type_id,
            flags,
            stream_id: u32::from_be_bytes([s0, s1, s2, s3]),
            payload_length: u32::from_be_bytes([l0, l1, l2, l3]),
        })
    }

    /// Bytes of the whole frame.
    #[must_use]
    #[inline]
    pub const fn frame_length(self) -> usize {
        Self::BYTES + self.payload_length as usize
    }

    /// The stream rule: connection frames on stream 0, all other known types elsewhere.
    ///
    /// # Errors
    /// [`WireError::InvalidStream`].
    #[inline]
    pub const fn check_stream(self) -> Result<(), WireError> {
        if !kind::is_known(self.type_id) || kind::is_control(self.type_id) == (self.stream_id == 0) {
            Ok(())
        } else {
            Err(WireError::InvalidStream)
        }
    }

    pub(crate) fn encode(self, sink: &mut impl Sink) {
        sink.put_u8(self.type_id);
        sink.put_u8(self.flags);
        sink.put_u32(self.stream_id);
        sink.put_u32(self.payload_length);
    }
}
