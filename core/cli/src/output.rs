//! What goes to the standard output: text and JSON, whole lines, and nothing that a terminal would obey.
//!
//! Used on the main thread. A reader that has gone away (`| head`) ends the command quietly.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use karafka::{Error, ErrorKind};
use serde_json::{Map, Value};
use std::io::{self, BufWriter, StdoutLock, Write};
use std::process::ExitCode;

/// Why a command ended before its end.
pub(crate) enum Stop {
    /// Something went wrong.
    Failed(Error),
    /// Nobody reads what it prints.
    Unread,
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::Unread;
        }
        let message = "the standard output takes nothing";
        Self::Failed(Error::new(ErrorKind::Internal, "print", message).caused_by(error))
    }
}

/// The standard output: lines for people, or one line of JSON for each item.
pub(crate) struct Output {
    out: BufWriter<StdoutLock<'static>>,
    is_json: bool,
}

impl Output {
    pub(crate) fn new(is_json: bool) -> Self {
        Self { out: BufWriter::new(io::stdout().lock()), is_json }
    }

    pub(crate) fn is_json(&self) -> bool {
        self.is_json
    }

    pub(crate) fn line(&mut self, text: &str) -> Result<(), Stop> {
        writeln!(self.out, "{text}")?;
        Ok(())
    }

    /// One line of JSON.
    pub(crate) fn json(&mut self, value: &Value) -> Result<(), Stop> {
        self.line(&value.to_string())
    }

    /// An item, as it is wanted.
    pub(crate) fn item(&mut self, text: impl FnOnce() -> String, object: impl FnOnce() -> Value) -> Result<(), Stop> {
        if self.is_json { self.json(&object()) } else { self.line(&text()) }
    }

    /// Hands on what was written.
    pub(crate) fn flush(&mut self) -> Result<(), Stop> {
        self.out.flush()?;
        Ok(())
    }

    /// Hands on what was written; everything is done.
    pub(crate) fn end(mut self) -> Result<ExitCode, Stop> {
        self.flush()?;
        Ok(ExitCode::SUCCESS)
    }

    /// As [`Self::end`], with a code that stands, whether or not somebody reads what was written.
    pub(crate) fn end_with(mut self, code: ExitCode) -> Result<ExitCode, Stop> {
        heard(self.flush())?;
        Ok(code)
    }

    /// Says what became of each item, whose `name` is a JSON object and whose `success` is a line for people and what JSON gets
    /// beside the name. Errors go to the standard error stream, and in JSON to both. Fails when one failed.
    pub(crate) fn outcomes<T, V>(
        mut self,
        outcomes: karafka::Outcomes<T, V>,
        name: impl Fn(&T) -> Value,
        success: impl Fn(&T, V) -> (String, Value),
    ) -> Result<ExitCode, Stop> {
        let (mut code, mut told) = (ExitCode::SUCCESS, Ok(()));
        for (item, outcome) in outcomes {
            let mut object = name(&item);
            object["done"] = outcome.is_ok().into();
            let text = match outcome {
                Ok(value) => {
                    let (text, more) = success(&item, value);
                    if let (Some(object), Value::Object(more)) = (object.as_object_mut(), more) {
                        object.extend(more);
                    }
                    Some(text)
                }
                Err(error) => {
                    object["error"] = error.to_string().into();
                    complain(&error.to_string());
                    code = ExitCode::FAILURE;
                    None
                }
            };
            told = told.and_then(|()| match text {
                _ if self.is_json => self.json(&object),
                Some(text) => self.line(&text),
                None => Ok(()),
            });
        }
        heard(told)?;
        self.end_with(code)
    }
}

/// That nobody reads it is nothing where something was done: what became of that is said by the code.
pub(crate) fn heard(told: Result<(), Stop>) -> Result<(), Stop> {
    match told {
        Err(Stop::Unread) => Ok(()),
        told => told,
    }
}

/// One line on the standard error stream. Nobody may be there to read it.
pub(crate) fn complain(text: &str) {
    let lines: Vec<_> = text.lines().map(clean).collect();
    let _ = writeln!(io::stderr(), "libkarafka: {}", lines.join("\n"));
}

/// Bytes of a key or a value for people: text as it is, control characters and other bytes escaped.
pub(crate) fn shown(bytes: Option<&[u8]>) -> String {
    let Some(bytes) = bytes else { return "null".to_owned() };
    match std::str::from_utf8(bytes) {
        Ok(text) => clean(text),
        Err(_) => bytes.escape_ascii().to_string(),
    }
}

/// Text without control characters.
pub(crate) fn clean(text: &str) -> String {
    text.chars()
        .flat_map(|letter| if letter.is_control() { letter.escape_default().collect() } else { vec![letter] })
        .collect()
}

/// Puts bytes into an object: as text where they are, else in base64 under another name.
pub(crate) fn put_bytes(object: &mut Map<String, Value>, name: &str, bytes: Option<&[u8]>) {
    match bytes.map(|bytes| std::str::from_utf8(bytes).map_err(|_| bytes)) {
        None => object.insert(name.to_owned(), Value::Null),
        Some(Ok(text)) => object.insert(name.to_owned(), text.into()),
        Some(Err(bytes)) => object.insert(format!("{name}_base64"), BASE64_STANDARD.encode(bytes).into()),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_reaches_a_terminal_that_it_would_obey() {
        assert_eq!(shown(Some(b"\x1b[31mred\n")), "\\u{1b}[31mred\\n");
        assert_eq!(shown(Some("日本".as_bytes())), "日本");
        assert_eq!(shown(Some(b"\xff\0a")), "\\xff\\x00a");
        assert_eq!((shown(None), shown(Some(b""))), ("null".to_owned(), String::new()));
    }

    #[test]
    fn bytes_survive_json() {
        let mut object = Map::new();
        put_bytes(&mut object, "key", Some(b"\xff"));
        put_bytes(&mut object, "value", Some(b"a\"b"));
        put_bytes(&mut object, "none", None);
        assert_eq!(Value::Object(object).to_string(), r#"{"key_base64":"/w==","none":null,"value":"a\"b"}"#);
    }
}
