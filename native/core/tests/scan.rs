//! What a scan writes: columns, runs, and why it stopped.

mod common;

use common::{Random, bytes, corpus, mutate, vectors};
use liminal_core::columns::{HEAD_WIDTH, ROW_WIDTH, Row, Status, column, head};
use liminal_core::names::{NameTable, fnv1a};
use liminal_core::scan::scan;
use liminal_core::{Body, Envelope, Frame};

const NO_LIMIT: usize = usize::MAX;

struct Scanned {
    head: [i32; HEAD_WIDTH],
    rows: Vec<Row>,
}

fn scan_with(chunk: &[u8], start: usize, rows: usize, names: &[u8], max_frame_bytes: usize) -> Scanned {
    // What was in the columns before must not matter.
    let mut columns = vec![0x5555_5555; HEAD_WIDTH + ROW_WIDTH * rows];
    let count = scan(chunk, start, &mut columns, &NameTable::new(names), max_frame_bytes).expect("good arguments");
    let (head, rows) = columns.split_first_chunk().unwrap();
    assert_eq!(head[head::COUNT], i32::try_from(count).unwrap());
    Scanned { head: *head, rows: rows.as_chunks().0[..count].to_vec() }
}

fn scan_all(chunk: &[u8]) -> Scanned {
    scan_with(chunk, 0, chunk.len() / 10 + 1, &[], NO_LIMIT)
}

/// The columns that a decoded frame must have, found by where its fields lie. Runs and names aside.
fn expected_row(chunk: &[u8], start: usize, length: usize, frame: &Frame<'_>) -> Row {
    let number = |value: usize| i32::try_from(value).unwrap();
    let offset = |field: &[u8]| number(field.as_ptr().addr() - chunk.as_ptr().addr());
    let mut row = [0; ROW_WIDTH];
    row[column::START] = number(start);
    row[column::LENGTH] = number(length);
    row[column::TYPE] = i32::from(frame.body.type_id());
    row[column::FLAGS] = i32::from(frame.flags);
    row[column::STREAM] = frame.stream_id.cast_signed();
    row[column::CHANNEL] = -1;
    row[column::KEY_LENGTH] = -1;
    let payload = |row: &mut Row, payload: &[u8]| {
        row[column::PAYLOAD] = offset(payload);
        row[column::PAYLOAD_LENGTH] = number(payload.len());
    };
    let envelope = |row: &mut Row, envelope: &Envelope<'_>| {
        row[column::ENVELOPE] = offset(envelope.schema_id);
        payload(row, envelope.payload);
    };
    match &frame.body {
        Body::Publish(publish) => {
            envelope(&mut row, &publish.envelope);
            if let Some(key) = publish.idempotency_key {
                row[column::KEY] = offset(key.as_bytes());
                row[column::KEY_LENGTH] = number(key.len());
            }
        }
        Body::ConversationMessage(message) => envelope(&mut row, &message.envelope),
        Body::Deliver(deliver) => envelope(&mut row, &deliver.envelope),
        Body::Push(push) => payload(&mut row, push.payload),
        Body::PushReply(reply) => payload(&mut row, reply.payload),
        _ => {}
    }
    if matches!(
        frame.body,
        Body::SubscribeAck(_)
            | Body::Unsubscribe(_)
            | Body::PublishAck(_)
            | Body::ConversationOpen(_)
            | Body::ConversationMessage(_)
            | Body::ConversationClose(_)
            | Body::ConversationError(_)
            | Body::Push(_)
            | Body::PushReply(_)
            | Body::Deliver(_)
    ) {
        row[column::ID] = number(start + 10);
    }
    row
}

/// What makes two rows next to each other rows of one run; `None` for types that have no runs.
fn run_key<'a>(frame: &Frame<'a>) -> Option<(u8, u8, u32, &'a str)> {
    match &frame.body {
        Body::Publish(publish) => Some((0x09, frame.flags, frame.stream_id, publish.channel)),
        Body::PublishAck(_) | Body::Deliver(_) => Some((frame.body.type_id(), frame.flags, frame.stream_id, "")),
        _ => None,
    }
}

/// Decodes the chunk frame by frame and checks that the scan saw the same.
fn assert_scan_agrees_with_decode(chunk: &[u8]) {
    let scanned = scan_all(chunk);
    let mut expected: Vec<Row> = Vec::new();
    let mut keys = Vec::new();
    let mut run = 0;
    let mut at = 0;
    let outcome = loop {
        match Frame::decode(&chunk[at..]) {
            Ok((frame, length)) => {
                let mut row = expected_row(chunk, at, length, &frame);
                let key = run_key(&frame);
                if key.is_some() && keys.last() == Some(&key) {
                    expected[run][column::RUN] += 1;
                } else {
                    run = expected.len();
                    row[column::RUN] = 1;
                }
                keys.push(key);
                expected.push(row);
                at += length;
            }
            Err(error) => break error,
        }
    };
    let at_column = i32::try_from(at).unwrap();
    let declared = |chunk: &[u8]| u32::from_be_bytes(chunk[at + 6..at + 10].try_into().unwrap()).wrapping_add(10);
    let (status, detail) = match outcome.reason_code() {
        1 if at == chunk.len() => (Status::Complete, 0),
        1 => (Status::Partial, 0),
        2 => (Status::Partial, declared(chunk).cast_signed()),
        reason => (Status::Malformed, i32::from(reason)),
    };
    let count = i32::try_from(expected.len()).unwrap();
    assert_eq!(scanned.head, [count, at_column, status as i32, detail], "{chunk:02x?}");
    assert_eq!(scanned.rows, expected, "{chunk:02x?}");
}

#[test]
fn rows_say_where_the_fields_of_every_frame_are() {
    for frame in corpus() {
        assert_scan_agrees_with_decode(&frame);
    }
}

#[test]
fn a_stream_cut_anywhere_gives_the_same_rows() {
    for vector in vectors("stream") {
        let stream = bytes(&vector["hex"]);
        for cut in 0..=stream.len() {
            assert_scan_agrees_with_decode(&stream[..cut]);
            let first = scan_all(&stream[..cut]);
            let consumed = usize::try_from(first.head[head::CONSUMED]).unwrap();
            let second = scan_with(&stream, consumed, stream.len(), &[], NO_LIMIT);
            let whole = scan_all(&stream);
            assert_eq!(second.head[head::STATUS], Status::Complete as i32);
            let mut rows = [first.rows, second.rows].concat();
            // A cut ends a run.
            for (row, other) in rows.iter_mut().zip(&whole.rows) {
                row[column::RUN] = other[column::RUN];
            }
            assert_eq!(rows, whole.rows);
        }
    }
}

#[test]
fn scan_and_decode_accept_the_same_mutated_frames_and_accepted_ones_encode_to_their_bytes() {
    let corpus = corpus();
    let mut random = Random::new(0x11a1);
    let (mut accepted, mut refused) = (0, 0);
    for _ in 0..100_000 {
        let mutated = mutate(&mut random, &corpus);
        assert_scan_agrees_with_decode(&mutated);
        match Frame::decode(&mutated) {
            Ok((frame, length)) => {
                accepted += 1;
                assert_eq!(frame.encode().as_deref(), Ok(&mutated[..length]), "{mutated:02x?}");
            }
            Err(_) => refused += 1,
        }
    }
    assert!(accepted > 10_000 && refused > 10_000, "{accepted} accepted, {refused} refused");
}

#[test]
fn random_bytes_and_random_sequences_of_frames_scan_as_they_decode() {
    let corpus = corpus();
    let mut random = Random::new(7);
    for _ in 0..20_000 {
        let length = random.below(64);
        assert_scan_agrees_with_decode(&random.bytes(length));
        let frames: Vec<u8> = (0..random.below(12)).flat_map(|_| random.pick(&corpus).clone()).collect();
        assert_scan_agrees_with_decode(&frames);
    }
}

/// A Publish frame on a stream, with 128 bytes of payload.
fn publish(channel: &[u8], stream: u8, flags: u8) -> Vec<u8> {
    let mut payload = Vec::new();
    payload.extend_from_slice(&u32::try_from(channel.len()).unwrap().to_be_bytes());
    payload.extend_from_slice(channel);
    payload.extend_from_slice(&[0, 0, 0, 170]);
    payload.extend_from_slice(&[7; 32]);
    payload.extend_from_slice(&[0, 0, 0, 2, 0, 0, 0, 0, 0, 128]);
    payload.extend_from_slice(&[9; 128]);
    if flags & 2 != 0 {
        payload.extend_from_slice(b"\0\0\0\x01k");
    }
    let mut frame = vec![0x09, flags, 0, 0, 0, stream];
    frame.extend_from_slice(&u32::try_from(payload.len()).unwrap().to_be_bytes());
    frame.extend_from_slice(&payload);
    frame
}

fn runs(frames: &[Vec<u8>]) -> Vec<i32> {
    scan_all(&frames.concat()).rows.iter().map(|row| row[column::RUN]).collect()
}

#[test]
fn a_run_is_as_long_as_channel_flags_and_stream_stay_the_same() {
    let orders = publish(b"orders", 1, 0);
    let ping = vec![0x13, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(runs(&[orders.clone(), orders.clone(), orders.clone()]), [3, 0, 0]);
    assert_eq!(runs(&[orders.clone(), publish(b"others", 1, 0), orders.clone()]), [1, 1, 1]);
    assert_eq!(runs(&[orders.clone(), publish(b"orders", 3, 0), orders.clone()]), [1, 1, 1]);
    assert_eq!(runs(&[orders.clone(), publish(b"orders", 1, 0x80), publish(b"orders", 1, 0x80)]), [1, 2, 0]);
    assert_eq!(runs(&[orders.clone(), ping.clone(), ping, orders.clone(), orders]), [1, 1, 1, 2, 0]);
    let ack = |stream, id| vec![0x0a, 0, 0, 0, 0, stream, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, id];
    assert_eq!(runs(&[ack(1, 9), ack(1, 3), ack(2, 4), ack(2, 5), ack(2, 6)]), [2, 0, 3, 0, 0]);
}

#[test]
fn a_run_that_fills_the_columns_has_its_length() {
    let chunk = publish(b"orders", 1, 0).repeat(5);
    let scanned = scan_with(&chunk, 0, 3, &[], NO_LIMIT);
    assert_eq!(scanned.head, [3, i32::try_from(chunk.len() / 5 * 3).unwrap(), Status::Full as i32, 0]);
    assert_eq!(scanned.rows[0][column::RUN], 3);
    let exact = scan_with(&chunk, 0, 5, &[], NO_LIMIT);
    assert_eq!(exact.head[head::STATUS], Status::Complete as i32);
}

/// A table of one name with id 4.
fn one_name(name: &[u8]) -> Vec<u8> {
    let mut words = vec![1, 5, 32, 0, fnv1a(name), 5, 32];
    words.push(u32::try_from(name.len()).unwrap());
    words.iter().flat_map(|word: &u32| word.to_le_bytes()).chain(name.iter().copied()).collect()
}

#[test]
fn names_in_the_table_become_their_ids() {
    let subscribe = b"\x05\0\0\0\0\x03\0\0\0\x12\0\0\0\x06orders\0\0\0\0\0\0\0\x01".to_vec();
    let chunk = [publish(b"others", 1, 0), publish(b"orders", 1, 0), publish(b"orders", 3, 2), subscribe].concat();
    let scanned = scan_with(&chunk, 0, 9, &one_name(b"orders"), NO_LIMIT);
    let channels: Vec<i32> = scanned.rows.iter().map(|row| row[column::CHANNEL]).collect();
    assert_eq!(channels, [-1, 4, 4, 4]);
}

#[test]
fn an_invalid_channel_name_is_malformed_whatever_came_before() {
    let bad = publish(b"\xff\xfeders", 1, 0);
    for before in [Vec::new(), publish(b"orders", 1, 0), publish(b"orders", 1, 0).repeat(2)] {
        let chunk = [before.clone(), bad.clone()].concat();
        let consumed = i32::try_from(before.len()).unwrap();
        let scanned = scan_with(&chunk, 0, 9, &one_name(b"orders"), NO_LIMIT);
        assert_eq!(scanned.head[head::CONSUMED..], [consumed, Status::Malformed as i32, 9]);
        assert_scan_agrees_with_decode(&chunk);
    }
}

#[test]
fn a_memory_of_garbage_in_place_of_names_finds_nothing_and_harms_nothing() {
    let chunk = publish(b"orders", 1, 0).repeat(3);
    let mut random = Random::new(3);
    for length in 0..600 {
        let scanned = scan_with(&chunk, 0, 9, &random.bytes(length), NO_LIMIT);
        assert!(scanned.rows.iter().all(|row| row[column::CHANNEL] == -1));
    }
}

#[test]
fn a_frame_past_the_limit_is_refused_by_its_header_before_anything_else_about_it() {
    // A Ping on a stream where it must not be, with a payload that it must not have and that is not there.
    let chunk = [publish(b"orders", 1, 0), vec![0x13, 0, 0, 0, 0, 7, 0xff, 0xff, 0xff, 0xff]].concat();
    let first = i32::try_from(chunk.len() - 10).unwrap();
    let scanned = scan_with(&chunk, 0, 9, &[], 1000);
    assert_eq!(scanned.head, [1, first, Status::TooLarge as i32, 0]);
    // Nothing of it is known before its header is complete.
    let scanned = scan_with(&chunk[..chunk.len() - 1], 0, 9, &[], 1000);
    assert_eq!(scanned.head, [1, first, Status::Partial as i32, 0]);
    // The limit includes the header.
    let length = usize::try_from(first).unwrap();
    assert_eq!(scan_with(&chunk[..length], 0, 9, &[], length).head[head::STATUS], Status::Complete as i32);
    assert_eq!(scan_with(&chunk[..length], 0, 9, &[], length - 1).head[head::STATUS], Status::TooLarge as i32);
}

#[test]
fn truncation_wins_over_a_wrong_stream() {
    let chunk = [0x13, 0, 0, 0, 0, 7, 0, 0, 0, 1, 0];
    assert_eq!(scan_all(&chunk[..10]).head, [0, 0, Status::Partial as i32, 11]);
    assert_eq!(scan_all(&chunk).head, [0, 0, Status::Malformed as i32, 4]);
}

#[test]
fn columns_without_a_row_are_full_and_columns_without_a_head_are_refused() {
    let chunk = publish(b"orders", 1, 0);
    for room in HEAD_WIDTH..HEAD_WIDTH + ROW_WIDTH {
        let mut columns = vec![-1; room];
        assert_eq!(scan(&chunk, 0, &mut columns, &NameTable::new(&[]), NO_LIMIT), Some(0));
        assert_eq!(columns[..HEAD_WIDTH], [0, 0, Status::Full as i32, 0]);
    }
    for room in 0..HEAD_WIDTH {
        let mut columns = vec![-1; room];
        assert_eq!(scan(&chunk, 0, &mut columns, &NameTable::new(&[]), NO_LIMIT), None);
        assert!(columns.iter().all(|&number| number == -1));
    }
}

#[test]
fn a_scan_starts_where_it_is_told() {
    let chunk = [vec![0xff; 7], publish(b"orders", 1, 0)].concat();
    let scanned = scan_with(&chunk, 7, 9, &[], NO_LIMIT);
    assert_eq!(scanned.rows.len(), 1);
    assert_eq!(scanned.rows[0][column::START], 7);
    assert_eq!(scan_with(&chunk, chunk.len(), 9, &[], NO_LIMIT).head[head::STATUS], Status::Complete as i32);
    assert_eq!(scan(&chunk, chunk.len() + 1, &mut [0; 99], &NameTable::new(&[]), NO_LIMIT), None);
}
