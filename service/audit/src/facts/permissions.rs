//! What a role may do, as facts: the whole stack of policies, and what it comes to.
//!
//! Knows how to gather a role's policies, its boundary, a session policy and the SCPs above it.
//! Stacks of the same content are worked out once. Refuses to decide which grants are bad.

use super::CachedIndex;
use super::data::Data;
use super::view::{Def, Facts, evidence, evidences, text, truth, why};
use crate::index::{join, reasons};
use rolecall_estate::{Reason, Role};
use rolecall_iam::grants::{AdminBy, Grant, Granted, Grants, writes};
use rolecall_iam::lint::{self, Severity};
use rolecall_iam::{
    AccountId, ActionSet, Arn, Digest, Document, Level, PolicyRef, PolicySet, PolicyType, Site, Sites, Steps, Truth,
    Why,
};
use rolecall_rules::{Evidence, Reasons, Type, Value};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

/// So many steps all sessions of one role may take together: twice as many as one of them.
const STEPS_OF_SESSIONS: u64 = 2_000_000;

/// Answers about stacks, by their content; and about roles, which many rules ask for.
#[derive(Debug, Default)]
pub(super) struct Memo(Mutex<HashMap<Digest, Arc<Answers>>>, Mutex<HashMap<usize, Value>>);

/// A policy of a role's stack, found or not.
pub(super) struct Part<'a> {
    pub source: String,
    pub document: Result<&'a Document, Reason>,
}

impl Part<'_> {
    fn layer(&self) -> PolicyRef {
        match &self.document {
            Ok(document) => PolicyRef::known(&self.source, document),
            Err(why) => PolicyRef::missing(&self.source, why),
        }
    }
}

/// Answers about a stack, ready for rules.
#[derive(Debug)]
pub(super) struct Answers {
    /// The steps that it took to work out what the stack grants.
    steps: u64,
    wildcard_actions: Value,
    not_actions: Value,
    broad_writes: Value,
    pass_role: Value,
    reads: BTreeMap<Data, Value>,
    admin: Value,
    admin_conditional: bool,
    admin_by: Value,
    admin_evidence: Value,
}

/// The policies of a role that grant, by name.
pub(super) fn identity<'a>(world: &'a CachedIndex, role: &Role) -> Vec<Part<'a>> {
    let inline = role.inline.iter().map(|policy| Part {
        source: format!("inline policy {}", policy.name),
        document: document(world, Some(&policy.document)),
    });
    let attached = role.attached.iter().map(|policy| managed(world, role.arn.account_id(), &policy.arn));
    inline.chain(attached).collect()
}

/// The permissions boundary of a role.
pub(super) fn boundary<'a>(world: &'a CachedIndex, role: &Role) -> Option<Part<'a>> {
    let mut part = managed(world, role.arn.account_id(), role.boundary.as_ref()?);
    part.source = format!("permissions boundary {}", part.source);
    Some(part)
}

fn document<'a>(world: &'a CachedIndex, digest: Option<&Digest>) -> Result<&'a Document, Reason> {
    digest
        .and_then(|digest| world.documents.get(digest))
        .ok_or_else(|| Reason::from("its document is not in the estate"))
}

fn managed<'a>(world: &'a CachedIndex, account: AccountId, arn: &Arn) -> Part<'a> {
    let unseen = world.visibility(account).policies.as_ref();
    let missing = || unseen.map_or_else(|| Reason::from("the account's listing does not have it"), Reasons::joined);
    let document = match world.policy(account, arn) {
        Some(policy) => match world.policy_unseen(policy) {
            Some(why) => Err(why.joined()),
            None => document(world, policy.document.as_ref()),
        },
        None => Err(missing()),
    };
    Part { source: arn.to_string(), document }
}

fn scps<'a>(world: &'a CachedIndex, role: &Role) -> Vec<Vec<Part<'a>>> {
    // SCPs do not bind service-linked roles.
    if is_service_linked(role) {
        return Vec::new();
    }
    match world.scps(role.arn.account_id()) {
        Ok(levels) => levels
            .into_iter()
            .map(|level| {
                let part = |policy: &rolecall_estate::OrgPolicy| Part {
                    source: format!("SCP {}", policy.name),
                    document: world
                        .documents
                        .get(&policy.document)
                        .ok_or_else(|| Reason::from("its document is not in the estate")),
                };
                level.into_iter().map(part).collect()
            })
            .collect(),
        Err(why) => vec![vec![Part { source: "SCPs".to_owned(), document: Err(why.joined()) }]],
    }
}

/// Whether the role is one that an AWS service made for itself.
pub(super) fn is_service_linked(role: &Role) -> bool {
    role.arn.path().starts_with("/aws-service-role/")
}

/// A session policy, for a stack.
pub(super) fn session_policy<'a>(world: &'a CachedIndex, digest: &Digest) -> Part<'a> {
    Part { source: "session policy".to_owned(), document: document(world, Some(digest)) }
}

/// What AWS STS refuses of a session policy that reads as a policy, as evidence.
pub(super) fn refused_of_session(document: &Document) -> Vec<Value> {
    if document.parsed.is_err() {
        return Vec::new();
    }
    let whole: serde_json::Value = serde_json::from_str(&document.text).unwrap_or_default();
    let problems = lint::check(document, PolicyType::Session).into_iter();
    let refused = problems.filter(|problem| problem.severity == Severity::Refused);
    let shown = refused.map(|problem| {
        Value::object(Evidence {
            label: problem.message,
            document: Some(document.digest),
            source: "session policy".to_owned(),
            value: whole.pointer(&problem.pointer).cloned().unwrap_or_default(),
            pointer: problem.pointer,
        })
    });
    shown.collect()
}

fn scp_levels(world: &CachedIndex, role: &Role) -> Arc<[Level]> {
    let level = |(n, policies): (usize, &Vec<Part<'_>>)| {
        Level::new(&format!("level {}", n + 1), policies.iter().map(Part::layer).collect())
    };
    scps(world, role).iter().enumerate().map(level).collect()
}

/// The policies that apply to a role's session.
pub(super) fn stack(world: &CachedIndex, role: &Role, session: Option<&Digest>) -> PolicySet {
    PolicySet {
        identity: Some(identity(world, role).iter().map(Part::layer).collect()),
        boundary: boundary(world, role).map(|part| vec![part.layer()]),
        session: session.map(|digest| vec![session_policy(world, digest).layer()]),
        scp: Some(scp_levels(world, role)),
        ..PolicySet::default()
    }
}

/// What holds back whoever becomes the role, whatever its own policies allow: its boundary and SCPs.
pub(super) fn ceilings(world: &CachedIndex, role: &Role) -> PolicySet {
    PolicySet {
        boundary: boundary(world, role).map(|part| vec![part.layer()]),
        scp: Some(scp_levels(world, role)),
        ..PolicySet::default()
    }
}

/// What a role's session may do, worked out once for each content of its stack.
pub(super) fn answers(world: &CachedIndex, role: &Role, session: Option<&Digest>) -> Arc<Answers> {
    answers_of(world, &stack(world, role, session))
}

/// As [`answers`], of a stack.
pub(super) fn answers_of(world: &CachedIndex, stack: &PolicySet) -> Arc<Answers> {
    let key = stack.own_digest();
    if let Some(answers) = world.memo.0.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
        return Arc::clone(answers);
    }
    let answers = Arc::new(Answers::new(&Grants::new(stack)));
    world.memo.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key, Arc::clone(&answers));
    answers
}

impl Answers {
    /// Whether it grants administrator access.
    pub(super) fn admin(&self) -> &Value {
        &self.admin
    }

    fn new(grants: &Grants) -> Self {
        let unread = grants.unseen_grants();
        let admin = grants.admin();
        let pass = grants.pass_role();
        let passing = pass.grants.iter().map(|pass| {
            let passed_to = pass.passed_to.iter().map(String::as_str).collect::<Vec<_>>();
            GrantFacts::of(&pass.grant, Some((truth(&pass.service_limited), Value::texts(passed_to)))).into_value()
        });
        Self {
            steps: grants.steps(),
            wildcard_actions: list(&grants.wildcard_actions(), unread),
            not_actions: list(&grants.allow_not_action(), unread),
            broad_writes: list(&writing(grants.broad_writes()), unread),
            pass_role: seen(&pass.truth, passing, unread),
            reads: Data::ALL
                .into_iter()
                .map(|data| (data, list(&grants.granting_everywhere(data.reads()), unread)))
                .collect(),
            admin: truth(&admin.answer.truth),
            admin_conditional: admin.conditional,
            admin_by: match admin.by {
                Some(AdminBy::Everything) => text("every action on every resource"),
                Some(AdminBy::Iam) => text("all of IAM on every resource"),
                None => Value::Null,
            },
            admin_evidence: evidences("makes an administrator", &admin.answer.by),
        }
    }

    fn reads(&self, data: Data) -> &Value {
        static NOTHING: Value = Value::Null;
        self.reads.get(&data).unwrap_or(&NOTHING)
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

pub(super) fn list(granted: &Granted, unread: &[Why]) -> Value {
    seen(&granted.truth, granted.grants.iter().map(|grant| GrantFacts::of(grant, None).into_value()), unread)
}

/// What was granted stands though another policy was not read, which may only add to it; where a
/// ceiling was not seen, nothing stands.
fn seen(found: &Truth, items: impl Iterator<Item = Value>, unread: &[Why]) -> Value {
    if let Truth::Unknown(_) = found {
        return Value::Unknown(why(found));
    }
    Value::list_seen(items, reasons(unread.iter().map(ToString::to_string)))
}

/// A statement that grants.
#[derive(Debug)]
pub(super) struct GrantFacts {
    site: Site,
    conditional: bool,
    limits_resources: bool,
    everywhere: ActionSet,
    /// Whether actions that the catalogue does not have are granted everywhere, and change something
    /// as far as their names say.
    unlisted_everywhere: Option<bool>,
    services_everywhere: Value,
    patterns: Value,
    actions: Value,
    summary: String,
    pass: Option<(Value, Value)>,
}

impl GrantFacts {
    fn of(grant: &Grant, pass: Option<(Value, Value)>) -> Self {
        // What the catalogue does not list is an action all the same.
        let listed = grant.actions.iter().map(|action| action.name);
        // Names of many thousand actions would help nobody.
        let names: Vec<&str> = grant.unlisted.iter().map(String::as_str).chain(listed).take(50).collect();
        Self {
            site: grant.site.clone(),
            conditional: grant.conditional,
            limits_resources: grant.limits_resources,
            everywhere: grant.everywhere.clone(),
            unlisted_everywhere: (grant.names_everything && !grant.unlisted.is_empty())
                .then(|| !grant.unlisted.iter().all(|pattern| says_it_reads(pattern))),
            services_everywhere: services(grant),
            patterns: Value::texts(&grant.patterns),
            actions: Value::texts(&names),
            summary: summary(grant),
            pass,
        }
    }
}

/// The services of which something is granted everywhere.
fn services(grant: &Grant) -> Value {
    let listed = grant.everywhere.services();
    let unlisted = grant.unlisted.iter().filter(|_| grant.names_everything);
    let unlisted = unlisted.filter_map(|pattern| pattern.split_once(':').map(|(service, _)| service));
    let all: BTreeSet<&str> = listed.into_iter().chain(unlisted).collect();
    Value::texts(all.into_iter().collect::<Vec<_>>())
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

impl Facts for GrantFacts {
    const NAME: &'static str = "Grant";
    const DOC: &'static str = "A statement that grants something after every boundary, session policy, SCP and Deny.";
    const FIELDS: &'static [Def<Self>] = &[
        Def::<Self>::new(
            "source",
            || Type::String,
            "The policy: `inline policy x` or a policy's ARN.",
            |g| text(&g.site.source),
        ),
        Def::<Self>::new(
            "sid",
            || Type::optional(Type::String),
            "The statement's Sid, where it has one.",
            |g| super::view::maybe(g.site.sid()),
        ),
        Def::<Self>::new(
            "patterns",
            || Type::list(Type::String),
            "The action patterns concerned, as written.",
            |g| g.patterns.clone(),
        ),
        Def::<Self>::new(
            "actions",
            || Type::list(Type::String),
            "The actions concerned that are left, at most fifty of them.",
            |g| g.actions.clone(),
        ),
        Def::<Self>::new(
            "summary",
            || Type::String,
            "The actions concerned that are left, in a few words.",
            |g| text(&g.summary),
        ),
        Def::<Self>::new(
            "conditional",
            || Type::Bool,
            "Whether a condition that can fail stands before it.",
            |g| g.conditional.into(),
        )
        .or(|| Value::Bool(false)),
        Def::<Self>::new(
            "limits_resources",
            || Type::Bool,
            "Whether a condition on the resource stands before it: its tags, or a key of the action's own service.",
            |g| g.limits_resources.into(),
        )
        .or(|| Value::Bool(false)),
        Def::<Self>::new(
            "on_every_resource",
            || Type::Bool,
            "Whether some of the actions are allowed on every resource that they act on, conditions aside.",
            |g| (!g.everywhere.is_empty() || g.unlisted_everywhere.is_some()).into(),
        )
        .or(|| Value::Bool(true)),
        Def::<Self>::new(
            "changes_everywhere",
            || Type::Bool,
            "Whether some of the actions allowed on every resource write, tag or manage permissions.",
            |g| (g.everywhere.intersects(writes()) || g.unlisted_everywhere == Some(true)).into(),
        )
        .or(|| Value::Bool(true)),
        Def::<Self>::new(
            "services_everywhere",
            || Type::list(Type::String),
            "The services of which some action is allowed on every resource that it acts on, by prefix, such as `s3`.",
            |g| g.services_everywhere.clone(),
        ),
        Def::<Self>::new(
            "from_aws_service_policy",
            || Type::Bool,
            "Whether AWS itself wrote the policy, for one of its services or add-ons.",
            |g| is_aws_service_policy(&g.site.source).into(),
        )
        .or(|| Value::Bool(false)),
        Def::<Self>::new(
            "service_limited",
            || Type::Bool,
            "For `iam:PassRole`: whether the service that the role is passed to is limited.",
            |g| g.pass.as_ref().map_or(Value::Bool(false), |(limited, _)| limited.clone()),
        )
        .or(|| Value::Bool(false)),
        Def::<Self>::new(
            "passed_to",
            || Type::list(Type::String),
            "For `iam:PassRole`: the services that the statement's own conditions name.",
            |g| g.pass.as_ref().map_or_else(|| Value::list([]), |(_, to)| to.clone()),
        ),
        Def::<Self>::new(
            "evidence",
            || Type::object("Evidence"),
            "The statement and where it stands.",
            |g| Value::object(evidence("grants", &g.site)),
        ),
    ];
}

/// AWS's policies for its own services and add-ons: what they hold is AWS's design, not the owner's.
fn is_aws_service_policy(source: &str) -> bool {
    let Ok(arn) = source.parse::<Arn>() else { return false };
    if arn.account() != "aws" {
        return false;
    }
    let Some(name) = arn.resource().strip_prefix("policy/") else { return false };
    name.starts_with("service-role/")
        || name.starts_with("aws-service-role/")
        || name.starts_with("AmazonEKS")
        || name.starts_with("AmazonSSMManaged")
        || name.starts_with("eks/")
}

/// What a role, or a session of it, may do.
#[derive(Debug)]
pub(super) struct Permissions(pub(super) Arc<Answers>);

impl Facts for Permissions {
    const NAME: &'static str = "Permissions";
    const DOC: &'static str =
        "What a role's session may do, by all its policies under boundary, session policy and SCPs.";
    const FIELDS: &'static [Def<Self>] = &[
        Def::<Self>::new(
            "wildcard_actions",
            || Type::list(Type::object("Grant")),
            "Statements that allow `*` or a whole service by a wildcard.",
            |p| p.0.wildcard_actions.clone(),
        ),
        Def::<Self>::new(
            "not_actions",
            || Type::list(Type::object("Grant")),
            "Statements that allow everything but what they name (`NotAction`).",
            |p| p.0.not_actions.clone(),
        ),
        Def::<Self>::new(
            "broad_writes",
            || Type::list(Type::object("Grant")),
            "Statements that allow writing, tagging or managing permissions on every resource, by actions that could be limited to resources.",
            |p| p.0.broad_writes.clone(),
        ),
        Def::<Self>::new(
            "pass_any_role",
            || Type::list(Type::object("Grant")),
            "Statements that allow `iam:PassRole` for every role.",
            |p| p.0.pass_role.clone(),
        ),
        Def::<Self>::new(
            "reads_every_secret",
            || Type::list(Type::object("Grant")),
            "Statements that allow reading the value of every secret of AWS Secrets Manager (`secretsmanager:GetSecretValue`).",
            |p| p.0.reads(Data::Secrets).clone(),
        ),
        Def::<Self>::new(
            "reads_every_parameter",
            || Type::list(Type::object("Grant")),
            "Statements that allow reading every parameter of Systems Manager Parameter Store.",
            |p| p.0.reads(Data::Parameters).clone(),
        ),
        Def::<Self>::new(
            "reads_every_object",
            || Type::list(Type::object("Grant")),
            "Statements that allow reading the objects of every S3 bucket.",
            |p| p.0.reads(Data::Objects).clone(),
        ),
        Def::<Self>::new(
            "reads_every_table",
            || Type::list(Type::object("Grant")),
            "Statements that allow reading the items of every DynamoDB table.",
            |p| p.0.reads(Data::Items).clone(),
        ),
        Def::<Self>::new(
            "decrypts_with_every_key",
            || Type::list(Type::object("Grant")),
            "Statements that allow `kms:Decrypt` with every KMS key whose key policy leaves access to IAM policies.",
            |p| p.0.reads(Data::Ciphertext).clone(),
        ),
        Def::<Self>::new("admin", || Type::Bool, "Whether it grants administrator access.", |p| p.0.admin.clone()),
        Def::<Self>::new(
            "admin_conditional",
            || Type::Bool,
            "Whether being an administrator takes a statement with a condition.",
            |p| p.0.admin_conditional.into(),
        )
        .or(|| Value::Bool(false)),
        Def::<Self>::new(
            "admin_by",
            || Type::optional(Type::String),
            "What makes it an administrator, in words.",
            |p| p.0.admin_by.clone(),
        ),
        Def::<Self>::new(
            "admin_evidence",
            || Type::list(Type::object("Evidence")),
            "The statements that make it an administrator.",
            |p| p.0.admin_evidence.clone(),
        ),
    ];
}

/// The session policies that every session of a role has one of, and why there may be a session
/// with another; `None` alone where some session has none.
///
/// Where nobody but Pod Identity can assume the role, and every association of it has a session
/// policy, its sessions never have more than those policies let through.
pub(super) fn sessions_of<'a>(world: &'a CachedIndex, role: &Role) -> (Vec<Option<&'a Digest>>, Option<Reasons>) {
    let named = world.associations_of(role.arn.as_str());
    let associations = named.iter().filter_map(|index| world.associations.get(*index));
    let details: Vec<_> = associations.filter_map(|association| association.detail.as_ref()).collect();
    // With a target role the session policy binds the second hop, not this role.
    let narrowed = details.iter().all(|d| d.policy.is_some() && d.target_role_arn.is_none());
    let only_pods = match super::trust::answers(world, role) {
        Ok(answers) => answers.only_pods(),
        Err(why) => Truth::unknown(Why::NotSeen((&why).into())),
    };
    if details.is_empty() || !narrowed || only_pods.is_false() {
        return (vec![None], None);
    }
    // Whoever else may come, or come by another association, may have the whole.
    let visibility = world.visibility(role.arn.account_id());
    let (_, remembered) = world.confirmed(named);
    let unseen = join(join(remembered, visibility.associations.as_ref()), visibility.details.as_ref());
    let unseen = join(unseen, reasons(Reason::of_truth(&only_pods)).as_ref());
    (details.into_iter().map(|detail| detail.policy.as_ref()).collect(), unseen)
}

/// The steps that all sessions of one role may take together.
pub(super) fn steps_of_sessions() -> Steps {
    Steps::with_limit(STEPS_OF_SESSIONS, "the policies of the role under the session policies of all its associations")
}

/// The permissions of a role by every way in that is known.
pub(super) fn of_role(world: &CachedIndex, role: &Role) -> Value {
    let Some(index) = world.role_index(role.arn.as_str()) else { return work_out(world, role) };
    if let Some(known) = world.memo.1.lock().unwrap_or_else(PoisonError::into_inner).get(&index) {
        return known.clone();
    }
    let permissions = work_out(world, role);
    world.memo.1.lock().unwrap_or_else(PoisonError::into_inner).insert(index, permissions.clone());
    permissions
}

fn work_out(world: &CachedIndex, role: &Role) -> Value {
    let (sessions, mut unseen) = sessions_of(world, role);
    let whole = answers(world, role, None);
    if sessions.iter().all(Option::is_none) {
        return Permissions(whole).into_value();
    }
    let all = steps_of_sessions();
    let mut each: Vec<Arc<Answers>> = Vec::new();
    for session in sessions {
        if all.is_exceeded() {
            // The session policies that are left are as good as not seen.
            unseen = join(unseen, Some(&Reasons::one(&all.why())));
            break;
        }
        let answers = answers(world, role, session);
        let _ = all.take(usize::try_from(answers.steps).unwrap_or(usize::MAX));
        each.push(answers);
    }
    Permissions(Arc::new(Answers::over(&whole, &each, unseen.as_ref()))).into_value()
}

impl Answers {
    /// The union over several sessions; an association that was not seen may have the whole.
    fn over(whole: &Self, each: &[Arc<Self>], unseen: Option<&Reasons>) -> Self {
        let lists = |field: &dyn Fn(&Self) -> &Value| -> Value {
            let mut items: Vec<Value> = Vec::new();
            let mut missing: Option<Reasons> = None;
            for answers in each {
                match field(answers) {
                    Value::List(list) => items.extend(list.items().iter().cloned()),
                    Value::Unknown(why) => missing = crate::index::join(missing, Some(why)),
                    _ => {}
                }
            }
            let more = field(whole).as_list().is_none_or(|list| !list.items().is_empty());
            if more {
                missing = crate::index::join(missing, unseen);
            }
            dedup(&mut items);
            Value::list_seen(items, missing)
        };
        let admins: Vec<&Arc<Self>> = each.iter().filter(|a| a.admin.as_bool() == Some(true)).collect();
        let open: Vec<Reason> = each
            .iter()
            .filter_map(|a| if let Value::Unknown(why) = &a.admin { Some(why.to_vec()) } else { None })
            .flatten()
            .collect();
        let whole_admin = whole.admin.as_bool() != Some(false);
        let open = crate::index::join(reasons(open), unseen.filter(|_| whole_admin));
        let first = admins.first();
        Self {
            steps: each.iter().map(|answers| answers.steps).sum(),
            wildcard_actions: lists(&|a| &a.wildcard_actions),
            not_actions: lists(&|a| &a.not_actions),
            broad_writes: lists(&|a| &a.broad_writes),
            pass_role: lists(&|a| &a.pass_role),
            reads: Data::ALL.into_iter().map(|data| (data, lists(&|a| a.reads(data)))).collect(),
            admin: match (first, open) {
                (Some(_), _) => Value::Bool(true),
                (None, Some(why)) => Value::Unknown(why),
                (None, None) => Value::Bool(false),
            },
            admin_conditional: first.is_some() && admins.iter().all(|a| a.admin_conditional),
            admin_by: first.map_or(Value::Null, |a| a.admin_by.clone()),
            admin_evidence: first.map_or_else(|| Value::list([]), |a| a.admin_evidence.clone()),
        }
    }
}

/// The same statement reached by two session policies is one grant.
pub(super) fn dedup(items: &mut Vec<Value>) {
    let mut seen = Sites::default();
    items.retain(|item| match item.downcast::<super::view::View<GrantFacts>>() {
        Some(grant) => seen.insert(grant.0.site.clone()),
        None => true,
    });
}

/// Why a part of the stack was not seen; `None` where it was, read or not.
pub(super) fn not_seen(part: &Part<'_>) -> Option<Reasons> {
    let why = part.document.as_ref().err()?;
    Some(Reasons::one(why.reworded(format!("{} not seen: {why}", part.source))))
}
