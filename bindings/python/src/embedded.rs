//! The embedded broker, for trying out and for tests.
//!
//! Called with the interpreter's lock, which is given back while the broker starts or answers.

use crate::attach;
use crate::error::OrRaise;
use pyo3::prelude::*;

/// A broker inside this process, behind the address ``embedded://name``.
///
/// Everything in the process that uses the same name shares it; it keeps records in memory only and ends with the process.
#[pyclass(frozen, module = "libkarafka")]
pub(crate) struct EmbeddedBroker {
    address: String,
    inner: karafka::EmbeddedBroker,
}

#[pymethods]
impl EmbeddedBroker {
    #[new]
    #[pyo3(signature = (name = ""))]
    fn new(py: Python<'_>, name: &str) -> PyResult<Self> {
        let address = format!("embedded://{name}");
        let inner = attach::detached(py, || karafka::EmbeddedBroker::named(&address)).or_raise(py)?;
        Ok(Self { address, inner })
    }

    /// The address inside this process: ``embedded://name``.
    #[getter]
    fn address(&self) -> &str {
        &self.address
    }

    /// The address for clients of any kind on this machine: ``host:port``.
    #[getter]
    fn bootstrap_servers(&self) -> String {
        self.inner.bootstrap_servers()
    }

    /// Creates a topic. Topics that are only used come into being with four partitions.
    #[pyo3(signature = (name, partitions = 4))]
    fn create_topic(&self, py: Python<'_>, name: &str, partitions: i32) -> PyResult<()> {
        attach::detached(py, || self.inner.create_topic(name, partitions)).or_raise(py)
    }

    fn __repr__(&self) -> String {
        format!("<libkarafka.EmbeddedBroker {} at {}>", self.address, self.inner.bootstrap_servers())
    }
}
