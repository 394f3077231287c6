//! Administration, as ``libkarafka/admin.py`` drives it: a text of JSON in, one out.
//!
//! Called on any Python thread, by several at once; every wait for brokers happens without the interpreter's lock, and lets signals
//! through.

use crate::settings::{seconds, settings};
use crate::transaction::interruptible;
use karafka::AdminConfig;
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// An admin of the core.
#[pyclass(frozen, name = "_Admin", module = "libkarafka._native")]
pub(crate) struct Admin(Option<karafka::Admin>);

#[pymethods]
impl Admin {
    #[new]
    fn new(py: Python<'_>, options: &Bound<'_, PyDict>) -> PyResult<Self> {
        let settings = settings(options)?;
        let connect = move || karafka::Admin::new(AdminConfig::from_settings(&settings)?);
        interruptible(py, connect).map(|admin| Self(Some(admin)))
    }

    /// Asks, for at most so many seconds or as the options say.
    fn ask(&self, py: Python<'_>, request: String, timeout: Option<f64>) -> PyResult<String> {
        let timeout = timeout.map(seconds).transpose()?;
        let admin = self.0.clone();
        interruptible(py, move || {
            let gone = || karafka::Error::new(karafka::ErrorKind::Stopped, "ask a cluster", "the admin is being freed");
            let admin = admin.ok_or_else(gone)?;
            let admin = timeout.map_or_else(|| admin.clone(), |timeout| admin.with_timeout(timeout));
            admin.ask(&request).map(|answer| answer.to_string())
        })
    }
}

impl Drop for Admin {
    /// Ending a client waits for its threads: not with the interpreter's lock.
    fn drop(&mut self) {
        let admin = self.0.take();
        // Without a thread it ends here.
        let _ = std::thread::Builder::new().name("karafka-close".to_owned()).spawn(move || drop(admin));
    }
}
