//! Time as the index stores it: 32 bits that wrap.

use super::shard::age;

/// Ticks that a time to live has at most: so far below the wrap that a sweep has more than as long again to come by.
const MOST_TICKS: f64 = (1 << 30) as f64;

/// Counts ticks of a millisecond, or of more where the time to live would not fit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    tick_ms: f64,
    /// Ticks that a completed key is kept.
    ttl: i32,
}

impl Clock {
    pub fn new(ttl_ms: f64) -> Self {
        let tick_ms = (ttl_ms / MOST_TICKS).ceil().max(1.0);
        #[expect(clippy::cast_possible_truncation, reason = "2^30 at most")]
        let ttl = (ttl_ms / tick_ms).ceil() as i32;
        Self { tick_ms, ttl }
    }

    /// The tick of a time in milliseconds.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "ticks wrap")]
    #[inline]
    pub fn tick(self, now_ms: f64) -> u32 {
        (now_ms / self.tick_ms).floor() as i64 as u32
    }

    /// Whether what was completed at a tick is no longer to be known.
    #[inline]
    pub fn is_over(self, now: u32, time: u32) -> bool {
        age(now, time) >= self.ttl
    }
}
