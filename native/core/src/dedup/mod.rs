//! The index of idempotency keys: which are claimed, which are completed, and how (design §8, §9). `ts/durability/claim-index.ts` describes what each call does.
//!
//! Keys are known by a keyed 128-bit hash; whoever made the secret keeps others from constructing two keys of one hash. The index is many small shards,
//! each of which grows at once: no insertion copies more than a thousand keys.

mod clock;
mod entry;
mod rows;
mod shard;

use std::hash::Hasher;
use std::hint::black_box;

use siphasher::sip128::{Hasher128, SipHasher24};

use crate::columns::{HEAD_WIDTH, Row, column, from_column};
use clock::Clock;
use entry::{Entry, Fate};
pub use rows::{CLAIM_WORDS, ClaimRow, status};
use rows::{hash_of, set_fate, set_hash, set_status, status_of};
use shard::Shard;

/// Keys of a shard when the index is full, on average. It has room for almost twice as many, so that chance makes none that is too large.
const SHARD_KEYS: usize = 512;
/// Rows whose shards are loaded ahead together.
const AHEAD: usize = 64;

/// What an index is made with.
#[derive(Clone, Copy, Debug)]
pub struct ClaimLimits {
    /// Milliseconds that a completed key is known, at least 1.
    pub ttl_ms: f64,
    /// Keys that are known at a time, at least 1.
    pub max_keys: usize,
}

/// The index of idempotency keys.
#[derive(Debug)]
pub struct ClaimIndex {
    /// Has taken in the secret.
    keyed: SipHasher24,
    clock: Clock,
    max_keys: usize,
    /// As many as a power of two; a hash's first word says which.
    shards: Box<[Shard]>,
    length: usize,
    /// Of the tables of all shards.
    table_bytes: usize,
    /// Shard and key that the next sweep begins with.
    swept: (usize, usize),
}

impl ClaimIndex {
    /// An empty index.
    #[must_use]
    pub fn new(secret: &[u8; 16], limits: ClaimLimits) -> Self {
        let max_keys = limits.max_keys.max(1);
        let shards = max_keys.div_ceil(SHARD_KEYS).next_power_of_two();
        Self {
            keyed: SipHasher24::new_with_key(secret),
            clock: Clock::new(limits.ttl_ms),
            max_keys,
            shards: std::iter::repeat_with(Shard::default).take(shards).collect(),
            length: 0,
            table_bytes: 0,
            swept: (0, 0),
        }
    }

    /// Keys that are known, expired ones that no sweep came by included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether no key is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Bytes of memory.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.table_bytes + self.shards.len() * size_of::<Shard>() + size_of::<Self>()
    }

    /// Claims the keys of the rows from `first` on for `owner`, one of `found` for each. `None`, and no key is claimed, if the columns do not describe keys of `bytes`.
    #[expect(clippy::too_many_arguments, reason = "a run, and who claims it when")]
    pub fn claim(
        &mut self,
        scope: &[u8; 16],
        bytes: &[u8],
        columns: &[i32],
        first: usize,
        owner: u64,
        now_ms: f64,
        found: &mut [ClaimRow],
    ) -> Option<()> {
        let (rows, _) = columns.get(HEAD_WIDTH..)?.as_chunks();
        let rows: &[Row] = rows.get(first..first.checked_add(found.len())?)?;
        let mut scoped = self.keyed;
        scoped.write(scope);
        for (row, found) in rows.iter().zip(&mut *found) {
            if row[column::KEY_LENGTH] < 0 {
                set_hash(found, 0, status::NONE);
                continue;
            }
            let start = from_column(row[column::KEY]);
            let mut hasher = scoped;
            hasher.write(bytes.get(start..start + from_column(row[column::KEY_LENGTH]))?);
            set_hash(found, hasher.finish128().into(), status::FREE);
        }
        let now = self.clock.tick(now_ms);
        for found in found.chunks_mut(AHEAD) {
            self.load_ahead(found);
            for row in found {
                if status_of(row) != status::NONE {
                    self.claim_one(row, owner, now);
                }
            }
        }
        Some(())
    }

    fn claim_one(&mut self, row: &mut ClaimRow, owner: u64, now: u32) {
        let hash = hash_of(row);
        let number = self.shard_of(hash);
        let claimed = Entry::in_flight(hash, owner, now);
        match self.shards[number].find(hash) {
            Ok(at) => {
                let entry = self.shards[number].entry_mut(at);
                if entry.is_completed() && self.clock.is_over(now, entry.time) {
                    *entry = claimed;
                    set_status(row, status::FRESH);
                } else {
                    set_fate(row, entry.fate());
                }
            }
            Err(place) => {
                let done = self.insert(number, place, claimed, now);
                set_status(row, if done { status::FRESH } else { status::FULL });
            }
        }
    }

    /// Completes the rows that were fresh and are still held by `owner`, and returns how many they were. The value counts up from `first_value` with every row that
    /// was fresh or has no key.
    pub fn complete(
        &mut self,
        rows: &[ClaimRow],
        owner: u64,
        first_value: u64,
        delivered_to: u32,
        now_ms: f64,
    ) -> usize {
        let now = self.clock.tick(now_ms);
        let mut value = first_value;
        let mut completed = 0;
        for rows in rows.chunks(AHEAD) {
            self.load_ahead(rows);
            for row in rows {
                if let Some((number, at)) = self.held(row, owner) {
                    let entry = self.shards[number].entry_mut(at);
                    *entry = Entry::completed(entry.hash, value, delivered_to, now);
                    completed += 1;
                }
                if matches!(status_of(row), status::FRESH | status::NONE) {
                    value = value.wrapping_add(1);
                }
            }
        }
        completed
    }

    /// Frees the rows that were fresh and are still held by `owner`, and returns how many they were.
    pub fn release(&mut self, rows: &[ClaimRow], owner: u64) -> usize {
        let mut released = 0;
        for row in rows {
            if let Some((number, at)) = self.held(row, owner) {
                self.shards[number].remove(at);
                self.length -= 1;
                released += 1;
            }
        }
        released
    }

    /// Says anew what is known of the keys of rows, without claiming any.
    pub fn look(&self, rows: &mut [ClaimRow], now_ms: f64) {
        let now = self.clock.tick(now_ms);
        for rows in rows.chunks_mut(AHEAD) {
            self.load_ahead(rows);
            for row in rows {
                if status_of(row) == status::NONE {
                    continue;
                }
                match self.known(hash_of(row), now) {
                    Some(fate) => set_fate(row, fate),
                    None => set_status(row, status::FREE),
                }
            }
        }
    }

    /// Puts completed keys back, unless they are there or their time is over. An all-zero hash stands for a message without a key.
    pub fn restore(
        &mut self,
        hashes: &[[u8; 16]],
        first_value: u64,
        delivered_to: u32,
        stored_at_ms: f64,
        now_ms: f64,
    ) {
        let now = self.clock.tick(now_ms);
        let time = self.clock.tick(stored_at_ms);
        if self.clock.is_over(now, time) {
            return;
        }
        let mut value = first_value;
        for hashes in hashes.chunks(AHEAD) {
            black_box(hashes.iter().fold(0, |sum, hash| sum ^ self.touch(u128::from_le_bytes(*hash))));
            for hash in hashes {
                self.restore_one(u128::from_le_bytes(*hash), value, delivered_to, time, now);
                value = value.wrapping_add(1);
            }
        }
    }

    fn restore_one(&mut self, hash: u128, value: u64, delivered_to: u32, time: u32, now: u32) {
        if hash == 0 {
            return;
        }
        let number = self.shard_of(hash);
        let restored = Entry::completed(hash, value, delivered_to, time);
        match self.shards[number].find(hash) {
            Ok(at) => {
                let entry = self.shards[number].entry_mut(at);
                if entry.is_completed() && self.clock.is_over(now, entry.time) {
                    *entry = restored;
                }
            }
            // Without room the key is not known, as if it had given way.
            Err(place) => {
                self.insert(number, place, restored, now);
            }
        }
    }

    /// Removes expired keys, visiting at most `budget` keys and shards, and returns how many it removed. Ends after one round.
    pub fn sweep(&mut self, now_ms: f64, budget: usize) -> usize {
        let now = self.clock.tick(now_ms);
        let before = self.length;
        let (mut number, mut at) = self.swept;
        let mut left = budget;
        let mut rounds = 0;
        while left > 0 && rounds <= self.shards.len() {
            left -= 1;
            let shard = &mut self.shards[number];
            if at >= shard.len() {
                let bytes = shard.bytes();
                shard.shrink();
                self.table_bytes = self.table_bytes - bytes + shard.bytes();
                (number, at) = ((number + 1) & (self.shards.len() - 1), 0);
                rounds += 1;
                continue;
            }
            let entry = shard.entry(at);
            if entry.is_completed() && self.clock.is_over(now, entry.time) {
                // Another key moves into its position, which is visited again.
                shard.remove(at);
                self.length -= 1;
            } else {
                at += 1;
            }
        }
        self.swept = (number, at);
        before - self.length
    }

    /// Inserts a key whose search, by [`Shard::find`], ended with `place`. False if there is no room for it.
    fn insert(&mut self, number: usize, place: usize, entry: Entry, now: u32) -> bool {
        let shard = &mut self.shards[number];
        if self.length >= self.max_keys || shard.is_closed() {
            return shard.replace(place, entry, now);
        }
        let bytes = shard.bytes();
        shard.insert(number, place, entry);
        self.table_bytes += shard.bytes() - bytes;
        self.length += 1;
        true
    }

    /// Where a row that was fresh is, if `owner` still holds it.
    fn held(&self, row: &ClaimRow, owner: u64) -> Option<(usize, usize)> {
        if status_of(row) != status::FRESH {
            return None;
        }
        let hash = hash_of(row);
        let number = self.shard_of(hash);
        let at = self.shards[number].find(hash).ok()?;
        self.shards[number].entry(at).is_held_by(owner).then_some((number, at))
    }

    fn known(&self, hash: u128, now: u32) -> Option<Fate> {
        let shard = &self.shards[self.shard_of(hash)];
        let entry = shard.entry(shard.find(hash).ok()?);
        (!(entry.is_completed() && self.clock.is_over(now, entry.time))).then(|| entry.fate())
    }

    #[inline]
    fn load_ahead(&self, rows: &[ClaimRow]) {
        black_box(rows.iter().fold(0, |sum, row| sum ^ self.touch(hash_of(row))));
    }

    #[inline]
    fn touch(&self, hash: u128) -> u32 {
        self.shards[self.shard_of(hash)].touch(hash)
    }

    #[inline]
    fn shard_of(&self, hash: u128) -> usize {
        hash as usize & (self.shards.len() - 1)
    }
}
