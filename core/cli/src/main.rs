//! The `libkarafka` command: arguments in, calls of the `karafka` crate, text or JSON out.
//!
//! Runs on the main thread. Ends with 0, with 1 and one line on the standard error stream, with 2 for wrong arguments, or with 128
//! and the number of the signal that ended it.

mod acls;
mod broker;
mod config;
mod configs;
mod dlq;
mod doctor;
mod groups;
mod output;
mod plan;
mod progress;
mod shell;
mod tail;
mod time;
mod topics;

use crate::output::Stop;
use clap::{Args, Parser, Subcommand};
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: karafka::Allocator = karafka::Allocator;

/// Process Apache Kafka topics in parallel, in order per key, losing nothing.
#[derive(Parser)]
#[command(name = "libkarafka", version, propagate_version = true, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Broker(broker::Broker),
    Completions(shell::Completions),
    Acls(acls::Acls),
    Apply(plan::Apply),
    Config(config::Config),
    Configs(configs::Configs),
    Dlq(dlq::Dlq),
    Doctor(doctor::Doctor),
    Groups(groups::Groups),
    Lag(groups::Lag),
    #[command(name = "man")]
    Manual(shell::Manual),
    Plan(plan::Plan),
    Send(tail::Send),
    Tail(tail::Tail),
    Topics(topics::Topics),
}

/// Which cluster to ask.
#[derive(Args)]
struct Cluster {
    /// The brokers to ask first: host:port, several separated by commas
    #[arg(long, value_name = "HOST:PORT", env = "KAFKA_BOOTSTRAP", default_value = "localhost:9092")]
    brokers: String,
    /// A setting of librdkafka, such as `security.protocol=SASL_SSL`; may be given several times
    #[arg(long = "kafka", value_name = "NAME=VALUE", value_parser = setting)]
    settings: Vec<(String, String)>,
    /// How long the cluster may take to answer: first contact and each request
    #[arg(long, value_name = "TIME", value_parser = time::duration, default_value = "5s")]
    timeout: Duration,
}

impl Cluster {
    fn kafka(&self) -> BTreeMap<String, String> {
        self.settings.iter().cloned().collect()
    }

    /// Connects, and waits for the cluster's first answer.
    fn admin(&self) -> karafka::Result<karafka::Admin> {
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
    tracing_subscriber::fmt().with_env_filter(logs).with_writer(std::io::stderr).init();
    let outcome = match Arguments::parse().command {
        Command::Broker(broker) => broker.run().map(|()| ExitCode::SUCCESS).map_err(Stop::Failed),
        Command::Acls(acls) => acls.run(),
        Command::Apply(apply) => apply.run(),
        Command::Completions(completions) => completions.run(),
        Command::Config(config) => config.run(),
        Command::Configs(configs) => configs.run(),
        Command::Dlq(dlq) => dlq.run(),
        Command::Doctor(doctor) => doctor.run(),
        Command::Groups(groups) => groups.run(),
        Command::Lag(lag) => lag.run(),
        Command::Manual(manual) => manual.run(),
        Command::Plan(plan) => plan.run(),
        Command::Send(send) => send.run(),
        Command::Tail(tail) => tail.run(),
        Command::Topics(topics) => topics.run(),
    };
    match outcome {
        Ok(code) => code,
        Err(Stop::Unread) => ExitCode::SUCCESS,
        Err(Stop::Failed(error)) => {
            eprintln!("libkarafka: {error}");
            ExitCode::FAILURE
        }
    }
}
