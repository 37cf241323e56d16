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
