//! Everything that an admin can be asked, as a text of JSON: the one way in for C, Ruby and Python.
//!
//! Called on the thread that asks. A request is an object: `call` names what is asked, the rest are its arguments. What is answered has the
//! fields of the Rust types, under their names. What has an outcome for each item is a list of `{"item", "value", "error"}`, in
//! which `error` is null or has `kind`, `text`, `code`, `retriable`, `fatal` and `exit_code`.

use super::{Acl, AclFilter, Admin, Answer, ConfigResource, DeclaredTopic, NewTopic, Outcomes, Step};
use crate::shared::same_process;
use crate::{Error, ErrorKind, Result, SeekTo};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

const OPERATION: &str = "ask an admin";

#[derive(Deserialize)]
#[serde(tag = "call", rename_all = "snake_case", deny_unknown_fields)]
enum Request {
    Cluster {},
    Topics {},
    Topic {
        name: String,
    },
    CreateTopics {
        topics: Vec<NewTopic>,
    },
    DeleteTopics {
        names: Vec<String>,
    },
    AddPartitions {
        topic: String,
        total: i32,
    },
    Watermarks {
        topic: String,
    },
    Truncate {
        topic: String,
        before: Vec<Cut>,
    },
    Configs {
        topic: Option<String>,
        broker: Option<i32>,
    },
    AlterConfigs {
        topic: Option<String>,
        broker: Option<i32>,
        changes: BTreeMap<String, Option<String>>,
    },
    Groups {},
    DescribeGroups {
        groups: Vec<String>,
    },
    GroupOffsets {
        group: String,
    },
    SeekGroup {
        group: String,
        topic: String,
        #[serde(default)]
        partitions: Vec<i32>,
        to: To,
    },
    CopyGroup {
        from: String,
        to: String,
    },
    RenameGroup {
        from: String,
        to: String,
    },
    DeleteGroups {
        groups: Vec<String>,
    },
    DeleteGroupOffsets {
        group: String,
        topic: String,
        partitions: Vec<i32>,
    },
    Lag {
        group: String,
    },
    Acls {
        #[serde(default)]
        filter: AclFilter,
    },
    CreateAcls {
        acls: Vec<Acl>,
    },
    DeleteAcls {
        filter: AclFilter,
    },
    Plan {
        topics: Vec<DeclaredTopic>,
    },
    Apply {
        steps: Vec<ToldStep>,
        #[serde(default)]
        is_destruction_allowed: bool,
    },
    Align {
        topics: Vec<DeclaredTopic>,
        #[serde(default)]
        is_destruction_allowed: bool,
    },
}

/// Up to which offset records go; without one, all.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cut {
    partition: i32,
    offset: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum To {
    Earliest,
    Latest,
    Offset(i64),
    /// Milliseconds since 1970-01-01 UTC.
    Time(i64),
}

impl From<To> for SeekTo {
    fn from(to: To) -> Self {
        match to {
            To::Earliest => Self::Earliest,
            To::Latest => Self::Latest,
            To::Offset(offset) => Self::Offset(offset),
            To::Time(time) => Self::Time(time),
        }
    }
}

impl Admin {
    /// Asks by a text of JSON, such as `{"call": "topic", "name": "orders"}`; see docs/admin. All that the other calls can do, this can,
    /// within the same timeout.
    ///
    /// # Errors
    /// `Config` for a request that is none, `Forked` in a child process, else those of the call that it names.
    pub fn ask(&self, request: &str) -> Result<Answer> {
        same_process(self.process, OPERATION)?;
        let request = serde_json::from_str(request)
            .map_err(|error| Error::new(ErrorKind::Config, OPERATION, error.to_string()))?;
        self.answer(request).map(Answer)
    }

    fn answer(&self, request: Request) -> Result<Value> {
        match request {
            Request::Cluster {} => told(self.cluster()?),
            Request::Topics {} => told(self.topics()?),
            Request::Topic { name } => told(self.topic(&name)?),
            Request::CreateTopics { topics } => listed(self.create_topics(&topics)?),
            Request::DeleteTopics { names } => listed(self.delete_topics(&texts(&names))?),
            Request::AddPartitions { topic, total } => told(self.add_partitions(&topic, total)?),
            Request::Watermarks { topic } => told(self.watermarks(&topic)?),
            Request::Truncate { topic, before } => {
                let before: Vec<_> = before.into_iter().map(|cut| (cut.partition, cut.offset)).collect();
                listed(self.truncate(&topic, &before)?)
            }
            Request::Configs { topic, broker } => told(self.configs(&resource(topic, broker)?)?),
            Request::AlterConfigs { topic, broker, changes } => {
                let changes: Vec<_> = changes.into_iter().collect();
                told(self.alter_configs(&resource(topic, broker)?, &changes)?)
            }
            Request::Groups {} => told(self.groups()?),
            Request::DescribeGroups { groups } => listed(self.describe_groups(&texts(&groups))?),
            Request::GroupOffsets { group } => told(self.group_offsets(&group)?),
            Request::SeekGroup { group, topic, partitions, to } => {
                listed(self.seek_group(&group, &topic, &partitions, to.into())?)
            }
            Request::CopyGroup { from, to } => listed(self.copy_group(&from, &to)?),
            Request::RenameGroup { from, to } => told(self.rename_group(&from, &to)?),
            Request::DeleteGroups { groups } => listed(self.delete_groups(&texts(&groups))?),
            Request::DeleteGroupOffsets { group, topic, partitions } => {
                listed(self.delete_group_offsets(&group, &topic, &partitions)?)
            }
            Request::Lag { group } => told(self.lag(&group)?),
            Request::Acls { filter } => told(self.acls(&filter)?),
            Request::CreateAcls { acls } => listed(self.create_acls(&acls)?),
            Request::DeleteAcls { filter } => listed(self.delete_acls(&filter)?),
            Request::Plan { topics } => told(self.plan(&topics)?.into_iter().map(ToldStep::from).collect::<Vec<_>>()),
            Request::Apply { steps, is_destruction_allowed } => {
                let steps: Vec<_> = steps.into_iter().map(|told| told.step).collect();
                done(self.apply(&steps, is_destruction_allowed))
            }
            Request::Align { topics, is_destruction_allowed } => done(self.align(&topics, is_destruction_allowed)?),
        }
    }
}

/// A step with what a person wants to know of it, which is left alone when it comes back.
#[derive(Serialize, Deserialize)]
struct ToldStep {
    #[serde(flatten)]
    step: Step,
    #[serde(default)]
    text: String,
    #[serde(default)]
    is_destructive: bool,
}

impl From<Step> for ToldStep {
    fn from(step: Step) -> Self {
        Self { text: step.to_string(), is_destructive: step.is_destructive(), step }
    }
}

fn told(value: impl Serialize) -> Result<Value> {
    serde_json::to_value(value).map_err(|error| Error::new(ErrorKind::Internal, OPERATION, error.to_string()))
}

fn listed<T: Serialize, V: Serialize>(outcomes: Outcomes<T, V>) -> Result<Value> {
    let one = |(item, outcome): (T, Result<V>)| {
        let (value, error) = match outcome {
            Ok(value) => (told(value)?, Value::Null),
            Err(error) => (Value::Null, failure(&error)),
        };
        Ok(json!({ "item": told(item)?, "value": value, "error": error }))
    };
    outcomes.into_iter().map(one).collect::<Result<Vec<_>>>().map(Value::Array)
}

fn done(outcomes: Outcomes<Step>) -> Result<Value> {
    listed(outcomes.into_iter().map(|(step, outcome)| (ToldStep::from(step), outcome)).collect())
}

fn failure(error: &Error) -> Value {
    json!({
        "kind": error.kind().name(),
        "text": error.to_string(),
        "code": error.kafka(),
        "retriable": error.is_retriable(),
        "fatal": error.is_fatal(),
        "exit_code": error.exit_code(),
    })
}

fn resource(topic: Option<String>, broker: Option<i32>) -> Result<ConfigResource> {
    match (topic, broker) {
        (Some(topic), None) => Ok(ConfigResource::Topic(topic)),
        (None, Some(broker)) => Ok(ConfigResource::Broker(broker)),
        _ => Err(Error::new(ErrorKind::Config, OPERATION, "settings are those of a topic or of a broker: name one")),
    }
}

fn texts(list: &[String]) -> Vec<&str> {
    list.iter().map(String::as_str).collect()
}

/// A time as a number of seconds.
#[expect(clippy::ref_option, reason = "serde hands fields in so")]
pub(super) fn seconds<S: Serializer>(time: &Option<Duration>, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    time.map(|time| time.as_secs_f64()).serialize(serializer)
}

/// Pairs as a map.
pub(super) mod pairs {
    use serde::{Deserialize, Deserializer, Serializer};
    use std::collections::BTreeMap;

    pub(crate) fn serialize<S: Serializer>(pairs: &[(String, String)], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(pairs.iter().map(|(name, value)| (name, value)))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<(String, String)>, D::Error> {
        BTreeMap::deserialize(deserializer).map(|map| map.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_is_none_is_refused_with_what_is_wrong() {
        for (text, said) in [
            ("", "EOF"),
            ("{\"call\": \"nonsense\"}", "unknown variant `nonsense`"),
            ("{\"call\": \"topic\"}", "missing field `name`"),
            ("{\"call\": \"topics\", \"more\": 1}", "unknown field `more`"),
            ("{\"call\": \"acls\", \"filter\": {\"resource\": \"user\"}}", "is not among any, topic, group"),
        ] {
            let error = serde_json::from_str::<Request>(text).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(error.contains(said), "{text}: {error}");
        }
    }

    #[test]
    fn steps_come_back_as_they_were_told() {
        let steps = [
            Step::Grow { topic: "orders".to_owned(), from: 1, to: 2 },
            Step::Create(NewTopic {
                name: "a".to_owned(),
                partitions: None,
                replicas: None,
                configs: vec![("b".into(), "c".into())],
            }),
            Step::Set { topic: "orders".to_owned(), name: "cleanup.policy".to_owned(), from: "x".to_owned(), to: None },
        ];
        for step in steps {
            let told = told(ToldStep::from(step.clone())).unwrap_or_default();
            assert_eq!(serde_json::from_value::<ToldStep>(told).map(|told| told.step).ok(), Some(step));
        }
    }

    #[test]
    fn an_answer_is_read_by_paths() {
        let answer = Answer(json!([{ "item": "orders", "value": { "partitions": [1, 2] }, "error": null }]));
        assert_eq!((answer.count(""), answer.count("/0/value/partitions"), answer.count("/9")), (1, 2, 0));
        let field = |path| answer.field(path);
        assert_eq!(field("/0/item").as_deref(), Some("orders"));
        assert_eq!(field("/0/value/partitions/1").as_deref(), Some("2"));
        assert_eq!((field("/0/error"), field("/1"), field("nonsense")), (None, None, None));
    }
}
