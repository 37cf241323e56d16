//! The running state: the estate of the moment, who holds which credentials, what was called.
//!
//! Refuses to know protocols and operations.

use crate::estate::{Estate, Event, account_of, text};
use crate::shelf::Shelf;
use crate::wire::{Problem, Xml};
use crate::{Calls, Options};
use chrono::{DateTime, Duration, Utc};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Instant;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) account: String,
    pub(crate) arn: String,
    pub(crate) user_id: String,
}

#[derive(Debug, Clone)]
struct Session {
    caller: Caller,
    token: String,
    until: DateTime<Utc>,
}

/// Credentials that STS hands out.
#[derive(Debug, Clone)]
pub(crate) struct Credentials {
    pub(crate) access_key: String,
    pub(crate) secret: String,
    pub(crate) token: String,
    pub(crate) until: DateTime<Utc>,
    pub(crate) caller: Caller,
}

/// What `GetAccountAuthorizationDetails` lists an item under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ItemKind {
    User,
    Group,
    Role,
    LocalPolicy,
    AwsPolicy,
}

/// An item of the authorization details, already XML.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub(crate) kind: ItemKind,
    pub(crate) xml: String,
}

/// Events, newest first.
pub(crate) type History = Arc<Vec<Arc<Event>>>;

/// The estate of one moment, with what is costly to make kept beside it.
pub(crate) struct Snapshot {
    pub(crate) estate: Estate,
    details: Mutex<HashMap<String, Arc<Vec<Item>>>>,
    histories: Mutex<HashMap<(String, String), History>>,
}

/// A role with the lists that IAM gives of every role.
fn with_lists(role: &Value) -> Value {
    let mut role = role.clone();
    for list in ["InstanceProfileList", "RolePolicyList", "AttachedManagedPolicies"] {
        if let Some(fields) = role.as_object_mut() {
            fields.entry(list).or_insert_with(|| Value::Array(Vec::new()));
        }
    }
    role
}

impl Snapshot {
    fn new(estate: Estate) -> Self {
        Self { estate, details: Mutex::default(), histories: Mutex::default() }
    }

    /// The authorization details of an account, in the order in which they are listed.
    pub(crate) fn details(&self, account: &str) -> Arc<Vec<Item>> {
        let mut kept = lock(&self.details);
        kept.entry(account.to_owned()).or_insert_with(|| Arc::new(self.rendered(account))).clone()
    }

    fn rendered(&self, account: &str) -> Vec<Item> {
        let Some(account) = self.estate.accounts.get(account) else { return Vec::new() };
        let of = |kind: ItemKind, value| {
            let mut xml = Xml::default();
            xml.value("member", value);
            Item { kind, xml: xml.0 }
        };
        let users = account.users.iter().map(|v| of(ItemKind::User, v));
        let groups = account.groups.iter().map(|v| of(ItemKind::Group, v));
        let roles = account.roles.iter().map(with_lists).collect::<Vec<_>>();
        let roles = roles.iter().map(|v| of(ItemKind::Role, v));
        let policies = account.policies.iter().map(|v| {
            let aws = account_of(text(v, "Arn")) == "aws";
            of(if aws { ItemKind::AwsPolicy } else { ItemKind::LocalPolicy }, v)
        });
        users.chain(groups).chain(roles).chain(policies).collect()
    }

    /// The event history of an account and region, newest first.
    pub(crate) fn history(&self, account: &str, region: &str) -> History {
        let mut kept = lock(&self.histories);
        kept.entry((account.to_owned(), region.to_owned()))
            .or_insert_with(|| {
                let found = self.estate.accounts.get(account).and_then(|a| a.regions.get(region));
                let mut events = found.map(|r| r.events.clone()).unwrap_or_default();
                events.sort_by(|a, b| (b.time, &b.id).cmp(&(a.time, &a.id)));
                Arc::new(events)
            })
            .clone()
    }
}

/// Everything that changes while the sandbox runs.
pub(crate) struct State {
    pub(crate) options: Options,
    pub(crate) shelf: Shelf,
    snapshot: RwLock<Arc<Snapshot>>,
    sessions: Mutex<HashMap<String, Session>>,
    calls: Mutex<BTreeMap<(String, String, String), u64>>,
    /// Lookups left, by account and region, and as of when.
    allowances: Mutex<HashMap<(String, String), (Instant, f64)>>,
    clock: Mutex<Option<DateTime<Utc>>>,
}

impl State {
    pub(crate) fn new(estate: Estate, options: Options) -> Self {
        Self {
            shelf: Shelf::default(),
            snapshot: RwLock::new(Arc::new(Snapshot::new(estate))),
            sessions: Mutex::default(),
            calls: Mutex::default(),
            allowances: Mutex::default(),
            clock: Mutex::new(options.now),
            options,
        }
    }

    /// The estate of this moment.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn mutate<T>(&self, change: impl FnOnce(&mut Estate) -> T) -> T {
        let mut held = self.snapshot.write().unwrap_or_else(PoisonError::into_inner);
        let mut estate = held.estate.clone();
        let result = change(&mut estate);
        *held = Arc::new(Snapshot::new(estate));
        result
    }

    /// The time as the estate has it: the clock's, unless it was set.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        lock(&self.clock).unwrap_or_else(Utc::now)
    }

    pub(crate) fn set_clock(&self, now: Option<DateTime<Utc>>) {
        *lock(&self.clock) = now;
    }

    /// Who holds an access key.
    pub(crate) fn caller(&self, key: &str, token: Option<&str>) -> Result<Caller, Problem> {
        let snapshot = self.snapshot();
        let user = |account: &str, name: &str| Caller {
            account: account.to_owned(),
            arn: format!("arn:aws:iam::{account}:user/{name}"),
            user_id: format!("AIDA{}", crate::ids::role_id(account).chars().skip(4).collect::<String>()),
        };
        if key == crate::HUB_ACCESS_KEY {
            return Ok(user(&snapshot.estate.hub, "rolecall-hub"));
        }
        if let Some(account) = key.strip_prefix("AKIASNDB").filter(|a| snapshot.estate.accounts.contains_key(*a)) {
            return Ok(user(account, "sandbox"));
        }
        let sessions = lock(&self.sessions);
        match sessions.get(key) {
            Some(session) if Some(session.token.as_str()) != token => Err(Problem::UnknownToken),
            Some(session) if session.until <= Utc::now() => Err(Problem::Expired),
            Some(session) => Ok(session.caller.clone()),
            None => Err(Problem::UnknownToken),
        }
    }

    /// Starts a session of a role. Its end follows the machine's clock, as the client's does.
    pub(crate) fn assume(&self, account: &str, role: &str, role_id: &str, name: &str, seconds: i64) -> Credentials {
        let access_key = crate::ids::access_key(&uuid::Uuid::new_v4().to_string());
        let caller = Caller {
            account: account.to_owned(),
            arn: format!("arn:aws:sts::{account}:assumed-role/{role}/{name}"),
            user_id: format!("{role_id}:{name}"),
        };
        let token = format!("sandbox-session-{}", uuid::Uuid::new_v4().simple());
        let until = Utc::now() + Duration::seconds(seconds);
        let session = Session { caller: caller.clone(), token: token.clone(), until };
        lock(&self.sessions).insert(access_key.clone(), session);
        Credentials { access_key, secret: uuid::Uuid::new_v4().simple().to_string(), token, until, caller }
    }

    /// Ends every session that STS handed out.
    pub(crate) fn expire_sessions(&self) {
        for session in lock(&self.sessions).values_mut() {
            session.until = Utc::now();
        }
    }

    pub(crate) fn count(&self, account: &str, region: &str, action: &str) {
        let key = (account.to_owned(), region.to_owned(), action.to_owned());
        *lock(&self.calls).entry(key).or_default() += 1;
    }

    pub(crate) fn calls(&self) -> Calls {
        Calls(lock(&self.calls).clone())
    }

    pub(crate) fn reset_calls(&self) {
        lock(&self.calls).clear();
    }

    /// Takes one lookup out of an account's and region's allowance; `false` where it is used up.
    pub(crate) fn may_lookup_events(&self, account: &str, region: &str) -> bool {
        let Some(rate) = self.options.lookups_per_second else { return true };
        let rate = f64::from(rate.get());
        let now = Instant::now();
        let mut allowances = lock(&self.allowances);
        let (at, left) = allowances.entry((account.to_owned(), region.to_owned())).or_insert((now, rate));
        *left = (*left + now.duration_since(*at).as_secs_f64() * rate).min(rate);
        *at = now;
        if *left < 1.0 {
            return false;
        }
        *left -= 1.0;
        true
    }
}
