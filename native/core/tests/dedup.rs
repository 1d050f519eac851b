//! The index of idempotency keys, compared with a map that does the same the simple way.

mod common;

use std::collections::HashMap;

use common::Random;
use liminal_core::columns::{HEAD_WIDTH, ROW_WIDTH, column};
use liminal_core::dedup::{CLAIM_WORDS, ClaimIndex, ClaimLimits, ClaimRow, status};

const SCOPE: [u8; 16] = [7; 16];
const TTL: f64 = 1000.0;

fn index(max_keys: usize) -> ClaimIndex {
    ClaimIndex::new(&[3; 16], ClaimLimits { ttl_ms: TTL, max_keys })
}

/// Keys as columns over bytes.
fn run(keys: &[u64]) -> (Vec<u8>, Vec<i32>) {
    let bytes = keys.iter().flat_map(|key| key.to_le_bytes()).collect();
    let mut columns = vec![0; HEAD_WIDTH + keys.len() * ROW_WIDTH];
    for (row, start) in columns[HEAD_WIDTH..].as_chunks_mut::<ROW_WIDTH>().0.iter_mut().zip((0..).step_by(8)) {
        row[column::KEY] = start;
        row[column::KEY_LENGTH] = 8;
    }
    (bytes, columns)
}

fn claim(index: &mut ClaimIndex, keys: &[u64], owner: u64, now: f64) -> Vec<ClaimRow> {
    let (bytes, columns) = run(keys);
    let mut found = vec![[0; CLAIM_WORDS]; keys.len()];
    index.claim(&SCOPE, &bytes, &columns, 0, owner, now, &mut found).expect("the columns describe keys");
    found
}

fn value(row: &ClaimRow) -> u64 {
    u64::from(row[6]) << 32 | u64::from(row[7])
}

#[derive(Clone, Copy)]
enum Known {
    InFlight(u64),
    Completed { value: u64, at: f64 },
}

impl Known {
    fn is_over(self, now: f64) -> bool {
        matches!(self, Self::Completed { at, .. } if now - at >= TTL)
    }
}

#[test]
fn random_calls_do_what_a_map_does() {
    for seed in 1..=20 {
        let mut random = Random::new(seed);
        let mut index = index(1 << 20);
        let mut known: HashMap<u64, Known> = HashMap::new();
        let mut claims: Vec<(u64, Vec<u64>, Vec<ClaimRow>)> = Vec::new();
        let mut now = 0.0;
        let keys = 40 << (seed % 8);
        for owner in 0..400 {
            now += f64::from(random.byte() % 60);
            let run: Vec<u64> = (0..=random.below(70)).map(|_| random.below(keys) as u64).collect();
            let found = claim(&mut index, &run, owner, now);
            for (key, row) in run.iter().zip(&found) {
                match known.get(key).copied().filter(|fate| !fate.is_over(now)) {
                    None => {
                        assert_eq!(row[4], status::FRESH);
                        known.insert(*key, Known::InFlight(owner));
                    }
                    Some(Known::InFlight(holder)) => assert_eq!((row[4], value(row)), (status::IN_FLIGHT, holder)),
                    Some(Known::Completed { value: expected, .. }) => {
                        assert_eq!((row[4], value(row)), (status::COMPLETED, expected));
                    }
                }
            }
            claims.push((owner, run, found));
            let (owner, run, found) = claims.swap_remove(random.below(claims.len()));
            let fresh = || run.iter().zip(&found).filter(|(_, row)| row[4] == status::FRESH);
            if random.below(3) == 0 {
                assert_eq!(index.release(&found, owner), fresh().count());
                for (key, _) in fresh() {
                    known.remove(key);
                }
            } else {
                assert_eq!(index.complete(&found, owner, owner * 100, 1, now), fresh().count());
                for ((key, _), value) in fresh().zip(owner * 100..) {
                    known.insert(*key, Known::Completed { value, at: now });
                }
            }
            index.sweep(now, random.below(500));
        }
        while index.sweep(now, 1 << 20) > 0 {}
        known.retain(|_, fate| !fate.is_over(now));
        assert_eq!(index.len(), known.len(), "seed {seed}");
    }
}

#[test]
fn a_key_takes_forty_bytes_at_most_however_many_there_are() {
    let mut index = index(200_000);
    for first in (0..200_000).step_by(100) {
        let keys: Vec<u64> = (first..first + 100).collect();
        let found = claim(&mut index, &keys, 1, 0.0);
        index.complete(&found, 1, first, 0, 0.0);
        if first > 20_000 {
            let (bytes, keys) = (index.bytes(), index.len());
            assert!(bytes <= 40 * keys, "{keys} keys take {bytes} bytes");
        }
    }
    assert_eq!(index.len(), 200_000);
    let all: Vec<u64> = (0..200_000).collect();
    for (row, expected) in claim(&mut index, &all, 2, 1.0).iter().zip(0..) {
        assert_eq!((row[4], value(row)), (status::COMPLETED, expected));
    }
}

#[test]
fn what_is_swept_is_given_back() {
    let mut index = index(100_000);
    let empty = index.bytes();
    let keys: Vec<u64> = (0..50_000).collect();
    let found = claim(&mut index, &keys, 1, 0.0);
    index.complete(&found, 1, 0, 0, 0.0);
    assert_eq!(index.sweep(TTL - 1.0, 1 << 20), 0);
    let swept: usize = std::iter::repeat_with(|| index.sweep(TTL, 1000)).take(200).sum();
    assert_eq!(swept, 50_000);
    assert_eq!(index.bytes(), empty);
}

#[test]
fn a_full_index_forgets_completed_keys_and_keeps_those_in_flight() {
    let mut index = index(10_000);
    let held: Vec<u64> = (0..2_000).collect();
    let held_rows = claim(&mut index, &held, 1, 0.0);
    for (first, now) in (10_000..60_000).step_by(100).zip(0..) {
        let keys: Vec<u64> = (first..first + 100).collect();
        let now = f64::from(now);
        let found = claim(&mut index, &keys, 2, now);
        assert!(found.iter().all(|row| row[4] == status::FRESH));
        assert_eq!(index.complete(&found, 2, 0, 0, now), 100);
        assert!(index.len() <= 10_000);
    }
    assert_eq!(index.complete(&held_rows, 1, 0, 0, 0.0), 2_000);
}

#[test]
fn keys_give_way_in_the_order_in_which_they_came() {
    let mut index = index(400);
    for (first, now) in (0..4_000).step_by(50).zip(0..) {
        let keys: Vec<u64> = (first..first + 50).collect();
        let found = claim(&mut index, &keys, first, f64::from(now));
        assert_eq!(index.complete(&found, first, first, 0, f64::from(now)), 50);
    }
    let newest: Vec<u64> = (3_600..4_000).collect();
    for (row, expected) in claim(&mut index, &newest, 9, 80.0).iter().zip(3_600..) {
        assert_eq!((row[4], value(row)), (status::COMPLETED, expected));
    }
}

#[test]
fn columns_that_describe_no_keys_claim_nothing() {
    let mut index = index(100);
    let (bytes, columns) = run(&[1, 2, 3]);
    let mut found = [[0; CLAIM_WORDS]; 3];
    for cut in 0..bytes.len() {
        assert!(index.claim(&SCOPE, &bytes[..cut], &columns, 0, 1, 0.0, &mut found).is_none());
    }
    for cut in 0..columns.len() {
        assert!(index.claim(&SCOPE, &bytes, &columns[..cut], 0, 1, 0.0, &mut found).is_none());
    }
    for first in [1, usize::MAX - 1, usize::MAX] {
        assert!(index.claim(&SCOPE, &bytes, &columns, first, 1, 0.0, &mut found).is_none());
    }
    let mut random = Random::new(5);
    for _ in 0..10_000 {
        let mut astray = columns.clone();
        let at = HEAD_WIDTH + 2 * ROW_WIDTH + if random.below(2) == 0 { column::KEY } else { column::KEY_LENGTH };
        astray[at] = i32::MAX - i32::try_from(random.below(1 << 20)).unwrap();
        assert!(index.claim(&SCOPE, &bytes, &astray, 0, 1, 0.0, &mut found).is_none());
    }
    assert!(index.is_empty());
}

#[test]
fn times_that_are_no_numbers_do_no_harm() {
    let mut index = index(100);
    for now in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, f64::MAX] {
        let found = claim(&mut index, &[1, 2], 1, now);
        index.complete(&found, 1, 0, 0, now);
        index.sweep(now, 1000);
    }
}
