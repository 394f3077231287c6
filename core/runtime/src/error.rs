//! The one error type of libkarafka.
//!
//! Kinds are few and the same in every language: Rust gets [`Error`], C the codes of [`ErrorKind::code`], Ruby and Python
//! one exception class per kind. A message says what was tried, on what, what happened and what to do.

use std::fmt;
use std::sync::Arc;

/// What went wrong, in words that all languages share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A setting is unknown, out of range or contradicts another. Nothing was started.
    Config,
    /// A broker answered with an error, or none could be reached.
    Broker,
    /// Authentication or authorisation failed.
    Auth,
    /// Something did not happen within its time.
    Timeout,
    /// Another member or producer has taken this one's place.
    Fenced,
    /// The partition is no longer assigned to this process.
    NotOwned,
    /// User code failed.
    Handler,
    /// Bytes could not be turned into a value.
    Deserialize,
    /// A transaction could not be begun, committed or aborted.
    Transaction,
    /// A local queue is full.
    QueueFull,
    /// The app or producer is stopped, or is not in a state that allows the call.
    Stopped,
    /// The handle belongs to the parent of this forked process.
    Forked,
    /// The broker or the build cannot do this.
    Unsupported,
    /// A defect of libkarafka. Please report it.
    Internal,
}

impl ErrorKind {
    /// Every kind, in the order of their codes.
    pub const ALL: [Self; 14] = [
        Self::Config,
        Self::Broker,
        Self::Auth,
        Self::Timeout,
        Self::Fenced,
        Self::NotOwned,
        Self::Handler,
        Self::Deserialize,
        Self::Transaction,
        Self::QueueFull,
        Self::Stopped,
        Self::Forked,
        Self::Unsupported,
        Self::Internal,
    ];

    /// The kind's number in the C ABI. Numbers are never reused.
    pub const fn code(self) -> u32 {
        match self {
            Self::Config => 1,
            Self::Broker => 2,
            Self::Auth => 3,
            Self::Timeout => 4,
            Self::Fenced => 5,
            Self::NotOwned => 6,
            Self::Handler => 7,
            Self::Deserialize => 8,
            Self::Transaction => 9,
            Self::QueueFull => 10,
            Self::Stopped => 11,
            Self::Forked => 12,
            Self::Unsupported => 13,
            Self::Internal => 14,
        }
    }

    /// The kind's name, as in Ruby's and Python's class names without their suffix `Error`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Config => "Config",
            Self::Broker => "Broker",
            Self::Auth => "Auth",
            Self::Timeout => "Timeout",
            Self::Fenced => "Fenced",
            Self::NotOwned => "NotOwned",
            Self::Handler => "Handler",
            Self::Deserialize => "Deserialize",
            Self::Transaction => "Transaction",
            Self::QueueFull => "QueueFull",
            Self::Stopped => "Stopped",
            Self::Forked => "Forked",
            Self::Unsupported => "Unsupported",
            Self::Internal => "Internal",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Whether trying again can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// Neither retriable nor fatal.
    Plain,
    /// The same call may succeed later.
    Retriable,
    /// The handle cannot be used any more.
    Fatal,
}

/// Shared, so that an error can be told to everybody who asks.
type Source = Arc<dyn std::error::Error + Send + Sync + 'static>;

/// An error of libkarafka: its kind, whether a retry can help, what was tried and on what.
///
/// ```
/// use karafka::{Error, ErrorKind};
///
/// let error = Error::new(ErrorKind::Timeout, "produce", "no acknowledgement within 5 s").with("topic", "orders");
/// assert_eq!(error.to_string(), "produce: no acknowledgement within 5 s (topic: orders)");
/// ```
#[derive(Debug, Clone)]
pub struct Error(Box<Inner>);

#[derive(Debug, Clone)]
struct Inner {
    kind: ErrorKind,
    status: Status,
    operation: &'static str,
    message: String,
    context: Vec<(&'static str, String)>,
    kafka_code: Option<i32>,
    source: Option<Source>,
}

/// The result of a fallible call of libkarafka.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of the given kind: `operation` names what was tried, `message` what happened and what to do.
    pub fn new(kind: ErrorKind, operation: &'static str, message: impl Into<String>) -> Self {
        let inner = Inner {
            kind,
            status: Status::Plain,
            operation,
            message: message.into(),
            context: Vec::new(),
            kafka_code: None,
            source: None,
        };
        Self(Box::new(inner))
    }

    /// Adds what the operation was tried on.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        self.0.context.push((name, value.to_string()));
        self
    }

    /// Says that the same call may succeed later.
    #[must_use]
    pub fn retriable(mut self) -> Self {
        self.0.status = Status::Retriable;
        self
    }

    /// Says that the handle cannot be used any more.
    #[must_use]
    pub fn fatal(mut self) -> Self {
        self.0.status = Status::Fatal;
        self
    }

    /// Keeps Kafka's own error code (negative: local to librdkafka).
    #[must_use]
    pub fn kafka_code(mut self, code: i32) -> Self {
        self.0.kafka_code = Some(code);
        self
    }

    /// Keeps the error this one came from.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync + 'static>>) -> Self {
        self.0.source = Some(Arc::from(source.into()));
        self
    }

    /// What went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether trying again can help.
    pub fn status(&self) -> Status {
        self.0.status
    }

    /// Whether the same call may succeed later.
    pub fn is_retriable(&self) -> bool {
        self.0.status == Status::Retriable
    }

    /// Whether the handle cannot be used any more.
    pub fn is_fatal(&self) -> bool {
        self.0.status == Status::Fatal
    }

    /// The code with which a program should end that ends with this error: 2 when the stop was forced, 3 when the parent of
    /// the process is gone, else 1.
    pub fn exit_code(&self) -> u8 {
        match (self.0.kind, self.0.operation) {
            (ErrorKind::Timeout, "stop") => 2,
            (ErrorKind::Stopped, "outlive the parent") => 3,
            _ => 1,
        }
    }

    /// What was tried.
    pub fn operation(&self) -> &'static str {
        self.0.operation
    }

    /// What happened, without operation and context.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// What the operation was tried on, as pairs of name and value.
    pub fn context(&self) -> &[(&'static str, String)] {
        &self.0.context
    }

    /// Kafka's error code, where there is one (negative: local to librdkafka).
    pub fn kafka(&self) -> Option<i32> {
        self.0.kafka_code
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.operation, self.0.message)?;
        for (position, (name, value)) in self.0.context.iter().enumerate() {
            let before = if position == 0 { " (" } else { ", " };
            write!(f, "{before}{name}: {value}")?;
        }
        if self.0.context.is_empty() { Ok(()) } else { f.write_str(")") }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn std::error::Error + 'static))
    }
}
