//! Options on their way from C to the core.
//!
//! Owns `karafka_config_t`: names and values as given, for an app, a topic or a producer alike. Nothing is checked but text;
//! the core reads and checks all of it at once where it is used. May be filled on any thread.

use crate::boundary::fallible;
use crate::error::{Fault, karafka_error_t};
use crate::handle::{self, handle};
use crate::text::{Out, text};
use runtime::lock::Mutex;
use runtime::{Settings, Value};
use std::ffi::c_char;

/// Options for an app, a topic or a producer, by the names of docs/configuration.md.
///
/// Owned by whoever made it, freed by `karafka_config_free`. It is read, not kept, by the functions that take it: one may
/// serve several times. May be used on any thread.
pub struct karafka_config_t(());

handle!(karafka_config_t, Config, ConfigObject);

/// What stands before the name of one of librdkafka's settings.
const KAFKA: &str = "kafka.";

#[derive(Default)]
pub(crate) struct ConfigObject {
    given: Mutex<Given>,
}

#[derive(Default)]
struct Given {
    options: Settings,
    kafka: Settings,
}

impl ConfigObject {
    /// Setting an option again replaces it.
    fn set(&self, name: &str, value: Value) {
        let mut given = self.given.lock();
        let (settings, name) = match name.strip_prefix(KAFKA) {
            Some(name) => (&mut given.kafka, name),
            None => (&mut given.options, name),
        };
        match settings.iter_mut().find(|(known, _)| known == name) {
            Some((_, place)) => *place = value,
            None => settings.push((name.to_owned(), value)),
        }
    }

    fn settings(&self) -> Settings {
        let given = self.given.lock();
        let mut settings = given.options.clone();
        if !given.kafka.is_empty() {
            settings.push(("kafka".to_owned(), Value::Map(given.kafka.clone())));
        }
        settings
    }
}

/// What a function reads that takes a config: NULL stands for no options.
pub(crate) fn settings(config: *const karafka_config_t) -> Result<Settings, Fault> {
    if config.is_null() { Ok(Settings::new()) } else { Ok(handle::get(config)?.settings()) }
}

/// # Safety
/// `name` must be NULL or point to `length` bytes.
unsafe fn set(
    config: *mut karafka_config_t,
    name: *const c_char,
    length: usize,
    value: impl FnOnce() -> Result<Value, Fault>,
) -> Result<(), Fault> {
    let config = handle::get(config.cast_const())?;
    // SAFETY: the caller's promise is the same.
    let name = unsafe { text(name, length, "the option's name")? };
    config.set(name, value()?);
    Ok(())
}

/// Makes a config without options: each has its default until it is set.
///
/// @param config Gets the config, to be freed by `karafka_config_free`.
/// Errors: `ARGUMENT`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn karafka_config_new(config: *mut *mut karafka_config_t) -> *mut karafka_error_t {
    fallible("karafka_config_new", || {
        // SAFETY: the header asks for NULL or a valid place.
        let out = unsafe { Out::required(config, "config")? };
        out.write(handle::open(ConfigObject::default())?);
        Ok(())
    })
}

/// Frees a config. Takes NULL. Apps and producers that were made from it are not affected.
#[unsafe(no_mangle)]
pub extern "C" fn karafka_config_free(config: *mut karafka_config_t) {
    handle::free("karafka_config_free", config);
}

/// Sets an option to text: a name, a word, or a quantity with its unit, such as "250ms" or "64MiB".
///
/// A name that begins with "kafka." sets one of librdkafka's own settings: "kafka.security.protocol". Setting an option again
/// replaces it. Whether the option exists and takes the value is told when the config is used.
///
/// @param name UTF-8, not ended by NUL.
/// @param value UTF-8, not ended by NUL.
/// Errors: `ARGUMENT`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn karafka_config_set_string(
    config: *mut karafka_config_t,
    name: *const c_char,
    name_length: usize,
    value: *const c_char,
    value_length: usize,
) -> *mut karafka_error_t {
    fallible("karafka_config_set_string", || {
        // SAFETY: the header asks for pointers with their lengths.
        unsafe {
            set(config, name, name_length, || {
                text(value, value_length, "the option's value").map(|value| Value::Text(value.to_owned()))
            })
        }
    })
}

/// Sets an option to a whole number. For a time: milliseconds. For a size: bytes. Otherwise as `karafka_config_set_string`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn karafka_config_set_integer(
    config: *mut karafka_config_t,
    name: *const c_char,
    name_length: usize,
    value: i64,
) -> *mut karafka_error_t {
    // SAFETY: the header asks for a pointer with its length.
    fallible("karafka_config_set_integer", || unsafe { set(config, name, name_length, || Ok(Value::Integer(value))) })
}

/// Sets an option to a number with a fraction. Otherwise as `karafka_config_set_string`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn karafka_config_set_float(
    config: *mut karafka_config_t,
    name: *const c_char,
    name_length: usize,
    value: f64,
) -> *mut karafka_error_t {
    // SAFETY: the header asks for a pointer with its length.
    fallible("karafka_config_set_float", || unsafe { set(config, name, name_length, || Ok(Value::Float(value))) })
}

/// Sets an option to true or false. Otherwise as `karafka_config_set_string`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn karafka_config_set_bool(
    config: *mut karafka_config_t,
    name: *const c_char,
    name_length: usize,
    value: bool,
) -> *mut karafka_error_t {
    // SAFETY: the header asks for a pointer with its length.
    fallible("karafka_config_set_bool", || unsafe { set(config, name, name_length, || Ok(Value::Bool(value))) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_value_counts_and_raw_settings_are_gathered() {
        let config = ConfigObject::default();
        config.set("concurrency", Value::Integer(5));
        config.set("kafka.fetch.min.bytes", Value::Integer(1));
        config.set("concurrency", Value::Integer(7));
        config.set("kafka.fetch.min.bytes", Value::Integer(2));
        let raw = vec![("fetch.min.bytes".to_owned(), Value::Integer(2))];
        let expected = vec![("concurrency".to_owned(), Value::Integer(7)), ("kafka".to_owned(), Value::Map(raw))];
        assert_eq!(config.settings(), expected);
    }
}
