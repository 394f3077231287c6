//! How a message that waits lies in its topic.
//!
//! Pure. The record's key is the message's id, its payload the message's; where and when it goes stands in headers before the
//! message's own, of which `schedule_at` is the last. A record without payload and headers of ours ends the message of its key. The
//! layout is a promise to every later version: docs/schedule/scheduled-messages.md describes it.

/// What the layout is called.
pub const VERSION: &str = "1";

/// Names of the headers.
pub mod header {
    /// The layout's version; always the first.
    pub const VERSION: &str = "schedule_version";
    /// The topic that the message goes to.
    pub const TOPIC: &str = "schedule_topic";
    /// Its partition there, where it has one.
    pub const PARTITION: &str = "schedule_partition";
    /// What chooses the partition in place of the key, where something does.
    pub const PARTITION_KEY: &str = "schedule_partition_key";
    /// The message's key, where it has one.
    pub const KEY: &str = "schedule_key";
    /// The timestamp that the message is to have, where one was given.
    pub const TIMESTAMP: &str = "schedule_timestamp";
    /// There, with the value `1`, when the message is a tombstone.
    pub const TOMBSTONE: &str = "schedule_tombstone";
    /// When the message goes; always the last.
    pub const AT: &str = "schedule_at";
    /// On the tombstone of a message: why it waits no more, `sent` or `cancelled`. For people.
    pub const END: &str = "schedule_end";
}

/// A header's name and value.
pub type Header<'a> = (&'a [u8], Option<&'a [u8]>);

/// Where and when a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// When: milliseconds since 1970-01-01 UTC.
    pub at: i64,
    /// The topic.
    pub topic: &'a str,
    /// The partition, where one was given.
    pub partition: Option<i32>,
    /// What chooses the partition in place of the key.
    pub partition_key: Option<&'a [u8]>,
    /// The key; `None` for none.
    pub key: Option<&'a [u8]>,
    /// The timestamp, where one was given.
    pub timestamp: Option<i64>,
    /// Whether the message has no payload.
    pub is_tombstone: bool,
}

impl<'a> Envelope<'a> {
    /// The headers that say so, to be put before the message's own.
    pub fn headers(&self) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
        let mut headers = Vec::with_capacity(8);
        let mut add = |name: &str, value: &[u8]| headers.push((name.as_bytes().to_vec(), Some(value.to_vec())));
        add(header::VERSION, VERSION.as_bytes());
        add(header::TOPIC, self.topic.as_bytes());
        if let Some(partition) = self.partition {
            add(header::PARTITION, partition.to_string().as_bytes());
        }
        if let Some(partition_key) = self.partition_key {
            add(header::PARTITION_KEY, partition_key);
        }
        if let Some(key) = self.key {
            add(header::KEY, key);
        }
        if let Some(timestamp) = self.timestamp {
            add(header::TIMESTAMP, timestamp.to_string().as_bytes());
        }
        if self.is_tombstone {
            add(header::TOMBSTONE, b"1");
        }
        add(header::AT, self.at.to_string().as_bytes());
        headers
    }

    /// Reads the headers of a record, and how many of them are ours: those behind them are the message's own.
    ///
    /// # Errors
    /// What is wrong with them, in words.
    pub fn read(headers: &[Header<'a>]) -> Result<(Self, usize), String> {
        let (mut version, mut topic, mut at) = (None, None, None);
        let mut envelope = Envelope {
            at: 0,
            topic: "",
            partition: None,
            partition_key: None,
            key: None,
            timestamp: None,
            is_tombstone: false,
        };
        let mut ours = 0;
        for (name, value) in headers {
            ours += 1;
            let name = std::str::from_utf8(name).map_err(|_| "a header that is none of a scheduled message")?;
            let value = value.ok_or_else(|| format!("the header {name} has no value"))?;
            match name {
                header::VERSION => version = Some(text(name, value)?),
                header::TOPIC => topic = Some(text(name, value)?),
                header::PARTITION => envelope.partition = Some(number(name, value)?),
                header::PARTITION_KEY => envelope.partition_key = Some(value),
                header::KEY => envelope.key = Some(value),
                header::TIMESTAMP => envelope.timestamp = Some(number(name, value)?),
                header::TOMBSTONE => envelope.is_tombstone = true,
                header::AT => {
                    at = Some(number(name, value)?);
                    break;
                }
                _ => return Err(format!("{name} is no header of a scheduled message")),
            }
        }
        match version {
            Some(VERSION) => {}
            Some(other) => return Err(format!("layout {other} is not known here: a newer version has written it")),
            None => return Err(format!("no header {}: it was not put here by schedule", header::VERSION)),
        }
        envelope.topic = topic.ok_or_else(|| format!("no header {}", header::TOPIC))?;
        envelope.at = at.ok_or_else(|| format!("no header {}", header::AT))?;
        Ok((envelope, ours))
    }
}

fn text<'a>(name: &str, value: &'a [u8]) -> Result<&'a str, String> {
    std::str::from_utf8(value).map_err(|_| format!("the header {name} is no text"))
}

fn number<N: std::str::FromStr>(name: &str, value: &[u8]) -> Result<N, String> {
    let value = text(name, value)?;
    value.parse().map_err(|_| format!("the header {name} is {value:?}, which is no number"))
}
