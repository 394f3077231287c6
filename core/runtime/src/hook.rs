//! Hooks: what user code is called for beside its messages.
//!
//! Declared with a topic's handler, before the start; called on the seats that run the handler. With virtual partitions off or
//! fixed, each virtual partition is a consumer whose calls never overlap; in all other modes the whole partition is.

use crate::context::Context;
use crate::handler::Handler;
use crate::job::{Failure, Job, JobKind, Verdict};
use karafka_engine::{Hooks, Periodic};

/// A call of user code without messages. A hook that fails is told in an event, and not retried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Hook {
    /// Nothing happened for the topic's `periodic_interval`. For topics with `periodic`.
    Tick,
    /// The end of the partition was reached, and no messages came along. For topics with `eofed`.
    Eofed,
    /// The partition goes to another member of the group, once its running calls have ended: what is marked here still
    /// counts. Or it was lost: then [`Context::is_revoked`] is true, and nothing counts any more. Once for each consumer that
    /// had messages or a tick.
    Revoked,
    /// The app stops, and the partition's running calls have ended: what is marked here still counts. Once for each
    /// consumer that had messages or a tick, in the place of [`Hook::Revoked`].
    Shutdown,
}

impl Hook {
    /// The hook's name: `tick`, `eofed`, `revoked` or `shutdown`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tick => "tick",
            Self::Eofed => "eofed",
            Self::Revoked => "revoked",
            Self::Shutdown => "shutdown",
        }
    }

    /// The hook of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Tick, Self::Eofed, Self::Revoked, Self::Shutdown].into_iter().find(|hook| hook.name() == name)
    }

    /// The hook that a job calls, if it calls one.
    pub const fn of(kind: JobKind) -> Option<Self> {
        match kind {
            JobKind::Tick => Some(Self::Tick),
            JobKind::Eofed => Some(Self::Eofed),
            JobKind::Revoked => Some(Self::Revoked),
            JobKind::Shutdown => Some(Self::Shutdown),
            JobKind::Handle | JobKind::Key | JobKind::Unique | JobKind::Filter => None,
        }
    }
}

/// What the engine has to know of a topic's hooks.
pub(crate) fn wanted(hooks: &[Hook]) -> Hooks {
    Hooks {
        revoked: hooks.contains(&Hook::Revoked),
        shutdown: hooks.contains(&Hook::Shutdown),
        eofed: hooks.contains(&Hook::Eofed),
    }
}

/// When a topic's consumers tick.
pub(crate) fn periodic(config: &crate::TopicConfig) -> Option<Periodic> {
    config.periodic.then(|| Periodic {
        interval: config.periodic_interval,
        during_pause: config.periodic_during_pause.unwrap_or(!config.long_running_job),
        during_retry: config.periodic_during_retry,
    })
}

type Function = Box<dyn Fn(&Context) -> Result<(), Failure> + Send + Sync>;

/// A handler with hooks; see [`hooked`].
pub struct Hooked<H> {
    handler: H,
    names: Vec<Hook>,
    functions: Vec<Function>,
}

/// Gives a handler hooks.
///
/// ```
/// use karafka::{Batch, Context, Failure, Hook, handler_fn, hooked};
///
/// let handler = hooked(handler_fn(|_: &Batch, _: &Context| Ok::<(), Failure>(())))
///     .on(Hook::Revoked, |context| {
///         println!("{}/{} goes; lost: {}", context.topic(), context.partition(), context.is_revoked());
///         Ok::<(), Failure>(())
///     });
/// # let _ = handler;
/// ```
pub fn hooked<H: Handler>(handler: H) -> Hooked<H> {
    Hooked { handler, names: Vec::new(), functions: Vec::new() }
}

impl<H: Handler> Hooked<H> {
    /// Calls `function` for this hook, after those that were given for it before.
    #[must_use]
    pub fn on<F, E>(mut self, hook: Hook, function: F) -> Self
    where
        F: Fn(&Context) -> Result<(), E> + Send + Sync + 'static,
        E: Into<Failure>,
    {
        self.names.push(hook);
        self.functions.push(Box::new(move |context| function(context).map_err(Into::into)));
        self
    }
}

impl<H: Handler> Handler for Hooked<H> {
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
        self.handler.filter(job);
    }

    fn hooks(&self) -> Vec<Hook> {
        let mut hooks = self.handler.hooks();
        hooks.extend(&self.names);
        hooks
    }

    fn hook(&self, hook: Hook, job: Job) {
        let own = self.names.iter().zip(&self.functions).filter(|(name, _)| **name == hook);
        for (_, function) in own {
            if let Err(failure) = function(job.context()) {
                job.fail(failure);
                return;
            }
        }
        if self.handler.hooks().contains(&hook) {
            self.handler.hook(hook, job);
        } else {
            job.done();
        }
    }
}
