//! libkarafka: process Apache Kafka topics in parallel, in order per key, losing nothing.
//!
//! An [`App`] reads topics as a member of consumer groups, spreads their records over *virtual partitions*, runs handlers on
//! threads that it manages, and commits exactly what was handled, message by message.
//!
//! ```no_run
//! use karafka::{App, AppConfig, Failure, TopicConfig, VirtualPartitions, handler_fn};
//!
//! # fn main() -> karafka::Result<()> {
//! let app = App::new(AppConfig { bootstrap_servers: "localhost:9092".into(), group: "billing".into(), ..AppConfig::default() })?;
//! let by_key = TopicConfig { virtual_partitions: VirtualPartitions::ByKey, ..TopicConfig::default() };
//! app.topic("orders", by_key, handler_fn(|batch, _context| {
//!     for message in batch.iter() {
//!         println!("{:?} {:?}", message.key(), message.payload());
//!     }
//!     Ok::<(), Failure>(())
//! }))?;
//! app.run()
//! # }
//! ```
//!
//! # Threads
//!
//! | thread | how many | may block | runs user code |
//! |---|---|---|---|
//! | `karafka-poll` | one an app | no | no |
//! | `karafka-work-n` | `concurrency`, or lent by a host language | in user code only | yes |
//! | `karafka-slots` | one, when a topic's handlers finish later | in user code only | yes |
//! | `karafka-produce` | one a process, when it has producers | no | no |
//! | `karafka-deliver` | one a producer, from its first delivery callback | in user code only | delivery callbacks |
//! | `karafka-letters` | one an app, from its first dead letter | on brokers | no |
//! | `karafka-choose` | one, when the app has a scheduler | in user code only | the scheduler |
//! | `karafka-signals` | one a process, when signals were asked for | no | no |
//! | `karafka-look`, `karafka-close` | one for a look at a cluster's topics, or a client that ends | on brokers | no |
//! | librdkafka's own | per client | - | no |
//!
//! # Guarantees
//!
//! At least once: a record is committed only after its handler succeeded or marked it. In order: records of one virtual
//! partition are handled one after another. Owned: nothing is marked or committed for a partition that went elsewhere.

mod admin;
mod allocator;
mod app;
mod batch;
pub mod config;
mod context;
mod dead_letter;
mod desk;
mod embedded;
mod encryption;
mod error;
mod event;
mod failure;
mod flow;
mod handler;
mod hook;
mod job;
mod lease;
mod letter;
#[doc(hidden)]
pub mod lock;
mod log;
mod message;
mod native;
mod output;
mod pattern;
mod poller;
mod pool;
mod position;
mod producer;
mod reader;
mod recurring;
mod redrive;
mod report;
mod scheduled;
mod scheduler;
mod seat;
mod shared;
mod signal;
mod statistics;
mod sync;
mod transaction;
mod wake;

/// The Rust examples of docs/options, docs/producer and docs/admin.
#[cfg(doctest)]
mod examples {
    include!(concat!(env!("OUT_DIR"), "/examples.rs"));
}

pub use admin::{
    Acl, AclFilter, AclOperation, AclPattern, AclPermission, AclResource, Admin, Answer, Broker, ClusterDescription,
    ConfigEntry, ConfigResource, DeclaredTopic, GroupDescription, GroupListing, GroupMember, GroupOffset, NewTopic,
    Outcomes, PartitionDescription, PartitionLag, Step, TopicDescription, Watermarks,
};
#[doc(hidden)]
pub use allocator::Allocator;
pub use app::{App, SeatKind, SeatRunner, Work};
pub use batch::{Batch, BatchMetadata, Group};
pub use config::{
    AdminConfig, AppConfig, EncryptionKeys, GroupProtocol, InitialOffset, LogFormat, LogLevel, OffsetMetadataStrategy,
    Output, OutputCheck, Outputs, ProducerConfig, Scheduling, Settings, TopicConfig, UniqueBy, Value,
    VirtualPartitions,
};
pub use context::Context;
pub use dead_letter::{DeadLetter, LetterFilter};
pub use embedded::EmbeddedBroker;
pub use encryption::{Opener, Payload};
pub use error::{Error, ErrorKind, Result, Status};
pub use event::{
    Event, EventClass, EventSpec, Events, EventsInterrupter, FieldSpec, FieldValue, NoEvent, Phase, event_reference,
    events,
};
pub use handler::{Handler, filtered, handler_fn, partitioned_handler_fn, unique_handler_fn};
pub use hook::{Hook, Hooked, hooked};
pub use job::{Failure, FilterAnswer, Job, JobKind, Verdict};
pub use karafka_encryption::header as encryption_header;
pub use letter::header as dead_letter_header;
pub use log::log_to_stderr;
pub use message::{Header, Message, Timestamp, TimestampKind};
#[doc(hidden)]
pub use native::fork_epoch;
#[doc(hidden)]
pub use output::OutputScope;
pub use position::SeekTo;
pub use producer::{
    Deliveries, Delivery, DeliveryReport, Middleware, OnDelivery, OwnedRecord, Partitioner, Producer, ProducerHooks,
    Record, Recorded,
};
pub use reader::{Place, ReadFrom, ReadUntil, Reader, ReaderConfig, ReaderInterrupter, Selection, Waited};
pub use recurring::{RecurringTasks, RecurringTasksConfig, TaskFunction, TaskRun};
pub use redrive::{Redrive, RedriveConfig, RedriveProgress, RedriveStopper};
pub use scheduled::ScheduledMessagesConfig;
pub use scheduler::{Asked, Candidate, Question, Questions, Scheduler};
pub use seat::{Interrupter, Next, Seat};
pub use signal::{Signal, SignalGuard, on_stop_signal};
pub use statistics::{BrokerStatistics, Call, ClientStatistics, PartitionStatistics, Statistics};
pub use transaction::{Transaction, TransactionalProducer};

/// libkarafka's version, such as "0.1.0".
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The version of librdkafka that is linked in, such as "2.12.1".
pub fn librdkafka_version() -> String {
    native::version()
}
