//! Privilege-escalation paths that a change opens or closes, and administrator access.

use rolecall_iam::escalation::paths;
use serde::{Deserialize, Serialize};

/// How whoever has a role gets further: it is an administrator, or has a privilege-escalation path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RoleEscalation {
    /// The role's ARN.
    pub role: String,
    /// `administrator`, `trusted-by-role` where another role's trust policy alone lets it in, or the id of a
    /// path, such as `lambda-create-invoke`.
    pub path: String,
    /// The role that it ends at, where it ends at a role of the estate.
    #[serde(default)]
    pub target: Option<String>,
    /// The roles on the way, the target included; empty where the path leads to the target itself, or to none.
    #[serde(default)]
    pub through: Vec<String>,
    /// Whether it ends at an administrator, or at permissions that the role writes itself.
    pub to_administrator: bool,
}

/// The path of a role that is an administrator.
pub const ADMINISTRATOR: &str = "administrator";
/// The path of a role that another role's trust policy lets in by itself.
pub const TRUSTED_BY_ROLE: &str = "trusted-by-role";

impl RoleEscalation {
    /// It without the role: `iam:PassRole + ec2:RunInstances with arn:… to administrator access`.
    #[must_use]
    pub fn words(&self) -> String {
        let actions = match self.path.as_str() {
            ADMINISTRATOR => return "administrator access".to_owned(),
            TRUSTED_BY_ROLE => "sts:AssumeRole".to_owned(),
            id => paths().iter().find(|path| path.id == id).map_or_else(|| id.to_owned(), ToString::to_string),
        };
        let way = match (&self.through, &self.target) {
            (through, _) if !through.is_empty() => format!(" through {}", through.join(", ")),
            (_, Some(target)) => format!(" on {target}"),
            _ => String::new(),
        };
        let end = if self.to_administrator { " to administrator access" } else { "" };
        format!("{actions}{way}{end}")
    }
}

/// The paths that a change opens or closes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Escalations {
    /// Those that were not there before.
    #[serde(default)]
    pub opens: Vec<RoleEscalation>,
    /// Those that are not there any more.
    #[serde(default)]
    pub closes: Vec<RoleEscalation>,
    /// Why there may be others.
    #[serde(default)]
    pub unknown: Option<String>,
}

impl Escalations {
    /// Nobody knows what was there before, or what was asked for.
    pub(crate) fn unproved(&mut self, why: &str) {
        self.unknown = Some(why.to_owned());
    }

    /// With those of another, each once.
    pub(crate) fn add(&mut self, other: Self) {
        for (list, more) in [(&mut self.opens, other.opens), (&mut self.closes, other.closes)] {
            list.extend(more);
            list.sort();
            list.dedup();
        }
        self.unknown = self.unknown.take().or(other.unknown);
    }

    /// Those of one role.
    pub(crate) fn of_role(&self, role: &str) -> Self {
        let of = |list: &[RoleEscalation]| list.iter().filter(|it| it.role == role).cloned().collect();
        Self { opens: of(&self.opens), closes: of(&self.closes), unknown: self.unknown.clone() }
    }

    /// Whether somebody becomes an administrator (`true`), or nobody does and somebody is none any more.
    pub(crate) fn administrator(&self) -> Option<bool> {
        let is_there = |list: &[RoleEscalation]| list.iter().any(|it| it.path == ADMINISTRATOR);
        if is_there(&self.opens) { Some(true) } else { is_there(&self.closes).then_some(false) }
    }
}
