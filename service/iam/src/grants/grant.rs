//! What the questions about granted actions answer.

use crate::matching::action_set::ActionSet;
use crate::policy::site::{Answer, Site};
use crate::truth::Truth;

/// A statement that grants what was asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The statement.
    pub site: Site,
    /// Whether a condition that can fail stands before it.
    pub conditional: bool,
    /// Whether it grants all actions but those that it names (`NotAction`).
    pub all_but: bool,
    /// The patterns concerned, as written.
    pub patterns: Vec<String>,
    /// Those of the patterns that name nothing the catalogue knows: an action, or a service, that is
    /// newer than it.
    pub unlisted: Vec<String>,
    /// The catalogue's actions concerned, after every ceiling and Deny.
    pub actions: ActionSet,
    /// Those of them that are granted on every resource that they act on, conditions aside.
    pub everywhere: ActionSet,
    /// Whether the statement names every resource, so that what it grants of actions that the
    /// catalogue does not have is granted everywhere.
    pub names_everything: bool,
    /// Whether a condition on the resource itself stands before it; see `Condition::is_on_resource`.
    pub limits_resources: bool,
}

/// The grants that answer a question, and whether the answer is certain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    /// True: there are such grants. Unknown: a ceiling that was not seen or read may take them away,
    /// or, where there are none, an identity policy that was not seen or read may have some.
    pub truth: Truth,
    /// The grants that were seen, even where the answer is unknown.
    pub grants: Vec<Grant>,
}

/// What makes a role as good as an administrator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdminBy {
    /// Every action on every resource.
    Everything,
    /// All of IAM on every resource: it can give itself the rest.
    Iam,
}

/// Whether the role is as good as an administrator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admin {
    /// Whether, and the statements that make it so together.
    pub answer: Answer,
    /// How; `None` where it is not.
    pub by: Option<AdminBy>,
    /// Whether it takes a statement with a condition.
    pub conditional: bool,
}

/// A statement that lets the role pass every role to a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassRole {
    /// The grant of `iam:PassRole`.
    pub grant: Grant,
    /// True: some service may be refused. False: any service may be passed a role.
    pub service_limited: Truth,
    /// The values of `iam:PassedToService` in the statement's own conditions.
    pub passed_to: Vec<String>,
}

/// The grants of `iam:PassRole` on every role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassRoles {
    /// As in [`Granted`].
    pub truth: Truth,
    /// The grants that were seen.
    pub grants: Vec<PassRole>,
}

/// The sets of a stack's grants alone: they hold none of its documents, so that a hundred thousand can
/// be held at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantSets {
    /// As `Grants::actions`.
    pub possible: ActionSet,
    /// As `Grants::on_every_resource`.
    pub everywhere: ActionSet,
    /// As `Grants::certainly_allowed`.
    pub certain: ActionSet,
    /// As `Grants::admin_equivalent`.
    pub admin: Truth,
}
