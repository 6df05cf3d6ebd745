//! `docs/LIMITS.md` is complete and true: what it names is there, and every code of a limit is in it.

use std::fs;
use std::path::{Path, PathBuf};

use roundtable::protocol::ErrorCode;

/// A row of the list.
struct Row {
    what: String,
    figures: Vec<String>,
    code: String,
    test: Vec<String>,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What stands between backquotes.
fn quoted(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn rows() -> Vec<Row> {
    let page = read("docs/LIMITS.md");
    let (_, list) = page.split_once("## The list").expect("a list");
    let lines = list.lines().take_while(|line| !line.starts_with("## ")).filter(|line| line.starts_with("| "));
    let row = |line: &str| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [what, figures, code, _retry, test] = cells[..] else { panic!("{line}") };
        Row { what: what.to_owned(), figures: quoted(figures), code: quoted(code).concat(), test: quoted(test) }
    };
    lines.skip(1).map(row).collect()
}

/// All sources of ours, one after the other.
fn sources(folder: &Path, text: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
            sources(&path, text);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            text.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn each_limit_has_a_figure_a_code_and_a_test() {
    let settings = read("docs/CONFIG.md");
    let mut source = String::new();
    for folder in ["src", "crates/protocol"] {
        sources(&root().join(folder), &mut source);
    }
    for Row { what, figures, code, test } in rows() {
        assert!(!figures.is_empty(), "{what} has no figure");
        for figure in figures {
            let is_there = match figure.strip_prefix("--") {
                Some(_) => settings.contains(&format!("| `{figure} ")),
                None if figure.to_uppercase() == figure => source.contains(&format!("const {figure}: ")),
                None => source.contains(&format!("pub {}: ", snake(&figure))),
            };
            assert!(is_there, "{what}: there is no {figure}");
        }
        assert!(ErrorCode::from_word(&code).is_some(), "{what}: there is no code {code}");
        assert!(root().join(format!("docs/errors/{code}.md")).exists(), "{what}: {code} has no page");
        let [file, name] = &test[..] else { panic!("{what} names one test by file and name") };
        assert!(read(file).contains(&format!("fn {name}(")), "{what}: {file} has no test {name}");
    }
}

/// `max-rooms` and `maxRooms` as a field has it.
fn snake(name: &str) -> String {
    name.chars().fold(String::new(), |name, letter| match letter {
        '-' => name + "_",
        letter if letter.is_uppercase() => name + "_" + &letter.to_lowercase().to_string(),
        letter => name + &letter.to_string(),
    })
}

#[test]
fn every_code_of_a_limit_is_in_the_list() {
    let listed: Vec<String> = rows().into_iter().map(|row| row.code).collect();
    let of_limits = ["rate", "too-many", "full", "quota", "too-large", "too-long", "over-limit"];
    for code in ErrorCode::ALL {
        let (_, word) = code.as_str().split_once('/').unwrap();
        if of_limits.iter().any(|limit| word.contains(limit)) {
            assert!(listed.iter().any(|listed| listed == code.as_str()), "{code} is not in docs/LIMITS.md");
        }
    }
}
