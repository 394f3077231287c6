//! A broker that is not there, a wrong password, a missing right: C, Ruby and Python programs are told of each within ten seconds,
//! with its cause and without a secret, and stop at once by a signal; a handler that hangs ends none of them later than its
//! deadline.

use crate::support::{PATIENCE, produce_keyed};
use libkarafka_tests::access::{self, Operation, Resource};
use libkarafka_tests::process::Program;
use libkarafka_tests::secured::{self, PASSWORD, PLAIN_USER, SCRAM_USER};
use libkarafka_tests::{broker, topics};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

const WITHIN: Duration = Duration::from_secs(10);
/// What an idle stop may take: two seconds of the app, and the end of an interpreter on a busy machine.
const IDLE_STOP: Duration = Duration::from_secs(5);

const C: &str = r#"
#include <karafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <pthread.h>
static void must(karafka_error_t *error) {
    if (error) { fprintf(stderr, "%s\n", karafka_error_message(error)); exit(karafka_error_exit_code(error)); }
}
static karafka_result_t hang(const karafka_batch_t *batch, karafka_context_t *context, void *data) {
    (void)batch, (void)context, (void)data;
    puts("handling"), fflush(stdout);
    while (pause() != 0) continue;
    return KARAFKA_DONE;
}
static void *tell(void *events) {
    karafka_event_t *event;
    while (!karafka_events_next(events, -1, &event)) {
        puts(karafka_event_text(event)), fflush(stdout);
        karafka_event_free(event);
    }
    return NULL;
}
int main(int count, char **words) {
    karafka_config_t *options;
    karafka_app_t *app;
    karafka_events_t *events;
    pthread_t thread;
    must(karafka_config_new(&options));
    must(karafka_config_set_string(options, KARAFKA_STRING("bootstrap_servers"), words[1], strlen(words[1])));
    must(karafka_config_set_string(options, KARAFKA_STRING("group"), words[2], strlen(words[2])));
    must(karafka_config_set_integer(options, KARAFKA_STRING("shutdown_timeout"), 1000));
    for (int at = 4; at + 1 < count; at += 2) {
        char name[100];
        snprintf(name, sizeof name, "kafka.%s", words[at]);
        must(karafka_config_set_string(options, name, strlen(name), words[at + 1], strlen(words[at + 1])));
    }
    must(karafka_app_new(options, &app));
    must(karafka_app_topic(app, words[3], strlen(words[3]), NULL, hang, NULL, NULL, NULL));
    must(karafka_app_events(app, &events));
    pthread_create(&thread, NULL, tell, events);
    must(karafka_app_run(app, KARAFKA_RUN_WITH_SIGNALS));
    return 0;
}
"#;

const RUBY: &str = r#"
require "libkarafka"
$stdout.sync = true
servers, group, topic, *kafka = ARGV
class Program < LibKarafka::App
  def initialize(**)
    super
    on_event { |event| puts event }
  end
end
Program.setup do |config|
  config.bootstrap_servers = servers
  config.group = group
  config.shutdown_timeout = 1000
  config.kafka = kafka.each_slice(2).to_h
end
Program.routes.draw { topic(topic) { |_| puts "handling"; sleep } }
Program.run!
"#;

const PYTHON: &str = r#"
import sys, time
import libkarafka
servers, group, topic, *kafka = sys.argv[1:]
app = libkarafka.App(bootstrap_servers=servers, group=group, shutdown_timeout=1000, kafka=dict(zip(kafka[::2], kafka[1::2])))
@app.consumer(topic)
def handle(batch):
    print("handling", flush=True)
    time.sleep(3600)
for name in ("error.occurred", "app.*", "rebalance.*"):
    app.on(name, lambda event: print(event, flush=True))
app.run(signals=True)
"#;

struct Built {
    stage: PathBuf,
    python: PathBuf,
}

/// The libraries of all languages, built and laid out once.
fn built() -> &'static Built {
    static BUILT: OnceLock<Built> = OnceLock::new();
    BUILT.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        // Beside the programs of the tests: target/debug.
        let debug = Path::new(env!("CARGO_BIN_EXE_member")).parent().unwrap();
        let stage = debug.parent().unwrap().join("behaviour");
        let flags = std::env::var("CARGO_FLAGS").unwrap_or_else(|_| "--no-default-features --features system-ssl".into());
        let script = r#"set -eu; cd "$0"; export PYO3_BUILD_EXTENSION_MODULE=1
            # One package at a time: together they would have other features, and be built anew.
            for package in karafka-ffi libkarafka libkarafka-python; do cargo build -q --locked -p $package $4; done
            rm -rf "$2" && mkdir -p "$2/ruby" "$2/python" && cp -r bindings/python/libkarafka "$2/python/"
            cp "$1/liblibkarafka.so" "$2/ruby/libkarafka.so" && cp "$1/lib_native.so" "$2/python/libkarafka/_native.abi3.so"
            ln -sf "$1/libkarafka.so" "$2/libkarafka.so.0"
            cc -std=gnu99 -Wall -Iinclude "$3" -L"$1" -lkarafka -lpthread -Wl,-rpath,"$2" -o "$2/program""#;
        let source = debug.join("refused.c");
        std::fs::write(&source, C).unwrap();
        let done = Command::new("sh").args(["-c", script]).arg(root).args([debug, &stage, &source]).arg(flags).status();
        assert!(done.unwrap().success(), "the languages cannot be built");
        let own = root.join(".deps/venv/bin/python");
        Built { stage, python: if own.exists() { own } else { "python3".into() } }
    })
}

/// The same program in a language.
fn program(language: &str, words: &[&str]) -> Program {
    let Built { stage, python } = built();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut command = match language {
        "c" => Command::new(stage.join("program")),
        "ruby" => {
            let mut ruby = Command::new("ruby");
            ruby.arg("-I")
                .arg(stage.join("ruby"))
                .arg("-I")
                .arg(root.join("bindings/ruby/lib"))
                .args(["-e", RUBY, "--"]);
            ruby
        }
        _ => {
            let mut interpreter = Command::new(python);
            interpreter.args(["-c", PYTHON]).env("PYTHONPATH", stage.join("python"));
            interpreter
        }
    };
    Program::start(command.args(words))
}

const LANGUAGES: [&str; 3] = ["c", "ruby", "python"];

/// Every language is told of an error with these words, and then stops at once when asked.
fn told(words: &[&str], wanted: &[&str]) {
    let mut programs: Vec<_> = LANGUAGES.map(|language| (language, program(language, words))).into();
    for (language, program) in &programs {
        let says = |line: &str| line.starts_with("error.occurred") && wanted.iter().all(|word| line.contains(word));
        program.wait_for_line(WITHIN, &format!("an error with {wanted:?} in {language}"), says);
    }
    for (language, program) in &mut programs {
        let asked = Instant::now();
        program.signal("TERM");
        let status = program.wait(PATIENCE);
        assert_eq!(status.code(), Some(0), "{language}: {}", program.last_words());
        assert!(asked.elapsed() < IDLE_STOP, "{language}: the stop took {:?}", asked.elapsed());
        for line in program.lines().into_iter().chain(program.error_lines()) {
            assert!(!line.contains(PASSWORD), "{language}: {line}");
        }
    }
}

fn sasl<'a>(mechanism: &'a str, user: &'a str, password: &'a str) -> [&'a str; 8] {
    let (protocol, name) = ("security.protocol", "sasl.username");
    [protocol, "SASL_PLAINTEXT", "sasl.mechanism", mechanism, name, user, "sasl.password", password]
}

#[test]
fn a_broker_that_is_not_there() {
    built();
    told(&["127.0.0.1:1", "group", "topic"], &["127.0.0.1:1", "Connection refused"]);
}

#[test]
fn a_wrong_password() {
    built();
    let (secured, wrong) = (secured::shared().with_password(), format!("{PASSWORD}-not"));
    let words = [&[secured.as_str(), "group", "topic"][..], &sasl("PLAIN", PLAIN_USER, &wrong)].concat();
    told(&words, &["Auth", "Authentication failed"]);
}

#[test]
fn a_topic_that_the_user_must_not_read() {
    built();
    let secured = secured::shared();
    let (group, topic) = (topics::unique("group"), topics::create(&secured.bootstrap(), 1));
    produce_keyed(&secured.bootstrap(), &topic, 1, 10);
    access::grant(&secured.bootstrap(), SCRAM_USER, Resource::Topic(&topic), Operation::Describe);
    access::grant(&secured.bootstrap(), SCRAM_USER, Resource::Group(&group), Operation::Read);
    let address = secured.with_password();
    let words = [&[address.as_str(), &group, &topic][..], &sasl("SCRAM-SHA-256", SCRAM_USER, PASSWORD)].concat();
    // One after the other: only a member that owns the partition is told that it must not read it.
    for language in LANGUAGES {
        let mut program = program(language, &words);
        let says = |line: &str| line.starts_with("error.occurred") && line.contains("Topic authorization failed");
        program.wait_for_line(WITHIN, &format!("the missing right in {language}"), says);
        program.signal("TERM");
        assert_eq!(program.wait(PATIENCE).code(), Some(0), "{language}: {}", program.last_words());
    }
}

#[test]
fn a_hang_is_named_and_ends_at_the_deadline() {
    built();
    let bootstrap = broker::shared();
    let mut programs: Vec<_> = LANGUAGES
        .map(|language| {
            let (group, topic) = (topics::unique("group"), topics::create(bootstrap, 1));
            produce_keyed(bootstrap, &topic, 1, 1);
            (language, program(language, &[bootstrap, &group, &topic]), topic)
        })
        .into();
    for (language, program, _) in &programs {
        program.wait_for_line(PATIENCE, &format!("the record in {language}"), |line| line.contains("handling"));
    }
    for (language, program, topic) in &mut programs {
        let asked = Instant::now();
        program.signal("TERM");
        let status = program.wait(PATIENCE);
        let took = asked.elapsed();
        assert_eq!(status.code(), Some(2), "{language}: {}", program.last_words());
        assert!(took < Duration::from_secs(6), "{language}: the end took {took:?}");
        let named = format!("{topic}/0 from offset 0 (1 records, for ");
        assert!(program.error_lines().iter().any(|line| line.contains(&named)), "{language}: {}", program.last_words());
    }
}
