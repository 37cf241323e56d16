//! Ways from some permissions to more: the table of them, and which ones a role has.
//!
//! Knows `data/escalation.txt`, and how to ask a role's whole stack for each action of a way: on the
//! role itself, on some resource, or on the same resource as the action before. Statements may be
//! split over any number of policies; a boundary, SCP, session policy or Deny that takes an action
//! away takes the way away. Refuses to know which roles and workloads there are: who is gained, and
//! through how many roles, the estate says.

use crate::access::{ActionSet, Stack};
use crate::arn::{Arn, RoleArn};
use crate::condition::Context;
use crate::document::{Clause, Effect};
use crate::layer::Layer;
use crate::truth::{Answer, Site, Truth};
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::LazyLock;

/// What a way gains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Gain {
    /// The role changes its own permissions.
    Own,
    /// It becomes, or changes, another role.
    Role,
    /// It becomes, or changes, a user.
    User,
    /// It starts something as a role that this service may assume.
    PassedRole(&'static str),
    /// It takes over something that already runs as a role.
    Running,
    /// It gets the credentials of pods with associations.
    Pods,
}

impl Gain {
    /// The snake-case name, without the service.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Own => "own_permissions",
            Self::Role => "another_role",
            Self::User => "a_user",
            Self::PassedRole(_) => "a_passed_role",
            Self::Running => "a_running_role",
            Self::Pods => "pods",
        }
    }
}

/// On what an action of a way must be allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum On {
    /// On some resource.
    Some,
    /// On the role itself, or on a customer's policy that is attached to it.
    Own,
    /// On a resource on which the action before it is allowed too.
    Same,
}

/// One action of a way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// The action.
    pub action: &'static str,
    /// On what.
    pub on: On,
}

/// One way.
#[derive(Debug, PartialEq, Eq)]
pub struct Way {
    /// A stable slug.
    pub id: &'static str,
    /// What it gains.
    pub gain: Gain,
    /// What it takes, all of it; `iam:PassRole` first where a role is passed.
    pub steps: Vec<Step>,
}

impl Way {
    /// The actions that it takes.
    pub fn actions(&self) -> impl Iterator<Item = &'static str> {
        self.steps.iter().map(|step| step.action)
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, action) in self.actions().enumerate() {
            write!(f, "{}{action}", if n == 0 { "" } else { " + " })?;
        }
        Ok(())
    }
}

static WAYS: LazyLock<Vec<Way>> = LazyLock::new(|| {
    let lines = include_str!("../data/escalation.txt").lines();
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).filter_map(way).collect()
});

/// Every way that is known, in the order of the table.
#[must_use]
pub fn ways() -> &'static [Way] {
    &WAYS
}

fn way(line: &'static str) -> Option<Way> {
    let mut words = line.split(' ');
    let id = words.next()?;
    let gain = match words.next()? {
        "own" => Gain::Own,
        "role" => Gain::Role,
        "user" => Gain::User,
        "running" => Gain::Running,
        "pods" => Gain::Pods,
        passed => Gain::PassedRole(passed.strip_prefix("pass:")?),
    };
    let pass = matches!(gain, Gain::PassedRole(_)).then_some(Step { action: "iam:PassRole", on: On::Some });
    let step = |word: &'static str| match word.split_once('@') {
        None => Step { action: word, on: On::Some },
        Some((action, "own")) => Step { action, on: On::Own },
        Some((action, _)) => Step { action, on: On::Same },
    };
    Some(Way { id, gain, steps: pass.into_iter().chain(words.map(step)).collect() })
}

/// Whose permissions are asked for.
#[derive(Debug, Clone, Copy)]
pub struct Holder<'a> {
    /// The role.
    pub role: &'a RoleArn,
    /// The policies attached to it that the customer made: AWS's own cannot be changed.
    pub policies: &'a [Arn],
}

/// A way that a role has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The way.
    pub way: &'static Way,
    /// True, or unknown with the reasons; never false.
    pub truth: Truth,
    /// The statements that allow its actions.
    pub by: Vec<Site>,
}

/// An action, and the service that a role is passed to by it.
type Call = (&'static str, Option<&'static str>);

/// Answers about one stack, each worked out once.
#[derive(Debug)]
struct Asked<'a> {
    stack: &'a Stack,
    /// By action and, for `iam:PassRole`, service: the answer on each resource worth asking for.
    on: HashMap<Call, Vec<(String, Answer)>>,
}

impl<'a> Asked<'a> {
    /// The context of an action: what is free but for the service that a role is passed to.
    fn context(passed_to: Option<&str>) -> Context {
        passed_to.map_or_else(Context::open, |service| Context::open().set("iam:PassedToService", [service]))
    }

    /// The resources that statements suggest, with the answers that are not no.
    fn everywhere(&mut self, action: &'static str, passed_to: Option<&'static str>) -> &[(String, Answer)] {
        let stack = self.stack;
        self.on.entry((action, passed_to)).or_insert_with(|| {
            let context = Self::context(passed_to);
            let answer = |resource: String| {
                let answer = stack.possible(action, &resource, &context);
                (!answer.truth.is_false()).then_some((resource, answer))
            };
            stack.witnesses(action).into_iter().filter_map(answer).collect()
        })
    }

    fn somewhere(&mut self, action: &'static str, passed_to: Option<&'static str>) -> Answer {
        best(self.everywhere(action, passed_to).iter().map(|(_, answer)| answer.clone()))
    }

    /// What two actions come to on each resource that they may have in common.
    fn on_one(&mut self, first: &'static str, second: &'static str) -> Vec<Answer> {
        let stack = self.stack;
        let (a, b) = (stack.patterns(first), stack.patterns(second));
        let shared: Vec<String> = a.iter().flat_map(|a| b.iter().filter_map(|b| meet(a, b))).collect();
        let context = Context::open();
        let ask = |resource: String| {
            let (one, two) = (stack.possible(first, &resource, &context), stack.possible(second, &resource, &context));
            Answer { truth: one.truth.and(two.truth), by: one.by.into_iter().chain(two.by).collect() }
        };
        shared.iter().flat_map(|pattern| filled(pattern)).map(ask).collect()
    }

    fn own(&self, action: &'static str, holder: Holder<'_>) -> Answer {
        let context = Context::open();
        let ask = |resource: &str| self.stack.possible(action, resource, &context);
        // What acts on policies acts on those that are attached; all else on the role.
        if matches!(action, "iam:CreatePolicyVersion" | "iam:SetDefaultPolicyVersion") {
            return best(holder.policies.iter().map(|arn| ask(arn.as_str())));
        }
        ask(holder.role.as_str())
    }
}

/// The most certain of several answers; no where there is none.
fn best(answers: impl Iterator<Item = Answer>) -> Answer {
    let mut best = Answer::bare(Truth::False);
    for answer in answers {
        match (&best.truth, &answer.truth) {
            (Truth::True, _) => return best,
            (_, Truth::True) | (Truth::False, Truth::Unknown(_)) => best = answer,
            _ => {}
        }
    }
    best
}

/// The ways that a role has by its stack, in the order of the table.
///
/// A condition that can hold for some request counts as holding. A way that is unknown only because
/// of policies that were not seen or read is among them with the reasons, unless the policies that
/// were seen give no hint of it.
#[must_use]
pub fn find(stack: &Stack, holder: Holder<'_>) -> Vec<Found> {
    let named = stack.actions_named();
    let mut asked = Asked { stack, on: HashMap::new() };
    let hinted = |way: &&Way| way.actions().all(|action| named.contains(action));
    ways().iter().filter(hinted).filter_map(|way| walk(way, &mut asked, holder)).collect()
}

fn walk(way: &'static Way, asked: &mut Asked<'_>, holder: Holder<'_>) -> Option<Found> {
    let passed_to = if let Gain::PassedRole(service) = way.gain { Some(service) } else { None };
    let (mut truth, mut by) = (Truth::True, Vec::new());
    let mut rest = way.steps.iter().peekable();
    while let Some(step) = rest.next() {
        let service = passed_to.filter(|_| step.action == "iam:PassRole");
        let answer = match (step.on, rest.peek()) {
            (On::Own, _) => asked.own(step.action, holder),
            // Both on one resource: asked together, once.
            (_, Some(next)) if next.on == On::Same => {
                let next = next.action;
                rest.next();
                best(asked.on_one(step.action, next).into_iter())
            }
            _ => asked.somewhere(step.action, service),
        };
        truth = truth.and(answer.truth);
        if truth.is_false() {
            return None;
        }
        by.extend(answer.by.into_iter().filter(|site| !by.contains(site)).collect::<Vec<_>>());
    }
    Some(Found { way, truth, by })
}

impl Stack {
    /// The catalogue's actions that some identity policy which was read names in an Allow.
    fn actions_named(&self) -> ActionSet {
        let allows = self.identity.iter().flat_map(|layer| layer.statements(Effect::Allow));
        allows.fold(ActionSet::default(), |all, statement| all.union(statement.actions_named()))
    }

    /// Why identity policies may allow more than was seen, as sentences.
    pub fn unseen_identity(&self) -> impl Iterator<Item = String> {
        self.identity.iter().filter_map(|layer| layer.policy.as_ref().err().map(ToString::to_string))
    }

    /// Resources on which an action is worth asking for: one for each pattern of each statement, in
    /// any layer, that names the action, and one for each two patterns that have a resource in
    /// common. Whether it is allowed there is for the stack to say.
    #[must_use]
    pub fn witnesses(&self, action: &str) -> Vec<String> {
        self.patterns(action).iter().flat_map(|pattern| filled(pattern)).collect()
    }

    /// Patterns of resources on which every layer names the action in some Allow.
    fn patterns(&self, action: &str) -> Vec<String> {
        let patterns = |layers: &[Layer]| -> Vec<String> {
            let statements = layers.iter().flat_map(|layer| layer.statements(Effect::Allow));
            let named = statements.filter(|statement| statement.names_action(action));
            let patterns = named.flat_map(|statement| match &statement.resources {
                None | Some(Clause::NotIn(_)) => vec!["*".to_owned()],
                Some(Clause::In(list)) => list.iter().map(|pattern| pattern.as_str().to_owned()).collect(),
            });
            let mut patterns: Vec<String> = patterns.collect();
            patterns.sort();
            patterns.dedup();
            patterns
        };
        let mut found = patterns(&self.identity);
        for layers in self.ceilings() {
            let ceiling = patterns(layers);
            // A ceiling that was not seen lets everything through; the answer is unknown then anyway.
            if ceiling.is_empty() || ceiling.iter().any(|pattern| pattern == "*") {
                continue;
            }
            let meet = |a: &String| ceiling.iter().filter_map(|b| meet(a, b)).collect::<Vec<_>>();
            found = found.iter().flat_map(meet).collect();
            found.sort();
            found.dedup();
        }
        found
    }
}

/// A pattern that matches only what both match; `None` where they have nothing in common.
///
/// Where several such patterns are needed to name all of it, this is one of them. Whole ARNs meet
/// segment by segment.
fn meet(a: &str, b: &str) -> Option<String> {
    let segments = |text: &str| text.splitn(6, ':').map(str::to_owned).collect::<Vec<_>>();
    let (left, right) = (segments(a), segments(b));
    if left.len() < 6 || right.len() < 6 {
        return meet_text(a, b);
    }
    let each: Option<Vec<String>> = left.iter().zip(&right).map(|(a, b)| meet_text(a, b)).collect();
    Some(each?.join(":"))
}

fn meet_text(a: &str, b: &str) -> Option<String> {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    // What is left to try: how much of each is used up, and what was written so far. A place that
    // was tried once and led nowhere leads nowhere again.
    let mut tried: HashSet<(usize, usize)> = HashSet::new();
    let mut open = vec![(0, 0, String::new())];
    while let Some((i, j, written)) = open.pop() {
        if !tried.insert((i, j)) {
            continue;
        }
        let with = |c: char| format!("{written}{c}");
        // The last one pushed is tried first.
        match (a.get(i).copied(), b.get(j).copied()) {
            (None, None) => return Some(written),
            (Some('*'), Some('*')) => {
                open.push((i + 1, j, with('*')));
                open.push((i, j + 1, with('*')));
                open.push((i + 1, j + 1, with('*')));
            }
            (Some('*'), other) => {
                open.push((i + 1, j, written.clone()));
                open.extend(other.map(|c| (i, j + 1, with(c))));
            }
            (other, Some('*')) => {
                open.push((i, j + 1, written.clone()));
                open.extend(other.map(|c| (i + 1, j, with(c))));
            }
            (Some(x), Some('?')) => open.push((i + 1, j + 1, with(x))),
            (Some('?'), Some(y)) => open.push((i + 1, j + 1, with(y))),
            (Some(x), Some(y)) if x == y => open.push((i + 1, j + 1, with(x))),
            _ => {}
        }
    }
    None
}

/// Resources that a pattern matches: its wildcards and variables filled in, with nothing and with
/// something.
fn filled(pattern: &str) -> Vec<String> {
    let mut plain = String::new();
    let mut rest = pattern;
    while let Some((before, after)) = rest.split_once("${") {
        let Some((_, tail)) = after.split_once('}') else { break };
        plain.push_str(before);
        plain.push('x');
        rest = tail;
    }
    plain.push_str(rest);
    let with = |text: &str| plain.replace('*', text).replace('?', "x");
    let mut found = vec![with("anything"), with("")];
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::catalogue;
    use crate::document::Document;
    use std::collections::BTreeSet;

    fn layer(name: &str, statements: &serde_json::Value) -> Layer {
        let text = serde_json::json!({"Version": "2012-10-17", "Statement": statements}).to_string();
        Layer::known(name, &Document::read(&text))
    }

    fn allow(actions: &[&str], resource: &str) -> serde_json::Value {
        serde_json::json!({"Effect": "Allow", "Action": actions, "Resource": resource})
    }

    fn deny(actions: &[&str], resource: &str) -> serde_json::Value {
        serde_json::json!({"Effect": "Deny", "Action": actions, "Resource": resource})
    }

    fn own_policy() -> Arn {
        "arn:aws:iam::111122223333:policy/own".parse().unwrap()
    }

    fn ids(stack: &Stack) -> BTreeSet<&'static str> {
        let role: RoleArn = "arn:aws:iam::111122223333:role/app".parse().unwrap();
        let found = find(stack, Holder { role: &role, policies: &[own_policy()] });
        found.into_iter().filter(|f| f.truth.is_true()).map(|f| f.way.id).collect()
    }

    fn of(identity: Vec<Layer>) -> Stack {
        Stack { identity, ..Stack::default() }
    }

    #[test]
    fn the_table_is_whole_and_every_action_in_it_exists() {
        let lines = include_str!("../data/escalation.txt").lines();
        let wanted = lines.filter(|line| !line.is_empty() && !line.starts_with('#')).count();
        assert_eq!(ways().len(), wanted);
        let ids: BTreeSet<_> = ways().iter().map(|way| way.id).collect();
        assert_eq!(ids.len(), wanted);
        for way in ways() {
            assert!(way.actions().all(|action| catalogue().find(action).is_some()), "{}", way.id);
            assert!(!way.steps.is_empty());
        }
    }

    #[test]
    fn each_way_is_found_where_all_of_it_is_granted_over_split_policies_and_not_with_a_part() {
        for way in ways() {
            let actions: Vec<&str> = way.actions().collect();
            let each = |missing: Option<usize>| {
                let kept = actions.iter().enumerate().filter(|(n, _)| Some(*n) != missing);
                of(kept.map(|(n, action)| layer(&format!("policy {n}"), &allow(&[action], "*"))).collect())
            };
            assert!(ids(&each(None)).contains(way.id), "{} was not found", way.id);
            for (missing, action) in actions.iter().enumerate() {
                assert!(!ids(&each(Some(missing))).contains(way.id), "{} without {action}", way.id);
            }
        }
    }

    #[test]
    fn each_way_is_gone_where_any_of_it_is_taken_away() {
        for way in ways() {
            let actions: Vec<&str> = way.actions().collect();
            let granted = vec![layer("inline policy all", &allow(&actions, "*"))];
            for action in &actions {
                let others: Vec<&str> = actions.iter().copied().filter(|a| a != action).collect();
                let rest = layer("others", &allow(if others.is_empty() { &["a4b:GetDevice"] } else { &others }, "*"));
                let mut denied = granted.clone();
                denied.push(layer("deny", &deny(&[action], "*")));
                let full = layer("FullAWSAccess", &allow(&["*"], "*"));
                let scp_deny = layer("SCP no", &deny(&[action], "*"));
                let blocked = [
                    ("deny", of(denied)),
                    ("boundary", Stack { identity: granted.clone(), boundary: Some(rest.clone()), ..Stack::default() }),
                    ("session", Stack { identity: granted.clone(), session: Some(rest.clone()), ..Stack::default() }),
                    (
                        "scp",
                        Stack {
                            identity: granted.clone(),
                            scps: vec![vec![full.clone()], vec![rest]],
                            ..Stack::default()
                        },
                    ),
                    (
                        "scp deny",
                        Stack { identity: granted.clone(), scps: vec![vec![full, scp_deny]], ..Stack::default() },
                    ),
                ];
                for (by, stack) in blocked {
                    assert!(!ids(&stack).contains(way.id), "{} though {action} is blocked by {by}", way.id);
                }
            }
        }
    }

    #[test]
    fn own_ways_need_the_role_itself_and_passing_needs_the_service() {
        let on = |action: &str, resource: &str| ids(&of(vec![layer("p", &allow(&[action], resource))]));
        assert!(on("iam:PutRolePolicy", "arn:aws:iam::111122223333:role/app").contains("put-role-policy"));
        assert!(on("iam:PutRolePolicy", "arn:aws:iam::*:role/a*").contains("put-role-policy"));
        assert!(!on("iam:PutRolePolicy", "arn:aws:iam::111122223333:role/other").contains("put-role-policy"));
        assert!(on("iam:CreatePolicyVersion", own_policy().as_str()).contains("create-policy-version"));
        assert!(!on("iam:CreatePolicyVersion", "arn:aws:iam::111122223333:policy/x").contains("create-policy-version"));
        let pass = |service: &str| {
            let pass = serde_json::json!({"Effect": "Allow", "Action": "iam:PassRole", "Resource": "*",
                "Condition": {"StringEquals": {"iam:PassedToService": service}}});
            ids(&of(vec![layer("p", &serde_json::json!([pass, allow(&["lambda:*", "eks:*"], "*")]))]))
        };
        let lambda = pass("lambda.amazonaws.com");
        assert!(lambda.contains("lambda-create-invoke") && !lambda.contains("pod-create-association"), "{lambda:?}");
        let pods = pass("pods.eks.amazonaws.com");
        assert!(!pods.contains("lambda-create-invoke") && pods.contains("pod-create-association"), "{pods:?}");
    }

    #[test]
    fn a_pair_on_one_resource_needs_one_resource() {
        let both = |a: &str, b: &str| {
            ids(&of(vec![
                layer("a", &allow(&["iam:PutUserPolicy"], a)),
                layer("b", &allow(&["iam:CreateAccessKey"], b)),
            ]))
        };
        let user = |name: &str| format!("arn:aws:iam::111122223333:user/{name}");
        assert!(both(&user("a*"), &user("*b")).contains("put-user-policy-key"));
        assert!(!both(&user("x"), &user("y")).contains("put-user-policy-key"));
    }

    #[test]
    fn a_boundary_on_other_resources_takes_the_way_away_and_on_overlapping_ones_it_does_not() {
        let under = |resource: &str| {
            let identity = vec![layer("p", &allow(&["iam:UpdateAssumeRolePolicy"], "arn:aws:iam::*:role/app-*"))];
            let boundary = Some(layer("b", &allow(&["iam:*"], resource)));
            ids(&Stack { identity, boundary, ..Stack::default() })
        };
        assert!(under("arn:aws:iam::*:role/*-prod").contains("update-trust"));
        assert!(under("arn:aws:iam::111122223333:role/*").contains("update-trust"));
        assert!(!under("arn:aws:iam::*:role/team/*").contains("update-trust"));
    }

    #[test]
    fn what_two_patterns_have_in_common() {
        for (a, b, wanted) in [
            ("abc", "abc", Some("abc")),
            ("a*", "*c", Some("a*c")),
            ("a?c", "ab*", Some("abc")),
            ("role/app-*", "role/*-prod", Some("role/app-*-prod")),
            ("*x", "*y*", Some("*y*x")),
            ("a*", "b*", None),
            ("a", "a?", None),
            ("*", "*", Some("*")),
        ] {
            assert_eq!(meet(a, b).as_deref(), wanted, "{a} and {b}");
        }
    }
}
