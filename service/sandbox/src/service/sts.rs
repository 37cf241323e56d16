//! STS: entering an account, and saying who one is.

use super::{Call, Input};
use crate::estate::{account_of, text};
use crate::state::Caller;
use crate::wire::{Answer, Problem, Xml};
use chrono::SecondsFormat;

pub(super) fn answer(call: &Call<'_>, input: &Input) -> Result<Answer, Problem> {
    let result = match call.operation {
        "AssumeRole" => assume_role(call, input)?,
        "GetCallerIdentity" => identity(call.caller),
        _ => return Err(call.unknown()),
    };
    Ok(Answer::query(call.service, call.operation, call.request_id, &result))
}

fn identity(caller: &Caller) -> Xml {
    let mut xml = Xml::default();
    xml.leaf("Arn", &caller.arn);
    xml.leaf("UserId", &caller.user_id);
    xml.leaf("Account", &caller.account);
    xml
}

fn invalid(message: String) -> Problem {
    Problem::Named(400, "ValidationError", message)
}

fn assume_role(call: &Call<'_>, input: &Input) -> Result<Xml, Problem> {
    let missing = |name: &str| invalid(format!("1 validation error detected: Value null at '{name}' must not be null"));
    let arn = input.form("RoleArn").ok_or_else(|| missing("roleArn"))?;
    let name = input.form("RoleSessionName").ok_or_else(|| missing("roleSessionName"))?;
    let fits = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
    if !(2..=64).contains(&name.len()) || !name.chars().all(fits) {
        return Err(invalid(format!(
            "1 validation error detected: Value '{name}' at 'roleSessionName' failed to satisfy constraint: \
             Member must satisfy regular expression pattern: [\\w+=,.@-]*"
        )));
    }
    let seconds = input.form("DurationSeconds").map_or(Ok(3600), str::parse).unwrap_or(0);
    if !(900..=43_200).contains(&seconds) {
        return Err(invalid("The requested DurationSeconds is not within 900 and 43200".to_owned()));
    }
    let account = account_of(arn);
    let role = arn.rsplit('/').next().unwrap_or_default();
    let options = &call.state.options;
    let known = call.snapshot.estate.accounts.get(account);
    let external = options.external_id.as_deref().is_none_or(|id| input.form("ExternalId") == Some(id));
    // A role of another name, an account out of the estate and a wrong external id are refused in
    // the same words: AWS does not say whether the role exists.
    let Some(known) = known.filter(|_| role == options.audit_role && external) else {
        let who = &call.caller.arn;
        return Err(Problem::Denied(format!(
            "User: {who} is not authorized to perform: sts:AssumeRole on resource: {arn}"
        )));
    };
    let role_id = known.role(role).map(|r| text(r, "RoleId")).filter(|id| !id.is_empty());
    let role_id = role_id.map_or_else(|| crate::ids::role_id(arn), str::to_owned);
    let given = call.state.assume(account, role, &role_id, name, seconds);
    let mut xml = Xml::default();
    xml.element("AssumedRoleUser", |x| {
        x.leaf("AssumedRoleId", &given.caller.user_id);
        x.leaf("Arn", &given.caller.arn);
    });
    xml.element("Credentials", |x| {
        x.leaf("AccessKeyId", &given.access_key);
        x.leaf("SecretAccessKey", &given.secret);
        x.leaf("SessionToken", &given.token);
        x.leaf("Expiration", &given.until.to_rfc3339_opts(SecondsFormat::Secs, true));
    });
    xml.leaf("PackedPolicySize", "6");
    Ok(xml)
}
