//! What CloudTrail recorded beside sessions, as facts: calls, where they came from, and which associations there
//! were at that time. Refuses to know how records are read.

use crate::complete_range::CompleteRange;
use crate::id::Region;
use crate::resource::{Association, AssociationKey};
use chrono::{DateTime, Utc};
use rolecall_iam::AccountId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Calls of one action by sessions of EC2 instances with one role, in one region; all that were
/// counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceUse {
    /// The instances' account.
    pub account_id: AccountId,
    /// Where they called.
    pub region: Region,
    /// Their role.
    pub role_arn: String,
    /// The IAM action.
    pub action: String,
    /// How many calls.
    pub calls: u64,
    /// How many of them were refused for want of permission.
    pub denied: u64,
    /// The first call.
    pub first: DateTime<Utc>,
    /// The last call.
    pub last: DateTime<Utc>,
    /// Classes of network that they came from.
    pub networks: Networks,
}

/// What is remembered of trails beyond the sessions that are judged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrailMemory {
    /// When it was asked for; `None`: nobody asked, so that what is not there says nothing.
    pub at: Option<DateTime<Utc>>,
    /// Which ranges were read completely.
    pub complete_ranges: Vec<CompleteRange>,
    /// When credentials of an association were last counted as given or used, by its id.
    pub associations: BTreeMap<String, DateTime<Utc>>,
    /// When a role's were, by its ARN.
    pub roles: BTreeMap<String, DateTime<Utc>>,
    /// What instances did.
    pub instances: Vec<InstanceUse>,
    /// All calls of roles that associations name, by role and action.
    pub calls: BTreeMap<String, Vec<Used>>,
    /// From where the sessions of pods that are judged were used.
    pub origins: Vec<Origin>,
    /// From where all sessions of pods were used, by workload.
    pub used_from: Vec<UsedFrom>,
}

/// From where, and by what program, sessions of one workload were used, however long ago.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsedFrom {
    /// The association's id, where the sessions are attributed to one.
    pub association_id: Option<String>,
    /// The role.
    pub role_arn: String,
    /// The region of the calls.
    pub region: Region,
    /// As in [`Origin::network`].
    pub network: Option<String>,
    /// As in [`Origin::endpoint`].
    pub endpoint: Option<String>,
    /// As in [`Origin::agent`].
    pub agent: Option<String>,
    /// The last call.
    pub last: DateTime<Utc>,
    /// The first sessions that were used so, at most five, by their first call: the number of each,
    /// unique for the role, and that call.
    pub sessions: Vec<(i32, DateTime<Utc>)>,
}

/// Calls of one action by the sessions that are weighed, in the window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Used {
    /// The role whose sessions called.
    pub role_arn: String,
    /// Whether the sessions are known to be the workload's. Others of the same role may be.
    pub is_own: bool,
    /// The IAM action, or the event's source and name where none is known.
    pub action: String,
    /// How often.
    pub calls: u64,
    /// How often in vain, refusals among it.
    pub errors: u64,
    /// How often refused.
    pub denied: u64,
    /// The first time.
    pub first: DateTime<Utc>,
    /// The last time.
    pub last: DateTime<Utc>,
}

/// Classes of network that calls came from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Networks(u8);

impl Networks {
    /// None yet.
    pub const NONE: Self = Self(0);
    /// An address of the public internet.
    pub const PUBLIC: Self = Self(1);
    /// A private address (RFC 1918, carrier-grade NAT, unique local, link-local).
    pub const PRIVATE: Self = Self(2);
    /// An AWS service, or AWS itself.
    pub const SERVICE: Self = Self(4);
    /// A VPC endpoint, whatever the address.
    pub const ENDPOINT: Self = Self(8);
    /// The event names no source, or one of no known form.
    pub const UNKNOWN: Self = Self(16);

    /// All of both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those that are not in the other.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether all classes of the other are in it.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// As bits, to be kept.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// From kept bits; unknown ones are dropped.
    #[must_use]
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits & 31)
    }

    /// Names of the classes.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        [
            (Self::PUBLIC, "public"),
            (Self::PRIVATE, "private"),
            (Self::SERVICE, "service"),
            (Self::ENDPOINT, "endpoint"),
            (Self::UNKNOWN, "unknown"),
        ]
        .into_iter()
        .filter(move |(class, _)| self.has(*class))
        .map(|(_, name)| name)
    }

    /// The class of a source as CloudTrail writes it.
    #[must_use]
    pub fn new(source: Option<&str>, by_endpoint: bool) -> Self {
        let class = match source {
            None | Some("") => Self::UNKNOWN,
            Some(text) => match text.parse::<IpAddr>() {
                Ok(IpAddr::V4(address)) if is_private(address) => Self::PRIVATE,
                Ok(IpAddr::V6(address)) if is_private_v6(address) => Self::PRIVATE,
                Ok(_) => Self::PUBLIC,
                Err(_) if text.ends_with(".amazonaws.com") || text.ends_with(".amazonaws.com.cn") => Self::SERVICE,
                Err(_) if text == "AWS Internal" => Self::SERVICE,
                Err(_) => Self::UNKNOWN,
            },
        };
        if by_endpoint { class.and(Self::ENDPOINT) } else { class }
    }
}

fn is_private(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || (first == 100 && (64..128).contains(&second))
}

fn is_private_v6(address: Ipv6Addr) -> bool {
    address.is_unique_local()
        || address.is_unicast_link_local()
        || address.is_loopback()
        || address.to_ipv4_mapped().is_some_and(is_private)
}

/// One place and program that a session's calls came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The account in whose trail the calls stand, which is the caller's own.
    pub account_id: AccountId,
    /// The key that was used.
    pub access_key_id: Option<String>,
    /// The role whose session called.
    pub role_arn: String,
    /// The region of the calls.
    pub region: Region,
    /// The network: a public IPv4 address by itself, `/64` of public IPv6, `/16` of private IPv4, `/48`
    /// of private IPv6; `None` where the events name no address.
    pub network: Option<String>,
    /// The VPC endpoint's id (`vpce-…`).
    pub endpoint: Option<String>,
    /// The family of the user agent, such as `boto3 on linux`.
    pub agent: Option<String>,
    /// The first call.
    pub first: DateTime<Utc>,
    /// The last call.
    pub last: DateTime<Utc>,
    /// The action of the first call, as in `rolecall_cloudtrail::Use::action`.
    pub action: String,
    /// One address of the network: the least, as text.
    pub source: Option<String>,
    /// Stands for all others of the session: there are more than are kept.
    pub is_rest: bool,
}

/// What makes two origins one.
pub type OriginKey<'o> =
    (AccountId, Option<&'o str>, &'o str, &'o Region, Option<&'o str>, Option<&'o str>, Option<&'o str>, bool);

impl Origin {
    /// What makes two origins one.
    #[must_use]
    pub fn key(&self) -> OriginKey<'_> {
        (
            self.account_id,
            self.access_key_id.as_deref(),
            &self.role_arn,
            &self.region,
            self.network.as_deref(),
            self.endpoint.as_deref(),
            self.agent.as_deref(),
            self.is_rest,
        )
    }

    /// Adds other calls of the same key. In any order and grouping the sum is the same, and calls that
    /// come twice change nothing.
    pub fn absorb(&mut self, other: &Self) {
        if (other.first, &other.action) < (self.first, &self.action) {
            self.first = other.first;
            self.action.clone_from(&other.action);
        }
        self.last = self.last.max(other.last);
        if let Some(source) = &other.source
            && self.source.as_ref().is_none_or(|own| source < own)
        {
            self.source = Some(source.clone());
        }
    }
}

/// What describing an association showed while a span lasted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpanDetail {
    /// The association role.
    pub role_arn: String,
    /// The target role.
    pub target_role_arn: Option<String>,
    /// Whether session tags are off.
    pub disable_session_tags: bool,
    /// When the association was made.
    pub created_at: Option<DateTime<Utc>>,
    /// When it last changed.
    pub modified_at: Option<DateTime<Utc>>,
}

/// An association as it was for a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssociationSpan {
    /// Whose it is.
    pub key: AssociationKey,
    /// Its id.
    pub association_id: String,
    /// What it was; `None` where describing it was refused.
    pub detail: Option<SpanDetail>,
    /// When it was first seen so.
    pub from: DateTime<Utc>,
    /// When it was first seen otherwise, or gone; `None` while it is so.
    pub to: Option<DateTime<Utc>>,
}

impl AssociationSpan {
    /// An association as it was seen from one moment to another.
    #[must_use]
    pub fn new(association: &Association, from: DateTime<Utc>, to: Option<DateTime<Utc>>) -> Self {
        Self {
            key: association.key.clone(),
            association_id: association.association_id.clone(),
            detail: association.detail.as_ref().map(|detail| SpanDetail {
                role_arn: detail.role_arn.clone(),
                target_role_arn: detail.target_role_arn.clone(),
                disable_session_tags: detail.disable_session_tags,
                created_at: detail.created_at,
                modified_at: detail.modified_at,
            }),
            from,
            to,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_has_its_class() {
        let cases = [
            (Some("198.51.100.7"), Networks::PUBLIC),
            (Some("10.0.4.7"), Networks::PRIVATE),
            (Some("100.64.0.1"), Networks::PRIVATE),
            (Some("fd00::1"), Networks::PRIVATE),
            (Some("2600::1"), Networks::PUBLIC),
            (Some("pods.eks.amazonaws.com"), Networks::SERVICE),
            (Some("AWS Internal"), Networks::SERVICE),
            (Some("somewhere"), Networks::UNKNOWN),
            (None, Networks::UNKNOWN),
        ];
        for (source, class) in cases {
            assert_eq!(Networks::new(source, false), class, "{source:?}");
        }
        let both = Networks::new(Some("10.0.0.1"), true);
        assert!(both.has(Networks::PRIVATE) && both.has(Networks::ENDPOINT) && !both.has(Networks::PUBLIC));
        assert_eq!(both.names().collect::<Vec<_>>(), ["private", "endpoint"]);
        assert_eq!(Networks::from_bits(both.bits()), both);
    }
}
