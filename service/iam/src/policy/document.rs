//! A policy document as AWS holds it: its text, its address, and its statements where it parses.
//!
//! Knows how to take a text in every form that AWS hands out (plain or percent-encoded JSON), every
//! form of the policy grammar, and one canonical form. Refuses to drop what it cannot read: a
//! document that does not parse is a fact with a reason. Refuses to know what a document is
//! attached to, so it asks no element that only one kind of policy needs.

use crate::digest::Digest;
use crate::policy::ast::{Policy, Statement};
use crate::policy::compiled::CompiledPolicy;
use crate::policy::parse::DocumentError;
use std::sync::Arc;

/// A policy document, addressed by its content.
///
/// The address is the SHA-256 of the canonical form, or of the text where the text does not parse.
#[derive(Debug, Clone)]
pub struct Document {
    /// Content address.
    pub digest: Digest,
    /// The decoded text, as AWS returned it.
    pub text: Arc<str>,
    /// What it says, or why it cannot be said.
    pub parsed: Result<Arc<CompiledPolicy>, DocumentError>,
}

/// As its text.
impl serde::Serialize for Document {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> serde::Deserialize<'de> for Document {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <std::borrow::Cow<'_, str> as serde::Deserialize>::deserialize(deserializer).map(|text| Self::plain(&text))
    }
}

impl Document {
    /// Reads a document, percent-encoded or plain. Never fails: what does not parse is kept.
    ///
    /// A text is percent-decoded only where it is not JSON as it stands; `+` is never a space.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let looks_like_json = |s: &str| s.trim_start().starts_with(['{', '[']);
        if text.contains('%') && !looks_like_json(text) {
            let decoded = percent_encoding::percent_decode_str(text).decode_utf8();
            if let Ok(decoded) = decoded
                && looks_like_json(&decoded)
            {
                return Self::plain(&decoded);
            }
        }
        Self::plain(text)
    }

    fn plain(text: &str) -> Self {
        let parsed = Policy::parse(text).map(|policy| Arc::new(CompiledPolicy::from(policy)));
        let digest = match &parsed {
            Ok(policy) => Digest::sha256(policy.canonical().as_bytes()),
            Err(_) => Digest::sha256(text.as_bytes()),
        };
        Self { digest, text: text.into(), parsed }
    }

    /// The statements, where the document parses.
    #[must_use]
    pub fn statements(&self) -> &[Arc<Statement>] {
        self.parsed.as_ref().map_or(&[], |policy| &policy.statements)
    }

    /// The canonical form; the text itself where it does not parse.
    #[must_use]
    pub fn canonical(&self) -> String {
        self.parsed.as_ref().map_or_else(|_| self.text.to_string(), |policy| policy.canonical())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::ast::{Effect, Principal};
    use crate::policy::parse::MAX_BYTES;

    fn refused(text: &str) -> DocumentError {
        Document::new(text).parsed.unwrap_err()
    }

    const PLAIN: &str =
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:Get*","Resource":"*"}]}"#;

    #[test]
    fn a_percent_encoded_text_is_decoded_and_a_plain_one_is_not() {
        let encoded = percent_encoding::utf8_percent_encode(PLAIN, percent_encoding::NON_ALPHANUMERIC).to_string();
        assert_eq!(Document::new(&encoded).digest, Document::new(PLAIN).digest);
        assert_eq!(&*Document::new(&encoded).text, PLAIN);
        let percent = PLAIN.replace("s3:Get*", "s3:Get%2A+");
        assert_eq!(Document::new(&percent).statements()[0].actions.elements()[0].as_str(), "s3:Get%2A+");
    }

    #[test]
    fn the_address_ignores_what_does_not_matter() {
        let same = [
            r#"{"Statement":[{"Resource":["*"],"Action":["S3:get*","s3:Get*"],"Effect":"Allow"}],"Version":"2012-10-17"}"#,
            r#" { "Version" : "2012-10-17", "Statement": [ {"Effect":"Allow","Action":["s3:GET*"],"Resource":"*"} ] }"#,
        ];
        for text in same {
            assert_eq!(Document::new(text).digest, Document::new(PLAIN).digest, "{text}");
        }
        let other = [
            PLAIN.replace("Get", "Put"),
            PLAIN.replace("2012-10-17", "2008-10-17"),
            PLAIN.replace("[{", "{").replace("}]", "}"),
            PLAIN.replace("\"Resource\":\"*\"", "\"Resource\":\"*\",\"Sid\":\"x\""),
        ];
        for text in other {
            assert_ne!(Document::new(&text).digest, Document::new(PLAIN).digest, "{text}");
        }
    }

    #[test]
    fn a_single_statement_has_its_own_pointer() {
        let one =
            Document::new(r#"{"Statement":{"Effect":"Deny","NotAction":[],"NotResource":"x","NotPrincipal":"*"}}"#);
        let statement = &one.statements()[0];
        assert_eq!(statement.pointer, "/Statement");
        assert_eq!((statement.actions.is_not(), statement.effect), (true, Effect::Deny));
        assert_eq!(Document::new(PLAIN).statements()[0].pointer, "/Statement/0");
    }

    #[test]
    fn principals_of_every_kind_are_kept() {
        let text = r#"{"Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{
            "AWS":["*","111122223333"],"Service":"pods.eks.amazonaws.com","Federated":["f"],"CanonicalUser":"c","New":"n"}}]}"#;
        let document = Document::new(text);
        let principals = document.statements()[0].principals.as_ref().unwrap().elements().to_vec();
        assert_eq!(principals.len(), 6);
        assert!(principals.contains(&Principal::Everyone));
        assert!(principals.contains(&Principal::Other { kind: "New".into(), value: "n".into() }));
        assert_eq!(Document::new(&document.canonical()).digest, document.digest);
    }

    #[test]
    fn a_refusal_names_the_place_and_the_remedy() {
        let base =
            |inner: &str| format!(r#"{{"Statement":[{{"Effect":"Allow","Action":"*","Resource":"*"}},{inner}]}}"#);
        let cases = [
            (String::new(), "", "empty"),
            ("{".into(), "", "EOF"),
            ("[]".into(), "", "JSON object"),
            ("{}".into(), "", "no `Statement`"),
            (r#"{"Version":"2013-01-01","Statement":[]}"#.into(), "/Version", "version"),
            (r#"{"Statement":[],"Statements":[]}"#.into(), "/Statements", "no element"),
            (r#"{"Statement":[],"Statement":[]}"#.into(), "/Statement", "twice"),
            (base("1"), "/Statement/1", "statement"),
            (base(r#"{"Effect":"allow","Action":"*"}"#), "/Statement/1/Effect", "effect"),
            (base(r#"{"effect":"Allow","Action":"*"}"#), "/Statement/1/effect", "no element"),
            (base(r#"{"Effect":"Allow"}"#), "/Statement/1", "no action"),
            (base(r#"{"Effect":"Allow","Action":"*","NotAction":"*"}"#), "/Statement/1", "both"),
            (base(r#"{"Effect":"Allow","Action":"*","Resource":[1]}"#), "/Statement/1/Resource/0", "not a text"),
            (base(r#"{"Effect":"Allow","Action":"*","Principal":["me"]}"#), "/Statement/1/Principal", "principal"),
            (
                base(r#"{"Effect":"Allow","Action":"*","Condition":{"Bool":{"a/b":"1","a/b":"2"}}}"#),
                "/Statement/1/Condition/Bool/a~1b",
                "twice",
            ),
            (
                base(r#"{"Effect":"Allow","Action":"*","Condition":{"Bool":{"a:b":null}}}"#),
                "/Statement/1/Condition/Bool/a:b",
                "not a text",
            ),
        ];
        for (text, pointer, message) in cases {
            let error = refused(&text);
            assert_eq!(error.pointer, pointer, "{text}: {error}");
            assert!(error.message.contains(message) && !error.remedy.is_empty(), "{text}: {error}");
        }
    }

    #[test]
    fn depth_and_size_are_bounded() {
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        assert!(refused(&format!(r#"{{"Statement":{deep}}}"#)).message.contains("deep"));
        assert!(refused(&" ".repeat(MAX_BYTES + 1)).message.contains("bytes"));
    }
}
