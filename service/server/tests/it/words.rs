//! The words of the command line, the rules and the API: those of docs/glossary.md.

use crate::support::{Folder, rolecall, run};
use serde_json::Value;
use std::path::Path;

/// Words that are gone, as whole words in any case.
const GONE: &[&str] = &[
    "look",
    "looks",
    "looked",
    "an audit",
    "one audit",
    "latest audit",
    "audits",
    "tied",
    "tie",
    "ties",
    "seen whole",
    "read whole",
    "beyond",
    "ways to more",
    "way to more",
    "weigh",
    "weighed",
    "harvest",
    "as good as",
    "layer",
    "layers",
];

/// Names of fields that are gone.
const GONE_FIELDS: &[&str] = &["says", "nearest", "way", "ways", "gain", "workflow", "endpoint", "stale_why"];

/// What stands in `text` of the words that are gone.
fn gone(text: &str) -> Vec<&'static str> {
    let words: Vec<String> = text
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '\'')
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect();
    let text = format!(" {} ", words.join(" "));
    GONE.iter().copied().filter(|word| text.contains(&format!(" {word} "))).collect()
}

#[test]
fn the_command_line_speaks_the_glossary() {
    let folder = Folder::new();
    let commands: &[&[&str]] = &[
        &[],
        &["demo"],
        &["scan"],
        &["serve"],
        &["import"],
        &["export"],
        &["simulate"],
        &["compare"],
        &["what-if"],
        &["policies"],
        &["baselines"],
        &["baselines", "export"],
        &["doctor"],
        &["migrate"],
        &["openapi"],
        &["admin"],
        &["admin", "token"],
        &["admin", "token", "create"],
        &["health"],
    ];
    for command in commands {
        let help = run(rolecall(folder.path()).args(*command).arg("--help"));
        assert_eq!(help.code, Some(0), "{help:?}");
        assert_eq!(gone(&help.out), Vec::<&str>::new(), "{command:?}: {}", help.out);
    }
}

#[test]
fn the_titles_of_rules_speak_the_glossary() {
    let builtin = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies/builtin");
    let mut titles = 0;
    for file in std::fs::read_dir(builtin).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        let title = text.lines().find_map(|line| line.trim().strip_prefix("title: ")).unwrap();
        assert_eq!(gone(title), Vec::<&str>::new(), "{title}");
        titles += 1;
    }
    assert!(titles > 50, "{titles} rules");
}

#[test]
fn the_api_speaks_the_glossary() {
    let text = include_str!("../../../../openapi.json");
    let document: Value = serde_json::from_str(text).unwrap();
    let mut found = Vec::new();
    let mut left = vec![("", &document)];
    while let Some((at, value)) = left.pop() {
        let said = match value {
            Value::Object(fields) => {
                left.extend(fields.iter().map(|(name, value)| (name.as_str(), value)));
                let named = |name: &String| GONE_FIELDS.iter().copied().filter(|gone| gone == name).collect::<Vec<_>>();
                let words = fields.keys().flat_map(|name| gone(&name.replace('_', " ")));
                words.chain(fields.keys().flat_map(named)).collect()
            }
            Value::Array(items) => {
                left.extend(items.iter().map(|value| (at, value)));
                Vec::new()
            }
            Value::String(text) => gone(text),
            _ => Vec::new(),
        };
        found.extend(said.into_iter().map(|word| format!("`{word}` in `{at}`: {value:.200}")));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// Words of names that are gone: of modules, types and functions.
const GONE_NAMES: &[&str] = &[
    "look",
    "looked",
    "torn",
    "tie",
    "ties",
    "tied",
    "harvest",
    "settle",
    "settled",
    "deed",
    "weigh",
    "weighed",
    "way",
    "ways",
    "gain",
    "gains",
    "grips",
    "teller",
    "sight",
    "around",
    "whereabouts",
    "bookkeeper",
    "ledger",
    "bell",
    "pulse",
    "stranger",
    "strangers",
    "told",
    "world",
    "nearest",
];

/// The words of a name in snake or camel case.
fn words_of(name: &str) -> Vec<String> {
    let mut words: Vec<String> = vec![String::new()];
    for letter in name.chars() {
        if letter == '_'
            || (letter.is_uppercase() && words.last().is_some_and(|word| !word.ends_with(char::is_uppercase)))
        {
            words.push(String::new());
        }
        words.last_mut().unwrap().extend(Some(letter).filter(|letter| *letter != '_'));
    }
    words.into_iter().filter(|word| !word.is_empty()).map(|word| word.to_lowercase()).collect()
}

/// Tests are named by sentences; names of at most three words are those of the code.
#[test]
fn names_speak_the_glossary() {
    let mut left: Vec<_> = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
        .unwrap()
        .map(|krate| krate.unwrap().path().join("src"))
        .filter(|src| src.is_dir())
        .collect();
    let (mut names, mut found) = (0, Vec::new());
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let tokens: Vec<&str> =
            text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|token| !token.is_empty()).collect();
        let declared =
            tokens.windows(2).filter(|pair| matches!(pair[0], "fn" | "struct" | "enum" | "trait" | "type" | "mod"));
        for name in declared.map(|pair| pair[1]).chain(path.file_stem().and_then(|stem| stem.to_str())) {
            names += 1;
            let words = words_of(name);
            if words.len() <= 3 && words.iter().any(|word| GONE_NAMES.contains(&word.as_str())) {
                found.push(format!("{name} in {}", path.display()));
            }
        }
    }
    assert!(names > 3_000, "{names} names");
    assert!(found.is_empty(), "{found:#?}");
    assert_eq!(words_of("AccountVisibility"), ["account", "visibility"]);
    assert_eq!(words_of("look_up"), ["look", "up"]);
}
