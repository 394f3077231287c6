//! What a run's handler does: hold, mark, fail; and what its partitioner and its filter answer.

use crate::{PATIENCE, Watch};
use karafka::{Batch, Context, FilterAnswer, Producer, Record};
use serde_json::Value as Json;

pub enum Verdict {
    Done,
    Failed,
    Forgotten,
}

pub struct Rules {
    run: Json,
    partitioner: Json,
    unique: Json,
    filter: Json,
    hooks: Json,
}

impl Rules {
    pub fn new(run: &Json, scenario: &Json) -> Self {
        let of = |what: &str| scenario[what].clone();
        Self {
            run: run.clone(),
            partitioner: of("partitioner"),
            unique: of("unique"),
            filter: of("filter"),
            hooks: of("hooks"),
        }
    }

    pub fn has_hooks(&self) -> bool {
        self.hooks.is_object()
    }

    pub fn hooks_fail(&self) -> bool {
        self.hooks["then"] == "fail"
    }

    /// Whether something is done with the last record after the app has stopped.
    pub fn keeps(&self) -> bool {
        self.run["after"][0] == "mark"
    }

    /// Whether a rule is about this call: one of its records has the rule's key, or the rule names none.
    fn applies(rule: &Json, batch: &Batch) -> bool {
        let key = rule["key"].as_str();
        rule.is_object() && key.is_none_or(|key| batch.iter().any(|message| message.key() == Some(key.as_bytes())))
    }

    /// Waits for what the rule says; returns whether it came in time.
    pub fn hold(&self, watch: &Watch, batch: &Batch) -> bool {
        let rule = &self.run["hold"];
        if !Self::applies(rule, batch) {
            return true;
        }
        let (what, count) = (rule["until"][0].as_str().unwrap(), rule["until"][1].as_u64().unwrap() as usize);
        watch.wait(|seen| seen.count(what) >= count)
    }

    /// Makes the marks that are about records of this call, in the order of the table.
    pub fn mark(&self, batch: &Batch, context: &Context) -> Vec<bool> {
        let mut marks = Vec::new();
        for mark in self.run["mark"].as_array().into_iter().flatten() {
            let offset = mark[1].as_i64().unwrap();
            let Some(message) = batch.iter().find(|message| message.offset() == offset) else { continue };
            marks.push(match mark[0].as_str().unwrap() {
                "prefix" => context.mark_as_consumed(&message),
                "single" => context.acknowledge(&message),
                "waiting" => context.mark_as_consumed_and_commit(&message, PATIENCE).unwrap(),
                other => panic!("the table marks {other}"),
            });
        }
        marks
    }

    /// Sends the records that are due in this attempt; for each the kind of the error with which it was refused.
    pub fn send(&self, context: &Context, producer: &Producer) -> Vec<Option<&'static str>> {
        let sends = self.run["send"].as_array().into_iter().flatten();
        let due = sends.filter(|send| send[0].as_u64() == Some(u64::from(context.attempt())));
        let one = |send: &Json| {
            let record = Record { topic: send[1].as_str().unwrap(), payload: Some(b"sent"), ..Record::default() };
            producer.produce_sync(&record).err().map(|error| error.kind().name())
        };
        due.map(one).collect()
    }

    pub fn verdict(&self, batch: &Batch, context: &Context) -> Verdict {
        let rule = &self.run["fail"];
        if !Self::applies(rule, batch) || u64::from(context.attempt()) > rule["attempts"].as_u64().unwrap() {
            return Verdict::Done;
        }
        if rule["how"] == "forget" { Verdict::Forgotten } else { Verdict::Failed }
    }

    /// The partitioner's answers; none when it fails.
    pub fn keys(&self, batch: &Batch) -> Option<Vec<Vec<u8>>> {
        Self::prefixes(&self.partitioner, batch)
    }

    /// What no two records may have in common that are handled at once.
    pub fn unique_values(&self, batch: &Batch) -> Option<Vec<Vec<u8>>> {
        Self::prefixes(&self.unique, batch)
    }

    fn prefixes(rule: &Json, batch: &Batch) -> Option<Vec<Vec<u8>>> {
        let length = rule["prefix"].as_u64()? as usize;
        Some(batch.iter().map(|message| message.payload().unwrap_or_default()[..length].to_vec()).collect())
    }

    /// The filter's answers.
    pub fn answers(&self, batch: &Batch) -> Vec<FilterAnswer> {
        let is = |what: &str, key: Option<&[u8]>| key.is_some() && key == self.filter[what].as_str().map(str::as_bytes);
        let answer = |key: Option<&[u8]>| match (is("skips", key), is("fails", key)) {
            (true, _) => FilterAnswer::Skip,
            (_, true) => FilterAnswer::Failed,
            _ => FilterAnswer::Keep,
        };
        batch.iter().map(|message| answer(message.key())).collect()
    }
}
