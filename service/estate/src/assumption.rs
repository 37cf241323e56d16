//! What a person states where no file and no call shows it, so that a verdict can be reached.
//!
//! An assumption decides nothing by itself: it takes the place of a listing that was not provided,
//! and every verdict that rests on it carries it.

rolecall_iam::vocabulary! {
    /// A statement about what was not provided.
    pub enum Assumption: "an assumption" {
        /// No service control policy binds an account whose policies were not provided.
        NoScps = "scp=none",
        /// No resource control policy binds an account whose policies were not provided.
        NoRcps = "rcp=none",
        /// The organization consists of the accounts that the files name, and of no others.
        OrganizationIsFiles = "organization=files",
        /// A cluster whose add-ons were not provided has none.
        NoAddons = "addons=none",
    }
}

impl Assumption {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_one_and_the_same_in_text_and_json() {
        for assumption in Assumption::ALL {
            assert_eq!(assumption.as_str().parse(), Ok(assumption));
            assert_eq!(serde_json::to_value(assumption).unwrap(), assumption.as_str());
        }
        assert!("scp=all".parse::<Assumption>().unwrap_err().words.contains(&"scp=none"));
    }
}
