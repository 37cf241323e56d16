//! The drawn chain: service account → association role → target role, with what is known of each.
//!
//! A role that is not in the estate is told apart by why: seen to be missing, in an account that
//! nobody looks at, or not seen. Refuses to know rules.

use super::estate::PageContext;
use super::parts::{Node, role_href};
use crate::http::view::words::short_name;
use rolecall_estate::Association;
use rolecall_estate::coverage::{Scope, ScopeKind};
use rolecall_iam::RoleArn;
use rolecall_rules::{Subject, SubjectKind};
use rolecall_store::{AssociationRow, CoverageRow};

/// The chain of an association; `coverage` holds the listings of roles in the accounts of its roles.
pub(super) fn of_association(row: &AssociationRow, context: &PageContext, coverage: &[CoverageRow]) -> Vec<Node> {
    let Association { key, detail, .. } = &row.association;
    let mut nodes = vec![Node {
        class: "subject",
        icon: "cluster",
        kind: "Service account".to_owned(),
        name: format!("{}/{}", key.namespace, key.service_account),
        href: String::new(),
        notes: vec![format!("cluster {}, {}", key.cluster, key.region), context.names.of(key.account_id)],
    }];
    let Some(detail) = detail else {
        nodes.push(unseen("Association role", "The association could not be described"));
        return nodes;
    };
    nodes.push(role("Association role", &detail.role_arn, row.role_exists == Some(true), context, coverage));
    if let Some(target) = &detail.target_role_arn {
        let mut node = role("Target role", target, row.target_role_exists == Some(true), context, coverage);
        node.notes.push(if detail.external_id.is_some() {
            "with an external ID".to_owned()
        } else {
            "external ID unknown".to_owned()
        });
        nodes.push(node);
    }
    nodes
}

/// The chain of a finding's subject, as far as the finding itself tells it.
pub(super) fn of_subject(subject: &Subject, href: String, context: &PageContext) -> Vec<Node> {
    let mut nodes = Vec::new();
    let account = context.names.of(subject.account_id);
    if let (Some(namespace), Some(name)) = (&subject.namespace, &subject.service_account) {
        let place: Vec<&str> = [&subject.cluster, &subject.region].into_iter().flatten().map(String::as_str).collect();
        nodes.push(Node {
            class: if subject.kind == SubjectKind::Association { "subject" } else { "" },
            icon: "cluster",
            kind: "Service account".to_owned(),
            name: format!("{namespace}/{name}"),
            href: if subject.kind == SubjectKind::Association { href.clone() } else { String::new() },
            notes: vec![place.join(", "), account.clone()],
        });
    }
    for (kind, arn) in [("Role", &subject.role_arn), ("Target role", &subject.target_role_arn)] {
        let Some(arn) = arn else { continue };
        let mut node = role(kind, arn, false, context, &[]);
        // Whether it exists is the finding's own business here.
        node.class = if subject.kind == SubjectKind::Role && *arn == subject.key { "subject" } else { "" };
        node.notes.truncate(1);
        nodes.push(node);
    }
    if !nodes.iter().any(|node| node.class == "subject") {
        let (icon, kind) = match subject.kind {
            SubjectKind::Session => ("person", "Session"),
            SubjectKind::Cluster => ("cluster", "Cluster"),
            SubjectKind::Account => ("account", "Account"),
            SubjectKind::Policy => ("role", "Managed policy"),
            SubjectKind::Association => ("association", "Association"),
            SubjectKind::Role => ("role", "Role"),
            SubjectKind::Change => ("change", "Change"),
        };
        let name = super::parts::subject_name(subject);
        nodes.push(Node { class: "subject", icon, kind: kind.to_owned(), name, href, notes: vec![account] });
    }
    nodes
}

fn role(kind: &str, arn: &str, exists: bool, context: &PageContext, coverage: &[CoverageRow]) -> Node {
    let parsed = arn.parse::<RoleArn>().ok();
    let (class, note) = match &parsed {
        _ if exists => ("", None),
        None => ("missing", Some("not the ARN of a role")),
        Some(parsed) => absence(parsed, coverage),
    };
    let account = parsed.as_ref().map(|parsed| context.names.of(parsed.account_id()));
    Node {
        class,
        icon: "role",
        kind: kind.to_owned(),
        name: short_name(arn).to_owned(),
        href: if exists { context.href(&role_href(arn)) } else { String::new() },
        notes: account.into_iter().chain(note.map(str::to_owned)).collect(),
    }
}

/// Why a role is not in the estate.
fn absence(arn: &RoleArn, coverage: &[CoverageRow]) -> (&'static str, Option<&'static str>) {
    let scope = Scope::global(arn.account_id(), ScopeKind::Roles);
    match coverage.iter().find(|row| row.scope == scope) {
        Some(row) if row.complete => {
            ("missing", Some("does not exist: the listing of the account's roles is complete"))
        }
        Some(_) => ("unseen", Some("unknown: the listing of the account's roles is incomplete")),
        None => ("unseen", Some("in an account that is not scanned")),
    }
}

fn unseen(kind: &str, why: &str) -> Node {
    Node {
        class: "unseen",
        icon: "role",
        kind: kind.to_owned(),
        name: "not seen".to_owned(),
        href: String::new(),
        notes: vec![why.to_owned()],
    }
}
