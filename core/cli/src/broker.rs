//! `libkarafka broker`: the embedded broker as a process of its own.
//!
//! Lives until the process is ended. Its records live in memory, so there is nothing to close.

use crate::output::{Output, Stop};
use clap::Args;
use karafka::EmbeddedBroker;
use std::io::Read;
use std::process::ExitCode;

/// Run a broker in memory, for trying things out and for tests, until Ctrl-C
///
/// It is librdkafka's mock cluster: one broker on a free loopback port, which the system chooses. Clients of every language
/// on this machine can use it.
///
/// It keeps records in memory only, at most 5 MiB or 100,000 batches a partition: older ones are dropped silently, read or
/// not. It cannot do transactions (it accepts them, and makes aborted records visible all the same), access rules,
/// administration, and offsets by time. Topics that are not given here come into being when used, with 4 partitions.
#[derive(Args)]
pub(crate) struct Broker {
    /// A topic to create; may be given several times
    #[arg(long = "topic", value_name = "NAME:PARTITIONS", value_parser = topic)]
    topics: Vec<(String, i32)>,
    /// End with the standard input too, so that it does not outlive the program that started it
    #[arg(long)]
    until_eof: bool,
}

fn topic(text: &str) -> Result<(String, i32), String> {
    let (name, partitions) = text.rsplit_once(':').ok_or("a topic looks like name:partitions, such as orders:6")?;
    let count: i32 = partitions.parse().map_err(|_| format!("{partitions:?} is no number of partitions"))?;
    if count < 1 {
        return Err(format!("a topic has at least 1 partition, not {count}"));
    }
    Ok((name.to_owned(), count))
}

impl Broker {
    pub(crate) fn run(&self, mut output: Output) -> Result<ExitCode, Stop> {
        let broker = EmbeddedBroker::start()?;
        for (name, partitions) in &self.topics {
            broker.create_topic(name, *partitions)?;
        }
        self.announce(&broker.bootstrap_servers(), &mut output)?;
        if self.until_eof {
            // What is written there is of no interest; an error is an end as well.
            let mut ignored = [0; 64];
            while std::io::stdin().read(&mut ignored).is_ok_and(|count| count > 0) {}
            return Ok(ExitCode::SUCCESS);
        }
        loop {
            std::thread::park();
        }
    }

    fn announce(&self, address: &str, output: &mut Output) -> Result<(), Stop> {
        if output.is_json() {
            let topics: serde_json::Map<_, _> =
                self.topics.iter().map(|(name, partitions)| (name.clone(), (*partitions).into())).collect();
            output.json(&serde_json::json!({ "bootstrap_servers": address, "topics": topics }))?;
            return output.flush();
        }
        output.line(&format!("bootstrap servers  {address}"))?;
        for (name, partitions) in &self.topics {
            let word = if *partitions == 1 { "partition" } else { "partitions" };
            output.line(&format!("topic              {name}, {partitions} {word}"))?;
        }
        output.line("other topics       come into being when used, with 4 partitions")?;
        output.line(
            "keeps              in memory, at most 5 MiB or 100,000 batches a partition; older records go silently",
        )?;
        output.line("cannot do          transactions, access rules, administration, offsets by time")?;
        output.line("Ctrl-C ends it, and everything in it.")?;
        output.flush()
    }
}
