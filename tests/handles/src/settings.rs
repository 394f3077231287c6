//! Options and values as the core reads them.

#[path = "../../../core/runtime/src/config/kafka_names.rs"]
mod kafka_names;
#[path = "../../../core/runtime/src/config/value.rs"]
pub mod value;
