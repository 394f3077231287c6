//! Scheduled messages: the parts of an app and of a producer that concern them.
//!
//! Called on any Python thread; waiting for acknowledgements happens without the interpreter's lock.

use crate::attach;
use crate::error::OrRaise;
use crate::record::{Extras, Outgoing, milliseconds_up};
use crate::settings::settings;
use karafka::ScheduledMessagesConfig;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

pub(crate) fn send_on(py: Python<'_>, app: &karafka::App, topic: &str, options: &Bound<'_, PyDict>) -> PyResult<()> {
    let config = ScheduledMessagesConfig::from_settings(&settings(options)?).or_raise(py)?;
    app.scheduled_messages(topic, config).or_raise(py)
}

/// What is scheduled, as Python gives it.
pub(crate) struct Planned<'own, 'py> {
    pub(crate) at: &'own Bound<'py, PyAny>,
    pub(crate) topic: Bound<'py, PyString>,
    pub(crate) value: Option<&'own Bound<'py, PyAny>>,
    pub(crate) key: Option<&'own Bound<'py, PyAny>>,
    pub(crate) extras: Extras<'own, 'py>,
}

pub(crate) fn schedule(
    py: Python<'_>,
    producer: &karafka::Producer,
    schedule: &str,
    planned: Planned<'_, '_>,
) -> PyResult<String> {
    let at = milliseconds_up(planned.at)?;
    let outgoing = Outgoing::new(planned.topic, planned.value, planned.key, planned.extras)?;
    let headers = outgoing.headers()?;
    let record = outgoing.record(&headers)?;
    attach::detached(py, || producer.schedule(schedule, &record, at)).or_raise(py)
}

pub(crate) fn cancel(py: Python<'_>, producer: &karafka::Producer, schedule: &str, id: &str) -> PyResult<()> {
    attach::detached(py, || producer.cancel(schedule, id)).or_raise(py)
}
