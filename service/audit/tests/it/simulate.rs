//! Questions to an estate of which a part was not seen: nothing is allowed by what is only remembered.

use crate::small::{API, HOME, Small};
use rolecall_audit::access::simulate::{Question, WhatIf, ask};
use rolecall_estate::coverage::ScopeKind;

const POD: &str = "111122223333/eu-west-1/prod/pay/api";

fn decision(small: &Small, principal: &str) -> String {
    let question = Question {
        principal: principal.to_owned(),
        action: "s3:GetObject".to_owned(),
        resource: "arn:aws:s3:::orders/1".to_owned(),
        resource_account: Some(HOME.parse().unwrap()),
        context: Vec::new(),
        closed: false,
        what_if: WhatIf { resource: Some(Vec::new()), ..WhatIf::default() },
    };
    ask(&small.0, &question).unwrap().explain().outcome.as_str().to_owned()
}

#[test]
fn what_was_seen_decides() {
    for principal in [API, POD] {
        assert_eq!(decision(&Small::new(), principal), "Allow", "{principal}");
    }
}

#[test]
fn what_is_only_remembered_does_not() {
    for principal in [API, POD] {
        assert_eq!(decision(&Small::new().gap(ScopeKind::Roles), principal), "Unknown", "{principal}");
        assert_eq!(decision(&Small::new().gap(ScopeKind::OrgPolicies), principal), "Unknown", "{principal}");
    }
    for kind in [ScopeKind::Associations, ScopeKind::AssociationDetails] {
        assert_eq!(decision(&Small::new().gap(kind), POD), "Unknown", "{kind}");
        assert_eq!(decision(&Small::new().gap(kind), API), "Allow", "{kind}");
    }
}
