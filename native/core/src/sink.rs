/// Where encoded bytes go. Every frame has one `encode`; a [`Counter`] turns it into its length, a [`Slice`] into its bytes.
pub(crate) trait Sink {
    fn put(&mut self, bytes: &[u8]);

    fn put_u8(&mut self, value: u8) {
        self.put(&[value]);
    }

    fn put_u16(&mut self, value: u16) {
        self.put(&value.to_be_bytes());
    }

    fn put_u32(&mut self, value: u32) {
        self.put(&value.to_be_bytes());
    }

    fn put_u64(&mut self, value: u64) {
        self.put(&value.to_be_bytes());
    }

    /// A length or count as u32. `Frame` measures before it writes and refuses what does not fit a u32, so nothing is cut here.
    #[expect(clippy::cast_possible_truncation, reason = "measured before it is written")]
    fn put_length(&mut self, length: usize) {
        self.put_u32(length as u32);
    }

    fn put_bytes(&mut self, bytes: &[u8]) {
        self.put_length(bytes.len());
        self.put(bytes);
    }

    fn put_str(&mut self, text: &str) {
        self.put_bytes(text.as_bytes());
    }

    fn put_optional<T>(&mut self, value: Option<T>, put: impl FnOnce(&mut Self, T)) {
        self.put_u8(u8::from(value.is_some()));
        if let Some(value) = value {
            put(self, value);
        }
    }
}

/// Counts what would be written.
#[derive(Default)]
pub(crate) struct Counter {
    pub(crate) length: usize,
}

impl Sink for Counter {
    fn put(&mut self, bytes: &[u8]) {
        self.length += bytes.len();
    }
}

/// Writes to memory that was measured to be large enough.
pub(crate) struct Slice<'a> {
    rest: &'a mut [u8],
}

impl<'a> Slice<'a> {
    pub(crate) fn new(target: &'a mut [u8]) -> Self {
        Self { rest: target }
    }
}

impl Sink for Slice<'_> {
    fn put(&mut self, bytes: &[u8]) {
        let (written, rest) = std::mem::take(&mut self.rest).split_at_mut(bytes.len());
        written.copy_from_slice(bytes);
        self.rest = rest;
    }
}
