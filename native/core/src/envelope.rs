use crate::error::WireError;
use crate::reader::Reader;
use crate::sink::Sink;

/// The content address of a schema: the SHA-256 of its canonical form.
pub type SchemaId = [u8; 32];

/// What a message says about its origin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CausalContext<'a> {
    /// The message that led to this one.
    pub parent_id: Option<&'a str>,
    /// The sender's logical clock.
    pub vector_clock_entry: Option<u64>,
}

/// A message: schema id, causal context and a payload that the codec never looks into (wire §3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// The schema that the payload follows.
    pub schema_id: &'a SchemaId,
    /// Where the message came from.
    pub causal: CausalContext<'a>,
    /// The message itself.
    pub payload: &'a [u8],
}

impl<'a> CausalContext<'a> {
    pub(crate) fn decode(block: &'a [u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(block);
        let causal =
            Self { parent_id: reader.optional(Reader::str)?, vector_clock_entry: reader.optional(Reader::u64)? };
        reader.finish()?;
        Ok(causal)
    }

    fn length(&self) -> usize {
        2 + self.parent_id.map_or(0, |id| 4 + id.len()) + self.vector_clock_entry.map_or(0, |_| 8)
    }

    fn encode(&self, sink: &mut impl Sink) {
        sink.put_optional(self.parent_id, Sink::put_str);
        sink.put_optional(self.vector_clock_entry, Sink::put_u64);
    }
}

impl<'a> Envelope<'a> {
    /// The env-field of wire §3: a u32 length and the envelope.
    pub(crate) fn decode_field(reader: &mut Reader<'a>) -> Result<Self, WireError> {
        let mut block = Reader::new(reader.bytes()?);
        let envelope = Self {
            schema_id: block.schema()?,
            causal: CausalContext::decode(block.bytes()?)?,
            payload: block.bytes()?,
        };
        block.finish()?;
        Ok(envelope)
    }

    pub(crate) fn encode_field(&self, sink: &mut impl Sink) {
        sink.put_length(size_of::<SchemaId>() + 4 + self.causal.length() + 4 + self.payload.len());
        sink.put(self.schema_id);
        sink.put_length(self.causal.length());
        self.causal.encode(sink);
        sink.put_bytes(self.payload);
    }
}
