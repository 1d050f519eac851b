//! The frames by which a worker introduces itself.

use super::Payload;
use crate::error::WireError;
use crate::reader::Reader;
use crate::sink::Sink;

/// Who a worker is and what it can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerRegister<'a> {
    /// Where it works.
    pub namespaces: Vec<&'a str>,
    /// The queue it takes work from.
    pub task_queue: &'a str,
    /// The machine it runs on.
    pub node: Option<&'a str>,
    /// Names of what it can do.
    pub activity_types: Vec<&'a str>,
    /// The worker's own name.
    pub identity: &'a str,
    /// The census. `None` where the trailing list is absent, as 0.2.1 peers send it, which differs from an empty one.
    pub activities: Option<Vec<Activity<'a>>>,
}

/// One activity of a worker's census. The schemas are JSON text that the codec does not parse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Activity<'a> {
    /// Name of the activity.
    pub name: &'a str,
    /// Schema of what it takes.
    pub input_schema_json: &'a str,
    /// Schema of what it returns.
    pub output_schema_json: &'a str,
}

/// The answer to a registration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkerRegisterAck<'a> {
    /// The worker is known.
    Accepted,
    /// The worker is not taken.
    Rejected {
        /// For people.
        reason: &'a str,
    },
}

/// Bytes of the shortest string.
const MIN_STR: usize = 4;

impl<'a> Payload<'a> for WorkerRegister<'a> {
    fn decode(reader: &mut Reader<'a>, _flags: u8) -> Result<Self, WireError> {
        Ok(Self {
            namespaces: reader.list(MIN_STR, Reader::str)?,
            task_queue: reader.str()?,
            node: reader.optional(Reader::str)?,
            activity_types: reader.list(MIN_STR, Reader::str)?,
            identity: reader.str()?,
            activities: if reader.is_empty() { None } else { Some(reader.list(3 * MIN_STR, Activity::decode)?) },
        })
    }

    fn encode(&self, sink: &mut impl Sink) {
        put_strings(sink, &self.namespaces);
        sink.put_str(self.task_queue);
        sink.put_optional(self.node, Sink::put_str);
        put_strings(sink, &self.activity_types);
        sink.put_str(self.identity);
        if let Some(activities) = &self.activities {
            sink.put_length(activities.len());
            for activity in activities {
                sink.put_str(activity.name);
                sink.put_str(activity.input_schema_json);
                sink.put_str(activity.output_schema_json);
            }
        }
    }
}

impl<'a> Activity<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, WireError> {
        Ok(Self { name: reader.str()?, input_schema_json: reader.str()?, output_schema_json: reader.str()? })
    }
}

fn put_strings(sink: &mut impl Sink, strings: &[&str]) {
    sink.put_length(strings.len());
    for text in strings {
        sink.put_str(text);
    }
}

impl<'a> Payload<'a> for WorkerRegisterAck<'a> {
    fn decode(reader: &mut Reader<'a>, _flags: u8) -> Result<Self, WireError> {
        match reader.u8()? {
            0 => Ok(Self::Accepted),
            1 => Ok(Self::Rejected { reason: reader.str()? }),
            _ => Err(WireError::Codec("a status byte is neither 0 nor 1")),
        }
    }

    fn encode(&self, sink: &mut impl Sink) {
        match self {
            Self::Accepted => sink.put_u8(0),
            Self::Rejected { reason } => {
                sink.put_u8(1);
                sink.put_str(reason);
            }
        }
    }
}
