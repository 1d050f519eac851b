//! The numbers that a scan writes for each frame: the mirror of `ts/protocol/columns.ts`, which describes them.

/// Int32s before the first row.
pub const HEAD_WIDTH: usize = 4;
/// Int32s of a row.
pub const ROW_WIDTH: usize = 13;

/// One row.
pub type Row = [i32; ROW_WIDTH];

/// Positions in the head.
pub mod head {
    /// Rows written.
    pub const COUNT: usize = 0;
    /// Offset of the first byte that belongs to no row.
    pub const CONSUMED: usize = 1;
    /// Why the scan stopped.
    pub const STATUS: usize = 2;
    /// What there is to say about the status.
    pub const DETAIL: usize = 3;
}

/// Positions in a row. A column that does not apply to a frame's type is 0, unless said otherwise.
pub mod column {
    /// Offset of the header.
    pub const START: usize = 0;
    /// Bytes of the whole frame.
    pub const LENGTH: usize = 1;
    /// Type byte.
    pub const TYPE: usize = 2;
    /// Flags byte.
    pub const FLAGS: usize = 3;
    /// Stream id, the bits of the u32.
    pub const STREAM: usize = 4;
    /// Id of the channel's name, -1 for an unknown name and for frames without a channel.
    pub const CHANNEL: usize = 5;
    /// Offset of the envelope.
    pub const ENVELOPE: usize = 6;
    /// Offset of the payload bytes.
    pub const PAYLOAD: usize = 7;
    /// Bytes of the payload.
    pub const PAYLOAD_LENGTH: usize = 8;
    /// Offset of the idempotency key.
    pub const KEY: usize = 9;
    /// Bytes of the key, -1 where there is none.
    pub const KEY_LENGTH: usize = 10;
    /// Rows of the run that starts here; 0 in the middle of a run.
    pub const RUN: usize = 11;
    /// Offset of the frame's u64 id.
    pub const ID: usize = 12;
}

/// Why a scan stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Status {
    /// The chunk ended exactly behind a frame.
    Complete = 0,
    /// The chunk ends inside a frame.
    Partial = 1,
    /// The columns have no room for another row.
    Full = 2,
    /// The next frame breaks the protocol.
    Malformed = 3,
    /// The next frame declares more bytes than allowed.
    TooLarge = 4,
}

/// An offset, length or count as a column holds it.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "columns hold the low 32 bits, as an Int32Array does"
)]
#[inline]
pub(crate) const fn to_column(value: usize) -> i32 {
    value as i32
}

/// The offset or length that a column holds.
#[expect(clippy::cast_sign_loss, reason = "columns hold the bits of a u32")]
#[inline]
pub(crate) const fn from_column(value: i32) -> usize {
    value as u32 as usize
}
