//! Account ids and ARNs, parsed once at the border.
//!
//! Knows the shape `arn:partition:service:region:account:resource`. Refuses to know whether the
//! thing named exists.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Why a text is not an account id or an ARN. The text itself is kept for the message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArnError {
    /// Not twelve ASCII digits.
    #[error("`{0}` is not an AWS account id: twelve digits are needed")]
    AccountId(String),
    /// Not six segments that begin with `arn`.
    #[error("`{0}` is not an ARN: `arn:partition:service:region:account:resource` is needed")]
    Arn(String),
    /// An ARN, but not of an IAM role.
    #[error("`{0}` is not the ARN of an IAM role")]
    RoleArn(String),
}

/// A twelve-digit AWS account id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(u64);

impl FromStr for AccountId {
    type Err = ArnError;

    fn from_str(s: &str) -> Result<Self, ArnError> {
        let bad = || ArnError::AccountId(s.to_owned());
        if s.len() != 12 || !s.bytes().all(|b| b.is_ascii_digit()) {
            return Err(bad());
        }
        s.parse().map(Self).map_err(|_| bad())
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:012}", self.0)
    }
}

/// Any ARN. Ordering and equality are those of the text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Arn(Box<str>);

impl Arn {
    /// The whole text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn segment(&self, n: usize) -> &str {
        self.0.splitn(6, ':').nth(n).unwrap_or_default()
    }

    /// `aws`, `aws-cn`, `aws-us-gov`, …
    #[must_use]
    pub fn partition(&self) -> &str {
        self.segment(1)
    }

    /// `iam`, `eks`, `s3`, …
    #[must_use]
    pub fn service(&self) -> &str {
        self.segment(2)
    }

    /// The region segment; empty for global services.
    #[must_use]
    pub fn region(&self) -> &str {
        self.segment(3)
    }

    /// The account segment as text: an id, `aws`, or empty.
    #[must_use]
    pub fn account(&self) -> &str {
        self.segment(4)
    }

    /// The account segment, where it is an account id.
    #[must_use]
    pub fn account_id(&self) -> Option<AccountId> {
        self.account().parse().ok()
    }

    /// Everything after the fifth colon.
    #[must_use]
    pub fn resource(&self) -> &str {
        self.segment(5)
    }
}

impl FromStr for Arn {
    type Err = ArnError;

    fn from_str(s: &str) -> Result<Self, ArnError> {
        let mut parts = s.splitn(6, ':');
        let starts = parts.next() == Some("arn");
        let rest: Vec<&str> = parts.collect();
        let complete = matches!(rest.as_slice(), [partition, service, _, _, resource]
            if !partition.is_empty() && !service.is_empty() && !resource.is_empty());
        if starts && complete { Ok(Self(s.into())) } else { Err(ArnError::Arn(s.to_owned())) }
    }
}

impl fmt::Display for Arn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text that may be an ARN, a pattern of ARNs, or neither, as documents and events hold it; its parts as far as
/// it has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArnText<'t>(pub &'t str);

impl<'t> ArnText<'t> {
    fn segment(self, n: usize) -> Option<&'t str> {
        self.0.splitn(6, ':').nth(n).filter(|segment| !segment.is_empty())
    }

    /// The partition, where it is not empty.
    #[must_use]
    pub fn partition(self) -> Option<&'t str> {
        self.segment(1)
    }

    /// The service, where it is not empty.
    #[must_use]
    pub fn service(self) -> Option<&'t str> {
        self.segment(2)
    }

    /// The account: an id, `aws`, or a pattern; where it is not empty.
    #[must_use]
    pub fn account(self) -> Option<&'t str> {
        self.segment(4)
    }

    /// The account, where it is an account id.
    #[must_use]
    pub fn account_id(self) -> Option<AccountId> {
        self.account()?.parse().ok()
    }
}

/// The ARN of an IAM role: `arn:…:iam::ACCOUNT:role/PATH/NAME`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoleArn {
    arn: Arn,
    account: AccountId,
}

impl RoleArn {
    /// The whole text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.arn.as_str()
    }

    /// The ARN without the promise that it names a role.
    #[must_use]
    pub fn arn(&self) -> &Arn {
        &self.arn
    }

    /// The account that owns the role.
    #[must_use]
    pub fn account_id(&self) -> AccountId {
        self.account
    }

    /// The role's name, without its path.
    #[must_use]
    pub fn name(&self) -> &str {
        self.as_str().rsplit('/').next().unwrap_or_default()
    }

    /// The role's path, `/` at least.
    #[must_use]
    pub fn path(&self) -> &str {
        let resource = self.arn.resource();
        let tail = resource.strip_prefix("role").unwrap_or(resource);
        tail.strip_suffix(self.name()).unwrap_or("/")
    }
}

impl FromStr for RoleArn {
    type Err = ArnError;

    fn from_str(s: &str) -> Result<Self, ArnError> {
        let bad = || ArnError::RoleArn(s.to_owned());
        let arn: Arn = s.parse()?;
        let account = arn.account_id().ok_or_else(bad)?;
        let named = arn.resource().strip_prefix("role/").is_some_and(|n| !n.is_empty() && !n.ends_with('/'));
        if arn.service() == "iam" && arn.region().is_empty() && named { Ok(Self { arn, account }) } else { Err(bad()) }
    }
}

impl fmt::Display for RoleArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.arn.fmt(f)
    }
}

macro_rules! serde_by_text {
    ($($name:ty),+) => {$(
        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    )+};
}
pub(crate) use serde_by_text;
serde_by_text!(AccountId, Arn, RoleArn);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_id_keeps_its_leading_zeros() {
        assert_eq!("000000000012".parse::<AccountId>().unwrap().to_string(), "000000000012");
        for bad in ["", "12", "1234567890123", "12345678901a", "١٢٣٤٥٦٧٨٩٠١٢"] {
            assert!(bad.parse::<AccountId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_text_has_the_parts_that_it_has() {
        let bucket = ArnText("arn:aws:s3:::reports/*");
        assert_eq!((bucket.partition(), bucket.service(), bucket.account()), (Some("aws"), Some("s3"), None));
        let pattern = ArnText("arn:*:iam::123456789012:role/a:b");
        assert_eq!((pattern.partition(), pattern.account_id()), (Some("*"), "123456789012".parse().ok()));
        assert_eq!(ArnText("*").account_id(), None);
        assert_eq!(ArnText("arn:aws:iam::aws:policy/ReadOnlyAccess").account(), Some("aws"));
    }

    #[test]
    fn a_role_arn_knows_its_name_and_path() {
        let arn: RoleArn = "arn:aws:iam::111122223333:role/team/pay/api".parse().unwrap();
        assert_eq!((arn.name(), arn.path()), ("api", "/team/pay/"));
        let flat: RoleArn = "arn:aws-cn:iam::111122223333:role/api".parse().unwrap();
        assert_eq!((flat.name(), flat.path(), flat.arn().partition()), ("api", "/", "aws-cn"));
        for bad in [
            "arn:aws:iam::111122223333:user/x",
            "arn:aws:iam::111122223333:role/",
            "arn:aws:sts::111122223333:role/x",
            "role/x",
        ] {
            assert!(bad.parse::<RoleArn>().is_err(), "{bad}");
        }
    }
}
