//! S3: listing, getting and putting objects of the buckets that were made. Paths name the bucket.

use super::Call;
use crate::faults::FaultKind;
use crate::shared::Shared;
use crate::shelf::Stored;
use crate::wire::{Answer, Paging, Problem, Xml, form};
use chrono::SecondsFormat;
use percent_encoding::percent_decode_str;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A request to S3.
pub(crate) struct Asked {
    pub(crate) bucket: String,
    pub(crate) key: String,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) range: Option<String>,
    pub(crate) body: Vec<u8>,
}

impl Asked {
    pub(crate) fn new(path: &str, query: &str, range: Option<&str>, body: Vec<u8>) -> Self {
        let path = percent_decode_str(path.trim_start_matches('/')).decode_utf8_lossy().into_owned();
        let (bucket, key) = path.split_once('/').unwrap_or((&path, ""));
        let (bucket, key) = (bucket.to_owned(), key.to_owned());
        Self { bucket, key, query: form(query), range: range.map(str::to_owned), body }
    }

    fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The IAM action of the request.
    pub(crate) fn action(&self, method: &str) -> Option<&'static str> {
        match (method, self.key.is_empty()) {
            ("GET", true) if self.query("list-type") == Some("2") => Some("ListBucket"),
            ("GET", false) => Some("GetObject"),
            ("PUT", false) => Some("PutObject"),
            _ => None,
        }
    }

    /// The resource, as a refusal names it.
    pub(crate) fn arn(&self) -> String {
        let key = if self.key.is_empty() { String::new() } else { format!("/{}", self.key) };
        format!("arn:aws:s3:::{}{key}", self.bucket)
    }
}

/// What a body is, once the chunks that an SDK may send it in are put together: `length;…`, the
/// chunk, and so on to one of length 0.
pub(crate) fn unchunked(body: &[u8]) -> Vec<u8> {
    let (mut whole, mut rest) = (Vec::with_capacity(body.len()), body);
    while let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") {
        let (head, after) = rest.split_at(end);
        let length = head.split(|byte| *byte == b';').next().and_then(|length| std::str::from_utf8(length).ok());
        let Some(length) = length.and_then(|length| usize::from_str_radix(length.trim(), 16).ok()) else { break };
        let chunk = after.get(2..).and_then(|after| after.get(..length));
        let Some(chunk) = chunk.filter(|chunk| !chunk.is_empty()) else { break };
        whole.extend_from_slice(chunk);
        rest = after.get(2 + length + 2..).unwrap_or_default();
    }
    whole
}

/// The refusal of a call that would have to decrypt, where the key of the bucket is out of reach.
pub(crate) fn undecryptable(shared: &Shared, call: &Call<'_>) -> Option<Problem> {
    let met = shared.faults.meeting(&call.caller.account, call.region, "kms:Decrypt");
    met.contains(&FaultKind::Deny).then(|| {
        Problem::Denied(format!(
            "User: {} is not authorized to perform: kms:Decrypt on resource: arn:aws:kms:{}:{}:key/trail because no \
             identity-based policy allows the kms:Decrypt action",
            call.caller.arn, call.region, call.caller.account
        ))
    })
}

pub(super) fn answer(call: &Call<'_>, asked: &Asked) -> Result<Answer, Problem> {
    let no_bucket = || Problem::Named(404, "NoSuchBucket", "The specified bucket does not exist".to_owned());
    let region = call.state.shelf.buckets().get(&asked.bucket).map(|bucket| bucket.region.clone());
    let region = region.ok_or_else(no_bucket)?;
    if region != call.region {
        return Ok(redirect(call, &region));
    }
    let answer = match call.operation {
        "ListBucket" => list(call, asked)?,
        "GetObject" => get(call, asked)?,
        "PutObject" => {
            let etag = call.state.shelf.put(&asked.bucket, &asked.key, &asked.body, call.state.now());
            Answer::ok(String::new()).with("etag", format!("\"{}\"", etag.ok_or_else(no_bucket)?))
        }
        _ => return Err(call.unknown()),
    };
    Ok(answer.with("x-amz-bucket-region", region))
}

fn redirect(call: &Call<'_>, region: &str) -> Answer {
    let message = "The bucket you are attempting to access must be addressed using the specified endpoint.";
    let problem = Problem::Named(301, "PermanentRedirect", message.to_owned());
    problem.answer(call.service, call.request_id).with("x-amz-bucket-region", region.to_owned())
}

fn get(call: &Call<'_>, asked: &Asked) -> Result<Answer, Problem> {
    let buckets = call.state.shelf.buckets();
    let stored = buckets.get(&asked.bucket).and_then(|bucket| bucket.objects.get(&asked.key)).cloned();
    drop(buckets);
    let missing = || Problem::Named(404, "NoSuchKey", "The specified key does not exist.".to_owned());
    let Stored { bytes, etag, at } = stored.ok_or_else(missing)?;
    let range = asked.range.as_deref().and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
    let range = range.and_then(|(from, to)| Some((from.parse::<usize>().ok()?, to.parse::<usize>().ok()?)));
    let answer = match range {
        None => Answer::bytes(bytes),
        Some((from, to)) => {
            let part = bytes.get(from..=to.min(bytes.len().saturating_sub(1))).unwrap_or_default();
            let told = format!("bytes {from}-{to}/{}", bytes.len());
            Answer::bytes(Arc::from(part)).status(206).with("content-range", told)
        }
    };
    let modified = at.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
    Ok(answer.with("etag", format!("\"{etag}\"")).with("last-modified", modified))
}

/// A line of a listing.
enum Line {
    Folder,
    Object(Stored),
}

fn list(call: &Call<'_>, asked: &Asked) -> Result<Answer, Problem> {
    let invalid = |message: &str| Problem::Named(400, "InvalidArgument", message.to_owned());
    let prefix = asked.query("prefix").unwrap_or_default();
    let delimiter = asked.query("delimiter").filter(|delimiter| !delimiter.is_empty());
    let most = match asked.query("max-keys") {
        None => 1000,
        Some(text) => text.parse::<usize>().map_err(|_| invalid("max-keys is not a number"))?.min(1000),
    };
    let limit = call.limit(most);
    let seal = format!("{:016x}.", crate::ids::hash(&format!("{} {prefix} {delimiter:?}", asked.bucket)));
    let wrong = || invalid("The continuation token provided is incorrect");
    let after = match asked.query("continuation-token") {
        Some(_) if call.paging.begins_again() => String::new(),
        Some(token) => token.strip_prefix(&seal).ok_or_else(wrong)?.to_owned(),
        None => asked.query("start-after").unwrap_or_default().to_owned(),
    };
    let mut lines: BTreeMap<String, Line> = BTreeMap::new();
    let mut truncated = false;
    {
        let buckets = call.state.shelf.buckets();
        let objects = buckets.get(&asked.bucket).map(|bucket| &bucket.objects);
        for (key, stored) in objects.into_iter().flatten() {
            let Some(rest) = key.strip_prefix(prefix) else { continue };
            let folder =
                delimiter.and_then(|delimiter| Some(format!("{prefix}{}{delimiter}", rest.split_once(delimiter)?.0)));
            let name = folder.clone().unwrap_or_else(|| key.clone());
            // A folder that a page ended with hides everything in it from the next.
            if name <= after || lines.contains_key(&name) {
                continue;
            }
            if lines.len() == limit {
                truncated = true;
                break;
            }
            lines.insert(name, if folder.is_some() { Line::Folder } else { Line::Object(stored.clone()) });
        }
    }
    let next = match lines.keys().next_back() {
        _ if call.paging != Paging::Plain => call.paging.next(),
        Some(last) if truncated => Some(format!("{seal}{last}")),
        _ => None,
    };
    let mut xml = Xml::default();
    xml.root("ListBucketResult", "http://s3.amazonaws.com/doc/2006-03-01/", |x| {
        x.leaf("Name", &asked.bucket);
        x.leaf("Prefix", prefix);
        x.leaf("KeyCount", &lines.len().to_string());
        x.leaf("MaxKeys", &most.to_string());
        x.leaf("IsTruncated", if next.is_some() { "true" } else { "false" });
        if let Some(next) = &next {
            x.leaf("NextContinuationToken", next);
        }
        for (name, line) in &lines {
            match line {
                Line::Folder => x.element("CommonPrefixes", |x| x.leaf("Prefix", name)),
                Line::Object(stored) => x.element("Contents", |x| {
                    x.leaf("Key", name);
                    x.leaf("LastModified", &stored.at.to_rfc3339_opts(SecondsFormat::Millis, true));
                    x.leaf("ETag", &format!("\"{}\"", stored.etag));
                    x.leaf("Size", &stored.bytes.len().to_string());
                    x.leaf("StorageClass", "STANDARD");
                }),
            }
        }
    });
    Ok(Answer::ok(xml.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_put_together() {
        let body = b"5;chunk-signature=x\r\nhello\r\n6\r\n world\r\n0\r\nx-amz-checksum-crc32:AAAA\r\n\r\n";
        assert_eq!(unchunked(body), b"hello world");
        assert_eq!(unchunked(b"0\r\n\r\n"), b"");
    }
}
