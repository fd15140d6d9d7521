//! Each test is one rule; what breaks it is listed with file and line.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::tree::{File, files, root, rust};

/// Files that may be longer, with how long and why.
const LONG: &[(&str, usize, &str)] = &[];

/// Lines of a Rust file.
const LINES_MAX: usize = 600;

/// What the pure rings do without: `(word, why)`.
const IMPURE: &[(&str, &str)] = &[
    ("tokio::", "only the edge waits"),
    ("serde", "formats of files and sockets are the edge's"),
    ("std::fs", "only the edge has files"),
    ("std::thread", "only the edge has threads"),
    ("std::process", "only the edge has processes"),
    ("std::env", "only the edge reads the environment"),
    ("UdpSocket", "only the edge has sockets"),
    ("TcpStream", "only the edge has sockets"),
    ("TcpListener", "only the edge has sockets"),
    ("std::time::Instant", "time is an input: proto::time::Instant"),
    ("SystemTime", "time is an input: proto::time::Wall"),
    ("Instant::now", "time is an input"),
    ("getrandom", "randomness is a seed"),
    ("tracing::", "a pure ring tells by its outputs"),
];

/// Fails with everything that was found.
fn none(found: &[String]) {
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

/// Every use of `word` in the code of these files.
fn uses(files: &[File], word: &str, why: &str) -> Vec<String> {
    files
        .iter()
        .filter(|file| !file.path.starts_with("tests/tidy/"))
        .flat_map(|file| {
            let lines = file.code().filter(|(_, line)| line.contains(word));
            lines.map(|(number, _)| format!("{}:{number}: `{word}`: {why}", file.path))
        })
        .collect()
}

#[test]
fn a_rule_finds_what_it_looks_for() {
    let text =
        "// tokio::net\nuse tokio::net;\n\n#[cfg(test)]\nmod tests {\n    use tokio::net;\n}\n";
    let file = File { path: "src/proto/x.rs".into(), text: text.into() };
    assert_eq!(uses(&[file], "tokio::", "why"), ["src/proto/x.rs:2: `tokio::`: why"]);
}

#[test]
fn the_rings_name_only_what_lies_inside_them() {
    let rules = [
        ("src/proto/", "crate::switch"),
        ("src/proto/", "crate::edge"),
        ("src/switch/", "crate::edge"),
    ];
    let found = rules.iter().flat_map(|(ring, word)| {
        uses(&rust(ring), word, "proto <- switch <- edge: nothing names what lies outside it")
    });
    none(&found.collect::<Vec<_>>());
}

#[test]
fn the_pure_rings_have_no_socket_clock_thread_or_disk() {
    let mut files = rust("src/proto/");
    files.extend(rust("src/switch/"));
    none(&IMPURE.iter().flat_map(|(word, why)| uses(&files, word, why)).collect::<Vec<_>>());
}

#[test]
fn pure_tests_have_no_socket_clock_thread_or_sleep() {
    let mut files = rust("tests/pure/");
    files.extend(rust("tests/torture/"));
    let words = ["sleep", "std::thread", "UdpSocket", "TcpStream", "TcpListener", "UnixStream"];
    let clocks = ["std::time::Instant", "Instant::now", "SystemTime", "tokio"];
    let found = words
        .iter()
        .chain(&clocks)
        .flat_map(|word| uses(&files, word, "these tests run in virtual time, without a network"));
    none(&found.collect::<Vec<_>>());
}

#[test]
fn nothing_on_the_daemons_path_unwraps() {
    let files: Vec<_> = rust("src/").into_iter().filter(|file| !file.is_test()).collect();
    let words = ["todo!", "unimplemented!", "dbg!(", ".unwrap()", ".expect(", "panic!("];
    let found = words.iter().flat_map(|word| uses(&files, word, "one bad message costs one call"));
    none(&found.collect::<Vec<_>>());
}

#[test]
fn files_have_names_that_say_something() {
    let banned = ["utils", "util", "helpers", "helper", "common", "misc", "manager"];
    let mut found: Vec<String> = files("src/").into_iter().map(|file| file.path).collect();
    found.extend(files("tests/").into_iter().map(|file| file.path));
    found.retain(|path| {
        path.split('/').any(|part| banned.contains(&part.split('.').next().unwrap_or("")))
    });
    none(&found);
}

#[test]
fn a_file_can_be_read_in_one_sitting() {
    let mut all = rust("src/");
    all.extend(rust("tests/"));
    let limit = |path: &str| {
        LONG.iter().find(|(long, _, _)| *long == path).map_or(LINES_MAX, |(_, lines, _)| *lines)
    };
    let too_long = all.iter().filter(|file| file.text.lines().count() > limit(&file.path));
    none(&too_long.map(|f| format!("{}: {}", f.path, f.text.lines().count())).collect::<Vec<_>>());
    for (path, _, why) in LONG {
        let needed = all.iter().any(|f| f.path == *path && f.text.lines().count() > LINES_MAX);
        assert!(needed && !why.is_empty(), "{path} needs no exception any more");
    }
}

#[test]
fn every_rfc_that_the_source_cites_is_in_the_readme() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let mut missing = BTreeSet::new();
    for file in rust("src/") {
        let pieces = file.text.split("RFC ").skip(1);
        for number in pieces.filter_map(|rest| rest.get(..4)) {
            let is_number = number.bytes().all(|b| b.is_ascii_digit());
            if is_number && !readme.contains(&format!("\n| RFC {number} |")) {
                missing.insert(format!("RFC {number}, cited in {}", file.path));
            }
        }
    }
    none(&missing.into_iter().collect::<Vec<_>>());
}

#[test]
fn no_file_names_the_place_it_was_written_at() {
    // Put together here, so that this file does not find itself.
    let words = [
        concat!("/wo", "rk/"),
        concat!("/ro", "ot/"),
        concat!("issues", " show"),
        concat!("work", "tree"),
        concat!("sub", "agent"),
        concat!("lan", "guage model"),
    ];
    let mut found = Vec::new();
    for file in files("") {
        for (index, line) in file.text.lines().enumerate() {
            let line = line.to_ascii_lowercase();
            let word = words.iter().find(|word| line.contains(**word));
            found.extend(word.map(|word| format!("{}:{}: {word}", file.path, index + 1)));
        }
    }
    none(&found);
}

#[test]
fn every_script_can_be_run_and_is_sound_shell() {
    let mut scripts = files("scripts/");
    scripts.extend(files(".ci/"));
    assert!(scripts.iter().any(|script| script.path == ".ci/run"), "the CI has nothing to run");
    let mut found = Vec::new();
    for script in scripts {
        let path = root().join(&script.path);
        let Some(first) = script.text.lines().next().filter(|line| line.starts_with("#!")) else {
            found.push(format!("{}: no #! line", script.path));
            continue;
        };
        if path.metadata().unwrap().permissions().mode() & 0o111 == 0 {
            found.push(format!("{}: not executable", script.path));
        }
        let is_sound = || Command::new("bash").arg("-n").arg(&path).status().unwrap().success();
        if first.ends_with("sh") && !is_sound() {
            found.push(format!("{}: bash -n", script.path));
        }
    }
    none(&found);
}

#[test]
fn every_target_of_the_manifest_exists() {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let manifest: toml::Table = toml::from_str(&manifest).unwrap();
    let mut found = Vec::new();
    for kind in ["bin", "test", "example", "bench"] {
        let targets = manifest.get(kind).and_then(toml::Value::as_array);
        for target in targets.into_iter().flatten() {
            let path = target.get("path").and_then(toml::Value::as_str).unwrap_or("");
            if !root().join(path).is_file() {
                found.push(format!("[[{kind}]] {target}"));
            }
        }
    }
    none(&found);
}

#[test]
fn the_changelog_has_room_for_what_comes() {
    let changelog = std::fs::read_to_string(root().join("CHANGELOG.md")).unwrap();
    assert!(changelog.lines().any(|line| line == "## Unreleased"), "no `## Unreleased`");
}
