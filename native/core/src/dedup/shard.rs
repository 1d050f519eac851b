//! One shard: keys in the order in which they came, and a table of where they are.
//!
//! The keys lie one behind the other, without gaps: growing copies them and moves none about, and the oldest are found without a search. The table has two bytes for each place: six bits of a
//! hash and the position of its key, so that thirty-two places fill a cache line and a search looks at no key but, mostly, the right one.
//!
//! What the table says are hints, and the keys decide. When a key is removed or gives way its place stays as it is, and costs the searches that come by one comparison; the table is made anew
//! when too many of its places are taken.

use super::entry::Entry;

/// Bits of a place that are the position of a key; the others are of its hash.
const POSITION_BITS: u32 = 10;
const POSITION: u16 = (1 << POSITION_BITS) - 1;
/// A place that is free. Its position is one that no key has.
const FREE: u16 = u16::MAX;
/// Keys of a shard at most.
const MOST_KEYS: usize = POSITION as usize;
/// Keys that there is room for at first, and places of the first table.
const FIRST_ROOM: usize = 8;
const FIRST_PLACES: usize = 12;
/// Rooms double up to so many keys, and then grow by a fifth.
const FIFTHS_FROM: usize = 16;
/// Completed keys that are compared when one must give way.
const CANDIDATES: usize = 8;

/// Up to some hundred keys.
#[derive(Debug, Default)]
pub(super) struct Shard {
    entries: Vec<Entry>,
    places: Vec<u16>,
    /// Places that are taken, by keys that are gone too.
    taken: usize,
    /// Where the search for a key that gives way begins: behind the last one that did.
    hand: usize,
}

impl Shard {
    #[inline]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Bytes of its tables.
    #[inline]
    pub fn bytes(&self) -> usize {
        self.entries.capacity() * size_of::<Entry>() + self.places.len() * size_of::<u16>()
    }

    #[inline]
    pub fn entry(&self, at: usize) -> &Entry {
        &self.entries[at]
    }

    #[inline]
    pub fn entry_mut(&mut self, at: usize) -> &mut Entry {
        &mut self.entries[at]
    }

    /// Loads what a search for the hash and an insertion look at first, so that the misses of several overlap. The result means nothing.
    #[inline]
    pub fn touch(&self, hash: u128) -> u32 {
        let place = self.places.get(home(hash, self.places.len())).copied().unwrap_or(FREE);
        let entry = self.entries.get(self.hand).or(self.entries.last());
        u32::from(place) ^ entry.map_or(0, |entry| entry.time)
    }

    /// Where the hash is, or else the free place of the table that its search ended with.
    #[inline]
    pub fn find(&self, hash: u128) -> Result<usize, usize> {
        let mut place = home(hash, self.places.len());
        let tag = tag(hash);
        loop {
            let Some(&hint) = self.places.get(place) else {
                // Past the end, or without any table.
                if self.places.is_empty() {
                    return Err(0);
                }
                place = 0;
                continue;
            };
            if hint == FREE {
                return Err(place);
            }
            if hint & !POSITION == tag {
                let at = usize::from(hint & POSITION);
                if self.entries.get(at).is_some_and(|entry| entry.hash == hash) {
                    return Ok(at);
                }
            }
            place += 1;
        }
    }

    /// Whether there can be no other key. Hashes would have to be chosen for that, or be far from random.
    #[inline]
    pub fn is_closed(&self) -> bool {
        self.entries.len() == MOST_KEYS
    }

    /// Adds a key whose search ended with the free place given. `number` is the shard's.
    #[inline]
    pub fn insert(&mut self, number: usize, place: usize, entry: Entry) {
        if self.entries.len() == self.entries.capacity() {
            self.grow(number);
        }
        let place = self.place_for(place, entry.hash);
        let at = self.entries.len();
        self.entries.push(entry);
        self.take(place, entry.hash, at);
    }

    /// Puts a key whose search ended with the free place given where another one was: of the first completed keys behind the one that gave way last, the one that is oldest at `now`.
    /// False if no key of the shard is completed.
    pub fn replace(&mut self, place: usize, entry: Entry, now: u32) -> bool {
        let Some(at) = self.oldest(now) else { return false };
        let place = self.place_for(place, entry.hash);
        self.entries[at] = entry;
        self.hand = at + 1;
        self.take(place, entry.hash, at);
        true
    }

    /// Removes a key. The last one takes its position.
    pub fn remove(&mut self, at: usize) {
        let last = self.entries.len() - 1;
        if at != last {
            let moved = self.entries[last].hash;
            let hint = hint(moved, last);
            let mut place = home(moved, self.places.len());
            while self.places[place] != hint {
                place = self.after(place);
            }
            self.take_over(place, moved, at);
        }
        self.entries.swap_remove(at);
    }

    /// Gives memory back if less than half of it is used.
    pub fn shrink(&mut self) {
        let len = self.entries.len();
        let enough = len + len / 8 + FIRST_ROOM;
        if len == 0 {
            *self = Self::default();
        } else if len * 2 < self.entries.capacity() && enough < self.entries.capacity() {
            self.entries.shrink_to(enough);
            self.rebuild(enough + enough / 2);
        }
    }

    fn oldest(&self, now: u32) -> Option<usize> {
        let len = self.entries.len();
        let start = if self.hand < len { self.hand } else { 0 };
        let mut oldest = None;
        let completed = (start..len).chain(0..start).filter(|at| self.entries[*at].is_completed());
        for at in completed.take(CANDIDATES) {
            let age = age(now, self.entries[at].time);
            if oldest.is_none_or(|(_, most)| age > most) {
                oldest = Some((at, age));
            }
        }
        oldest.map(|(at, _)| at)
    }

    /// Shards differ by up to a fifth in the room that they begin to grow by fifths from, so that they do not all grow at about the same time, and the memory for each key is the same however
    /// many there are.
    fn grow(&mut self, number: usize) {
        let room = self.entries.capacity();
        let more = if room < FIRST_ROOM {
            FIRST_ROOM
        } else if room * 2 < FIFTHS_FROM {
            room * 2
        } else if room < FIFTHS_FROM {
            FIFTHS_FROM + number % (FIFTHS_FROM / 4)
        } else {
            (room + room / 5).min(MOST_KEYS)
        };
        self.entries.reserve_exact(more - self.entries.len());
    }

    /// Makes the table anew.
    fn rebuild(&mut self, places: usize) {
        if self.places.len() == places {
            self.places.fill(FREE);
        } else {
            self.places = vec![FREE; places];
        }
        self.taken = self.entries.len();
        for at in 0..self.entries.len() {
            let hash = self.entries[at].hash;
            let place = self.free_place(hash);
            self.take_over(place, hash, at);
        }
    }

    /// The free place that a search ended with, or another one if the table has to be made anew first: five in six places are taken at most. It grows by a third if that is so because of keys
    /// that are there.
    #[inline]
    fn place_for(&mut self, place: usize, hash: u128) -> usize {
        if self.taken * 6 < self.places.len() * 5 {
            return place;
        }
        let places = self.places.len();
        self.rebuild(if places == 0 {
            FIRST_PLACES
        } else if self.entries.len() * 3 > places * 2 {
            places + places / 3
        } else {
            places
        });
        self.free_place(hash)
    }

    /// Where the search for a hash that is not there ends.
    fn free_place(&self, hash: u128) -> usize {
        let mut place = home(hash, self.places.len());
        while self.places[place] != FREE {
            place = self.after(place);
        }
        place
    }

    #[inline]
    fn take(&mut self, place: usize, hash: u128, at: usize) {
        self.taken += 1;
        self.take_over(place, hash, at);
    }

    #[inline]
    fn take_over(&mut self, place: usize, hash: u128, at: usize) {
        self.places[place] = hint(hash, at);
    }

    #[inline]
    fn after(&self, place: usize) -> usize {
        if place + 1 == self.places.len() { 0 } else { place + 1 }
    }
}

/// Ticks from `time` to `now`; negative if `time` is later. Right as long as they are less than 2^31 ticks apart.
#[inline]
pub(super) fn age(now: u32, time: u32) -> i32 {
    now.wrapping_sub(time).cast_signed()
}

/// The place where the search for a hash begins: its second word, scaled to the number of places.
#[expect(clippy::cast_possible_truncation, reason = "a word of the hash, and then a number below that of places")]
#[inline]
fn home(hash: u128, places: usize) -> usize {
    let word = (hash >> 32) as u32;
    ((u64::from(word) * places as u64) >> 32) as usize
}

/// What a place says of the hash: bits of its third word.
#[expect(clippy::cast_possible_truncation, reason = "bits of the hash")]
#[inline]
fn tag(hash: u128) -> u16 {
    ((hash >> 64) as u16) << POSITION_BITS
}

#[expect(clippy::cast_possible_truncation, reason = "below 2^10")]
#[inline]
fn hint(hash: u128, at: usize) -> u16 {
    tag(hash) | at as u16
}
