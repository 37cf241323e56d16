//! What a message says about new files, in each form in which S3 and CloudTrail say it.
//!
//! S3 by itself, by way of SNS, by EventBridge; and CloudTrail's own word to an SNS topic. Refuses
//! to know queues, and whether a file is a log.

use percent_encoding::percent_decode_str;
use serde_json::Value;

/// An object that a message names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) bucket: String,
    pub(crate) key: String,
    pub(crate) size: Option<u64>,
    pub(crate) etag: Option<String>,
}

/// What CloudTrail sends to a topic that is being set up.
const VALIDATION: &str = "CloudTrail validation message.";

/// Reads a message. An empty list: one that names no new object, as S3's test event.
///
/// # Errors
/// Why it is no notification.
pub(crate) fn parse(body: &str) -> Result<Vec<Named>, String> {
    unwrapped(body, 2)
}

fn unwrapped(body: &str, envelopes: u8) -> Result<Vec<Named>, String> {
    if body.trim() == VALIDATION {
        return Ok(Vec::new());
    }
    let message: Value = serde_json::from_str(body).map_err(|error| format!("not JSON: {error}"))?;
    let text = |key: &str| message.get(key).and_then(Value::as_str);
    match text("Type") {
        Some("Notification") => {
            let inner = text("Message").ok_or("a notification of SNS without a `Message`")?;
            if envelopes == 0 {
                return Err("too many envelopes of SNS".to_owned());
            }
            return unwrapped(inner, envelopes - 1);
        }
        Some(kind) => return Err(format!("a `{kind}` of SNS, and no notification")),
        None => {}
    }
    if text("Event") == Some("s3:TestEvent") {
        return Ok(Vec::new());
    }
    if let Some(records) = message.get("Records").and_then(Value::as_array) {
        let each = records
            .iter()
            .enumerate()
            .map(|(n, record)| of_s3(record).map_err(|missing| format!("`Records[{n}]` has no `{missing}`")));
        return Ok(each.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect());
    }
    if let Some(detail) = message.get("detail") {
        if text("source") != Some("aws.s3") || text("detail-type") != Some("Object Created") {
            return if text("source") == Some("aws.s3") {
                Ok(Vec::new())
            } else {
                Err("an event, but none of S3".to_owned())
            };
        }
        let named = of_object(detail.get("bucket"), detail.get("object"), "etag");
        return Ok(vec![named.map_err(|missing| format!("`detail` has no `{missing}`"))?]);
    }
    if let (Some(bucket), Some(keys)) = (text("s3Bucket"), message.get("s3ObjectKey").and_then(Value::as_array)) {
        let named = |key: &Value| {
            let key = key.as_str().ok_or("a key of `s3ObjectKey` is no text")?.to_owned();
            Ok(Named { bucket: bucket.to_owned(), key, size: None, etag: None })
        };
        return keys.iter().map(named).collect();
    }
    Err("none of the forms in which S3, EventBridge, SNS or CloudTrail tell of a file".to_owned())
}

/// A record of S3's own; `None`: of something other than a new object.
fn of_s3(record: &Value) -> Result<Option<Named>, &'static str> {
    let event = record.get("eventName").and_then(Value::as_str).ok_or("eventName")?;
    // Later versions of the form may have the prefix that the configuration has.
    if !event.trim_start_matches("s3:").starts_with("ObjectCreated:") {
        return Ok(None);
    }
    let s3 = record.get("s3").ok_or("s3")?;
    let mut named = of_object(s3.get("bucket"), s3.get("object"), "eTag")?;
    // As in a form: S3 alone encodes the key so.
    named.key = percent_decode_str(&named.key.replace('+', " ")).decode_utf8_lossy().into_owned();
    Ok(Some(named))
}

fn of_object(bucket: Option<&Value>, object: Option<&Value>, etag: &str) -> Result<Named, &'static str> {
    let text = |of: Option<&Value>, key: &str| of.and_then(|of| of.get(key)?.as_str()).map(str::to_owned);
    Ok(Named {
        bucket: text(bucket, "name").ok_or("bucket.name")?,
        key: text(object, "key").ok_or("object.key")?,
        size: object.and_then(|object| object.get("size")?.as_u64()),
        etag: text(object, etag),
    })
}

/// The beginning of a message, on one line. What looks like a key, a token or a signature is left
/// out.
pub(crate) fn excerpt(body: &str) -> String {
    let (mut shown, mut word) = (String::new(), String::new());
    let end = std::iter::once(' ');
    for c in body.chars().take(4096).chain(end) {
        if c.is_ascii_alphanumeric() || "+/=_".contains(c) {
            word.push(c);
            continue;
        }
        let is_path = word.matches('/').count() > 1 || word.contains("_CloudTrail");
        let is_key = ["AKIA", "ASIA"].iter().any(|prefix| word.contains(prefix)) && word.len() >= 16;
        shown.push_str(if is_key || (word.len() >= 40 && !is_path) { "(…)" } else { &word });
        word.clear();
        shown.push(if c.is_control() { ' ' } else { c });
    }
    shown.trim().chars().take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn named(key: &str, size: Option<u64>, etag: Option<&str>) -> Named {
        Named { bucket: "logs".to_owned(), key: key.to_owned(), size, etag: etag.map(str::to_owned) }
    }

    fn of_s3(event: &str) -> Value {
        json!({"Records": [{"eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "eu-west-1", "eventName": event,
            "s3": {"bucket": {"name": "logs"}, "object": {"key": "a+b/%C3%BC_c.json.gz", "size": 7, "eTag": "e"}}}]})
    }

    #[test]
    fn every_form_names_its_objects() {
        let by_bridge = |kind: &str| {
            json!({"version": "0", "source": "aws.s3", "detail-type": kind,
                "detail": {"bucket": {"name": "logs"}, "object": {"key": "a+b.gz", "size": 7, "etag": "e"}}})
        };
        let by_topic = |inner: String| json!({"Type": "Notification", "MessageId": "m", "Message": inner});
        let by_trail = json!({"s3Bucket": "logs", "s3ObjectKey": ["a", "b"]});
        let decoded = || vec![named("a b/ü_c.json.gz", Some(7), Some("e"))];
        let cases = [
            (of_s3("ObjectCreated:Put"), decoded()),
            (of_s3("s3:ObjectCreated:CompleteMultipartUpload"), decoded()),
            (of_s3("ObjectRemoved:Delete"), vec![]),
            (by_topic(of_s3("ObjectCreated:Put").to_string()), decoded()),
            (by_bridge("Object Created"), vec![named("a+b.gz", Some(7), Some("e"))]),
            (by_bridge("Object Deleted"), vec![]),
            (by_topic(by_bridge("Object Created").to_string()), vec![named("a+b.gz", Some(7), Some("e"))]),
            (by_topic(by_trail.to_string()), vec![named("a", None, None), named("b", None, None)]),
            (by_trail, vec![named("a", None, None), named("b", None, None)]),
            (json!({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "logs"}), vec![]),
            (by_topic("CloudTrail validation message.".to_owned()), vec![]),
        ];
        for (body, expected) in cases {
            assert_eq!(parse(&body.to_string()), Ok(expected), "{body}");
        }
    }

    #[test]
    fn anything_else_says_why_it_is_none() {
        let nested = |inner: &Value| json!({"Type": "Notification", "Message": inner.to_string()});
        let thrice = nested(&nested(&nested(&json!({"Event": "s3:TestEvent"}))));
        let cases = [
            ("hello".to_owned(), "not JSON"),
            ("{}".to_owned(), "none of the forms"),
            (r#"{"Records": [{"eventName": "ObjectCreated:Put"}]}"#.to_owned(), "`Records[0]` has no `s3`"),
            (
                r#"{"Records": [{"eventName": "ObjectCreated:Put", "s3": {"object": {"key": "k"}}}]}"#.to_owned(),
                "bucket.name",
            ),
            (r#"{"Records": [{}]}"#.to_owned(), "eventName"),
            (r#"{"Type": "SubscriptionConfirmation", "Token": "t"}"#.to_owned(), "no notification"),
            (r#"{"source": "aws.ec2", "detail-type": "x", "detail": {}}"#.to_owned(), "none of S3"),
            (thrice.to_string(), "too many envelopes"),
        ];
        for (body, why) in cases {
            assert!(parse(&body).is_err_and(|error| error.contains(why)), "{body}: {:?}", parse(&body));
        }
    }

    #[test]
    fn an_excerpt_shows_no_key_and_no_token() {
        let token = "IQoJb3JpZ2luX2VjEJr//////////wEaCXVzLWVhc3QtMSJHMEUCIQ".replace("//////////", "aaaaaaaaaa");
        let body =
            format!("{{\"accessKeyId\":\"ASIAABCDEFGHIJKLMNOP\",\n\"sessionToken\":\"{token}\",\"name\":\"x\"}}");
        assert_eq!(excerpt(&body), r#"{"accessKeyId":"(…)", "sessionToken":"(…)","name":"x"}"#);
        let key = "AWSLogs/111122223333/CloudTrail/eu-west-1/2026/11/24/111122223333_CloudTrail_eu";
        assert_eq!(excerpt(key), key);
        assert_eq!(excerpt(&"- ".repeat(9000)).chars().count(), 300);
    }
}
