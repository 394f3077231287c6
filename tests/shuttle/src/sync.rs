//! What `karafka`'s module of this name gives, made of shuttle's parts.

pub(crate) use shuttle::sync::Arc;
pub(crate) use shuttle::sync::atomic::{AtomicBool, Ordering};
use shuttle::sync::{Condvar, MutexGuard};
use std::collections::VecDeque;
use std::sync::PoisonError;

/// `karafka`'s lock: it cannot be poisoned.
pub(crate) struct Mutex<T>(shuttle::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(shuttle::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `crossbeam`'s queue, as far as its order goes.
pub(crate) struct SegQueue<T>(Mutex<VecDeque<T>>);

impl<T> SegQueue<T> {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(VecDeque::new()))
    }

    pub(crate) fn push(&self, value: T) {
        self.0.lock().push_back(value);
    }

    pub(crate) fn pop(&self) -> Option<T> {
        self.0.lock().pop_front()
    }
}

struct Token {
    given: Mutex<bool>,
    changed: Condvar,
}

/// `crossbeam`'s parker: one token, given by `unpark`, taken by `park`.
pub(crate) struct Parker(Arc<Token>);

/// Gives a parker's token.
#[derive(Clone)]
pub(crate) struct Unparker(Arc<Token>);

impl Parker {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Token { given: Mutex::new(false), changed: Condvar::new() }))
    }

    pub(crate) fn unparker(&self) -> Unparker {
        Unparker(Arc::clone(&self.0))
    }

    pub(crate) fn park(&self) {
        let mut given = self.0.given.lock();
        while !*given {
            given = self.0.changed.wait(given).unwrap_or_else(PoisonError::into_inner);
        }
        *given = false;
    }
}

impl Unparker {
    pub(crate) fn unpark(&self) {
        *self.0.given.lock() = true;
        self.0.changed.notify_one();
    }
}
