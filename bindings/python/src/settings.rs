//! Python's keywords as the core's settings.
//!
//! Called with the interpreter's lock by the constructors. Knows types only: names, ranges and defaults are the core's.

use karafka::{Settings, Value};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDelta, PyDict, PyFloat, PyList, PyString, PyTuple};
use std::time::Duration;

/// The options in the order given; those that are `None` are left out, and have their defaults.
pub(crate) fn settings(options: &Bound<'_, PyDict>) -> PyResult<Settings> {
    let mut settings = Settings::with_capacity(options.len());
    for (name, value) in options {
        if !value.is_none() {
            let name: String = name.extract()?;
            let value = convert(&name, &value)?;
            settings.push((name, value));
        }
    }
    Ok(settings)
}

/// Longer than any program runs, short enough to be added to any clock.
const FOREVER: Duration = Duration::from_secs(10 * 365 * 86_400);

/// A timeout in seconds.
pub(crate) fn seconds(timeout: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(timeout)
        .map(|timeout| timeout.min(FOREVER))
        .map_err(|_| PyValueError::new_err(format!("timeout must be a number of seconds from 0, not {timeout}")))
}

fn convert(name: &str, value: &Bound<'_, PyAny>) -> PyResult<Value> {
    if let Ok(value) = value.cast::<PyBool>() {
        return Ok(Value::Bool(value.is_true()));
    }
    if let Ok(value) = value.cast::<PyString>() {
        return Ok(Value::Text(value.to_cow()?.into_owned()));
    }
    if let Ok(value) = value.cast::<PyFloat>() {
        return Ok(Value::Float(value.value()));
    }
    if value.is_instance_of::<PyList>() || value.is_instance_of::<PyTuple>() {
        // A list is text: its values, separated by commas.
        let parts = value.try_iter()?.map(|part| part?.str()?.extract()).collect::<PyResult<Vec<String>>>()?;
        return Ok(Value::Text(parts.join(",")));
    }
    if let Ok(value) = value.cast::<PyDict>() {
        let mut entries = Vec::with_capacity(value.len());
        for (key, entry) in value {
            let key: String = key.extract().map_err(|_| refused(name, "has a key that is not a str"))?;
            let entry = convert(&format!("{name}[{key:?}]"), &entry)?;
            entries.push((key, entry));
        }
        return Ok(Value::Map(entries));
    }
    if value.is_instance_of::<PyDelta>() {
        let seconds: f64 = value.call_method0("total_seconds")?.extract()?;
        return Ok(whole_milliseconds(seconds));
    }
    if let Ok(value) = value.extract::<i64>() {
        return Ok(Value::Integer(value));
    }
    if value.hasattr("__index__")? {
        // Too large for 64 bits: out of every range, and the message shows its size.
        return Ok(Value::Float(value.extract::<f64>().unwrap_or(f64::INFINITY)));
    }
    let class = value.get_type().name()?;
    Err(refused(name, &format!("must be a bool, int, float, str, timedelta, list or dict, not {class}")))
}

fn whole_milliseconds(seconds: f64) -> Value {
    let milliseconds = seconds * 1000.0;
    if milliseconds.is_finite() && milliseconds.abs() < 9.0e15 {
        Value::Integer(milliseconds.round() as i64)
    } else {
        Value::Float(milliseconds)
    }
}

fn refused(name: &str, what: &str) -> PyErr {
    PyTypeError::new_err(format!("option `{name}` {what}"))
}
