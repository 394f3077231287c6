//! Producers that come from another one: with other options, or the same again.
//!
//! Called on any thread. A variant is owned by its producer and ends with it; a reopened one is on its own.

use super::Producer;
use super::outbox::{Outbox, Target};
use crate::config::Settings;
use crate::{ErrorKind, Result};
use std::sync::Arc;

impl Producer {
    /// A new producer with this one's configuration and hooks: for a forked child, where this one refuses to work, or after a
    /// fatal error. This one is not touched, and is closed by itself.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn reopen(&self) -> Result<Self> {
        let outbox = &self.0.outbox;
        Self::connected(outbox.config.clone(), outbox.hooks.clone(), None)
    }

    /// A producer with other options than this one's: acknowledgements, compression, timeouts. It has connections of its own, and
    /// keeps no order with this one's records; it is made once for the same options, shares hooks and subscribers, and closes
    /// with this one.
    ///
    /// # Errors
    /// `Config`, with every problem of the options; `Stopped` after closing, `Forked` in a child process.
    pub fn variant(&self, options: &Settings) -> Result<Self> {
        let outbox = &self.0.outbox;
        outbox.owns("make a variant of a producer")?;
        let mut variants = self.0.variants.lock();
        outbox.is_open("make a variant of a producer")?;
        variants.retain(|(_, known)| known.0.outbox.is_open("").is_ok());
        if let Some((_, known)) = variants.iter().find(|(known, _)| known == options) {
            return Ok(known.clone());
        }
        let mut config = outbox.config.clone();
        for (name, value) in options {
            config.set(name, value)?;
        }
        let variant = match outbox.recorder("make a variant of a producer") {
            Ok(recorder) => {
                super::validate(&config)?;
                let own = Outbox::new(config, outbox.hooks.clone(), Arc::clone(&outbox.publisher))?;
                own.open(Target::Recorder(recorder));
                Self::of(Arc::new(own), true)
            }
            Err(error) if error.kind() == ErrorKind::Unsupported => {
                Self::connected(config, outbox.hooks.clone(), Some(Arc::clone(&outbox.publisher)))?
            }
            Err(error) => return Err(error),
        };
        variants.push((options.clone(), variant.clone()));
        Ok(variant)
    }
}
