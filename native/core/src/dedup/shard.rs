//! One shard: an open-addressed table that is rebuilt as a whole when it grows.
//!
//! Robin Hood probing: along a chain of occupied slots, homes never go back. So a search for a key that is not there ends early, and removing
//! moves the rest of the chain one slot back instead of leaving a tombstone.

use super::slot::Slot;

/// Of so many slots, so many are taken at most. Together with the growth by a quarter this gives 1.2 slots, 38.5 bytes, for each key.
const LOAD: (usize, usize) = (100, 93);
/// Slots of the smallest table.
const FIRST_CAPACITY: usize = 8;
/// Tables double up to so many slots, and then grow by a quarter.
const QUARTERS_FROM: usize = 64;
/// Completed keys that are compared when one must give way.
const CANDIDATES: usize = 16;

/// Slots of a cache line.
const SLOTS_PER_LINE: usize = 64 / size_of::<Slot>();
/// Cache lines that a search and an insertion mostly get by with.
const LINES_AHEAD: usize = 4;

/// A table of up to some thousand keys.
#[derive(Debug, Default)]
pub(super) struct Shard {
    slots: Vec<Slot>,
    length: usize,
}

impl Shard {
    #[inline]
    pub fn capacity(&self) -> usize {
        self.slots.len()
    }

    #[inline]
    pub fn slot(&self, at: usize) -> &Slot {
        &self.slots[at]
    }

    #[inline]
    pub fn slot_mut(&mut self, at: usize) -> &mut Slot {
        &mut self.slots[at]
    }

    /// Loads what a search for the hash will look at first, so that the misses of several searches overlap. The result means nothing.
    #[inline]
    pub fn touch(&self, hash: u128) -> u32 {
        let home = home(hash, self.slots.len());
        let ahead = (0..LINES_AHEAD).filter_map(|line| self.slots.get(home + line * SLOTS_PER_LINE));
        ahead.fold(0, |sum, slot| sum ^ slot.time)
    }

    /// Where the hash is, or else where it belongs.
    #[inline]
    pub fn find(&self, hash: u128) -> Result<usize, usize> {
        if self.slots.is_empty() {
            return Err(0);
        }
        let mut at = home(hash, self.slots.len());
        let mut distance = 0;
        loop {
            let slot = &self.slots[at];
            if slot.is_empty() {
                return Err(at);
            }
            if slot.hash == hash {
                return Ok(at);
            }
            if self.distance(at) < distance {
                return Err(at);
            }
            at = self.after(at);
            distance += 1;
        }
    }

    /// Whether another key needs a larger table.
    #[inline]
    pub fn is_full(&self) -> bool {
        (self.length + 1) * LOAD.0 > self.slots.len() * LOAD.1
    }

    /// Grows. `number` is the shard's: shards differ by up to a quarter in the capacity that they begin to grow by quarters from, so that they do not all grow at about the same
    /// time, and the memory for each key is the same however many there are.
    pub fn grow(&mut self, number: usize) {
        let capacity = self.slots.len();
        self.rebuild(if capacity == 0 {
            FIRST_CAPACITY
        } else if capacity * 2 < QUARTERS_FROM {
            capacity * 2
        } else if capacity * 2 == QUARTERS_FROM {
            QUARTERS_FROM + number % (QUARTERS_FROM / 4)
        } else {
            capacity + capacity / 4
        });
    }

    /// Gives memory back if the table is less than half full.
    pub fn shrink(&mut self) {
        let enough = self.length + self.length / 4 + FIRST_CAPACITY;
        if self.length == 0 {
            self.slots = Vec::new();
        } else if self.length * 2 < self.slots.len() && enough < self.slots.len() {
            self.rebuild(enough);
        }
    }

    /// Puts a slot where [`Shard::find`] said that its hash belongs. The table must not be full.
    pub fn insert(&mut self, at: usize, slot: Slot) {
        let mut end = at;
        while !self.slots[end].is_empty() {
            end = self.after(end);
        }
        if end >= at {
            self.slots.copy_within(at..end, at + 1);
        } else {
            let last = self.slots.len() - 1;
            self.slots.copy_within(..end, 1);
            self.slots[0] = self.slots[last];
            self.slots.copy_within(at..last, at + 1);
        }
        self.slots[at] = slot;
        self.length += 1;
    }

    /// Removes what is in a slot.
    pub fn remove(&mut self, at: usize) {
        let mut end = self.after(at);
        while !self.slots[end].is_empty() && self.distance(end) > 0 {
            end = self.after(end);
        }
        if end > at {
            self.slots.copy_within(at + 1..end, at);
        } else {
            let last = self.slots.len() - 1;
            self.slots.copy_within(at + 1.., at);
            if end > 0 {
                self.slots[last] = self.slots[0];
                self.slots.copy_within(1..end, 0);
            }
        }
        let hole = if end == 0 { self.slots.len() - 1 } else { end - 1 };
        self.slots[hole] = Slot::EMPTY;
        self.length -= 1;
    }

    /// Removes, of the first completed keys from where a hash belongs, the one that is oldest at `now`. False if no key of the shard is completed.
    pub fn evict(&mut self, hash: u128, now: u32) -> bool {
        let mut oldest = None;
        let mut candidates = 0;
        let mut at = home(hash, self.slots.len());
        for _ in 0..self.slots.len() {
            let slot = &self.slots[at];
            if slot.is_completed() {
                let age = age(now, slot.time);
                if oldest.is_none_or(|(_, most)| age > most) {
                    oldest = Some((at, age));
                }
                candidates += 1;
                if candidates == CANDIDATES {
                    break;
                }
            }
            at = self.after(at);
        }
        if let Some((at, _)) = oldest {
            self.remove(at);
        }
        oldest.is_some()
    }

    /// Moves everything to a new table. Homes keep their order, nearly: so most slots are written one behind the other.
    fn rebuild(&mut self, capacity: usize) {
        let old = std::mem::replace(&mut self.slots, vec![Slot::EMPTY; capacity]);
        self.length = 0;
        // The end of the last chain may lie at the start of the table.
        let wrapped = old.iter().zip(0..).take_while(|(slot, at)| !slot.is_empty() && home(slot.hash, old.len()) > *at);
        let (end, rest) = old.split_at(wrapped.count());
        let mut next = 0;
        let mut last_home = 0;
        for slot in rest.iter().chain(end).filter(|slot| !slot.is_empty()) {
            let home = home(slot.hash, capacity);
            let at = next.max(home);
            if home >= last_home && at < capacity {
                self.slots[at] = *slot;
                self.length += 1;
                (last_home, next) = (home, at + 1);
            } else {
                // Keys that had one home may come in either order.
                self.insert(self.place(slot.hash), *slot);
                if next < capacity && !self.slots[next].is_empty() {
                    next += 1;
                }
            }
        }
    }

    /// Where a hash that is not in the table belongs.
    pub fn place(&self, hash: u128) -> usize {
        let mut at = home(hash, self.slots.len());
        let mut distance = 0;
        while !self.slots[at].is_empty() && self.distance(at) >= distance {
            at = self.after(at);
            distance += 1;
        }
        at
    }

    /// How far behind its home the occupant of a slot is.
    #[inline]
    fn distance(&self, at: usize) -> usize {
        let home = home(self.slots[at].hash, self.slots.len());
        if at >= home { at - home } else { at + self.slots.len() - home }
    }

    #[inline]
    fn after(&self, at: usize) -> usize {
        if at + 1 == self.slots.len() { 0 } else { at + 1 }
    }
}

/// Ticks from `time` to `now`; negative if `time` is later. Right as long as they are less than 2^31 ticks apart.
#[inline]
pub(super) fn age(now: u32, time: u32) -> i32 {
    now.wrapping_sub(time).cast_signed()
}

/// The slot that a hash would have to itself: its second word, scaled to the capacity. Larger hashes have no smaller homes.
#[expect(clippy::cast_possible_truncation, reason = "a word of the hash, and then a number below the capacity")]
#[inline]
fn home(hash: u128, capacity: usize) -> usize {
    let word = (hash >> 32) as u32;
    ((u64::from(word) * capacity as u64) >> 32) as usize
}
