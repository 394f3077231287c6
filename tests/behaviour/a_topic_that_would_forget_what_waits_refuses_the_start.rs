//! A topic of scheduled messages or recurring tasks that is not there, or that deletes by age, is refused at the start, with the
//! command that mends it (karafka.md section 3: scheduled messages, recurring tasks).

use crate::support;
use karafka::{App, ErrorKind, Failure, RecurringTasksConfig, ScheduledMessagesConfig};
use libkarafka_tests::{broker, topics};

fn refusal(prepare: impl FnOnce(&App)) -> String {
    let app = App::new(support::quick(broker::shared(), &topics::unique("group"))).unwrap();
    prepare(&app);
    let refused = app.start().unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Config, "{refused}");
    refused.to_string()
}

fn scheduled(topic: &str) -> String {
    refusal(|app| app.scheduled_messages(topic, ScheduledMessagesConfig::default()).unwrap())
}

fn recurring(topic: &str, log_topic: Option<String>) -> String {
    refusal(|app| {
        let config = RecurringTasksConfig { log_topic, ..RecurringTasksConfig::default() };
        let tasks = app.recurring_tasks(topic, config).unwrap();
        tasks.task("report", "@daily", |_| Ok::<(), Failure>(())).unwrap();
    })
}

#[test]
fn a_topic_that_would_forget_what_waits_refuses_the_start() {
    let bootstrap = broker::shared();
    let (deletes, missing) = (topics::create(bootstrap, 1), topics::unique("missing"));
    let compacted = topics::create_with(bootstrap, 1, &[("cleanup.policy", "compact")]);
    for told in [scheduled(&deletes), recurring(&deletes, None)] {
        let mend = format!("libkarafka configs set cleanup.policy=compact --topic {deletes}");
        assert!(told.contains("\"delete\"") && told.contains(&mend), "{told}");
    }
    for told in [scheduled(&missing), recurring(&missing, None)] {
        let mend = format!("libkarafka topics create {missing} 1 --config cleanup.policy=compact");
        assert!(told.contains("is not there") && told.contains(&mend), "{told}");
    }
    let told = recurring(&compacted, Some(missing.clone()));
    assert!(told.contains("the log of recurring tasks is not there"), "{told}");
    let both = topics::create_with(bootstrap, 1, &[("cleanup.policy", "compact,delete")]);
    assert!(scheduled(&both).contains("compact,delete"));

    // Once it is as it should be, the same app starts.
    let app = App::new(support::quick(bootstrap, &topics::unique("group"))).unwrap();
    app.scheduled_messages(&compacted, ScheduledMessagesConfig::default()).unwrap();
    app.start().unwrap();
    support::stop(&app);
}
