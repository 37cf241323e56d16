//! Evaluation cases: a request, the policies of every layer, and what it should come to.
//!
//! Knows the neutral case format (`docs/simulate.md`): reads a file of cases, one case or JSON
//! lines, makes a request and layers of each, decides it and says why in one sentence. One broken
//! case never stops the others. Refuses to know where a file lies and how an answer is printed.
//!
//! A policy that does not parse is a layer that was not seen; it is never taken to be empty.

mod answer;
pub(crate) mod case;
pub(crate) mod file;
pub(crate) mod json;
pub(crate) mod policies;

pub use answer::{CaseAnswer, CaseError};
pub use case::Case;

use file::each_read;

/// Reads cases and hands them on one by one, in their order: a JSON array of cases, one case, or
/// one case a line.
///
/// Memory does not grow with the number of cases. What comes after a syntax error is read on where
/// cases stand on lines of their own; the rest of an array is lost.
pub fn each(file: &str, bytes: &[u8], call: impl FnMut(Result<Case, CaseError>)) {
    each_read(file, bytes, Case::parse, call);
}

/// Every case of a text.
///
/// # Errors
/// Each broken case stands in its place.
#[must_use]
pub fn parse(file: &str, bytes: &[u8]) -> Vec<Result<Case, CaseError>> {
    let mut out = Vec::new();
    each(file, bytes, |case| out.push(case));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Result<Case, CaseError> {
        let mut cases = parse("f.json", text.as_bytes());
        assert_eq!(cases.len(), 1, "{cases:?}");
        cases.remove(0)
    }

    const CASE: &str = r#"{"id":"a","request":{"principal":"arn:aws:iam::111122223333:user/alice","action":"s3:GetObject",
        "resource":"arn:aws:s3:::b/k","resource_account":"111122223333","context":{"aws:SecureTransport":true,"k":7}},
        "policies":{"identity":[{"Version":"2012-10-17","Statement":{"Sid":"Read","Effect":"Allow","Action":"s3:*",
        "Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"true"},"NumericEquals":{"k":"7"}}}}]},
        "expected":"Allow","note":"fields that are not known are passed over"}"#;

    #[test]
    fn a_case_is_decided_and_says_why() {
        let case = one(CASE).unwrap();
        let answer = case.answer();
        assert_eq!(answer.decision, "Allow", "{answer:?}");
        assert!(answer.because.contains("Read") && answer.because.contains("identity policy"), "{}", answer.because);
        assert_eq!(case.agrees("Allow"), Some(true));
        assert_eq!(case.agrees("Unknown"), Some(false));
    }

    #[test]
    fn deny_agrees_with_either_kind() {
        let case = one(&CASE.replace(r#""expected":"Allow""#, r#""expected":"Deny""#)).unwrap();
        assert_eq!(
            ["Deny(explicit)", "Deny(implicit)", "Allow", "Unknown"].map(|d| case.agrees(d)),
            [Some(true), Some(true), Some(false), Some(false)]
        );
    }

    #[test]
    fn a_file_is_a_list_a_case_or_lines() {
        let flat = CASE.replace('\n', " ");
        for (text, count) in [
            (format!("[{CASE},{CASE}]"), 2),
            (format!("\u{feff} {CASE}\n"), 1),
            (format!("{flat}\n\n{flat}\n{flat}"), 3),
            (format!("{CASE}\n{CASE}"), 2),
            ("[]".to_owned(), 0),
        ] {
            let cases = parse("f", text.as_bytes());
            assert_eq!(cases.len(), count, "{text}");
            assert!(cases.iter().all(Result::is_ok), "{cases:?}");
        }
    }

    #[test]
    fn a_broken_case_stops_no_other() {
        let flat = CASE.replace('\n', " ");
        let broken = CASE.replace(r#""action":"s3:GetObject","#, "");
        let cases = parse("f", format!("[{CASE},{broken},7,{CASE}]").as_bytes());
        let error = cases[1].as_ref().unwrap_err();
        assert_eq!((error.id.as_str(), error.pointer.as_str()), ("a", "/1/request/action"));
        assert_eq!(error.answer().decision, "Error");
        assert_eq!(cases[2].as_ref().unwrap_err().id, "/2");
        assert!(cases[0].is_ok() && cases[3].is_ok());

        let cases = parse("f", format!("{flat}\n{{\"id\": oops}}\n{flat}\n").as_bytes());
        assert_eq!(cases.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true]);
        assert_eq!(cases[1].as_ref().unwrap_err().id, "line 2");

        let cases = parse("f", format!("[{CASE}, {{]").as_bytes());
        assert_eq!(cases.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false]);
        assert_eq!(parse("f", b" \n")[0].as_ref().unwrap_err().message, "there is no case");
        assert!(parse("f", b"[\xff]")[0].is_err());
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        let replaced = |from: &str, to: &str| {
            assert!(CASE.contains(from), "{from}");
            one(&CASE.replace(from, to)).unwrap_err().pointer
        };
        assert_eq!(replaced("arn:aws:iam::111122223333:user/alice", "alice"), "/request/principal");
        assert_eq!(
            replaced(r#""resource_account":"111122223333""#, r#""resource_account":"12""#),
            "/request/resource_account"
        );
        assert_eq!(replaced(r#""k":7"#, r#""k/x":{}"#), "/request/context/k~1x");
        assert_eq!(replaced(r#""policies":{"#, r#""policies":{"scp":[{"level":"root"}],"#), "/policies/scp/0/policies");
        assert_eq!(replaced(r#""policies":{"#, r#""policies":{"session":[3],"#), "/policies/session/0");
        assert_eq!(replaced(r#""policies":{"#, r#""unseen":["iam"],"policies":{"#), "/unseen/0");
        assert_eq!(replaced(r#""policies":{"#, r#""open_context":3,"policies":{"#), "/open_context");
        assert_eq!(replaced(r#""expected":"Allow""#, r#""expected":1"#), "/expected");
    }

    #[test]
    fn a_policy_may_come_as_text_and_wrapped() {
        let policy = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*"}]}"#;
        let quoted = serde_json::to_string(policy).unwrap();
        let encoded = serde_json::to_string(&policy.replace('"', "%22").replace('{', "%7B")).unwrap();
        for form in [policy, &quoted, &encoded, &format!(r#"{{"PolicyName":"x","PolicyDocument":{quoted}}}"#)] {
            let case = one(&CASE.replace(r#""policies":{"#, &format!(r#""policies":{{"session":[{form}],"#))).unwrap();
            assert_eq!(case.answer().decision, "Deny(explicit)", "{form}");
        }
        let case = one(&CASE.replace(r#""policies":{"#, r#""policies":{"boundary":["{]"],"#)).unwrap();
        assert_eq!(case.answer().decision, "Unknown");
    }
}
