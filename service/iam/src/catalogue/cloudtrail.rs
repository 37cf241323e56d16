//! Which actions of IAM an event of CloudTrail needed.
//!
//! Knows that most events bear the name of their action, that some end in an API version, and the
//! exceptions of `data/operations.txt` and `data/events.txt`. Refuses to guess: an event that no rule
//! covers is not known, and one that needs no permission is said to need none.

use crate::catalogue::{Action, Catalogue, Service, catalogue};
use std::collections::HashMap;
use std::sync::LazyLock;

/// What an event says about the actions that its caller used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventActions {
    /// The call is checked against these actions.
    Needs {
        /// The actions of the call itself, never none. One: the call needed it. Several: it needed at
        /// least one, and which ones depends on its parameters.
        used: Vec<&'static Action>,
        /// Actions that the call may have needed besides, such as `iam:PassRole`.
        also: Vec<&'static Action>,
    },
    /// The call is known to need no permission of IAM.
    NoPermission,
    /// Nothing is known about it: a new operation, or none that a caller makes.
    NotKnown,
}

impl EventActions {
    /// The actions of the call itself; empty where it needs none or is not known.
    #[must_use]
    pub fn used(&self) -> &[&'static Action] {
        match self {
            Self::Needs { used, .. } => used,
            Self::NoPermission | Self::NotKnown => &[],
        }
    }

    /// Whether something is known: which actions it needs, or that it needs none.
    #[must_use]
    pub fn is_known(&self) -> bool {
        *self != Self::NotKnown
    }
}

/// Actions of an operation that are not, or not only, the one of its name, as written.
#[derive(Debug, Clone, Copy)]
struct Needs(&'static str);

#[derive(Debug, Default)]
struct Tables {
    hosts: HashMap<&'static str, Vec<&'static str>>,
    /// By host; `*` for every event.
    free: HashMap<&'static str, Vec<&'static str>>,
    /// By service, then by operation in lower case.
    calls: HashMap<&'static str, HashMap<String, Needs>>,
}

static TABLES: LazyLock<Tables> = LazyLock::new(|| {
    let mut tables = Tables::default();
    for line in include_str!("../../data/operations.txt").lines() {
        tables.calls(line);
    }
    for line in include_str!("../../data/events.txt").lines() {
        match line.split_once(' ') {
            Some(("host", rest)) => {
                let mut words = rest.split(' ');
                if let Some(host) = words.next() {
                    tables.hosts.insert(host, words.collect());
                }
            }
            Some(("none", rest)) => {
                if let Some((host, events)) = rest.split_once(' ') {
                    tables.free.insert(host, events.split(',').collect());
                }
            }
            // Later than the other list, so that it overrides it.
            Some(("call", rest)) => tables.calls(rest),
            _ => {}
        }
    }
    tables
});

impl Tables {
    fn calls(&mut self, line: &'static str) {
        let Some((service, calls)) = line.split_once(' ').filter(|(first, _)| *first != "#") else { return };
        let calls = calls.split(' ').filter_map(|call| call.split_once('='));
        let own = self.calls.entry(service).or_default();
        own.extend(calls.map(|(operation, needs)| (operation.to_ascii_lowercase(), Needs(needs))));
    }
}

/// What the event needed of IAM: `eventSource` and `eventName` as CloudTrail writes them.
#[must_use]
pub fn actions_of_event(event_source: &str, event_name: &str) -> EventActions {
    let host = host(event_source);
    if let Some(free) = TABLES.free.get(host.as_str())
        && free.iter().any(|name| *name == "*" || name.eq_ignore_ascii_case(event_name))
    {
        return EventActions::NoPermission;
    }
    let services = services(&host);
    let names = [Some(event_name), without_version(event_name)];
    let found = names.into_iter().flatten().find_map(|name| services.iter().find_map(|service| needs(service, name)));
    found.unwrap_or(EventActions::NotKnown)
}

/// The services whose actions the events of a source can be.
pub(crate) fn services_of(event_source: &str) -> Vec<&'static str> {
    services(&host(event_source))
}

/// The host without AWS's domain, in lower case, its dots as dashes: `models-v2-lex`.
fn host(source: &str) -> String {
    let lower = source.trim().to_ascii_lowercase();
    let ends = [".amazonaws.com.cn", ".amazonaws.com", ".aws.amazon.com", ".aws.internal", ".api.aws"];
    let own = ends.iter().find_map(|end| lower.strip_suffix(end)).unwrap_or(&lower);
    own.replace('.', "-")
}

/// The services whose actions the host's events can be.
fn services(host: &str) -> Vec<&'static str> {
    if let Some(known) = TABLES.hosts.get(host) {
        return known.clone();
    }
    let catalogue: &'static Catalogue = catalogue();
    let prefix = |name: &str| catalogue.service_named(name).map(|service: &'static Service| service.prefix);
    let parts = || host.split('-').rev();
    // `models.lex`, `data.jobs.iot`: the service comes last.
    prefix(host).or_else(|| parts().find_map(prefix)).into_iter().collect()
}

/// The name without an API version at its end: `ListFunctions20150331`, `GetFunction20150331v2`,
/// `CreateDistribution2020_05_31`.
fn without_version(name: &str) -> Option<&str> {
    let bare = match name.rsplit_once('v') {
        Some((before, digits)) if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => before,
        _ => name,
    };
    let stem = bare.trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, '_' | '-'));
    let digits = bare.get(stem.len()..)?.bytes().filter(u8::is_ascii_digit).count();
    (digits == 8 && !stem.is_empty()).then_some(stem)
}

/// What the tables say of an operation: actions of the call itself, and those that it may need besides.
fn listed(service: &str, operation: &str) -> (Vec<&'static Action>, Vec<&'static Action>) {
    let listed = TABLES.calls.get(service).and_then(|calls| calls.get(&operation.to_ascii_lowercase()));
    let (mut used, mut also) = (Vec::new(), Vec::new());
    for need in listed.iter().flat_map(|needs| needs.0.split(',')) {
        let (list, need) = need.strip_prefix('+').map_or((&mut used, need), |need| (&mut also, need));
        let whole = if need.contains(':') { catalogue().find(need) } else { find(service, need) };
        list.extend(whole);
    }
    (used, also)
}

fn find(service: &str, name: &str) -> Option<&'static Action> {
    catalogue().find(&format!("{service}:{name}"))
}

impl Action {
    /// Actions that a call of the same name may need besides, such as `iam:PassRole`.
    #[must_use]
    pub fn dependent_actions(&self) -> Vec<&'static Self> {
        listed(self.service(), self.short_name()).1
    }
}

fn needs(service: &str, name: &str) -> Option<EventActions> {
    let (mut used, mut also) = listed(service, name);
    if used.is_empty() {
        used.push(find(service, name)?);
    }
    also.retain(|action| !used.contains(action));
    Some(EventActions::Needs { used, also })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(source: &str, name: &str) -> Vec<&'static str> {
        actions_of_event(source, name).used().iter().map(|action| action.name).collect()
    }

    #[test]
    fn events_map_to_the_actions_that_they_need() {
        let cases: [(&str, &str, &[&str]); 22] = [
            ("ec2.amazonaws.com", "DescribeInstances", &["ec2:DescribeInstances"]),
            ("monitoring.amazonaws.com", "PutMetricData", &["cloudwatch:PutMetricData"]),
            ("lambda.amazonaws.com", "ListFunctions20150331", &["lambda:ListFunctions"]),
            ("lambda.amazonaws.com", "GetFunction20150331v2", &["lambda:GetFunction"]),
            ("lambda.amazonaws.com", "Invoke", &["lambda:InvokeFunction"]),
            ("cloudfront.amazonaws.com", "CreateDistribution2020_05_31", &["cloudfront:CreateDistribution"]),
            ("s3.amazonaws.com", "ListObjects", &["s3:ListBucket"]),
            ("s3.amazonaws.com", "ListBuckets", &["s3:ListAllMyBuckets"]),
            ("s3.amazonaws.com", "HeadObject", &["s3:GetObject"]),
            ("s3.amazonaws.com", "GetBucketEncryption", &["s3:GetEncryptionConfiguration"]),
            ("s3.amazonaws.com", "CopyObject", &["s3:GetObject", "s3:PutObject"]),
            ("kms.amazonaws.com", "ReEncrypt", &["kms:ReEncryptFrom", "kms:ReEncryptTo"]),
            ("kms.amazonaws.com.cn", "Decrypt", &["kms:Decrypt"]),
            ("tagging.amazonaws.com", "GetResources", &["tag:GetResources"]),
            ("models.lex.amazonaws.com", "GetBots", &["lex:GetBots"]),
            (
                "autoscaling.amazonaws.com",
                "RegisterScalableTarget",
                &["application-autoscaling:RegisterScalableTarget"],
            ),
            ("eks-auth.amazonaws.com", "AssumeRoleForPodIdentity", &["eks-auth:AssumeRoleForPodIdentity"]),
            ("sts.amazonaws.com", "AssumeRole", &["sts:AssumeRole"]),
            ("apigateway.amazonaws.com", "CreateRestApi", &["apigateway:POST"]),
            ("rdsdataapi.amazonaws.com", "ExecuteStatement", &["rds-data:ExecuteStatement"]),
            ("sqs.amazonaws.com", "SendMessageBatch", &["sqs:SendMessage"]),
            ("ec2.amazonaws.com", "MakeCoffee", &[]),
        ];
        for (source, name, actions) in cases {
            assert_eq!(used(source, name), actions, "{source} {name}");
        }
    }

    #[test]
    fn what_needs_nothing_is_not_what_is_not_known() {
        for (source, name) in [("sts.amazonaws.com", "GetCallerIdentity"), ("signin.amazonaws.com", "ConsoleLogin")] {
            assert_eq!(actions_of_event(source, name), EventActions::NoPermission, "{name}");
        }
        for (source, name) in [("kms.amazonaws.com", "RotateTheKey"), ("nowhere.example.com", "X"), ("", "")] {
            assert_eq!(actions_of_event(source, name), EventActions::NotKnown, "{name}");
        }
    }

    #[test]
    fn what_a_call_may_need_besides_is_said() {
        let EventActions::Needs { also, .. } = actions_of_event("ec2.amazonaws.com", "RunInstances") else {
            panic!("RunInstances is an action");
        };
        assert!(also.iter().any(|action| action.name == "iam:PassRole"));
    }

    #[test]
    fn every_name_in_the_tables_is_in_the_catalogue() {
        for (service, calls) in &TABLES.calls {
            for (operation, needs) in calls {
                for need in needs.0.split(',') {
                    let need = need.trim_start_matches('+');
                    let name = if need.contains(':') { need.to_owned() } else { format!("{service}:{need}") };
                    assert!(catalogue().find(&name).is_some(), "{service} {operation}: {name}");
                }
            }
        }
        for (host, services) in &TABLES.hosts {
            assert!(services.iter().all(|s| catalogue().service_named(s).is_some()), "{host}");
        }
    }
}
