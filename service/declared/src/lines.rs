//! At which lines the values of a file stand.

use crate::tree::{Node, Value, json, yaml};

/// The values of a file of JSON or YAML, by their lines. A file that cannot be read has none.
#[derive(Debug, Default)]
pub struct Lines(Vec<Node>);

impl Lines {
    /// Of a text.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let documents = match text.trim_start().starts_with(['{', '[']) {
            true => vec![json(text)],
            false => yaml(text),
        };
        Self(documents.into_iter().filter_map(Result::ok).collect())
    }

    /// The line, from 1, of the value that an RFC 6901 pointer leads to, or of the last one on the way that is
    /// there: what is within a text has the line of the text. Of a Terraform plan, that of the change of the
    /// resource with this address.
    #[must_use]
    pub fn of(&self, pointer: &str) -> Option<usize> {
        let root = self.0.first()?;
        let steps = match pointer.strip_prefix('/') {
            Some(steps) => steps,
            None if pointer.is_empty() => return Some(root.line),
            None => return of_address(root, pointer),
        };
        let mut at = root;
        for step in steps.split('/') {
            let name = step.replace("~1", "/").replace("~0", "~");
            let next = match &at.value {
                Value::List(items) => name.parse().ok().and_then(|index: usize| items.get(index)),
                Value::Map(entries) => entries.iter().find(|(key, _)| *key == name).map(|(_, node)| node),
                // What AWS takes in place of a list of one.
                _ => None,
            };
            match next {
                Some(next) => at = next,
                None => break,
            }
        }
        Some(at.line)
    }
}

fn of_address(root: &Node, address: &str) -> Option<usize> {
    let changes = root.get("resource_changes").map(Node::items).unwrap_or_default();
    let named = |node: &&Node| node.get("address").and_then(Node::text) == Some(address);
    changes.iter().find(named).map(|node| node.line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_leads_to_the_line_of_its_value() {
        let file = r#"{
  "changes": [
    {"kind": "trust_policy"},
    {
      "kind": "inline_policy",
      "a/b": 1,
      "document": {
        "Statement": [
          {"Effect": "Deny"},
          {"Effect": "Allow"}
        ]
      }
    }
  ]
}"#;
        let document =
            "- kind: inline_policy\n  document:\n    Statement:\n      - Effect: Deny\n      - Effect: Allow\n";
        let plan = "{\"resource_changes\": [\n{\"address\": \"aws_iam_role.a\"},\n{\"address\": \"aws_iam_role.b\"}]}";
        for (text, pointer, line) in [
            (file, "", Some(1)),
            (file, "/changes/0", Some(3)),
            (file, "/changes/1", Some(4)),
            (file, "/changes/1/a~1b", Some(6)),
            (file, "/changes/1/document/Statement/1", Some(10)),
            (file, "/changes/1/kind/Statement/1", Some(5)),
            (document, "/0/document/Statement/1", Some(5)),
            (plan, "aws_iam_role.b", Some(3)),
            (plan, "aws_iam_role.c", None),
            ("{", "/changes/0", None),
        ] {
            assert_eq!(Lines::new(text).of(pointer), line, "{pointer}");
        }
    }
}
