//! Access rules of a real Kafka, granted and taken away while it runs.
//!
//! Called by tests from any thread. Speaks Kafka's protocol itself (two requests, in their oldest version), because the client
//! library at hand has no call for it. A rule is in force a moment after the broker has taken it: wait for its effect.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::wait;

const CREATE_ACLS: i16 = 30;
const DELETE_ACLS: i16 = 31;
const VERSION: i16 = 1;
const LITERAL: u8 = 3;
const ALLOW: u8 = 3;

/// What a rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource<'a> {
    /// A topic.
    Topic(&'a str),
    /// A consumer group.
    Group(&'a str),
}

/// What may be done with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Fetch records; join a group and commit. Includes [`Describe`](Self::Describe).
    Read = 3,
    /// Produce. Includes [`Describe`](Self::Describe).
    Write = 4,
    /// Know that it is there.
    Describe = 8,
}

/// Lets the user do this. `bootstrap` is a listener of somebody who may make rules.
pub fn grant(bootstrap: &str, user: &str, resource: Resource<'_>, operation: Operation) {
    // Any host, allow.
    let body = [&1_i32.to_be_bytes()[..], &rule(user, resource, operation)].concat();
    let answer = ask(bootstrap, CREATE_ACLS, &body);
    assert_eq!(error_code(&answer), 0, "cannot grant {operation:?} on {resource:?} to {user}");
}

/// Takes away what [`grant`] gave.
pub fn revoke(bootstrap: &str, user: &str, resource: Resource<'_>, operation: Operation) {
    // A rule as a filter matches itself only.
    let body = [&1_i32.to_be_bytes()[..], &rule(user, resource, operation)].concat();
    let answer = ask(bootstrap, DELETE_ACLS, &body);
    assert_eq!(error_code(&answer), 0, "cannot take {operation:?} on {resource:?} from {user}");
}

fn rule(user: &str, resource: Resource<'_>, operation: Operation) -> Vec<u8> {
    let (kind, name) = match resource {
        Resource::Topic(name) => (2, name),
        Resource::Group(name) => (3, name),
    };
    let mut rule = vec![kind];
    string(&mut rule, name);
    rule.push(LITERAL);
    string(&mut rule, &format!("User:{user}"));
    string(&mut rule, "*");
    rule.extend([operation as u8, ALLOW]);
    rule
}

fn string(bytes: &mut Vec<u8>, text: &str) {
    let length = i16::try_from(text.len()).expect("a short text");
    bytes.extend(length.to_be_bytes());
    bytes.extend(text.as_bytes());
}

/// One request, one answer; without the answer's header.
fn ask(bootstrap: &str, request: i16, body: &[u8]) -> Vec<u8> {
    let mut frame = [request.to_be_bytes(), VERSION.to_be_bytes()].concat();
    frame.extend(7_i32.to_be_bytes());
    string(&mut frame, "libkarafka-tests");
    frame.extend(body);
    let length = u32::try_from(frame.len()).expect("a short request");
    let mut stream = TcpStream::connect(bootstrap).expect("cannot connect to the broker");
    stream.set_read_timeout(Some(wait::LONG)).expect("a timeout");
    stream.write_all(&[&length.to_be_bytes()[..], &frame].concat()).expect("cannot send the request");
    let mut length = [0; 4];
    stream.read_exact(&mut length).expect("no answer to the request");
    let mut answer = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut answer).expect("half an answer to the request");
    answer.split_off(4)
}

/// Both answers begin with a throttle time, a count of results, and the first one's error.
fn error_code(answer: &[u8]) -> i16 {
    let [_, _, _, _, _, _, _, 1, high, low, ..] = answer else { panic!("an answer of another form: {answer:?}") };
    i16::from_be_bytes([*high, *low])
}
