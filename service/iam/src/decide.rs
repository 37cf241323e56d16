//! Whether a request is allowed, by every layer of policies together.
//!
//! Knows the order in which AWS reads the layers, whom each of them binds, and what a resource
//! policy grants past the others. The rules are those of the IAM user guide's pages on evaluation
//! within one account, across accounts, and on principals. Refuses to guess: what depends on
//! something that was not seen is unknown, with the reasons, unless it comes to the same anyway.
//!
//! Taken from the guide where it is less known: a resource policy that names a session, a user or
//! everyone is not held back by the implicit denies of boundary and session policy, one that names
//! a role is; one that names an account hands the question to the account's own policies; a role's
//! trust policy and a KMS key's policy must allow themselves; a Deny with `NotPrincipal` hits every
//! user and role under a boundary, whomever it names; `sts:GetCallerIdentity` is never refused to a
//! principal; an account's root may do everything in its account but assume roles.

use crate::arn::{AccountId, Arn};
use crate::condition::all_hold;
use crate::document::{Clause, Effect, Policy, Principal, Statement, Version};
use crate::layer::{Layer, LayerKind, Layers, Level};
use crate::request::{Kind, Request, Requester};
use crate::truth::{Truth, Why};
use std::sync::Arc;

/// Services whose resources resource control policies bind, by prefix: the list of AWS Organizations'
/// page on them, of 2026-09-26.
const UNDER_RCP: &[&str] = &[
    "aoss",
    "appconfig",
    "appstream",
    "autoscaling",
    "autoscaling-plans",
    "budgets",
    "clouddirectory",
    "cloudfront",
    "cloudsearch",
    "cloudtrail-data",
    "codeartifact",
    "codebuild",
    "codecommit",
    "codepipeline",
    "cognito-identity",
    "cognito-idp",
    "comprehend",
    "comprehendmedical",
    "compute-optimizer",
    "cost-optimization-hub",
    "dax",
    "dsql",
    "dynamodb",
    "ecr",
    "ecr-public",
    "events",
    "firehose",
    "fis",
    "fms",
    "gamelift",
    "health",
    "inspector-scan",
    "kendra",
    "kinesisvideo",
    "kms",
    "logs",
    "memorydb",
    "networkmonitor",
    "notifications",
    "opensearch",
    "pca-connector-ad",
    "personalize",
    "polly",
    "pricing",
    "resource-groups",
    "rolesanywhere",
    "s3",
    "secretsmanager",
    "servicediscovery",
    "signin",
    "sqs",
    "sts",
    "support",
    "swf",
    "textract",
    "timestream-influxdb",
    "transcribe",
    "transfer",
    "translate",
    "wafv2",
    "workspaces",
    "xray",
];

/// What a request comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It is allowed.
    Allow,
    /// A Deny certainly refuses it.
    DenyExplicit,
    /// It is certainly refused, and no Deny is certain: something that must allow it does not.
    DenyImplicit,
    /// Something that was not seen or not understood, or a key that is left open, decides.
    Unknown,
}

impl Outcome {
    /// `Allow`, `Deny(explicit)`, `Deny(implicit)` or `Unknown`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "Allow",
            Self::DenyExplicit => "Deny(explicit)",
            Self::DenyImplicit => "Deny(implicit)",
            Self::Unknown => "Unknown",
        }
    }
}

/// A statement that decided.
#[derive(Debug, Clone, Copy)]
pub struct Decider<'a> {
    /// The layer that it stands in.
    pub kind: LayerKind,
    /// The policy that holds it.
    pub layer: &'a Layer,
    /// The statement.
    pub statement: &'a Arc<Statement>,
}

/// What a request comes to, and why.
#[derive(Debug, Clone)]
pub struct Decision<'a> {
    /// The answer.
    pub outcome: Outcome,
    /// Why it is unknown: sorted, without repetitions; empty otherwise.
    pub reasons: Vec<Why>,
    /// The Deny that refuses it, or an Allow that grants it. [`crate::explain`] tells all of them.
    pub by: Option<Decider<'a>>,
}

/// Decides a request by all layers.
#[must_use]
pub fn decide<'a>(request: &Request, layers: &'a Layers) -> Decision<'a> {
    Evaluation { request, layers }.decide()
}

/// How a resource policy's Allow counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Grip {
    /// It does not name the requester.
    None,
    /// It names the requester's account: the account's own policies must allow too.
    Account,
    /// It names the requester's role: boundary and session policy still limit.
    Role,
    /// It names the session, the user, or everyone.
    Direct,
}

/// Whether an element of `Principal` names the requester, and how.
pub(crate) fn names(principal: &Principal, requester: &Requester) -> Result<Grip, Why> {
    let when = |named: bool, grip: Grip| Ok(if named { grip } else { Grip::None });
    match (principal, requester) {
        (Principal::Everyone, _) => Ok(Grip::Direct),
        (Principal::Other { kind, .. }, _) => {
            Err(Why::NotUnderstood(format!("the principal type `{kind}` is not understood")))
        }
        (Principal::Service(name), Requester::Service(own)) => when(name.eq_ignore_ascii_case(own), Grip::Direct),
        (Principal::Federated(name), Requester::Federated(own)) => when(name == own, Grip::Direct),
        (Principal::CanonicalUser(id), Requester::Principal { .. }) => {
            Err(Why::NotSeen(format!("whether the canonical user `{}` is the requester's account", short(id))))
        }
        (Principal::Aws(text), Requester::Principal { arn, unique_id }) => {
            let kind = requester.kind();
            let own = match kind {
                Kind::Root => Grip::Account,
                Kind::Role => Grip::Role,
                _ => Grip::Direct,
            };
            if text == arn.as_str() {
                return Ok(own);
            }
            if let Some(id) = unique_id
                && id.split(':').next() == Some(text)
            {
                return Ok(if kind == Kind::Session { Grip::Role } else { own });
            }
            if text.parse::<AccountId>().is_ok() {
                return when(text == arn.account(), Grip::Account);
            }
            let Ok(named) = text.parse::<Arn>() else { return Ok(Grip::None) };
            // Account ids are unique over all partitions.
            if named.account() != arn.account() {
                return Ok(Grip::None);
            }
            if named.service() == "iam" && named.resource() == "root" {
                return Ok(Grip::Account);
            }
            // A session is named by its role too; its own ARN lacks the role's path, and role names
            // are unique in an account whatever their path.
            let role = named.resource().strip_prefix("role/").and_then(|r| r.rsplit('/').next());
            when(kind == Kind::Session && role.is_some() && role == requester.role_name(), Grip::Role)
        }
        _ => Ok(Grip::None),
    }
}

fn short(text: &str) -> &str {
    text.get(..12).unwrap_or(text)
}

/// What the Allow statements of a resource policy come to, by how they name the requester.
struct Granted<'a> {
    direct: Truth,
    role: Truth,
    account: Truth,
    by: Option<Decider<'a>>,
}

impl Granted<'_> {
    fn any(&self) -> Truth {
        self.direct.clone().or(self.role.clone()).or(self.account.clone())
    }
}

pub(crate) struct Evaluation<'r, 'a> {
    pub(crate) request: &'r Request,
    pub(crate) layers: &'a Layers,
}

impl<'a> Evaluation<'_, 'a> {
    /// Whether the requester has policies of its own.
    pub(crate) fn is_principal(&self) -> bool {
        matches!(self.request.principal(), Requester::Principal { .. })
    }

    /// Whether the action is one that a role's trust policy decides on.
    pub(crate) fn is_for_role(&self) -> bool {
        match self.request.action().lower() {
            "sts:assumerole" | "sts:assumerolewithsaml" | "sts:assumerolewithwebidentity" => true,
            "sts:tagsession" | "sts:setsourceidentity" | "sts:setcontext" => {
                self.layers.trust.is_some() || self.request.resource().as_str().contains(":role/")
            }
            _ => false,
        }
    }

    /// Whether the resource's policy must allow, even within one account.
    pub(crate) fn needs_resource_policy(&self) -> bool {
        let key =
            || self.request.resource().as_str().splitn(6, ':').nth(5).is_some_and(|name| name.starts_with("key/"));
        self.is_for_role() || (self.request.action().service() == "kms" && key())
    }

    /// The layers that bind this requester and resource, and whether they are in play.
    pub(crate) fn scp(&self) -> Option<&'a [Level]> {
        let bound = self.is_principal() && !self.request.is_service_linked_role();
        self.layers.scp.as_deref().filter(|_| bound)
    }

    pub(crate) fn rcp(&self) -> Option<&'a [Level]> {
        let bound = UNDER_RCP.binary_search(&self.request.action().service()).is_ok();
        self.layers.rcp.as_deref().filter(|_| bound && !self.request.is_service_linked_role())
    }

    pub(crate) fn identity(&self) -> Option<&'a [Layer]> {
        self.layers.identity.as_deref().filter(|_| self.is_principal())
    }

    pub(crate) fn boundary(&self) -> Option<&'a [Layer]> {
        self.layers.boundary.as_deref().filter(|list| self.is_principal() && !list.is_empty())
    }

    pub(crate) fn session(&self) -> Option<&'a [Layer]> {
        self.layers.session.as_deref().filter(|list| self.is_principal() && !list.is_empty())
    }

    pub(crate) fn endpoint(&self) -> Option<&'a [Layer]> {
        self.layers.endpoint.as_deref().filter(|list| !list.is_empty())
    }

    /// The policies on what is acted on.
    pub(crate) fn resource(&self) -> impl Iterator<Item = (LayerKind, &'a Layer)> {
        let trust = self.layers.trust.as_ref().filter(|_| self.is_for_role()).map(|layer| (LayerKind::Trust, layer));
        trust.into_iter().chain(self.layers.resource.as_ref().map(|layer| (LayerKind::Resource, layer)))
    }

    /// Every policy that has a say.
    pub(crate) fn every(&self) -> impl Iterator<Item = (LayerKind, &'a Layer)> {
        let of = |kind: LayerKind, list: Option<&'a [Layer]>| list.unwrap_or_default().iter().map(move |l| (kind, l));
        let by_level = |kind: LayerKind, list: Option<&'a [Level]>| {
            list.unwrap_or_default().iter().flat_map(|level| &level.policies).map(move |l| (kind, l))
        };
        of(LayerKind::Identity, self.identity())
            .chain(of(LayerKind::Boundary, self.boundary()))
            .chain(of(LayerKind::Session, self.session()))
            .chain(by_level(LayerKind::Scp, self.scp()))
            .chain(by_level(LayerKind::Rcp, self.rcp()))
            .chain(self.resource())
            .chain(of(LayerKind::Endpoint, self.endpoint()))
    }

    /// How the principals of a statement name the requester, if they do.
    pub(crate) fn grip(&self, kind: LayerKind, statement: &Statement) -> (Grip, Truth) {
        let on_resource = matches!(kind, LayerKind::Resource | LayerKind::Trust);
        let Some(clause) = &statement.principals else {
            return if on_resource { (Grip::None, Truth::False) } else { (Grip::Direct, Truth::True) };
        };
        let (mut grip, mut open) = (Grip::None, Truth::False);
        for principal in clause.elements() {
            match names(principal, self.request.principal()) {
                Ok(named) => grip = grip.max(named),
                Err(why) => open = open.or(Truth::unknown(why)),
            }
        }
        let named = if grip == Grip::None { open } else { Truth::True };
        if !clause.is_not() {
            return (if named.is_true() { grip } else { Grip::Direct }, named);
        }
        let bound = on_resource && statement.effect == Effect::Deny && self.boundary().is_some();
        (Grip::Direct, if bound { Truth::True } else { !named })
    }

    /// Whether a statement, its action and principals aside, matches.
    pub(crate) fn matches(&self, statement: &Statement, policy: &Policy) -> Truth {
        let named = self.names_resource(statement, policy.language());
        if named.is_false() {
            return named;
        }
        named.and(all_hold(&statement.conditions, self.request.context(), policy.language()))
    }

    pub(crate) fn names_resource(&self, statement: &Statement, language: Version) -> Truth {
        let Some(clause) = &statement.resources else { return Truth::True };
        let resource = self.request.resource().as_str();
        let any = clause.elements().iter().fold(Truth::False, |any, pattern| {
            if any.is_true() {
                return any;
            }
            any.or(pattern.matches_in(resource, self.request.context(), language))
        });
        match clause {
            Clause::In(_) => any,
            Clause::NotIn(_) => !any,
        }
    }

    /// Calls for every statement of one effect that names the action.
    fn each(&self, policy: &'a Policy, effect: Effect, mut call: impl FnMut(&'a Arc<Statement>) -> bool) {
        let action = self.request.action().as_str();
        for statement in policy.statements.iter().filter(|s| s.effect == effect && s.names_action(action)) {
            if !call(statement) {
                return;
            }
        }
    }

    fn denies(&self) -> (Truth, Option<Decider<'a>>) {
        let mut denied = Truth::False;
        for (kind, layer) in self.every() {
            let policy = match &layer.policy {
                Ok(policy) => policy,
                Err(why) => {
                    denied = denied.or(Truth::unknown(why.clone()));
                    continue;
                }
            };
            let mut by = None;
            self.each(policy, Effect::Deny, |statement| {
                let (_, named) = self.grip(kind, statement);
                if !named.is_false() {
                    let truth = named.and(self.matches(statement, policy));
                    if truth.is_true() {
                        by = Some(Decider { kind, layer, statement });
                        return false;
                    }
                    denied = std::mem::replace(&mut denied, Truth::False).or(truth);
                }
                true
            });
            if by.is_some() {
                return (Truth::True, by);
            }
        }
        (denied, None)
    }

    /// Whether one of these policies allows.
    pub(crate) fn allows(&self, kind: LayerKind, layers: &'a [Layer]) -> (Truth, Option<Decider<'a>>) {
        let (mut allowed, mut by) = (Truth::False, None);
        for layer in layers {
            let policy = match &layer.policy {
                Ok(policy) => policy,
                Err(why) => {
                    allowed = allowed.or(Truth::unknown(why.clone()));
                    continue;
                }
            };
            self.each(policy, Effect::Allow, |statement| {
                let (_, named) = self.grip(kind, statement);
                if named.is_false() {
                    return true;
                }
                let truth = named.and(self.matches(statement, policy));
                if truth.is_true() {
                    by = Some(Decider { kind, layer, statement });
                }
                allowed = std::mem::replace(&mut allowed, Truth::False).or(truth);
                by.is_none()
            });
            if by.is_some() {
                break;
            }
        }
        (allowed, by)
    }

    fn levels(&self, kind: LayerKind, levels: Option<&'a [Level]>) -> Truth {
        let mut allowed = Truth::True;
        for level in levels.unwrap_or_default() {
            allowed = allowed.and(self.allows(kind, &level.policies).0);
            if allowed.is_false() {
                break;
            }
        }
        allowed
    }

    fn granted(&self) -> Granted<'a> {
        let mut granted = Granted { direct: Truth::False, role: Truth::False, account: Truth::False, by: None };
        for (kind, layer) in self.resource() {
            let policy = match &layer.policy {
                Ok(policy) => policy,
                Err(why) => {
                    granted.direct = granted.direct.or(Truth::unknown(why.clone()));
                    continue;
                }
            };
            self.each(policy, Effect::Allow, |statement| {
                let (grip, named) = self.grip(kind, statement);
                if named.is_false() {
                    return true;
                }
                let truth = named.and(self.matches(statement, policy));
                let bucket = match grip {
                    Grip::Account => &mut granted.account,
                    Grip::Role => &mut granted.role,
                    Grip::Direct | Grip::None => &mut granted.direct,
                };
                if truth.is_true() {
                    granted.by = Some(Decider { kind, layer, statement });
                }
                *bucket = std::mem::replace(bucket, Truth::False).or(truth);
                true
            });
        }
        granted
    }

    fn decide(&self) -> Decision<'a> {
        let (denied, by) = self.denies();
        if denied.is_true() {
            return Decision { outcome: Outcome::DenyExplicit, reasons: Vec::new(), by };
        }
        let (allowed, by) = self.allowed();
        match allowed.and(!denied) {
            Truth::True => Decision { outcome: Outcome::Allow, reasons: Vec::new(), by },
            Truth::False => Decision { outcome: Outcome::DenyImplicit, reasons: Vec::new(), by: None },
            Truth::Unknown(reasons) => Decision { outcome: Outcome::Unknown, reasons, by: None },
        }
    }

    /// Whether everything that must allow does, Denies aside.
    fn allowed(&self) -> (Truth, Option<Decider<'a>>) {
        let request = self.request;
        let refused = (Truth::False, None);
        if self.is_principal() && request.kind() == Kind::Root && request.action().lower() == "sts:assumerole" {
            return refused;
        }
        let mut outer = self.levels(LayerKind::Scp, self.scp());
        if !outer.is_false() {
            outer = outer.and(self.levels(LayerKind::Rcp, self.rcp()));
        }
        if let Some(endpoint) = self.endpoint()
            && !outer.is_false()
        {
            outer = outer.and(self.allows(LayerKind::Endpoint, endpoint).0);
        }
        if outer.is_false() {
            return refused;
        }
        let granted = self.granted();
        if !self.is_principal() {
            return (outer.and(granted.any()), granted.by);
        }
        let (identity, by) = match self.identity() {
            _ if request.kind() == Kind::Root => (Truth::True, None),
            Some(list) => self.allows(LayerKind::Identity, list),
            None => (Truth::False, None),
        };
        let mut ceiling = Truth::True;
        for layer in self.boundary().unwrap_or_default() {
            ceiling = ceiling.and(self.allows(LayerKind::Boundary, std::slice::from_ref(layer)).0);
        }
        if let Some(list) = self.session()
            && !ceiling.is_false()
        {
            ceiling = ceiling.and(self.allows(LayerKind::Session, list).0);
        }
        let same = || {
            let own = if self.needs_resource_policy() {
                granted.account.clone().and(identity.clone())
            } else {
                identity.clone()
            };
            granted.direct.clone().or(granted.role.clone().or(own).and(ceiling.clone()))
        };
        let across = || granted.any().and(identity.clone()).and(ceiling.clone());
        let inner = match (request.account(), request.resource_account()) {
            (Some(own), Some(owner)) if own == owner => same(),
            (Some(_), Some(_)) => across(),
            _ => match (same(), across()) {
                (same, across) if same == across => same,
                (same, across) => {
                    let whose = format!("the account that owns `{}` is not known", request.resource().as_str());
                    let open = Truth::unknown(Why::NotSeen(whose));
                    same.and(open.or(across))
                }
            },
        };
        (outer.and(inner), by.or(granted.by))
    }
}
