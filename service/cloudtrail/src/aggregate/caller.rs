//! The session of a role that called, by its role and name.

use super::batch::{Batch, Principal, at, kept, number};
use crate::event::Caller;
use crate::problem::{Fault, ProblemKind};
use crate::shape;
use std::hash::BuildHasher as _;

impl Batch {
    pub(super) fn principal(&mut self, caller: &Caller<'_>) -> Result<u32, Fault> {
        let (role, name) = role_and_name(caller)?;
        let equals = |principal: &Principal| {
            principal.access_key_id.as_deref() == caller.access_key_id
                && principal.session_name.as_deref() == name
                && role.is(&principal.role_arn)
        };
        if let Some(last) = self.last_principal
            && at(&self.principals, last).is_some_and(equals)
        {
            return Ok(last);
        }
        for (text, field) in [
            (caller.access_key_id.unwrap_or_default(), "/userIdentity/accessKeyId"),
            (caller.arn, "/userIdentity/arn"),
            (caller.issuer.unwrap_or_default(), "/userIdentity/sessionContext/sessionIssuer/arn"),
            (name.unwrap_or_default(), "/userIdentity/principalId"),
        ] {
            kept(text, field)?;
        }
        let hasher = &self.hasher;
        let hash = hasher.hash_one((caller.access_key_id, name));
        let text = &mut self.text;
        let number = number(
            &mut self.principals,
            &mut self.principal_names,
            hash,
            equals,
            |p| hasher.hash_one((p.access_key_id.as_deref(), p.session_name.as_deref())),
            || {
                *text += caller.arn.len() * 2 + 160;
                Principal {
                    access_key_id: caller.access_key_id.map(Box::from),
                    role_arn: role.text().into(),
                    session_name: name.map(Box::from),
                    origins: Vec::new(),
                }
            },
        );
        self.last_principal = Some(number);
        Ok(number)
    }
}

/// A role's ARN, as the record has it or as its session's ARN tells it.
#[derive(Clone, Copy)]
enum RoleText<'c> {
    Whole(&'c str),
    /// Partition, account and name, of a session's ARN: the path is not in it.
    OfSession(&'c str, &'c str, &'c str),
}

impl RoleText<'_> {
    fn is(self, text: &str) -> bool {
        match self {
            Self::Whole(own) => own == text,
            Self::OfSession(partition, account, name) => {
                let rest = text.strip_prefix("arn:").and_then(|rest| rest.strip_prefix(partition));
                let rest = rest.and_then(|rest| rest.strip_prefix(":iam::")?.strip_prefix(account));
                rest.and_then(|rest| rest.strip_prefix(":role/")).is_some_and(|rest| rest == name)
            }
        }
    }

    pub(super) fn text(self) -> String {
        match self {
            Self::Whole(text) => text.to_owned(),
            Self::OfSession(partition, account, name) => format!("arn:{partition}:iam::{account}:role/{name}"),
        }
    }
}

fn role_and_name<'c>(caller: &Caller<'c>) -> Result<(RoleText<'c>, Option<&'c str>), Fault> {
    let of_session = match shape::parts(caller.arn) {
        Some(["arn", partition, "sts", _, account, resource]) => resource
            .strip_prefix("assumed-role/")
            .and_then(|rest| rest.split_once('/'))
            .map(|(role, name)| (RoleText::OfSession(partition, account, role), name)),
        _ => None,
    };
    let name = of_session.map(|(_, name)| name).or_else(|| caller.principal_id.split_once(':').map(|(_, name)| name));
    let role = caller.issuer.map(RoleText::Whole).or_else(|| of_session.map(|(role, _)| role)).ok_or_else(|| {
        Fault::new(
            ProblemKind::Missing,
            "/userIdentity/sessionContext/sessionIssuer/arn",
            "missing, and the session's own ARN does not tell the role",
            "the role's ARN is needed",
        )
    })?;
    Ok((role, name.filter(|name| !name.is_empty())))
}
