//! Problems of a configuration: gathered, then reported all at once.
//!
//! Made by `field`, `kafka` and the checks between options; becomes one error with a line for each problem.

use crate::error::{Error, ErrorKind, Result};

use super::option::{OptionSpec, Scope};
use super::table::options;
use super::value::excerpt;

/// Problems that one error lists at most; it says how many more there are.
const MOST: usize = 50;

/// Characters of an unknown name that are compared with known names.
const COMPARED: usize = 64;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Problem {
    /// The option, or an entry of its map.
    pub(super) key: String,
    /// What was given, safe to show; none if it might be secret or if it does not matter.
    pub(super) given: Option<String>,
    /// What is wrong with it and what it has to be.
    pub(super) what: String,
}

impl Problem {
    /// A value that the option does not take.
    pub(super) fn out_of_range(spec: &OptionSpec, given: String) -> Self {
        let what = format!("must be {}", spec.kind.requirement());
        Self { key: spec.name.to_owned(), given: Some(given), what }
    }
}

/// All problems of one scope's options.
pub(super) struct Problems {
    scope: Scope,
    list: Vec<Problem>,
}

impl Problems {
    pub(super) fn new(scope: Scope) -> Self {
        Self { scope, list: Vec::new() }
    }

    pub(super) fn add(&mut self, key: impl Into<String>, given: Option<String>, what: impl Into<String>) {
        self.list.push(Problem { key: key.into(), given, what: what.into() });
    }

    pub(super) fn extend(&mut self, problems: Vec<Problem>) {
        self.list.extend(problems);
    }

    /// Adds a contradiction between options, unless one of them is wrong by itself already.
    pub(super) fn unless(&mut self, consistent: bool, keys: &[&str], what: impl FnOnce() -> String) {
        let known = |key: &&str| self.list.iter().any(|problem| problem.key == *key);
        if let (false, false, Some(first)) = (consistent, keys.iter().any(known), keys.first()) {
            self.add(*first, None, what());
        }
    }

    /// Adds an option that does not exist in this scope, with a pointer to what was probably meant. The value is not
    /// repeated: nobody knows whether it is a secret.
    pub(super) fn add_unknown(&mut self, name: &str) {
        // Beyond what the message lists, nobody reads a suggestion.
        let meant = if self.list.len() < MOST { suggestion(self.scope, name) } else { None };
        let what = match meant {
            Some(Suggestion::Here(known)) => format!("unknown option; did you mean `{known}`?"),
            Some(Suggestion::There(scope, known)) if known == name => {
                format!("is {}, not {}; set it there", scope.adjective(), self.scope.adjective())
            }
            Some(Suggestion::There(scope, known)) => {
                format!("unknown option; did you mean `{known}`, which is {}?", scope.adjective())
            }
            None if name.contains('.') => {
                format!("unknown option of {}; librdkafka's own settings go into `kafka`", self.scope.noun())
            }
            None => format!("unknown option of {}", self.scope.noun()),
        };
        self.add(excerpt(name), None, what);
    }

    /// Success, or one error that lists everything.
    pub(super) fn into_result(self) -> Result<()> {
        let line = |problem: &Problem| match &problem.given {
            Some(given) => format!("{} = {given}: {}", problem.key, problem.what),
            None => format!("{}: {}", problem.key, problem.what),
        };
        let message = match self.list.as_slice() {
            [] => return Ok(()),
            [only] => line(only),
            all => {
                let mut lines = vec![format!("{} problems:", all.len())];
                lines.extend(all.iter().take(MOST).map(line));
                if all.len() > MOST {
                    lines.push(format!("and {} more", all.len() - MOST));
                }
                lines.join("\n  ")
            }
        };
        Err(Error::new(ErrorKind::Config, self.scope.operation(), message))
    }
}

enum Suggestion {
    Here(&'static str),
    There(Scope, &'static str),
}

/// The option that an unknown name probably means: of this scope if one is near, else of another.
fn suggestion(scope: Scope, name: &str) -> Option<Suggestion> {
    if let Some(known) = nearest_option(scope, name) {
        return Some(Suggestion::Here(known));
    }
    let mut others = Scope::ALL.into_iter().filter(|other| *other != scope);
    others.find_map(|other| Some(Suggestion::There(other, nearest_option(other, name)?)))
}

fn nearest_option(scope: Scope, name: &str) -> Option<&'static str> {
    let plain: String =
        name.chars().take(COMPARED).map(|c| if matches!(c, '.' | '-' | ' ') { '_' } else { c }).collect();
    let specs = options(scope);
    let meant = |spec: &&OptionSpec| spec.kafka.contains(&name) || spec.also.contains(&plain.as_str());
    match specs.iter().find(meant) {
        Some(spec) => Some(spec.name),
        None => nearest(&plain, specs.iter().map(|spec| spec.name)),
    }
}

/// The known name with the fewest changes to the given one, if they are few for its length.
pub(super) fn nearest<'names>(name: &str, known: impl Iterator<Item = &'names str>) -> Option<&'names str> {
    let given: Vec<char> = name.chars().take(COMPARED).flat_map(char::to_lowercase).collect();
    let limit = (given.len() / 3).max(1);
    let with_distance = known.map(|candidate| (distance(&given, candidate), candidate));
    with_distance.filter(|(changes, _)| *changes <= limit).min_by_key(|(changes, _)| *changes).map(|(_, name)| name)
}

/// Insertions, deletions, replacements and swaps of neighbours that turn one name into the other.
fn distance(given: &[char], known: &str) -> usize {
    let known: Vec<char> = known.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=known.len()).collect();
    for (row, letter) in given.iter().enumerate() {
        let mut current = vec![row + 1];
        for (column, wanted) in known.iter().enumerate() {
            let at = |line: &[usize], index: usize| line.get(index).copied().unwrap_or(usize::MAX - 1);
            let replaced = at(&last, column) + usize::from(letter != wanted);
            let changed = replaced.min(at(&last, column + 1) + 1).min(at(&current, column) + 1);
            let swaps =
                row > 0 && column > 0 && given.get(row - 1) == Some(wanted) && known.get(column - 1) == Some(letter);
            current.push(if swaps { changed.min(at(&before, column - 1) + 1) } else { changed });
        }
        before = std::mem::replace(&mut last, current);
    }
    last.last().copied().unwrap_or(usize::MAX)
}
