//! An admin of the core, as `lib/libkarafka/admin.rb` drives it: a text of JSON in, one out.
//!
//! Called on Ruby threads, by several at once. Every wait for brokers happens without the GVL, and can be interrupted.

use crate::config::settings;
use crate::error::Raise;
use crate::handle::Handle;
use crate::wait::{drop_elsewhere, interruptible, seconds};
use karafka::AdminConfig;
use magnus::typed_data::TypedData;
use magnus::{Error, Module, Object, RHash, RModule, Ruby, function, method};

#[magnus::wrap(class = "LibKarafka::Native::Admin", free_immediately, size)]
struct Admin(Handle<karafka::Admin>);

impl Admin {
    fn connect(ruby: &Ruby, options: RHash) -> Result<Self, Error> {
        let config = AdminConfig::from_settings(&settings(ruby, options)?).or_raise(ruby)?;
        let admin = interruptible(ruby, move || karafka::Admin::new(config))?.or_raise(ruby)?;
        Ok(Self(Handle::new(admin)))
    }

    /// Asks, for at most so many seconds or as the options say.
    fn ask(ruby: &Ruby, this: &Self, request: String, timeout: Option<f64>) -> Result<String, Error> {
        let admin = this.0.get("ask a cluster").or_raise(ruby)?;
        let timeout = timeout.map(seconds).transpose().or_raise(ruby)?;
        let admin = timeout.map_or_else(|| admin.clone(), |timeout| admin.with_timeout(timeout));
        interruptible(ruby, move || admin.ask(&request).map(|answer| answer.to_string()))?.or_raise(ruby)
    }
}

impl Drop for Admin {
    /// Ending a client waits for its threads, which a garbage collection must not.
    fn drop(&mut self) {
        if let Some(admin) = self.0.take() {
            drop_elsewhere(admin);
        }
    }
}

pub fn define(ruby: &Ruby, native: RModule) -> Result<(), Error> {
    let class = native.define_class("Admin", ruby.class_object())?;
    Admin::class(ruby);
    class.define_singleton_method("connect", function!(Admin::connect, 1))?;
    class.define_method("ask", method!(Admin::ask, 2))
}
