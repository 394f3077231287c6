//! Texts: what travels beside a commit is no longer than the broker takes, reads back as it was written, belongs to its
//! offset, and carries what the user stored, unless that alone is too long.

use karafka_engine::metadata;

use super::Violation;
use crate::history::{Event, History};

pub fn judge(history: &History) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (index, (_, event)) in history.events.iter().enumerate() {
        let Event::Asked { place, position, text, .. } = event else { continue };
        let mut violate = |problem: String| {
            violations.push(Violation::new(index, format!("{place:?}: a commit of {position} {problem}")));
        };
        if text.text.len() > history.metadata_limit {
            violate(format!("has {} bytes of text, {} are taken", text.text.len(), history.metadata_limit));
        }
        let read = metadata::decode(*position, &text.text);
        if let Some(problem) = read.problem {
            violate(format!("cannot be read back: {problem}"));
        }
        let user = text.user.as_deref().filter(|user| !user.is_empty());
        let fits = metadata::encode(*position, [], user, history.metadata_limit).is_ok();
        let expected = user.filter(|_| fits);
        // Brokers that take less leave room for less.
        let gave_way = read.user.is_none() && history.broker_limit < history.metadata_limit;
        if read.user.as_deref() != expected && !gave_way {
            violate(format!("carries {:?} of the user, not {expected:?}", read.user));
        }
    }
    violations
}

#[test]
fn a_text_that_is_cut_too_long_or_not_the_users_is_red() {
    use super::example::{asked, at, falsified, who_speaks};
    let with = |text: String, user: Option<&str>| {
        falsified(|events| {
            let position = at(&asked(1, 3));
            if let Event::Asked { text: found, .. } = &mut events[position] {
                (found.text, found.user) = (text, user.map(str::to_owned));
            }
        })
    };
    let marks = metadata::encode(3, std::iter::once(4..7), Some("mine"), 4096).map(|encoded| encoded.text).unwrap();
    assert_eq!(judge(&with(marks.clone(), Some("mine"))), []);
    for (text, user) in [
        (marks[..marks.len() - 6].to_owned(), Some("mine")),
        (marks.clone(), Some("other")),
        (marks, None),
        (String::new(), Some("mine")),
        ("x".repeat(5_000), None),
    ] {
        assert_eq!(who_speaks(&with(text.clone(), user)), ["texts"], "{text:.20} {user:?}");
    }
}
