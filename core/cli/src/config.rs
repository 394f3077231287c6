//! `libkarafka config`: what libkarafka can be told.

use crate::output::{Output, Stop};
use clap::{Args, Subcommand};
use karafka::config::{OptionSpec, Scope, options};
use karafka::{Error, ErrorKind};
use serde_json::json;
use std::process::ExitCode;

/// Explain the options of apps, topics and producers
#[derive(Args)]
#[command(arg_required_else_help = true)]
pub(crate) struct Config {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Say what an option means, what it takes and what it is by default; all options where none is named
    Explain {
        /// The option's name, or a part of it
        name: Option<String>,
    },
}

impl Config {
    pub(crate) fn run(&self, mut output: Output) -> Result<ExitCode, Stop> {
        let Action::Explain { name } = &self.action;
        let all = Scope::ALL.into_iter().flat_map(options);
        let wanted = name.as_deref().unwrap_or_default();
        let (exact, near): (Vec<_>, Vec<_>) =
            all.filter(|spec| spec.name.contains(wanted)).partition(|spec| spec.name == wanted);
        let found = if exact.is_empty() { near } else { exact };
        if found.is_empty() {
            let message = format!("no option has {wanted:?} in its name; without a name, all are explained");
            return Err(Error::new(ErrorKind::Config, "explain an option", message).into());
        }
        for spec in found {
            if output.is_json() {
                output.json(&json!({
                    "name": spec.name, "scope": scope(spec), "type": spec.kind.name(), "unit": spec.unit,
                    "range": spec.range, "default": spec.default, "description": spec.doc, "kafka": spec.kafka,
                }))?;
            } else {
                print(&mut output, spec)?;
            }
        }
        output.end()
    }
}

fn scope(spec: &OptionSpec) -> &'static str {
    match spec.scope {
        Scope::App => "app",
        Scope::Topic => "topic",
        Scope::Producer => "producer",
        Scope::Reader => "reader",
        Scope::Admin => "admin",
    }
}

fn print(output: &mut Output, spec: &OptionSpec) -> Result<(), Stop> {
    output.line(&format!("{} ({})", spec.name, scope(spec)))?;
    let unit = if spec.unit.is_empty() { String::new() } else { format!(", in {}", spec.unit) };
    output.line(&format!("  {}{unit}; {}; default {}", spec.kind.name(), spec.range, spec.default))?;
    for line in spec.doc.trim().lines() {
        output.line(&format!("  {}", line.trim()))?;
    }
    output.line("")
}
