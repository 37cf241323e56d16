//! Whatever others write, nested without end: each reader says so, and none runs out of stack.
//!
//! Tests run on threads of 2 MiB, as the threads do that read files.

use rolecall_audit::facts;
use rolecall_cloudtrail::{ProblemKind, read_event, read_file};
use rolecall_iam::lint::check;
use rolecall_iam::{
    ActionPattern, Arn, Document, Grants, PolicyRef, PolicySet, PolicyType, ResourcePattern, cases, like,
};
use rolecall_import::{InputFile, read_files};
use rolecall_rules::{RuleSet, SourceFile};

/// So many levels are too many for each reader.
const LEVELS: [usize; 3] = [200, 25_000, 200_000];

/// Values within each other: lists, objects, both.
fn nests(levels: usize) -> [String; 3] {
    let pairs = levels / 2;
    [
        format!("{}{}", "[".repeat(levels), "]".repeat(levels)),
        format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels)),
        format!("{}1{}", "[{\"a\":".repeat(pairs), "}]".repeat(pairs)),
    ]
}

/// Each value holds the one before, which YAML lets one write without a bracket.
fn anchors(levels: usize) -> String {
    (1..levels).map(|n| format!("k{n}: &a{n} [*a{}]\n", n - 1)).fold("k0: &a0 [x]\n".to_owned(), |all, one| all + &one)
}

/// What a reader says of a text: nothing where it finds nothing wrong.
type Reader = fn(&str) -> Option<String>;

fn document(text: &str) -> Option<String> {
    let document = Document::new(text);
    assert_eq!(document.text.is_empty(), text.is_empty(), "a document that does not parse is kept");
    assert!(check(&document, PolicyType::Trust).len() <= 1);
    document.parsed.err().map(|error| error.to_string())
}

fn import(text: &str) -> Option<String> {
    let gaad =
        |text: &str| InputFile { path: "iam/111122223333/gaad.json".to_owned(), bytes: text.as_bytes().to_vec() };
    let read = read_files(&[gaad(text)]);
    assert!(read.observations.iter().all(|seen| seen.coverage.gaps().next().is_some()));
    read.problems.first().map(ToString::to_string)
}

fn rule(text: &str) -> Option<String> {
    let file = SourceFile { path: "r.yaml".to_owned(), text: text.to_owned() };
    RuleSet::load(&[file], facts::schema()).err().map(|errors| errors[0].to_string())
}

/// An expression within a rule that is right but for it.
fn expression(text: &str) -> Option<String> {
    let shipped = include_str!("../../../../policies/builtin/trust-without-source.yaml");
    let right = "match: role.trust.pods_unlimited";
    assert!(shipped.contains(right) && rule(shipped).is_none());
    rule(&shipped.replacen(right, &format!("match: '{}'", text.replace('\'', "''")), 1))
}

fn case(text: &str) -> Option<String> {
    cases::parse("c.json", text.as_bytes()).into_iter().find_map(|read| read.err().map(|error| error.to_string()))
}

fn trail(text: &str) -> Option<String> {
    let read = read_file("t.json", text.as_bytes());
    read.problems.first().map(ToString::to_string)
}

fn event(text: &str) -> Option<String> {
    read_event(text).err().map(|problem| problem.to_string())
}

fn arn(text: &str) -> Option<String> {
    text.parse::<Arn>().err().map(|error| error.to_string())
}

fn encoded(text: &str) -> Option<String> {
    document(&text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>())
}

#[test]
fn every_reader_refuses_what_is_too_deep_and_says_so() {
    let readers: [(&str, Reader, &str, &str); 17] = [
        ("policy document", document, "{\"Version\":\"2012-10-17\",\"Statement\":", "}"),
        ("condition of a document", document, "{\"Statement\":{\"Condition\":{\"StringLike\":{\"k\":", "}}}}"),
        ("percent-encoded document", encoded, "{\"Statement\":", "}"),
        ("estate file", import, "", ""),
        (
            "authorization details",
            import,
            "{\"RoleDetailList\":[{\"RoleName\":\"r\",\"AssumeRolePolicyDocument\":",
            "}]}",
        ),
        ("rule", rule, "", ""),
        ("rule's field", rule, "apiVersion: x\nspec:\n  match: ", "\n"),
        ("rule's block lists", rule, "", ""),
        ("rule's anchors", rule, "", ""),
        ("expression", expression, "size(", ") > 0"),
        ("case", case, "{\"id\":\"c\",\"policies\":", "}"),
        ("case in a list", case, "[{\"id\":\"c\",\"context\":", "}]"),
        ("trail", trail, "{\"Records\":[{\"requestParameters\":", "}]}"),
        ("trail of lines", trail, "{\"a\":1}\n{\"requestParameters\":", "}"),
        ("envelope", trail, "{\"detail\":{\"eventVersion\":", "}}"),
        ("event", event, "{\"userIdentity\":{\"sessionContext\":", "}}"),
        ("ARN", arn, "", ""),
    ];
    for (name, read, before, after) in readers {
        for levels in LEVELS {
            for (how, nested) in nests(levels).into_iter().enumerate() {
                let nested = match name {
                    "rule's block lists" => "- ".repeat(levels.min(100_000)),
                    "rule's anchors" => anchors(levels.min(5_000)),
                    _ => nested,
                };
                let text = format!("{before}{nested}{after}");
                let said = read(&text).unwrap_or_else(|| panic!("{name}, {levels}, {how}: nothing is said"));
                assert!(said.len() < text.len() + 500, "{name}, {levels}, {how}: {} bytes are said", said.len());
                // What never closes, too.
                assert!(
                    read(&format!("{before}{}", nested.split_at(nested.len() / 2).0)).is_some(),
                    "{name}, {levels}, {how}"
                );
            }
        }
    }
}

#[test]
fn a_file_with_a_record_that_is_too_deep_is_named_and_read() {
    let record = |n: usize, x: &str| {
        format!(
            r#"{{"eventVersion":"1.11","eventID":"e-{n}","eventName":"GetObject","eventSource":"s3.amazonaws.com","eventTime":"2026-11-20T09:20:04Z","awsRegion":"us-west-2","recipientAccountId":"111122223333","x":{x}}}"#
        )
    };
    let text = format!("{{\"Records\":[{},{},{}]}}", record(0, "1"), record(1, &nests(25_000)[0]), record(2, "1"));
    let path = "AWSLogs/111122223333/CloudTrail/us-west-2/2026/11/20/f.json";
    let read = read_files(&[InputFile { path: path.to_owned(), bytes: text.into_bytes() }]);
    assert_eq!((read.read[0].records, read.problems.len()), (2, 1));
    assert_eq!((read.problems[0].kind, &*read.problems[0].field), (ProblemKind::Deep, "/Records/1"));
    assert!(read.problems[0].to_string().contains("128 levels"), "{}", read.problems[0]);
    let gaps: Vec<String> = read.observations[0].coverage.gaps().map(|gap| gap.detail.clone()).collect();
    assert!(gaps.contains(&format!("in {path}")), "{gaps:?}");
}

#[test]
fn patterns_of_nothing_but_wildcards_end() {
    let text = format!("{}b", "a".repeat(20_000));
    for piece in ["*a", "*", "?", "*a*", "a*?", "**a?"] {
        let pattern = piece.repeat(2_000);
        let ends = format!("{pattern}c");
        let resource = |pattern: &str| ResourcePattern::new(&format!("arn:aws:s3:::{pattern}"));
        let action = |pattern: &str| ActionPattern::new(&format!("s3:{pattern}"));
        assert!(!like(&ends, &text), "{piece}");
        assert!(!resource(&ends).matches(&format!("arn:aws:s3:::{text}")), "{piece}");
        assert!(!action(&ends).matches(&format!("s3:{text}")), "{piece}");
        assert!(!resource(&ends).covers(&resource(&pattern)) && !action(&ends).covers(&action(&pattern)), "{piece}");
        assert_eq!(like(&format!("{pattern}b"), &text), piece != "?", "{piece}");
        let document = format!(
            r#"{{"Statement":[{{"Effect":"Allow","Action":"s3:{ends}","Resource":"arn:aws:s3:::{ends}"}},{{"Effect":"Deny","NotAction":"s3:{pattern}","NotResource":"arn:*:{pattern}"}}]}}"#
        );
        let document = Document::new(&document);
        assert!(document.parsed.is_ok(), "{piece}");
        let stack =
            PolicySet { identity: Some(vec![PolicyRef::known("inline policy", &document)]), ..PolicySet::default() };
        assert!(!Grants::new(&stack).admin().answer.truth.is_true(), "{piece}");
    }
}
