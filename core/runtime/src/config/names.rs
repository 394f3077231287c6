//! What is a valid name of a topic or group, client id, list of brokers or assignment strategy.
//!
//! Pure functions. Those that end in a public error are called by whoever takes a name outside of the option table,
//! such as routing; the others are rules of the table's text options and say what a value must be.

use crate::error::{Error, ErrorKind, Result};
use crate::pattern::Pattern;

use super::value::excerpt;

/// The longest name that Kafka takes for a topic, and that libkarafka takes for a group or client id.
const LONGEST_NAME: usize = 249;

/// Checks the name of a topic by Kafka's rules.
///
/// # Errors
/// Kind `Config`, if the name is empty, `.` or `..`, longer than 249 characters, or has a character other than ASCII
/// letters, digits, `.`, `_` and `-`.
pub fn validate_topic_name(name: &str) -> Result<()> {
    topic(name).map_err(|rule| refuse("name a topic", name, rule))
}

/// Checks the name of a topic that is to be read, or the pattern of such names: text that begins with `^`.
///
/// # Errors
/// Kind `Config`: as [`validate_topic_name`], and for a pattern that is no regular expression.
pub fn validate_topic_or_pattern(name: &str) -> Result<()> {
    if Pattern::is_one(name) { Pattern::new(name).map(|_| ()) } else { validate_topic_name(name) }
}

/// Checks the name of a consumer group.
///
/// # Errors
/// Kind `Config`, if the name is empty, `.` or `..`, longer than 249 characters, begins or ends with a space, or has a character
/// that nobody sees, such as a line break or a byte order mark.
pub fn validate_group_name(name: &str) -> Result<()> {
    group(name).map_err(|rule| refuse("name a group", name, rule))
}

/// Checks the name of a group that is there already, perhaps with a name that [`validate_group_name`] would refuse: it must be
/// read to be renamed, and be deleted.
///
/// # Errors
/// Kind `Config`, if the name is empty or has a NUL in it: such a group cannot be.
pub fn validate_existing_group_name(name: &str) -> Result<()> {
    met(!name.is_empty() && !name.contains('\0'), GROUP).map_err(|rule| refuse("name a group", name, rule))
}

fn refuse(operation: &'static str, name: &str, rule: &str) -> Error {
    Error::new(ErrorKind::Config, operation, format!("\"{}\" must be {rule}", excerpt(name)))
}

/// What a name, list or address must be, when it is not.
pub(super) type Rule = Result<(), &'static str>;

pub(super) const TOPIC: &str =
    "a topic name: 1 to 249 ASCII letters, digits, \".\", \"_\" or \"-\", but not \".\" or \"..\"";
pub(super) const GROUP: &str =
    "1 to 249 characters, none of them invisible, not \".\" or \"..\", and without a space at either end";
pub(super) const CLIENT_ID: &str = GROUP;
pub(super) const TRANSACTIONAL_ID: &str = GROUP;
pub(super) const BOOTSTRAP: &str =
    "one or more \"host:port\" separated by commas, each port from 1 to 65535, or \"embedded://\"";
pub(super) const ASSIGNMENT: &str =
    "\"cooperative-sticky\", \"range\", \"roundrobin\", or \"range,roundrobin\" (eager and cooperative do not mix)";

pub(super) const ASSIGN: &str = "\"off\", \"all\", or partitions such as \"0,3,8-11\"";
pub(super) const SEGMENTS: &str = "\"all\", or segments such as \"0,2\" or \"0-3\"";

pub(super) const TOPICS: &str = "names of topics, separated by commas";
pub(super) const KEY_ID: &str = "\"only\", or an id of 1 to 64 ASCII letters, digits, \".\", \"_\" or \"-\"";

fn met(condition: bool, rule: &'static str) -> Rule {
    if condition { Ok(()) } else { Err(rule) }
}

pub(super) fn topic(name: &str) -> Rule {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let fits = !name.is_empty() && name.len() <= LONGEST_NAME && name != "." && name != "..";
    met(fits && name.bytes().all(known), TOPIC)
}

/// Kafka takes any name of a group: what is refused here is surely a mistake, and would be another group than the one that is
/// meant.
pub(super) fn group(name: &str) -> Rule {
    let fits = !name.is_empty() && name.chars().nth(LONGEST_NAME).is_none() && name != "." && name != "..";
    let is_trimmed = !name.starts_with(char::is_whitespace) && !name.ends_with(char::is_whitespace);
    met(fits && is_trimmed && !name.chars().any(is_invisible), GROUP)
}

/// Control characters, byte order marks, spaces without a width, and what turns the direction of the text around them.
fn is_invisible(letter: char) -> bool {
    let is_formatting =
        matches!(letter, '\u{200b}' | '\u{2060}' | '\u{feff}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    letter.is_control() || is_formatting
}

pub(super) fn client_id(name: &str) -> Rule {
    group(name).map_err(|_| CLIENT_ID)
}

pub(super) fn transactional_id(name: &str) -> Rule {
    group(name).map_err(|_| TRANSACTIONAL_ID)
}

pub(super) fn bootstrap(servers: &str) -> Rule {
    if let Some(rest) = servers.strip_prefix("embedded://") {
        return met(!rest.chars().any(|c| c.is_control() || c.is_whitespace() || c == ','), BOOTSTRAP);
    }
    met(servers.split(',').all(|server| is_server(server.trim())), BOOTSTRAP)
}

/// Whether the text is `host`, `host:port`, `[ip6]` or `[ip6]:port`, with or without `protocol://`.
fn is_server(server: &str) -> bool {
    let address = match server.split_once("://") {
        Some((protocol, address)) if is_protocol(protocol) => address,
        Some(_) => return false,
        None => server,
    };
    let (host, port) = match address.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, port)) if is_ip6(host) => (host, port.strip_prefix(':').or(port.is_empty().then_some("9092"))),
        Some(_) => return false,
        None => match address.split_once(':') {
            Some((host, port)) if is_host(host) => (host, Some(port)),
            None if is_host(address) => (address, Some("9092")),
            _ => return false,
        },
    };
    let is_port =
        |port: &str| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|n| n > 0);
    !host.is_empty() && port.is_some_and(is_port)
}

fn is_protocol(name: &str) -> bool {
    ["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"].iter().any(|known| name.eq_ignore_ascii_case(known))
}

fn is_ip6(host: &str) -> bool {
    let address = host.split('%').next().unwrap_or(host);
    address.parse::<std::net::Ipv6Addr>().is_ok()
}

fn is_host(host: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    !host.is_empty() && host.len() <= 253 && host.bytes().all(known)
}

pub(super) fn assignment(strategies: &str) -> Rule {
    let eager = |name: &str| matches!(name.trim(), "range" | "roundrobin");
    met(strategies == "cooperative-sticky" || strategies.split(',').all(eager), ASSIGNMENT)
}

pub(super) fn assign(partitions: &str) -> Rule {
    met(matches!(partitions, "off" | "all") || super::numbers::parse(partitions).is_some(), ASSIGN)
}

pub(super) fn segments(segments: &str) -> Rule {
    met(segments == "all" || super::numbers::parse(segments).is_some(), SEGMENTS)
}

pub(super) fn topics(topics: &str) -> Rule {
    met(topics.split(',').all(|name| topic(name.trim()).is_ok()), TOPICS)
}

pub(super) fn key_id(id: &str) -> Rule {
    met(karafka_encryption::KeyId::new(id).is_ok(), KEY_ID)
}
