//! Patterns of actions and resources.
//!
//! Knows where a wildcard may run: an action's service prefix takes none; in a resource ARN a `*`
//! stays within its segment unless it is the segment's last character, and runs free after the
//! fifth colon (AWS: "if the `*` is the last character of a segment, it can expand to match beyond
//! the colon boundaries"). Refuses to know what a name stands for.

use crate::arn::ArnText;
use crate::context::Context;
use crate::matching::glob::overlap::Asked;
use crate::matching::glob::{Glob, Mode, Unresolved};
use crate::truth::{Truth, Why};
use crate::version::Version;
use std::fmt;

/// An element of `Action` or `NotAction`: `*`, or `service:Name` with wildcards in the name.
///
/// What IAM refuses to save, such as a wildcard in the service prefix or a text without a colon,
/// is kept and names no action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActionPattern {
    text: Box<str>,
    /// Lower case; empty where no service is named; `None` for every service.
    service: Option<Box<str>>,
    name: Glob,
}

impl ActionPattern {
    /// Reads an action pattern. Any text is one; `*:*` is read as `*`.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let all = |s: &str| !s.is_empty() && s.bytes().all(|b| b == b'*');
        let (service, name) = match text.split_once(':') {
            None if all(text) => (None, text),
            None => {
                let name = Glob::plain(text, Mode::Literal);
                return Self { text: text.into(), service: Some("".into()), name };
            }
            Some((service, name)) if all(service) && all(name) => (None, name),
            Some((service, name)) => (Some(service), name),
        };
        Self {
            text: text.into(),
            // INVARIANT: no service has a wildcard in its name, so such a prefix equals none.
            service: service.map(|s| s.to_ascii_lowercase().into()),
            name: Glob::plain(name, Mode::WildNoCase),
        }
    }

    /// As it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The service prefix in lower case; `None` for every service.
    #[must_use]
    pub fn service(&self) -> Option<&str> {
        self.service.as_deref()
    }

    /// Whether it is every action of every service.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.service.is_none()
    }

    /// Whether it is every action of a service, or of all.
    #[must_use]
    pub fn is_whole_service(&self) -> bool {
        self.name.is_everything()
    }

    /// Whether it has a wildcard.
    #[must_use]
    pub fn has_wildcard(&self) -> bool {
        !self.name.is_exact()
    }

    /// Whether it may name an action: what IAM would not save, such as a wildcard in the service, names
    /// nothing at all.
    pub(crate) fn may_name_an_action(&self) -> bool {
        self.service().is_some_and(|service| !service.is_empty() && !service.contains(['*', '?', ' ']))
    }

    /// What the part after the colon is compiled to.
    pub(crate) fn name(&self) -> &Glob {
        &self.name
    }

    /// Whether it matches the action.
    #[must_use]
    pub fn matches(&self, action: &str) -> bool {
        let Some(own) = &self.service else { return true };
        action
            .split_once(':')
            .is_some_and(|(service, name)| own.eq_ignore_ascii_case(service) && self.name.matches(name))
    }

    /// Whether it matches everything that the other matches. Never wrongly yes.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        self.is_all() || (self.service == other.service && self.name.covers(&other.name))
    }
}

impl fmt::Display for ActionPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// An element of `Resource` or `NotResource`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourcePattern {
    text: Box<str>,
    /// An ARN of less than six segments, without a star.
    incomplete: bool,
    plain: Glob,
    filled: Option<Box<Glob>>,
}

impl ResourcePattern {
    /// Reads a resource pattern. Any text is one. AWS completes an ARN that has less than six
    /// segments: `arn:aws:sqs` is `arn:aws:sqs:*:*:*`.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let segments = text.splitn(6, ':').count();
        let incomplete = segments < 6 && text.starts_with("arn:") && !text.contains('*');
        let whole = if incomplete { text.to_owned() + &":*".repeat(6 - segments) } else { text.to_owned() };
        Self {
            text: text.into(),
            incomplete,
            plain: Glob::plain(&whole, Mode::Resource),
            filled: Glob::with_variables(&whole, Mode::Resource).map(Box::new),
        }
    }

    /// What it is compiled to, in a policy of this version.
    pub(crate) fn compiled(&self, language: Version) -> &Glob {
        self.filled.as_deref().filter(|_| language == Version::V2012).unwrap_or(&self.plain)
    }

    /// Whether AWS completes it, which it does in the requester's own policies.
    pub(crate) fn is_incomplete(&self) -> bool {
        self.incomplete
    }

    /// As it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it holds a policy variable (which only version `2012-10-17` reads as one).
    #[must_use]
    pub fn has_variable(&self) -> bool {
        self.filled.is_some()
    }

    /// Whether a policy variable stands before the fifth colon, where AWS reads none.
    #[must_use]
    pub fn has_early_variable(&self) -> bool {
        self.filled.as_ref().is_some_and(|filled| filled.has_early_variable())
    }

    /// Whether it matches the resource, its variables taken as plain text.
    #[must_use]
    pub fn matches(&self, resource: &str) -> bool {
        self.plain.matches(resource)
    }

    /// Whether it matches the resource of a request, in a policy of this version.
    ///
    /// A variable without a value matches no resource. AWS reads variables after the fifth colon
    /// only, and does not say what an earlier one comes to: where it would match, it is unknown.
    #[must_use]
    pub fn matches_in(&self, resource: &str, context: &Context, language: Version) -> Truth {
        let filled = match &self.filled {
            Some(filled) if language == Version::V2012 => filled,
            _ => return self.plain.matches(resource).into(),
        };
        match filled.matches_in(resource, context) {
            Ok(true) if filled.has_early_variable() => Truth::unknown(Why::NotUnderstood(format!(
                "`{}` has a policy variable before the fifth colon, where AWS reads none",
                self.text
            ))),
            Ok(matched) => matched.into(),
            Err(Unresolved::Missing) => Truth::False,
            Err(Unresolved::Unknown(why)) => Truth::unknown(why),
        }
    }

    /// Whether it matches some of the resources that a request names with wildcards, or with
    /// `whole` certainly all of them.
    pub(crate) fn meets(&self, asked: &Asked, whole: bool, context: &Context, language: Version) -> Truth {
        match self.compiled(language).meets(asked, whole, context) {
            Ok(meets) => meets.into(),
            Err(Unresolved::Missing) => Truth::False,
            Err(Unresolved::Unknown(why)) => Truth::unknown(why),
        }
    }

    /// Whether only a variable without a value keeps it from matching the resource.
    pub(crate) fn lacks_value(&self, resource: &str, whole: bool, context: &Context, language: Version) -> bool {
        let filled = self.filled.as_deref().filter(|_| language == Version::V2012);
        filled.is_some_and(|filled| filled.lacks_value(&Asked::new(resource), whole, context))
    }

    /// Whether it names every resource of every service: `*`, or an ARN whose segments are all open.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        if self.has_variable() {
            return false;
        }
        let open = |s: &str| !s.is_empty() && s.bytes().all(|b| b == b'*');
        let mut segments = self.text.split(':');
        match segments.next() {
            Some(first) if open(first) => segments.all(open),
            Some("arn") => {
                let rest: Vec<&str> = segments.collect();
                let partition = |s: &str| open(s) || s.starts_with("aws");
                match rest.as_slice() {
                    [p] => open(p) || (self.incomplete && partition(p)),
                    [p, tail @ ..] => partition(p) && tail.iter().all(|s| open(s)),
                    [] => false,
                }
            }
            _ => false,
        }
    }

    /// Whether it names every resource of at least one type of its service, in any account that
    /// the segment leaves open: the part after the fifth colon is `*`, or `type/*`.
    #[must_use]
    pub fn is_every_of_type(&self) -> bool {
        if self.is_everything() {
            return true;
        }
        if self.has_variable() {
            return false;
        }
        let Some(tail) = self.text.splitn(6, ':').nth(5) else { return self.text.ends_with(":*") };
        let name = tail.rsplit_once(['/', ':']).map_or(tail, |(_, name)| name);
        let kind = tail.strip_suffix(name).unwrap_or_default();
        // Where other services put the type, S3 has the bucket.
        if !kind.is_empty() && ArnText(&self.text).service() == Some("s3") {
            return kind.bytes().all(|b| b == b'*' || b == b'/') && name.bytes().all(|b| b == b'*');
        }
        !name.is_empty() && name.bytes().all(|b| b == b'*') && !kind.trim_end_matches(['/', ':']).contains(['/', ':'])
    }

    /// Whether it matches everything that the other matches. Never wrongly yes.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        self.is_everything() || (!self.has_variable() && !other.has_variable() && self.plain.covers(&other.plain))
    }
}

impl fmt::Display for ResourcePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Whether a value with `*` and `?` matches a text, as `StringLike` reads it.
#[must_use]
pub fn like(pattern: &str, text: &str) -> bool {
    Glob::plain(pattern, Mode::Wild).matches(text)
}

/// The six segments of an ARN pattern are what ARN conditions compare; fewer are read as a resource
/// pattern is, whose last star runs on.
pub(crate) fn arn_mode(pattern: &str) -> Mode {
    if pattern.splitn(6, ':').count() == 6 { Mode::Arn } else { Mode::Resource }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_ignore_case_and_keep_to_their_service() {
        let get = ActionPattern::new("S3:get*");
        assert!(get.matches("s3:GetObject") && !get.matches("s3:PutObject") && !get.matches("s3express:GetObject"));
        assert!(ActionPattern::new("*").matches("iam:PassRole"));
        assert!(ActionPattern::new("*:*").is_all());
        assert!(ActionPattern::new("s3:*").covers(&get));
        assert!(!get.covers(&ActionPattern::new("s3:*")));
        assert!(!ActionPattern::new("<action>").matches("s3:GetObject"));
        for bad in ["", "s3*", "s*:Get*", "*:GetObject", "s?:GetObject", ":Get", "s3:", "s3:Get *"] {
            assert!(!ActionPattern::new(bad).matches("s3:GetObject"), "{bad}");
        }
    }

    #[test]
    fn a_star_in_an_arn_stays_in_its_segment_unless_it_ends_it() {
        let cases = [
            ("*", "arn:aws:s3:::b/k", true),
            ("arn:aws:s3:::b/*", "arn:aws:s3:::b/a/b:c", true),
            ("arn:aws:s3*", "arn:aws:s3:::b", true),
            ("arn:aws:dynamodb:*:table/prod", "arn:aws:dynamodb:eu-west-1:111122223333:table/prod", true),
            ("arn:aws:dynamodb:eu-*-1:1:table/t", "arn:aws:dynamodb:eu-west-1:1:table/t", true),
            ("arn:aws:dynamodb:e*1:table/t", "arn:aws:dynamodb:eu-west-1:1:table/t", false),
            ("arn:aws:iam::1111222233?3:role/x", "arn:aws:iam::111122223333:role/x", true),
            ("arn:aws:iam::1:role/X", "arn:aws:iam::1:role/x", false),
            ("arn:*:s3:::b/*", "arn:aws-cn:s3:::b/k", true),
            ("arn:aws:s3:*", "arn:aws:s3:::b/k", true),
            ("*:role/x", "arn:aws:iam::1:role/x", true),
            ("*role/x", "arn:aws:iam::1:role/x", false),
            ("arn:aws:s3:::*/k", "arn:aws:s3:::b:c/d/k", true),
            ("arn:aws:s3:::b?", "arn:aws:s3:::b:", true),
            ("arn:aws:sqs:?:1:q", "arn:aws:sqs:::1:q", false),
            ("arn:aws:s3:::b", "*", false),
            ("*", "*", true),
            ("arn:aws:sqs", "arn:aws:sqs:eu-west-1:1:q", true),
            ("arn:aws:sqs:eu-west-1", "arn:aws:sqs:eu-west-2:1:q", false),
            ("arn:aws:logs:*:1:log-group:/x:*", "arn:aws:logs:eu-west-1:1:log-group:/x:log-stream:y", true),
        ];
        for (pattern, resource, expected) in cases {
            assert_eq!(ResourcePattern::new(pattern).matches(resource), expected, "{pattern} {resource}");
        }
    }

    #[test]
    fn everything_has_several_spellings() {
        for all in ["*", "**", "arn:*", "arn:aws:*", "arn:*:*:*:*:*", "arn:aws:*:*:*:*", "arn:aws"] {
            assert!(ResourcePattern::new(all).is_everything(), "{all}");
        }
        for some in
            ["arn:aws:s3:::*", "arn:aws:s3:::b", "", "arn:aws:s3", "${aws:username}", "arn:aws:*:*:111122223333:*"]
        {
            assert!(!ResourcePattern::new(some).is_everything(), "{some}");
        }
        for wide in ["arn:aws:s3:::*", "arn:aws:iam::*:role/*", "arn:aws:sqs:*:*:*", "arn:aws:s3:*"] {
            assert!(ResourcePattern::new(wide).is_every_of_type(), "{wide}");
        }
        for narrow in ["arn:aws:s3:::b/*", "arn:aws:iam::1:role/team/*", "arn:aws:s3:::b*", "arn:aws:iam::1:role/x"] {
            assert!(!ResourcePattern::new(narrow).is_every_of_type(), "{narrow}");
        }
    }

    #[test]
    fn variables_count_in_the_newer_version_and_after_the_fifth_colon() {
        let home = ResourcePattern::new("arn:aws:s3:::b/${aws:username}/*");
        let ann = Context::closed().set("aws:username", ["ann"]);
        let resource = "arn:aws:s3:::b/ann/k";
        assert_eq!(home.matches_in(resource, &ann, Version::V2012), Truth::True);
        assert_eq!(home.matches_in(resource, &ann, Version::V2008), Truth::False);
        assert_eq!(home.matches_in("arn:aws:s3:::b/${aws:username}/k", &ann, Version::V2008), Truth::True);
        assert_eq!(home.matches_in(resource, &Context::closed(), Version::V2012), Truth::False);
        let open = home.matches_in(resource, &Context::open(), Version::V2012);
        assert_eq!(open, Truth::unknown(Why::Key("aws:username".into())));
        let early = ResourcePattern::new("arn:aws:iam::${aws:PrincipalAccount}:role/x");
        let own = Context::closed().set("aws:PrincipalAccount", ["111122223333"]);
        let of = |resource: &str| early.matches_in(resource, &own, Version::V2012);
        assert!(matches!(of("arn:aws:iam::111122223333:role/x"), Truth::Unknown(_)));
        assert_eq!(of("arn:aws:iam::444455556666:role/x"), Truth::False);
    }
}
