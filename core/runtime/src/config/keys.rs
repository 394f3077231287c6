//! Keys of encryption as options: their ids, and where each key is.
//!
//! Read and checked with the other options; files and environment variables are read when an app or a producer starts. Guarantees:
//! a key itself is shown nowhere, and is overwritten when its last copy is dropped.

use karafka_encryption::{KeyError, KeyId, PrivateKey, PublicKey};
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zeroize::Zeroizing;

use super::field::Field;
use super::option::{Kind, OptionSpec, Scope};
use super::problem::{Problem, Problems};
use super::value::{Value, excerpt};

/// The active key where there is one.
const ONLY: &str = "only";
const FILE: &str = "file:";
const ENVIRONMENT: &str = "env:";

/// Keys by their ids: of a producer and of an app's transactions public ones, of a topic and of a reader private ones.
///
/// Each is a text: `file:` and a path, `env:` and the name of an environment variable, or the key itself, as PEM or as the base64
/// text between its lines. Keys themselves are shown by no `Debug`.
///
/// ```
/// use karafka::config::EncryptionKeys;
///
/// let keys = EncryptionKeys::from([("2026-11", "file:/run/secrets/orders-2026-11.pem")]);
/// assert_eq!(keys.ids().collect::<Vec<_>>(), ["2026-11"]);
/// ```
#[derive(Clone, Default, PartialEq)]
pub struct EncryptionKeys(BTreeMap<String, Secret>);

/// A text that may be a key.
#[derive(Clone, PartialEq)]
struct Secret(Arc<Zeroizing<String>>);

/// Where a key is.
pub(crate) enum Source<'text> {
    File(&'text Path),
    Environment(&'text str),
    Text(&'text str),
}

impl EncryptionKeys {
    /// Adds a key, or replaces the one with this id.
    pub fn insert(&mut self, id: impl Into<String>, key: impl Into<String>) {
        self.0.insert(id.into(), Secret(Arc::new(Zeroizing::new(key.into()))));
    }

    /// The ids, in order.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Whether there are no keys.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The id of the key that is used: the one that is wanted or, by [`ONLY`], the only one there is.
    pub(crate) fn active(&self, wanted: &str) -> Option<&str> {
        let mut ids = self.ids();
        match (ids.next(), ids.next()) {
            (Some(only), None) if wanted == ONLY => Some(only),
            _ => self.ids().find(|id| *id == wanted),
        }
    }

    /// What has to hold between keys and the one that is used, which are the options of these names.
    pub(super) fn relate(&self, wanted: &str, [keys, active]: [&'static str; 2], problems: &mut Problems) {
        let is_told = self.active(wanted).is_some() || (self.is_empty() && wanted == ONLY);
        problems.unless(is_told, &[active, keys], || {
            let ids = self.ids().map(|id| format!("\"{id}\"")).collect::<Vec<_>>().join(", ");
            format!("must be one of the ids of {keys}, which are: {}", if ids.is_empty() { "none" } else { &ids })
        });
    }

    pub(crate) fn sources(&self) -> impl Iterator<Item = (&str, Source<'_>)> {
        self.0.iter().map(|(id, text)| (id.as_str(), Source::of(&text.0)))
    }
}

impl<Id: Into<String>, Key: Into<String>, const COUNT: usize> From<[(Id, Key); COUNT]> for EncryptionKeys {
    fn from(keys: [(Id, Key); COUNT]) -> Self {
        keys.into_iter().collect()
    }
}

impl<Id: Into<String>, Key: Into<String>> FromIterator<(Id, Key)> for EncryptionKeys {
    fn from_iter<Keys: IntoIterator<Item = (Id, Key)>>(keys: Keys) -> Self {
        let mut all = Self::default();
        keys.into_iter().for_each(|(id, key)| all.insert(id, key));
        all
    }
}

impl fmt::Display for EncryptionKeys {
    /// Shows ids, and where each key is; `[key]` for one that is given itself.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries: Vec<String> = self.sources().map(|(id, source)| format!("{id:?}: {source}")).collect();
        write!(f, "{{{}}}", entries.join(", "))
    }
}

impl fmt::Debug for EncryptionKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<'text> Source<'text> {
    fn of(text: &'text str) -> Self {
        match (text.strip_prefix(FILE), text.strip_prefix(ENVIRONMENT)) {
            (Some(path), _) => Self::File(Path::new(path)),
            (_, Some(name)) => Self::Environment(name),
            _ => Self::Text(text),
        }
    }

    /// What is wrong with it, as far as that can be told without looking.
    fn problem(&self, scope: Scope) -> Option<String> {
        let parsed = |text: &str| match scope {
            // Of an app: what its transactions are sealed with.
            Scope::Producer | Scope::App => text.parse::<PublicKey>().map(drop),
            _ => text.parse::<PrivateKey>().map(drop),
        };
        match self {
            Self::File(path) => (**path == *PathBuf::new()).then(|| "names no file after \"file:\"".to_owned()),
            Self::Environment(name) => {
                let fits = !name.is_empty() && !name.contains(['=', '\0']);
                (!fits).then(|| "names no environment variable after \"env:\"".to_owned())
            }
            Self::Text(text) => parsed(text).err().map(said),
        }
    }
}

/// What is wrong with a key that was given itself.
fn said(error: KeyError) -> String {
    match error {
        KeyError::Encoding => format!(
            "{error}; a file is given as \"file:\" and its path, an environment variable as \"env:\" and its name"
        ),
        other => other.to_string(),
    }
}

impl fmt::Display for Source<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "\"{FILE}{}\"", excerpt(&path.to_string_lossy())),
            Self::Environment(name) => write!(f, "\"{ENVIRONMENT}{}\"", excerpt(name)),
            Self::Text(_) => f.write_str("[key]"),
        }
    }
}

fn problem(spec: &OptionSpec, id: &str, what: impl Into<String>) -> Problem {
    Problem { key: format!("{}[\"{}\"]", spec.name, excerpt(id)), given: None, what: what.into() }
}

impl Field for EncryptionKeys {
    fn read(value: &Value, spec: &OptionSpec) -> Result<Self, Vec<Problem>> {
        let Value::Map(entries) = value else {
            // The value is not repeated: it may be a key.
            let what = format!("must be {}", spec.kind.requirement());
            return Err(vec![Problem { key: spec.name.to_owned(), given: None, what }]);
        };
        let (mut keys, mut problems) = (Self::default(), Vec::new());
        for (id, value) in entries {
            match value {
                _ if keys.0.contains_key(id) => problems.push(problem(spec, id, "is given twice")),
                Value::Text(text) => keys.insert(id.as_str(), text.as_str()),
                _ => problems.push(problem(spec, id, "must be text: a key, or where it is")),
            }
        }
        if problems.is_empty() { Ok(keys) } else { Err(problems) }
    }

    fn problems(&self, spec: &OptionSpec) -> Vec<Problem> {
        let wrong = |(id, source): (&str, Source<'_>)| {
            let what = KeyId::new(id).err().map(|error| error.to_string());
            Some(problem(spec, id, what.or_else(|| source.problem(spec.scope))?))
        };
        self.sources().filter_map(wrong).collect()
    }

    fn show(&self, _: &OptionSpec) -> String {
        self.to_string()
    }
}

/// Whether an option takes entries of its own: keys by their ids, outputs by their topics.
pub(super) fn takes_keys(spec: &OptionSpec) -> bool {
    matches!(spec.kind, Kind::Keys | Kind::Outputs)
}
