//! Names that are not IAM's own: regions, clusters, service accounts, sessions.
//!
//! Each is parsed once, at the border. What does not parse is kept as text by its owner.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A text that does not have the shape asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {what}: {rule}")]
pub struct IdError {
    text: String,
    what: &'static str,
    rule: &'static str,
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $rule:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Box<str>);

        impl $name {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(s: &str) -> Result<Self, IdError> {
                let valid: fn(&str) -> bool = $valid;
                if valid(s) {
                    Ok(Self(s.into()))
                } else {
                    Err(IdError { text: s.to_owned(), what: $what, rule: $rule })
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

fn of_charset(s: &str, min: usize, max: usize, extra: &str) -> bool {
    (min..=max).contains(&s.len()) && s.bytes().all(|b| b.is_ascii_alphanumeric() || extra.as_bytes().contains(&b))
}

name!(
    /// An AWS region code such as `eu-west-1`.
    Region, "an AWS region", "lower-case letters, digits and hyphens are needed, as in `eu-west-1`",
    |s| s.contains('-') && of_charset(s, 4, 32, "-") && !s.bytes().any(|b| b.is_ascii_uppercase())
);
name!(
    /// An EKS cluster's name.
    ClusterName, "a cluster name", "1 to 100 letters, digits, hyphens and underscores are needed",
    |s| of_charset(s, 1, 100, "-_")
);
name!(
    /// A Kubernetes namespace.
    Namespace, "a namespace", "1 to 63 letters, digits and hyphens are needed",
    |s| of_charset(s, 1, 63, "-.")
);
name!(
    /// A Kubernetes service account's name.
    ServiceAccount, "a service account", "1 to 253 letters, digits, hyphens and dots are needed",
    |s| of_charset(s, 1, 253, "-.:")
);
name!(
    /// An STS role session name: 2 to 64 of `[\w+=,.@-]`.
    SessionName, "a role session name", "2 to 64 letters, digits and `_+=,.@-` are needed",
    |s| of_charset(s, 2, 64, "_+=,.@-")
);

impl Region {
    /// Where a partition records the calls of its global services, such as IAM; `None` for a partition that is not
    /// listed here.
    /// <https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-concepts.html>
    #[must_use]
    pub fn of_global_services(partition: &str) -> Option<Self> {
        let region = match partition {
            "aws" => "us-east-1",
            "aws-cn" => "cn-north-1",
            "aws-us-gov" => "us-gov-west-1",
            _ => return None,
        };
        Some(Self(region.into()))
    }

    /// The partition of the Region, as its ARNs name it.
    /// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html>
    #[must_use]
    pub fn partition(&self) -> &'static str {
        const PARTITIONS: [(&str, &str); 4] =
            [("cn-", "aws-cn"), ("us-gov-", "aws-us-gov"), ("us-iso-", "aws-iso"), ("us-isob-", "aws-iso-b")];
        let partition = PARTITIONS.into_iter().find(|(prefix, _)| self.as_str().starts_with(prefix));
        partition.map_or("aws", |(_, partition)| partition)
    }
}
