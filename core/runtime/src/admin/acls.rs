//! Access rules: who may do what with which topics, groups, transactional ids, and the cluster.
//!
//! Kafka has two kinds of resources more, delegation tokens and users; librdkafka 2.12.1 knows neither, so that rules about
//! them can be neither made nor found here.

use super::{Admin, ConfigResource, Outcomes, judged};
use crate::config::{validate_existing_group_name, validate_topic_name};
use crate::native::{RawAcl, RawAclFilter};
use crate::{Error, ErrorKind, Result};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Kafka's number for it.
const SECURITY_DISABLED: i32 = 54;

/// A choice with a word and Kafka's number for each value.
macro_rules! choice {
    ($(#[$meta:meta])* $name:ident { $($(#[$inner:meta])* $value:ident = $number:literal, $word:literal;)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$inner])* $value,)*
        }

        impl $name {
            /// Every value.
            pub const ALL: &'static [Self] = &[$(Self::$value,)*];

            /// The word for it.
            pub const fn word(self) -> &'static str {
                match self {
                    $(Self::$value => $word,)*
                }
            }

            /// The value of a word.
            pub fn from_word(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.word() == word)
            }

            const fn number(self) -> i32 {
                match self {
                    $(Self::$value => $number,)*
                }
            }

            fn from_number(number: i32) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.number() == number)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
                serializer.serialize_str(self.word())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
                let word = String::deserialize(deserializer)?;
                let words: Vec<_> = Self::ALL.iter().map(|value| value.word()).collect();
                let wrong = || format!("{word:?} is not among {}", words.join(", "));
                Self::from_word(&word).ok_or_else(|| serde::de::Error::custom(wrong()))
            }
        }
    };
}

choice! {
    /// What a rule is about.
    AclResource {
        /// Any; in filters only.
        Any = 1, "any";
        /// Topics.
        Topic = 2, "topic";
        /// Consumer groups.
        Group = 3, "group";
        /// The cluster itself; its name is `kafka-cluster`.
        Cluster = 4, "cluster";
        /// Transactional ids of producers.
        TransactionalId = 5, "transactional_id";
    }
}

choice! {
    /// How a rule's name is meant.
    AclPattern {
        /// Any; in filters only.
        Any = 1, "any";
        /// Every rule that applies to the name; in filters only.
        Match = 2, "match";
        /// The whole name, or `*` for all.
        Literal = 3, "literal";
        /// Names that begin so.
        Prefixed = 4, "prefixed";
    }
}

choice! {
    /// What may be done.
    AclOperation {
        /// Any; in filters only.
        Any = 1, "any";
        /// Everything.
        All = 2, "all";
        /// Fetch; join a group and commit.
        Read = 3, "read";
        /// Produce.
        Write = 4, "write";
        /// Create.
        Create = 5, "create";
        /// Delete.
        Delete = 6, "delete";
        /// Change.
        Alter = 7, "alter";
        /// See.
        Describe = 8, "describe";
        /// What brokers do among themselves.
        ClusterAction = 9, "cluster_action";
        /// See settings.
        DescribeConfigs = 10, "describe_configs";
        /// Change settings.
        AlterConfigs = 11, "alter_configs";
        /// Produce with idempotence, on old clusters.
        IdempotentWrite = 12, "idempotent_write";
    }
}

choice! {
    /// Whether it is allowed.
    AclPermission {
        /// Any; in filters only.
        Any = 1, "any";
        /// Forbidden, whatever else allows it.
        Deny = 2, "deny";
        /// Allowed.
        Allow = 3, "allow";
    }
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Acl {
    /// What it is about.
    pub resource: AclResource,
    /// The name.
    pub name: String,
    /// How the name is meant.
    pub pattern: AclPattern,
    /// Who: `User:name`, or `User:*`.
    pub principal: String,
    /// From which host; `*` for any.
    pub host: String,
    /// What may be done.
    pub operation: AclOperation,
    /// Whether it is allowed.
    pub permission: AclPermission,
}

const CREATE: &str = "create access rules";

impl Acl {
    /// Checks that the rule can be made, as far as that is known without asking a cluster.
    ///
    /// # Errors
    /// `Config` for a rule that says "any", or is about a topic or group that cannot be.
    pub fn validate(&self) -> Result<()> {
        let is_vague = self.resource == AclResource::Any
            || matches!(self.pattern, AclPattern::Any | AclPattern::Match)
            || self.operation == AclOperation::Any
            || self.permission == AclPermission::Any;
        if is_vague {
            let message = "a rule has one resource, pattern, operation and permission; \"any\" is for filters";
            return Err(Error::new(ErrorKind::Config, CREATE, message).with("name", &self.name));
        }
        match (self.resource, self.pattern, self.name.as_str()) {
            // All topics; what names that are none begin with.
            (AclResource::Topic, AclPattern::Literal, "*") | (AclResource::Topic, AclPattern::Prefixed, "." | "..") => {
                Ok(())
            }
            (AclResource::Topic, _, name) => validate_topic_name(name),
            (AclResource::Group, _, name) => validate_existing_group_name(name),
            _ => Ok(()),
        }
    }
}

/// Which rules are meant; a name, principal or host that is not given matches all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AclFilter {
    /// What they are about.
    pub resource: AclResource,
    /// The name.
    pub name: Option<String>,
    /// How the name is meant.
    pub pattern: AclPattern,
    /// Who.
    pub principal: Option<String>,
    /// From which host.
    pub host: Option<String>,
    /// What may be done.
    pub operation: AclOperation,
    /// Whether it is allowed.
    pub permission: AclPermission,
}

impl Default for AclFilter {
    /// Every rule.
    fn default() -> Self {
        Self {
            resource: AclResource::Any,
            name: None,
            pattern: AclPattern::Any,
            principal: None,
            host: None,
            operation: AclOperation::Any,
            permission: AclPermission::Any,
        }
    }
}

impl AclFilter {
    fn native(&self) -> RawAclFilter {
        RawAclFilter {
            resource: self.resource.number(),
            name: self.name.clone(),
            pattern: self.pattern.number(),
            principal: self.principal.clone(),
            host: self.host.clone(),
            right: self.operation.number(),
            permission: self.permission.number(),
        }
    }
}

impl Admin {
    /// Makes rules. One that is there already is no error. Brokers obey a rule a moment after this returns.
    ///
    /// # Errors
    /// `Config` for a rule that says "any" or names what cannot be, `Auth` without the right to it; what is wrong with
    /// one rule is its outcome.
    pub fn create_acls(&self, acls: &[Acl]) -> Result<Outcomes<Acl>> {
        acls.iter().try_for_each(Acl::validate)?;
        self.must_be_real(CREATE)?;
        let native = |acl: &Acl| RawAcl {
            resource: acl.resource.number(),
            name: acl.name.clone(),
            pattern: acl.pattern.number(),
            principal: acl.principal.clone(),
            host: acl.host.clone(),
            right: acl.operation.number(),
            permission: acl.permission.number(),
        };
        let native: Vec<_> = acls.iter().map(native).collect();
        let outcomes = self.client.create_acls(&native, self.timeout).map_err(|error| self.named(error))?;
        let judge = |(acl, (number, text)): (&Acl, (i32, String))| {
            let outcome = judged(number, &text, CREATE).map_err(|error| self.named(error.with("name", &acl.name)));
            (acl.clone(), outcome)
        };
        Ok(acls.iter().zip(outcomes).map(judge).collect())
    }

    /// Rules that match.
    /// None may mean that the user has no right to see them, too: librdkafka reads that refusal and does not hand it on.
    ///
    /// # Errors
    /// `Unsupported` for a cluster without an authorizer: it has no rules. Without the right to see rules, librdkafka 2.12.1 drops
    /// the refusal, and there are none.
    pub fn acls(&self, filter: &AclFilter) -> Result<Vec<Acl>> {
        const OPERATION: &str = "describe access rules";
        self.must_be_real(OPERATION)?;
        let found = self.client.describe_acls(&filter.native(), self.timeout).map_err(|error| self.named(error))?;
        if found.is_empty() {
            self.must_have_authorizer(OPERATION)?;
        }
        Ok(found.into_iter().filter_map(read).collect())
    }

    /// librdkafka drops what brokers say instead of rules: where there are none, one of them is asked whether it keeps any. What it
    /// does not tell is left open.
    fn must_have_authorizer(&self, operation: &'static str) -> Result<()> {
        let Some(broker) = self.cluster()?.brokers.into_iter().next() else { return Ok(()) };
        let Ok(settings) = self.configs(&ConfigResource::Broker(broker.id)) else { return Ok(()) };
        let authorizer = settings.into_iter().find(|setting| setting.name == "authorizer.class.name");
        if authorizer.and_then(|setting| setting.value).is_none_or(|name| !name.is_empty()) {
            return Ok(());
        }
        let message = "the cluster keeps no access rules: it has no authorizer (authorizer.class.name is empty)";
        Err(self.named(Error::new(ErrorKind::Unsupported, operation, message).kafka_code(SECURITY_DISABLED)))
    }

    /// Deletes the rules that match, and tells which they were.
    ///
    /// # Errors
    /// As [`Self::acls`]; what is wrong with one rule is its outcome.
    pub fn delete_acls(&self, filter: &AclFilter) -> Result<Outcomes<Acl>> {
        const OPERATION: &str = "delete access rules";
        self.must_be_real(OPERATION)?;
        let deleted = self.client.delete_acls(&filter.native(), self.timeout).map_err(|error| self.named(error))?;
        let judge = |(acl, number, text): (RawAcl, i32, String)| {
            Some((read(acl)?, judged(number, &text, OPERATION).map_err(|error| self.named(error))))
        };
        Ok(deleted.into_iter().filter_map(judge).collect())
    }
}

/// A rule about something that librdkafka does not know is none of ours.
fn read(acl: RawAcl) -> Option<Acl> {
    Some(Acl {
        resource: AclResource::from_number(acl.resource)?,
        name: acl.name,
        pattern: AclPattern::from_number(acl.pattern)?,
        principal: acl.principal,
        host: acl.host,
        operation: AclOperation::from_number(acl.right)?,
        permission: AclPermission::from_number(acl.permission)?,
    })
}
