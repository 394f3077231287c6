//! include/karafka.h is what cbindgen makes of ffi/src, for these versions.
//!
//! To refresh it after a change: `KARAFKA_WRITE_HEADER=1 cargo test -p karafka-ffi --test header`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::Path;

/// The header's order is that of these files.
const FILES: [&str; 25] = [
    "version",
    "error",
    "config",
    "message",
    "batch",
    "context",
    "position",
    "completion",
    "handler",
    "verdict",
    "app",
    "topic",
    "scheduler",
    "event",
    "record",
    "producer",
    "producer_hooks",
    "producer_buffer",
    "producer_variant",
    "transaction",
    "reader",
    "admin",
    "scheduled",
    "recurring",
    "output",
];
const LAST: &str = "embedded";

fn generate(root: &Path) -> String {
    let mut config = cbindgen::Config::from_root_or_default(root);
    let abi = abi_number(root);
    let fill = |text: &mut Option<String>| {
        *text = text.take().map(|text| {
            text.replace("@VERSION@", env!("CARGO_PKG_VERSION"))
                .replace("@MAJOR@", env!("CARGO_PKG_VERSION_MAJOR"))
                .replace("@MINOR@", env!("CARGO_PKG_VERSION_MINOR"))
                .replace("@PATCH@", env!("CARGO_PKG_VERSION_PATCH"))
                .replace("@ABI@", &abi)
        });
    };
    fill(&mut config.header);
    fill(&mut config.after_includes);
    let files = FILES.iter().chain([&LAST]);
    let builder = files.fold(cbindgen::Builder::new().with_config(config), |builder, file| {
        builder.with_src(root.join("src").join(file).with_extension("rs"))
    });
    let mut header = Vec::new();
    builder.generate().expect("cbindgen reads ffi/src").write(&mut header);
    String::from_utf8(header).expect("the header is UTF-8")
}

/// The number in the SONAME that the build script sets.
fn abi_number(root: &Path) -> String {
    let script = fs::read_to_string(root.join("build.rs")).unwrap();
    let (_, rest) = script.split_once("-soname,libkarafka.so.").expect("the build script sets a SONAME");
    rest.chars().take_while(char::is_ascii_digit).collect()
}

#[test]
fn the_checked_in_header_is_the_generated_one() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = root.join("../include/karafka.h");
    let generated = generate(root);
    if std::env::var_os("KARAFKA_WRITE_HEADER").is_some() {
        fs::write(&path, &generated).unwrap();
    }
    let checked_in = fs::read_to_string(&path).unwrap_or_default();
    let difference = generated.lines().zip(checked_in.lines()).enumerate().find(|(_, (new, old))| new != old);
    if let Some((line, (new, old))) = difference {
        panic!("include/karafka.h is not up to date, from line {}:\n- {old}\n+ {new}\n{REFRESH}", line + 1);
    }
    assert_eq!(generated.lines().count(), checked_in.lines().count(), "include/karafka.h is not up to date; {REFRESH}");
}

const REFRESH: &str = "refresh it: KARAFKA_WRITE_HEADER=1 cargo test -p karafka-ffi --test header";

#[test]
fn the_abi_number_is_one_everywhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let header = generate(root);
    assert!(header.contains(&format!("#define KARAFKA_ABI_VERSION {}\n", abi_number(root))));
}

#[test]
fn every_function_and_type_is_documented_and_prefixed() {
    let header = generate(Path::new(env!("CARGO_MANIFEST_DIR")));
    let lines: Vec<_> = header.lines().collect();
    let mut functions = 0;
    for (number, line) in lines.iter().enumerate() {
        let starts_function =
            !line.starts_with([' ', '/', '#', '}', '*']) && line.contains("karafka_") && line.contains('(');
        if starts_function && !line.starts_with("typedef") {
            functions += 1;
        }
        let declares = starts_function || line.starts_with("typedef struct");
        // A struct with fields is documented where its fields are; its end and its body are one declaration.
        if declares {
            assert_eq!(lines[number - 1].trim(), "*/", "not documented: {line}");
        }
        for word in line.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| word.starts_with("KARAFKA")) {
            assert!(word.starts_with("KARAFKA_"), "{line}");
        }
    }
    assert!(functions > 70, "only {functions} functions were found");
}
