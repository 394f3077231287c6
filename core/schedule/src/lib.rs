//! What is done at a time: which scheduled messages and which recurring tasks are due, and what their topics have to say of them.
//!
//! Pure: no thread, clock or IO. Fed with the records of a topic and with the time, it says what to send, run, write and delete. Called
//! by `core/runtime/src/scheduled` and `core/runtime/src/recurring`, for each partition of such a topic by whoever owns it.
//!
//! - [`Messages`]: the messages of one partition that wait, are due, or were sent and must be forgotten.
//! - [`layout`]: how a message that waits lies in its topic, and back.
//! - [`Tasks`]: the recurring tasks of a group, what was remembered of them, and the commands that they were given.
//! - [`Cron`]: the times of a task.

mod cron;
pub mod layout;
mod messages;
mod tasks;

pub use cron::Cron;
pub use messages::{Due, FIRST_BACKOFF_MS, LONGEST_BACKOFF_MS, Messages};
pub use tasks::{Cause, Command, FORGIVEN_MS, Missed, Step, TaskState, Tasks};
