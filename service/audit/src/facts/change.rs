//! Changes between two scans as facts: what was gained, by whom it was made, and whether it is approved.
//!
//! What a change comes to was decided when it was labelled, by the engine that compared the policies; here it
//! is only given out. What was not proved then is unknown.

use super::objects::AccountFacts;
use super::view::{Def, Facts, View, fact, flag, maybe, text};
use crate::access::index::AccessIndex;
use crate::access::stack::policy_set;
use crate::drift::{
    ADMINISTRATOR, Affected, Attribution, Effect, OpenChange, ResourceType, RoleEscalation, Standing, TrustedAccount,
    state_words,
};
use crate::index::join;
use chrono::{DateTime, SecondsFormat, Utc};
use rolecall_estate::{AgentClass, Tags};
use rolecall_iam::catalogue::catalogue;
use rolecall_iam::grants::Grants;
use rolecall_iam::{ActionSet, Arn, Document, Level, PolicyRef, ResourcePattern, Truth};
use rolecall_rules::{Function, Reasons, Type, Value};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Tags that programs set on what they manage, by key. CloudFormation:
/// <https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-properties-resource-tags.html>.
const MANAGING_TAGS: [(&str, &str); 8] = [
    ("aws:cloudformation:stack-name", "cloudformation"),
    ("alpha.eksctl.io/cluster-name", "eksctl"),
    ("eksctl.cluster.k8s.io/v1alpha1/cluster-name", "eksctl"),
    ("services.k8s.aws/controller-version", "controller"),
    ("services.k8s.aws/namespace", "controller"),
    ("crossplane-kind", "controller"),
    ("crossplane-name", "controller"),
    ("crossplane-providerconfig", "controller"),
];
/// Keys under which people write what manages a resource, and the values that name a program.
const NAMING_TAGS: [&str; 3] = ["managed-by", "managedby", "managed_by"];
const NAMED: [(&str, &str); 4] =
    [("terraform", "terraform"), ("opentofu", "terraform"), ("cloudformation", "cloudformation"), ("eksctl", "eksctl")];

/// A change that is to be judged.
#[derive(Debug)]
pub(super) struct ChangeFacts {
    pub index: Arc<AccessIndex>,
    pub open: Arc<OpenChange>,
}

impl ChangeFacts {
    fn unproved(&self) -> Value {
        Value::unknown(format!("what the change comes to is not proved: {}", self.open.change.because))
    }

    fn has(&self, effect: Effect, direction: Effect) -> Value {
        match effect {
            Effect::Unknown => self.unproved(),
            effect => Value::Bool(effect == direction || effect == Effect::Mixed),
        }
    }

    fn grants_administrator(&self) -> Value {
        let change = &self.open.change;
        if change.administrator == Some(true) || change.escalations.opens.iter().any(|it| it.to_administrator) {
            return Value::Bool(true);
        }
        match (change.effect, change.administrator, &change.escalations.unknown) {
            (Effect::Unknown, None, _) => self.unproved(),
            (Effect::Widened | Effect::Mixed, _, Some(why)) => {
                Value::unknown(format!("whether the change opens a privilege-escalation path is not known: {why}"))
            }
            _ => Value::Bool(false),
        }
    }

    /// In words, the paths to administrator access that it opens.
    fn administrator_paths(&self) -> Value {
        let opens = self.open.change.escalations.opens.iter();
        let paths = opens.filter(|it| it.to_administrator && it.path != ADMINISTRATOR);
        let words: BTreeSet<String> = paths.map(RoleEscalation::words).collect();
        Value::texts(words)
    }

    fn trusted(&self) -> Value {
        let change = &self.open.change;
        match (&change.trusted, change.resource.kind, change.change.as_str()) {
            (Some(accounts), ..) => Value::list(accounts.iter().map(|account| {
                TrustedAccountFacts { index: Arc::clone(&self.index), account: account.clone() }.into_value()
            })),
            (None, ResourceType::Role, "trust_policy_changed" | "added" | "recreated") => {
                Value::unknown(format!("whom the trust policy of {} lets in could not be read", change.resource.name))
            }
            _ => Value::list([]),
        }
    }

    fn affected(&self) -> Value {
        Value::list(self.open.change.affected.iter().enumerate().map(|(at, _)| {
            AffectedFacts { index: Arc::clone(&self.index), open: Arc::clone(&self.open), at }.into_value()
        }))
    }

    /// Who made it, where the events tell: absent where a complete trail has no such call.
    fn answer(&self, of: impl for<'a> Fn(&'a OpenChange) -> Option<&'a str>) -> Value {
        let attributed = &self.open.attributed;
        match (of(&self.open), attributed.attribution, attributed.is_trail_complete) {
            (Some(same), ..) => text(same),
            (None, Attribution::Exact, _) | (None, Attribution::None, true) => Value::Null,
            (None, ..) => Value::unknown(format!("who made the change is not known: {}", attributed.because)),
        }
    }

    fn caller(&self) -> String {
        let attributed = &self.open.attributed;
        match (attributed.actor(), self.agent()) {
            (Some(actor), Some(agent)) => format!("{actor} ({agent})"),
            (Some(actor), None) => actor.to_owned(),
            (None, _) if attributed.attribution == Attribution::Candidates => {
                format!("one of {} callers", attributed.calls.len())
            }
            (None, _) => "a caller that is not known".to_owned(),
        }
    }

    fn agent(&self) -> Option<&'static str> {
        let mut calls = self.open.attributed.calls.iter().map(|call| call.agent_class);
        let first = calls.next()?;
        calls.all(|agent| agent == first).then_some(first.as_str())
    }

    fn words(&self) -> String {
        let change = &self.open.change;
        let part = change.part.as_ref().map(|part| format!(" ({part})")).unwrap_or_default();
        let over = self.open.ended.as_ref().map(|ended| {
            let at = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Secs, true);
            let from = self.open.attributed.event_time().map(|from| format!("from {} ", at(from))).unwrap_or_default();
            format!(" ({from}to {})", at(ended.at))
        });
        format!("{}{part} on {}{}", change.change.replace('_', " "), change.resource.name, over.unwrap_or_default())
    }

    fn approved(&self) -> Value {
        Value::Bool(self.open.approval().is_some())
    }

    /// What the resource's tags say of what manages it, and earlier calls about it.
    fn managed_by(&self) -> Value {
        let change = &self.open.change;
        let (tags, unseen) = self.tags();
        if let Some(program) = tags.and_then(program_of) {
            return text(program);
        }
        let is_code = |agent: &&AgentClass| {
            matches!(
                agent,
                AgentClass::Terraform | AgentClass::CloudFormation | AgentClass::Eksctl | AgentClass::Controller
            )
        };
        if let Some(agent) = self.open.earlier.agents.iter().find(is_code) {
            return text(agent.as_str());
        }
        // Nothing came before it.
        if change.change == "added" || self.open.earlier.is_from_creation {
            return Value::Null;
        }
        let why = format!(
            "whether infrastructure code manages {} is not known: it has no tag of such a program, and the call that \
             made it is not among the events",
            change.resource.name
        );
        Value::Unknown(
            join(Some(Reasons::one(why)), unseen.as_ref()).unwrap_or_else(|| Reasons::one("it is not known")),
        )
    }

    fn tags(&self) -> (Option<&Tags>, Option<Reasons>) {
        let name = self.open.change.resource.name.as_str();
        match self.open.change.resource.kind {
            ResourceType::Role => {
                let role = self.index.role(name);
                (role.map(|role| &role.tags), role.and_then(|role| self.index.role_unseen(role)))
            }
            ResourceType::Association => {
                let found = self.index.associations.iter().find(|found| found.key.to_string() == name);
                let unseen = found.and_then(|found| self.index.detail_unseen(found));
                (found.and_then(|found| found.detail.as_ref()).map(|detail| &detail.tags), unseen)
            }
            ResourceType::Cluster => {
                let found = self.index.clusters.iter().find(|cluster| cluster.arn == name);
                (found.map(|cluster| &cluster.tags), None)
            }
            _ => (None, None),
        }
    }

    /// Whether the change gave access to what an ARN with `*` and `?` names.
    fn grants_access_to(&self, pattern: &str) -> Result<Value, String> {
        let arn: Arn = pattern.parse().map_err(|_| format!("`{pattern}` is not an ARN"))?;
        let change = &self.open.change;
        match change.effect {
            Effect::Unknown => return Ok(self.unproved()),
            Effect::None | Effect::Narrowed => return Ok(Value::Bool(false)),
            Effect::Widened | Effect::Mixed => {}
        }
        let named = ResourcePattern::new(pattern);
        let gained = || change.affected.iter().filter_map(|it| it.gained.as_ref()).chain(&change.gained);
        if gained().any(|access| named.matches(&access.resource)) {
            return Ok(Value::Bool(true));
        }
        let widened = |it: &&Affected| matches!(it.effect, Effect::Widened | Effect::Mixed | Effect::Unknown);
        let workloads: Vec<&Affected> = change.affected.iter().filter(widened).collect();
        let not_kept = || {
            let shown = change.gained.as_ref().map(|access| access.words.clone()).unwrap_or_default();
            Value::unknown(format!(
                "whether the change gave access to {pattern} is not known: what is shown of the gain is {shown}"
            ))
        };
        if workloads.is_empty() {
            return Ok(not_kept());
        }
        // What a workload may not do now it has not gained.
        let ceiling = serde_json::json!({
            "Version": "2012-10-17",
            "Statement": [{ "Effect": "Allow", "Action": "*", "Resource": pattern }],
        });
        let ceiling = PolicyRef::known("the resources that are asked about", &Document::new(&ceiling.to_string()));
        let actions =
            catalogue().service(arn.service()).map_or_else(|| ActionSet::all().clone(), ActionSet::from_range);
        for it in workloads {
            let found = self.index.associations.iter().find(|found| found.key == it.workload);
            let Some(detail) = found.and_then(|found| found.detail.as_ref()) else { return Ok(not_kept()) };
            let end = detail.target_role_arn.as_deref().unwrap_or(&detail.role_arn);
            let Some(role) = self.index.role(end).filter(|role| self.index.role_unseen(role).is_none()) else {
                return Ok(not_kept());
            };
            let mut stack = policy_set(&self.index, role, detail.policy.as_ref());
            let levels = stack.scp.iter().flat_map(|levels| levels.iter()).cloned();
            let asked = Level::new("the resources that are asked about", vec![ceiling.clone()]);
            stack.scp = Some(levels.chain([asked]).collect());
            let grants = Grants::new(&stack);
            let granted = grants.granting(&actions);
            if granted.truth != Truth::False || !granted.grants.is_empty() {
                return Ok(not_kept());
            }
        }
        Ok(Value::Bool(false))
    }
}

fn program_of(tags: &Tags) -> Option<&'static str> {
    let set = MANAGING_TAGS.iter().find(|(key, _)| tags.contains_key(*key)).map(|(_, program)| *program);
    set.or_else(|| {
        let naming = tags.iter().filter(|(key, _)| NAMING_TAGS.contains(&key.to_ascii_lowercase().as_str()));
        naming
            .filter_map(|(_, value)| NAMED.iter().find(|(name, _)| value.eq_ignore_ascii_case(name)))
            .map(|(_, program)| *program)
            .next()
    })
}

impl Facts for ChangeFacts {
    const NAME: &'static str = "Change";
    const DOC: &'static str =
        "A change of a resource between two scans that no later change took back, and that follows from no other.";
    const FIELDS: &'static [Def<Self>] = &[
        Def::<Self>::new("id", || Type::String, "Its id, `chg_…`.", |c| text(&c.open.change.id)),
        Def::<Self>::new(
            "resource_type",
            || Type::String,
            "CloudFormation's name of the resource's type, such as `AWS::IAM::Role`.",
            |c| text(c.open.change.resource.kind.as_str()),
        ),
        Def::<Self>::new(
            "resource",
            || Type::String,
            "The resource's ARN, or an association's `account/region/cluster/namespace/service account`.",
            |c| text(&c.open.change.resource.name),
        ),
        Def::<Self>::new(
            "account",
            || Type::object("Account"),
            "The account that the resource is kept under.",
            |c| AccountFacts { index: Arc::clone(&c.index), id: c.open.change.account_id }.into_value(),
        ),
        Def::<Self>::new(
            "change",
            || Type::String,
            "What changed, such as `trust_policy_changed`; docs/drift.md lists every value.",
            |c| text(&c.open.change.change),
        ),
        Def::<Self>::new(
            "part",
            || Type::optional(Type::String),
            "Which part of the resource: a policy's name or ARN, or a field.",
            |c| maybe(c.open.change.part.as_deref()),
        ),
        Def::<Self>::new(
            "words",
            || Type::String,
            "What changed, in words: `trust policy changed on arn:…`.",
            |c| text(&c.words()),
        ),
        Def::<Self>::new(
            "widens",
            || Type::Bool,
            "Whether it allows something that was not allowed before, for some workload or for whoever has the role.",
            |c| c.has(c.open.change.effect, Effect::Widened),
        ),
        Def::<Self>::new(
            "narrows",
            || Type::Bool,
            "Whether something is no longer allowed.",
            |c| c.has(c.open.change.effect, Effect::Narrowed),
        )
        .or(|| Value::Bool(false)),
        Def::<Self>::new(
            "gained",
            || Type::optional(Type::String),
            "In words, a request that is allowed now and was not.",
            |c| maybe(c.open.change.gained.as_ref().map(|it| it.words.as_str())),
        ),
        Def::<Self>::new(
            "lost",
            || Type::optional(Type::String),
            "In words, a request that was allowed and is not.",
            |c| maybe(c.open.change.lost.as_ref().map(|it| it.words.as_str())),
        ),
        Def::<Self>::new(
            "affected",
            || Type::list(Type::object("AffectedWorkload")),
            "The workloads that it reaches.",
            Self::affected,
        ),
        Def::<Self>::new(
            "grants_administrator",
            || Type::Bool,
            "Whether a workload that it reaches, or a role, becomes an administrator by it, or gets a privilege-escalation path to one.",
            Self::grants_administrator,
        )
        .or(|| Value::Bool(false)),
        Def::<Self>::new(
            "administrator_paths",
            || Type::list(Type::String),
            "In words, the privilege-escalation paths to administrator access that it opens; empty where somebody becomes an administrator without one.",
            Self::administrator_paths,
        )
        .or(|| Value::list([])),
        Def::<Self>::new(
            "trusted",
            || Type::list(Type::object("TrustedAccount")),
            "The accounts whose principals a role's trust policy lets in now, and did not before.",
            Self::trusted,
        ),
        Def::<Self>::new(
            "leads_to",
            || Type::list(Type::String),
            "ARNs of the roles that an association leads to by this change.",
            |c| Value::texts(c.open.change.leads_to().unwrap_or_default()),
        ),
        Def::<Self>::new(
            "records_less",
            || Type::Bool,
            "Of a trail: whether it records less by this change.",
            |c| match (c.open.change.records_less(), c.open.change.resource.kind) {
                (Some(less), _) => Value::Bool(less),
                (None, ResourceType::Trail) => Value::unknown("what the trail recorded could not be read"),
                (None, _) => Value::Bool(false),
            },
        )
        .or(|| Value::Bool(false)),
        Def::<Self>::new(
            "attribution",
            || Type::String,
            "How far it is known who made it: `exact`, `candidates` or `none`.",
            |c| text(c.open.attributed.attribution.as_str()),
        )
        .or(|| Value::text("exact")),
        Def::<Self>::new(
            "actor",
            || Type::optional(Type::String),
            "The ARN of who made it; absent where a complete trail shows no call.",
            |c| c.answer(|open| open.attributed.actor()),
        ),
        Def::<Self>::new(
            "agent",
            || Type::optional(Type::String),
            "With what kind of program it was made, such as `console` or `terraform`; absent where a complete trail shows no call.",
            |c| match c.agent() {
                Some(agent) => text(agent),
                None => c.answer(|_| None),
            },
        ),
        Def::<Self>::new("caller", || Type::String, "Who made it, in words.", |c| text(&c.caller()))
            .or(|| Value::text("a caller that is not known")),
        Def::<Self>::new(
            "is_approved",
            || Type::Bool,
            "Whether it is approved, or the change that took its place is.",
            Self::approved,
        )
        .or(|| Value::Bool(false)),
        Def::<Self>::new(
            "superseded_by",
            || Type::optional(Type::String),
            "The id of a later change that put something else in its place, which may keep what was gained.",
            |c| match &c.open.standing {
                Standing::Superseded { by, .. } => text(by),
                Standing::There | Standing::Reversed(_) => Value::Null,
            },
        ),
        Def::<Self>::new(
            "managed_by",
            || Type::optional(Type::String),
            "The kind of infrastructure code that manages the resource, by its tags or by earlier calls about it: `cloudformation`, `terraform`, `eksctl` or `controller`.",
            Self::managed_by,
        ),
        Def::<Self>::new(
            "detected_at",
            || Type::Timestamp,
            "The date of the scan that shows it.",
            |c| Value::Timestamp(c.open.detected_at),
        ),
        Def::<Self>::new(
            "effective_at",
            || Type::Timestamp,
            "The latest moment at which it takes hold for pods with cached credentials.",
            |c| Value::Timestamp(c.open.effective_at),
        ),
        Def::<Self>::new(
            "evidence",
            || Type::list(Type::object("Evidence")),
            "What changed, what was gained, and the calls that made it.",
            |c| {
                let change = &c.open.change;
                let states = serde_json::json!({
                    "change": change.change, "part": change.part,
                    "before": state_words(change.before.as_ref()), "after": state_words(change.after.as_ref()),
                    "effect": change.effect.as_str(), "because": change.because,
                    "gained": change.gained, "lost": change.lost, "opens": change.escalations.opens,
                    "detectedAt": c.open.detected_at, "effectiveAt": c.open.effective_at,
                });
                let own = fact("the change", change.resource.name.clone(), states);
                let calls = c.open.attributed.calls.iter().map(|call| {
                    let value = serde_json::json!({
                        "eventName": call.event_name, "eventID": call.event_id, "eventTime": call.event_time,
                        "principal": call.actor.principal(), "sourceIPAddress": call.source_ip,
                        "agentClass": call.agent_class.as_str(),
                    });
                    fact("the call", format!("CloudTrail in {}", call.region), value)
                });
                Value::list(std::iter::once(own).chain(calls))
            },
        ),
    ];
}

/// `change.grants_access_to(pattern)`, for rules.
pub(super) fn grants_access_to() -> Function {
    Function::method(
        Type::object("Change"),
        "grants_access_to",
        &[("pattern", Type::String)],
        Type::Bool,
        "Whether the change gave access to some resource that an ARN, with `*` and `?`, names.",
        |args| {
            let [change, pattern] = args else { return Err("two arguments are needed".to_owned()) };
            let change = change.downcast::<View<ChangeFacts>>().ok_or("a change is needed")?;
            change.0.grants_access_to(pattern.as_str().unwrap_or_default())
        },
    )
}

/// A workload that a change reaches.
#[derive(Debug)]
pub(super) struct AffectedFacts {
    index: Arc<AccessIndex>,
    open: Arc<OpenChange>,
    at: usize,
}

impl AffectedFacts {
    fn of(&self, fact: impl FnOnce(&Affected) -> Value) -> Value {
        self.open.change.affected.get(self.at).map_or_else(|| Value::unknown("no such workload"), fact)
    }
}

impl Facts for AffectedFacts {
    const NAME: &'static str = "AffectedWorkload";
    const DOC: &'static str = "A workload that a change reaches, and what it comes to for this one.";
    const FIELDS: &'static [Def<Self>] = &[
        Def::<Self>::new(
            "workload",
            || Type::String,
            "`account/region/cluster/namespace/service account`.",
            |a| a.of(|it| text(&it.workload.to_string())),
        ),
        Def::<Self>::new(
            "name",
            || Type::String,
            "`namespace/service account`.",
            |a| a.of(|it| text(&format!("{}/{}", it.workload.namespace, it.workload.service_account))),
        ),
        Def::<Self>::new(
            "account",
            || Type::object("Account"),
            "The account of its cluster.",
            |a| a.of(|it| AccountFacts { index: Arc::clone(&a.index), id: it.workload.account_id }.into_value()),
        ),
        Def::<Self>::new("cluster", || Type::String, "Its cluster.", |a| a.of(|it| text(it.workload.cluster.as_str()))),
        Def::<Self>::new(
            "namespace",
            || Type::String,
            "Its Kubernetes namespace.",
            |a| a.of(|it| text(it.workload.namespace.as_str())),
        ),
        Def::<Self>::new(
            "service_account",
            || Type::String,
            "Its Kubernetes service account.",
            |a| a.of(|it| text(it.workload.service_account.as_str())),
        ),
        Def::<Self>::new(
            "widens",
            || Type::Bool,
            "Whether it may do something that it could not do before.",
            |a| {
                a.of(|it| match it.effect {
                    Effect::Unknown => {
                        Value::unknown(format!("what the change comes to is not proved: {}", a.open.change.because))
                    }
                    effect => Value::Bool(matches!(effect, Effect::Widened | Effect::Mixed)),
                })
            },
        ),
        Def::<Self>::new(
            "gained",
            || Type::optional(Type::String),
            "In words, a request that it may make now and could not.",
            |a| a.of(|it| maybe(it.gained.as_ref().map(|access| access.words.as_str()))),
        ),
    ];
}

/// An account that a trust policy lets in.
#[derive(Debug)]
pub(super) struct TrustedAccountFacts {
    index: Arc<AccessIndex>,
    account: TrustedAccount,
}

impl Facts for TrustedAccountFacts {
    const NAME: &'static str = "TrustedAccount";
    const DOC: &'static str = "An account whose principals a trust policy lets in by a change.";
    const FIELDS: &'static [Def<Self>] = &[
        Def::<Self>::new(
            "account_id",
            || Type::optional(Type::String),
            "The account; absent where principals of any account are let in.",
            |t| t.account.account_id.map_or(Value::Null, |id| text(&id.to_string())),
        ),
        Def::<Self>::new(
            "principal",
            || Type::String,
            "The principal as the policy writes it.",
            |t| text(&t.account.principal),
        ),
        Def::<Self>::new(
            "is_outside",
            || Type::Bool,
            "Whether it is let in and belongs neither to the organization nor to the estate.",
            |t| {
                let known = t.account.account_id.map_or(Ok(false), |id| t.index.account_known(id));
                match known {
                    Ok(false) if !t.account.is_certain => {
                        Value::unknown(format!("whether the trust policy lets in {} is not known", t.account.principal))
                    }
                    known => flag(known.map(|known| !known)),
                }
            },
        ),
    ];
}
