//! What the tests share: the golden vectors, frames as the vectors write them, mutated bytes.
#![allow(dead_code, reason = "each test file uses its own part")]

use liminal_core::frame::Refusal;
use liminal_core::frame::worker::{Activity, WorkerRegisterAck};
use liminal_core::negotiate::Version;
use liminal_core::{Body, Envelope, Frame};
use serde_json::{Map, Value, json};

/// The vectors that hold for this codec: those marked `until` describe codecs that know less.
pub fn vectors(kind: &str) -> Vec<Value> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../test/vectors/wire-v1.json");
    let text = std::fs::read_to_string(path).expect("the vectors are in the repository");
    let file: Value = serde_json::from_str(&text).expect("the vectors are JSON");
    let vectors = file["vectors"].as_array().expect("the file lists vectors");
    let ours: Vec<Value> =
        vectors.iter().filter(|vector| vector["kind"] == kind && vector.get("until").is_none()).cloned().collect();
    assert!(!ours.is_empty(), "there are {kind} vectors");
    ours
}

/// All frames and all broken frames of the vectors.
pub fn corpus() -> Vec<Vec<u8>> {
    let frames = vectors("frame").into_iter().chain(vectors("decode-error"));
    frames.map(|vector| bytes(&vector["hex"])).collect()
}

pub fn name(vector: &Value) -> &str {
    vector["name"].as_str().expect("a vector has a name")
}

/// Bytes from hex.
pub fn bytes(hex: &Value) -> Vec<u8> {
    let (pairs, rest) = hex.as_str().expect("hex is a string").as_bytes().as_chunks::<2>();
    assert!(rest.is_empty(), "hex has an even number of digits");
    pairs.iter().map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

pub fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.filter_map(|digit| char::from_digit(u32::from(digit), 16)).collect()
}

/// A vector's frame with what it leaves out of a worker's registration.
pub fn frame_of(vector: &Value) -> Value {
    let mut frame = vector.clone();
    if let Some(registration) = frame.get_mut("registration").and_then(Value::as_object_mut) {
        registration.entry("activities").or_insert(Value::Null);
    }
    frame
}

fn version(version: Version) -> Value {
    json!({ "major": version.major, "minor": version.minor })
}

fn envelope(envelope: &Envelope<'_>) -> Value {
    json!({
        "schemaId": hex(envelope.schema_id),
        "causal": {
            "parentId": envelope.causal.parent_id,
            "vectorClockEntry": envelope.causal.vector_clock_entry.map(|entry| entry.to_string()),
        },
        "payload": hex(envelope.payload),
    })
}

fn refusal(refusal: &Refusal<'_>) -> Value {
    json!({ "reasonCode": refusal.reason_code, "message": refusal.message })
}

fn activity(activity: &Activity<'_>) -> Value {
    json!({
        "name": activity.name,
        "inputSchemaJson": activity.input_schema_json,
        "outputSchemaJson": activity.output_schema_json,
    })
}

#[expect(clippy::too_many_lines, reason = "one entry per frame type")]
fn body(body: &Body<'_>) -> (&'static str, Value) {
    match body {
        Body::Connect(frame) => (
            "Connect",
            json!({
                "minVersion": version(frame.min_version),
                "maxVersion": version(frame.max_version),
                "authToken": hex(frame.auth_token),
            }),
        ),
        Body::ConnectAck(frame) => (
            "ConnectAck",
            json!({ "selectedVersion": version(frame.selected_version), "capabilities": frame.capabilities }),
        ),
        Body::ConnectError(frame) => ("ConnectError", refusal(frame)),
        Body::Disconnect(_) => ("Disconnect", json!({})),
        Body::Ping(_) => ("Ping", json!({})),
        Body::Pong(_) => ("Pong", json!({})),
        Body::Subscribe(frame) => (
            "Subscribe",
            json!({
                "channel": frame.channel,
                "acceptedSchemas": frame.accepted_schemas.iter().map(|id| hex(id)).collect::<Vec<_>>(),
                "maxInFlight": frame.max_in_flight,
            }),
        ),
        Body::SubscribeAck(frame) => (
            "SubscribeAck",
            json!({
                "subscriptionId": frame.subscription_id.to_string(),
                "selectedSchema": hex(frame.selected_schema),
            }),
        ),
        Body::SubscribeError(frame) => ("SubscribeError", refusal(frame)),
        Body::Unsubscribe(frame) => ("Unsubscribe", json!({ "subscriptionId": frame.subscription_id.to_string() })),
        Body::Publish(frame) => (
            "Publish",
            json!({
                "channel": frame.channel,
                "envelope": envelope(&frame.envelope),
                "idempotencyKey": frame.idempotency_key,
            }),
        ),
        Body::PublishAck(frame) => ("PublishAck", json!({ "messageId": frame.message_id.to_string() })),
        Body::PublishError(frame) => ("PublishError", refusal(frame)),
        Body::Deliver(frame) => {
            ("Deliver", json!({ "deliverySeq": frame.delivery_seq.to_string(), "envelope": envelope(&frame.envelope) }))
        }
        Body::ConversationOpen(frame) => (
            "ConversationOpen",
            json!({ "conversationId": frame.conversation_id.to_string(), "subject": frame.subject }),
        ),
        Body::ConversationMessage(frame) => (
            "ConversationMessage",
            json!({
                "conversationId": frame.conversation_id.to_string(),
                "envelope": envelope(&frame.envelope),
            }),
        ),
        Body::ConversationClose(frame) => (
            "ConversationClose",
            json!({
                "conversationId": frame.conversation_id.to_string(),
                "reasonCode": frame.reason_code,
                "message": frame.message,
            }),
        ),
        Body::ConversationError(frame) => (
            "ConversationError",
            json!({
                "conversationId": frame.conversation_id.to_string(),
                "reasonCode": frame.reason_code,
                "message": frame.message,
            }),
        ),
        Body::Accept(frame) => ("Accept", json!({ "referencedMessageId": frame.referenced_message_id })),
        Body::Defer(frame) => {
            ("Defer", json!({ "referencedMessageId": frame.referenced_message_id, "reason": frame.reason }))
        }
        Body::Reject(frame) => {
            ("Reject", json!({ "referencedMessageId": frame.referenced_message_id, "reason": frame.reason }))
        }
        Body::Push(frame) => {
            ("Push", json!({ "correlationId": frame.correlation_id.to_string(), "payload": hex(frame.payload) }))
        }
        Body::PushReply(frame) => {
            ("PushReply", json!({ "correlationId": frame.correlation_id.to_string(), "payload": hex(frame.payload) }))
        }
        Body::WorkerRegister(frame) => (
            "WorkerRegister",
            json!({ "registration": {
                "namespaces": frame.namespaces,
                "taskQueue": frame.task_queue,
                "node": frame.node,
                "activityTypes": frame.activity_types,
                "identity": frame.identity,
                "activities": frame.activities.as_ref().map(|list| list.iter().map(activity).collect::<Vec<_>>()),
            } }),
        ),
        Body::WorkerRegisterAck(WorkerRegisterAck::Accepted) => {
            ("WorkerRegisterAck", json!({ "outcome": { "status": "Accepted", "reason": null } }))
        }
        Body::WorkerRegisterAck(WorkerRegisterAck::Rejected { reason }) => {
            ("WorkerRegisterAck", json!({ "outcome": { "status": "Rejected", "reason": reason } }))
        }
        Body::Unknown(frame) => ("Unknown", json!({ "payload": hex(frame.payload) })),
    }
}

/// A frame as the vectors write it.
pub fn describe(frame: &Frame<'_>) -> Value {
    let (type_name, fields) = body(&frame.body);
    let mut object = Map::new();
    object.insert("type".into(), json!(type_name));
    object.insert("typeId".into(), json!(frame.body.type_id()));
    object.insert("flags".into(), json!(frame.flags));
    object.insert("streamId".into(), json!(frame.stream_id));
    object.extend(fields.as_object().expect("fields are an object").clone());
    Value::Object(object)
}

/// Numbers that look random and are the same in every run (xorshift64*).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    pub fn u64(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn byte(&mut self) -> u8 {
        self.u64().to_be_bytes()[0]
    }

    /// A number below `limit`, which is not 0.
    pub fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.u64() >> 16).expect("48 bits") % limit
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.byte()).collect()
    }
}

/// One of the frames with a few things changed; its header mostly still declares the bytes that are there.
pub fn mutate(random: &mut Random, corpus: &[Vec<u8>]) -> Vec<u8> {
    let mut frame = random.pick(corpus).clone();
    for _ in 0..=random.below(3) {
        let at = random.below(frame.len() + 1);
        match random.below(7) {
            0 => frame.truncate(at),
            1 => {
                let length = random.below(12);
                let inserted = random.bytes(length);
                frame.splice(at..at, inserted);
            }
            2 => {
                let end = frame.len().min(at + 1 + random.below(8));
                frame.drain(at..end);
            }
            3 if at < frame.len() => frame[at] ^= 1 << random.below(8),
            4 if at < frame.len() => frame[at] = *random.pick(&[0, 1, 2, 3, 4, 0x7f, 0x80, 0xc0, 0xed, 0xff]),
            5 if !frame.is_empty() => frame[0] = random.byte() % 0x1c,
            6 => {
                let other = random.pick(corpus);
                let from = random.below(other.len() + 1);
                frame.splice(at..at, other[from..].iter().take(40).copied());
            }
            _ => {}
        }
    }
    if frame.len() >= 10 && random.below(8) > 0 {
        let length = u32::try_from(frame.len() - 10).expect("vectors are short");
        frame[6..10].copy_from_slice(&length.to_be_bytes());
    }
    frame
}
