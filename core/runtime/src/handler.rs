//! User code in Rust.
//!
//! Called on the core's worker threads, by several at once; the same virtual partition never on two.

use crate::batch::Batch;
use crate::context::Context;
use crate::hook::Hook;
use crate::job::{Failure, FilterAnswer, Job, Verdict};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Handles the records of a topic.
///
/// Most handlers are closures: see [`handler_fn`]. Implement the trait to finish jobs later, from another thread.
pub trait Handler: Send + Sync + 'static {
    /// Handles one job: ends it by [`Job::done`] or [`Job::fail`], now or later, here or on another thread.
    fn handle(&self, job: Job);

    /// Names the keys of a job's records, for topics whose virtual partitions are chosen by a callback; answers by
    /// [`Job::complete_keys`].
    fn partition(&self, job: Job) {
        job.fail(Failure::new("NoPartitioner", "the topic asks for a callback partitioner, and its handler has none"));
    }

    /// Decides about a record that failed, for topics with `dead_letter_queue_strategy`: called where the call of the
    /// handler ended, with its job, which holds the record and its [`Job::earlier_failures`], and the failure. A panic has
    /// the record tried again.
    fn strategy(&self, job: &Job, failure: &Failure) -> Verdict {
        let _ = (job, failure);
        Verdict::Unsaid
    }

    /// Says for each record of a job what no other record may have that is handled at the same time, for topics whose
    /// `unique_by` is a callback; answers by [`Job::complete_keys`]. An empty value does not limit the record.
    fn unique_value(&self, job: Job) {
        job.fail(Failure::new(
            "NoUniqueValue",
            "the topic asks for a callback for unique values, and its handler has none",
        ));
    }

    /// Says of each record of a job whether it is handled, for topics with the option `filter`; answers by
    /// [`Job::complete_filter`]. What it skips counts as finished. Called before partitioner and handler, on the same
    /// threads; once for each record in an ownership of its partition.
    fn filter(&self, job: Job) {
        job.fail(Failure::new("NoFilter", "the topic has the option filter, and its handler has none"));
    }

    /// The hooks that the handler wants to be called for. Asked when the topic is registered.
    fn hooks(&self) -> Vec<Hook> {
        Vec::new()
    }

    /// A hook, for which the job has no records: ends the job by [`Job::done`] or [`Job::fail`], now or later. It is called
    /// for those that [`Self::hooks`] names.
    fn hook(&self, _hook: Hook, job: Job) {
        job.done();
    }
}

struct Closure<F>(F);

impl<F, E> Handler for Closure<F>
where
    F: Fn(&Batch, &Context) -> Result<(), E> + Send + Sync + 'static,
    E: Into<Failure>,
{
    fn handle(&self, job: Job) {
        match (self.0)(job.batch(), job.context()) {
            Ok(()) => job.done(),
            Err(error) => job.fail(error),
        }
    }
}

/// Makes a handler of a closure: `Ok` marks the batch, `Err` has it tried again.
///
/// ```
/// use karafka::{Batch, Context, Failure, handler_fn};
///
/// let handler = handler_fn(|batch: &Batch, _context: &Context| {
///     for message in batch.iter() {
///         println!("{} bytes at {}", message.payload().map_or(0, <[u8]>::len), message.offset());
///     }
///     Ok::<(), Failure>(())
/// });
/// # let _ = handler;
/// ```
pub fn handler_fn<F, E>(function: F) -> impl Handler
where
    F: Fn(&Batch, &Context) -> Result<(), E> + Send + Sync + 'static,
    E: Into<Failure>,
{
    Closure(function)
}

/// A handler with a callback partitioner: `key` names the virtual partition of each record.
pub fn partitioned_handler_fn<F, E, P, K>(key: P, function: F) -> impl Handler
where
    F: Fn(&Batch, &Context) -> Result<(), E> + Send + Sync + 'static,
    E: Into<Failure>,
    P: Fn(crate::Message<'_>) -> K + Send + Sync + 'static,
    K: AsRef<[u8]>,
{
    Partitioned { key, function }
}

/// A handler whose topic has `unique_by` set to `callback`: `value` says what no two records may have in common that are handled
/// at the same time, in this process; an empty value does not limit a record.
///
/// ```
/// use karafka::{Batch, Context, Failure, Message, unique_handler_fn};
///
/// let account = |message: Message<'_>| message.payload().unwrap_or_default().get(..8).unwrap_or_default().to_vec();
/// let handler = unique_handler_fn(account, |_batch: &Batch, _context: &Context| Ok::<(), Failure>(()));
/// # let _ = handler;
/// ```
pub fn unique_handler_fn<F, E, V, K>(value: V, function: F) -> impl Handler
where
    F: Fn(&Batch, &Context) -> Result<(), E> + Send + Sync + 'static,
    E: Into<Failure>,
    V: Fn(crate::Message<'_>) -> K + Send + Sync + 'static,
    K: AsRef<[u8]>,
{
    Unique { value, function }
}

struct Unique<V, F> {
    value: V,
    function: F,
}

impl<F, E, V, K> Handler for Unique<V, F>
where
    F: Fn(&Batch, &Context) -> Result<(), E> + Send + Sync + 'static,
    E: Into<Failure>,
    V: Fn(crate::Message<'_>) -> K + Send + Sync + 'static,
    K: AsRef<[u8]>,
{
    fn handle(&self, job: Job) {
        match (self.function)(job.batch(), job.context()) {
            Ok(()) => job.done(),
            Err(error) => job.fail(error),
        }
    }

    fn unique_value(&self, job: Job) {
        let values: Vec<K> = job.batch().iter().map(&self.value).collect();
        job.complete_keys(&values);
    }
}

struct Partitioned<P, F> {
    key: P,
    function: F,
}

impl<F, E, P, K> Handler for Partitioned<P, F>
where
    F: Fn(&Batch, &Context) -> Result<(), E> + Send + Sync + 'static,
    E: Into<Failure>,
    P: Fn(crate::Message<'_>) -> K + Send + Sync + 'static,
    K: AsRef<[u8]>,
{
    fn handle(&self, job: Job) {
        match (self.function)(job.batch(), job.context()) {
            Ok(()) => job.done(),
            Err(error) => job.fail(error),
        }
    }

    fn partition(&self, job: Job) {
        let keys: Vec<K> = job.batch().iter().map(&self.key).collect();
        job.complete_keys(&keys);
    }
}

/// A handler with a filter: only records of which `keep` says true are handled, the others count as finished. The topic needs
/// the option `filter`. A record at which `keep` panics is handled, and an event tells of it.
///
/// ```
/// use karafka::{Batch, Context, Failure, Message, TopicConfig, filtered, handler_fn};
///
/// let config = TopicConfig { filter: true, ..TopicConfig::default() };
/// let handler = filtered(
///     |message: Message<'_>| !message.is_tombstone(),
///     handler_fn(|_batch: &Batch, _context: &Context| Ok::<(), Failure>(())),
/// );
/// # let _ = (config, handler);
/// ```
pub fn filtered<P>(keep: P, handler: impl Handler) -> impl Handler
where
    P: Fn(crate::Message<'_>) -> bool + Send + Sync + 'static,
{
    Filtered { keep, handler }
}

struct Filtered<P, H> {
    keep: P,
    handler: H,
}

impl<P, H: Handler> Handler for Filtered<P, H>
where
    P: Fn(crate::Message<'_>) -> bool + Send + Sync + 'static,
{
    fn handle(&self, job: Job) {
        self.handler.handle(job);
    }

    fn partition(&self, job: Job) {
        self.handler.partition(job);
    }

    fn unique_value(&self, job: Job) {
        self.handler.unique_value(job);
    }

    fn strategy(&self, job: &Job, failure: &Failure) -> Verdict {
        self.handler.strategy(job, failure)
    }

    fn filter(&self, job: Job) {
        let mut failure = None;
        let answer = |message| match catch_unwind(AssertUnwindSafe(|| (self.keep)(message))) {
            Ok(true) => FilterAnswer::Keep,
            Ok(false) => FilterAnswer::Skip,
            Err(_) => {
                failure.get_or_insert_with(|| Failure::new("Panic", "the filter panicked"));
                FilterAnswer::Failed
            }
        };
        let answers = job.batch().iter().map(answer).collect();
        job.complete_filter(answers, failure);
    }

    fn hooks(&self) -> Vec<Hook> {
        self.handler.hooks()
    }

    fn hook(&self, hook: Hook, job: Job) {
        self.handler.hook(hook, job);
    }
}
