//! What a file is, by what it holds.

use super::decompress::is_gzip;
use super::item::Fault;
use super::organizations;
use serde_json::Value;

/// How many bytes of a file are looked at to tell CloudTrail records from everything else.
const HEAD: usize = 16 * 1024;

/// What a file turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileKind {
    /// A list of accounts.
    Accounts,
    /// `GetAccountAuthorizationDetails`.
    AuthorizationDetails,
    /// `ListOpenIDConnectProviders`.
    OidcProviders,
    /// `GetOpenIDConnectProvider`.
    OidcProvider,
    /// Descriptions of clusters.
    Clusters,
    /// A listing of associations, with or without their descriptions.
    Associations,
    /// The description of one association.
    Association,
    /// Descriptions of add-ons.
    Addons,
    /// Access entries with their policies.
    AccessEntries,
    /// Trails with their selectors.
    Trails,
    /// CloudTrail records.
    Trail,
    /// Organisation policies with their targets.
    OrgPolicies,
    /// The organisation's roots, OUs and accounts.
    OrgTree,
    /// A digest, by which CloudTrail's files are checked. It tells nothing of the estate.
    TrailDigest,
    /// Not a kind that is read; a problem says so.
    Unrecognised,
}

impl FileKind {
    /// What people call it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accounts => "accounts",
            Self::AuthorizationDetails => "account authorization details",
            Self::OidcProviders => "OIDC providers",
            Self::OidcProvider => "OIDC provider",
            Self::Clusters => "clusters",
            Self::Associations => "pod identity associations",
            Self::Association => "pod identity association",
            Self::Addons => "add-ons",
            Self::AccessEntries => "access entries",
            Self::Trails => "trails",
            Self::Trail => "CloudTrail records",
            Self::OrgPolicies => "organisation policies",
            Self::OrgTree => "organisation tree",
            Self::TrailDigest => "CloudTrail digest",
            Self::Unrecognised => "not a kind that is read",
        }
    }
}

/// Whether a file that begins so, gzipped or not, is read as one of CloudTrail records.
#[must_use]
pub fn holds_records(bytes: &[u8]) -> bool {
    let cut = if is_gzip(bytes) { bytes.len() } else { HEAD };
    // A file that is cut off is told apart by what it begins with, too.
    let head = rolecall_cloudtrail::plain_head(bytes.get(..cut).unwrap_or(bytes));
    let text = String::from_utf8_lossy(head.get(..HEAD).unwrap_or(&head));
    let first_key = text.trim_start_matches('\u{feff}').trim_start().strip_prefix('{').map(str::trim_start);
    let first_key = first_key.unwrap_or_default();
    let names = |names: [&str; 2]| names.iter().all(|name| text.contains(name));
    first_key.starts_with("\"Records\"")
        || text.contains("\"CloudTrailEvent\"")
        || names(["\"eventSource\"", "\"eventName\""])
        // A record within a text.
        || names(["\\\"eventSource\\\"", "\\\"eventName\\\""])
        || (first_key.starts_with("\"Events\"") && text.contains("\"EventId\""))
}

pub(super) fn kind_of(value: &Value) -> FileKind {
    let Some(map) = value.as_object() else { return FileKind::Unrecognised };
    let has = |key: &str| map.contains_key(key);
    let objects = |key: &str| map.get(key).and_then(Value::as_array).is_some_and(|l| l.iter().all(Value::is_object));
    let versions = || map.get("Policies").and_then(Value::as_array)?.first()?.get("PolicyVersionList");
    if has("digestStartTime") && has("digestPublicKeyFingerprint") {
        FileKind::TrailDigest
    } else if has("RoleDetailList") || has("UserDetailList") || has("GroupDetailList") || versions().is_some() {
        FileKind::AuthorizationDetails
    } else if has("OpenIDConnectProviderList") {
        FileKind::OidcProviders
    } else if has("Url") && (has("ClientIDList") || has("ThumbprintList")) {
        FileKind::OidcProvider
    } else if objects("clusters") || map.get("cluster").is_some_and(Value::is_object) {
        FileKind::Clusters
    } else if objects("associations") {
        FileKind::Associations
    } else if map.get("association").is_some_and(Value::is_object) {
        FileKind::Association
    } else if objects("addons") || map.get("addon").is_some_and(Value::is_object) {
        FileKind::Addons
    } else if objects("accessEntries") || map.get("accessEntry").is_some_and(Value::is_object) {
        FileKind::AccessEntries
    } else if objects("trails") || objects("trailList") {
        FileKind::Trails
    } else if organizations::is_tree(map) {
        FileKind::OrgTree
    } else if organizations::is_policies(map) {
        FileKind::OrgPolicies
    } else if objects("accounts") || objects("Accounts") {
        FileKind::Accounts
    } else {
        FileKind::Unrecognised
    }
}

/// What to say about a file that is none of the kinds.
pub(super) fn unknown_kind(value: &Value) -> Fault {
    let key = |key: &str| value.get(key).is_some();
    if key("Statement") {
        let remedy = "put it into organizations/policies.json with its id, type and targets";
        return Fault::new("", "a policy document that does not say what it is attached to", remedy);
    }
    if key("Role") || key("Roles") || key("User") {
        let remedy = "give the output of `aws iam get-account-authorization-details`";
        return Fault::new("", "not a kind that is read: it lacks the policies of the roles", remedy);
    }
    if key("clusters") {
        let remedy = "give the output of `aws eks describe-cluster` for each";
        return Fault::new("/clusters", "not a kind that is read: it has the clusters' names only", remedy);
    }
    if key("associations") {
        let remedy = "give the output of `aws eks list-pod-identity-associations`";
        return Fault::new("/associations", "the associations are not objects", remedy);
    }
    if value.as_array().is_some_and(Vec::is_empty) {
        return Fault::new("", "an empty list, which does not say of what", "give the whole answer, without `--query`");
    }
    let remedy = "give account authorization details, clusters, associations, CloudTrail records, \
                  organisation policies or the list of accounts, as the AWS CLI prints them";
    Fault::new("", "not a kind that is read", remedy)
}
