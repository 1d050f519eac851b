//! What `cargo bench` times and `examples/instructions.rs` counts: the hot functions, each on input that is the same in every run.

use std::hint::black_box;

use liminal_core::batch::{DeliverRun, encode_deliver_run, encode_publish_ack_run};
use liminal_core::columns::{HEAD_WIDTH, ROW_WIDTH};
use liminal_core::frame::channel::{PUBLISH_HAS_KEY, Publish};
use liminal_core::names::{NameTable, fnv1a};
use liminal_core::scan::scan;
use liminal_core::schema::schema_id;
use liminal_core::{Body, CausalContext, Envelope, Frame, SchemaId};

/// A function on its input.
pub struct Workload {
    /// Unique.
    pub name: &'static str,
    /// Frames, names or schemas that one run handles.
    pub operations: u32,
    run: Box<dyn FnMut() -> usize>,
}

impl Workload {
    fn new(name: &'static str, operations: u32, run: impl FnMut() -> usize + 'static) -> Self {
        Self { name, operations, run: Box::new(run) }
    }

    /// Runs it once. The result is there to be used, so that the work cannot be left out.
    pub fn run(&mut self) -> usize {
        (self.run)()
    }
}

/// Every workload.
pub fn all() -> Vec<Workload> {
    vec![
        scanning("scan/one-frame", chunk(1, |_| publish("orders", None))),
        scanning("scan/run", chunk(FRAMES, |_| publish("orders", None))),
        scanning("scan/run-keyed", chunk(FRAMES, |_| publish("orders", Some("order-100000")))),
        scanning("scan/run-64-bytes-each", chunk(FRAMES, |_| publish_of("orders", None, &PAYLOAD[..64]))),
        scanning("scan/other-channel-each", chunk(FRAMES, |at| publish(["orders", "payments"][at % 2], None))),
        scanning("scan/unknown-channel-each", chunk(FRAMES, |at| publish(["news", "nachrichten"][at % 2], None))),
        scanning("scan/origin", chunk(FRAMES, |_| publish_with_origin("orders"))),
        deliver_run(),
        publish_ack_run(),
        names("names/known", NAMES),
        names("names/unknown", &["nobody", "knows", "these", "channels"]),
        decode_publish(),
        encode_publish(),
        schema(),
    ]
}

/// What a socket read of 64 KiB holds of 200-byte frames.
const FRAMES: usize = 320;
const SCHEMA_ID: SchemaId = [7; 32];
const PAYLOAD: [u8; 128] = [b'x'; 128];
const NAMES: &[&str] = &["orders", "payments", "invoices.eu", "telemetry/devices/thermometers"];
const NO_LIMIT: usize = usize::MAX;

fn publish<'a>(channel: &'a str, key: Option<&'a str>) -> Frame<'a> {
    publish_of(channel, key, &PAYLOAD)
}

fn publish_of<'a>(channel: &'a str, idempotency_key: Option<&'a str>, payload: &'a [u8]) -> Frame<'a> {
    let envelope = Envelope { schema_id: &SCHEMA_ID, causal: CausalContext::default(), payload };
    Frame {
        flags: if idempotency_key.is_some() { PUBLISH_HAS_KEY } else { 0 },
        stream_id: 1,
        body: Body::Publish(Publish { channel, envelope, idempotency_key }),
    }
}

fn publish_with_origin(channel: &str) -> Frame<'_> {
    let causal = CausalContext { parent_id: Some("message-4711"), vector_clock_entry: Some(42) };
    let envelope = Envelope { schema_id: &SCHEMA_ID, causal, payload: &PAYLOAD };
    Frame { flags: 0, stream_id: 1, body: Body::Publish(Publish { channel, envelope, idempotency_key: None }) }
}

/// Frames and how many they are.
struct Chunk {
    bytes: Vec<u8>,
    frames: usize,
}

fn chunk<'a>(frames: usize, frame: impl Fn(usize) -> Frame<'a>) -> Chunk {
    let encoded: Vec<Vec<u8>> = (0..frames).map(|at| frame(at).encode().expect("the frame is valid")).collect();
    Chunk { bytes: encoded.concat(), frames }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).expect("workloads are small")
}

fn scanning(name: &'static str, Chunk { bytes, frames }: Chunk) -> Workload {
    let table = name_table(NAMES);
    let mut columns = vec![0; HEAD_WIDTH + frames * ROW_WIDTH];
    Workload::new(name, count(frames), move || {
        let rows = scan(black_box(&bytes), 0, &mut columns, &NameTable::new(&table), NO_LIMIT);
        assert_eq!(rows, Some(frames));
        black_box(&columns).len()
    })
}

fn deliver_run() -> Workload {
    let Chunk { bytes, frames } = chunk(FRAMES, |_| publish("orders", None));
    let mut columns = vec![0; HEAD_WIDTH + frames * ROW_WIDTH];
    scan(&bytes, 0, &mut columns, &NameTable::new(&[]), NO_LIMIT).expect("the columns have a head");
    let mut target = vec![0; 2 * bytes.len()];
    Workload::new("encode/deliver-run", count(frames), move || {
        let run = DeliverRun { stream_id: 3, first_sequence: 1, schema_id: &SCHEMA_ID };
        let written = encode_deliver_run(black_box(&bytes), black_box(&columns), 0, frames, run, &mut target);
        black_box(&target);
        written.expect("the target has room")
    })
}

fn publish_ack_run() -> Workload {
    let mut target = vec![0; FRAMES * 18];
    Workload::new("encode/publish-ack-run", count(FRAMES), move || {
        let written = encode_publish_ack_run(black_box(1), 0, black_box(5), FRAMES, &mut target);
        black_box(&target);
        written.expect("the target has room")
    })
}

fn names(name: &'static str, wanted: &'static [&'static str]) -> Workload {
    let table = name_table(NAMES);
    Workload::new(name, count(wanted.len()), move || {
        let table = NameTable::new(black_box(&table));
        wanted.iter().filter(|name| table.find(black_box(name.as_bytes())).is_some()).count()
    })
}

fn decode_publish() -> Workload {
    let bytes = publish_with_origin("orders").encode().expect("the frame is valid");
    Workload::new("envelope/decode-publish", 1, move || {
        let (frame, length) = Frame::decode(black_box(&bytes)).expect("the frame is valid");
        black_box(&frame);
        length
    })
}

fn encode_publish() -> Workload {
    let mut target = vec![0; 512];
    Workload::new("envelope/encode-publish", 1, move || {
        let frame = black_box(publish_with_origin("orders"));
        let length = frame.encode_into(&mut target).expect("the frame is valid");
        black_box(&target);
        length
    })
}

fn schema() -> Workload {
    let json = include_str!("../../../../bench/codec/order-schema.json");
    Workload::new("schema/id", 1, move || {
        let id = schema_id(black_box(json)).expect("the schema is JSON");
        usize::from(black_box(id)[0])
    })
}

/// A table of names in the layout that [`NameTable`] reads, as TypeScript makes it: 16 slots, then the names.
fn name_table(names: &[&str]) -> Vec<u8> {
    const SLOTS: u32 = 16;
    const ENTRY: usize = 16;
    let slot_at = |slot: u32| ENTRY * (1 + slot as usize);
    let words = |values: [u32; 4]| values.map(u32::to_le_bytes).concat();
    let mut memory = vec![0; slot_at(SLOTS)];
    memory[..ENTRY].copy_from_slice(&words([SLOTS, count(names.len()), count(slot_at(SLOTS)), 0]));
    for (id, name) in (1..).zip(names) {
        let hash = fnv1a(name.as_bytes());
        let mut slot = hash & (SLOTS - 1);
        while memory[slot_at(slot)..][..ENTRY] != [0; ENTRY] {
            slot = (slot + 1) & (SLOTS - 1);
        }
        let entry = words([hash, id, count(memory.len()), count(name.len())]);
        memory[slot_at(slot)..][..ENTRY].copy_from_slice(&entry);
        memory.extend_from_slice(name.as_bytes());
    }
    memory
}
