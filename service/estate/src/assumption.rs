//! What a person states where no file and no call shows it, so that a verdict can be reached.
//!
//! An assumption decides nothing by itself: it takes the place of a listing that was not provided,
//! and every verdict that rests on it carries it.

use serde::{Deserialize, Serialize};

/// A statement about what was not provided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Assumption {
    /// No service control policy binds an account whose policies were not provided.
    #[serde(rename = "scp=none")]
    NoScps,
    /// No resource control policy binds an account whose policies were not provided.
    #[serde(rename = "rcp=none")]
    NoRcps,
    /// The organization consists of the accounts that the files name, and of no others.
    #[serde(rename = "organization=files")]
    OrganizationIsFiles,
    /// A cluster whose add-ons were not provided has none.
    #[serde(rename = "addons=none")]
    NoAddons,
}

impl Assumption {
    /// Every assumption that can be stated.
    pub const ALL: [Self; 4] = [Self::NoScps, Self::NoRcps, Self::OrganizationIsFiles, Self::NoAddons];

    /// The name, as it is stated.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoScps => "scp=none",
            Self::NoRcps => "rcp=none",
            Self::OrganizationIsFiles => "organization=files",
            Self::NoAddons => "addons=none",
        }
    }

    /// What is missing where it could be stated: every reason of an unknown verdict that it would
    /// take away says this.
    #[must_use]
    pub fn missing(self) -> &'static str {
        match self {
            Self::NoScps => "the organization's service control policies were not provided",
            Self::NoRcps => "the organization's resource control policies were not provided",
            Self::OrganizationIsFiles => "no list of the organization's accounts was provided",
            Self::NoAddons => "the cluster's add-ons were not provided",
        }
    }

    /// The same as a sentence without its full stop.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            Self::NoScps => "no service control policy binds an account whose policies were not provided",
            Self::NoRcps => "no resource control policy binds an account whose policies were not provided",
            Self::NoAddons => "a cluster whose add-ons were not provided has none",
            Self::OrganizationIsFiles => "the organization consists of the accounts that the files name",
        }
    }
}

impl std::str::FromStr for Assumption {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        let known = || Self::ALL.map(Self::as_str).join(", ");
        Self::ALL
            .into_iter()
            .find(|assumption| assumption.as_str() == s)
            .ok_or_else(|| format!("`{s}` is not an assumption; known are {}", known()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_one_and_the_same_in_text_and_json() {
        for assumption in Assumption::ALL {
            assert_eq!(assumption.as_str().parse(), Ok(assumption));
            assert_eq!(serde_json::to_value(assumption).unwrap(), assumption.as_str());
        }
        assert!("scp=all".parse::<Assumption>().unwrap_err().contains("scp=none"));
    }
}
