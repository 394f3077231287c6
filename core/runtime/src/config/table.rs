//! The option table: the one place where an option is defined.
//!
//! An entry gives a field of the typed struct, its description (shown by rustdoc and by the reference page), its type,
//! its default, what it takes, the librdkafka settings that it stands for, and other frameworks' names for it. The
//! macro makes the structs, [`options`], defaults, readers by name, checks and a `Debug` without secrets. Checks
//! between options are in `app`, `topic`, `producer` and `reader`.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::LazyLock;
use std::time::Duration;

use crate::error::Result;

use super::choice::{
    GroupProtocol, InitialOffset, LogFormat, LogLevel, OffsetMetadataStrategy, OutputCheck, ReadUntil, Scheduling,
    UniqueBy, VirtualPartitions, Words,
};
use super::field::Field;
use super::group;
use super::keys::EncryptionKeys;
use super::names;
use super::option::{Kind, OptionSpec, Scope};
use super::outputs::Outputs;
use super::problem::Problems;
use super::value::{Value, excerpt};

const SECOND: u64 = 1_000;
const HOUR: u64 = 3_600 * SECOND;
const DAY: u64 = 24 * HOUR;

const fn count(min: u64, max: u64) -> Kind {
    Kind::Integer { min, max }
}

const fn time(min: u64, max: u64) -> Kind {
    Kind::Duration { min, max }
}

const fn text(rule: &'static str, check: fn(&str) -> names::Rule) -> Kind {
    Kind::Text { rule, check }
}

const fn choice(words: &'static [&'static str]) -> Kind {
    Kind::Choice { words }
}

macro_rules! options {
    ($(#[doc = $about:literal])+ $config:ident in $scope:expr; $(
        $(#[doc = $doc:literal])+
        $field:ident: $type:ty = $default:expr, $kind:expr
        $(, for $($kafka:literal)+)? $(, also $($also:literal)+)?;
    )+) => {
        $(#[doc = $about])+
        #[derive(Clone, PartialEq)]
        pub struct $config {
            $($(#[doc = $doc])+ pub $field: $type,)+
        }

        impl Default for $config {
            fn default() -> Self {
                Self { $($field: $default,)+ }
            }
        }

        impl fmt::Debug for $config {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut shown = f.debug_struct(stringify!($config));
                for (name, value) in self.entries() {
                    shown.field(name, &format_args!("{value}"));
                }
                shown.finish()
            }
        }

        impl $config {
            fn specs() -> &'static [OptionSpec] {
                static SPECS: LazyLock<Vec<OptionSpec>> = LazyLock::new(|| {
                    let default = $config::default();
                    vec![$({
                        let kind = $kind;
                        let mut spec = OptionSpec {
                            name: stringify!($field),
                            scope: $scope,
                            unit: kind.unit(),
                            range: kind.range(),
                            kind,
                            default: String::new(),
                            doc: paragraphs(&[$($doc),+]),
                            kafka: &[$($($kafka),+)?],
                            also: &[$($($also),+)?],
                        };
                        spec.default = default.$field.show(&spec);
                        spec
                    }),+]
                });
                &SPECS
            }

            /// Reads one option into its field and gathers what is wrong with it.
            fn read(&mut self, name: &str, value: &Value, problems: &mut Problems) {
                let Some(spec) = Self::specs().iter().find(|spec| spec.name == name) else {
                    return problems.add_unknown(name);
                };
                match name {
                    $(stringify!($field) => match Field::read(value, spec) {
                        Ok(read) => {
                            self.$field = read;
                            problems.extend(self.$field.problems(spec));
                        }
                        Err(refused) => problems.extend(refused),
                    },)+
                    _ => problems.add_unknown(name),
                }
            }

            /// Every option with its value as text, in the order of the table. Secrets are replaced.
            pub fn entries(&self) -> Vec<(&'static str, String)> {
                let mut specs = Self::specs().iter();
                let mut entries = Vec::new();
                $(if let Some(spec) = specs.next() {
                    entries.push((stringify!($field), self.$field.show(spec)));
                })+
                entries
            }

            /// Makes a configuration out of options by name; those not given have their defaults. A map under the common
            /// beginning of several names gives each of them: `retry: {backoff: ..., backoff_max: ...}`.
            ///
            /// # Errors
            /// Kind `Config`, with every problem on a line of its own: unknown names with the nearest known one, values
            /// of the wrong type or out of range with what is allowed, options given twice, options that contradict
            /// each other.
            pub fn from_settings(settings: &[(String, Value)]) -> Result<Self> {
                let mut config = Self::default();
                let mut problems = Problems::new($scope);
                let mut seen = HashSet::new();
                let settings = group::spread(Self::specs(), settings);
                for (name, value) in &settings {
                    if seen.insert(name.as_str()) {
                        config.read(name, value, &mut problems);
                    } else {
                        problems.add(excerpt(name), None, "is given twice");
                    }
                }
                config.relate(&mut problems);
                problems.into_result().map(|()| config)
            }

            /// Sets one option by name. Contradictions between options are left to `validate`.
            ///
            /// # Errors
            /// Kind `Config`, if there is no such option or it does not take the value; nothing is changed then.
            pub fn set(&mut self, name: &str, value: &Value) -> Result<()> {
                let mut changed = self.clone();
                let mut problems = Problems::new($scope);
                for (name, value) in group::spread(Self::specs(), &[(name.to_owned(), value.clone())]) {
                    changed.read(&name, &value, &mut problems);
                }
                problems.into_result()?;
                *self = changed;
                Ok(())
            }

            /// Checks all fields and what holds between them, for configurations made field by field.
            ///
            /// # Errors
            /// Kind `Config`, with every problem on a line of its own.
            pub fn validate(&self) -> Result<()> {
                let mut problems = Problems::new($scope);
                let mut specs = Self::specs().iter();
                $(if let Some(spec) = specs.next() {
                    problems.extend(self.$field.problems(spec));
                })+
                self.relate(&mut problems);
                problems.into_result()
            }
        }
    };
}

/// Joins doc comment lines into text, without the space that each begins with.
fn paragraphs(lines: &[&str]) -> String {
    lines.iter().map(|line| line.strip_prefix(' ').unwrap_or(line)).collect::<Vec<_>>().join("\n")
}

/// All options of a scope, in the order of the reference page.
pub fn options(scope: Scope) -> &'static [OptionSpec] {
    match scope {
        Scope::App => AppConfig::specs(),
        Scope::Topic => TopicConfig::specs(),
        Scope::Producer => ProducerConfig::specs(),
        Scope::Reader => ReaderConfig::specs(),
        Scope::Admin => AdminConfig::specs(),
    }
}

options! {
    /// What an app is told: where the brokers are, how much runs at once, and how long things may take.
    AppConfig in Scope::App;

    /// The brokers to ask first for the cluster's addresses: `host:port`, several separated by commas. Without a port
    /// it is 9092; an IPv6 address stands in brackets.
    ///
    /// `embedded://` starts a broker inside this process, for trying out and for tests: it keeps messages in memory
    /// only, and has no transactions, access control or administration.
    bootstrap_servers: String = "localhost:9092".to_owned(), text(names::BOOTSTRAP, names::bootstrap),
        for "bootstrap.servers" "metadata.broker.list", also "brokers" "servers" "seed_brokers" "kafka_servers";

    /// The name under which brokers log, meter and limit this program.
    client_id: String = "libkarafka".to_owned(), text(names::CLIENT_ID, names::client_id),
        for "client.id";

    /// The consumer group of topics that do not name one. Processes with the same group share the partitions of its
    /// topics; each group sees every message.
    group: String = "libkarafka".to_owned(), text(names::GROUP, names::group),
        for "group.id", also "group_id" "consumer_group" "app_id" "application_id";

    /// How the members of a group share partitions. `classic`: one member assigns; works with every broker. `consumer`:
    /// the broker assigns (KIP-848, Kafka 4.0 and newer); partitions that stay where they are never pause.
    ///
    /// With `consumer`, session and heartbeat times are set on the broker, and `assignment_strategy` is not used.
    group_protocol: GroupProtocol = GroupProtocol::Classic, choice(GroupProtocol::WORDS), for "group.protocol";

    /// How the classic protocol assigns partitions. `cooperative-sticky` moves as few as possible and lets the others
    /// run on; `range` and `roundrobin` stop all of them at each rebalance. All members of a group must agree.
    assignment_strategy: String = "cooperative-sticky".to_owned(), text(names::ASSIGNMENT, names::assignment),
        for "partition.assignment.strategy", also "assignor" "partition_assignment_strategy";

    /// Handlers that run at the same time, over all topics; each has a thread. Handlers that finish later are counted
    /// by `async_concurrency` instead.
    ///
    /// For handlers that wait for a database or a service, more is faster until that is busy; for handlers that
    /// compute, more than the number of processors costs memory and gains nothing.
    concurrency: u32 = 5, count(1, 4096), also "workers" "threads" "max_workers" "pool_size" "parallelism";

    /// Calls of handlers that finish later (`async def` in Python, completions in C) that may be under way at the same
    /// time, over all topics. They share one thread, so one more costs little but the memory of its messages.
    async_concurrency: u32 = 1_000, count(1, 100_000), also "max_async" "max_tasks";

    /// Whose turn it is when more work waits than may run at once, among topics of the same `priority`.
    ///
    /// - `first_come`: the partition's that has waited longest. After each call it waits anew, so that partitions take turns.
    /// - `fair`: topics take turns, however many partitions they have.
    /// - `longest_first`: the partition's whose next call will take longest, by what messages of its topic took so far.
    ///   Waiting counts like cost, so that short calls have their turn too.
    ///
    /// A scheduler callback goes before it, as long as it answers.
    scheduling: Scheduling = Scheduling::FirstCome, choice(Scheduling::WORDS), also "scheduler" "order";

    /// How often finished messages are committed. After a crash, what was finished since the last commit is handled
    /// again, so a shorter time means fewer duplicates and more requests to the broker. Nothing is sent when nothing
    /// changed, and partitions are committed in any case before they are given up.
    commit_interval: Duration = Duration::from_secs(1), time(10, HOUR),
        for "auto.commit.interval.ms", also "auto_commit_interval";

    /// How long a stop waits for running handlers. When it is over, the app leaves without committing what still runs:
    /// those messages are handled again elsewhere. It must be longer than the `linger` of every topic.
    shutdown_timeout: Duration = Duration::from_secs(60), time(1, DAY), also "stop_timeout" "drain_timeout";

    /// How long a partition that goes to another member is kept for its running handlers. When it is over, it is given
    /// up, and what still runs is handled again by its new owner. Handlers of topics with `long_running_job` are not
    /// waited for.
    ///
    /// It must be shorter than librdkafka's `max.poll.interval.ms` (300 seconds unless set in `kafka`), since a member
    /// that takes longer to answer is put out of the group.
    revoke_timeout: Duration = Duration::from_secs(60), time(0, DAY), also "rebalance_timeout";

    /// How long a transaction of a handler may take, from its beginning to its commit, before the brokers abort it. Where a
    /// process is killed, readers and the next owner of its partitions wait for what it left open at most this long, and up to
    /// ten seconds more. See [exactly once](options/exactly-once.md).
    transaction_timeout: Duration = Duration::from_secs(60), time(SECOND, 900 * SECOND),
        for "transaction.timeout.ms";

    /// What the names begin with under which the brokers know the producers of handlers' transactions: access that is granted
    /// for this prefix covers all of them. Without it, they begin with the group's name.
    transactional_id_prefix: Option<String> = None, text(names::TRANSACTIONAL_ID, names::transactional_id),
        also "transactional_id";

    /// Public keys by their ids: payloads that handlers produce in their transactions are encrypted for one of them, as by a
    /// producer's `encryption_keys`; dead letters are not. See [encryption](options/encryption.md).
    transaction_encryption_keys: EncryptionKeys = EncryptionKeys::default(), Kind::Keys;

    /// The id of the key of `transaction_encryption_keys` that is used. `only`: there is one.
    transaction_encryption_active_key: String = "only".to_owned(), text(names::KEY_ID, names::key_id);

    /// Memory for messages of the whole process: fetched ahead, waiting and running. It is divided over the assigned
    /// partitions. When it is used up, partitions are not read until handlers finish; nothing is thrown away or fetched
    /// twice. A single message that is larger is handled all the same.
    memory_budget_bytes: u64 = 32 << 20, Kind::Bytes { min: 1 << 20, max: 1 << 40 },
        for "queued.max.messages.kbytes" "queued.min.messages", also "memory_budget" "memory_limit" "max_memory";

    /// What it is when a call of a handler writes otherwise than its topic says it `produces`.
    ///
    /// - `auto`: an error in tests, that is on the embedded broker and with a testing producer; else an event.
    /// - `error`: the call that produces fails where the output is undeclared or doubled, and the handler's call fails where a
    ///   required one is missing.
    /// - `event`: `consumer.outputs.error`, at most once a second for each output.
    output_check: OutputCheck = OutputCheck::Auto, choice(OutputCheck::WORDS), also "strict_outputs" "check_outputs";

    /// How often `statistics.emitted` tells how the app and its clients do. 0 is never, unless somebody names that event in
    /// a subscription before the start: then it is every 5 seconds. See [statistics](options/statistics.md).
    statistics_interval: Duration = Duration::ZERO, time(0, HOUR),
        for "statistics.interval.ms", also "stats_interval" "metrics_interval";

    /// Whether and how log lines are written to the standard error stream, from the start on, once for the whole process:
    /// `off`, `text` or `json`. A Rust program that collects `tracing` itself needs none of them. See
    /// [logging](options/logging.md).
    log_format: LogFormat = LogFormat::Off, choice(LogFormat::WORDS), also "log" "logger" "logging";

    /// The least important log lines that `log_format` writes.
    log_level: LogLevel = LogLevel::Info, choice(LogLevel::WORDS), also "verbosity";

    /// Whether the app stops when the process that started this one is gone, looked at every second: for workers of a
    /// supervisor. It ends with an error whose exit code is 3.
    stop_when_orphaned: bool = false, Kind::Boolean, also "exit_when_orphaned";

    /// librdkafka's own settings, under their own names, for consumers of this app: security, fetching, timeouts. They
    /// are checked by librdkafka before anything starts. See [settings of librdkafka](#settings-of-librdkafka).
    kafka: BTreeMap<String, String> = BTreeMap::new(), Kind::Kafka, also "librdkafka" "rdkafka" "kafka_settings";
}

options! {
    /// What one topic is told: how it is split, handed to handlers, retried and committed.
    TopicConfig in Scope::Topic;

    /// The consumer group of this topic; without it, the app's `group`.
    group: Option<String> = None, text(names::GROUP, names::group), for "group.id",
        also "group_id" "consumer_group";

    /// The brokers of the cluster that this topic is read from; without it, the app's `bootstrap_servers`. Topics of
    /// several clusters share one process and one polling thread; each cluster has connections and consumer groups of
    /// its own. See [clusters](options/clusters.md).
    bootstrap_servers: Option<String> = None, text(names::BOOTSTRAP, names::bootstrap),
        for "bootstrap.servers" "metadata.broker.list", also "brokers" "servers" "cluster";

    /// Partitions that this process reads without asking the group: `all`, or numbers such as `0,3,8-11`. No other
    /// process is told and none takes over; offsets are committed for the topic's group all the same. `off`: the group
    /// shares the partitions out. See [direct assignment](options/direct-assignment.md).
    assign: String = "off".to_owned(), text(names::ASSIGN, names::assign),
        also "assignments" "direct_assignment" "partitions";

    /// The fewest connections that this process has to the topic's group. Every connection is a member of the group
    /// with its own client. 0 stands for as many as `multiplexing_max`: their number never changes. See
    /// [multiplexing](options/multiplexing.md).
    multiplexing_min: u32 = 0, count(0, 64);

    /// The most connections that this process has to the topic's group. They belong to the group: topics that share
    /// one and say something else than the default have to say the same.
    multiplexing_max: u32 = 1, count(1, 64), also "connections" "consumers";

    /// The connections that the app starts with, where their number changes. 0 stands for half of `multiplexing_max`,
    /// and at least `multiplexing_min`.
    multiplexing_boot: u32 = 0, count(0, 64);

    /// How long a group has to stand still before a connection comes or goes, where their number changes. One comes
    /// while one of them has several partitions, and one without any leaves.
    multiplexing_scale_delay: Duration = Duration::from_secs(60), time(0, DAY), also "scale_delay";

    /// In how many segments the topic is read, each by a consumer group of its own, which reads everything and handles
    /// only the records whose key belongs to the segment. 1 is without segments. See [parallel
    /// segments](options/parallel-segments.md).
    parallel_segments_count: u32 = 1, count(1, 64), also "segments";

    /// The segments that this process handles: `all`, or numbers such as `0,2` or `0-3`.
    parallel_segments_only: String = "all".to_owned(), text(names::SEGMENTS, names::segments), also "segment_id";

    /// How one partition is split into parts that run in parallel, each part in order.
    ///
    /// - `off`: not split; the partition's messages run in order, one call at a time.
    /// - `by_key`: every key is a part of its own, as long as it has messages; no key waits for another one.
    ///   Messages without a key have no order between them.
    /// - a number (also `fixed:n`): keys are hashed to so many parts, the same after each restart, for handlers that
    ///   keep state by part.
    /// - `callback`: what the topic's partitioner returns takes the place of the key.
    /// - `round_robin`: every message is a part of its own; no order.
    ///
    /// Where a language has no words, true is `by_key` and false is `off`.
    virtual_partitions: VirtualPartitions = VirtualPartitions::Off, Kind::VirtualPartitions,
        also "partitioner" "virtual_partition" "ordering";

    /// Virtual partitions that one call of the handler may get at once. With 1, a call has messages of one key only,
    /// and no key ever waits for another one. With more, calls are larger, and a slow message holds up the keys beside
    /// it in its call. Worth it for handlers that write many messages at once.
    virtual_partitions_per_job: u32 = 1, count(1, 100_000);

    /// Most messages that one call of the handler gets. A call takes what is there and does not wait to be full; see
    /// `linger`.
    max_messages: u32 = 100, count(1, 1_000_000), also "batch_size" "max_batch_size" "max_poll_records" "max_records";

    /// Most bytes of keys and payloads that one call of the handler gets; 0 for any. A message that is larger goes alone.
    max_bytes: u64 = 0, Kind::Bytes { min: 0, max: 1 << 40 }, also "max_batch_bytes" "batch_bytes" "max_batch_size_bytes";

    /// How long a call may wait to gather more than one message. 0 hands on at once what is there, which is best for
    /// latency; messages that arrive while a handler runs are gathered in any case.
    linger: Duration = Duration::ZERO, time(0, HOUR), also "max_wait_time" "batch_timeout" "timeout";

    /// Whether the handler itself marks messages as consumed. Off, a call that returns without an error marks all of
    /// its messages. On, only marked messages count as finished: what is never marked is handled again after a restart
    /// or a rebalance.
    manual_offset_management: bool = false, Kind::Boolean, also "manual_ack" "manual_commit" "auto_ack";

    /// Which of the texts that were given with marks is stored with the committed offset. `current`: the one given last,
    /// however far the offset is. `exact`: the one of the last message before the offset that was given one, so that a text
    /// never runs ahead of the offset. See [offset metadata](options/offset-metadata.md).
    offset_metadata_strategy: OffsetMetadataStrategy = OffsetMetadataStrategy::Current,
        choice(OffsetMetadataStrategy::WORDS);

    /// Topics with a higher number go first when more work waits than may run at once. Of sixteen calls one goes to a topic of a
    /// lower priority that waits, so that none starves.
    priority: u32 = 50, count(0, 100);

    /// Most calls of this topic's handler that run at once in this process, over all its partitions. 0: as many as may run at
    /// all.
    max_concurrency: u32 = 0, count(0, 100_000), also "max_parallelism";

    /// What no two messages may have in common that are handled at the same time, over all topics and partitions of the
    /// process. Whatever else waits goes on meanwhile.
    ///
    /// - `off`: nothing.
    /// - `key`: their keys. A message without a key is not limited.
    /// - `callback`: what the topic's callback answers for a message. An empty answer does not limit it.
    unique_by: UniqueBy = UniqueBy::Off, choice(UniqueBy::WORDS), also "unique" "lock_by" "mutex";

    /// How long the messages of a failed call wait before they are tried again. Only their virtual partitions wait; all
    /// others go on.
    retry_backoff: Duration = Duration::from_secs(1), time(1, DAY), also "retry_delay" "pause_timeout";

    /// The longest wait between two attempts. It must not be shorter than `retry_backoff`.
    retry_backoff_max: Duration = Duration::from_secs(30), time(1, DAY), also "max_retry_delay" "pause_max_timeout";

    /// By how much the wait grows with each failed attempt. 1 keeps it the same.
    retry_backoff_factor: f64 = 2.0, Kind::Decimal { min: 1.0, max: 100.0 },
        also "retry_multiplier" "backoff_multiplier";

    /// The share of each wait that chance may take away, from 0 (waits are exact) to 1, so that messages that failed
    /// together do not all come again at the same moment.
    retry_jitter: f64 = 0.0, Kind::Decimal { min: 0.0, max: 1.0 }, also "backoff_jitter" "retry_randomization";

    /// How many messages of a failed call come again together. Off, they come as they were, or, where attempts are
    /// limited, one by one. On, half of them come: when these fail, half of the half, else the other half. So a message
    /// that always fails is found among 1,000 in about ten attempts.
    retry_bisect: bool = false, Kind::Boolean, also "bisect" "bisect_on_error" "bisect_batch_on_function_error";

    /// How often a message is handed to the handler in one ownership before it is given up, the first attempt included.
    /// 0: without end, or as `dead_letter_queue_max_retries` says where there is a dead letter queue, of which this takes
    /// the place otherwise. A message that is given up without a dead letter queue counts as done: it is lost, and an
    /// event `message.discarded` says so.
    retry_attempts: u32 = 0, count(0, 1_000_000), also "max_attempts" "attempts" "retries";

    /// The topic to which a message goes that was given up: the one that failed, and no other, with key, value and headers
    /// as they were, and headers that say where it came from and why. Messages of one partition go to one partition, in
    /// order. Their offset is committed only after the copy is acknowledged. It must exist, on the cluster of this topic: where
    /// it does not, and brokers make none, the app ends at its start. See [dead letter queue](options/dead-letter-queue.md).
    dead_letter_queue_topic: Option<String> = None, text(names::TOPIC, names::topic),
        also "dlq" "dlq_topic" "dead_letter_topic";

    /// How often a message is tried again, in one ownership, before it goes to the dead letter queue.
    dead_letter_queue_max_retries: u32 = 3, count(0, 1_000_000), also "dlq_max_retries" "max_retries";

    /// Whether each success in a virtual partition starts the counting of its failures again, so that only failures in a
    /// row count.
    dead_letter_queue_independent: bool = false, Kind::Boolean;

    /// Whether the virtual partition of a message that was given up waits until its copy is acknowledged (`sync`), or goes
    /// on meanwhile (`async`). Its offset waits in either case.
    dead_letter_queue_dispatch: String = "sync".to_owned(), choice(&["sync", "async"]),
        also "dead_letter_queue_dispatch_method";

    /// Whether the copy of a message that was given up and the passing of its offset are one transaction, so that readers of
    /// committed records find exactly one copy, also over crashes. Each copy then costs a commit. Not with `assign`, whose
    /// partitions have no group, nor with the embedded broker, which keeps no transactions.
    dead_letter_queue_transactional: bool = false, Kind::Boolean;

    /// Whether messages that are given up count as done, instead of going to a topic: they are lost, and an event
    /// `message.discarded` says so.
    dead_letter_queue_skip: bool = false, Kind::Boolean;

    /// Whether the handler has a strategy of its own that is asked about every message that failed. Set by the binding that
    /// is given one.
    dead_letter_queue_strategy: bool = false, Kind::Boolean;

    /// How many messages the transactions of several calls mark that commit together: what their handlers produce is held back
    /// until their block has returned, and goes out in one transaction of Kafka's. 1: each commits by itself. More
    /// than 1 not with the embedded broker, which keeps no transactions. See [exactly once](options/exactly-once.md).
    transaction_max_messages: u32 = 1, count(1, 1_000_000);

    /// How long the first of them waits for others. No longer than another call of the topic runs that could join, and not at all
    /// once `transaction_max_messages` are there.
    transaction_max_ms: Duration = Duration::from_millis(10), time(0, 60 * SECOND), also "transaction_linger";

    /// Whether handlers of this topic run too long to hold up a rebalance. Their partition is given up at once; what
    /// they mark afterwards is refused, and its new owner handles it again. Without it, up to `revoke_timeout` is
    /// waited.
    ///
    /// It is not needed to stay in the group: polling never waits for handlers.
    long_running_job: bool = false, Kind::Boolean, also "long_running";

    /// How old a message must be before it is handled, by its timestamp. 0: nothing is delayed. What is too young waits in
    /// its partition, in order, and holds up no seat and no other partition. A message without a timestamp, or with one more
    /// than an hour ahead of this machine's clock, waits as long from when it was read. See
    /// [delay](options/delay.md).
    delay_by: Duration = Duration::ZERO, time(0, 7 * DAY), also "delay" "delayed_by" "message_delay";

    /// How old a message may be, by its timestamp, to be handled still; older ones count as finished. 0: nothing expires.
    /// Looked at when a message is read and again when a call takes it, so also after a delay or a back-off. It must be longer
    /// than `delay_by`. See [expire](options/expire.md).
    expire_in: Duration = Duration::ZERO, time(0, 366 * DAY), also "ttl" "time_to_live" "message_ttl" "expires_in";

    /// Most messages of one partition that calls get within `throttle_interval`, counting each attempt. 0: any number. See
    /// [throttle](options/throttle.md).
    throttle_limit: u32 = 0, count(0, 1_000_000_000), also "rate_limit";

    /// The length of the sliding window of `throttle_limit`.
    throttle_interval: Duration = Duration::from_secs(1), time(1, DAY), also "rate_limit_interval";

    /// Whether the topic's filter is asked about each message before any call gets it; what it skips counts as finished. In
    /// Ruby and Python the filter itself is given under this name. See [filter](options/filter.md).
    filter: bool = false, Kind::Boolean;

    /// Whether the topic's consumers hear of the end of their partitions: by the hook `eofed` where no messages came along, and
    /// else by a flag of their call. The end is what the broker said last; more may come.
    eofed: bool = false, Kind::Boolean, also "partition_eof" "enable_partition_eof";

    /// Whether consumers are called without messages, by their hook `tick`, when nothing happened for `periodic_interval`; also
    /// when there never was a message. A map gives the options that begin with `periodic_`, and switches it on.
    periodic: bool = false, Kind::Boolean, also "tick" "ticks" "periodic_jobs";

    /// The time from a consumer's last activity to its tick: since its last call ended, or its last tick began.
    periodic_interval: Duration = Duration::from_secs(5), time(10, DAY), also "tick_interval";

    /// Whether consumers of partitions that the user paused tick. Unless given, they do, except with `long_running_job`.
    periodic_during_pause: Option<bool> = None, Kind::Boolean;

    /// Whether consumers tick whose messages wait for another attempt.
    periodic_during_retry: bool = false, Kind::Boolean;

    /// The topics that the handler writes to, and for each whether every call writes to it (`required`) and whether a call may
    /// write to it more than once (`multiple`): `{"invoices": "required", "audit": "multiple"}`. What a call does otherwise is an
    /// error in tests and an event in production: see the app's `output_check`. Without it, nothing is counted. Where a language
    /// has no maps, each topic is an option: `produces.invoices`. See [declared outputs](options/produces.md).
    produces: Outputs = Outputs::default(), Kind::Outputs, also "outputs" "output_topics" "writes" "produces_to";

    /// The private keys that open encrypted messages, by their ids: `{"2026-11": "file:/run/secrets/orders.pem"}`. With them,
    /// handlers get payloads opened; what does not open fails as if its handler had. Without them, payloads are handed on as
    /// they are. Where a language has no maps, each key is an option: `encryption_keys.2026-11`. See
    /// [encryption](options/encryption.md).
    encryption_keys: EncryptionKeys = EncryptionKeys::default(), Kind::Keys,
        also "private_keys" "decryption_keys" "encryption_private_keys";

    /// Whether every message with a payload has to be encrypted, where there are `encryption_keys`. Off, those that are not are
    /// handed on as they are: for the time in which producers begin to encrypt. On, nobody who takes the headers away can
    /// have a handler take what is encrypted for something else.
    encryption_required: bool = true, Kind::Boolean;

    /// Further topics whose messages are opened here, separated by commas: a message opens only where it was sealed for. For
    /// topics that get copies of others' messages, such as dead letters.
    encryption_topics: Option<String> = None, text(names::TOPICS, names::topics);

    /// Where a partition starts that its group has not committed yet, or whose committed messages are gone. `earliest`:
    /// with the oldest message. `latest`: with what arrives from then on; messages from before the first assignment are
    /// never handled.
    initial_offset: InitialOffset = InitialOffset::Earliest, choice(InitialOffset::WORDS),
        for "auto.offset.reset", also "auto_offset_reset" "start_from" "offset_reset";

    /// Most messages of one partition beyond the first unfinished one. When one message takes long, the others go on
    /// until the window is full; then the partition waits for it. What is finished inside the window survives a crash,
    /// since it is stored beside the committed offset; a larger window may not fit there, and then costs duplicates
    /// after a crash, never a loss.
    window: u32 = 16_384, count(1, 1_000_000), also "max_in_flight" "max_uncommitted";

    /// librdkafka's own settings for the consumer of this topic, on top of the app's. See [settings of
    /// librdkafka](#settings-of-librdkafka).
    kafka: BTreeMap<String, String> = BTreeMap::new(), Kind::Kafka, also "librdkafka" "rdkafka" "kafka_settings";
}

options! {
    /// What a producer is told: where the brokers are, how it gathers messages, and how long it tries.
    ProducerConfig in Scope::Producer;

    /// The brokers to ask first, as for the app.
    bootstrap_servers: String = "localhost:9092".to_owned(), text(names::BOOTSTRAP, names::bootstrap),
        for "bootstrap.servers" "metadata.broker.list", also "brokers" "servers" "seed_brokers" "kafka_servers";

    /// The name under which brokers log, meter and limit this producer.
    client_id: String = "libkarafka".to_owned(), text(names::CLIENT_ID, names::client_id),
        for "client.id";

    /// How long a message may wait for others that go to the same partition. Longer means fewer and larger requests,
    /// which compress better; a message that is waited for is late by up to this time.
    linger: Duration = Duration::from_millis(5), time(0, 900 * SECOND),
        for "linger.ms" "queue.buffering.max.ms", also "max_wait_time";

    /// How long producing waits for space when the local queue is full, before it fails with an error of kind
    /// `QueueFull`. 0 fails at once.
    queue_full_timeout: Duration = Duration::from_secs(10), time(0, DAY),
        also "max_block" "wait_timeout_on_queue_full" "block_timeout";

    /// How long a message may take from producing to acknowledgement, retries included. Then it fails with an error of
    /// kind `Timeout`; it may have arrived all the same. It must be longer than `linger`.
    delivery_timeout: Duration = Duration::from_secs(120), time(1, DAY),
        for "delivery.timeout.ms" "message.timeout.ms", also "message_timeout" "produce_timeout";

    /// The largest message before compression: value, key and headers, and some 50 bytes around them. A larger one is
    /// refused at once. The broker has a limit of its own (`message.max.bytes`, about 1 MiB unless set there).
    max_payload_bytes: u64 = 1_000_012, Kind::Bytes { min: 1_000, max: 1_000_000_000 },
        for "message.max.bytes", also "max_payload_size" "max_request_size" "max_message_size" "message_max_bytes";

    /// Whether the broker drops duplicates that retries of this producer cause, and keeps the order of its messages. It
    /// needs `acks` to be `all`, and costs nothing worth mentioning.
    idempotence: bool = true, Kind::Boolean, for "enable.idempotence", also "enable_idempotence" "idempotent";

    /// Whose acknowledgement counts. `all`: every in-sync replica has the message. `1`: its leader has it, and may lose
    /// it when it fails. `0`: nobody is asked, and losses go unnoticed.
    acks: String = "all".to_owned(), choice(&["all", "1", "0"]),
        for "acks" "request.required.acks", also "required_acks";

    /// How batches of messages are compressed. `lz4` and `snappy` are fast, `zstd` and `gzip` small. A batch that does
    /// not become smaller is sent as it is.
    compression: String = "none".to_owned(), choice(&["none", "gzip", "snappy", "lz4", "zstd"]),
        for "compression.type" "compression.codec", also "compression_type" "compression_codec" "codec";

    /// How often `producer.statistics` tells the producer's subscribers how it does. 0 is never. See
    /// [events of a producer](producer/events.md).
    statistics_interval: Duration = Duration::ZERO, time(0, HOUR),
        for "statistics.interval.ms", also "stats_interval" "metrics_interval";

    /// How long closing waits for the acknowledgements of what was produced. What is not acknowledged then fails with
    /// an error.
    close_timeout: Duration = Duration::from_secs(60), time(0, DAY), also "max_wait_timeout" "flush_timeout";

    /// The public keys that payloads are encrypted for, by their ids: `{"2026-11": "file:orders.pub.pem"}`. With them, every
    /// payload is sealed with a key of its own, after the middleware and the partitioner have seen it; keys, headers and
    /// tombstones stay as they are. Where a language has no maps, each key is an option: `encryption_keys.2026-11`. See
    /// [encryption](options/encryption.md).
    encryption_keys: EncryptionKeys = EncryptionKeys::default(), Kind::Keys,
        also "public_keys" "encryption_public_keys" "encryption_public_key";

    /// The id of the key that is used. `only`: there is one.
    encryption_active_key: String = "only".to_owned(), text(names::KEY_ID, names::key_id),
        also "encryption_key_id" "active_key" "encryption_active";

    /// The name under which brokers know a transactional producer over its restarts: the next producer of the same name
    /// fences the one before it. No two that run at once may share it. Only for transactional producers, which need it. See
    /// [transactions](options/transactions.md).
    transactional_id: Option<String> = None, text(names::TRANSACTIONAL_ID, names::transactional_id),
        for "transactional.id";

    /// How long a transaction may take before the brokers abort it, and how long its beginning, its commit and its abort are
    /// tried. Inside of one, records are given up after this time if `delivery_timeout` is longer.
    transaction_timeout: Duration = Duration::from_secs(60), time(SECOND, 900 * SECOND),
        for "transaction.timeout.ms";

    /// librdkafka's own settings, under their own names, for this producer. They are checked by librdkafka before
    /// anything starts. See [settings of librdkafka](#settings-of-librdkafka).
    kafka: BTreeMap<String, String> = BTreeMap::new(), Kind::Kafka, also "librdkafka" "rdkafka" "kafka_settings";
}

options! {
    /// What a reader of topics without a group is told.
    ReaderConfig in Scope::Reader;

    /// The brokers to ask first, as for the app.
    bootstrap_servers: String = "localhost:9092".to_owned(), text(names::BOOTSTRAP, names::bootstrap),
        for "bootstrap.servers" "metadata.broker.list", also "brokers" "servers" "seed_brokers" "kafka_servers";

    /// The name under which brokers log, meter and limit this reader.
    client_id: String = "libkarafka".to_owned(), text(names::CLIENT_ID, names::client_id),
        for "client.id";

    /// When everything is read. `end`: when every partition was read as far as it went when the reader was opened. `forever`:
    /// never; it waits for what comes.
    until: ReadUntil = ReadUntil::End, choice(ReadUntil::WORDS), also "read_until";

    /// How many records a batch has at most.
    max_messages: u32 = 1000, count(1, 1_000_000), also "batch_size";

    /// How many bytes are fetched ahead at most, for all partitions together; one fetch may go beyond it.
    memory_budget_bytes: u64 = 16 << 20, Kind::Bytes { min: 1024, max: 2_147_482_624 },
        for "queued.max.messages.kbytes" "queued.min.messages", also "memory_budget" "max_memory";

    /// How long opening may take, and how long nothing may come before an error says so. With `until` `forever`, silence is no
    /// error unless the cluster refuses the reader.
    timeout: Duration = Duration::from_secs(10), time(1, DAY);

    /// Private keys by their ids: payloads of encrypted records are opened with the one that the record names; one that does not open
    /// is an error in its place, and reading goes on behind it. Each is a file (`file:/run/secrets/orders.pem`), an environment
    /// variable (`env:ORDERS_KEY`) or the key itself. Without any, payloads are handed on as they are. See
    /// [encryption](options/encryption.md).
    encryption_keys: EncryptionKeys = EncryptionKeys::default(), Kind::Keys,
        also "private_keys" "decryption_keys" "encryption_private_keys";

    /// Whether every record with a payload has to be encrypted, where there are `encryption_keys`. Off, those that are not are
    /// handed on as they are; on, they are errors.
    encryption_required: bool = true, Kind::Boolean;

    /// Further topics whose records are opened here, separated by commas: a record opens only where it was sealed for. For
    /// dead letters: the topics that they came from.
    encryption_topics: Option<String> = None, text(names::TOPICS, names::topics);

    /// librdkafka's own settings, under their own names, for this reader, such as those for security, or `isolation.level`. See
    /// [settings of librdkafka](#settings-of-librdkafka).
    kafka: BTreeMap<String, String> = BTreeMap::new(), Kind::Kafka, also "librdkafka" "rdkafka" "kafka_settings";
}

options! {
    /// What an admin is told.
    AdminConfig in Scope::Admin;

    /// The brokers to ask first, as for the app.
    bootstrap_servers: String = "localhost:9092".to_owned(), text(names::BOOTSTRAP, names::bootstrap),
        for "bootstrap.servers" "metadata.broker.list", also "brokers" "servers" "seed_brokers" "kafka_servers";

    /// The name under which brokers log, meter and limit this admin.
    client_id: String = "libkarafka".to_owned(), text(names::CLIENT_ID, names::client_id),
        for "client.id";

    /// How long connecting may take, and every call.
    timeout: Duration = Duration::from_secs(30), time(1, DAY);

    /// librdkafka's own settings, under their own names, such as those for security. See [settings of
    /// librdkafka](#settings-of-librdkafka).
    kafka: BTreeMap<String, String> = BTreeMap::new(), Kind::Kafka, also "librdkafka" "rdkafka" "kafka_settings";
}
