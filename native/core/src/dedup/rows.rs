//! The rows in which JavaScript reads what a claim found: the mirror of `ts/durability/claim-rows.ts`, which describes them.

use super::entry::Fate;

/// Words of a row.
pub const CLAIM_WORDS: usize = 8;

/// One row: four words of the key's hash, status, deliveries, and the value in two halves.
pub type ClaimRow = [u32; CLAIM_WORDS];

/// What a claim found.
pub mod status {
    /// Nobody had the key; it is the caller's now.
    pub const FRESH: u32 = 0;
    /// Somebody holds it.
    pub const IN_FLIGHT: u32 = 1;
    /// Its message is published.
    pub const COMPLETED: u32 = 2;
    /// The row has no key.
    pub const NONE: u32 = 3;
    /// There is no room for the key.
    pub const FULL: u32 = 4;
    /// A look found that nobody has the key.
    pub const FREE: u32 = 5;
}

const STATUS: usize = 4;
const DELIVERED_TO: usize = 5;
const VALUE: usize = 6;

/// The hash of a row's key.
#[inline]
pub(super) fn hash_of(row: &ClaimRow) -> u128 {
    let [a, b, c, d, ..] = row.map(u128::from);
    a | b << 32 | c << 64 | d << 96
}

#[inline]
pub(super) fn status_of(row: &ClaimRow) -> u32 {
    row[STATUS]
}

/// Writes the hash, and the status for a row that is not decided yet.
#[expect(clippy::cast_possible_truncation, reason = "words of the hash")]
#[inline]
pub(super) fn set_hash(row: &mut ClaimRow, hash: u128, status: u32) {
    *row = [hash as u32, (hash >> 32) as u32, (hash >> 64) as u32, (hash >> 96) as u32, status, 0, 0, 0];
}

#[inline]
pub(super) fn set_status(row: &mut ClaimRow, status: u32) {
    set(row, status, 0, 0);
}

#[inline]
pub(super) fn set_fate(row: &mut ClaimRow, fate: Fate) {
    match fate {
        Fate::InFlight { owner } => set(row, status::IN_FLIGHT, 0, owner),
        Fate::Completed { value, delivered_to } => set(row, status::COMPLETED, delivered_to, value),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "halves of the value")]
#[inline]
fn set(row: &mut ClaimRow, status: u32, delivered_to: u32, value: u64) {
    row[STATUS] = status;
    row[DELIVERED_TO] = delivered_to;
    row[VALUE] = (value >> 32) as u32;
    row[VALUE + 1] = value as u32;
}
