//! Options whose value is one of a few words, as types.
//!
//! Plain data, read and shown by `field`.

use std::fmt;

use super::value::Value;

/// How one partition is split into parts that run in parallel, each in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum VirtualPartitions {
    /// Not split: all messages of a partition run in order, one call at a time.
    #[default]
    Off,
    /// Every distinct key with messages waiting or running is a part of its own.
    ByKey,
    /// Keys are hashed to this many parts, the same after each restart.
    Fixed(u32),
    /// What the topic's partitioner returns takes the place of the key.
    Callback,
    /// Every message is a part of its own: no order.
    RoundRobin,
}

impl VirtualPartitions {
    /// Most parts of a fixed split.
    pub const MOST: u32 = 4096;

    /// The values it takes, in words.
    pub(super) const RANGE: &str =
        "\"off\", \"by_key\", \"round_robin\", \"callback\", or a fixed number from 1 to 4096";

    /// Reads the words and numbers of all languages. A number is not checked against the range here.
    pub(super) fn read(value: &Value) -> Option<Self> {
        match value {
            Value::Bool(true) => Some(Self::ByKey),
            Value::Bool(false) => Some(Self::Off),
            Value::Integer(parts) => u32::try_from(*parts).ok().map(Self::Fixed),
            Value::Text(text) => match text.as_str() {
                "off" => Some(Self::Off),
                "by_key" => Some(Self::ByKey),
                "callback" => Some(Self::Callback),
                "round_robin" => Some(Self::RoundRobin),
                fixed => fixed.strip_prefix("fixed:")?.parse().ok().map(Self::Fixed),
            },
            Value::Float(_) | Value::Map(_) => None,
        }
    }

    /// Whether the number of parts is in range.
    pub(super) fn is_valid(self) -> bool {
        !matches!(self, Self::Fixed(parts) if parts == 0 || parts > Self::MOST)
    }
}

impl fmt::Display for VirtualPartitions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::ByKey => f.write_str("by_key"),
            Self::Fixed(parts) => write!(f, "fixed:{parts}"),
            Self::Callback => f.write_str("callback"),
            Self::RoundRobin => f.write_str("round_robin"),
        }
    }
}

/// A type whose values are words.
pub(super) trait Words: Sized + Copy + 'static {
    /// All words, in the order in which documentation lists them.
    const WORDS: &'static [&'static str];

    /// The value that a word stands for.
    fn from_word(word: &str) -> Option<Self>;

    /// The word for a value.
    fn word(self) -> &'static str;
}

/// Defines an enum, its words and its `Display`.
macro_rules! words {
    ($(#[$about:meta])+ $name:ident { $($(#[$meaning:meta])+ $variant:ident = $word:literal,)+ }) => {
        $(#[$about])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
        pub enum $name {
            $($(#[$meaning])+ $variant,)+
        }

        impl Words for $name {
            const WORDS: &'static [&'static str] = &[$($word),+];

            fn from_word(word: &str) -> Option<Self> {
                match word {
                    $($word => Some(Self::$variant),)+
                    _ => None,
                }
            }

            fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.word())
            }
        }
    };
}

words! {
    /// The protocol by which members of a group share partitions.
    GroupProtocol {
        /// The members' leader assigns; every broker knows it.
        #[default]
        Classic = "classic",
        /// The broker assigns (KIP-848, Kafka 4.0 and newer): no pause of partitions that stay where they are.
        Consumer = "consumer",
    }
}

words! {
    /// Which of the texts that were given with marks is stored with the committed offset.
    OffsetMetadataStrategy {
        /// The one given last.
        #[default]
        Current = "current",
        /// The one of the last message before the committed offset that was given one.
        Exact = "exact",
    }
}

words! {
    /// What it is when a call writes otherwise than its topic says it `produces`.
    OutputCheck {
        /// An error in tests: on the embedded broker, and with a testing producer. Else an event.
        #[default]
        Auto = "auto",
        /// An error: of the call that produces, or of the handler's call.
        Error = "error",
        /// An event.
        Event = "event",
    }
}

words! {
    /// Whose turn it is when more work waits than seats are free, among topics of the same priority.
    Scheduling {
        /// The partition's that waits longest; it waits anew after each call.
        #[default]
        FirstCome = "first_come",
        /// The next topic's; inside a topic partitions take turns.
        Fair = "fair",
        /// The partition's whose next call takes longest, by what its topic's messages took so far.
        LongestFirst = "longest_first",
    }
}

words! {
    /// What no two messages may have in common that are handled at the same time.
    UniqueBy {
        /// Nothing.
        #[default]
        Off = "off",
        /// Their keys.
        Key = "key",
        /// What the topic's callback answers.
        Callback = "callback",
    }
}

words! {
    /// Where a partition starts that its group has never committed.
    InitialOffset {
        /// With the oldest message.
        #[default]
        Earliest = "earliest",
        /// With messages that arrive after the assignment.
        Latest = "latest",
    }
}

words! {
    /// When a reader has read everything.
    ReadUntil {
        /// When every partition was read as far as it went when the reader was opened.
        #[default]
        End = "end",
        /// Never: it waits for what comes.
        Forever = "forever",
    }
}

words! {
    /// Whether and how log lines are written to the standard error stream.
    LogFormat {
        /// Not at all: a program that collects `tracing` gets them.
        #[default]
        Off = "off",
        /// For people.
        Text = "text",
        /// For machines: an object a line.
        Json = "json",
    }
}

words! {
    /// The least important log lines that are written.
    LogLevel {
        /// What failed.
        Error = "error",
        /// What is unusual, handlers that failed among it.
        Warn = "warn",
        /// What happens.
        #[default]
        Info = "info",
        /// Much more, for finding a fault.
        Debug = "debug",
        /// Everything.
        Trace = "trace",
    }
}
