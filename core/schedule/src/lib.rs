//! What is done at a time: which scheduled messages are due, and what their topic has to say of them.
//!
//! Pure: no thread, clock or IO. Fed with the records of a topic and with the time, it says what to send and what to delete. Called
//! by `core/runtime/src/scheduled`, for each partition of such a topic by whoever owns it.
//!
//! - [`Messages`]: the messages of one partition that wait, are due, or were sent and must be forgotten.
//! - [`layout`]: how a message that waits lies in its topic, and back.

pub mod layout;
mod messages;

pub use messages::{Due, FIRST_BACKOFF_MS, LONGEST_BACKOFF_MS, Messages};
