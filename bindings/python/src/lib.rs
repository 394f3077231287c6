//! libkarafka for Python: the private module `libkarafka._native`.
//!
//! Converts, calls the core, converts back; decides nothing. The package around it (`libkarafka/*.py`) gives it Python's
//! shape: decorators, event loops, context managers. Called by Python on any thread that holds the interpreter; the core's
//! worker threads come in through [`attach`]. What crosses the interpreter's lock, hands out memory or holds an object by
//! its address is in [`attach`], [`buffer`] and [`kept`]; nothing else is unsafe.

mod admin;
mod app;
mod attach;
mod batch;
mod buffer;
mod context;
mod deliveries;
mod delivery;
mod embedded;
mod error;
mod event;
mod failure;
mod handler;
mod job;
mod kept;
mod message;
mod output;
mod producer;
mod reader;
mod record;
mod recurring;
mod scheduled;
mod scheduler;
mod settings;
mod slots;
mod transaction;
mod verdict;

use pyo3::prelude::*;

#[global_allocator]
static ALLOCATOR: karafka::Allocator = karafka::Allocator;

/// The native half of libkarafka; use the package `libkarafka`.
#[pymodule]
mod _native {
    #[pymodule_export]
    use super::admin::Admin;
    #[pymodule_export]
    use super::app::App;
    #[pymodule_export]
    use super::attach::{close, interrupt_left_behind, workers};
    #[pymodule_export]
    use super::batch::{Batch, BatchIterator, BatchMetadata};
    #[pymodule_export]
    use super::buffer::Payload;
    #[pymodule_export]
    use super::context::{Context, Each};
    #[pymodule_export]
    use super::deliveries::Deliveries;
    #[pymodule_export]
    use super::delivery::{Delivery, DeliveryReport};
    #[pymodule_export]
    use super::embedded::EmbeddedBroker;
    #[pymodule_export]
    use super::event::Events;
    #[pymodule_export]
    use super::job::Job;
    #[pymodule_export]
    use super::message::Message;
    #[pymodule_export]
    use super::producer::Producer;
    #[pymodule_export]
    use super::reader::Reader;
    #[pymodule_export]
    use super::recurring::{RecurringTasks, TaskRun};
    #[pymodule_export]
    use super::scheduler::Waiting;
    #[pymodule_export]
    use super::transaction::{Transaction, TransactionalProducer};

    use pyo3::prelude::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("VERSION", karafka::VERSION)?;
        module.add("LIBRDKAFKA_VERSION", karafka::librdkafka_version())
    }
}
