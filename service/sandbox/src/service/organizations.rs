//! Organizations: the tree of accounts, and the policies on it. Only the management account may
//! ask, but for `DescribeOrganization`, which any member may.

use super::{Call, MALFORMED};
use crate::estate::{Member, OrgPolicy, Organization, text};
use crate::wire::{Answer, Page, Problem, page};
use serde_json::{Value, json};

pub(super) fn answer(call: &Call<'_>, input: &Value) -> Result<Answer, Problem> {
    let organization = call.snapshot.estate.organization.as_ref();
    let organization = organization.filter(|o| o.members.iter().any(|m| m.id == call.caller.account));
    let Some(organization) = organization else {
        let message = "Your account is not a member of an organization.";
        return Err(Problem::Named(400, "AWSOrganizationsNotInUseException", message.to_owned()));
    };
    if call.operation != "DescribeOrganization" && call.caller.account != organization.management {
        return Err(Problem::Denied("You don't have permissions to access this resource.".to_owned()));
    }
    let body = Asked { call, input, organization }.answer()?;
    Ok(Answer::ok(body.to_string()))
}

struct Asked<'a> {
    call: &'a Call<'a>,
    input: &'a Value,
    organization: &'a Organization,
}

fn refused(code: &'static str, message: &str) -> Problem {
    Problem::Named(400, code, message.to_owned())
}

impl Asked<'_> {
    fn answer(&self) -> Result<Value, Problem> {
        let organization = self.organization;
        let input = |key| text(self.input, key);
        Ok(match self.call.operation {
            "DescribeOrganization" => json!({"Organization": self.describe()}),
            "ListAccounts" => {
                let listed: Vec<Value> = organization.members.iter().map(|m| self.member(m)).collect();
                self.list("Accounts", "", &listed)?
            }
            "DescribeAccount" => {
                let found = organization.members.iter().find(|m| m.id == input("AccountId"));
                let found = found.ok_or_else(|| {
                    refused("AccountNotFoundException", "You specified an account that doesn't exist.")
                })?;
                json!({"Account": self.member(found)})
            }
            "ListRoots" => {
                let types: Vec<Value> = ["SERVICE_CONTROL_POLICY", "RESOURCE_CONTROL_POLICY"]
                    .iter()
                    .filter(|kind| organization.policies.iter().any(|p| p.kind == **kind))
                    .map(|kind| json!({"Type": kind, "Status": "ENABLED"}))
                    .collect();
                let root = json!({"Id": organization.root, "Arn": self.arn("root", &organization.root), "Name": "Root",
                    "PolicyTypes": types});
                self.list("Roots", "", &[root])?
            }
            "ListOrganizationalUnitsForParent" => {
                let parent = self.parent()?;
                let listed: Vec<Value> = organization
                    .units
                    .iter()
                    .filter(|u| u.parent == parent)
                    .map(|u| json!({"Id": u.id, "Arn": self.arn("ou", &u.id), "Name": u.name}))
                    .collect();
                self.list("OrganizationalUnits", parent, &listed)?
            }
            "ListAccountsForParent" => {
                let parent = self.parent()?;
                let listed: Vec<Value> =
                    organization.members.iter().filter(|m| m.parent == parent).map(|m| self.member(m)).collect();
                self.list("Accounts", parent, &listed)?
            }
            "ListParents" => {
                let child = input("ChildId");
                let member = organization.members.iter().find(|m| m.id == child).map(|m| &m.parent);
                let parent = member.or_else(|| organization.units.iter().find(|u| u.id == child).map(|u| &u.parent));
                let parent = parent
                    .ok_or_else(|| refused("ChildNotFoundException", "You specified a child that doesn't exist."))?;
                let kind = if *parent == organization.root { "ROOT" } else { "ORGANIZATIONAL_UNIT" };
                self.list("Parents", child, &[json!({"Id": parent, "Type": kind})])?
            }
            "ListPolicies" => {
                let kind = input("Filter");
                if kind.is_empty() {
                    return Err(refused(
                        "InvalidInputException",
                        "You specified an invalid value. A filter is needed.",
                    ));
                }
                let listed: Vec<Value> =
                    organization.policies.iter().filter(|p| p.kind == kind).map(|p| self.summary(p)).collect();
                self.list("Policies", kind, &listed)?
            }
            "DescribePolicy" => {
                let policy = self.policy()?;
                let content = if self.call.malformed_policy { MALFORMED } else { &policy.content };
                json!({"Policy": {"PolicySummary": self.summary(policy), "Content": content}})
            }
            "ListTargetsForPolicy" => {
                let policy = self.policy()?;
                let listed: Vec<Value> = policy.targets.iter().map(|t| self.target(t)).collect();
                self.list("Targets", &policy.id, &listed)?
            }
            "ListPoliciesForTarget" => {
                let (kind, target) = (input("Filter"), input("TargetId"));
                let on = |p: &&OrgPolicy| p.kind == kind && p.targets.iter().any(|t| t == target);
                let listed: Vec<Value> = organization.policies.iter().filter(on).map(|p| self.summary(p)).collect();
                self.list("Policies", &format!("{kind} {target}"), &listed)?
            }
            _ => return Err(self.call.unknown()),
        })
    }

    fn list(&self, member: &str, of: &str, items: &[Value]) -> Result<Value, Problem> {
        let asked = self.input.get("MaxResults").map_or(Some(20), Value::as_u64).and_then(|n| usize::try_from(n).ok());
        let Some(asked) = asked.filter(|n| (1..=20).contains(n)) else {
            return Err(refused("InvalidInputException", "You specified an invalid value for MaxResults: 1 to 20."));
        };
        let listing = format!("{} {of}", self.call.operation);
        let token = self.input.get("NextToken").and_then(Value::as_str);
        let Page { items, next } = page(items, &listing, token, self.call.limit(asked), self.call.paging)
            .map_err(|_| refused("InvalidInputException", "You specified an invalid value for NextToken."))?;
        Ok(json!({member: items, "NextToken": next}))
    }

    fn arn(&self, kind: &str, id: &str) -> String {
        let Organization { id: organization, management, .. } = self.organization;
        format!("arn:aws:organizations::{management}:{kind}/{organization}/{id}")
    }

    fn describe(&self) -> Value {
        let Organization { id, management, .. } = self.organization;
        json!({
            "Id": id, "Arn": format!("arn:aws:organizations::{management}:organization/{id}"), "FeatureSet": "ALL",
            "MasterAccountArn": self.arn("account", management), "MasterAccountId": management,
            "MasterAccountEmail": format!("aws+{management}@example.com"),
            "AvailablePolicyTypes": [{"Type": "SERVICE_CONTROL_POLICY", "Status": "ENABLED"}],
        })
    }

    fn member(&self, member: &Member) -> Value {
        let Member { id, name, status, .. } = member;
        json!({"Id": id, "Arn": self.arn("account", id), "Email": format!("aws+{id}@example.com"), "Name": name,
            "Status": status, "JoinedMethod": if *id == self.organization.management { "INVITED" } else { "CREATED" },
            "JoinedTimestamp": 1_650_000_000})
    }

    fn summary(&self, policy: &OrgPolicy) -> Value {
        let OrgPolicy { id, name, kind, aws_managed, .. } = policy;
        let folder = kind.to_lowercase();
        let arn = if *aws_managed {
            format!("arn:aws:organizations::aws:policy/{folder}/{id}")
        } else {
            self.arn("policy", &format!("{folder}/{id}"))
        };
        json!({"Id": id, "Arn": arn, "Name": name, "Description": "", "Type": kind, "AwsManaged": aws_managed})
    }

    fn target(&self, id: &str) -> Value {
        let organization = self.organization;
        let (kind, arn, name) = if id == organization.root {
            ("ROOT", self.arn("root", id), "Root")
        } else if let Some(unit) = organization.units.iter().find(|u| u.id == id) {
            ("ORGANIZATIONAL_UNIT", self.arn("ou", id), unit.name.as_str())
        } else {
            let name = organization.members.iter().find(|m| m.id == id).map_or("", |m| m.name.as_str());
            ("ACCOUNT", self.arn("account", id), name)
        };
        json!({"TargetId": id, "Arn": arn, "Name": name, "Type": kind})
    }

    fn parent(&self) -> Result<&str, Problem> {
        let parent = text(self.input, "ParentId");
        let known = parent == self.organization.root || self.organization.units.iter().any(|u| u.id == parent);
        if known {
            Ok(parent)
        } else {
            Err(refused("ParentNotFoundException", "You specified a parent that doesn't exist."))
        }
    }

    fn policy(&self) -> Result<&OrgPolicy, Problem> {
        let id = text(self.input, "PolicyId");
        let found = self.organization.policies.iter().find(|p| p.id == id);
        found.ok_or_else(|| refused("PolicyNotFoundException", "You specified a policy that doesn't exist."))
    }
}
