//! Where the statements of a finding's evidence stand: which policy of which role, and how it is attached.
//!
//! Refuses to name a place whose document is another one than the evidence has: the policy changed since.

use rolecall_estate::{Estate, Role};
use rolecall_iam::{Arn, Document};
use rolecall_rules::{Evidence, Subject};
use std::collections::BTreeSet;

/// How a policy belongs to its role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    /// The trust policy.
    Trust,
    /// An inline policy, by its name.
    Inline(String),
    /// A customer managed policy that is attached.
    Customer(Arn),
    /// A policy of AWS that is attached.
    Aws(Arn),
    /// The permissions boundary.
    Boundary(Arn),
}

/// A policy of a role, with the statements that decided.
#[derive(Debug, Clone)]
pub(super) struct Target<'a> {
    pub(super) role: &'a Role,
    pub(super) part: Part,
    pub(super) document: &'a Document,
    /// Positions of the statements, from 0.
    pub(super) statements: BTreeSet<usize>,
}

/// The policies that evidence names, each once, in the order of the evidence.
pub(super) fn targets<'a>(estate: &'a Estate, subject: &Subject, evidence: &[Evidence]) -> Vec<Target<'a>> {
    let names = [&subject.role_arn, &subject.target_role_arn];
    let roles: Vec<&Role> = names
        .into_iter()
        .flatten()
        .filter_map(|arn| estate.roles.iter().find(|role| role.arn.as_str() == arn))
        .collect();
    let mut found: Vec<Target<'a>> = Vec::new();
    for one in evidence {
        let Some(document) = one.document.as_ref().and_then(|digest| estate.documents.get(digest)) else { continue };
        let Some(statement) = statement(&one.pointer) else { continue };
        for role in &roles {
            let Some(part) = part(estate, role, one) else { continue };
            match found.iter_mut().find(|it| it.role.arn == role.arn && it.part == part) {
                Some(known) => drop(known.statements.insert(statement)),
                None => found.push(Target { role, part, document, statements: [statement].into() }),
            }
            break;
        }
    }
    found
}

fn part(estate: &Estate, role: &Role, evidence: &Evidence) -> Option<Part> {
    let (source, digest) = (evidence.source.as_str(), evidence.document?);
    if role.trust == Some(digest) && source.contains("trust policy") {
        return Some(Part::Trust);
    }
    if let Some(name) = source.strip_prefix("inline policy ") {
        let own = role.inline.iter().find(|it| it.name == name && it.document == digest);
        return own.map(|it| Part::Inline(it.name.clone()));
    }
    let is_document = |arn: &Arn| {
        let mut rows = estate.policies.iter().filter(|it| it.arn == *arn);
        rows.any(|it| it.document == Some(digest))
    };
    if let Some(arn) = source.strip_prefix("permissions boundary ") {
        let boundary = role.boundary.as_ref().filter(|it| it.as_str() == arn && is_document(it));
        return boundary.map(|it| Part::Boundary(it.clone()));
    }
    let attached = role.attached.iter().map(|it| &it.arn).find(|arn| arn.as_str() == source && is_document(arn));
    attached.map(|arn| if arn.account() == "aws" { Part::Aws(arn.clone()) } else { Part::Customer(arn.clone()) })
}

/// The statement that a pointer leads into.
fn statement(pointer: &str) -> Option<usize> {
    let rest = pointer.strip_prefix("/Statement")?;
    let Some(rest) = rest.strip_prefix('/') else { return rest.is_empty().then_some(0) };
    // `/Statement/Action` is of a document with one statement that stands in no list.
    Some(rest.split('/').next().and_then(|index| index.parse().ok()).unwrap_or(0))
}
