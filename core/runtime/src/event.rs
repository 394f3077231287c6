//! What happens in an app, for whoever wants to know.
//!
//! `table` says which events there are and what they carry; `publisher` hands them to subscriptions, each a bounded queue
//! that is read on the subscriber's own thread: a slow or failing subscriber loses events (and is told how many), and harms
//! nothing else. Nothing here carries payloads, keys or secrets. Errors that nobody subscribed to go to the standard error
//! stream, so that no app is silently idle.

mod field;
mod interest;
mod phase;
mod publisher;
mod reference;
mod subscription;
mod table;

#[cfg(test)]
mod tests;

pub use field::{FieldSpec, FieldValue};
pub use phase::Phase;
pub(crate) use publisher::{Publisher, tell_person};
pub use reference::event_reference;
pub use subscription::{Events, EventsInterrupter, NoEvent};
pub use table::{Event, EventClass, EventSpec, events};
