//! What is kept of a call's resource and source: enough to weigh a grant, in few distinct values.
//!
//! Knows how to fold an ARN, so that a million objects of a bucket are one shape; of which class of
//! network an address is; and the fingerprint by which an event is known again. Each is a function
//! of its argument alone, so that neither order nor batch changes a result. Refuses to know whether
//! a grant covers a shape.

/// A shape is no longer, in bytes.
const LONGEST: usize = 256;

/// So many parts of a resource are kept.
const DEEPEST: usize = 4;

/// Writes the shape of a resource's ARN: parts that change from object to object become `*`.
///
/// Keys of S3 objects are folded whole; ids, numbers and UUIDs elsewhere, but for those of KMS
/// keys, which are few and are what grants name. `false`: the text is no ARN.
pub(super) fn fold(arn: &str, out: &mut String) -> bool {
    out.clear();
    let Some(["arn", _, service, _, _, resource]) = parts(arn) else { return false };
    let head = arn.len().saturating_sub(resource.len());
    out.push_str(arn.get(..head).unwrap_or_default());
    if service == "s3" {
        match resource.split_once('/') {
            Some((bucket, _)) => {
                out.push_str(bucket);
                out.push_str("/*");
            }
            None => out.push_str(resource),
        }
    } else {
        let keeps_ids = service == "kms";
        let mut rest = resource;
        for depth in 0.. {
            let separator = memchr::memchr2(b'/', b':', rest.as_bytes());
            let (part, tail) = match separator.and_then(|at| rest.split_at_checked(at)) {
                Some((part, tail)) => (part, tail),
                None => (rest, ""),
            };
            if depth >= DEEPEST {
                out.push('*');
                break;
            }
            out.push_str(if !keeps_ids && is_generated(part) { "*" } else { part });
            let mut after = tail.chars();
            match after.next() {
                Some(separator) => out.push(separator),
                None => break,
            }
            rest = after.as_str();
        }
    }
    if out.len() > LONGEST {
        let mut cut = LONGEST - 1;
        while !out.is_char_boundary(cut) {
            cut -= 1;
        }
        out.truncate(cut);
        out.push('*');
    }
    true
}

/// The six parts of an ARN, the last with all colons that follow.
pub(super) fn parts(arn: &str) -> Option<[&str; 6]> {
    let mut colons = memchr::memchr_iter(b':', arn.as_bytes());
    let mut from = 0;
    let mut next = || {
        let at = colons.next()?;
        let part = arn.get(from..at);
        from = at + 1;
        part
    };
    let [first, second, third, fourth, fifth] = [next()?, next()?, next()?, next()?, next()?];
    Some([first, second, third, fourth, fifth, arn.get(from..)?])
}

/// Whether a part of a resource was made by a machine for one object: a number, a UUID, an id in
/// hexadecimal with or without a prefix (`i-0abc…`, `vol-0abc…`).
fn is_generated(part: &str) -> bool {
    let (mut digits, mut others) = (0, 0);
    for byte in part.bytes() {
        digits += usize::from(byte.is_ascii_digit());
        others += usize::from(!byte.is_ascii_hexdigit() && byte != b'-');
    }
    // What has no digit is a word.
    if digits == 0 {
        return false;
    }
    (digits == part.len() && part.len() >= 4)
        || (others == 0 && part.len() >= 8)
        || part.rsplit_once('-').is_some_and(|(prefix, id)| {
            id.len() >= 8
                && prefix.len() <= 12
                && id.bytes().any(|b| b.is_ascii_digit())
                && id.bytes().all(|b| b.is_ascii_hexdigit())
                && prefix.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')
        })
}

/// The number by which an event is known again. Must never change: numbers are kept.
///
/// 64 bits: of ten million events of one account, region and day, one is taken for another with a
/// probability of three in a million.
pub(super) fn fingerprint(account: &str, event_id: &str) -> u64 {
    let mut state = Mix(0x243f_6a88_85a3_08d3);
    state.text(account);
    state.text(event_id);
    state.finish()
}

/// The number by which a request is known, of which a call and its network activity event both tell.
/// Must never change: numbers are kept.
pub(super) fn request_mark(account: &str, service: &str, request_id: &str) -> u64 {
    let mut state = Mix(0x4528_21e6_38d0_1377);
    state.text(account);
    state.text(service);
    state.text(request_id);
    state.finish()
}

/// The number by which it is known that a request was counted by its network activity event alone;
/// of that number, the request's. Must never change: numbers are kept.
pub(super) const fn by_network(mark: u64) -> u64 {
    mark ^ 0xbe54_66cf_34e9_0c6c
}

struct Mix(u64);

impl Mix {
    fn word(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word) * u128::from(0x9e37_79b9_7f4a_7c15_u64);
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = product.to_le_bytes();
        let low = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
        let high = u64::from_le_bytes([i, j, k, l, m, n, o, p]);
        self.0 = (low ^ high).wrapping_add(0x1319_8a2e_0370_7344);
    }

    fn text(&mut self, text: &str) {
        let (words, rest) = text.as_bytes().as_chunks::<8>();
        for word in words {
            self.word(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        for (to, from) in last.iter_mut().zip(rest) {
            *to = *from;
        }
        self.word(u64::from_le_bytes(last));
        self.word(u64::try_from(text.len()).unwrap_or(u64::MAX));
    }

    fn finish(mut self) -> u64 {
        self.word(0xa409_3822_299f_31d0);
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn what_changes_from_object_to_object_is_folded() {
        let cases = [
            ("arn:aws:s3:::ledger", "arn:aws:s3:::ledger"),
            ("arn:aws:s3:::ledger/2026/11/20/batch.json", "arn:aws:s3:::ledger/*"),
            (
                "arn:aws:kms:us-west-2:111122223333:key/0d2f9d5e-52a1-4f0b-9f38-6d5b1f0c2a11",
                "arn:aws:kms:us-west-2:111122223333:key/0d2f9d5e-52a1-4f0b-9f38-6d5b1f0c2a11",
            ),
            (
                "arn:aws:ec2:us-west-2:111122223333:instance/i-0123456789abcdef0",
                "arn:aws:ec2:us-west-2:111122223333:instance/*",
            ),
            (
                "arn:aws:dynamodb:us-west-2:111122223333:table/orders",
                "arn:aws:dynamodb:us-west-2:111122223333:table/orders",
            ),
            (
                "arn:aws:ecs:us-west-2:111122223333:task/web/0d2f9d5e52a14f0b",
                "arn:aws:ecs:us-west-2:111122223333:task/web/*",
            ),
            ("arn:aws:x:r:a:a/b/c/d/e/f", "arn:aws:x:r:a:a/b/c/d/*"),
            ("arn:aws:sqs:us-west-2:111122223333:jobs", "arn:aws:sqs:us-west-2:111122223333:jobs"),
        ];
        let mut out = String::new();
        for (arn, shape) in cases {
            assert!(fold(arn, &mut out));
            assert_eq!(out, shape);
            let once = out.clone();
            assert!(fold(&once, &mut out) && out == once, "folding twice is folding once: {arn}");
        }
        assert!(!fold("not an arn", &mut out));
        assert!(fold(&format!("arn:aws:x:r:a:{}", "ü".repeat(500)), &mut out));
        assert!(out.len() <= LONGEST && out.ends_with('*'));
    }

    #[test]
    fn fingerprints_stay_what_they_were_and_differ() {
        // Kept by stores: a change here counts events twice.
        assert_eq!(fingerprint("111122223333", "b6a2f7a0-0000-4000-8000-000000000001"), FIXED);
        let mut seen = BTreeSet::new();
        for n in 0..20_000_u32 {
            assert!(seen.insert(fingerprint("111122223333", &format!("b6a2f7a0-0000-4000-8000-{n:012}"))));
        }
        assert_ne!(fingerprint("1", "2x"), fingerprint("12", "x"));
        let request = request_mark("111122223333", "s3.amazonaws.com", "QAJA0000000000001");
        assert_eq!(request, FIXED_REQUEST);
        assert_eq!(by_network(by_network(request)), request);
    }

    const FIXED_REQUEST: u64 = 15_322_453_568_557_807_352;
    const FIXED: u64 = 18_029_804_310_149_726_613;
}
