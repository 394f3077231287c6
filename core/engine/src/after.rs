//! What happens after a call of a handler: one pure function over what the topic was told and what the call did.
//!
//! Called by the engine when it takes a job back, on its one thread, for each virtual partition of the job; it looks at
//! nothing else and changes nothing. A seek of the user is no input: it has ended the ownership, or its era, before the call
//! is taken back. A pause holds back whatever is decided here and is ended by nothing of it.
//!
//! Guarantees, checked over the full product in `tests/product.rs`: a message that is not done comes again or leaves by
//! a decision of the user; only one that failed without company, or was named by its handler, leaves, and not before its
//! attempts are used up or its handler said so; nothing is marked for an ownership that has ended; every outcome leads
//! on.

/// What a topic is told about failures. Every value is independent of all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)] // Independent switches, not the states of one thing.
pub struct Policy {
    /// Only what the handler marks is done. Otherwise a call that returns marks its messages.
    pub manual_offset_management: bool,
    /// How often a message is tried again in one ownership before it is given up; `None`: without end.
    pub max_retries: Option<u32>,
    /// What becomes of a message that is given up.
    pub given_up: GivenUp,
    /// The handler's language decides about each failed message itself, and says so by its verdict.
    pub strategy: bool,
    /// A success in a virtual partition starts the counting of its failures again.
    pub independent: bool,
    /// A failed call of several messages is searched for its culprit by halves, not message by message.
    pub bisect: bool,
    /// A rebalance does not wait for running calls. Changes nothing of what happens after one.
    pub long_running: bool,
}

/// What becomes of a message that is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GivenUp {
    /// None ever is: it is tried again without end.
    Never,
    /// It counts as done.
    Skipped,
    /// It leaves as a dead letter, and is done when that has arrived.
    Dispatched {
        /// Whether its virtual partition waits for the arrival.
        wait: bool,
    },
}

/// What a failed call's own side says about the failure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing: the topic's options decide.
    #[default]
    Unsaid,
    /// The message is to be tried again, however often it failed.
    Retry,
    /// The message is to be given up now.
    GiveUp,
    /// The message counts as done.
    Discard,
    /// The process is at its end; the messages have nothing to do with it.
    Critical,
}

/// Whose the partition is when the call has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// Ours.
    Held,
    /// It is being given up: what the call did counts, nothing of it runs here again.
    Leaving,
    /// Not ours any more.
    Gone,
}

/// How the call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The handler returned.
    Done,
    /// The handler returned and paused the partition: it has not done what it has not marked.
    Paused,
    /// It failed.
    Failed(Verdict),
    /// It was never called.
    NotStarted,
}

/// Which message made the call fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Culprit {
    /// Any of several that are not marked.
    Unknown,
    /// One of this virtual partition: the only one that is not marked, or the one the handler named.
    Here,
    /// One of another virtual partition.
    Elsewhere,
}

/// What a call did with the messages of one virtual partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// Whose the partition is now.
    pub ownership: Ownership,
    /// How the call ended.
    pub ending: Ending,
    /// How many of its messages are not marked.
    pub undone: u32,
    /// Whether some of them were marked during the call.
    pub progress: bool,
    /// Whose fault a failure was.
    pub culprit: Culprit,
    /// How often the culprit was handed to the handler since the counting began, this call included.
    pub deliveries: u32,
}

/// What is recorded as done without a mark of the handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marks {
    /// Nothing.
    Nothing,
    /// All messages of the call.
    All,
    /// Nothing, but they are handled: nobody gets them again here, and a later mark still reaches them.
    Handled,
}

/// Whose failures are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counts {
    /// Nobody's.
    Nobody,
    /// The culprit's.
    Culprit,
    /// Those of all messages that are not marked.
    Undone,
}

/// What the virtual partition does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing: what is not marked is left to the next owner.
    Forget,
    /// Goes on with what waits.
    GoOn,
    /// Gives the messages that are not marked at once, as they were.
    Again,
    /// Waits for its back-off, then gives the messages that are not marked.
    BackOff,
    /// Counts the culprit as done and goes on.
    Discard,
    /// Sends the culprit off as a dead letter, and waits for its arrival or goes on meanwhile.
    DeadLetter {
        /// Whether it waits.
        wait: bool,
    },
}

/// The decision about one virtual partition after a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct After {
    /// What is done now.
    pub marks: Marks,
    /// Whose failures are counted.
    pub counts: Counts,
    /// Whether the counting starts again for what waits.
    pub resets: bool,
    /// Whether the messages that are not marked run without other company until the culprit is found.
    pub searches: bool,
    /// What follows.
    pub next: Next,
}

impl Policy {
    /// Whether failures of messages lead anywhere, so that it matters which message failed.
    fn asks_who(&self) -> bool {
        self.bisect || self.strategy || (self.max_retries.is_some() && self.given_up != GivenUp::Never)
    }

    fn give_up(&self) -> Next {
        match self.given_up {
            GivenUp::Never => Next::BackOff,
            GivenUp::Skipped => Next::Discard,
            GivenUp::Dispatched { wait } => Next::DeadLetter { wait },
        }
    }
}

/// What one virtual partition of a call does next: the only place that decides it.
pub fn after(policy: &Policy, call: &Call) -> After {
    let decided = |next| After { marks: Marks::Nothing, counts: Counts::Nobody, resets: false, searches: false, next };
    let next = match call.ownership {
        Ownership::Gone => return decided(Next::Forget),
        Ownership::Leaving => Next::Forget,
        Ownership::Held => Next::GoOn,
    };
    let verdict = match call.ending {
        Ending::Done => {
            let marks = if policy.manual_offset_management { Marks::Handled } else { Marks::All };
            return After { marks, resets: policy.independent, ..decided(next) };
        }
        _ if next == Next::Forget => return decided(Next::Forget),
        Ending::NotStarted if call.undone > 0 => return decided(Next::Again),
        Ending::NotStarted => return decided(Next::GoOn),
        Ending::Paused => {
            let next = if call.undone > 0 { Next::Again } else { Next::GoOn };
            return After { resets: policy.independent, ..decided(next) };
        }
        Ending::Failed(verdict) => verdict,
    };
    let resets = policy.independent && call.progress;
    if call.undone == 0 {
        return After { resets, ..decided(Next::GoOn) };
    }
    if verdict == Verdict::Critical {
        // Not at once: should the process live on all the same, it must not spin.
        return decided(Next::BackOff);
    }
    let searches = policy.asks_who() || matches!(verdict, Verdict::GiveUp | Verdict::Discard);
    let counts = match call.culprit {
        Culprit::Elsewhere => return After { resets, ..decided(Next::Again) },
        Culprit::Unknown => return After { resets, counts: Counts::Undone, searches, ..decided(Next::BackOff) },
        Culprit::Here => Counts::Culprit,
    };
    let deliveries = if resets { 1 } else { call.deliveries };
    let used_up = policy.max_retries.is_some_and(|most| deliveries > most);
    let next = match verdict {
        Verdict::Discard => Next::Discard,
        Verdict::GiveUp => policy.give_up(),
        Verdict::Unsaid if used_up => policy.give_up(),
        Verdict::Unsaid | Verdict::Retry | Verdict::Critical => Next::BackOff,
    };
    After { counts, resets, searches, ..decided(next) }
}
