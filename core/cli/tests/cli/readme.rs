//! The README shows code that exists: each snippet stands, as it is, in the example that it names, and links lead somewhere.

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn readme() -> String {
    std::fs::read_to_string(root().join("README.md")).unwrap()
}

/// The lines without the indentation that all of them share.
fn flush_left(text: &str) -> Vec<&str> {
    let lines: Vec<_> = text.lines().map(str::trim_end).collect();
    let indentation = |line: &&str| line.len() - line.trim_start().len();
    let shared = lines.iter().filter(|line| !line.is_empty()).map(indentation).min().unwrap_or(0);
    lines.iter().map(|line| line.get(shared..).unwrap_or_default()).collect()
}

/// Targets of the links in the text that are files of the repository.
fn files_linked(text: &str) -> Vec<&str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split_once(')').map(|(target, _)| target));
    targets.filter(|target| !target.contains("://")).collect()
}

/// Snippets and the files that the line before each names.
fn snippets(readme: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    let mut parts = readme.split("\n```");
    let mut before = parts.next().unwrap_or_default();
    while let (Some(snippet), Some(after)) = (parts.next(), parts.next()) {
        let introduction = before.trim_end().rsplit("\n\n").next().unwrap_or_default();
        let file = files_linked(introduction).first().copied().unwrap_or_else(|| panic!("no file before: {snippet}"));
        // The first line names the language.
        found.push((file, snippet.split_once('\n').unwrap().1));
        before = after;
    }
    found
}

#[test]
fn every_snippet_of_the_readme_stands_in_its_example() {
    let readme = readme();
    let snippets = snippets(&readme);
    let files: Vec<_> = snippets.iter().map(|(file, _)| *file).collect();
    for language in ["core/runtime/examples/", "ffi/examples/", "bindings/ruby/examples/", "bindings/python/examples/"]
    {
        assert!(files.iter().any(|file| file.starts_with(language)), "no snippet from {language}");
    }
    for (file, snippet) in snippets {
        let example = std::fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        let wanted = flush_left(snippet);
        let lines: Vec<_> = example.lines().collect();
        let stands = lines.windows(wanted.len()).any(|window| flush_left(&window.join("\n")) == wanted);
        assert!(stands, "this is not in {file} any more:\n{snippet}");
    }
}

#[test]
fn every_link_of_the_readme_leads_to_a_file() {
    for target in files_linked(&readme()) {
        let file = target.split('#').next().unwrap();
        assert!(root().join(file).exists(), "{target} does not exist");
    }
}
