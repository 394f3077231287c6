//! Raw librdkafka settings: which pass through, which are refused and why, and how they are shown.
//!
//! Called for the option `kafka` of every scope. librdkafka itself is asked whether it knows a name and takes a value;
//! that makes and frees one configuration object, and starts nothing. Values of secret settings are never repeated.

use std::collections::BTreeMap;

use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaConfRes;

use super::kafka_names::{all, canonical, is_secret};
use super::option::{OptionSpec, Scope};
use super::problem::{Problem, nearest};
use super::table::options;
use super::value::{Value, excerpt};

/// A setting that cannot be had through `kafka`.
pub(super) struct Refused {
    /// Its name in librdkafka.
    pub(super) name: &'static str,
    /// The one value that changes nothing, if there is one.
    pub(super) harmless: Option<&'static str>,
    /// What would break.
    pub(super) reason: &'static str,
}

/// Settings that would break a guarantee.
pub(super) const REFUSED: [Refused; 10] = [
    Refused {
        name: "enable.auto.commit",
        harmless: Some("false"),
        reason: "librdkafka would commit messages that no handler has finished, and a crash would lose them; \
                 libkarafka commits what is done, every `commit_interval`",
    },
    Refused {
        name: "enable.auto.offset.store",
        harmless: Some("false"),
        reason: "librdkafka would store the offset of a message before its handler has finished, and a crash would \
                 lose it; libkarafka stores what is done",
    },
    Refused {
        name: "enable.partition.eof",
        harmless: Some("false"),
        reason: "these events would only wake libkarafka up; the topic's option `eofed` switches them on where somebody \
                 wants to hear of them",
    },
    Refused {
        name: "enabled_events",
        harmless: None,
        reason: "libkarafka has to receive rebalances, errors and commits to keep its guarantees",
    },
    Refused {
        name: "log.queue",
        harmless: Some("true"),
        reason: "libkarafka reads librdkafka's log there and passes it on, without secrets",
    },
    Refused {
        name: "offset.store.method",
        harmless: Some("broker"),
        reason: "offsets are committed to the group on the broker; a file would be read instead of them",
    },
    Refused {
        name: "plugin.library.paths",
        harmless: None,
        reason: "it loads and runs code from the named files; link such code into the program instead",
    },
    Refused {
        name: "test.mock.num.brokers",
        harmless: Some("0"),
        reason: "it replaces the brokers silently; for the embedded broker set `bootstrap_servers` to \"embedded://\"",
    },
    Refused {
        name: "test.mock.broker.rtt",
        harmless: Some("0"),
        reason: "it is for the tests of librdkafka; for the embedded broker set `bootstrap_servers` to \"embedded://\"",
    },
    Refused {
        name: "transactional.id",
        harmless: None,
        reason: "set the option `transactional_id` of a transactional producer; a consumer has none",
    },
];

/// Reads a map of settings; every entry with a problem is reported.
pub(super) fn read(value: &Value, spec: &OptionSpec) -> Result<BTreeMap<String, String>, Vec<Problem>> {
    let Value::Map(entries) = value else {
        // The value is not repeated: it may be the secret of a setting that was put in the wrong place.
        let what = format!("must be {}", spec.kind.requirement());
        return Err(vec![Problem { key: spec.name.to_owned(), given: None, what }]);
    };
    let mut settings = BTreeMap::new();
    let mut problems = Vec::new();
    for (name, value) in entries {
        match value.to_kafka() {
            None => problems.push(problem(name, None, "must be text, a number or a boolean")),
            Some(text) => {
                if settings.insert(name.clone(), text).is_some() {
                    problems.push(problem(name, None, "is given twice"));
                }
            }
        }
    }
    if problems.is_empty() {
        return Ok(settings);
    }
    problems.extend(self::problems(&settings, spec.scope));
    Err(problems)
}

/// What is wrong with settings of the given scope.
pub(super) fn problems(settings: &BTreeMap<String, String>, scope: Scope) -> Vec<Problem> {
    let mut problems: Vec<Problem> =
        settings.iter().filter_map(|(name, value)| problem_of(name, value, scope)).collect();
    let twice = settings.keys().filter(|name| {
        let kept = canonical(name);
        kept != name.as_str() && settings.contains_key(kept)
    });
    problems.extend(twice.map(|name| problem(name, None, &format!("is the same setting as `{}`", canonical(name)))));
    problems
}

fn problem(name: &str, given: Option<&str>, what: &str) -> Problem {
    let given = given.filter(|_| !is_secret(name)).map(|value| format!("\"{}\"", excerpt(value)));
    Problem { key: format!("kafka[\"{}\"]", excerpt(name)), given, what: what.to_owned() }
}

fn problem_of(name: &str, value: &str, scope: Scope) -> Option<Problem> {
    if name.is_empty() || name.contains('\0') || value.contains('\0') {
        return Some(problem(name, None, "names and values must not hold NUL, and a name must not be empty"));
    }
    if let Some(refused) = REFUSED.iter().find(|refused| refused.name == canonical(name)) {
        let harmless = refused.harmless.is_some_and(|harmless| is_same(harmless, value));
        return (!harmless).then(|| problem(name, Some(value), &format!("refused: {}", refused.reason)));
    }
    if let Some(spec) = managed(name, scope) {
        let place = if spec.scope == scope { String::new() } else { format!(" of {}", spec.scope.noun()) };
        return Some(problem(name, Some(value), &format!("set the option `{}`{place} instead", spec.name)));
    }
    ask_librdkafka(name, value)
}

fn is_same(harmless: &str, value: &str) -> bool {
    let value = value.trim().to_ascii_lowercase();
    match harmless {
        "true" => matches!(value.as_str(), "true" | "t" | "1"),
        "false" => matches!(value.as_str(), "false" | "f" | "0"),
        _ => value == harmless,
    }
}

/// The option that stands for a setting. A topic's settings are those of a consumer, so the app's options count as
/// well.
fn managed(name: &str, scope: Scope) -> Option<&'static OptionSpec> {
    let scopes: &[Scope] = match scope {
        Scope::App => &[Scope::App, Scope::Topic],
        Scope::Topic => &[Scope::Topic, Scope::App],
        Scope::Producer => &[Scope::Producer],
        Scope::Reader => &[Scope::Reader, Scope::Topic, Scope::App],
        Scope::Admin => &[Scope::Admin, Scope::Topic, Scope::App],
    };
    let stands = |spec: &&OptionSpec| spec.kafka.iter().any(|kafka| canonical(kafka) == canonical(name));
    scopes.iter().find_map(|scope| options(*scope).iter().find(stands))
}

fn ask_librdkafka(name: &str, value: &str) -> Option<Problem> {
    let answer = ClientConfig::new().set(name, value).create_native_config();
    match answer.err()? {
        KafkaError::ClientConfig(RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN, ..) => {
            let what = match nearest(name, all()) {
                Some(known) => format!("librdkafka does not know this setting; did you mean `{known}`?"),
                None => "librdkafka does not know this setting".to_owned(),
            };
            Some(problem(name, None, &what))
        }
        KafkaError::ClientConfig(_, reason, ..) if !is_secret(name) => {
            Some(problem(name, Some(value), &format!("refused by librdkafka: {}", one_line(&reason))))
        }
        _ => Some(problem(name, Some(value), "refused by librdkafka")),
    }
}

/// librdkafka's words, on one line and without a full stop.
fn one_line(reason: &str) -> String {
    reason.split_whitespace().collect::<Vec<_>>().join(" ").trim_end_matches('.').to_owned()
}

/// The settings with the values of secret ones replaced: for logs, `inspect`, `repr` and pages.
pub fn redacted(settings: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let shown = |(name, value): (&String, &String)| {
        let value = if is_secret(name) { "[redacted]".to_owned() } else { value.clone() };
        (name.clone(), value)
    };
    settings.iter().map(shown).collect()
}

/// A setting given under any of its names.
pub(super) fn get<'settings>(settings: &'settings BTreeMap<String, String>, name: &str) -> Option<&'settings str> {
    let same = |(given, _): &(&String, &String)| canonical(given) == canonical(name);
    settings.iter().find(same).map(|(_, value)| value.as_str())
}

/// A setting as a number: librdkafka's default if it is not given, none if it is no number.
pub(super) fn number(settings: &BTreeMap<String, String>, name: &str, default: u64) -> Option<u64> {
    get(settings, name).map_or(Some(default), |value| value.trim().parse().ok())
}

/// Dangerous settings that are allowed all the same: one sentence each, to be logged at every start.
pub(super) fn warnings(settings: &BTreeMap<String, String>) -> Vec<String> {
    let is = |name: &str, wanted: &str| get(settings, name).is_some_and(|value| is_same(wanted, value));
    let mut warnings = Vec::new();
    if is("enable.ssl.certificate.verification", "false") {
        let risk = "anyone on the network path can pose as the broker";
        warnings.push(format!("enable.ssl.certificate.verification is off: {risk}"));
    }
    if is("ssl.endpoint.identification.algorithm", "none") {
        let risk = "a valid certificate of any host is accepted for the broker";
        warnings.push(format!("ssl.endpoint.identification.algorithm is none: {risk}"));
    }
    if is("sasl.mechanisms", "plain") && !is("security.protocol", "sasl_ssl") {
        warnings.push("sasl.mechanisms is PLAIN without TLS: the password crosses the network in clear".to_owned());
    }
    warnings
}

/// The settings of a client: libkarafka's defaults, then the options' settings, then the user's, each setting once and
/// under one name.
pub(super) fn compose<'name>(
    defaults: impl Iterator<Item = (&'name str, &'name str)>,
    options: impl IntoIterator<Item = (&'name str, String)>,
    raw: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let defaults = defaults.map(|(name, value)| (canonical(name).to_owned(), value.to_owned()));
    let options = options.into_iter().map(|(name, value)| (canonical(name).to_owned(), value));
    let raw = raw.iter().map(|(name, value)| (canonical(name).to_owned(), value.clone()));
    defaults.chain(options).chain(raw).collect()
}
