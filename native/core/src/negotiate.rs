//! What two peers agree on (wire §7).

use crate::envelope::SchemaId;
use crate::error::WireError;

/// A protocol version, ordered by (major, minor).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Changes where peers can no longer talk to each other.
    pub major: u16,
    /// Counts additions.
    pub minor: u16,
}

/// The schema that a subscription uses, which is only ever the channel's own: an empty list accepts any.
///
/// # Errors
/// [`WireError::SchemaIncompatible`] if the list has entries and none of them is the channel's schema.
pub fn schema<'a>(channel: &'a SchemaId, accepted: &[SchemaId]) -> Result<&'a SchemaId, WireError> {
    if accepted.is_empty() || accepted.contains(channel) { Ok(channel) } else { Err(WireError::SchemaIncompatible) }
}

/// The highest of the supported versions within `min..=max`.
///
/// # Errors
/// [`WireError::VersionMismatch`] if there is none.
pub fn version(min: Version, max: Version, supported: impl IntoIterator<Item = Version>) -> Result<Version, WireError> {
    supported.into_iter().filter(|version| (min..=max).contains(version)).max().ok_or(WireError::VersionMismatch)
}
