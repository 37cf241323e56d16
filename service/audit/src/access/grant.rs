//! What a set of policies grants: the statements that do, and whether they make an administrator.

use super::answer::{Known, Listed, Partial, known, why};
use super::data::Data;
use crate::index::{join, reasons};
use rolecall_estate::Reason;
use rolecall_iam::grants::{AdminBy, Grant, Granted, Grants};
use rolecall_iam::{ActionSet, Site, Sites, Truth, Why};
use rolecall_rules::Reasons;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

/// Statements that grant something.
pub(crate) type Statements = Listed<Arc<StatementGrant>>;

/// What a set of policies grants.
#[derive(Debug)]
pub(crate) struct GrantAnswers {
    /// The steps that it took to work them out.
    pub steps: u64,
    /// Those that allow `*` or a whole service by a wildcard.
    pub wildcard_actions: Statements,
    /// Those that allow everything but what they name.
    pub not_actions: Statements,
    /// Those that allow writing on every resource.
    pub broad_writes: Statements,
    /// Those that allow `iam:PassRole` for every role.
    pub pass_role: Statements,
    reads: BTreeMap<Data, Statements>,
    pub admin: Known<bool>,
    /// Whether being an administrator takes a statement with a condition.
    pub admin_conditional: bool,
    pub admin_by: Option<AdminBy>,
    pub admin_evidence: Vec<Site>,
}

/// A statement that grants.
#[derive(Debug)]
pub(crate) struct StatementGrant {
    pub site: Site,
    /// Whether a condition that can fail stands before it.
    pub conditional: bool,
    pub limits_resources: bool,
    pub everywhere: ActionSet,
    /// Whether actions that the catalogue does not have are granted everywhere, and change something
    /// as far as their names say.
    pub unlisted_everywhere: Option<bool>,
    /// The services of which something is granted everywhere.
    pub services_everywhere: Vec<String>,
    /// The patterns concerned, as written.
    pub patterns: Vec<String>,
    /// The first fifty actions that are left.
    pub actions: Vec<String>,
    /// The actions that are left, in a few words.
    pub summary: String,
    pub pass: Option<Passed>,
}

/// To which services a statement passes roles.
#[derive(Debug)]
pub(crate) struct Passed {
    pub service_limited: Known<bool>,
    /// The services that the statement's own conditions name.
    pub to: Vec<String>,
}

impl GrantAnswers {
    pub(crate) fn new(grants: &Grants) -> Self {
        let unread = grants.unseen_grants();
        let admin = grants.admin();
        let pass = grants.pass_role();
        let passing = pass.grants.iter().map(|pass| {
            let passed = Passed { service_limited: known(&pass.service_limited), to: pass.passed_to.clone() };
            StatementGrant::new(&pass.grant, Some(passed))
        });
        Self {
            steps: grants.steps(),
            wildcard_actions: statements(&grants.wildcard_actions(), unread),
            not_actions: statements(&grants.allow_not_action(), unread),
            broad_writes: statements(&writing(grants.broad_writes()), unread),
            pass_role: listed(&pass.truth, passing, unread),
            reads: Data::ALL
                .into_iter()
                .map(|data| (data, statements(&grants.granting_everywhere(data.reads()), unread)))
                .collect(),
            admin: known(&admin.answer.truth),
            admin_conditional: admin.conditional,
            admin_by: admin.by,
            admin_evidence: admin.answer.by,
        }
    }

    /// The statements that read every resource of a kind of data.
    pub(crate) fn reads(&self, data: Data) -> Statements {
        self.reads.get(&data).cloned().unwrap_or_else(|| Ok(Partial::empty()))
    }

    /// The union over several sessions; an association that was not seen may have the whole.
    pub(crate) fn union_of(whole: &Self, each: &[Arc<Self>], unseen: Option<&Reasons>) -> Self {
        let lists = |field: &dyn Fn(&Self) -> Statements| -> Statements {
            let mut items = Vec::new();
            let mut missing: Option<Reasons> = None;
            for answers in each {
                match field(answers) {
                    Ok(found) => {
                        items.extend(found.items);
                        missing = join(missing, found.missing.as_ref());
                    }
                    Err(why) => missing = join(missing, Some(&why)),
                }
            }
            if field(whole).map_or(true, |found| !found.items.is_empty()) {
                missing = join(missing, unseen);
            }
            dedup(&mut items);
            Ok(Partial { items, missing })
        };
        let admins: Vec<&Arc<Self>> = each.iter().filter(|answers| answers.admin == Ok(true)).collect();
        let open: Vec<Reason> =
            each.iter().filter_map(|answers| answers.admin.as_ref().err()).flat_map(Reasons::to_vec).collect();
        let whole_admin = whole.admin != Ok(false);
        let open = join(reasons(open), unseen.filter(|_| whole_admin));
        let first = admins.first();
        Self {
            steps: each.iter().map(|answers| answers.steps).sum(),
            wildcard_actions: lists(&|it| it.wildcard_actions.clone()),
            not_actions: lists(&|it| it.not_actions.clone()),
            broad_writes: lists(&|it| it.broad_writes.clone()),
            pass_role: lists(&|it| it.pass_role.clone()),
            reads: Data::ALL.into_iter().map(|data| (data, lists(&|it| it.reads(data)))).collect(),
            admin: match (first, open) {
                (Some(_), _) => Ok(true),
                (None, Some(why)) => Err(why),
                (None, None) => Ok(false),
            },
            admin_conditional: first.is_some() && admins.iter().all(|it| it.admin_conditional),
            admin_by: first.and_then(|it| it.admin_by),
            admin_evidence: first.map(|it| it.admin_evidence.clone()).unwrap_or_default(),
        }
    }
}

/// AWS counts a few actions as writing that only read, such as `athena:GetSessionEndpoint`: a
/// statement that is left with nothing else, as those of `ReadOnlyAccess`, writes nothing.
fn writing(mut granted: Granted) -> Granted {
    granted.grants.retain(|grant| !grant.unlisted.is_empty() || !READING_BY_NAME.includes(&grant.actions));
    if granted.grants.is_empty() && granted.truth.is_true() {
        granted.truth = Truth::False;
    }
    granted
}

/// The actions of the catalogue whose names say that they only read.
static READING_BY_NAME: LazyLock<ActionSet> = LazyLock::new(|| {
    let all = ActionSet::all();
    let reading = all.numbers().zip(all.iter()).filter(|(_, action)| says_it_reads(action.name));
    ActionSet::from_numbers(reading.map(|(number, _)| number))
});

/// Whether an action's name says that it only reads.
fn says_it_reads(action: &str) -> bool {
    let name = action.split_once(':').map_or(action, |(_, name)| name);
    ["Get", "List", "Describe", "Search", "BatchGet"].iter().any(|verb| name.starts_with(verb))
}

/// What was granted stands though another policy was not read, which may only add to it; where a
/// ceiling was not seen, nothing stands.
pub(crate) fn statements(granted: &Granted, unread: &[Why]) -> Statements {
    listed(&granted.truth, granted.grants.iter().map(|grant| StatementGrant::new(grant, None)), unread)
}

fn listed(found: &Truth, items: impl Iterator<Item = StatementGrant>, unread: &[Why]) -> Statements {
    if let Truth::Unknown(_) = found {
        return Err(why(found));
    }
    Ok(Partial { items: items.map(Arc::new).collect(), missing: reasons(unread.iter().map(ToString::to_string)) })
}

/// The same statement reached by two session policies is one grant.
pub(crate) fn dedup(items: &mut Vec<Arc<StatementGrant>>) {
    let mut seen = Sites::default();
    items.retain(|grant| seen.insert(grant.site.clone()));
}

impl StatementGrant {
    fn new(grant: &Grant, pass: Option<Passed>) -> Self {
        // What the catalogue does not list is an action all the same.
        let listed = grant.actions.iter().map(|action| action.name);
        // Names of many thousand actions would help nobody.
        let actions = grant.unlisted.iter().map(String::as_str).chain(listed).take(50);
        Self {
            site: grant.site.clone(),
            conditional: grant.conditional,
            limits_resources: grant.limits_resources,
            everywhere: grant.everywhere.clone(),
            unlisted_everywhere: (grant.names_everything && !grant.unlisted.is_empty())
                .then(|| !grant.unlisted.iter().all(|pattern| says_it_reads(pattern))),
            services_everywhere: services(grant),
            patterns: grant.patterns.clone(),
            actions: actions.map(str::to_owned).collect(),
            summary: summary(grant),
            pass,
        }
    }
}

/// The services of which something is granted everywhere.
fn services(grant: &Grant) -> Vec<String> {
    let listed = grant.everywhere.services();
    let unlisted = grant.unlisted.iter().filter(|_| grant.names_everything);
    let unlisted = unlisted.filter_map(|pattern| pattern.split_once(':').map(|(service, _)| service));
    let all: BTreeSet<&str> = listed.into_iter().chain(unlisted).collect();
    all.into_iter().map(str::to_owned).collect()
}

fn summary(grant: &Grant) -> String {
    let patterns = &grant.patterns;
    let count = grant.unlisted.len() + grant.actions.len();
    if count > 5 && patterns.len() <= 5 {
        let but = if grant.all_but { "everything but " } else { "" };
        return format!("{but}{}", patterns.join(", "));
    }
    let listed = grant.actions.iter().map(|action| action.name);
    let shown: Vec<&str> = grant.unlisted.iter().map(String::as_str).chain(listed).take(5).collect();
    match count.saturating_sub(shown.len()) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
