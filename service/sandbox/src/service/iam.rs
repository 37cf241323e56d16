//! IAM: the authorization details of an account, one role, and the OIDC providers.

use super::{Call, Input, MALFORMED};
use crate::estate::text;
use crate::state::{Item, ItemKind};
use crate::wire::{Answer, Problem, Xml, is_document, page};
use serde_json::{Value, json};

pub(super) fn answer(call: &Call<'_>, input: &Input) -> Result<Answer, Problem> {
    let result = match call.operation {
        "GetAccountAuthorizationDetails" => details(call, input)?,
        "GetRole" => role(call, input)?,
        "ListOpenIDConnectProviders" => providers(call),
        "GetOpenIDConnectProvider" => provider(call, input)?,
        _ => return Err(call.unknown()),
    };
    Ok(Answer::query(call.service, call.operation, call.request_id, &result))
}

fn invalid(message: &str) -> Problem {
    Problem::Named(400, "ValidationError", message.to_owned())
}

fn kind_named(name: &str) -> Option<ItemKind> {
    Some(match name {
        "User" => ItemKind::User,
        "Group" => ItemKind::Group,
        "Role" => ItemKind::Role,
        "LocalManagedPolicy" => ItemKind::LocalPolicy,
        "AWSManagedPolicy" => ItemKind::AwsPolicy,
        _ => return None,
    })
}

fn details(call: &Call<'_>, input: &Input) -> Result<Xml, Problem> {
    let Input::Form(parameters) = input else { return Err(call.unknown()) };
    let mut kinds = Vec::new();
    for (_, value) in parameters.iter().filter(|(key, _)| key.starts_with("Filter.member.")) {
        kinds.push(kind_named(value).ok_or_else(|| {
            invalid(
                "1 validation error detected: Value at 'filter' failed to satisfy constraint: Member must satisfy \
                 enum value set: [User, Role, Group, LocalManagedPolicy, AWSManagedPolicy]",
            )
        })?);
    }
    let asked = input.form("MaxItems").map_or(Ok(100), str::parse).unwrap_or(0);
    if !(1..=1000).contains(&asked) {
        return Err(invalid("1 validation error detected: Value at 'maxItems' must be between 1 and 1000"));
    }
    let all = call.snapshot.details(&call.caller.account);
    let own = own_role(call);
    let listed: Vec<&Item> =
        all.iter().chain(&own).filter(|item| kinds.is_empty() || kinds.contains(&item.kind)).collect();
    let listing = format!("details {} {kinds:?}", call.caller.account);
    let page = page(&listed, &listing, input.form("Marker"), call.limit(asked), call.paging)
        .map_err(|_| invalid("Invalid Marker: "))?;
    let mut xml = Xml::with_capacity(page.items.iter().map(|i| i.xml.len()).sum::<usize>() + 500);
    let lists: [(&str, &[ItemKind]); 4] = [
        ("UserDetailList", &[ItemKind::User]),
        ("GroupDetailList", &[ItemKind::Group]),
        ("RoleDetailList", &[ItemKind::Role]),
        ("Policies", &[ItemKind::LocalPolicy, ItemKind::AwsPolicy]),
    ];
    xml.leaf("IsTruncated", if page.next.is_some() { "true" } else { "false" });
    for (name, of) in lists {
        xml.element(name, |x| {
            for item in page.items.iter().filter(|item| of.contains(&item.kind)) {
                if call.malformed_policy {
                    x.0.push_str(&with_malformed_documents(&item.xml));
                } else {
                    x.0.push_str(&item.xml);
                }
            }
        });
    }
    if let Some(next) = &page.next {
        xml.leaf("Marker", next);
    }
    Ok(xml)
}

/// The role with which the account was entered, where the estate does not describe it: IAM lists it.
fn own_role(call: &Call<'_>) -> Option<Item> {
    let (account, arn) = (&call.caller.account, &call.caller.arn);
    let name = arn.split_once(":assumed-role/")?.1.split('/').next()?;
    if call.snapshot.estate.accounts.get(account).is_none_or(|known| known.role(name).is_some()) {
        return None;
    }
    let arn = format!("arn:aws:iam::{account}:role/{name}");
    let trust = json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": {"AWS": format!("arn:aws:iam::{account}:root")}, "Action": "sts:AssumeRole",
    }]});
    let role = json!({
        "Path": "/", "RoleName": name, "RoleId": crate::ids::role_id(&arn), "Arn": arn,
        "CreateDate": "2025-01-02T03:04:05Z", "AssumeRolePolicyDocument": trust,
        "InstanceProfileList": [], "RolePolicyList": [], "AttachedManagedPolicies": [],
    });
    let mut xml = Xml::default();
    xml.element("member", |x| {
        for (key, value) in role.as_object().into_iter().flatten() {
            x.value(key, value);
        }
    });
    Some(Item { kind: ItemKind::Role, xml: xml.0 })
}

/// Replaces the text of every document in rendered XML.
fn with_malformed_documents(xml: &str) -> String {
    let mut out = String::with_capacity(xml.len());
    let mut rest = xml;
    while let Some(start) = rest.find("Document>") {
        let (before, after) = rest.split_at(start + "Document>".len());
        let Some((_, tail)) = after.split_once("</") else { break };
        out.push_str(before);
        out.push_str(&percent_encoding::utf8_percent_encode(MALFORMED, percent_encoding::NON_ALPHANUMERIC).to_string());
        out.push_str("</");
        // The end tag itself must not be taken for a start.
        let (end, next) = tail.split_once('>').unwrap_or((tail, ""));
        out.push_str(end);
        out.push('>');
        rest = next;
    }
    out.push_str(rest);
    out
}

fn role(call: &Call<'_>, input: &Input) -> Result<Xml, Problem> {
    let name = input.form("RoleName").unwrap_or_default();
    let account = call.snapshot.estate.accounts.get(&call.caller.account);
    let Some(role) = account.and_then(|a| a.role(name)) else {
        return Err(Problem::Named(404, "NoSuchEntity", format!("The role with name {name} cannot be found.")));
    };
    // GetRole says less of a role than the authorization details do.
    let told = [
        "Path",
        "RoleName",
        "RoleId",
        "Arn",
        "CreateDate",
        "AssumeRolePolicyDocument",
        "Description",
        "MaxSessionDuration",
        "PermissionsBoundary",
        "Tags",
        "RoleLastUsed",
    ];
    let malformed = Value::String(MALFORMED.to_owned());
    let mut xml = Xml::default();
    xml.element("Role", |x| {
        for (key, value) in role.as_object().into_iter().flatten().filter(|(k, _)| told.contains(&k.as_str())) {
            x.value(key, if call.malformed_policy && is_document(key) { &malformed } else { value });
        }
        if text(role, "MaxSessionDuration").is_empty() && role.get("MaxSessionDuration").is_none() {
            x.leaf("MaxSessionDuration", "3600");
        }
    });
    Ok(xml)
}

fn providers(call: &Call<'_>) -> Xml {
    let mut xml = Xml::default();
    xml.element("OpenIDConnectProviderList", |x| {
        let account = call.snapshot.estate.accounts.get(&call.caller.account);
        for provider in account.into_iter().flat_map(|a| &a.oidc_providers) {
            x.element("member", |x| x.leaf("Arn", text(provider, "Arn")));
        }
    });
    xml
}

fn provider(call: &Call<'_>, input: &Input) -> Result<Xml, Problem> {
    let arn = input.form("OpenIDConnectProviderArn").unwrap_or_default();
    let account = call.snapshot.estate.accounts.get(&call.caller.account);
    let Some(provider) = account.and_then(|a| a.oidc_providers.iter().find(|it| text(it, "Arn") == arn)) else {
        let message = format!("OpenIDConnect Provider not found for arn {arn}");
        return Err(Problem::Named(404, "NoSuchEntity", message));
    };
    let mut xml = Xml::default();
    xml.leaf("Url", arn.split_once("oidc-provider/").map_or("", |(_, url)| url));
    for key in ["ClientIDList", "ThumbprintList", "CreateDate", "Tags"] {
        if let Some(value) = provider.get(key) {
            xml.value(key, value);
        }
    }
    Ok(xml)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_document_of_an_item_is_spoiled_and_nothing_else() {
        let xml = "<member><RoleName>a</RoleName><AssumeRolePolicyDocument>x</AssumeRolePolicyDocument><L><member>\
                   <PolicyName>p</PolicyName><PolicyDocument>y</PolicyDocument></member></L></member>";
        let spoiled = with_malformed_documents(xml);
        assert!(!spoiled.contains(">x<") && !spoiled.contains(">y<"), "{spoiled}");
        assert_eq!(spoiled.matches("%7B%22Version%22").count(), 2);
        assert!(
            spoiled.contains("<PolicyName>p</PolicyName>")
                && spoiled.ends_with("</PolicyDocument></member></L></member>")
        );
    }
}
