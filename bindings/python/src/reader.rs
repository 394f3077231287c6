//! Reading topics without a group, as ``libkarafka/reader.py`` drives it.
//!
//! Called on any Python thread, by one at a time. Every wait happens without the interpreter's lock, in slices between which signals
//! are handled.

use crate::attach;
use crate::batch::Batch;
use crate::error::{OrRaise, raise};
use crate::settings::{seconds, settings};
use crossbeam::channel::bounded;
use karafka::lock::{Mutex, MutexGuard};
use karafka::{ErrorKind, ReadFrom, ReaderConfig, Selection, Waited};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::time::Duration;

/// A reader of the core.
#[pyclass(frozen, name = "_Reader", module = "libkarafka._native")]
pub(crate) struct Reader(Mutex<Option<karafka::Reader>>);

/// A topic, its partitions or none for all, where to begin, and the number that belongs to it.
type Given = (String, Vec<i32>, String, i64);

/// Topic, partition, where reading began, what is next, where the log ended, whether all is read.
type Told = (String, i32, i64, i64, i64, bool);

const OPERATION: &str = "read topics";

impl Reader {
    fn lock(&self, py: Python<'_>) -> PyResult<MutexGuard<'_, Option<karafka::Reader>>> {
        let busy = || raise(py, ErrorKind::Stopped, OPERATION, "another thread reads with this reader");
        self.0.try_lock().ok_or_else(busy)
    }
}

fn closed() -> karafka::Error {
    karafka::Error::new(ErrorKind::Stopped, OPERATION, "the reader was closed")
}

#[pymethods]
impl Reader {
    #[new]
    fn new(py: Python<'_>, selections: Vec<Given>, options: &Bound<'_, PyDict>) -> PyResult<Self> {
        let config = ReaderConfig::from_settings(&settings(options)?).or_raise(py)?;
        let select = |(topic, partitions, word, number): Given| {
            Ok(Selection::of_partitions(topic, partitions, ReadFrom::named(&word, number)?))
        };
        let selections = selections.into_iter().map(select).collect::<karafka::Result<Vec<_>>>().or_raise(py)?;
        let (opened, open) = bounded(1);
        let run = move || {
            // Nobody listens any more after Ctrl-C.
            let _ = opened.send(karafka::Reader::open(config, &selections));
        };
        std::thread::Builder::new().name("karafka-wait".to_owned()).spawn(run)?;
        let reader = attach::wait(py, None, |slice| open.recv_timeout(slice).ok())?;
        let gone = || karafka::Error::new(ErrorKind::Internal, OPERATION, "opening panicked");
        Ok(Self(Mutex::new(Some(reader.unwrap_or_else(|| Err(gone())).or_raise(py)?))))
    }

    /// The next batch; None when everything was read.
    fn next(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<Option<Batch>> {
        let given = timeout.map(seconds).transpose()?;
        let mut guard = self.lock(py)?;
        let reader = guard.as_mut().ok_or_else(closed).or_raise(py)?;
        let timeout = given.unwrap_or(reader.config().timeout);
        loop {
            let look = |slice| match reader.wait(slice) {
                Ok(Waited::Nothing) => None,
                found => Some(found),
            };
            match attach::wait(py, Some(timeout), look)?.transpose().or_raise(py)? {
                Some(Waited::Batch(batch)) => return Ok(Some(Batch::new(batch))),
                Some(Waited::Ended) => return Ok(None),
                Some(Waited::Nothing) | None if given.is_some() => {
                    // Says why nothing came, unless something has come just now.
                    let last = reader.next(Duration::ZERO);
                    return last.map(|batch| batch.map(Batch::new)).or_raise(py);
                }
                Some(Waited::Nothing) | None => reader.silence(timeout).or_raise(py)?,
            }
        }
    }

    /// Where each partition is, in the order of ``libkarafka.Place``.
    fn places(&self, py: Python<'_>) -> PyResult<Vec<Told>> {
        let guard = self.lock(py)?;
        let reader = guard.as_ref().ok_or_else(closed).or_raise(py)?;
        let place = |place: &karafka::Place| {
            (place.topic.to_string(), place.partition, place.start, place.next, place.end, place.is_done)
        };
        Ok(reader.places().iter().map(place).collect())
    }

    fn stop_partition(&self, py: Python<'_>, topic: &str, partition: i32) -> PyResult<bool> {
        let mut guard = self.lock(py)?;
        let reader = guard.as_mut().ok_or_else(closed).or_raise(py)?;
        attach::detached(py, || reader.stop_partition(topic, partition)).or_raise(py)
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let reader = self.lock(py)?.take();
        attach::detached(py, || drop(reader));
        Ok(())
    }
}

impl Drop for Reader {
    /// Ending a client waits for its threads: not with the interpreter's lock.
    fn drop(&mut self) {
        let reader = self.0.get_mut().take();
        if reader.is_some() {
            // Without a thread it ends here.
            let _ = std::thread::Builder::new().name("karafka-close".to_owned()).spawn(move || drop(reader));
        }
    }
}
