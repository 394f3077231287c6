//! A record to produce, out of Python's arguments.
//!
//! Made with the interpreter's lock. Bytes and text are borrowed from their immutable objects, which it holds, so that the
//! record can be sent without the lock; what could change meanwhile is copied.

use karafka::{Header, Record};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyInt, PyMemoryView, PyString, PyTuple};

enum Octets<'py> {
    Bytes(Bound<'py, PyBytes>),
    Text(Bound<'py, PyString>),
}

impl<'py> Octets<'py> {
    fn of(what: &str, value: &Bound<'py, PyAny>) -> PyResult<Option<Self>> {
        Self::out_of(what, value.clone())
    }

    fn out_of(what: &str, value: Bound<'py, PyAny>) -> PyResult<Option<Self>> {
        if value.is_none() {
            return Ok(None);
        }
        let value = match value.cast_into::<PyBytes>() {
            Ok(bytes) => return Ok(Some(Self::Bytes(bytes))),
            Err(other) => other.into_inner(),
        };
        let value = match value.cast_into::<PyString>() {
            Ok(text) => return Ok(Some(Self::Text(text))),
            Err(other) => other.into_inner(),
        };
        let Ok(view) = PyMemoryView::from(&value) else {
            let class = value.get_type().name()?;
            return Err(PyTypeError::new_err(format!("{what} must be bytes-like, str or None, not {class}")));
        };
        Ok(Some(Self::Bytes(view.call_method0("tobytes")?.cast_into::<PyBytes>()?)))
    }

    fn bytes(&self) -> PyResult<&[u8]> {
        match self {
            Self::Bytes(bytes) => Ok(bytes.as_bytes()),
            Self::Text(text) => Ok(text.to_str()?.as_bytes()),
        }
    }
}

fn bytes_of<'own>(octets: Option<&'own Octets<'_>>) -> PyResult<Option<&'own [u8]>> {
    octets.map(Octets::bytes).transpose()
}

/// A record and the objects that its bytes belong to.
pub(crate) struct Outgoing<'py> {
    topic: Bound<'py, PyString>,
    partition: Option<i32>,
    key: Option<Octets<'py>>,
    value: Option<Octets<'py>>,
    headers: Vec<(Octets<'py>, Option<Octets<'py>>)>,
    timestamp: Option<i64>,
    partition_key: Option<Octets<'py>>,
    label: Option<Bound<'py, PyString>>,
}

/// What a record may have beside topic, value and key.
#[derive(Default)]
pub(crate) struct Extras<'own, 'py> {
    pub(crate) headers: Option<&'own Bound<'py, PyAny>>,
    pub(crate) partition: Option<i32>,
    pub(crate) timestamp: Option<&'own Bound<'py, PyAny>>,
    pub(crate) partition_key: Option<&'own Bound<'py, PyAny>>,
    pub(crate) label: Option<Bound<'py, PyString>>,
}

impl<'py> Outgoing<'py> {
    pub(crate) fn new(
        topic: Bound<'py, PyString>,
        value: Option<&Bound<'py, PyAny>>,
        key: Option<&Bound<'py, PyAny>>,
        extras: Extras<'_, 'py>,
    ) -> PyResult<Self> {
        let octets = |what, given: Option<&Bound<'py, PyAny>>| given.map_or(Ok(None), |given| Octets::of(what, given));
        Ok(Self {
            topic,
            partition: extras.partition,
            key: octets("key", key)?,
            value: octets("value", value)?,
            headers: extras.headers.map_or_else(|| Ok(Vec::new()), pairs)?,
            timestamp: extras.timestamp.map(milliseconds).transpose()?.flatten(),
            partition_key: octets("partition_key", extras.partition_key)?,
            label: extras.label,
        })
    }

    /// A record out of a dict with the names of `produce`'s parameters.
    pub(crate) fn from_dict(record: &Bound<'py, PyDict>) -> PyResult<Self> {
        if let Some(plain) = Self::from_plain_dict(record)? {
            return Ok(plain);
        }
        let (mut topic, mut value, mut key, mut headers, mut partition, mut timestamp) =
            (None, None, None, None, None, None);
        let (mut partition_key, mut label) = (None, None);
        for (name, given) in record {
            match name.cast::<PyString>()?.to_str()? {
                "topic" => topic = Some(given.cast_into::<PyString>()?),
                "value" => value = Some(given),
                "key" => key = Some(given),
                "headers" => headers = Some(given),
                "partition" => partition = given.extract()?,
                "timestamp" => timestamp = Some(given),
                "partition_key" => partition_key = Some(given),
                "label" => label = given.extract()?,
                other => return Err(PyTypeError::new_err(format!("a record has no {other:?}"))),
            }
        }
        let topic = topic.ok_or_else(|| PyTypeError::new_err("a record needs a \"topic\""))?;
        let extras = Extras {
            headers: headers.as_ref(),
            partition,
            timestamp: timestamp.as_ref(),
            partition_key: partition_key.as_ref(),
            label,
        };
        Self::new(topic, value.as_ref(), key.as_ref(), extras)
    }

    /// A record out of a dict that has nothing but topic, value and key, as most do.
    fn from_plain_dict(record: &Bound<'py, PyDict>) -> PyResult<Option<Self>> {
        let py = record.py();
        let Some(topic) = record.get_item(intern!(py, "topic"))? else { return Ok(None) };
        let (value, key) = (record.get_item(intern!(py, "value"))?, record.get_item(intern!(py, "key"))?);
        if record.len() != 1 + usize::from(value.is_some()) + usize::from(key.is_some()) {
            return Ok(None);
        }
        let octets =
            |what, given: Option<Bound<'py, PyAny>>| given.map_or(Ok(None), |given| Octets::out_of(what, given));
        Ok(Some(Self {
            topic: topic.cast_into::<PyString>()?,
            partition: None,
            key: octets("key", key)?,
            value: octets("value", value)?,
            headers: Vec::new(),
            timestamp: None,
            partition_key: None,
            label: None,
        }))
    }

    /// The headers as the core wants them; to be kept while the record is used.
    pub(crate) fn headers(&self) -> PyResult<Vec<Header<'_>>> {
        self.headers
            .iter()
            .map(|(name, value)| Ok(Header { name: name.bytes()?, value: bytes_of(value.as_ref())? }))
            .collect()
    }

    pub(crate) fn record<'own>(&'own self, headers: &'own [Header<'own>]) -> PyResult<Record<'own>> {
        Ok(Record {
            topic: self.topic.to_str()?,
            partition: self.partition,
            key: bytes_of(self.key.as_ref())?,
            payload: bytes_of(self.value.as_ref())?,
            headers,
            timestamp_ms: self.timestamp,
            partition_key: bytes_of(self.partition_key.as_ref())?,
            label: self.label.as_ref().map(|label| label.to_str()).transpose()?,
        })
    }
}

/// Headers are a dict, or pairs when names repeat.
fn pairs<'py>(headers: &Bound<'py, PyAny>) -> PyResult<Vec<(Octets<'py>, Option<Octets<'py>>)>> {
    if headers.is_none() {
        return Ok(Vec::new());
    }
    let items = if let Ok(dict) = headers.cast::<PyDict>() { dict.items().into_any() } else { headers.clone() };
    let mut list = Vec::new();
    for item in items.try_iter()? {
        let (name, value) = item?.cast_into::<PyTuple>()?.extract::<(Bound<'py, PyString>, Bound<'py, PyAny>)>()?;
        list.push((name_of(&name)?, Octets::of("a header's value", &value)?));
    }
    Ok(list)
}

/// A name as received can hold surrogate escapes, and goes out as the bytes that it came from.
fn name_of<'py>(name: &Bound<'py, PyString>) -> PyResult<Octets<'py>> {
    if name.to_str().is_ok() {
        return Ok(Octets::Text(name.clone()));
    }
    let bytes = name.call_method1("encode", ("utf-8", "surrogateescape"))?;
    Ok(Octets::Bytes(bytes.cast_into::<PyBytes>()?))
}

/// A timestamp is milliseconds since 1970-01-01 UTC, or an aware datetime.
fn milliseconds(given: &Bound<'_, PyAny>) -> PyResult<Option<i64>> {
    if given.is_none() {
        return Ok(None);
    }
    if given.is_instance_of::<PyInt>() {
        return given.extract().map(Some);
    }
    seconds(given).map(|seconds| Some((seconds * 1000.0).round() as i64))
}

/// A time before which something must not happen, in the same forms: a part of a millisecond counts as a whole one.
pub(crate) fn milliseconds_up(given: &Bound<'_, PyAny>) -> PyResult<i64> {
    if given.is_instance_of::<PyInt>() {
        return given.extract();
    }
    seconds(given).map(|seconds| (seconds * 1000.0).ceil() as i64)
}

/// The seconds since 1970-01-01 UTC of an aware datetime.
fn seconds(given: &Bound<'_, PyAny>) -> PyResult<f64> {
    if !given.hasattr("tzinfo")? {
        let class = given.get_type().name()?;
        return Err(PyTypeError::new_err(format!("timestamp must be int milliseconds or a datetime, not {class}")));
    }
    if given.getattr("tzinfo")?.is_none() {
        return Err(PyValueError::new_err(
            "timestamp needs a datetime with a time zone, such as datetime.now(timezone.utc)",
        ));
    }
    given.call_method0("timestamp")?.extract()
}
