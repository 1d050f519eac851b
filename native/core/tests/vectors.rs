//! The golden vectors, in both directions.

mod common;

use common::{bytes, describe, frame_of, hex, name, vectors};
use liminal_core::columns::{HEAD_WIDTH, ROW_WIDTH, Status, column, head};
use liminal_core::names::NameTable;
use liminal_core::negotiate::{self, Version};
use liminal_core::scan::scan;
use liminal_core::{Frame, SchemaId, WireError};
use serde_json::Value;

#[test]
fn every_frame_decodes_to_its_value_and_encodes_to_its_bytes() {
    for vector in vectors("frame") {
        let encoded = bytes(&vector["hex"]);
        let (frame, length) = Frame::decode(&encoded).unwrap_or_else(|error| panic!("{}: {error}", name(&vector)));
        assert_eq!(length, encoded.len(), "{}", name(&vector));
        assert_eq!(describe(&frame), frame_of(&vector["frame"]), "{}", name(&vector));
        assert_eq!(frame.encoded_length(), encoded.len(), "{}", name(&vector));
        assert_eq!(hex(&frame.encode().unwrap()), hex(&encoded), "{}", name(&vector));
    }
}

#[test]
fn a_frame_leaves_what_follows_alone() {
    for vector in vectors("frame") {
        let encoded = bytes(&vector["hex"]);
        let mut followed = encoded.clone();
        followed.extend_from_slice(&[0xff; 7]);
        let (frame, length) = Frame::decode(&followed).unwrap();
        assert_eq!((describe(&frame), length), (frame_of(&vector["frame"]), encoded.len()), "{}", name(&vector));
    }
}

#[test]
fn every_broken_frame_fails_with_its_error() {
    for vector in vectors("decode-error") {
        let encoded = bytes(&vector["hex"]);
        let error = Frame::decode(&encoded).expect_err(name(&vector));
        assert_eq!(error.name(), vector["error"], "{}", name(&vector));
        assert_eq!(u64::from(error.reason_code()), vector["reasonCode"], "{}", name(&vector));
    }
}

#[test]
fn every_stream_decodes_frame_by_frame_and_scans_to_rows() {
    for vector in vectors("stream") {
        let stream = bytes(&vector["hex"]);
        let frames = vector["frames"].as_array().unwrap();
        let offsets: Vec<u64> = vector["offsets"].as_array().unwrap().iter().map(|at| at.as_u64().unwrap()).collect();

        let mut at = 0;
        for (expected, &offset) in frames.iter().zip(&offsets) {
            assert_eq!(at as u64, offset, "{}", name(&vector));
            let (frame, length) = Frame::decode(&stream[at..]).unwrap();
            assert_eq!(describe(&frame), frame_of(expected), "{}", name(&vector));
            at += length;
        }
        assert_eq!(at, stream.len(), "{}", name(&vector));

        let mut columns = vec![0; HEAD_WIDTH + ROW_WIDTH * (frames.len() + 1)];
        let rows = scan(&stream, 0, &mut columns, &NameTable::new(&[]), stream.len());
        assert_eq!(rows, Some(frames.len()), "{}", name(&vector));
        assert_eq!(columns[head::STATUS], Status::Complete as i32, "{}", name(&vector));
        let (rows, _) = columns[HEAD_WIDTH..].as_chunks::<ROW_WIDTH>();
        for (row, &offset) in rows.iter().zip(&offsets) {
            assert_eq!(u64::try_from(row[column::START]).unwrap(), offset, "{}", name(&vector));
        }
    }
}

/// Checks a result against the `selected`, `error` and `reasonCode` of a vector.
fn check(vector: &Value, result: Result<Value, WireError>) {
    match result {
        Ok(selected) => {
            assert_eq!((&selected, &Value::Null), (&vector["selected"], &vector["error"]), "{}", name(vector));
        }
        Err(error) => {
            assert_eq!(error.name(), vector["error"], "{}", name(vector));
            assert_eq!(u64::from(error.reason_code()), vector["reasonCode"], "{}", name(vector));
        }
    }
}

#[test]
fn every_schema_negotiation_ends_as_it_should() {
    let schema = |value: &Value| SchemaId::try_from(bytes(value)).unwrap();
    for vector in vectors("negotiate-schema") {
        let channel = schema(&vector["channelSchema"]);
        let accepted: Vec<SchemaId> = vector["accepted"].as_array().unwrap().iter().map(schema).collect();
        check(&vector, negotiate::schema(&channel, &accepted).map(|selected| Value::String(hex(selected))));
    }
}

#[test]
fn every_version_negotiation_ends_as_it_should() {
    let version = |value: &Value| Version {
        major: u16::try_from(value["major"].as_u64().unwrap()).unwrap(),
        minor: u16::try_from(value["minor"].as_u64().unwrap()).unwrap(),
    };
    for vector in vectors("negotiate-version") {
        let supported = vector["supported"].as_array().unwrap().iter().map(version);
        let result = negotiate::version(version(&vector["min"]), version(&vector["max"]), supported);
        check(&vector, result.map(|Version { major, minor }| serde_json::json!({ "major": major, "minor": minor })));
    }
}
