//! `libkarafka acls`: access rules.

use crate::Cluster;
use crate::output::{Output, Stop, clean, complain};
use clap::{Args, Subcommand};
use karafka::{Acl, AclFilter, AclOperation, AclPattern, AclPermission, AclResource};
use serde_json::{Value, json};
use std::process::ExitCode;

/// List, create and delete access rules
///
/// Resources: topic, group, cluster (named kafka-cluster), `transactional_id`. Rules about delegation tokens and users are not known to
/// librdkafka, and neither shown nor made.
#[derive(Args)]
#[command(arg_required_else_help = true)]
pub(crate) struct Acls {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    cluster: Cluster,
}

#[derive(Subcommand)]
enum Action {
    /// List rules
    List {
        #[command(flatten)]
        filter: Filter,
    },
    /// Create a rule
    Create {
        /// Who, such as User:anna
        principal: String,
        /// What may be done: read, write, describe, ...
        #[arg(value_parser = operation)]
        operation: AclOperation,
        /// With what: topic, group, cluster, `transactional_id`
        #[arg(value_parser = resource)]
        resource: AclResource,
        /// Its name
        name: String,
        /// Names that begin so, not this name only
        #[arg(long)]
        prefixed: bool,
        /// Forbid it instead
        #[arg(long)]
        deny: bool,
        /// From this host only
        #[arg(long, default_value = "*")]
        host: String,
    },
    /// Delete the rules that match; all of them with --all only
    Delete {
        #[command(flatten)]
        filter: Filter,
        /// Delete every rule, where no filter is given
        #[arg(long)]
        all: bool,
    },
}

/// Which rules are meant.
#[derive(Args)]
struct Filter {
    /// Who, such as User:anna
    #[arg(long)]
    principal: Option<String>,
    /// What may be done
    #[arg(long, value_parser = operation)]
    operation: Option<AclOperation>,
    /// With what
    #[arg(long, value_parser = resource)]
    resource: Option<AclResource>,
    /// The name in the rule
    #[arg(long)]
    name: Option<String>,
}

impl Filter {
    fn acls(&self) -> AclFilter {
        AclFilter {
            principal: self.principal.clone(),
            operation: self.operation.unwrap_or(AclOperation::Any),
            resource: self.resource.unwrap_or(AclResource::Any),
            name: self.name.clone(),
            ..AclFilter::default()
        }
    }

    fn is_empty(&self) -> bool {
        self.acls() == AclFilter::default()
    }
}

fn operation(text: &str) -> Result<AclOperation, String> {
    AclOperation::from_word(text).ok_or_else(|| {
        let words: Vec<_> = AclOperation::ALL.iter().map(|value| value.word()).collect();
        format!("it is one of {}", words.join(", "))
    })
}

fn resource(text: &str) -> Result<AclResource, String> {
    AclResource::from_word(text).ok_or_else(|| {
        let words: Vec<_> = AclResource::ALL.iter().map(|value| value.word()).collect();
        format!("it is one of {}", words.join(", "))
    })
}

fn said(acl: &Acl) -> String {
    format!(
        "{} {} {} {} {:?} from {}",
        acl.permission.word(),
        clean(&acl.principal),
        acl.operation.word(),
        match acl.pattern {
            AclPattern::Prefixed => format!("{} beginning with", acl.resource.word()),
            _ => acl.resource.word().to_owned(),
        },
        acl.name,
        clean(&acl.host)
    )
}

fn object(acl: &Acl) -> Value {
    json!({
        "principal": acl.principal, "operation": acl.operation.word(), "resource": acl.resource.word(), "name": acl.name,
        "pattern": acl.pattern.word(), "host": acl.host, "permission": acl.permission.word(),
    })
}

impl Acls {
    pub(crate) fn run(&self, mut output: Output) -> Result<ExitCode, Stop> {
        match &self.action {
            Action::List { filter } => {
                let acls = self.cluster.admin()?.acls(&filter.acls())?;
                for acl in &acls {
                    output.item(|| said(acl), || object(acl))?;
                }
                if acls.is_empty() {
                    complain("there are no such rules, or this user may not see them: librdkafka does not tell which");
                }
                output.end()
            }
            Action::Create { principal, operation, resource, name, prefixed, deny, host } => {
                let acl = Acl {
                    resource: *resource,
                    name: name.clone(),
                    pattern: if *prefixed { AclPattern::Prefixed } else { AclPattern::Literal },
                    principal: principal.clone(),
                    host: host.clone(),
                    operation: *operation,
                    permission: if *deny { AclPermission::Deny } else { AclPermission::Allow },
                };
                acl.validate()?;
                let success = |acl: &Acl, ()| (format!("created: {}", said(acl)), Value::Null);
                output.outcomes(self.cluster.admin()?.create_acls(&[acl])?, object, success)
            }
            Action::Delete { filter, all } => {
                if filter.is_empty() && !all {
                    let message = "no filter is given; --all deletes every rule";
                    let error = karafka::Error::new(karafka::ErrorKind::Config, "delete access rules", message);
                    return Err(error.into());
                }
                let success = |acl: &Acl, ()| (format!("deleted: {}", said(acl)), Value::Null);
                output.outcomes(self.cluster.admin()?.delete_acls(&filter.acls())?, object, success)
            }
        }
    }
}
