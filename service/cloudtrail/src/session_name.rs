//! What a role session name tells, and what it only seems to tell.
//!
//! EKS names the sessions that it makes `eks-<cluster>-<pod>-<uuid>` with cluster and pod cut to
//! ten characters. Both may hold hyphens, so the middle may be read in several ways: every reading
//! is kept until known clusters decide. SDKs have default names of their own. Refuses to know who
//! opened a session: a name proves nothing about its principal.

use std::borrow::Cow;

/// To how many characters EKS cuts the cluster's and the pod's name.
pub const CUT: usize = 10;

const UUID_LENGTH: usize = 36;
const PREFIX: &str = "eks-";

/// Whether STS accepts the text as a role session name: 2 to 64 of `[\w+=,.@-]`.
#[must_use]
pub fn is_valid(name: &str) -> bool {
    name.parse::<rolecall_estate::id::SessionName>().is_ok()
}

/// A name of the shape that EKS gives to Pod Identity sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PodIdentityName<'a> {
    middle: &'a str,
    uuid: &'a str,
}

/// One way to read the middle of a [`PodIdentityName`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reading<'a> {
    /// The cluster's name, cut to [`CUT`] characters.
    pub cluster: &'a str,
    /// The pod's name, cut to [`CUT`] characters.
    pub pod: &'a str,
}

/// What the known clusters make of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Match<'a> {
    /// One known cluster fits.
    One {
        /// The cluster's whole name.
        cluster: &'a str,
        /// The pod's name, cut.
        pod: &'a str,
    },
    /// Several known clusters fit, by name.
    Ambiguous(Vec<&'a str>),
    /// No known cluster fits.
    Foreign,
}

impl<'a> PodIdentityName<'a> {
    /// Reads a name; `None` where it breaks the grammar.
    #[must_use]
    pub fn parse(name: &'a str) -> Option<Self> {
        if !is_valid(name) {
            return None;
        }
        let rest = name.strip_prefix(PREFIX)?;
        let (head, uuid) = rest.split_at_checked(rest.len().checked_sub(UUID_LENGTH)?)?;
        let middle = head.strip_suffix('-')?;
        let parsed = Self { middle, uuid };
        (is_uuid(uuid) && parsed.readings().next().is_some()).then_some(parsed)
    }

    /// The random part; new with every fetch of credentials, and not the pod's uid.
    #[must_use]
    pub fn uuid(&self) -> &'a str {
        self.uuid
    }

    /// Every way to split the middle into cluster and pod.
    pub fn readings(&self) -> impl Iterator<Item = Reading<'a>> + use<'a> {
        let middle = self.middle;
        middle.match_indices('-').filter_map(move |(at, _)| {
            let cluster = middle.get(..at)?;
            let pod = middle.get(at + 1..)?;
            let fits = is_cluster_cut(cluster) && is_pod_cut(pod);
            fits.then_some(Reading { cluster, pod })
        })
    }

    /// The pod's part, if the session belongs to this cluster.
    #[must_use]
    pub fn pod_in(&self, cluster: &str) -> Option<&'a str> {
        let cut = cut(cluster);
        self.readings().find(|reading| reading.cluster == cut).map(|reading| reading.pod)
    }

    /// Which of the known clusters it can belong to.
    pub fn resolve(&self, clusters: impl IntoIterator<Item = &'a str>) -> Match<'a> {
        let mut fits: Vec<(&str, &str)> =
            clusters.into_iter().filter_map(|cluster| self.pod_in(cluster).map(|pod| (cluster, pod))).collect();
        fits.sort_unstable();
        fits.dedup();
        match fits.as_slice() {
            [] => Match::Foreign,
            [(cluster, pod)] => Match::One { cluster, pod },
            many => Match::Ambiguous(many.iter().map(|(cluster, _)| *cluster).collect()),
        }
    }
}

/// The name that EKS gives to a session of this pod.
#[must_use]
pub fn pod_identity_name(cluster: &str, pod: &str, uuid: &str) -> String {
    format!("{PREFIX}{}-{}-{uuid}", cut(cluster), cut(pod))
}

/// A name cut as EKS cuts it.
#[must_use]
pub fn cut(name: &str) -> &str {
    name.char_indices().nth(CUT).and_then(|(at, _)| name.get(..at)).unwrap_or(name)
}

fn is_cluster_cut(s: &str) -> bool {
    (1..=CUT).contains(&s.len())
        && s.starts_with(|c: char| c.is_ascii_alphanumeric())
        && s.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

fn is_pod_cut(s: &str) -> bool {
    (1..=CUT).contains(&s.len())
        && s.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && s.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.')
}

fn is_uuid(s: &str) -> bool {
    s.len() == UUID_LENGTH
        && s.bytes().enumerate().all(|(i, b)| {
            if matches!(i, 8 | 13 | 18 | 23) { b == b'-' } else { b.is_ascii_digit() || matches!(b, b'a'..=b'f') }
        })
}

/// Whether a name looks like one that a program gave itself when nobody named the session.
#[must_use]
pub fn is_default(name: &str) -> bool {
    producer(name).is_some()
}

/// What follows the stem of a default name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tail {
    /// Nothing: the stem is the whole name.
    Nothing,
    /// `-` and a number: a time in seconds, milliseconds, nanoseconds or ticks.
    Number,
}

/// The names that programs give where nobody names the session, as their sources have them.
const DEFAULTS: [(&str, Tail, &str); 23] = [
    ("botocore-session", Tail::Number, "botocore"),
    ("boto3-session", Tail::Number, "boto3"),
    ("AWS-CLI-session", Tail::Number, "the AWS CLI"),
    ("EKSGetTokenAuth", Tail::Nothing, "the AWS CLI, for `aws eks get-token`"),
    ("aws-sdk-js-session", Tail::Number, "the AWS SDK for JavaScript"),
    ("aws-sdk-js", Tail::Number, "the AWS SDK for JavaScript"),
    ("token-file-web-identity", Tail::Nothing, "the AWS SDK for JavaScript"),
    ("temporary-credentials", Tail::Nothing, "the AWS SDK for JavaScript"),
    ("web-identity", Tail::Nothing, "the AWS SDK for JavaScript"),
    ("aws-sdk-java", Tail::Number, "the AWS SDK for Java"),
    ("aws-sdk-kotlin", Tail::Number, "the AWS SDK for Kotlin"),
    ("aws-sdk-php", Tail::Number, "the AWS SDK for PHP"),
    ("aws-go-sdk", Tail::Number, "the AWS SDK for Go"),
    ("aws-sdk-go", Tail::Number, "the AWS SDK for Go"),
    ("aws-dotnet-sdk-session", Tail::Number, "the AWS SDK for .NET"),
    ("default_session", Tail::Nothing, "the AWS SDK for Ruby"),
    ("web-identity-token", Tail::Number, "the AWS SDK for Rust"),
    ("web-identity-token-profile", Tail::Number, "the AWS SDK for Rust"),
    ("assume-role-provider", Tail::Number, "the AWS SDK for Rust"),
    ("assume-role-from-profile", Tail::Number, "the AWS SDK for Rust"),
    ("aws-common-runtime-profile-config", Tail::Nothing, "the AWS Common Runtime"),
    ("aws-common-runtime-profile-config", Tail::Number, "the AWS Common Runtime"),
    ("GitHubActions", Tail::Nothing, "the GitHub action configure-aws-credentials"),
];

/// Which program gives such names itself when nobody names the session; `None` where somebody
/// seems to have chosen the name.
#[must_use]
pub fn producer(name: &str) -> Option<&'static str> {
    let numbered = name.rsplit_once('-').filter(|(_, number)| is_number(number)).map(|(stem, _)| stem);
    let listed = DEFAULTS.iter().find(|(stem, tail, _)| match tail {
        Tail::Nothing => name == *stem,
        Tail::Number => numbered == Some(*stem),
    });
    if let Some((_, _, producer)) = listed {
        return Some(producer);
    }
    if is_number(name) && (16..=20).contains(&name.len()) {
        Some("the AWS SDK for Go")
    } else if is_uuid(&name.to_ascii_lowercase()) {
        Some("a program that names sessions by a random UUID")
    } else if is_base64_of_uuid(name) {
        Some("the AWS SDK for Ruby")
    } else if is_instance_id(name) {
        Some("EC2, for an instance profile")
    } else {
        None
    }
}

/// The AWS SDK for Ruby names sessions of web identities by a UUID in Base64: 36 bytes are 48
/// characters without padding.
fn is_base64_of_uuid(name: &str) -> bool {
    const LENGTH: usize = UUID_LENGTH / 3 * 4;
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    if name.len() != LENGTH {
        return false;
    }
    let (mut bits, mut held) = (0_u32, 0_u32);
    let mut text = String::with_capacity(UUID_LENGTH);
    for letter in name.bytes() {
        let Some(value) = ALPHABET.iter().position(|known| *known == letter) else { return false };
        bits = ((bits << 6) | u32::try_from(value).unwrap_or_default()) & 0xffff;
        held += 6;
        if held >= 8 {
            held -= 8;
            text.extend(char::from_u32((bits >> held) & 0xff));
        }
    }
    is_uuid(&text)
}

/// Whether a name is that of an EC2 instance, as sessions of instance profiles have.
#[must_use]
pub fn is_instance_id(name: &str) -> bool {
    name.strip_prefix("i-").is_some_and(|id| {
        (8..=17).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'a'..=b'f'))
    })
}

fn is_number(s: &str) -> bool {
    !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit())
}

/// The shape of a name: what changes from session to session is replaced, so that sessions of one
/// kind share a shape. Pod Identity names share one shape for all clusters and pods.
#[must_use]
pub fn shape(name: &str) -> Cow<'_, str> {
    if PodIdentityName::parse(name).is_some() {
        return Cow::Borrowed("eks-<cluster>-<pod>-<uuid>");
    }
    if is_base64_of_uuid(name) {
        return Cow::Borrowed("<base64 of a uuid>");
    }
    let mut out = String::with_capacity(name.len());
    let mut rest = name;
    while !rest.is_empty() {
        if let Some(tail) = rest.get(UUID_LENGTH..).filter(|_| starts_with_uuid(rest)) {
            out.push_str("<uuid>");
            rest = tail;
            continue;
        }
        let token = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
        let (word, tail) = rest.split_at_checked(token.max(1)).unwrap_or((rest, ""));
        out.push_str(word_shape(word));
        rest = tail;
    }
    if out == name { Cow::Borrowed(name) } else { Cow::Owned(out) }
}

fn starts_with_uuid(s: &str) -> bool {
    s.get(..UUID_LENGTH).is_some_and(|head| is_uuid(&head.to_ascii_lowercase()))
}

/// Numbers of four digits or more, and hexadecimal words of eight letters or more with a digit
/// among them, are taken as generated.
fn word_shape(word: &str) -> &str {
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    if word.len() >= 4 && digits == word.len() {
        "<number>"
    } else if word.len() >= 8 && digits > 0 && word.bytes().all(|b| b.is_ascii_hexdigit()) {
        "<hex>"
    } else {
        word
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = "498124c2-a555-40bf-9059-ca9a26821eb0";

    #[test]
    fn names_that_eks_makes_are_read_and_others_are_not() {
        for good in
            ["eks-prod-clust-api-7d9f6c", "eks-a-b", "eks-eksworksho-app1-v1-56", "eks-c_1-web.0", "eks-c-abcdefghi-"]
        {
            assert!(PodIdentityName::parse(&format!("{good}-{UUID}")).is_some(), "{good}");
        }
        let bad = [
            format!("eks-{UUID}"),
            format!("eks-cluster-{UUID}"),
            format!("eks--pod-{UUID}"),
            format!("eks-cluster-Pod-{UUID}"),
            format!("eks-elevenchars-elevenchars-{UUID}"),
            format!("EKS-c-pod-{UUID}"),
            format!("eks-c-pod-{}", UUID.to_ascii_uppercase()),
            "eks-c-pod-498124c2".to_owned(),
            "botocore-session-1700000000".to_owned(),
            String::new(),
        ];
        for name in bad {
            assert_eq!(PodIdentityName::parse(&name), None, "{name}");
        }
    }

    #[test]
    fn an_ambiguous_middle_is_decided_by_known_clusters_only() {
        let name = format!("eks-prod-a-b-{UUID}");
        let parsed = PodIdentityName::parse(&name).unwrap();
        let readings: Vec<_> = parsed.readings().collect();
        assert_eq!(readings, [Reading { cluster: "prod", pod: "a-b" }, Reading { cluster: "prod-a", pod: "b" }]);
        assert_eq!(parsed.resolve(["prod", "dev"]), Match::One { cluster: "prod", pod: "a-b" });
        assert_eq!(parsed.resolve(["prod", "prod-a"]), Match::Ambiguous(vec!["prod", "prod-a"]));
        assert_eq!(parsed.resolve(["dev"]), Match::Foreign);
    }

    #[test]
    fn two_long_clusters_with_one_beginning_cannot_be_told_apart() {
        let name = pod_identity_name("production-eu", "api-7d9f6c5b8-x2x9z", UUID);
        assert_eq!(name, format!("eks-production-api-7d9f6c-{UUID}"));
        let parsed = PodIdentityName::parse(&name).unwrap();
        assert_eq!(
            parsed.resolve(["production-us", "production-eu"]),
            Match::Ambiguous(vec!["production-eu", "production-us"])
        );
        assert_eq!(parsed.pod_in("production-eu"), Some("api-7d9f6c"));
        assert_eq!(parsed.uuid(), UUID);
    }

    #[test]
    fn default_names_are_known_with_the_program_that_gives_them() {
        let cases = [
            ("botocore-session-1764410400", "botocore"),
            ("boto3-session-1764410400", "boto3"),
            ("AWS-CLI-session-1764410400", "the AWS CLI"),
            ("EKSGetTokenAuth", "the AWS CLI, for `aws eks get-token`"),
            ("aws-sdk-js-session-1764410400000", "the AWS SDK for JavaScript"),
            ("aws-sdk-js-1764410400000", "the AWS SDK for JavaScript"),
            ("token-file-web-identity", "the AWS SDK for JavaScript"),
            ("temporary-credentials", "the AWS SDK for JavaScript"),
            ("web-identity", "the AWS SDK for JavaScript"),
            ("aws-sdk-java-1764410400000", "the AWS SDK for Java"),
            ("aws-sdk-kotlin-1764410400000", "the AWS SDK for Kotlin"),
            ("aws-sdk-php-1764410400", "the AWS SDK for PHP"),
            ("aws-go-sdk-1764410400000000000", "the AWS SDK for Go"),
            ("1764410400000000000", "the AWS SDK for Go"),
            ("aws-dotnet-sdk-session-639000000000000000", "the AWS SDK for .NET"),
            ("default_session", "the AWS SDK for Ruby"),
            ("NDk4MTI0YzItYTU1NS00MGJmLTkwNTktY2E5YTI2ODIxZWIw", "the AWS SDK for Ruby"),
            ("web-identity-token-1764410400000", "the AWS SDK for Rust"),
            ("web-identity-token-profile-1764410400000", "the AWS SDK for Rust"),
            ("assume-role-provider-1764410400000", "the AWS SDK for Rust"),
            ("assume-role-from-profile-1764410400000", "the AWS SDK for Rust"),
            ("aws-common-runtime-profile-config", "the AWS Common Runtime"),
            ("GitHubActions", "the GitHub action configure-aws-credentials"),
            (UUID, "a program that names sessions by a random UUID"),
            ("498124C2-A555-40BF-9059-CA9A26821EB0", "a program that names sessions by a random UUID"),
            ("i-0123456789abcdef0", "EC2, for an instance profile"),
        ];
        for (name, expected) in cases {
            assert_eq!(producer(name), Some(expected), "{name}");
            assert!(is_valid(name), "{name}");
        }
    }

    #[test]
    fn names_that_somebody_chose_are_none_of_a_program() {
        let chosen = [
            "alice@example.com",
            "deploy-42",
            "release-20261001",
            "botocore-session-x",
            "botocore-session-",
            "botocore-session",
            "GitHubActions-main",
            "github-actions",
            "aws-dotnet-sdk-session",
            "web-identity-payments",
            "i-am-a-name",
            "payments-api",
            "20261001",
            // As long as the Base64 of a UUID, and of another text.
            "NDk4MTI0YzItYTU1NS00MGJmLTkwNTktY2E5YTI2ODIxZWJ6",
            "the-nightly-export-of-the-ledger-to-the-archive1",
            "",
        ];
        for name in chosen {
            assert_eq!(producer(name), None, "{name}");
            assert!(!is_default(name), "{name}");
        }
    }

    #[test]
    fn a_shape_forgets_what_changes() {
        let cases = [
            (format!("eks-c-pod-{UUID}"), "eks-<cluster>-<pod>-<uuid>"),
            (format!("eks-c-Pod-{UUID}"), "eks-c-Pod-<uuid>"),
            ("botocore-session-1700000000".to_owned(), "botocore-session-<number>"),
            ("i-0123456789abcdef0".to_owned(), "i-<hex>"),
            ("build-42".to_owned(), "build-42"),
            ("NDk4MTI0YzItYTU1NS00MGJmLTkwNTktY2E5YTI2ODIxZWIw".to_owned(), "<base64 of a uuid>"),
            ("alice@example.com".to_owned(), "alice@example.com"),
        ];
        for (name, expected) in cases {
            assert_eq!(shape(&name), expected);
        }
    }
}
