//! The `libkarafka` command: arguments in, calls of the `karafka` crate, text or JSON out.
//!
//! Runs on the main thread. How it ends is listed in docs/command-line.md.

mod acls;
mod broker;
mod config;
mod configs;
mod dlq;
mod doctor;
mod flow;
mod groups;
mod interrupt;
mod names;
mod output;
mod pid_file;
mod plan;
mod progress;
mod sealed;
mod service;
mod shell;
mod tail;
mod time;
mod topics;

use crate::names::Name;
use crate::output::{Output, Stop, clean, complain};
use clap::{Args, Parser, Subcommand};
use karafka::ErrorKind;
use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: karafka::Allocator = karafka::Allocator;

/// The code for wrong arguments, as sysexits.h has it.
const USAGE: u8 = 64;
/// The code for a setting, a name or a file that is wrong.
const CONFIGURATION: u8 = 78;

const CODES: &str = "\
Ends with 0 when everything is done, 1 when something failed, 2 when `plan` found a difference, 3 when `status` found nothing that
runs, 64 when the arguments are wrong, 78 when a setting, a name or a file is wrong, 130 or 143 when a signal stopped it.";

/// Process Apache Kafka topics in parallel, in order per key, losing nothing.
#[derive(Parser)]
#[command(name = "libkarafka", version, propagate_version = true, arg_required_else_help = true)]
#[command(after_help = CODES)]
struct Arguments {
    /// Print one line of JSON for each item
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Broker(broker::Broker),
    Completions(shell::Completions),
    Acls(acls::Acls),
    Align(plan::Align),
    Apply(plan::Apply),
    Config(config::Config),
    Configs(configs::Configs),
    Dlq(dlq::Dlq),
    Doctor(doctor::Doctor),
    Flow(flow::Flow),
    Groups(groups::Groups),
    Lag(groups::Lag),
    #[command(name = "man")]
    Manual(shell::Manual),
    Plan(plan::Plan),
    Restart(service::Restart),
    Send(tail::Send),
    Start(service::Start),
    Status(service::Status),
    Stop(service::Halt),
    Tail(tail::Tail),
    Topics(topics::Topics),
}

/// Which cluster to ask.
#[derive(Args)]
struct Cluster {
    /// The brokers to ask first: host:port, several separated by commas
    #[arg(long, global = true, value_name = "HOST:PORT", env = "KAFKA_BOOTSTRAP", default_value = "localhost:9092")]
    brokers: String,
    /// A setting of librdkafka, such as `security.protocol=SASL_SSL`; may be given several times
    #[arg(long = "kafka", global = true, value_name = "NAME=VALUE", value_parser = setting)]
    settings: Vec<(String, String)>,
    /// How long the cluster may take to answer: first contact and each request
    #[arg(long, global = true, value_name = "TIME", value_parser = time::duration, default_value = "5s")]
    timeout: Duration,
}

impl Cluster {
    fn kafka(&self) -> BTreeMap<String, String> {
        self.settings.iter().cloned().collect()
    }

    /// Connects, and waits for the cluster's first answer.
    fn admin(&self) -> karafka::Result<karafka::Admin> {
        self.admin_for([])
    }

    /// As [`Self::admin`], for something about these names: what they cannot be is refused before.
    fn admin_for<'a>(&self, names: impl IntoIterator<Item = Name<'a>>) -> karafka::Result<karafka::Admin> {
        names::validate(names)?;
        karafka::Admin::connect(&self.brokers, self.kafka(), self.timeout)
    }
}

fn setting(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("a setting looks like name=value".to_owned()),
    }
}

fn main() -> ExitCode {
    let logs = tracing_subscriber::EnvFilter::from_env("LIBKARAFKA_LOG");
    let is_colourful =
        std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let lines = tracing_subscriber::fmt().with_env_filter(logs).with_writer(std::io::stderr);
    lines.with_ansi(is_colourful).log_internal_errors(false).init();
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(refused) => return explain(&refused),
    };
    let output = Output::new(arguments.json);
    let outcome = match arguments.command {
        Command::Broker(broker) => broker.run(output),
        Command::Acls(acls) => acls.run(output),
        Command::Align(align) => align.run(output),
        Command::Apply(apply) => apply.run(output),
        Command::Completions(completions) => completions.run(output),
        Command::Config(config) => config.run(output),
        Command::Configs(configs) => configs.run(output),
        Command::Dlq(dlq) => dlq.run(output),
        Command::Doctor(doctor) => doctor.run(output),
        Command::Flow(flow) => flow.run(output),
        Command::Groups(groups) => groups.run(output),
        Command::Lag(lag) => lag.run(output),
        Command::Manual(manual) => manual.run(output),
        Command::Plan(plan) => plan.run(output),
        Command::Restart(restart) => restart.run(output),
        Command::Send(send) => send.run(output),
        Command::Start(start) => start.run(output),
        Command::Status(status) => status.run(output),
        Command::Stop(halt) => halt.run(output),
        Command::Tail(tail) => tail.run(output),
        Command::Topics(topics) => topics.run(output),
    };
    match outcome {
        Ok(code) => code,
        Err(Stop::Unread) => ExitCode::SUCCESS,
        Err(Stop::Failed(error)) => {
            complain(&error.to_string());
            if error.kind() == ErrorKind::Config { ExitCode::from(CONFIGURATION) } else { ExitCode::FAILURE }
        }
    }
}

/// Prints what clap has to say: help on the standard output, and what is wrong with the arguments on the other one.
fn explain(refused: &clap::Error) -> ExitCode {
    if !refused.use_stderr() {
        let _ = refused.print();
        return ExitCode::SUCCESS;
    }
    // What clap quotes is what was typed: a terminal must not obey it.
    if std::env::args_os().any(|argument| argument.to_string_lossy().contains(char::is_control)) {
        let text: Vec<_> = refused.to_string().lines().map(clean).collect();
        let _ = writeln!(std::io::stderr(), "{}", text.join("\n"));
    } else {
        let _ = refused.print();
    }
    ExitCode::from(USAGE)
}
