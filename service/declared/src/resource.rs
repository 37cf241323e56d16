//! What a format's reader gives, before it is put together.

use rolecall_estate::declared::{AttachedPolicy, Format, InlinePolicy, Place, Reference, Resource, Text, Unresolved};
use rolecall_iam::AccountId;

/// What a format's reader gives: a resource, or a policy of a role that may be declared elsewhere.
#[derive(Debug, Clone)]
pub enum Item {
    /// A resource.
    Resource(Resource),
    /// An inline policy of a role.
    Inline {
        /// The role.
        role: Reference,
        /// Its account, where it is known.
        account: Option<AccountId>,
        /// The policy.
        policy: InlinePolicy,
    },
    /// A policy that is attached to a role.
    Attached {
        /// The role.
        role: Reference,
        /// Its account, where it is known.
        account: Option<AccountId>,
        /// The policy.
        policy: AttachedPolicy,
    },
}

/// An item and where it is declared.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) place: Place,
    pub(crate) format: Format,
    pub(crate) key: String,
    pub(crate) condition: Option<Unresolved>,
    pub(crate) item: Item,
}

/// The ARN of a role or policy of an account.
pub(crate) fn arn(partition: &Text, account: Option<AccountId>, kind: &str, path: Option<&Text>, name: &Text) -> Text {
    let account = account.map_or_else(|| Text::open("the account is not said"), |id| Text::known(id.to_string()));
    Text::joined([
        Text::known("arn:"),
        partition.clone(),
        Text::known(":iam::"),
        account,
        Text::known(format!(":{kind}")),
        path.cloned().unwrap_or_else(|| Text::known("/")),
        name.clone(),
    ])
}
