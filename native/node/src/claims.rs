//! The index of idempotency keys, which lives in Rust's memory for as long as JavaScript has its object.

use crate::borrow::{View, lend_to};
use crate::{join, number};
use liminal_core::dedup::{self, ClaimLimits, ClaimRow};
use napi::bindgen_prelude::ObjectFinalize;
use napi::{Env, Result};
use napi_derive::napi;

const NONE: View<'static, u8> = View::EMPTY;
/// The collector of garbage is told when memory has changed by this many bytes.
const REPORTED_BYTES: i64 = 1 << 20;

/// An index of idempotency keys.
#[napi(custom_finalize)]
pub struct ClaimIndex {
    index: dedup::ClaimIndex,
    /// Bytes that the collector of garbage knows of.
    reported: i64,
}

#[napi]
impl ClaimIndex {
    /// An empty index. The secret is two u64 in halves.
    #[napi(constructor)]
    #[must_use]
    pub fn new(high0: u32, low0: u32, high1: u32, low1: u32, ttl_ms: f64, max_keys: u32) -> Self {
        let limits = ClaimLimits { ttl_ms, max_keys: max_keys as usize };
        Self { index: dedup::ClaimIndex::new([join(high0, low0), join(high1, low1)], limits), reported: 0 }
    }

    /// Claims the keys of a run.
    #[napi]
    #[allow(clippy::too_many_arguments, reason = "objects do not cross the boundary")]
    pub fn claim(
        &mut self,
        env: Env,
        scope: View<'_, u8>,
        bytes: View<'_, u8>,
        columns: View<'_, i32>,
        first: u32,
        count: u32,
        owner: f64,
        now_ms: f64,
        words: View<'_, u32>,
    ) -> i64 {
        let done =
            lend_to(&mut self.index, scope, bytes, columns, words, move |index, scope, bytes, columns, words| {
                let found = words.as_chunks_mut().0.get_mut(..count as usize)?;
                index.claim(scope.try_into().ok()?, bytes, columns, first as usize, whole(owner), now_ms, found)?;
                Some(0)
            });
        self.report(env);
        done
    }

    /// Completes claims.
    #[napi]
    #[allow(clippy::too_many_arguments, reason = "objects do not cross the boundary")]
    pub fn complete(
        &mut self,
        words: View<'_, u32>,
        first: u32,
        count: u32,
        owner: f64,
        value_high: u32,
        value_low: u32,
        delivered_to: u32,
        now_ms: f64,
    ) -> i64 {
        lend_to(&mut self.index, words, NONE, NONE, NONE, move |index, words, _, _, _| {
            let value = join(value_high, value_low);
            number(index.complete(rows(words, first, count)?, whole(owner), value, delivered_to, now_ms))
        })
    }

    /// Frees claims.
    #[napi]
    pub fn release(&mut self, words: View<'_, u32>, first: u32, count: u32, owner: f64) -> i64 {
        lend_to(&mut self.index, words, NONE, NONE, NONE, move |index, words, _, _, _| {
            number(index.release(rows(words, first, count)?, whole(owner)))
        })
    }

    /// Says anew what is known of keys.
    #[napi]
    pub fn look(&mut self, words: View<'_, u32>, first: u32, count: u32, now_ms: f64) -> i64 {
        lend_to(&mut self.index, NONE, NONE, NONE, words, move |index, _, _, _, words| {
            let (rows, _) = words.as_chunks_mut();
            let first = first as usize;
            index.look(rows.get_mut(first..first + count as usize)?, now_ms);
            Some(0)
        })
    }

    /// Puts completed keys back.
    #[napi]
    #[allow(clippy::too_many_arguments, reason = "objects do not cross the boundary")]
    pub fn restore(
        &mut self,
        env: Env,
        hashes: View<'_, u8>,
        count: u32,
        value_high: u32,
        value_low: u32,
        delivered_to: u32,
        stored_at_ms: f64,
        now_ms: f64,
    ) -> i64 {
        let done = lend_to(&mut self.index, hashes, NONE, NONE, NONE, move |index, hashes, _, _, _| {
            let hashes = hashes.as_chunks().0.get(..count as usize)?;
            index.restore(hashes, join(value_high, value_low), delivered_to, stored_at_ms, now_ms);
            Some(0)
        });
        self.report(env);
        done
    }

    /// Removes expired keys.
    #[napi]
    pub fn sweep(&mut self, env: Env, now_ms: f64, budget: u32) -> i64 {
        let removed = lend_to(&mut self.index, NONE, NONE, NONE, NONE, move |index, _, _, _, _| {
            number(index.sweep(now_ms, budget as usize))
        });
        self.report(env);
        removed
    }

    /// Keys that are known.
    #[napi(getter)]
    #[must_use]
    pub fn size(&self) -> i64 {
        number(self.index.len()).unwrap_or_default()
    }

    /// Bytes of memory.
    #[napi(getter)]
    #[must_use]
    pub fn bytes(&self) -> i64 {
        number(self.index.bytes()).unwrap_or_default()
    }

    /// Tells the collector of garbage how much memory hangs on the JavaScript object.
    fn report(&mut self, env: Env) {
        let change = self.bytes() - self.reported;
        // It fails only where the environment is being torn down, and the memory with it.
        if change.abs() >= REPORTED_BYTES && env.adjust_external_memory(change).is_ok() {
            self.reported += change;
        }
    }
}

impl ObjectFinalize for ClaimIndex {
    fn finalize(self, env: Env) -> Result<()> {
        env.adjust_external_memory(-self.reported)?;
        Ok(())
    }
}

fn rows(words: &[u32], first: u32, count: u32) -> Option<&[ClaimRow]> {
    let first = first as usize;
    words.as_chunks().0.get(first..first + count as usize)
}

/// A whole number that JavaScript has checked.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "checked by the caller; otherwise the nearest"
)]
fn whole(number: f64) -> u64 {
    number as u64
}
