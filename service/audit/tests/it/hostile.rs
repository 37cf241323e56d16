//! Roles whose policies were written so that judging them takes very long.

use crate::findings::now;
use crate::shipped::RULES;
use crate::small::{API, Small, allow};
use rolecall_audit::cancel::{Cancel, Cancelled};
use rolecall_audit::evaluate::{evaluate, evaluate_until};
use rolecall_audit::verdict::Verdict;
use rolecall_rules::Outcome;

/// A policy of many patterns that all meet each other.
fn globs(action: &str, number: usize, last: &str) -> String {
    let patterns: Vec<String> = (0..number)
        .map(|n| format!("\"arn:aws:iam::*:user/*{:05}*{:05}*{last}\"", n * 7_919 % 99_991, n * 104_729 % 99_991))
        .collect();
    allow(&format!(r#""Action":["{action}"],"Resource":[{}]"#, patterns.join(",")))
}

fn outcomes(verdicts: &[Verdict], rule: &str) -> Vec<Outcome> {
    let own = verdicts.iter().filter(|v| v.rule == rule && v.subject.role_arn.as_deref() == Some(API));
    own.map(|verdict| verdict.outcome.clone()).collect()
}

#[test]
fn what_takes_too_many_steps_is_unknown_with_the_reason() {
    let patterns: Vec<String> = (0..2_000).map(|n| format!("\"arn:*:*:*:*:*{n:04}*\"")).collect();
    let dear = allow(&format!(r#""Action":["iam:*"],"Resource":[{}]"#, patterns.join(",")));
    let small = Small::new().may(&dear);
    let evaluation = evaluate(&small.0, &RULES, now());
    for rule in ["admin-equivalent", "wildcard-action"] {
        let outcomes = outcomes(&evaluation.verdicts, rule);
        assert!(!outcomes.is_empty(), "{rule}");
        for outcome in outcomes {
            let Outcome::Unknown { why } = outcome else { panic!("{rule}: {outcome:?}") };
            assert!(why.iter().any(|why| why.contains("steps to judge")), "{rule}: {why:?}");
        }
    }
    // Every other role is judged as it would be without this one.
    let others = |small: &Small| -> Vec<Verdict> {
        let verdicts = evaluate(&small.0, &RULES, now()).verdicts;
        verdicts.into_iter().filter(|verdict| verdict.subject.role_arn.as_deref() != Some(API)).collect()
    };
    assert_eq!(others(&small), others(&Small::new()));
}

#[test]
fn one_dear_question_leaves_the_others_their_answers() {
    let small = Small::new().role(
        API,
        crate::small::BOUND,
        &[
            ("a", &globs("iam:PutUserPolicy", 700, "a")),
            ("b", &globs("iam:CreateAccessKey", 700, "b")),
            ("c", &allow(r#""Action":["iam:PassRole","lambda:*"],"Resource":"*""#)),
        ],
    );
    let evaluation = evaluate(&small.0, &RULES, now());
    let found = outcomes(&evaluation.verdicts, "pass-role-any");
    assert!(found.iter().any(|outcome| matches!(outcome, Outcome::Fail { .. })), "{found:?}");
}

#[test]
fn the_same_estate_has_the_same_verdicts_each_time() {
    let small = Small::new().may(&globs("iam:PutUserPolicy", 900, "a"));
    assert_eq!(evaluate(&small.0, &RULES, now()), evaluate(&small.0, &RULES, now()));
}

#[test]
fn judging_ends_when_somebody_wants_it_to() {
    let small = Small::new();
    let cancel = Cancel::default();
    assert_eq!(evaluate_until(&small.0, &[], &RULES, now(), &cancel), Ok(evaluate(&small.0, &RULES, now())));
    // Whoever waits for the result has gone.
    drop(cancel.on_drop());
    assert_eq!(evaluate_until(&small.0, &[], &RULES, now(), &cancel), Err(Cancelled));
}

#[test]
fn judging_that_has_begun_ends_within_a_few_subjects() {
    // Each of these roles takes its share of steps: to the end it would take minutes.
    let mut small = Small::new();
    for n in 0..400 {
        let arn = format!("arn:aws:iam::111122223333:role/dear-{n:04}");
        let own = globs("iam:PutUserPolicy", 500 + n, "a");
        let other = globs("iam:CreateAccessKey", 500 + n, "b");
        small = small.role(&arn, crate::small::BOUND, &[("a", &own), ("b", &other)]);
    }
    let cancel = Cancel::default();
    let judging = std::thread::scope(|scope| {
        let judging = scope.spawn(|| evaluate_until(&small.0, &[], &RULES, now(), &cancel));
        std::thread::sleep(std::time::Duration::from_millis(300));
        cancel.cancel();
        judging.join().unwrap()
    });
    assert_eq!(judging, Err(Cancelled));
}

#[test]
fn a_finding_keeps_so_much_evidence_and_says_how_much_there_is_besides() {
    let statement = |n: usize| format!(r#"{{"Sid":"s{n}","Effect":"Allow","Action":"*","Resource":"*"}}"#);
    let many: Vec<String> = (0..450).map(statement).collect();
    let policy = format!(r#"{{"Version":"2012-10-17","Statement":[{}]}}"#, many.join(","));
    let verdicts = evaluate(&Small::new().may(&policy).0, &RULES, now()).verdicts;
    let found = outcomes(&verdicts, "admin-equivalent").into_iter().find_map(|outcome| match outcome {
        Outcome::Fail { evidence, .. } => Some(evidence),
        _ => None,
    });
    let evidence = found.unwrap();
    assert_eq!(evidence.len(), 201);
    assert_eq!(evidence.last().unwrap().label, "250 more like these are not shown");
}
