//! `libkarafka topics`: creating and deleting topics of a cluster.

use crate::Cluster;
use clap::{Args, Subcommand};
use karafka::{Admin, Result};

/// Create and delete topics
#[derive(Args)]
#[command(arg_required_else_help = true)]
pub(crate) struct Topics {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Create a topic, with the cluster's default replication
    Create {
        /// The topic's name
        name: String,
        /// How many partitions it has
        #[arg(value_parser = clap::value_parser!(i32).range(1..))]
        partitions: i32,
        #[command(flatten)]
        cluster: Cluster,
    },
    /// Delete a topic and every record in it
    Delete {
        /// The topic's name
        name: String,
        #[command(flatten)]
        cluster: Cluster,
    },
}

impl Topics {
    pub(crate) fn run(&self) -> Result<()> {
        match &self.action {
            Action::Create { name, partitions, cluster } => {
                connect(cluster)?.create_topic(name, *partitions)?;
                println!("created {name} with {partitions} partitions");
            }
            Action::Delete { name, cluster } => {
                connect(cluster)?.delete_topic(name)?;
                println!("deleted {name}");
            }
        }
        Ok(())
    }
}

fn connect(cluster: &Cluster) -> Result<Admin> {
    Admin::connect(&cluster.brokers, cluster.kafka(), cluster.timeout)
}
