//! Options by name: Ruby's values become the core's, and the core's table is shown to Ruby, which makes its setters of it.
//!
//! Called with the GVL. Knows no option: names, types, ranges and defaults are the core's.

use crate::error::Raise;
use karafka::config::{OptionSpec, Scope, Settings, Value, options};
use karafka::{ErrorKind, Result};
use magnus::r_hash::ForEach;
use magnus::{Error, Float, Integer, Object, RArray, RHash, RModule, RString, Ruby, Symbol, TryConvert, function};
use magnus::{Value as RubyValue, prelude::*};

pub fn define(native: RModule) -> std::result::Result<(), Error> {
    native.define_singleton_method("options", function!(option_table, 1))
}

/// The options of a scope (`:app`, `:topic` or `:producer`), each a hash.
fn option_table(ruby: &Ruby, scope: Symbol) -> std::result::Result<RArray, Error> {
    let scope = match &*scope.name()? {
        "app" => Scope::App,
        "topic" => Scope::Topic,
        "producer" => Scope::Producer,
        other => {
            let message = format!("there are no options of scope {other}");
            return Err(Error::new(ruby.exception_arg_error(), message));
        }
    };
    let table = ruby.ary_new();
    for spec in options(scope) {
        table.push(describe(ruby, spec)?)?;
    }
    Ok(table)
}

fn describe(ruby: &Ruby, spec: &OptionSpec) -> std::result::Result<RHash, Error> {
    let hash = ruby.hash_new();
    hash.aset(ruby.to_symbol("name"), ruby.to_symbol(spec.name))?;
    hash.aset(ruby.to_symbol("type"), spec.kind.name())?;
    hash.aset(ruby.to_symbol("unit"), spec.unit)?;
    hash.aset(ruby.to_symbol("default"), spec.default.as_str())?;
    hash.aset(ruby.to_symbol("range"), spec.range.as_str())?;
    hash.aset(ruby.to_symbol("doc"), spec.doc.as_str())?;
    Ok(hash)
}

/// Settings out of a hash. A `nil` is an option that was not given.
///
/// # Errors
/// `LibKarafka::ConfigError` for a value that no option takes.
pub fn settings(ruby: &Ruby, hash: RHash) -> std::result::Result<Settings, Error> {
    let mut settings = Settings::new();
    hash.foreach(|name: RubyValue, given: RubyValue| {
        let name = text(name)?;
        if !given.is_nil() {
            let read = value(&name, given).or_raise(ruby)?;
            settings.push((name, read));
        }
        Ok(ForEach::Continue)
    })?;
    Ok(settings)
}

/// The text of a name, which may be a symbol.
fn text(name: RubyValue) -> std::result::Result<String, Error> {
    let name: RString = name.funcall("to_s", ())?;
    Ok(crate::gvl::with_bytes(name, |bytes| String::from_utf8_lossy(bytes).into_owned()))
}

fn value(name: &str, given: RubyValue) -> Result<Value> {
    let refused = || {
        let message = format!("{name} must be a boolean, number, string, symbol, array or hash, not {}", given.class());
        karafka::Error::new(ErrorKind::Config, "read an option", message)
    };
    if let Some(integer) = Integer::from_value(given) {
        let float = || Float::from_value(given).map(Float::to_f64).or_else(|| f64::try_convert(given).ok());
        return integer.to_i64().ok().map(Value::from).or_else(|| float().map(Value::from)).ok_or_else(refused);
    }
    if let Some(float) = Float::from_value(given) {
        return Ok(Value::from(float.to_f64()));
    }
    if RString::from_value(given).is_some() || Symbol::from_value(given).is_some() {
        return text(given).map(Value::from).map_err(|_| refused());
    }
    if let Some(list) = RArray::from_value(given) {
        // A list is text: its values, separated by commas.
        return list.funcall::<_, _, RubyValue>("join", (",",)).and_then(text).map(Value::from).map_err(|_| refused());
    }
    if let Some(hash) = RHash::from_value(given) {
        return pairs(name, hash).map(Value::Map);
    }
    bool::try_convert(given).ok().filter(|_| is_boolean(given)).map(Value::from).ok_or_else(refused)
}

fn is_boolean(given: RubyValue) -> bool {
    let ruby = Ruby::get_with(given);
    given.is_kind_of(ruby.class_true_class()) || given.is_kind_of(ruby.class_false_class())
}

fn pairs(name: &str, hash: RHash) -> Result<Settings> {
    let mut pairs = Settings::new();
    let mut problem = None;
    let walked = hash.foreach(|key: RubyValue, given: RubyValue| {
        let key = text(key)?;
        match value(&format!("{name}[{key:?}]"), given) {
            Ok(read) => pairs.push((key, read)),
            Err(error) => problem = Some(error),
        }
        Ok(if problem.is_none() { ForEach::Continue } else { ForEach::Stop })
    });
    if let Some(error) = problem {
        return Err(error);
    }
    let unreadable =
        |error: Error| karafka::Error::new(ErrorKind::Config, "read an option", format!("{name}: {error}"));
    walked.map_err(unreadable).map(|()| pairs)
}
