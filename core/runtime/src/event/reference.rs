//! The text of `docs/events.md`, made from the event table.
//!
//! Called by the test that compares the page with the table.

use super::table::{EventClass, EventSpec, events};
use std::fmt::Write;

const HEAD: &str = "\
<!-- Made from the event table in core/runtime/src/event/table.rs by `make docs`. Changes made here are lost. -->

# Events

What happens in an app, for whoever wants to know. Names and fields are the same in Rust, C, Ruby and Python; numbers are
numbers, and C gets every field as text too. `partitions` are pairs of a topic and a number (in C: `orders/0 orders/1`).

Each subscription has a bounded queue (4096 events) and is read on a thread of its own: a subscriber that is slow, hangs or
fails holds up neither handlers nor other subscribers. What it was too slow for is left out, and `events.missed` says how
many. Nothing here carries payloads, keys or secrets; the text of a handler's error is the handler's own.

A subscription names events (`app.running`), or all that begin alike (`rebalance.*`), or everything (`*`); a name that no
event has is an error. One that names nothing gets all but events of single calls, which cost nothing until somebody names
them. Subscribers of `error.occurred` get every failure, those of handlers too; the field `type` tells them apart. What is
urgent, and wanted by no subscription, goes to the standard error stream (in Python, to the logger `libkarafka`).

See [subscribing](options/subscribing.md) for programs in every language.
";

/// The reference of all events, as Markdown.
pub fn event_reference() -> String {
    let mut page = HEAD.to_owned();
    page.push_str("\n| event | told |\n|---|---|\n");
    for spec in events() {
        push(&mut page, format_args!("| [`{}`](#{}) | {} |\n", spec.name, anchor(spec.name), told(spec)));
    }
    for spec in events() {
        push(&mut page, format_args!("\n## {}\n\n{}\n", spec.name, spec.doc));
        if !spec.fields.is_empty() {
            page.push_str("\n| field | type | meaning |\n|---|---|---|\n");
        }
        for field in &spec.fields {
            push(&mut page, format_args!("| `{}` | {} | {} |\n", field.name, field.kind, field.doc));
        }
    }
    page
}

fn told(spec: &EventSpec) -> &'static str {
    match spec.class {
        EventClass::Usual => "to subscribers",
        EventClass::Urgent => "to subscribers, else on the standard error stream",
        EventClass::Failure => "to subscribers, also those of `error.occurred`, else on the standard error stream",
        EventClass::PerJob => "to subscribers that name it",
    }
}

fn anchor(name: &str) -> String {
    name.replace('.', "")
}

/// Writing to a string cannot fail.
fn push(page: &mut String, text: std::fmt::Arguments<'_>) {
    let _ = page.write_fmt(text);
}
