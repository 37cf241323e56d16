//! A generated estate in the making.

use super::truth::{Severity, Truth};
use crate::build::{self, Role, association, document, trust_pods_of};
use crate::estate::{Account, Cluster, Estate, account_of, text};
use crate::ids::Stream;
use chrono::{DateTime, Duration, SecondsFormat, Utc};
use serde_json::{Value, json};

/// Where a cluster is.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) account: String,
    pub(super) region: &'static str,
    pub(super) name: String,
}

impl Place {
    pub(super) fn arn(&self) -> String {
        build::cluster_arn(&self.account, self.region, &self.name)
    }

    /// The key of an association, as findings name it.
    pub(super) fn key(&self, namespace: &str, service_account: &str) -> String {
        let Self { account, region, name } = self;
        format!("{account}/{region}/{name}/{namespace}/{service_account}")
    }
}

/// An association whose pods open sessions.
#[derive(Debug, Clone)]
pub(super) struct Use {
    pub(super) place: Place,
    pub(super) namespace: String,
    pub(super) service_account: String,
    pub(super) role: String,
}

/// The accounts by what they are for. With few accounts one serves for several, or there is none.
#[derive(Debug, Clone, Default)]
pub(super) struct Accounts {
    /// The hub and the management account.
    pub(super) management: String,
    /// A service control policy denies that anybody writes to IAM there.
    pub(super) locked: Option<String>,
    /// A resource control policy keeps out who is not of the organisation; no problem is put there.
    pub(super) fenced: Option<String>,
    /// Where workloads run; at least one.
    pub(super) workloads: Vec<String>,
}

impl Accounts {
    /// One where workloads run, in turn.
    pub(super) fn workload(&self, turn: usize) -> String {
        let at = turn.checked_rem(self.workloads.len()).unwrap_or(0);
        self.workloads.get(at).unwrap_or(&self.management).clone()
    }
}

pub(super) struct Draft {
    pub(super) estate: Estate,
    pub(super) truth: Truth,
    pub(super) stream: Stream,
    pub(super) accounts: Accounts,
    pub(super) clusters: Vec<Place>,
    pub(super) uses: Vec<Use>,
    pub(super) now: DateTime<Utc>,
}

/// `arn:aws:iam::ACCOUNT:role/NAME`
pub(super) fn role_arn(account: &str, name: &str) -> String {
    format!("arn:aws:iam::{account}:role/{name}")
}

/// A trust policy for IAM principals.
pub(super) fn trust_arn(principal: &str) -> Value {
    document(vec![json!({"Effect": "Allow", "Principal": {"AWS": principal}, "Action": "sts:AssumeRole"})])
}

/// The same, with a condition on its only statement.
pub(super) fn limited(mut trust: Value, condition: Value) -> Value {
    if let Some(statement) = trust.pointer_mut("/Statement/0").and_then(Value::as_object_mut) {
        statement.insert("Condition".to_owned(), condition);
    }
    trust
}

/// A trust policy for tokens of an identity provider.
pub(super) fn trust_tokens(provider: &str, condition: &Value) -> Value {
    document(vec![json!({"Effect": "Allow", "Principal": {"Federated": provider},
        "Action": "sts:AssumeRoleWithWebIdentity", "Condition": condition})])
}

impl Draft {
    pub(super) fn account(&mut self, id: &str) -> &mut Account {
        self.estate.accounts.entry(id.to_owned()).or_default()
    }

    /// A time before now, as AWS writes it.
    pub(super) fn ago(&self, days: i64, minutes: i64) -> String {
        (self.now - Duration::days(days) - Duration::minutes(minutes)).to_rfc3339_opts(SecondsFormat::Secs, true)
    }

    /// Adds a role that was used of late, and gives its ARN.
    pub(super) fn role(&mut self, role: Role) -> String {
        let (days, minutes) = (self.stream.below(20), self.stream.below(1_400));
        let used = self.ago(i64::try_from(days).unwrap_or(0), i64::try_from(minutes).unwrap_or(0));
        self.role_as_it_is(role.last_used(&used, "eu-west-1"))
    }

    /// Adds a role, and gives its ARN.
    pub(super) fn role_as_it_is(&mut self, role: Role) -> String {
        let role = role.done();
        let arn = text(&role, "Arn").to_owned();
        self.account(account_of(&arn)).roles.push(role);
        arn
    }

    pub(super) fn cluster(&mut self, place: &Place) -> Option<&mut Cluster> {
        self.account(&place.account).region(place.region).clusters.iter_mut().find(|c| c.name() == place.name)
    }

    /// A cluster of a workload account, in turn; `None` where there is none.
    pub(super) fn place(&self, turn: usize) -> Option<Place> {
        self.clusters.get(turn.checked_rem(self.clusters.len())?).cloned()
    }

    /// Adds an association that no pod uses.
    pub(super) fn associate_idle(&mut self, place: &Place, pod: (&str, &str), role: &str, members: Value) -> String {
        if let Some(cluster) = self.cluster(place) {
            let mut made = association(cluster, pod.0, pod.1, role);
            if let (Some(map), Value::Object(members)) = (made.as_object_mut(), members) {
                map.extend(members);
            }
            cluster.associations.push(made);
        }
        place.key(pod.0, pod.1)
    }

    /// Adds an association whose pods open sessions.
    pub(super) fn associate(&mut self, place: &Place, pod: (&str, &str), role: &str) -> String {
        let (namespace, service_account) = (pod.0.to_owned(), pod.1.to_owned());
        self.uses.push(Use { place: place.clone(), namespace, service_account, role: role.to_owned() });
        self.associate_idle(place, pod, role, json!({}))
    }

    /// Adds a role that trusts the pods of one namespace of the cluster, and its association.
    pub(super) fn pod_role(&mut self, place: &Place, pod: (&str, &str), statements: Vec<Value>) -> String {
        self.pod_role_with(place, pod, |role| role.inline("access", document(statements)))
    }

    /// The same, with whatever is made of the role.
    pub(super) fn pod_role_with(
        &mut self,
        place: &Place,
        pod: (&str, &str),
        make: impl FnOnce(Role) -> Role,
    ) -> String {
        let trust = trust_pods_of(&place.arn(), pod.0);
        let role = self.role(make(Role::at(&place.account, "/pods/", &format!("{}-{}", pod.0, pod.1), trust)));
        self.associate(place, pod, &role);
        role
    }

    pub(super) fn problem(
        &mut self,
        kind: &'static str,
        subject: &str,
        rules: &'static [&'static str],
        at_least: impl Into<Option<Severity>>,
    ) {
        self.truth.problem(kind, subject, rules, at_least.into());
    }

    pub(super) fn decoy(
        &mut self,
        kind: &'static str,
        subject: &str,
        rules: &'static [&'static str],
        at_most: Severity,
    ) {
        self.truth.decoy(kind, subject, rules, at_most);
    }
}
