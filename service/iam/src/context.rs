//! What is known of a request's condition keys.
//!
//! Knows that a key's name ignores letter case, that a key can be absent, open (it may hold
//! anything), or not seen, and how to find a key without allocating. Refuses to know which keys a
//! service sends, and what their values mean.

use crate::truth::Why;
use std::cmp::Ordering;
use std::sync::LazyLock;

/// FNV-1a over the name in lower case: short names, no adversary that a collision would serve.
fn hash_of(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte.to_ascii_lowercase())).wrapping_mul(0x0100_0000_01b3)
    })
}

/// The keys that most policies and requests name, in order. Any other key works as well, but is
/// compared as text.
const WELL_KNOWN: [&str; 42] = [
    "aws:calledvia",
    "aws:calledviafirst",
    "aws:calledvialast",
    "aws:currenttime",
    "aws:epochtime",
    "aws:federatedprovider",
    "aws:multifactorauthage",
    "aws:multifactorauthpresent",
    "aws:principalaccount",
    "aws:principalarn",
    "aws:principalisawsservice",
    "aws:principalorgid",
    "aws:principalorgpaths",
    "aws:principalservicename",
    "aws:principalservicenameslist",
    "aws:principaltype",
    "aws:referer",
    "aws:requestedregion",
    "aws:resourceaccount",
    "aws:resourceorgid",
    "aws:resourceorgpaths",
    "aws:securetransport",
    "aws:sourceaccount",
    "aws:sourcearn",
    "aws:sourceidentity",
    "aws:sourceip",
    "aws:sourceorgid",
    "aws:sourceorgpaths",
    "aws:sourcevpc",
    "aws:sourcevpce",
    "aws:tagkeys",
    "aws:tokenissuetime",
    "aws:useragent",
    "aws:userid",
    "aws:username",
    "aws:viaawsservice",
    "aws:vpcsourceip",
    "ec2:sourceinstancearn",
    "iam:passedtoservice",
    "sts:externalid",
    "sts:rolesessionname",
    "sts:transitivetagkeys",
];

/// Keys of AWS's own that take several values; of its other keys one value is all there is.
pub(crate) const OF_SEVERAL_VALUES: [&str; 7] = [
    "aws:calledvia",
    "aws:principalorgpaths",
    "aws:principalservicenameslist",
    "aws:resourceorgpaths",
    "aws:sourceorgpaths",
    "aws:tagkeys",
    "aws:sourcevpcarn",
];

/// The hashes of the well-known keys, each with its key's place, sorted.
static HASHES: LazyLock<Vec<(u64, usize)>> = LazyLock::new(|| {
    let mut hashes: Vec<_> = WELL_KNOWN.iter().enumerate().map(|(at, key)| (hash_of(key), at)).collect();
    hashes.sort_unstable();
    hashes
});

/// A name in lower case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Name {
    /// Its place among the well-known keys: two of them are compared without reading their texts.
    WellKnown(usize),
    Other(Box<str>),
}

/// The name of a condition key, lowered and hashed once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyName {
    name: Name,
    hash: u64,
}

impl KeyName {
    pub(crate) fn new(name: &str) -> Self {
        let hash = hash_of(name);
        let known = HASHES.binary_search_by_key(&hash, |(hash, _)| *hash).ok().and_then(|found| HASHES.get(found));
        let known = known.map(|(_, at)| *at);
        match known.filter(|at| WELL_KNOWN.get(*at).is_some_and(|known| known.eq_ignore_ascii_case(name))) {
            Some(at) => Self { name: Name::WellKnown(at), hash },
            None => Self { hash, name: Name::Other(name.to_ascii_lowercase().into()) },
        }
    }
}

impl Name {
    fn as_str(&self) -> &str {
        match self {
            Self::WellKnown(at) => WELL_KNOWN.get(*at).copied().unwrap_or_default(),
            Self::Other(text) => text,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Held {
    /// In place, since it is read most.
    One([String; 1]),
    List(Vec<String>),
    Absent,
    Unknown(Why),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    key: Name,
    held: Held,
}

/// What a condition key holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContextValue<'a> {
    /// This one value, as a list of one.
    Known(&'a [String]),
    /// These values, at least one, of a key that takes several.
    List(&'a [String]),
    /// The request does not have the key.
    Absent,
    /// Not known, and why.
    Unknown(&'a Why),
    /// The context leaves it open: any value, or none.
    Open,
}

/// What is known of a request's condition keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    // INVARIANT: sorted by hash, then key; no key twice; as many hashes as entries. They lie apart so
    // that looking for a key touches little memory.
    hashes: Vec<u64>,
    entries: Vec<Entry>,
    /// Prefixes of keys that are absent unless named.
    absent: Vec<String>,
    /// Prefixes of keys that may hold anything, or be absent, unless named.
    open: Vec<String>,
}

impl Context {
    /// Keys that are not named are absent.
    #[must_use]
    pub fn closed() -> Self {
        Self { hashes: Vec::new(), entries: Vec::new(), absent: Vec::new(), open: Vec::new() }
    }

    /// Keys that are not named may hold anything, or be absent.
    #[must_use]
    pub fn open() -> Self {
        Self::open_under(&[""])
    }

    /// Keys with one of these prefixes may hold anything, or be absent; others that are not named
    /// are absent.
    #[must_use]
    pub fn open_under(prefixes: &[&str]) -> Self {
        Self { open: prefixes.iter().map(|p| p.to_ascii_lowercase()).collect(), ..Self::closed() }
    }

    /// Says what a key holds. No values at all means that it is absent; several, that it is a key
    /// that takes several.
    #[must_use]
    pub fn set<V: Into<String>>(self, key: &str, values: impl IntoIterator<Item = V>) -> Self {
        let values: Vec<String> = values.into_iter().map(Into::into).collect();
        let held = match <[String; 1]>::try_from(values) {
            Ok(one) => Held::One(one),
            Err(none) if none.is_empty() => Held::Absent,
            Err(several) => Held::List(several),
        };
        self.hold(key, held)
    }

    /// Says what a key holds that takes several values, even where it has one. No values at all
    /// means that it is absent.
    #[must_use]
    pub fn set_list<V: Into<String>>(self, key: &str, values: impl IntoIterator<Item = V>) -> Self {
        let values: Vec<String> = values.into_iter().map(Into::into).collect();
        self.hold(key, if values.is_empty() { Held::Absent } else { Held::List(values) })
    }

    /// Says that a key is absent.
    #[must_use]
    pub fn absent(self, key: &str) -> Self {
        self.hold(key, Held::Absent)
    }

    /// Says that every key with this prefix is absent unless named, such as `aws:RequestTag/`.
    #[must_use]
    pub fn absent_under(mut self, prefix: &str) -> Self {
        self.absent.push(prefix.to_ascii_lowercase());
        self
    }

    /// Says that a key's value is not known.
    #[must_use]
    pub fn unknown(self, key: &str, why: &str) -> Self {
        self.hold(key, Held::Unknown(Why::NotSeen(why.into())))
    }

    /// Says what a key holds where nothing was said yet.
    #[must_use]
    pub fn or_set(self, key: &str, value: &str) -> Self {
        if self.names(key) { self } else { self.set(key, [value]) }
    }

    /// Says that a key is absent where nothing was said yet.
    #[must_use]
    pub fn or_absent(self, key: &str) -> Self {
        if self.names(key) { self } else { self.absent(key) }
    }

    /// Whether something was said of this very key.
    #[must_use]
    pub fn names(&self, key: &str) -> bool {
        self.find(&KeyName::new(key)).is_ok()
    }

    /// What a key holds; letter case does not count.
    #[must_use]
    pub fn get(&self, key: &str) -> ContextValue<'_> {
        self.value_of(&KeyName::new(key))
    }

    fn hold(mut self, key: &str, held: Held) -> Self {
        let name = KeyName::new(key);
        let found = self.find(&name);
        let entry = Entry { key: name.name, held };
        match found {
            Ok(at) => {
                if let Some(old) = self.entries.get_mut(at) {
                    *old = entry;
                }
            }
            Err(at) => {
                self.hashes.insert(at, name.hash);
                self.entries.insert(at, entry);
            }
        }
        self
    }

    fn find(&self, name: &KeyName) -> Result<usize, usize> {
        let mut at = self.hashes.partition_point(|hash| *hash < name.hash);
        while self.hashes.get(at) == Some(&name.hash) {
            match self.entries.get(at).map(|entry| entry.key.cmp(&name.name)) {
                Some(Ordering::Less) => at += 1,
                Some(Ordering::Equal) => return Ok(at),
                _ => break,
            }
        }
        Err(at)
    }

    pub(crate) fn value_of(&self, name: &KeyName) -> ContextValue<'_> {
        if let Some(entry) = self.find(name).ok().and_then(|at| self.entries.get(at)) {
            return match &entry.held {
                Held::One(value) => ContextValue::Known(value),
                Held::List(values) => ContextValue::List(values),
                Held::Absent => ContextValue::Absent,
                Held::Unknown(why) => ContextValue::Unknown(why),
            };
        }
        let under = |prefixes: &[String]| prefixes.iter().any(|prefix| name.name.as_str().starts_with(prefix.as_str()));
        if !under(&self.open) || under(&self.absent) { ContextValue::Absent } else { ContextValue::Open }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_last_of_a_key_counts_whatever_its_letter_case() {
        let context = Context::open().set("aws:UserName", ["a"]).absent("aws:X").or_set("AWS:username", "b");
        assert_eq!(context.get("AWS:USERNAME"), ContextValue::Known(&["a".to_owned()]));
        assert_eq!(context.get("aws:x"), ContextValue::Absent);
        assert_eq!(context.set("aws:x", ["1"]).get("aws:X"), ContextValue::Known(&["1".to_owned()]));
    }

    #[test]
    fn the_well_known_keys_are_in_order_and_are_found() {
        assert!(WELL_KNOWN.is_sorted() && WELL_KNOWN.iter().all(|key| *key == key.to_ascii_lowercase()));
        for (at, key) in WELL_KNOWN.iter().enumerate() {
            assert_eq!(KeyName::new(&key.to_ascii_uppercase()).name, Name::WellKnown(at), "{key}");
        }
    }

    #[test]
    fn prefixes_say_what_is_open_and_what_is_absent() {
        let context = Context::open_under(&["aws:"]).absent_under("aws:RequestTag/").set("aws:RequestTag/a", ["1"]);
        assert_eq!(context.get("aws:requesttag/A"), ContextValue::Known(&["1".to_owned()]));
        assert_eq!(context.get("aws:requesttag/b"), ContextValue::Absent);
        assert_eq!(context.get("aws:SourceArn"), ContextValue::Open);
        assert_eq!(context.get("s3:prefix"), ContextValue::Absent);
        let unseen = context.unknown("s3:prefix", "not recorded");
        assert_eq!(unseen.get("S3:prefix"), ContextValue::Unknown(&Why::NotSeen("not recorded".into())));
    }
}
