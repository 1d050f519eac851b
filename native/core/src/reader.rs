use crate::envelope::SchemaId;
use crate::error::WireError;

/// Reads the primitives of wire §3 from the front of a block. Every failure is a [`WireError::Codec`].
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

const PAST_END: WireError = WireError::Codec("a field reaches past the end of its block");

impl<'a> Reader<'a> {
    pub(crate) fn new(block: &'a [u8]) -> Self {
        Self { rest: block }
    }

    fn array<const N: usize>(&mut self) -> Result<&'a [u8; N], WireError> {
        let (field, rest) = self.rest.split_first_chunk().ok_or(PAST_END)?;
        self.rest = rest;
        Ok(field)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, WireError> {
        self.array().map(|&[byte]| byte)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, WireError> {
        self.array().copied().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, WireError> {
        self.array().copied().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, WireError> {
        self.array().copied().map(u64::from_be_bytes)
    }

    pub(crate) fn schema(&mut self) -> Result<&'a SchemaId, WireError> {
        self.array()
    }

    /// A u32 length and that many bytes.
    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], WireError> {
        let length = self.u32()? as usize;
        let (field, rest) = self.rest.split_at_checked(length).ok_or(PAST_END)?;
        self.rest = rest;
        Ok(field)
    }

    pub(crate) fn str(&mut self) -> Result<&'a str, WireError> {
        std::str::from_utf8(self.bytes()?).map_err(|_| WireError::Codec("a string is not valid UTF-8"))
    }

    /// A presence byte, then the field if it is 1.
    pub(crate) fn optional<T>(
        &mut self,
        field: impl FnOnce(&mut Self) -> Result<T, WireError>,
    ) -> Result<Option<T>, WireError> {
        match self.u8()? {
            0 => Ok(None),
            1 => field(self).map(Some),
            _ => Err(WireError::Codec("a presence byte is neither 0 nor 1")),
        }
    }

    /// A u32 count and that many elements of at least `minimum` bytes each. The count is believed only as far as bytes are there.
    pub(crate) fn list<T>(
        &mut self,
        minimum: usize,
        mut element: impl FnMut(&mut Self) -> Result<T, WireError>,
    ) -> Result<Vec<T>, WireError> {
        let count = self.u32()? as usize;
        if count > self.rest.len() / minimum {
            return Err(WireError::Codec("a list declares more elements than its block can hold"));
        }
        let mut list = Vec::with_capacity(count);
        for _ in 0..count {
            list.push(element(self)?);
        }
        Ok(list)
    }

    /// A u32 count and that many schema ids.
    pub(crate) fn schemas(&mut self) -> Result<&'a [SchemaId], WireError> {
        let length = self.u32()? as usize * size_of::<SchemaId>();
        let (field, rest) = self.rest.split_at_checked(length).ok_or(PAST_END)?;
        self.rest = rest;
        Ok(field.as_chunks().0)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Everything that is left.
    pub(crate) fn remaining(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    /// Ends the block: each must be consumed exactly by its own fields.
    pub(crate) fn finish(self) -> Result<(), WireError> {
        if self.rest.is_empty() { Ok(()) } else { Err(WireError::Codec("bytes are left over at the end of a block")) }
    }
}
