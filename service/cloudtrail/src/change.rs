//! Calls that change what is watched: one CloudTrail record, one change event.
//!
//! Knows which calls of IAM, EKS, Organizations, CloudTrail and EC2 change a role, a policy, an identity
//! provider, an association, an add-on, an access entry, a cluster, an organization or a trail; which
//! resources each names, and by which of its parameters; who called, through whose session and with what
//! program. A call that was refused or failed is a change event too, with its error. Documents are kept as
//! the caller wrote them; what may be a secret is not. Refuses to know what the change means.

mod agent;
mod kinds;
mod request;

pub(super) use agent::{Program, class_of};
pub(super) use kinds::{Call, call_of, is_watched};
pub(super) use request::{Parameters, Read};
pub use rolecall_estate::{Actor, AgentClass, ChangeEvent, ChangedResource, named_key, resource_key};

use rolecall_estate::id::Region;
use rolecall_estate::{AssociationKey, resource_type};
use rolecall_iam::AccountId;
use serde_json::Value;

/// The names of the calls that change what is watched and are recorded in a region: those that are made there,
/// and where the region is that of the partition's global services, those of IAM and Organizations. Of other
/// services some calls have the same names.
pub fn names_in(region: &Region) -> impl Iterator<Item = &'static str> {
    let global: &[&str] = if *region.as_str() == *global_region(region) { &kinds::GLOBAL } else { &[] };
    let more = global.iter().filter(|name| !kinds::REGIONAL.contains(name));
    kinds::REGIONAL.iter().chain(more).copied()
}

/// Where the partition of a region records the calls of its global services.
/// Source: <https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-concepts.html>.
#[must_use]
pub fn global_region(region: &Region) -> &'static str {
    let prefixes = [
        ("cn-", "cn-north-1"),
        ("us-gov-", "us-gov-west-1"),
        ("us-isob-", "us-isob-east-1"),
        ("us-iso-", "us-iso-east-1"),
    ];
    let found = prefixes.into_iter().find(|(prefix, _)| region.as_str().starts_with(prefix));
    found.map_or("us-east-1", |(_, global)| global)
}

/// A resource that a call changes.
fn changed(resource_type: &str, resource: impl Into<String>) -> ChangedResource {
    let resource_type = resource_type.to_owned();
    ChangedResource { resource_type, resource: resource.into(), association_id: None, is_changed: true }
}

/// A resource that a call only names.
fn only_named(resource: ChangedResource) -> ChangedResource {
    ChangedResource { is_changed: false, ..resource }
}

/// What tells a call's resources, besides its parameters.
#[derive(Debug, Clone, Copy)]
pub(super) struct Evidence<'t> {
    pub(super) account: AccountId,
    pub(super) region: &'t Region,
    pub(super) request: &'t Value,
    /// `responseElements`, and of an event that is no call `serviceEventDetails`.
    pub(super) response: &'t Value,
    pub(super) details: &'t Value,
    pub(super) error_message: Option<&'t str>,
}

impl Evidence<'_> {
    fn iam(&self, kind: &str, path: &str, name: &str) -> String {
        let slash = if path.starts_with('/') && path.ends_with('/') { path } else { "/" };
        format!("arn:{}:iam::{}:{kind}{slash}{name}", self.region.partition(), self.account)
    }

    fn regional(&self, service: &str, rest: &str) -> String {
        format!("arn:{}:{service}:{}:{}:{rest}", self.region.partition(), self.region, self.account)
    }

    fn association(&self, cluster: &str, namespace: &str, service_account: &str) -> Option<AssociationKey> {
        Some(AssociationKey {
            account_id: self.account,
            region: self.region.clone(),
            cluster: cluster.parse().ok()?,
            namespace: namespace.parse().ok()?,
            service_account: service_account.parse().ok()?,
        })
    }

    /// A parameter's text: of what was asked for.
    fn asked(&self, name: &str) -> Option<&str> {
        text(self.request, name)
    }

    /// A text of the answer, by the names of the objects on the way.
    fn answered(&self, path: &[&str]) -> Option<&str> {
        within(self.response, path)
    }
}

/// A member of an object, whatever the letter case of its name: CloudTrail's differs from service to
/// service.
fn member<'v>(value: &'v Value, name: &str) -> Option<&'v Value> {
    let object = value.as_object()?;
    object.get(name).or_else(|| object.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value))
}

fn text<'v>(value: &'v Value, name: &str) -> Option<&'v str> {
    member(value, name)?.as_str().filter(|text| !text.is_empty() && text.len() <= 2048)
}

fn within<'v>(value: &'v Value, path: &[&str]) -> Option<&'v str> {
    let (name, parents) = path.split_last()?;
    text(parents.iter().try_fold(value, |value, name| member(value, name))?, name)
}

/// What a call named, from what was told of it. A refused call often has no parameters: then AWS's message
/// names the resource.
pub(super) fn resources(call: Call, evidence: &Evidence<'_>) -> Vec<ChangedResource> {
    let mut found = kinds::resources(call, evidence);
    if found.is_empty() {
        found.extend(evidence.error_message.and_then(|message| refused_on(message, evidence)));
    }
    found.retain(|resource| resource.resource.len() <= 2048);
    found.sort_by(|a, b| {
        (&a.resource_type, &a.resource, !a.is_changed).cmp(&(&b.resource_type, &b.resource, !b.is_changed))
    });
    found.dedup_by(|next, kept| next.resource_type == kept.resource_type && next.resource == kept.resource);
    found
}

/// The resource of a refusal: `… is not authorized to perform: iam:PutRolePolicy on resource: role api …`.
fn refused_on(message: &str, evidence: &Evidence<'_>) -> Option<ChangedResource> {
    let (_, after) = message.split_once(" on resource: ")?;
    let mut words = after.split_whitespace();
    let first = words.next()?.trim_end_matches(['.', ',']);
    if let Some(kind) = resource_type(first) {
        return Some(of_arn(kind, first));
    }
    let name = words.next()?.trim_end_matches(['.', ',']);
    Some(match first {
        "role" => changed("AWS::IAM::Role", evidence.iam("role", "/", name)),
        "policy" if name.starts_with("arn:") => changed("AWS::IAM::ManagedPolicy", name),
        _ => return None,
    })
}

/// A resource of a known ARN.
fn of_arn(kind: &str, arn: &str) -> ChangedResource {
    let association_id = (kind == "AWS::EKS::PodIdentityAssociation")
        .then(|| arn.rsplit('/').next().unwrap_or_default().to_owned())
        .filter(|id| id.starts_with("a-"));
    ChangedResource { association_id, ..changed(kind, arn) }
}

/// The beginning of a text, of at most so many bytes.
pub(super) fn beginning(text: &str, longest: usize) -> String {
    let mut end = longest.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests;
