//! The `libkarafka` command: arguments in, calls of the `karafka` crate, text or JSON out.
//!
//! Runs on the main thread. Ends with 0, with 1 and one line on the standard error stream, or with 2 for wrong arguments.

mod broker;
mod topics;

use clap::{Args, Parser, Subcommand};
use std::collections::BTreeMap;
use std::process::ExitCode;

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
}

impl Cluster {
    fn kafka(&self) -> BTreeMap<String, String> {
        self.settings.iter().cloned().collect()
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
        Command::Broker(broker) => broker.run(),
        Command::Topics(topics) => topics.run(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("libkarafka: {error}");
            ExitCode::FAILURE
        }
    }
}
