//! A value of the core that a Ruby object owns.
//!
//! Used with the GVL held. After a fork the value belongs to the parent: the child's copy refuses to be used, and is leaked
//! instead of freed, since the threads and locks it needs are not in the child.

use karafka::{Error, ErrorKind, Result};

/// A value, and the process it was made in, by the forks before it.
pub struct Handle<T> {
    forks: u32,
    value: Option<T>,
}

impl<T> Handle<T> {
    pub fn new(value: T) -> Self {
        Self { forks: karafka::fork_epoch(), value: Some(value) }
    }

    /// The value, for what only makes sense in the process it was made in.
    ///
    /// # Errors
    /// `Forked` in a child process.
    pub fn get(&self, operation: &'static str) -> Result<&T> {
        if self.is_foreign() {
            return Err(forked(operation));
        }
        self.peek(operation)
    }

    /// The value, for reading memory that the child has too.
    ///
    /// # Errors
    /// `Stopped` once it was taken out.
    pub fn peek(&self, operation: &'static str) -> Result<&T> {
        let gone = || Error::new(ErrorKind::Stopped, operation, "the object was closed");
        self.value.as_ref().ok_or_else(gone)
    }

    /// Takes the value out; none in a child process, where it is leaked.
    pub fn take(&mut self) -> Option<T> {
        let value = self.value.take();
        if self.is_foreign() {
            std::mem::forget(value);
            return None;
        }
        value
    }

    /// Whether this is a child of the process that made the value.
    pub fn is_foreign(&self) -> bool {
        self.forks != karafka::fork_epoch()
    }
}

impl<T> Drop for Handle<T> {
    fn drop(&mut self) {
        drop(self.take());
    }
}

fn forked(operation: &'static str) -> Error {
    let message =
        "the object was made in the parent process and does not work after a fork; make a new one in this process";
    Error::new(ErrorKind::Forked, operation, message)
}
