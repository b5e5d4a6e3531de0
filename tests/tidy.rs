//! What no compiler checks: which module may know which, links that lead somewhere, leftovers, width and length.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Columns of code, but for lines with text in quotes.
const CODE_COLUMNS_MAX: usize = 100;
/// Columns of a comment.
const COMMENT_COLUMNS_MAX: usize = 128;
/// Lines of a file.
const FILE_LINES_MAX: usize = 900;

/// Files with lines that rustfmt cannot break: inside of macros, of long texts, after what it gave up.
const WIDE: [&str; 8] = [
    "proto/src/error.rs",
    "src/config/options.rs",
    "src/config/page.rs",
    "src/db/index/tree.rs",
    "src/db/schema/user.rs",
    "src/db/update/mod.rs",
    "src/server/connection.rs",
    "src/wal/xlog/tests.rs",
];

/// Files that need letters beyond ASCII in the texts of their tests.
const BEYOND_ASCII: [&str; 1] = ["src/db/json_path.rs"];

/// What a module may use of the crate, and what it must not name at all. Tests may use more.
struct Layer {
    /// `src/NAME` and `src/NAME.rs`.
    name: &'static str,
    /// Modules of the crate that it may use, itself among them.
    uses: &'static [&'static str],
    /// What tests may use beyond that.
    tests_use: &'static [&'static str],
    /// What must not stand in its code.
    never: &'static [&'static str],
}

const OUTSIDE: &[&str] =
    &["std::net", "std::fs", "std::time", "std::thread", "std::env", "tokio", "rand::"];

const LAYERS: [Layer; 10] = [
    Layer { name: "db", uses: &["db"], tests_use: &[], never: OUTSIDE },
    Layer { name: "wal", uses: &["wal", "db::journal"], tests_use: &[], never: &["std::net"] },
    Layer { name: "config", uses: &["config"], tests_use: &[], never: &["std::net::TcpStream"] },
    Layer { name: "http", uses: &["http"], tests_use: &["config"], never: &["std::fs"] },
    Layer { name: "stat", uses: &["stat"], tests_use: &[], never: &["std::fs", "std::net"] },
    Layer { name: "watcher", uses: &["watcher"], tests_use: &[], never: &["std::fs", "std::net"] },
    Layer {
        name: "instance",
        uses: &["instance", "config", "db", "stat", "wal", "watcher"],
        tests_use: &[],
        never: &["std::net", "lycosa_proto::xrow"],
    },
    Layer {
        name: "procs",
        // Of the journal nothing but its mode, which the instance shows.
        uses: &[
            "procs",
            "config",
            "db",
            "http",
            "instance",
            "stat",
            "wal::journal::Mode",
            "watcher",
        ],
        tests_use: &["wal"],
        never: &["std::fs", "std::thread"],
    },
    Layer {
        name: "server",
        uses: &["server", "config", "db", "instance", "procs", "stat", "watcher"],
        tests_use: &["wal"],
        never: &["OpenOptions"],
    },
    Layer {
        name: "tools",
        uses: &["tools", "db", "instance", "wal"],
        tests_use: &[],
        // Whatever they look at stays as it is.
        never: &["OpenOptions", "Open::Write", "Open::CreateNew", "std::fs::write", "tokio"],
    },
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The path of a file in the project.
fn name(path: &Path) -> String {
    let path = path.strip_prefix(root()).expect("a path of the project");
    path.to_str().expect("a name in UTF-8").to_owned()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every file below `dir` with this extension, what is built or installed left out.
fn files(dir: &str, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut dirs = vec![root().join(dir)];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()))
        {
            let path = entry.expect("an entry").path();
            let file_name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let is_ours = !file_name.starts_with('.')
                && !["target", "node_modules", "__pycache__", "data"].contains(&file_name)
                && !["corpus", "artifacts", "coverage"].contains(&file_name);
            if path.is_dir() && is_ours {
                dirs.push(path);
            } else if path.extension().is_some_and(|end| end == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn is_test(path: &Path) -> bool {
    let name = name(path);
    name.contains("/tests/") || name.ends_with("/tests.rs") || name.starts_with("tests/")
}

/// Lines with their numbers, comments left out.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().enumerate().map(|(no, line)| (no + 1, line));
    lines.filter(|(_, line)| !line.trim_start().starts_with("//"))
}

/// Fails with all that was found.
fn none(found: &[String]) {
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

/// The depth of a file's module: 1 for `src/db.rs` and `src/db/mod.rs`, 2 for `src/db/txn.rs`.
fn depth(path: &Path) -> usize {
    let name = name(path);
    let module = name.trim_start_matches("src/").trim_end_matches(".rs").trim_end_matches("/mod");
    module.split('/').count()
}

/// Paths below the crate's root that `text` uses, each with its line: after `crate::`, and after as many `super::` as lead
/// to the root. Of each its first three names.
fn paths(text: &str, depth: usize) -> Vec<(usize, String)> {
    // Comments go, lines stay.
    let blank = |line: &str| if line.trim_start().starts_with("//") { "" } else { line }.to_owned();
    let text = text.lines().map(blank).collect::<Vec<_>>().join("\n");
    let up = "super::".repeat(depth);
    let mut found = Vec::new();
    for (root, before) in [("crate::", "$"), (up.as_str(), "super::")] {
        for (at, root) in text.match_indices(root).filter(|(at, _)| !text[..*at].ends_with(before))
        {
            let no = text[..at].matches('\n').count() + 1;
            let mut names = Vec::new();
            tree(&text[at + root.len()..], &mut Vec::new(), &mut names);
            found.extend(names.into_iter().map(|name| (no, name)));
        }
    }
    found
}

/// Reads a path or a tree of `use` and adds the first three names of each path in it; returns what follows.
fn tree<'a>(text: &'a str, path: &mut Vec<&'a str>, found: &mut Vec<String>) -> &'a str {
    let text = text.trim_start();
    if let Some(mut rest) = text.strip_prefix('{') {
        loop {
            rest = tree(rest, path, found).trim_start();
            match rest.strip_prefix(',') {
                Some(more) if !more.trim_start().starts_with('}') => rest = more,
                Some(more) => break more.trim_start().strip_prefix('}').unwrap_or_default(),
                None => break rest.strip_prefix('}').unwrap_or_default(),
            }
        }
    } else {
        let len = text.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '*');
        let (name, mut rest) = text.split_at(len.unwrap_or(text.len()));
        path.push(name);
        match rest.strip_prefix("::") {
            Some(more) => rest = tree(more, path, found),
            None => {
                found.push(path[..path.len().min(3)].join("::"));
                rest = rest.trim_start();
                // `as NAME` in a tree.
                if let Some(alias) = rest.strip_prefix("as ") {
                    rest = alias.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_');
                }
            }
        }
        path.pop();
        rest
    }
}

#[test]
fn paths_are_found() {
    let check = |text: &str, depth: usize, expected: &[&str]| {
        let found: Vec<String> = paths(text, depth).into_iter().map(|(_, path)| path).collect();
        assert_eq!(found, expected, "{text}");
    };
    check("use crate::db::txn::Txn;", 2, &["db::txn::Txn"]);
    check("use crate::{db::{self, txn as t}, wal};", 2, &["db::self", "db::txn", "wal"]);
    check(
        "use crate::{\n    db::{Database, Txn},\n    wal::Error,\n};",
        2,
        &["db::Database", "db::Txn", "wal::Error"],
    );
    check("let x = crate::http::get(1);", 2, &["http::get"]);
    check("use super::super::wal::Error;", 2, &["wal::Error"]);
    check("use super::super::wal::Error;", 3, &[]);
    check("// use crate::wal;\n$crate::error::Error", 1, &[]);
}

/// Whether `word` stands in `line` and not inside of a longer one.
fn names(line: &str, word: &str) -> bool {
    line.match_indices(word)
        .any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_'))
}

#[test]
fn arrows_point_down() {
    let mut found = Vec::new();
    for layer in &LAYERS {
        let mut all = match root().join("src").join(layer.name).is_dir() {
            true => files(&format!("src/{}", layer.name), "rs"),
            false => Vec::new(),
        };
        all.extend(
            Some(root().join(format!("src/{}.rs", layer.name))).filter(|path| path.exists()),
        );
        assert!(!all.is_empty(), "there is a module {}", layer.name);
        for path in all {
            let text = read(&path);
            let depth = depth(&path);
            let extra = if is_test(&path) { layer.tests_use } else { &[] };
            for (no, used) in paths(&text, depth) {
                let is_within =
                    |allowed: &&str| used == **allowed || used.starts_with(&format!("{allowed}::"));
                if !layer.uses.iter().chain(extra).any(is_within) {
                    found.push(format!("{}:{no}: uses crate::{used}", name(&path)));
                }
            }
            for (no, line) in code(&text).filter(|_| !is_test(&path)) {
                for word in layer.never.iter().filter(|word| names(line, word)) {
                    found.push(format!("{}:{no}: names {word}", name(&path)));
                }
            }
        }
    }
    none(&found);
}

#[test]
fn the_protocol_does_no_io() {
    let mut found = Vec::new();
    for path in files("proto/src", "rs") {
        let text = read(&path);
        for (no, line) in code(&text) {
            for word in OUTSIDE.iter().chain(&["std::io", "lycosa::"]) {
                if names(line, word) {
                    found.push(format!("{}:{no}: names {word}", name(&path)));
                }
            }
        }
    }
    let manifest = read(&root().join("proto/Cargo.toml"));
    let runtime = manifest.split("[dev-dependencies]").next().unwrap_or_default();
    for word in ["tokio", "rand", "lycosa ", "mio", "rustix"] {
        if runtime.lines().any(|line| line.starts_with(word)) {
            found.push(format!("proto/Cargo.toml: depends on {word}"));
        }
    }
    none(&found);
}

#[test]
fn unsafe_code_is_in_one_crate() {
    let mut found = Vec::new();
    // `thin/` is for it, and says which rules it keeps.
    for path in ["src", "proto/src", "bench/src"].iter().flat_map(|dir| files(dir, "rs")) {
        for (no, line) in code(&read(&path)) {
            // Whoever needs some says where and why in docs/architecture.md, and here.
            if names(line, "unsafe {") || names(line, "unsafe fn") || line.contains("unsafe_code") {
                found.push(format!("{}:{no}: {}", name(&path), line.trim()));
            }
        }
    }
    none(&found);
}

/// Every Rust file of the project.
fn rust() -> Vec<PathBuf> {
    ["src", "proto/src", "thin/src", "bench/src", "tests", "fuzz/targets"]
        .iter()
        .flat_map(|dir| files(dir, "rs"))
        .collect()
}

#[test]
fn lines_and_files_are_short() {
    let mut found = Vec::new();
    for path in rust() {
        let (text, name) = (read(&path), name(&path));
        let is_table = name == "proto/src/error/table.rs";
        for (no, line) in text.lines().enumerate() {
            let is_comment = line.trim_start().starts_with("//");
            let is_text = line.contains('"') || WIDE.contains(&name.as_str()) || is_table;
            let max = if is_comment { COMMENT_COLUMNS_MAX } else { CODE_COLUMNS_MAX };
            let columns = line.chars().count();
            if columns > max && (is_comment || !is_text) {
                found.push(format!("{name}:{}: {columns} columns, at most {max}", no + 1));
            }
        }
        let lines = text.lines().count();
        if lines > FILE_LINES_MAX {
            found.push(format!("{name}: {lines} lines, at most {FILE_LINES_MAX}"));
        }
    }
    none(&found);
}

#[test]
fn files_for_wide_lines_exist() {
    let missing = WIDE.iter().chain(&BEYOND_ASCII).filter(|name| !root().join(name).exists());
    none(&missing.map(|name| format!("{name} is listed here and gone")).collect::<Vec<_>>());
}

#[test]
fn sources_are_ascii() {
    let mut found = Vec::new();
    for path in rust() {
        let (text, name) = (read(&path), name(&path));
        if BEYOND_ASCII.contains(&name.as_str()) {
            continue;
        }
        for (no, line) in text.lines().enumerate() {
            // Sections of documents are cited with their sign.
            let is_citation = |c: char| c == '\u{a7}' && line.trim_start().starts_with("//");
            if let Some(other) = line.chars().find(|c| !c.is_ascii() && !is_citation(*c)) {
                found.push(format!("{name}:{}: {other:?}", no + 1));
            }
        }
    }
    none(&found);
}

#[test]
fn nothing_is_left_behind() {
    // In two parts, so that this file does not find itself.
    let words = ["to|do!(", "db|g!(", "unimple|mented!(", "#[ign|ore", "FIX|ME", "XX|X"];
    let words = words.map(|word| word.replace('|', ""));
    let mut found = Vec::new();
    let scripts = ["py", "lua", "js", "sh"].iter().flat_map(|end| files("tests", end));
    for path in rust().into_iter().chain(scripts).chain(documents()) {
        for (no, line) in read(&path).lines().enumerate() {
            for word in words.iter().filter(|word| line.contains(word.as_str())) {
                found.push(format!("{}:{}: {word}", name(&path), no + 1));
            }
        }
    }
    none(&found);
}

/// Every document of the project.
fn documents() -> Vec<PathBuf> {
    files(".", "md")
}

/// The anchors of a document's headings, as code hosts make them.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|line| {
            let title = line.trim_start_matches('#').trim().to_lowercase();
            let kept = title.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
            kept.map(|c| if c == ' ' { '-' } else { c }).collect()
        })
        .collect()
}

/// Targets of links in a document, with line numbers; code is left out.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut is_code = false;
    for (no, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        }
        if is_code {
            continue;
        }
        for (at, start) in line.match_indices("](") {
            let target = line[at + start.len()..].split(')').next().unwrap_or_default();
            found.push((no + 1, target.to_owned()));
        }
    }
    found
}

#[test]
fn links_lead_somewhere() {
    let mut found = Vec::new();
    for path in documents() {
        for (no, target) in links(&read(&path)) {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let (file, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let dir = path.parent().expect("a directory");
            let goal = if file.is_empty() { path.clone() } else { dir.join(file) };
            let is_good =
                goal.exists() && (anchor.is_empty() || anchors(&read(&goal)).contains(anchor));
            if !is_good {
                found.push(format!("{}:{no}: {target}", name(&path)));
            }
        }
    }
    none(&found);
}

/// Paths of the project that stand in backticks.
fn quoted_paths(line: &str) -> impl Iterator<Item = &str> {
    let quoted = line.split('`').skip(1).step_by(2);
    quoted.filter(|text| {
        let dirs = ["src/", "proto/", "thin/", "tests/", "bench/", "docs/", "fuzz/", ".ci/"];
        let is_path = text.chars().all(|c| c.is_ascii_alphanumeric() || "._-/".contains(c));
        is_path && dirs.iter().any(|dir| text.starts_with(dir))
    })
}

#[test]
fn files_that_documents_name_exist() {
    let mut found = Vec::new();
    for path in files("docs", "md").into_iter().chain([root().join("README.md")]) {
        for (no, line) in read(&path).lines().enumerate() {
            // `src/box/...` and the like are Tarantool's.
            let ours = quoted_paths(line).filter(|quoted| !quoted.starts_with("src/box/"));
            for quoted in ours.filter(|quoted| !root().join(quoted).exists()) {
                found.push(format!("{}:{}: {quoted}", name(&path), no + 1));
            }
        }
    }
    none(&found);
}

#[test]
fn documents_that_sources_name_exist() {
    let mut found = Vec::new();
    for path in rust() {
        for (no, line) in read(&path).lines().enumerate() {
            for (at, _) in line.match_indices("docs/") {
                let is_name = |c: &char| c.is_ascii_alphanumeric() || "._-/".contains(*c);
                let target: String = line[at..].chars().take_while(is_name).collect();
                if target.ends_with(".md") && !root().join(&target).exists() {
                    found.push(format!("{}:{}: {target}", name(&path), no + 1));
                }
            }
        }
    }
    none(&found);
}

#[test]
fn every_decision_has_its_number() {
    let mut numbers = BTreeSet::new();
    for path in files("docs/decisions", "md") {
        let file_name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let number = file_name.get(..4).and_then(|digits| digits.parse::<u32>().ok());
        let number = number.unwrap_or_else(|| panic!("{file_name} begins with four digits"));
        assert!(numbers.insert(number), "{file_name}: the number is taken");
    }
    let count = u32::try_from(numbers.len()).expect("few");
    assert!(numbers.iter().copied().eq(1..=count), "numbers without gaps: {numbers:?}");
}

#[test]
fn every_dependency_has_its_sentence() {
    let manifest = read(&root().join("Cargo.toml"));
    let (_, rest) = manifest.split_once("[workspace.dependencies]").expect("the table");
    let table = rest.split("\n[").next().unwrap_or_default();
    let text = read(&root().join("docs/decisions/0006-dependencies.md"));
    let names = table.lines().filter_map(|line| line.split_once(" = ")).map(|(name, _)| name);
    let missing =
        names.filter(|name| !name.starts_with("lycosa-") && !text.contains(&format!("| {name} |")));
    none(&missing.map(|name| format!("{name} is not in 0006-dependencies.md")).collect::<Vec<_>>());
}
