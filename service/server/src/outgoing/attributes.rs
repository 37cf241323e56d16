//! What a subscription of AWS may filter messages by, read from the message itself.
//!
//! Refuses to know who is subscribed.

use serde_json::Value;

/// A message's type, and its attributes by name. An attribute that the message does not have is not there: a
/// subscription that asks for it does not get the message.
pub(super) fn attributes(body: &str) -> (String, Vec<(&'static str, Vec<String>)>) {
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    let at = |path: &str| body.pointer(path).and_then(Value::as_str).map(str::to_owned);
    let kind = at("/type").unwrap_or_default();
    let severities = match (at("/data/finding/severity"), body.pointer("/data/severities")) {
        (Some(severity), _) => vec![severity],
        (None, Some(Value::Object(counts))) => counts.keys().cloned().collect(),
        (None, _) => Vec::new(),
    };
    let accounts = match (at("/data/account_id"), body.pointer("/data/account_ids")) {
        (Some(account), _) => vec![account],
        // Where some accounts are not named, those that are would be taken for all.
        (None, Some(Value::Array(named)))
            if body.pointer("/data/account_count").and_then(Value::as_u64) == u64::try_from(named.len()).ok() =>
        {
            named.iter().filter_map(Value::as_str).map(str::to_owned).collect()
        }
        (None, _) => Vec::new(),
    };
    let all = [("type", vec![kind.clone()]), ("severity", severities), ("account_id", accounts)];
    (kind, all.into_iter().filter(|(_, values)| !values.is_empty()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn attributes_say_what_the_message_says() {
        let of = |data: Value| attributes(&json!({"type": "a.b", "data": data}).to_string()).1;
        let texts = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>();
        let kind = ("type", texts(&["a.b"]));
        for (data, severities, accounts) in [
            (json!({"account_id": "1", "finding": {"severity": "high"}}), &["high"][..], &["1"][..]),
            (json!({"account_id": "1", "change": {}}), &[], &["1"]),
            (json!({"actor": "x"}), &[], &[]),
            (
                json!({"account_id": null, "severities": {"high": 2, "low": 1}, "account_count": 2,
                       "account_ids": ["1", "2"]}),
                &["high", "low"],
                &["1", "2"],
            ),
            (json!({"severities": {}, "account_count": 3, "account_ids": ["1", "2"]}), &[], &[]),
        ] {
            let mut expected = vec![kind.clone()];
            let others = [("severity", texts(severities)), ("account_id", texts(accounts))];
            expected.extend(others.into_iter().filter(|(_, values)| !values.is_empty()));
            assert_eq!(of(data), expected);
        }
    }
}
