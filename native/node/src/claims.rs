//! The index of idempotency keys: the one thing that outlives a call. It lives in Rust's memory, and JavaScript knows it by a number, which costs a call nothing; an
//! object of JavaScript's that holds Rust's would cost as much again as the rest of the call.

use std::cell::RefCell;

use crate::borrow::{Element, View, lend_to};
use crate::{NONE, join, number};
use liminal_core::dedup::{ClaimIndex, ClaimLimits, ClaimRow};
use napi::Env;
use napi_derive::napi;

/// The collector of garbage is told when memory has changed by this many bytes.
const REPORTED_BYTES: i64 = 1 << 20;
/// Bytes of an index that it is told of at most. For every 64 MiB it collects, and finds nothing: while 10 million keys were inserted that were six times 3 to 5 ms of computing, and 16 to 98 ms
/// on a busy machine, where its threads wait for a processor. This much makes it find indexes that were forgotten.
const MOST_REPORTED_BYTES: i64 = 32 << 20;

#[derive(Default)]
struct Open {
    index: Option<ClaimIndex>,
    /// Bytes that the collector of garbage knows of.
    reported: i64,
}

thread_local! {
    /// The indexes of this thread, by their numbers, which are not used again. Whatever is still open ends with the thread.
    static INDEXES: RefCell<Vec<Open>> = const { RefCell::new(Vec::new()) };
}

/// Makes an empty index and returns its number.
#[napi]
#[must_use]
pub fn open_claims(secret: View<'_, u8>, ttl_ms: f64, max_keys: u32) -> i64 {
    INDEXES.with_borrow_mut(|indexes| {
        lend_to(indexes, secret, NONE, NONE, NONE, move |indexes, secret, _, _, _| {
            let limits = ClaimLimits { ttl_ms, max_keys: max_keys as usize };
            indexes.push(Open { index: Some(ClaimIndex::new(secret.try_into().ok()?, limits)), reported: 0 });
            number(indexes.len() - 1)
        })
    })
}

/// Frees an index.
#[napi]
#[must_use]
pub fn close_claims(env: Env, index: u32) -> i64 {
    INDEXES.with_borrow_mut(|indexes| {
        let Some(open) = indexes.get_mut(index as usize) else { return -1 };
        open.index = None;
        report(env, open, -open.reported);
        0
    })
}

/// Claims the keys of a run.
#[napi]
#[must_use]
#[allow(clippy::too_many_arguments, reason = "objects do not cross the boundary")]
pub fn claim_keys(
    env: Env,
    index: u32,
    scope: View<'_, u8>,
    bytes: View<'_, u8>,
    columns: View<'_, i32>,
    first: u32,
    count: u32,
    owner: f64,
    now_ms: f64,
    words: View<'_, u32>,
) -> i64 {
    with(env, index, scope, bytes, columns, words, move |index, scope, bytes, columns, words| {
        let found = words.as_chunks_mut().0.get_mut(..count as usize)?;
        index.claim(scope.try_into().ok()?, bytes, columns, first as usize, whole(owner), now_ms, found)?;
        Some(0)
    })
}

/// Completes claims.
#[napi]
#[must_use]
#[allow(clippy::too_many_arguments, reason = "objects do not cross the boundary")]
pub fn complete_claims(
    env: Env,
    index: u32,
    words: View<'_, u32>,
    first: u32,
    count: u32,
    owner: f64,
    value_high: u32,
    value_low: u32,
    delivered_to: u32,
    now_ms: f64,
) -> i64 {
    with(env, index, words, NONE, NONE, NONE, move |index, words, _, _, _| {
        let value = join(value_high, value_low);
        number(index.complete(rows(words, first, count)?, whole(owner), value, delivered_to, now_ms))
    })
}

/// Frees claims.
#[napi]
#[must_use]
pub fn release_claims(env: Env, index: u32, words: View<'_, u32>, first: u32, count: u32, owner: f64) -> i64 {
    with(env, index, words, NONE, NONE, NONE, move |index, words, _, _, _| {
        number(index.release(rows(words, first, count)?, whole(owner)))
    })
}

/// Says anew what is known of keys.
#[napi]
#[must_use]
pub fn look_at_claims(env: Env, index: u32, words: View<'_, u32>, first: u32, count: u32, now_ms: f64) -> i64 {
    with(env, index, NONE, NONE, NONE, words, move |index, _, _, _, words| {
        let first = first as usize;
        index.look(words.as_chunks_mut().0.get_mut(first..first + count as usize)?, now_ms);
        Some(0)
    })
}

/// Puts completed keys back.
#[napi]
#[must_use]
#[allow(clippy::too_many_arguments, reason = "objects do not cross the boundary")]
pub fn restore_claims(
    env: Env,
    index: u32,
    hashes: View<'_, u8>,
    count: u32,
    value_high: u32,
    value_low: u32,
    delivered_to: u32,
    stored_at_ms: f64,
    now_ms: f64,
) -> i64 {
    with(env, index, hashes, NONE, NONE, NONE, move |index, hashes, _, _, _| {
        let hashes = hashes.as_chunks().0.get(..count as usize)?;
        index.restore(hashes, join(value_high, value_low), delivered_to, stored_at_ms, now_ms);
        Some(0)
    })
}

/// Removes expired keys.
#[napi]
#[must_use]
pub fn sweep_claims(env: Env, index: u32, now_ms: f64, budget: u32) -> i64 {
    with(env, index, NONE, NONE, NONE, NONE, move |index, _, _, _, _| number(index.sweep(now_ms, budget as usize)))
}

/// Keys that are known.
#[napi]
#[must_use]
pub fn count_claims(env: Env, index: u32) -> i64 {
    with(env, index, NONE, NONE, NONE, NONE, |index, _, _, _, _| number(index.len()))
}

/// Bytes of memory.
#[napi]
#[must_use]
pub fn claim_bytes(env: Env, index: u32) -> i64 {
    with(env, index, NONE, NONE, NONE, NONE, |index, _, _, _, _| number(index.bytes()))
}

/// Runs a call on an index, like [`lend_to`]. -1 also if there is none of that number.
fn with<A: Element, B: Element, C: Element, T: Element>(
    env: Env,
    index: u32,
    first: View<'_, A>,
    second: View<'_, B>,
    third: View<'_, C>,
    target: View<'_, T>,
    call: impl FnOnce(&mut ClaimIndex, &[A], &[B], &[C], &mut [T]) -> Option<i64> + 'static,
) -> i64 {
    INDEXES.with_borrow_mut(|indexes| {
        let Some(open) = indexes.get_mut(index as usize) else { return -1 };
        let Some(index) = &mut open.index else { return -1 };
        let result = lend_to(index, first, second, third, target, call);
        let change = number(index.bytes()).unwrap_or(i64::MAX).min(MOST_REPORTED_BYTES) - open.reported;
        if change.abs() >= REPORTED_BYTES {
            report(env, open, change);
        }
        result
    })
}

/// Tells the collector of garbage how much memory there is beside its own.
fn report(env: Env, open: &mut Open, change: i64) {
    // It fails only where the environment is being torn down, and then nobody collects any more.
    if env.adjust_external_memory(change).is_ok() {
        open.reported += change;
    }
}

fn rows(words: &[u32], first: u32, count: u32) -> Option<&[ClaimRow]> {
    let first = first as usize;
    words.as_chunks().0.get(first..first + count as usize)
}

/// A whole number that JavaScript has checked.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked by the caller")]
fn whole(number: f64) -> u64 {
    number as u64
}
