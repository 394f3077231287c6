//! What an app, a topic and a producer can be told: one table of options, and everything made from it.
//!
//! Owns the names, types, units, ranges, defaults and descriptions of all options (`table`), their validation, the
//! typed structs [`AppConfig`], [`TopicConfig`], [`ProducerConfig`], [`ReaderConfig`] and [`AdminConfig`], the rules for raw librdkafka settings, and the
//! text of `docs/configuration.md` ([`reference()`]). A new option is one entry of the table; setters of C, keywords of
//! Ruby and Python, checks and documentation follow.
//!
//! Called by the bindings and by programs while they set an app up, on any thread. Nothing here has a thread, opens a
//! connection, reads a file or loads code. All problems of a set of options are reported at once, in one error of kind
//! [`ErrorKind::Config`](crate::ErrorKind::Config), one problem a line; values of secret settings appear in no error
//! and no `Debug` output.
//!
//! ```
//! use karafka::config::{AppConfig, Value};
//!
//! let settings = [
//!     ("bootstrap_servers".to_owned(), Value::from("kafka-1:9092,kafka-2:9092")),
//!     ("shutdown_timeout".to_owned(), Value::from("90s")),
//!     ("concurrency".to_owned(), Value::from(50)),
//! ];
//! let config = AppConfig::from_settings(&settings)?;
//! assert_eq!(config.concurrency, 50);
//!
//! let wrong = [("concurency".to_owned(), Value::from(50))];
//! let error = AppConfig::from_settings(&wrong).unwrap_err();
//! assert!(error.message().contains("did you mean `concurrency`?"));
//! # Ok::<(), karafka::Error>(())
//! ```

mod app;
mod choice;
mod defaults;
mod failures;
mod field;
mod group;
mod kafka;
mod kafka_names;
mod keys;
mod names;
pub(crate) mod numbers;
mod option;
mod outputs;
mod problem;
mod producer;
mod quantity;
mod reader;
mod reference;
mod table;
mod topic;
mod transactions;
mod value;

#[cfg(test)]
mod tests;

pub use choice::{
    GroupProtocol, InitialOffset, LogFormat, LogLevel, OffsetMetadataStrategy, OutputCheck, ReadUntil, Scheduling,
    UniqueBy, VirtualPartitions,
};
pub use defaults::{consumer_defaults, producer_defaults};
pub use kafka::redacted;
pub use kafka_names::is_secret;
pub use keys::EncryptionKeys;
pub(crate) use keys::Source;
pub use names::{validate_existing_group_name, validate_group_name, validate_topic_name, validate_topic_or_pattern};
pub use option::{Kind, OptionSpec, Scope};
pub use outputs::{Output, Outputs};
pub use reference::reference;
pub use table::{AdminConfig, AppConfig, ProducerConfig, ReaderConfig, TopicConfig, options};
pub use value::{Settings, Value};
