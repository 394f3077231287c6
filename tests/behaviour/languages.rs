//! The same small program in C, Ruby and Python: a member of a group that prints `began KEY` and `finished KEY` for each record,
//! and every event of the app, and obeys signals.
//!
//! Called by behaviours from any thread; the languages are built once, by whoever asks first. The sources are in `languages/`.
//! Their words: the topic, the milliseconds that a record takes, the key of the record that always fails (empty for none), and
//! options as `NAME=VALUE`: those of the topic as `topic.NAME`, librdkafka's own as `kafka.NAME`.

use libkarafka_tests::process::Program;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

pub const LANGUAGES: [&str; 3] = ["c", "ruby", "python"];

/// What a program reads, and what its handler does with it.
#[derive(Clone, Copy, Debug)]
pub struct Work<'a> {
    pub topic: &'a str,
    /// What each record takes.
    pub milliseconds: u32,
    /// The key of the record that always fails; empty for none.
    pub fail_key: &'a str,
}

impl<'a> Work<'a> {
    /// Records of this topic, each handled at once.
    pub fn none(topic: &'a str) -> Self {
        Self { topic, milliseconds: 0, fail_key: "" }
    }
}

struct Built {
    root: PathBuf,
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
            for package in karafka-ffi libkarafka libkarafka-python; do cargo build -q --locked -p $package $3; done
            rm -rf "$2" && mkdir -p "$2/ruby" "$2/python" && cp -r bindings/python/libkarafka "$2/python/"
            cp "$1/liblibkarafka.so" "$2/ruby/libkarafka.so" && cp "$1/lib_native.so" "$2/python/libkarafka/_native.abi3.so"
            ln -sf "$1/libkarafka.so" "$2/libkarafka.so.0"
            cc -std=gnu99 -Wall -Iinclude tests/behaviour/languages/program.c -L"$1" -lkarafka -lpthread -Wl,-rpath,"$2" -o "$2/program""#;
        let done = Command::new("sh").args(["-c", script]).arg(root).args([debug, &stage]).arg(flags).status();
        assert!(done.unwrap().success(), "the languages cannot be built");
        let own = root.join(".deps/venv/bin/python");
        Built { root: root.to_owned(), stage, python: if own.exists() { own } else { "python3".into() } }
    })
}

/// Builds the languages, unless that is done: for tests that count time.
pub fn build() {
    built();
}

/// Starts the program in a language.
pub fn program(language: &str, work: Work<'_>, options: &[String]) -> Program {
    let Built { root, stage, python } = built();
    let sources = root.join("tests/behaviour/languages");
    let mut command = match language {
        "c" => Command::new(stage.join("program")),
        "ruby" => {
            let mut ruby = Command::new("ruby");
            ruby.arg("-I").arg(stage.join("ruby")).arg("-I").arg(root.join("bindings/ruby/lib"));
            ruby.arg(sources.join("program.rb"));
            ruby
        }
        _ => {
            let mut interpreter = Command::new(python);
            interpreter.arg(sources.join("program.py"));
            interpreter.env("PYTHONPATH", stage.join("python")).env("PYTHONDONTWRITEBYTECODE", "1");
            interpreter
        }
    };
    command.arg(work.topic).arg(work.milliseconds.to_string()).arg(work.fail_key).args(options);
    Program::start(&mut command)
}

/// Starts the program that administers a cluster, in a language; its topics and groups begin with the prefix.
pub fn administer(language: &str, brokers: &str, prefix: &str) -> Program {
    script("administer", language, &[brokers, prefix])
}

/// Starts a program of `languages/` that is there in every language, with these words.
pub fn script(name: &str, language: &str, words: &[&str]) -> Program {
    let Built { root, stage, python } = built();
    let source = root.join("tests/behaviour/languages").join(name);
    let mut command = match language {
        "c" => compiled(&source.with_extension("c"), &[root.join("include")]),
        "ruby" => {
            let mut ruby = Command::new("ruby");
            ruby.arg("-I").arg(stage.join("ruby")).arg("-I").arg(root.join("bindings/ruby/lib"));
            ruby.arg(source.with_extension("rb"));
            ruby
        }
        _ => {
            let mut interpreter = Command::new(python);
            interpreter.arg(source.with_extension("py"));
            interpreter.env("PYTHONPATH", stage.join("python")).env("PYTHONDONTWRITEBYTECODE", "1");
            interpreter
        }
    };
    Program::start(command.args(words))
}

/// Starts the program in Python whose coroutines send `count` records on in transactions.
pub fn transact(brokers: &str, group: &str, (from, to): (&str, &str), count: usize) -> Program {
    let Built { root, stage, python } = built();
    let mut interpreter = Command::new(python);
    interpreter.arg(root.join("tests/behaviour/languages/transact.py")).args([brokers, group, from, to]);
    interpreter.env("PYTHONPATH", stage.join("python")).env("PYTHONDONTWRITEBYTECODE", "1");
    Program::start(interpreter.arg(count.to_string()))
}

/// A program of C, compiled.
fn compiled(source: &Path, includes: &[PathBuf]) -> Command {
    let stage = &built().stage;
    let program = stage.join(source.file_stem().unwrap());
    let mut compiler = Command::new("cc");
    for include in includes {
        compiler.arg("-I").arg(include);
    }
    compiler.args(["-std=gnu99", "-Wall", "-Wextra"]).arg(source).arg(stage.join("libkarafka.so.0"));
    compiler.arg(format!("-Wl,-rpath,{}", stage.display())).args(["-lpthread", "-o"]).arg(&program);
    assert!(compiler.status().unwrap().success(), "{} does not compile", source.display());
    Command::new(program)
}

/// Starts the example of a page of docs/options in a language, against these brokers.
pub fn example(language: &str, page: &str, brokers: &str) -> Program {
    let Built { root, stage, python } = built();
    let pages = root.join("docs/options");
    let text = std::fs::read_to_string(pages.join(page).with_extension("md")).unwrap();
    let block =
        text.split_once(&format!("\n```{language}\n")).and_then(|(_, rest)| rest.split_once("\n```")).unwrap().0;
    let mut command = match language {
        "c" => {
            let source = stage.join(page).with_extension("c");
            std::fs::write(&source, block).unwrap();
            compiled(&source, &[root.join("include"), pages])
        }
        "ruby" => {
            let mut ruby = Command::new("ruby");
            ruby.arg("-I").arg(stage.join("ruby")).arg("-I").arg(root.join("bindings/ruby/lib")).args(["-e", block]);
            ruby
        }
        _ => {
            let mut interpreter = Command::new(python);
            interpreter.args(["-c", block]);
            interpreter.env("PYTHONPATH", stage.join("python")).env("PYTHONDONTWRITEBYTECODE", "1");
            interpreter
        }
    };
    Program::start(command.env("KAFKA_BROKERS", brokers))
}
