//! What encoders refuse, and the frames that run encoders write.

mod common;

use common::{corpus, describe};
use liminal_core::batch::{DeliverRun, encode_deliver_run, encode_publish_ack_run};
use liminal_core::columns::{HEAD_WIDTH, ROW_WIDTH, column};
use liminal_core::frame::channel::{Deliver, Publish, PublishAck, Subscribe};
use liminal_core::frame::connection::Ping;
use liminal_core::frame::unknown::Unknown;
use liminal_core::names::NameTable;
use liminal_core::scan::scan;
use liminal_core::{Body, CausalContext, Envelope, Frame, WireError};

const ENVELOPE: Envelope<'static> = Envelope {
    schema_id: &[7; 32],
    causal: CausalContext { parent_id: Some("p"), vector_clock_entry: Some(u64::MAX) },
    payload: b"payload",
};

fn refusal(flags: u8, stream_id: u32, body: Body<'_>) -> &'static str {
    let frame = Frame { flags, stream_id, body };
    let mut target = vec![0xaa; 500];
    let error = frame.encode_into(&mut target).expect_err("no valid encoding");
    assert!(target.iter().all(|&byte| byte == 0xaa), "nothing was written");
    error.name()
}

#[test]
fn frames_without_a_valid_encoding_are_refused() {
    let subscribe = || Body::Subscribe(Subscribe { channel: "c", accepted_schemas: &[], max_in_flight: 0 });
    let publish = |idempotency_key| Body::Publish(Publish { channel: "c", envelope: ENVELOPE, idempotency_key });
    assert_eq!(refusal(0, 1, Body::Ping(Ping)), "InvalidStream");
    assert_eq!(refusal(0, 0, subscribe()), "InvalidStream");
    assert_eq!(refusal(0, 1, subscribe()), "CodecError");
    assert_eq!(refusal(2, 1, publish(None)), "CodecError");
    assert_eq!(refusal(0xfd, 1, publish(Some(""))), "CodecError");
    assert_eq!(refusal(0, 0, Body::Unknown(Unknown { type_id: 0x13, payload: &[] })), "CodecError");
    assert_eq!(refusal(0, 7, Body::Unknown(Unknown { type_id: 0x13, payload: &[] })), "CodecError");
}

#[test]
fn a_target_that_is_too_small_is_left_alone() {
    let frame = Frame {
        flags: 2,
        stream_id: 1,
        body: Body::Publish(Publish { channel: "c", envelope: ENVELOPE, idempotency_key: Some("k") }),
    };
    let length = frame.encoded_length();
    for room in 0..length {
        let mut target = vec![0xaa; room];
        assert_eq!(frame.encode_into(&mut target).map_err(WireError::reason_code), Err(9));
        assert!(target.iter().all(|&byte| byte == 0xaa));
    }
    let mut target = vec![0xaa; length + 3];
    assert_eq!(frame.encode_into(&mut target), Ok(length));
    assert_eq!(Frame::decode(&target), Ok((frame, length)));
    assert_eq!(target[length..], [0xaa; 3]);
}

/// All frames of the vectors that carry an envelope, behind each other, and their columns.
fn enveloped() -> (Vec<u8>, Vec<i32>, usize) {
    let mut bytes = Vec::new();
    let mut count = 0;
    for frame in corpus() {
        if matches!(frame.first(), Some(0x09 | 0x0d | 0x19)) && Frame::decode(&frame).is_ok() {
            bytes.extend_from_slice(&frame);
            count += 1;
        }
    }
    let mut columns = vec![0; HEAD_WIDTH + ROW_WIDTH * count];
    assert_eq!(scan(&bytes, 0, &mut columns, &NameTable::new(&[]), usize::MAX), Some(count));
    (bytes, columns, count)
}

const RUN: DeliverRun<'static> =
    DeliverRun { stream_id: 0x8000_0005, first_sequence: u64::MAX - 9, schema_id: &[3; 32] };

#[test]
fn a_deliver_run_carries_the_envelopes_of_its_rows_under_the_new_schema() {
    let (bytes, columns, count) = enveloped();
    assert!(count > 30);
    let first = count - 10;
    let mut target = vec![0; bytes.len() * 2];
    let length = encode_deliver_run(&bytes, &columns, first, 10, RUN, &mut target).unwrap();

    let mut at = 0;
    for index in 0..10 {
        let row = &columns[HEAD_WIDTH + ROW_WIDTH * (first + index)..][..ROW_WIDTH];
        let (source, _) = Frame::decode(&bytes[usize::try_from(row[column::START]).unwrap()..]).unwrap();
        let (Body::Publish(Publish { envelope, .. }) | Body::Deliver(Deliver { envelope, .. })) = source.body else {
            let Body::ConversationMessage(message) = source.body else { panic!("{:?}", source.body) };
            at += assert_delivers(&target[at..], index, message.envelope);
            continue;
        };
        at += assert_delivers(&target[at..], index, envelope);
    }
    assert_eq!(at, length);
}

fn assert_delivers(bytes: &[u8], index: usize, envelope: Envelope<'_>) -> usize {
    let (frame, length) = Frame::decode(bytes).unwrap();
    let delivery_seq = RUN.first_sequence + index as u64;
    let envelope = Envelope { schema_id: RUN.schema_id, ..envelope };
    let body = Body::Deliver(Deliver { delivery_seq, envelope });
    let expected = Frame { flags: 0, stream_id: RUN.stream_id, body };
    assert_eq!(describe(&frame), describe(&expected));
    length
}

#[test]
fn a_deliver_run_needs_room_rows_and_envelopes() {
    let (bytes, columns, count) = enveloped();
    let mut target = vec![0; bytes.len() * 2];
    let length = encode_deliver_run(&bytes, &columns, 0, 3, RUN, &mut target).unwrap();
    assert_eq!(encode_deliver_run(&bytes, &columns, 0, 3, RUN, &mut target[..length]), Some(length));
    assert_eq!(encode_deliver_run(&bytes, &columns, 0, 3, RUN, &mut target[..length - 1]), None);
    assert_eq!(encode_deliver_run(&bytes, &columns, 0, 0, RUN, &mut []), Some(0));
    assert_eq!(encode_deliver_run(&bytes, &columns, count, 1, RUN, &mut target), None);
    assert_eq!(encode_deliver_run(&bytes, &columns, 1, usize::MAX, RUN, &mut target), None);
    assert_eq!(encode_deliver_run(&bytes, &columns[..3], 0, 0, RUN, &mut target), None);
    assert_eq!(encode_deliver_run(&[], &columns, 0, 1, RUN, &mut target), None);
}

#[test]
fn columns_of_garbage_give_no_deliver_run_and_no_panic() {
    let (bytes, columns, _) = enveloped();
    let mut random = common::Random::new(5);
    let mut target = vec![0; bytes.len() * 2];
    for _ in 0..20_000 {
        let mut garbage = columns[..HEAD_WIDTH + ROW_WIDTH].to_vec();
        let at = HEAD_WIDTH + *random.pick(&[column::TYPE, column::ENVELOPE, column::PAYLOAD, column::PAYLOAD_LENGTH]);
        garbage[at] = *random.pick(&[-1, i32::MIN, i32::MAX, 0, 1]);
        if let Some(length) = encode_deliver_run(&bytes, &garbage, 0, 1, RUN, &mut target) {
            assert!(length <= target.len());
        }
    }
}

#[test]
fn an_ack_run_counts_its_message_ids() {
    let mut target = vec![0xaa; 18 * 3 + 1];
    assert_eq!(encode_publish_ack_run(9, 0x81, u64::MAX - 2, 3, &mut target), Some(54));
    for (index, bytes) in target.as_chunks::<18>().0.iter().enumerate() {
        let body = Body::PublishAck(PublishAck { message_id: u64::MAX - 2 + index as u64 });
        assert_eq!(Frame::decode(bytes), Ok((Frame { flags: 0x81, stream_id: 9, body }, 18)));
    }
    assert_eq!(target[54], 0xaa);
    assert_eq!(encode_publish_ack_run(9, 0, 1, 4, &mut target), None);
    assert_eq!(encode_publish_ack_run(9, 0, 1, usize::MAX, &mut target), None);
}
