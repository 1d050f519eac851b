//! What the index remembers of one key.

/// `delivered_to` has 30 bits; what is more counts as this.
const MOST_DELIVERIES: u32 = (1 << 30) - 1;
const STATE_SHIFT: u32 = 30;
const IN_FLIGHT: u32 = 1;
const COMPLETED: u32 = 2;

/// A key's hash and its fate in 32 bytes, so that two fill a cache line and none lies across one.
#[derive(Clone, Copy, Debug)]
#[repr(align(32))]
pub(super) struct Entry {
    pub hash: u128,
    value: u64,
    /// State in the upper two bits, deliveries in the others.
    fate: u32,
    /// Tick of the claim or of the completion.
    pub time: u32,
}

/// What became of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    InFlight { owner: u64 },
    Completed { value: u64, delivered_to: u32 },
}

impl Entry {
    pub fn in_flight(hash: u128, owner: u64, time: u32) -> Self {
        Self { hash, value: owner, fate: IN_FLIGHT << STATE_SHIFT, time }
    }

    pub fn completed(hash: u128, value: u64, delivered_to: u32, time: u32) -> Self {
        Self { hash, value, fate: COMPLETED << STATE_SHIFT | delivered_to.min(MOST_DELIVERIES), time }
    }

    #[inline]
    pub fn is_completed(&self) -> bool {
        self.fate >> STATE_SHIFT == COMPLETED
    }

    #[inline]
    pub fn is_held_by(&self, owner: u64) -> bool {
        self.fate >> STATE_SHIFT == IN_FLIGHT && self.value == owner
    }

    /// What became of the key.
    #[inline]
    pub fn fate(&self) -> Fate {
        if self.is_completed() {
            Fate::Completed { value: self.value, delivered_to: self.fate & MOST_DELIVERIES }
        } else {
            Fate::InFlight { owner: self.value }
        }
    }
}
