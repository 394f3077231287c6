//! Errors in both directions: the core's become Ruby exceptions, Ruby's exceptions become failures of a job.
//!
//! Called with the GVL. One class for each kind: `LibKarafka::ConfigError`, `LibKarafka::TimeoutError` and so on, all of them
//! `LibKarafka::Error`, which `lib/libkarafka/error.rb` gives its readers.

use karafka::{ErrorKind, Failure};
use magnus::error::ErrorType;
use magnus::prelude::*;
use magnus::{Error, Exception, ExceptionClass, KwArgs, RArray, RModule, RString, Ruby, Value};

pub fn define(ruby: &Ruby, module: RModule) -> Result<(), Error> {
    let base = module.define_error("Error", ruby.exception_standard_error())?;
    for kind in ErrorKind::ALL {
        module.define_error(class_name(kind), base)?;
    }
    Ok(())
}

fn class_name(kind: ErrorKind) -> String {
    format!("{}Error", kind.name())
}

/// `not_owned` for `NotOwned`.
pub fn symbol_name(kind: ErrorKind) -> String {
    let mut name = String::new();
    for letter in kind.name().chars() {
        if letter.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.extend(letter.to_lowercase());
    }
    name
}

/// The exception for an error of the core.
pub fn exception(ruby: &Ruby, error: &karafka::Error) -> Error {
    match build(ruby, error) {
        Ok(exception) => exception.into(),
        // Out of memory, killed: that is what is raised then.
        Err(other) => other,
    }
}

fn build(ruby: &Ruby, error: &karafka::Error) -> Result<Exception, Error> {
    let module: RModule = ruby.class_object().const_get("LibKarafka")?;
    let class: ExceptionClass = module.const_get(class_name(error.kind()))?;
    let fields = ruby.hash_new();
    fields.aset(ruby.to_symbol("kind"), ruby.to_symbol(symbol_name(error.kind())))?;
    fields.aset(ruby.to_symbol("code"), error.kafka())?;
    fields.aset(ruby.to_symbol("retriable"), error.is_retriable())?;
    fields.aset(ruby.to_symbol("fatal"), error.is_fatal())?;
    fields.aset(ruby.to_symbol("exit_code"), error.exit_code())?;
    class.new_instance((error.to_string(), KwArgs(fields)))
}

/// Turns the core's results into Ruby's.
pub trait Raise<T> {
    /// The value, or the exception for the error.
    ///
    /// # Errors
    /// The exception.
    fn or_raise(self, ruby: &Ruby) -> Result<T, Error>;
}

impl<T> Raise<T> for karafka::Result<T> {
    fn or_raise(self, ruby: &Ruby) -> Result<T, Error> {
        self.map_err(|error| exception(ruby, &error))
    }
}

/// How a call of user code went wrong.
pub enum Caught {
    /// An exception that concerns the call: it has failed.
    Failure(Failure),
    /// An exception that concerns the whole process: `SystemExit`, `Interrupt` and other signals, `NoMemoryError`.
    Critical(Exception),
    /// The thread is being killed, or was jumped out of: it has failed, and the thread has to go on unwinding.
    Unwinding(Failure, Error),
}

/// What to do about an error that a call of user code ended with.
pub fn caught(ruby: &Ruby, error: Error) -> Caught {
    match error.error_type() {
        ErrorType::Jump(_) => Caught::Unwinding(Failure::new("ThreadKill", "the handler's thread was killed"), error),
        ErrorType::Error(class, message) => Caught::Failure(Failure::new(class.to_string(), message.as_ref())),
        ErrorType::Exception(exception) => {
            let exception = *exception;
            let critical = [ruby.exception_system_exit(), ruby.exception_signal(), ruby.exception_no_mem_error()];
            if critical.into_iter().any(|class| exception.is_kind_of(class)) {
                Caught::Critical(exception)
            } else {
                describe(exception)
            }
        }
    }
}

/// Reads an exception by methods that user code may have replaced.
fn describe(exception: Exception) -> Caught {
    let mut failure = Failure::new(exception.class().to_string(), "");
    match exception.funcall::<_, _, Value>("message", ()).and_then(text) {
        Ok(message) => failure.message = message,
        Err(error) if is_jump(&error) => return Caught::Unwinding(failure, error),
        Err(_) => "its message could not be read".clone_into(&mut failure.message),
    }
    match exception.funcall::<_, _, Option<RArray>>("backtrace", ()).and_then(lines) {
        Ok(backtrace) => failure.backtrace = backtrace,
        Err(error) if is_jump(&error) => return Caught::Unwinding(failure, error),
        Err(_) => {}
    }
    Caught::Failure(failure)
}

fn is_jump(error: &Error) -> bool {
    matches!(error.error_type(), ErrorType::Jump(_))
}

fn text(value: Value) -> Result<String, Error> {
    let string = match RString::from_value(value) {
        Some(string) => string,
        None => value.funcall("to_s", ())?,
    };
    Ok(crate::gvl::with_bytes(string, |bytes| String::from_utf8_lossy(bytes).into_owned()))
}

fn lines(backtrace: Option<RArray>) -> Result<Option<String>, Error> {
    let Some(backtrace) = backtrace else { return Ok(None) };
    let joined: Value = backtrace.funcall("join", ("\n",))?;
    text(joined).map(Some)
}
