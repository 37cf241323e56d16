//! Messages for Slack's incoming webhooks, and for chats that take the same form.
//!
//! Lengths: <https://api.slack.com/reference/block-kit/blocks>. Escapes:
//! <https://api.slack.com/reference/surfaces/formatting#escaping>. Refuses to know where a text comes from: each is
//! taken for one that a stranger chose.

use serde_json::{Value, json};

/// The most characters of a header.
const HEADER: usize = 150;
/// The most characters of a section's text.
const SECTION: usize = 3_000;
/// The most characters of a field.
const FIELD: usize = 2_000;
/// The most fields of a section.
const FIELDS: usize = 10;
/// The longest address of a button.
const URL: usize = 3_000;
/// The most characters of a message's plain text.
const TEXT: usize = 4_000;

/// What a message says, as plain texts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Message {
    /// One line.
    pub title: String,
    /// What it is about.
    pub text: String,
    /// Names with values.
    pub fields: Vec<(&'static str, String)>,
    /// Where to read more; an address of this service.
    pub url: String,
}

/// The JSON of a message.
#[must_use]
pub fn body(message: &Message) -> Value {
    let mut blocks = vec![json!({
        "type": "header",
        // Plain text is shown as it is: it has no escapes.
        "text": {"type": "plain_text", "text": cut(&filled(&message.title), HEADER), "emoji": false},
    })];
    if !message.text.trim().is_empty() {
        blocks.push(json!({"type": "section", "text": {"type": "mrkdwn", "text": escape(&message.text, SECTION)}}));
    }
    let field = |(name, value): &(&str, String)| {
        let name = format!("*{name}*\n");
        let room = FIELD.saturating_sub(name.chars().count());
        json!({"type": "mrkdwn", "text": format!("{name}{}", escape(value, room))})
    };
    let fields: Vec<Value> =
        message.fields.iter().filter(|(_, value)| !value.trim().is_empty()).take(FIELDS).map(field).collect();
    if !fields.is_empty() {
        blocks.push(json!({"type": "section", "fields": fields}));
    }
    if !message.url.is_empty() && message.url.chars().count() <= URL {
        blocks.push(json!({"type": "actions", "elements": [{
            "type": "button", "text": {"type": "plain_text", "text": "Open in Rolecall"}, "url": message.url,
        }]}));
    }
    // What notifications show, and clients without blocks.
    json!({"text": escape(&format!("{}: {}", message.title, message.text), TEXT), "blocks": blocks})
}

/// A block without text is refused.
fn filled(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.is_empty() { "Rolecall".to_owned() } else { text }
}

fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

/// The text with what would be markup written out, at most so many characters long; no escape is cut in two.
///
/// Slack's own escapes take away links, mentions and channels, which all begin with `<`. A zero-width space before
/// the marks of bold, italic, strike and code keeps names such as `kube_system` as they are.
fn escape(text: &str, most: usize) -> String {
    let mut escaped = String::new();
    let mut length = 0;
    for c in text.chars() {
        let piece = match c {
            '&' => "&amp;".to_owned(),
            '<' => "&lt;".to_owned(),
            '>' => "&gt;".to_owned(),
            '*' | '_' | '~' | '`' => format!("\u{200b}{c}"),
            other => other.to_string(),
        };
        let next = length + piece.chars().count();
        if next >= most {
            escaped.push('…');
            break;
        }
        length = next;
        escaped.push_str(&piece);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_a_stranger_wrote_is_no_markup() {
        let message = Message {
            title: "<!channel> role".to_owned(),
            text: "<https://evil.example|click> & *bold* <@U1>".to_owned(),
            fields: vec![("Role", "kube_system".to_owned()), ("Empty", String::new())],
            url: "https://rolecall.example/findings/1".to_owned(),
        };
        let body = body(&message);
        let text = body["blocks"][1]["text"]["text"].as_str().unwrap();
        assert_eq!(text, "&lt;https://evil.example|click&gt; &amp; \u{200b}*bold\u{200b}* &lt;@U1&gt;");
        assert!(!body["text"].as_str().unwrap().contains('<'));
        assert_eq!(body["blocks"][2]["fields"], json!([{"type": "mrkdwn", "text": "*Role*\nkube\u{200b}_system"}]));
        assert_eq!(body["blocks"][3]["elements"][0]["url"], "https://rolecall.example/findings/1");
    }

    proptest! {
        #[test]
        fn every_text_keeps_to_the_lengths(
            title in ".{0,400}", text in "[<>&a_ü]{0,5000}", value in "[<&*x]{0,3000}", fields in 0_usize..15,
        ) {
            let message = Message {
                title, text, fields: vec![("Name", value); fields], url: "https://a.example/".to_owned(),
            };
            let body = body(&message);
            let length = |value: &Value| value.as_str().unwrap().chars().count();
            prop_assert!(length(&body["text"]) <= TEXT);
            for block in body["blocks"].as_array().unwrap() {
                match block["type"].as_str().unwrap() {
                    "header" => prop_assert!((1..=HEADER).contains(&length(&block["text"]["text"]))),
                    "section" => {
                        if let Some(text) = block.get("text") {
                            prop_assert!((1..=SECTION).contains(&length(&text["text"])));
                        }
                        let fields = block.get("fields").and_then(Value::as_array).cloned().unwrap_or_default();
                        prop_assert!(fields.len() <= FIELDS);
                        for field in &fields {
                            prop_assert!((1..=FIELD).contains(&length(&field["text"])));
                        }
                    }
                    _ => {}
                }
                if block["type"] != "header" {
                    let text = serde_json::to_string(block).unwrap();
                    prop_assert!(!text.contains('<'), "{}", text);
                }
            }
        }
    }
}
