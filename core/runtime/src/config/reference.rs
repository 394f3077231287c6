//! The text of `docs/configuration.md`, made from the option table.
//!
//! Called by the test that compares the page with the table, and by the command that prints it.

use std::fmt::Write;

use super::defaults::{CONSUMER, Given, PRODUCER};
use super::kafka::REFUSED;
use super::kafka_names::SAME;
use super::option::{Kind, OptionSpec, Scope};
use super::table::options;

const HEAD: &str = "\
<!-- Made from the option table in core/runtime/src/config by `make docs`. Changes made here are lost. -->

# Configuration

Names, values and defaults are the same in Rust, C, Ruby and Python: a field in Rust, a setting by name in C, a keyword
in Ruby and Python.

Values are written like this:

- A *duration* is an integer of milliseconds, or text with a unit: `250`, `\"250ms\"`, `\"1.5s\"`, `\"2m\"`, `\"1h\"`.
  Decimal numbers without a unit are refused, since nobody can tell whether they are meant as seconds.
- A *size* is an integer of bytes, or text with a unit: `65536`, `\"64KiB\"`, `\"1.5MB\"`.
- Integers and numbers are values of these types, not text: `\"10\"` is no integer. A boolean may be the text `\"true\"` or `\"false\"`.
- Options whose names begin alike may be given as one map, where the language has maps: `retry: {backoff: \"1s\",
  backoff_max: \"30s\"}` is `retry_backoff` and `retry_backoff_max`.

All problems of a configuration are reported together, in one error of kind `Config`: each names the option, what was
given, what is allowed, and for a name that does not exist the nearest one that does. Nothing is started then. Values of
secret settings are shown in no error, no log and no `inspect` or `repr`.
";

/// The reference of all options, as Markdown.
pub fn reference() -> String {
    let mut page = HEAD.to_owned();
    for scope in Scope::ALL {
        push(&mut page, format_args!("\n## {}\n\n{}\n", title(scope), introduction(scope)));
        push(&mut page, format_args!("| option | type | default |\n|---|---|---|\n"));
        for spec in options(scope) {
            let (name, kind, anchor) = (spec.name, spec.kind.name(), anchor(spec));
            push(&mut page, format_args!("| [`{name}`](#{anchor}) | {kind} | {} |\n", default(spec)));
        }
        for spec in options(scope) {
            entry(&mut page, spec);
        }
    }
    librdkafka(&mut page);
    page
}

/// Writing to a string cannot fail.
fn push(page: &mut String, text: std::fmt::Arguments<'_>) {
    let _ = page.write_fmt(text);
}

fn title(scope: Scope) -> &'static str {
    match scope {
        Scope::App => "App",
        Scope::Topic => "Topic",
        Scope::Producer => "Producer",
        Scope::Reader => "Reader",
        Scope::Admin => "Admin",
    }
}

fn introduction(scope: Scope) -> &'static str {
    match scope {
        Scope::App => "For the whole process.\n",
        Scope::Topic => "For one topic of an app. Every option is independent of the others.\n",
        Scope::Producer => "For one producer.\n",
        Scope::Reader => "For one reader of topics without a group.\n",
        Scope::Admin => "For what asks a cluster about itself, and changes it.\n",
    }
}

/// The heading's name: the same option can exist in several scopes.
fn heading(spec: &OptionSpec) -> String {
    format!("{} {}", title(spec.scope), spec.name)
}

fn anchor(spec: &OptionSpec) -> String {
    heading(spec).to_lowercase().replace(' ', "-")
}

fn default(spec: &OptionSpec) -> String {
    match spec.kind {
        Kind::Kafka | Kind::Keys | Kind::Outputs => "none".to_owned(),
        Kind::Text { .. } if spec.default == "none" => "none".to_owned(),
        _ => format!("`{}`", spec.default),
    }
}

fn entry(page: &mut String, spec: &OptionSpec) {
    push(page, format_args!("\n### {}\n\n{}\n\n", heading(spec), spec.doc.trim_end()));
    let unit = if spec.unit.is_empty() { String::new() } else { format!(" ({})", spec.unit) };
    let range = match spec.kind {
        Kind::Choice { words } => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", "),
        _ => spec.range.clone(),
    };
    push(page, format_args!("- Type: {}{unit}\n- Allowed: {range}\n- Default: {}\n", spec.kind.name(), default(spec)));
    if !spec.kafka.is_empty() {
        let names = spec.kafka.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        push(page, format_args!("- Takes the place of: {names}\n"));
    }
}

fn librdkafka(page: &mut String) {
    page.push_str(
        "\n## Settings of librdkafka\n\n\
         The option `kafka` takes settings of librdkafka under their own names, for what libkarafka has no option\n\
         for. The list is librdkafka's `CONFIGURATION.md`. Names and values are checked by librdkafka before anything\n\
         starts. For a topic they come on top of the app's. Values may be text, integers, numbers and booleans.\n\n\
         These are given to librdkafka unless set:\n",
    );
    given(page, "Consumers", &CONSUMER);
    given(page, "Producers", &PRODUCER);
    page.push_str("\nThese are refused, because they would break a guarantee:\n\n| setting | reason |\n|---|---|\n");
    for refused in &REFUSED {
        let except = refused.harmless.map_or_else(String::new, |value| format!(" other than `{value}`"));
        push(page, format_args!("| `{}`{except} | {}. |\n", refused.name, refused.reason));
    }
    page.push_str("\nSettings that an option takes the place of are refused too; the error names the option.\n");
    page.push_str("\nSome settings have two names. Only one of them may be given:\n\n| name | same as |\n|---|---|\n");
    for (second, kept) in SAME {
        push(page, format_args!("| `{second}` | `{kept}` |\n"));
    }
    page.push_str(
        "\nSecret are values of settings whose names end in `password`, `passphrase`, `secret`, `token`, `pem`,\n\
         `jaas` or `jaas.config`, all of `ssl.key.*`, `sasl.username` and `sasl.oauthbearer.config`.\n\n\
         Allowed, but said in the log at every start: switching off the verification of certificates or of host\n\
         names, and `sasl.mechanisms=PLAIN` without TLS.\n",
    );
}

fn given(page: &mut String, who: &str, settings: &[Given]) {
    push(page, format_args!("\n| {who} | value | reason |\n|---|---|---|\n"));
    for setting in settings {
        push(page, format_args!("| `{}` | `{}` | {} |\n", setting.name, setting.value, setting.reason));
    }
}
