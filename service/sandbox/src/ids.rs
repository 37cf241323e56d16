//! Identifiers that look like AWS's and follow from what they name: the same name gives the same
//! identifier, on every machine and in every run. Knows shapes, not meanings.

/// A 64-bit hash of a text (FNV-1a, then a finalising mix).
pub(crate) fn hash(of: &str) -> u64 {
    let fnv = of.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    mix(fnv)
}

fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A stream of numbers from a seed (splitmix64): small, and the same for ever.
#[derive(Debug, Clone)]
pub(crate) struct Stream(u64);

impl Stream {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number under `n`; 0 where `n` is 0.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        let n = u64::try_from(n).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.next() % n).unwrap_or(0)
    }

    /// One of a list.
    pub(crate) fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of.get(self.below(of.len())).copied().unwrap_or_default()
    }
}

fn letters(of: &str, alphabet: &[u8], n: usize) -> String {
    let mut stream = Stream::new(hash(of));
    (0..n).filter_map(|_| alphabet.get(stream.below(alphabet.len()))).map(|b| char::from(*b)).collect()
}

const UPPER: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// `AROA…` of a role.
pub(crate) fn role_id(of: &str) -> String {
    format!("AROA{}", letters(of, UPPER, 17))
}

/// `ANPA…` of a managed policy.
pub(crate) fn policy_id(of: &str) -> String {
    format!("ANPA{}", letters(of, UPPER, 17))
}

/// `ASIA…` of a session.
pub(crate) fn access_key(of: &str) -> String {
    format!("ASIA{}", letters(of, UPPER, 16))
}

/// `a-…` of an association.
pub(crate) fn association_id(of: &str) -> String {
    format!("a-{}", letters(of, b"abcdefghijklmnopqrstuvwxyz0123456789", 17))
}

/// The hexadecimal id of a cluster's OIDC issuer.
pub(crate) fn issuer(of: &str) -> String {
    letters(of, b"0123456789ABCDEF", 32)
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(of: &str, n: usize) -> String {
    letters(of, b"0123456789abcdef", n)
}

/// A pod's suffix, from Kubernetes's own alphabet.
pub(crate) fn pod_suffix(of: &str, n: usize) -> String {
    letters(of, b"bcdfghjklmnpqrstvwxz2456789", n)
}

/// A version 4 UUID in shape.
pub(crate) fn uuid(of: &str) -> String {
    let (a, b) = (hash(of), mix(hash(of)));
    let bits = (u128::from(a) << 64) | u128::from(b);
    uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_name_gives_the_same_id_and_another_gives_another() {
        for make in [role_id, policy_id, access_key, association_id, issuer, uuid] {
            assert_eq!(make("x"), make("x"));
            assert_ne!(make("x"), make("y"));
        }
        assert_eq!(role_id("x").len(), 21);
        assert_eq!(access_key("x").len(), 20);
        assert_eq!(association_id("x").len(), 19);
        assert_eq!(uuid("x").as_bytes()[14], b'4');
    }
}
