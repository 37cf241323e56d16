//! The kinds of changes, as the API names them.

pub(crate) const ADDED: &str = "added";
pub(crate) const REMOVED: &str = "removed";
pub(crate) const RECREATED: &str = "recreated";
pub(crate) const TRUST: &str = "trust_policy_changed";
pub(crate) const INLINE_ADDED: &str = "inline_policy_added";
pub(crate) const INLINE_CHANGED: &str = "inline_policy_changed";
pub(crate) const INLINE_REMOVED: &str = "inline_policy_removed";
pub(crate) const ATTACHED: &str = "policy_attached";
pub(crate) const DETACHED: &str = "policy_detached";
pub(crate) const BOUNDARY_SET: &str = "permissions_boundary_set";
pub(crate) const BOUNDARY_CHANGED: &str = "permissions_boundary_changed";
pub(crate) const BOUNDARY_REMOVED: &str = "permissions_boundary_removed";
pub(crate) const TAGS: &str = "tags_changed";
pub(crate) const PROFILE_ADDED: &str = "added_to_instance_profile";
pub(crate) const PROFILE_REMOVED: &str = "removed_from_instance_profile";
pub(crate) const DEFAULT_VERSION: &str = "default_version_changed";
pub(crate) const ATTACHED_VERSION: &str = "attached_policy_version_changed";
pub(crate) const BOUNDARY_VERSION: &str = "permissions_boundary_version_changed";
pub(crate) const ROLE: &str = "role_changed";
pub(crate) const TARGET_SET: &str = "target_role_set";
pub(crate) const TARGET_CHANGED: &str = "target_role_changed";
pub(crate) const TARGET_REMOVED: &str = "target_role_removed";
pub(crate) const EXTERNAL_ID: &str = "external_id_changed";
pub(crate) const SESSION_TAGS_OFF: &str = "session_tags_disabled";
pub(crate) const SESSION_TAGS_ON: &str = "session_tags_enabled";
pub(crate) const SESSION_POLICY_SET: &str = "session_policy_set";
pub(crate) const SESSION_POLICY_CHANGED: &str = "session_policy_changed";
pub(crate) const SESSION_POLICY_REMOVED: &str = "session_policy_removed";
pub(crate) const OWNER: &str = "owner_changed";
pub(crate) const FIELD: &str = "field_changed";
pub(crate) const DOCUMENT: &str = "document_changed";
pub(crate) const TARGET_ATTACHED: &str = "attached_to_target";
pub(crate) const TARGET_DETACHED: &str = "detached_from_target";
pub(crate) const MOVED: &str = "moved";
pub(crate) const RENAMED: &str = "renamed";
pub(crate) const STATUS: &str = "status_changed";
pub(crate) const CHANGED: &str = "changed";
pub(crate) const SELECTORS: &str = "event_selectors_changed";
pub(crate) const CLIENT_ID_ADDED: &str = "client_id_added";
pub(crate) const CLIENT_ID_REMOVED: &str = "client_id_removed";
pub(crate) const THUMBPRINTS: &str = "thumbprints_changed";
pub(crate) const LOGGING_STOPPED: &str = "logging_stopped";
pub(crate) const LOGGING_STARTED: &str = "logging_started";

/// Every kind of change with what it says.
pub(crate) const KINDS: &[(&str, &str)] = &[
    (ADDED, "It is there now, and a complete listing before did not have it."),
    (REMOVED, "It is not there any more, as two complete listings show."),
    (RECREATED, "It was deleted and made anew under the same name: its unique id is another one."),
    (TRUST, "A role's trust policy."),
    (INLINE_ADDED, "An inline policy of a role."),
    (INLINE_CHANGED, "The document of an inline policy of a role."),
    (INLINE_REMOVED, "An inline policy of a role."),
    (ATTACHED, "A managed policy was attached to a role."),
    (DETACHED, "A managed policy was detached from a role."),
    (BOUNDARY_SET, "A role has a permissions boundary, and had none."),
    (BOUNDARY_CHANGED, "A role has another permissions boundary."),
    (BOUNDARY_REMOVED, "A role has no permissions boundary any more."),
    (TAGS, "Tags of a resource."),
    (PROFILE_ADDED, "A role was added to an instance profile."),
    (PROFILE_REMOVED, "A role was removed from an instance profile."),
    (DEFAULT_VERSION, "Another version of a managed policy is its default version."),
    (ATTACHED_VERSION, "A role follows: a policy attached to it has another default version."),
    (BOUNDARY_VERSION, "A role follows: its permissions boundary has another default version."),
    (ROLE, "An association's role."),
    (TARGET_SET, "An association has a target role, and had none."),
    (TARGET_CHANGED, "An association has another target role."),
    (TARGET_REMOVED, "An association has no target role any more."),
    (EXTERNAL_ID, "An association's external id."),
    (SESSION_TAGS_OFF, "An association's sessions have no session tags any more."),
    (SESSION_TAGS_ON, "An association's sessions have session tags."),
    (SESSION_POLICY_SET, "An association has a session policy, and had none."),
    (SESSION_POLICY_CHANGED, "The document of an association's session policy."),
    (SESSION_POLICY_REMOVED, "An association has no session policy any more."),
    (OWNER, "The add-on that owns an association."),
    (FIELD, "A field of a resource, named by `part`."),
    (DOCUMENT, "The document of a policy."),
    (TARGET_ATTACHED, "An organization policy was attached to a root, unit or account."),
    (TARGET_DETACHED, "An organization policy was detached from a root, unit or account."),
    (MOVED, "An account or organizational unit has another parent."),
    (RENAMED, "An organizational unit has another name."),
    (STATUS, "An account's status in the organization."),
    (CHANGED, "The configuration of an add-on or access entry."),
    (SELECTORS, "What a trail's event selectors take in."),
    (CLIENT_ID_ADDED, "An OIDC provider takes tokens for one more client id (audience)."),
    (CLIENT_ID_REMOVED, "An OIDC provider takes no tokens for a client id (audience) any more."),
    (THUMBPRINTS, "The certificate thumbprints of an OIDC provider."),
    (LOGGING_STOPPED, "A trail is not logging any more."),
    (LOGGING_STARTED, "A trail is logging, and was not."),
];
