//! What of an estate a person or a program may see.
//!
//! A limit names a part of the estate in the words of AWS and Kubernetes; several limits add up. Refuses to know
//! who has which, and how rows are kept from whom: that is the store's.

use crate::id::{ClusterName, Namespace, Region};
use rolecall_iam::AccountId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// What somebody may see.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Visibility {
    /// All that is known.
    Everything,
    /// What any of these limits names, and nothing else; with no limit, nothing.
    Only(BTreeSet<Limit>),
}

impl Visibility {
    /// What any of these limits names; everything where there are none.
    #[must_use]
    pub fn of(limits: BTreeSet<Limit>) -> Self {
        if limits.is_empty() { Self::Everything } else { Self::Only(limits) }
    }

    /// Each limit as text, as it is kept; `None`: everything is seen.
    #[must_use]
    pub fn limits(&self) -> Option<Vec<String>> {
        match self {
            Self::Everything => None,
            Self::Only(limits) => Some(limits.iter().map(ToString::to_string).collect()),
        }
    }

    /// Whether nothing is kept from them.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        matches!(self, Self::Everything)
    }
}

/// An EKS cluster as a limit names it: `111122223333/eu-west-1/prod`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterPlace {
    /// Its account.
    pub account: AccountId,
    /// Its region.
    pub region: Region,
    /// Its name.
    pub name: ClusterName,
}

/// One part of an estate that somebody may see.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Limit {
    /// The accounts of an OU and of the OUs below it: `ou:ou-abcd-12345678`, or of a root: `ou:r-abcd`.
    OrganizationalUnit(OrganizationalUnitId),
    /// An account: `account:111122223333`.
    Account(AccountId),
    /// A cluster with all of its namespaces: `cluster:111122223333/eu-west-1/prod`.
    Cluster(ClusterPlace),
    /// A namespace of one cluster, or of every cluster: `namespace:111122223333/eu-west-1/prod/payments`,
    /// `namespace:payments`.
    Namespace {
        /// Its cluster; `None`: of every cluster.
        cluster: Option<ClusterPlace>,
        /// Its name.
        namespace: Namespace,
    },
}

/// The id of an OU or a root, in the form that AWS Organizations gives it.
/// <https://docs.aws.amazon.com/organizations/latest/APIReference/API_OrganizationalUnit.html>
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrganizationalUnitId(Box<str>);

impl OrganizationalUnitId {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A text that is no limit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not a limit: {because}; a limit is `ou:ou-abcd-12345678`, `account:111122223333`, \
     `cluster:111122223333/eu-west-1/prod`, `namespace:payments` or `namespace:111122223333/eu-west-1/prod/payments`"
)]
pub struct LimitError {
    text: String,
    because: String,
}

impl FromStr for OrganizationalUnitId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let of = |part: &str, least: usize| {
            (least..=32).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_lowercase())
        };
        let valid = match text.split_once('-') {
            Some(("r", root)) => of(root, 4),
            Some(("ou", rest)) => rest.split_once('-').is_some_and(|(root, id)| of(root, 4) && of(id, 8)),
            _ => false,
        };
        if valid { Ok(Self(text.into())) } else { Err(format!("`{text}` is not the id of an OU or a root")) }
    }
}

impl fmt::Display for OrganizationalUnitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for ClusterPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { account, region, name } = self;
        write!(f, "{account}/{region}/{name}")
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OrganizationalUnit(id) => write!(f, "ou:{id}"),
            Self::Account(id) => write!(f, "account:{id}"),
            Self::Cluster(place) => write!(f, "cluster:{place}"),
            Self::Namespace { cluster: Some(cluster), namespace } => write!(f, "namespace:{cluster}/{namespace}"),
            Self::Namespace { cluster: None, namespace } => write!(f, "namespace:{namespace}"),
        }
    }
}

impl FromStr for Limit {
    type Err = LimitError;

    /// Reads what [`fmt::Display`] writes.
    fn from_str(text: &str) -> Result<Self, LimitError> {
        let because = |because: String| LimitError { text: text.chars().take(128).collect(), because };
        let (kind, of) =
            text.split_once(':').ok_or_else(|| because("it does not say of what kind it is".to_owned()))?;
        let parts: Vec<&str> = of.split('/').collect();
        let place = |account: &str, region: &str, name: &str| -> Result<ClusterPlace, String> {
            Ok(ClusterPlace {
                account: account.parse().map_err(|error| format!("{error}"))?,
                region: region.parse().map_err(|error| format!("{error}"))?,
                name: name.parse().map_err(|error| format!("{error}"))?,
            })
        };
        let read = match (kind, parts.as_slice()) {
            ("ou", _) => of.parse().map(Self::OrganizationalUnit),
            ("account", _) => of.parse().map(Self::Account).map_err(|error| format!("{error}")),
            ("cluster", [account, region, name]) => place(account, region, name).map(Self::Cluster),
            ("cluster", _) => Err("a cluster is named by account, region and name".to_owned()),
            ("namespace", [namespace]) => namespace
                .parse()
                .map(|namespace| Self::Namespace { cluster: None, namespace })
                .map_err(|error| format!("{error}")),
            ("namespace", [account, region, name, namespace]) => place(account, region, name).and_then(|cluster| {
                let namespace = namespace.parse().map_err(|error| format!("{error}"))?;
                Ok(Self::Namespace { cluster: Some(cluster), namespace })
            }),
            ("namespace", _) => {
                Err("a namespace is named alone, or after its cluster's account, region and name".to_owned())
            }
            _ => Err(format!("there is no kind `{kind}`")),
        };
        read.map_err(because)
    }
}

impl Serialize for Limit {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn limits() -> impl Strategy<Value = Limit> {
        let account = || (0..1_000_000_000_000_u64).prop_map(|n| format!("{n:012}").parse::<AccountId>().unwrap());
        let place = move || {
            (account(), "(eu|us)-(west|gov-east)-[1-9]", "[A-Za-z0-9_-]{1,100}").prop_map(|(account, region, name)| {
                ClusterPlace { account, region: region.parse().unwrap(), name: name.parse().unwrap() }
            })
        };
        let ou = "(ou-[0-9a-z]{4,32}-[0-9a-z]{8,32}|r-[0-9a-z]{4,32})";
        prop_oneof![
            ou.prop_map(|id| Limit::OrganizationalUnit(id.parse().unwrap())),
            account().prop_map(Limit::Account),
            place().prop_map(Limit::Cluster),
            (proptest::option::of(place()), "[a-z0-9.-]{1,63}")
                .prop_map(|(cluster, namespace)| Limit::Namespace { cluster, namespace: namespace.parse().unwrap() }),
        ]
    }

    proptest! {
        #[test]
        fn a_limit_reads_back(limit in limits()) {
            prop_assert_eq!(limit.to_string().parse::<Limit>(), Ok(limit));
        }

        #[test]
        fn any_text_is_a_limit_or_an_error(text in ".{0,64}") {
            if let Ok(limit) = text.parse::<Limit>() {
                prop_assert_eq!(limit.to_string(), text);
            }
        }
    }

    #[test]
    fn what_is_no_limit_says_why() {
        for (text, because) in [
            ("payments", "it does not say of what kind it is"),
            ("pod:web", "there is no kind `pod`"),
            ("account:1", "`1` is not"),
            ("ou:ou-abcd", "`ou-abcd` is not the id of an OU or a root"),
            ("ou:ou-ABCD-12345678", "is not the id of an OU or a root"),
            ("cluster:prod", "a cluster is named by account, region and name"),
            ("cluster:111122223333/eu-west-1/", "`` is not a cluster name"),
            ("namespace:", "`` is not a namespace"),
            ("namespace:prod/payments", "a namespace is named alone"),
            ("namespace:111122223333/x/prod/payments", "`x` is not an AWS region"),
        ] {
            let error = text.parse::<Limit>().unwrap_err().to_string();
            assert!(error.contains(because), "{text}: {error}");
        }
    }

    #[test]
    fn without_limits_everything_is_seen() {
        assert_eq!(Visibility::of(BTreeSet::new()), Visibility::Everything);
        assert!(!Visibility::of(["namespace:payments".parse().unwrap()].into()).is_everything());
    }
}
