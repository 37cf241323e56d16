//! The table of privilege-escalation paths (`data/escalation.txt`).

use std::fmt;
use std::sync::LazyLock;

/// What a path leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EscalationOutcome {
    /// The role changes its own permissions.
    Own,
    /// It becomes, or changes, another role.
    Role,
    /// It becomes, or changes, a user.
    User,
    /// It starts something as a role that this service may assume.
    PassedRole(&'static str),
    /// It takes over something that already runs as a role.
    Running,
    /// It gets the credentials of pods with associations.
    Pods,
}

impl EscalationOutcome {
    /// The snake-case name, without the service.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Own => "own_permissions",
            Self::Role => "another_role",
            Self::User => "a_user",
            Self::PassedRole(_) => "a_passed_role",
            Self::Running => "a_running_role",
            Self::Pods => "pods",
        }
    }
}

/// On what an action of a path must be allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum On {
    /// On some resource.
    Some,
    /// On the role itself, or on a customer's policy that is attached to it.
    Own,
    /// On a resource on which the action before it is allowed too.
    Same,
}

/// One action of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// The action.
    pub action: &'static str,
    /// On what.
    pub on: On,
}

/// One path.
#[derive(Debug, PartialEq, Eq)]
pub struct EscalationPath {
    /// A stable slug.
    pub id: &'static str,
    /// What it leads to.
    pub outcome: EscalationOutcome,
    /// What it takes, all of it; `iam:PassRole` first where a role is passed.
    pub steps: Vec<Step>,
}

impl EscalationPath {
    /// The actions that it takes.
    pub fn actions(&self) -> impl Iterator<Item = &'static str> {
        self.steps.iter().map(|step| step.action)
    }

    /// Whether it works only in the organisation's management account, and in a member account to
    /// which the administration of IAM Identity Center is delegated. Source: IAM Identity Center user
    /// guide, "Delegated administration".
    #[must_use]
    pub fn is_of_identity_center(&self) -> bool {
        self.actions().any(|action| action.starts_with("sso:"))
    }
}

impl fmt::Display for EscalationPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, action) in self.actions().enumerate() {
            write!(f, "{}{action}", if n == 0 { "" } else { " + " })?;
        }
        Ok(())
    }
}

static PATHS: LazyLock<Vec<EscalationPath>> = LazyLock::new(|| {
    let lines = include_str!("../../data/escalation.txt").lines();
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).filter_map(path).collect()
});

/// Every path that is known, in the order of the table.
#[must_use]
pub fn paths() -> &'static [EscalationPath] {
    &PATHS
}

pub(super) fn path(line: &'static str) -> Option<EscalationPath> {
    let mut words = line.split(' ');
    let id = words.next()?;
    let outcome = match words.next()? {
        "own" => EscalationOutcome::Own,
        "role" => EscalationOutcome::Role,
        "user" => EscalationOutcome::User,
        "running" => EscalationOutcome::Running,
        "pods" => EscalationOutcome::Pods,
        passed => EscalationOutcome::PassedRole(passed.strip_prefix("pass:")?),
    };
    let pass =
        matches!(outcome, EscalationOutcome::PassedRole(_)).then_some(Step { action: "iam:PassRole", on: On::Some });
    let step = |word: &'static str| match word.split_once('@') {
        None => Step { action: word, on: On::Some },
        Some((action, "own")) => Step { action, on: On::Own },
        Some((action, _)) => Step { action, on: On::Same },
    };
    Some(EscalationPath { id, outcome, steps: pass.into_iter().chain(words.map(step)).collect() })
}
