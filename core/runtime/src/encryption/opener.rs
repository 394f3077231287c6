//! Opening sealed payloads with private keys: for handlers, for readers, and for who shows single records.
//!
//! Made where an app or a reader starts; used on any thread, and changed by none. Guarantee: a payload is clear, opened, or told why
//! it is neither.

use super::keys;
use crate::batch::{Batch, BatchInner, Group, Groups};
use crate::config::{EncryptionKeys, ReaderConfig, TopicConfig};
use crate::dead_letter::DeadLetter;
use crate::message::{Message, MessageInner};
use crate::{Error, ErrorKind, Result};
use karafka_encryption::{Envelope, KeyRing, OpenError};
use std::fmt;
use std::sync::Arc;

const OPERATION: &str = "open an encrypted payload";

/// Opens payloads with some private keys, or none.
///
/// For programs that show records as they lie in topics, such as `libkarafka tail`; handlers and readers with `encryption_keys`
/// get payloads opened.
///
/// ```
/// use karafka::{EncryptionKeys, Message, Opener, Payload};
///
/// fn shown(opener: &Opener, message: Message<'_>) -> String {
///     match opener.payload(message) {
///         Payload::Clear(payload) => format!("{payload:?}"),
///         Payload::Opened(payload) => format!("{payload:?}, which was encrypted"),
///         Payload::Sealed(why) => format!("encrypted: {}", why.message()),
///     }
/// }
/// # let _ = shown;
/// let opener = Opener::new(&EncryptionKeys::default())?;
/// # let _ = opener;
/// # Ok::<(), karafka::Error>(())
/// ```
pub struct Opener {
    ring: KeyRing,
    /// Topics that records may have been sealed for beside their own.
    topics: Vec<String>,
    required: bool,
}

/// What the payload of a record is, to somebody with certain keys.
#[derive(Debug)]
pub enum Payload<'a> {
    /// It was not encrypted; `None` for a tombstone.
    Clear(Option<&'a [u8]>),
    /// It was encrypted, and this is what was sealed.
    Opened(Box<[u8]>),
    /// It is encrypted, and does not open: an error of kind `Deserialize` that says why.
    Sealed(Error),
}

/// Why a payload is not handed on.
pub(crate) enum Closed {
    DoesNotOpen(OpenError),
    IsClear,
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DoesNotOpen(why) => fmt::Display::fmt(why, f),
            Self::IsClear => f.write_str("the record is not encrypted, and the option encryption_required is true"),
        }
    }
}

impl From<OpenError> for Closed {
    fn from(error: OpenError) -> Self {
        Self::DoesNotOpen(error)
    }
}

/// What became of the payloads of a batch that was read.
pub(crate) enum Opened {
    All(Batch),
    /// One did not open; the records before and behind it.
    Until {
        before: Option<Batch>,
        error: Error,
        behind: Option<Batch>,
    },
}

impl Opener {
    /// With these private keys, by their ids. Without any, every encrypted record is [`Payload::Sealed`].
    ///
    /// # Errors
    /// `Config` for a key that is none, or is not where it is said to be.
    pub fn new(keys: &EncryptionKeys) -> Result<Self> {
        Ok(Self { ring: keys::ring(keys)?, topics: Vec::new(), required: false })
    }

    /// What a record's payload is. A record opens in the topic that it was sealed for; a dead letter opens as in the topic that it
    /// says it came from.
    pub fn payload<'a>(&self, message: Message<'a>) -> Payload<'a> {
        let source = DeadLetter::read(message).map(|letter| letter.source_topic);
        let topics = [Some(message.topic()), source].into_iter().flatten();
        match self.open_for(topics, message.inner()) {
            Ok(None) => Payload::Clear(message.payload()),
            Ok(Some(opened)) => Payload::Opened(opened),
            Err(why) => Payload::Sealed(told(&why, message.topic(), message.partition(), message.offset())),
        }
    }

    /// Of a topic; `None` where payloads are handed on as they are.
    pub(crate) fn of(config: &TopicConfig) -> Result<Option<Self>> {
        Self::with(&config.encryption_keys, config.encryption_topics.as_deref(), config.encryption_required)
    }

    /// Of a reader; `None` where payloads are handed on as they are.
    pub(crate) fn of_reader(config: &ReaderConfig) -> Result<Option<Self>> {
        Self::with(&config.encryption_keys, config.encryption_topics.as_deref(), config.encryption_required)
    }

    fn with(keys: &EncryptionKeys, topics: Option<&str>, required: bool) -> Result<Option<Self>> {
        if keys.is_empty() {
            return Ok(None);
        }
        let topics = topics.unwrap_or_default().split(',').map(str::trim);
        let topics = topics.filter(|topic| !topic.is_empty()).map(str::to_owned).collect();
        Ok(Some(Self { ring: keys::ring(keys)?, topics, required }))
    }

    /// The payload as it was before it was sealed; `None` where it is handed on as it is.
    pub(crate) fn open(&self, topic: &str, record: &MessageInner) -> std::result::Result<Option<Box<[u8]>>, Closed> {
        self.open_for(std::iter::once(topic).chain(self.topics.iter().map(String::as_str)), record)
    }

    fn open_for<'topics>(
        &self,
        topics: impl Iterator<Item = &'topics str>,
        record: &MessageInner,
    ) -> std::result::Result<Option<Box<[u8]>>, Closed> {
        let native = record.native();
        let Some(payload) = native.payload() else { return Ok(None) };
        let headers = native.headers();
        let envelope = Envelope::find(headers.iter().map(|header| (header.name, header.value)))?;
        let Some(envelope) = envelope else {
            return if self.required { Err(Closed::IsClear) } else { Ok(None) };
        };
        Ok(Some(self.ring.open(&envelope, topics, payload)?.into_boxed_slice()))
    }

    /// Opens what was read, up to the first record that does not.
    pub(crate) fn open_batch(&self, batch: Batch) -> Opened {
        let mut payloads = Vec::with_capacity(batch.len());
        for record in &batch.0.messages {
            match self.open(&batch.0.topic, record) {
                Ok(payload) => payloads.push(payload),
                Err(why) => {
                    let index = payloads.len();
                    let error = told(&why, batch.topic(), batch.partition(), record.native().offset());
                    let (before, behind) = divided(batch, index, payloads);
                    return Opened::Until { before, error, behind };
                }
            }
        }
        Opened::All(match Arc::try_unwrap(batch.0) {
            Ok(inner) => Batch(Arc::new(BatchInner { opened: payloads, ..inner })),
            // Nobody else has seen it.
            Err(shared) => Batch(shared),
        })
    }
}

fn told(why: &Closed, topic: &str, partition: i32, offset: i64) -> Error {
    let error = Error::new(ErrorKind::Deserialize, OPERATION, why.to_string());
    error.with("topic", topic).with("partition", partition).with("offset", offset)
}

/// The records before one, with their payloads, and those behind it, which are not opened yet.
fn divided(batch: Batch, index: usize, opened: Vec<Option<Box<[u8]>>>) -> (Option<Batch>, Option<Batch>) {
    let like = batch.emptied();
    let mut messages = batch.into_messages();
    let behind = messages.split_off((index + 1).min(messages.len()));
    messages.truncate(index);
    let of = |messages: Vec<MessageInner>, opened| {
        let groups = Groups::One([Group { virtual_partition: 0, start: 0, len: messages.len() }]);
        let mut part = like.emptied();
        let inner = Arc::get_mut(&mut part.0)?;
        (inner.groups, inner.opened) = (groups, opened);
        inner.messages = messages;
        (!inner.messages.is_empty()).then_some(part)
    };
    (of(messages, opened), of(behind, Vec::new()))
}

impl fmt::Debug for Opener {
    /// Shows the ids of its keys only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opener").field("keys", &self.ring).finish_non_exhaustive()
    }
}
