//! Content-addressed ids of JSON Schemas: the SHA-256 of the RFC 8785 canonical form.

mod canonical;
mod number;
mod text;

use std::fmt;

use sha2::{Digest, Sha256};

pub use canonical::{MAX_DEPTH, canonicalize};

use crate::envelope::SchemaId;

/// Why a text has no canonical form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonError {
    /// Not JSON, or JSON that RFC 8785 excludes: a name twice in an object, a number beyond the range of a double.
    Invalid,
    /// Arrays and objects nested deeper than [`MAX_DEPTH`].
    TooDeep,
    /// Half of a surrogate pair, which is not a character.
    LoneSurrogate,
}

impl fmt::Display for JsonError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Invalid => "the text is not JSON with a canonical form",
            Self::TooDeep => "the JSON is nested too deep",
            Self::LoneSurrogate => "the JSON has a lone surrogate",
        })
    }
}

impl std::error::Error for JsonError {}

/// The schema id of JSON text.
///
/// # Errors
/// [`JsonError`] if the text has no canonical form.
pub fn schema_id(json: &str) -> Result<SchemaId, JsonError> {
    Ok(Sha256::digest(canonicalize(json)?).into())
}
