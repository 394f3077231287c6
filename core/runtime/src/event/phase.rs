//! Where an app is in its life. A number in an atomic of [`crate::shared`], a name everywhere else.

/// Where an app is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// Configured, nothing started.
    Initialized,
    /// Polling and handling.
    Running,
    /// No new calls of handlers; some still run.
    Quieting,
    /// No handler runs; partitions are kept; can be resumed.
    Quiet,
    /// Ending: handlers finish, offsets are committed, the groups are left.
    Stopping,
    /// Ended. An app does not start again.
    Stopped,
}

impl Phase {
    pub(super) const ALL: [Self; 6] =
        [Self::Initialized, Self::Running, Self::Quieting, Self::Quiet, Self::Stopping, Self::Stopped];

    /// The phase's name, as in `app.running`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Initialized => "initialized",
            Self::Running => "running",
            Self::Quieting => "quieting",
            Self::Quiet => "quiet",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
        }
    }

    /// The name of the event by which the phase is told.
    pub(super) const fn event(self) -> &'static str {
        match self {
            Self::Initialized => "app.initialized",
            Self::Running => "app.running",
            Self::Quieting => "app.quieting",
            Self::Quiet => "app.quiet",
            Self::Stopping => "app.stopping",
            Self::Stopped => "app.stopped",
        }
    }

    pub(super) const fn meaning(self) -> &'static str {
        match self {
            Self::Initialized => "The app is configured, nothing is started.",
            Self::Running => "The app polls and handles: after the start, and again after a quiet time.",
            Self::Quieting => "No new calls of handlers; some still run.",
            Self::Quiet => "No handler runs; partitions are kept; `resume` goes on.",
            Self::Stopping => "The app ends: handlers finish, offsets are committed, the groups are left.",
            Self::Stopped => "The app has ended. It is the last event.",
        }
    }

    pub(crate) const fn from_number(number: u8) -> Self {
        match number {
            0 => Self::Initialized,
            1 => Self::Running,
            2 => Self::Quieting,
            3 => Self::Quiet,
            4 => Self::Stopping,
            _ => Self::Stopped,
        }
    }

    pub(crate) const fn number(self) -> u8 {
        match self {
            Self::Initialized => 0,
            Self::Running => 1,
            Self::Quieting => 2,
            Self::Quiet => 3,
            Self::Stopping => 4,
            Self::Stopped => 5,
        }
    }
}
