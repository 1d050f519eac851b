//! The wire of liminal-bus in Rust: bytes to frames and columns, and back.
//!
//! The crate knows nothing of Node. It borrows all bytes it reads and writes, allocates nothing by a declared size, and answers
//! every malformed input with a typed error. "wire §n" in the docs is a section of the description of liminal protocol 1.0, which
//! `docs/protocol.md` tells in our own words.
//!
//! - [`frame`]: one module per frame family; [`Frame::decode`] and [`Frame::encode_into`].
//! - [`scan`]: a chunk of frames to columns of numbers, the hot way in.
//! - [`batch`]: runs of rows to frames, the hot way out.
//! - [`negotiate`]: which schema and which version two peers agree on.
//! - [`schema`]: content-addressed ids of JSON Schemas.
//! - [`dedup`]: the index of idempotency keys.

// Offsets and sums of u32 lengths are computed in usize all over the crate.
const _: () = assert!(usize::BITS >= 64, "liminal-core needs a 64-bit target");

pub mod batch;
pub mod columns;
pub mod dedup;
mod envelope;
mod error;
pub mod frame;
pub mod names;
pub mod negotiate;
mod reader;
pub mod scan;
pub mod schema;
mod sink;

pub use envelope::{CausalContext, Envelope, SchemaId};
pub use error::WireError;
pub use frame::{Body, Frame};
