//! `/search`: one box for whatever is in hand, such as an access key, an ARN, a pod or a part of a name.
//!
//! Knows what a text can be the identifier of. Refuses to search by itself: each group is a list of the inventory cut
//! short, with a link to the rest.

use super::estate::PageContext;
use super::list::{Empty, empty, total_words};
use super::parts::{Seen, association_href, cluster_href, role_href, session_href, subject_name};
use crate::app::App;
use crate::http::error::AppError;
use crate::http::frame::Chrome;
use crate::http::inventory::sessions_since;
use crate::http::listing::Listing;
use crate::http::lists::Associations;
use crate::http::query::{Kind, encode, param, query};
use crate::http::rule_text::titles;
use crate::http::view::words::{self, Stamp, short_name};
use crate::http::visible::Visible;
use askama::Template;
use askama_web::WebTemplate;
use axum::extract::RawQuery;
use axum::response::{IntoResponse, Redirect, Response};
use rolecall_audit::finding::Workflow;
use rolecall_audit::verdict::Fingerprint;
use rolecall_estate::id::{ClusterName, Region};
use rolecall_estate::{AssociationKey, Session};
use rolecall_iam::{AccountId, Arn, RoleArn};
use rolecall_store::{AssociationFilter, ClusterFilter, FindingFilter, FindingSort, RoleFilter, SessionFilter, Total};

/// So many of each group are shown.
const SHOWN: u32 = 5;

query! {
    /// Query of the page.
    SearchQuery = &[param("q", Kind::Text, "What is searched for.")]
}

/// What a text is the identifier of.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Identifier {
    Finding(i64),
    Fingerprint(String),
    Account(AccountId),
    Role(RoleArn),
    Cluster(AccountId, Region, ClusterName),
    Association(AssociationKey),
    AssociationId(String),
    Change(String),
    Baseline(String),
}

impl Identifier {
    /// Reads a text that can be the identifier of one thing.
    fn parse(text: &str) -> Option<Self> {
        if let Some(number) = text.strip_prefix('#').unwrap_or(text).parse().ok().filter(|n| *n > 0)
            && text.len() < 12
        {
            return Some(Self::Finding(number));
        }
        if let Ok(account) = text.parse() {
            return Some(Self::Account(account));
        }
        if let Ok(role) = text.parse() {
            return Some(Self::Role(role));
        }
        if let Ok(key) = text.parse() {
            return Some(Self::Association(key));
        }
        if let Ok(arn) = text.parse::<Arn>()
            && arn.service() == "eks"
        {
            let mut parts = arn.resource().split('/');
            return match (parts.next()?, parts.next()?, parts.next()) {
                ("cluster", name, None) => {
                    Some(Self::Cluster(arn.account_id()?, arn.region().parse().ok()?, name.parse().ok()?))
                }
                ("podidentityassociation", _, Some(id)) => Some(Self::AssociationId(id.to_owned())),
                _ => None,
            };
        }
        let is_id = |rest: &str| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_alphanumeric());
        match text.split_once(['-', '_', ':']) {
            Some(("v1", rest)) if is_id(rest) => Some(Self::Fingerprint(text.to_owned())),
            Some(("a", rest)) if rest.len() > 8 && is_id(rest) => Some(Self::AssociationId(text.to_owned())),
            Some(("chg", rest)) if is_id(rest) => Some(Self::Change(text.to_owned())),
            Some(("bl", rest)) if is_id(rest) => Some(Self::Baseline(text.to_owned())),
            _ => None,
        }
    }

    /// The page of the thing, where it is known.
    async fn page(&self, app: &App) -> Result<Option<String>, AppError> {
        let store = &app.store;
        let of_finding = |number: i64| format!("/findings/{number}");
        Ok(match self {
            Self::Finding(number) => store.finding(*number).await?.map(|found| of_finding(found.row.number)),
            Self::Fingerprint(text) => {
                let found = store.finding_by_fingerprint(&Fingerprint(text.clone())).await?;
                found.map(|found| of_finding(found.row.number))
            }
            Self::Account(id) => {
                let known = store.account_names().await?.iter().any(|(known, _)| known == id);
                known.then(|| format!("/accounts/{id}"))
            }
            Self::Role(arn) => store.role(arn, None).await?.map(|_| role_href(arn.as_str())),
            Self::Cluster(account, region, name) => {
                let found = store.cluster(*account, region, name, None).await?;
                found.map(|_| cluster_href(*account, region.as_str(), name.as_str()))
            }
            Self::Association(key) => {
                let found = store.association(key, chrono::Utc::now(), None).await?;
                found.map(|_| association_href(&key.to_string()))
            }
            Self::AssociationId(id) => {
                let names = store.association_names(std::slice::from_ref(id)).await?;
                names.get(id).filter(|found| found.present).map(|found| association_href(&found.key))
            }
            Self::Change(id) => store.change(id).await?.map(|_| format!("/changes/{id}")),
            Self::Baseline(id) => store.baseline(id).await?.map(|_| format!("/baselines/{id}")),
        })
    }
}

/// Something that was found.
struct Hit {
    href: String,
    name: String,
    note: String,
}

/// What was found of one kind.
struct Group {
    title: &'static str,
    total: String,
    /// The list of all; empty where they are shown.
    all: String,
    hits: Vec<Hit>,
}

#[derive(Template, WebTemplate)]
#[template(path = "pages/search.html")]
struct SearchPage {
    chrome: Chrome,
    seen: Seen,
    q: String,
    groups: Vec<Group>,
    empty: Option<Empty>,
}

/// `GET /search`
pub(crate) async fn page(Visible(app): Visible, RawQuery(raw): RawQuery, chrome: Chrome) -> Result<Response, AppError> {
    let params = SearchQuery::parse(raw.as_deref())?;
    let q = params.text("q").unwrap_or_default().trim().to_owned();
    if let Some(identifier) = Identifier::parse(&q)
        && let Some(page) = identifier.page(&app).await?
    {
        return Ok(Redirect::to(&page).into_response());
    }
    let context = PageContext::load(&app).await?;
    let groups = if q.is_empty() { Vec::new() } else { groups(&app, &q, &context).await? };
    let none = !q.is_empty() && groups.is_empty();
    let empty = none.then(|| Empty {
        title: "Nothing found".to_owned(),
        text: format!(
            "Nothing that was seen has this in its name: no account, cluster, namespace, association, role, open \
             finding or rule, and no session of the last {} days.",
            app.config.aws.trail_lookback_days
        ),
        href: String::new(),
        ..empty("thing", true, "", &context.seen)
    });
    Ok(SearchPage { chrome, q, groups, empty, seen: context.seen }.into_response())
}

/// The name of a session and of its role, of an ARN such as `arn:aws:sts::111122223333:assumed-role/role/session`.
fn assumed(text: &str) -> Option<(String, String)> {
    let arn: Arn = text.parse().ok()?;
    let mut parts = arn.resource().split('/');
    match (parts.next()?, parts.next()?, parts.next()?) {
        ("assumed-role", role, session) => Some((role.to_owned(), session.to_owned())),
        _ => None,
    }
}

/// Whether a text can be an access key's id: that of a session or of a user.
fn is_access_key(text: &str) -> bool {
    matches!(text.get(..4), Some("ASIA" | "AKIA"))
        && text.len() >= 16
        && text.bytes().all(|b| b.is_ascii_alphanumeric())
}

async fn groups(app: &App, q: &str, context: &PageContext) -> Result<Vec<Group>, AppError> {
    let names = accounts(q, context);
    let found = tokio::try_join!(
        clusters(app, q, context),
        namespace(app, q),
        associations(app, q, context),
        roles(app, q, context),
        sessions(app, q, context),
        findings(app, q),
    )?;
    let (clusters, namespace, associations, roles, sessions, findings) = found;
    let all = [names, clusters, namespace, associations, roles, sessions, findings, rules(app, q)];
    Ok(all.into_iter().filter(|group| !group.hits.is_empty()).collect())
}

fn group(title: &'static str, total: Total, (one, many): (&str, &str), all: String, hits: Vec<Hit>) -> Group {
    let shown = u64::try_from(hits.len()).unwrap_or(u64::MAX);
    let cut = total != Total::Exact(shown);
    Group { title, total: total_words(total, one, many), all: if cut { all } else { String::new() }, hits }
}

/// Those of a list in memory that hold the text.
fn of_names(
    title: &'static str,
    of: (&str, &str),
    all: &str,
    hits: impl Iterator<Item = Hit>,
    holds: impl Fn(&Hit) -> bool,
) -> Group {
    let mut hits: Vec<Hit> = hits.filter(holds).collect();
    let total = Total::Exact(u64::try_from(hits.len()).unwrap_or(u64::MAX));
    hits.truncate(usize::try_from(SHOWN).unwrap_or(usize::MAX));
    group(title, total, of, all.to_owned(), hits)
}

fn accounts(q: &str, context: &PageContext) -> Group {
    let wanted = q.to_lowercase();
    let hits = context.names.each().map(|(id, name)| Hit {
        href: format!("/accounts/{id}"),
        name: name.to_owned(),
        note: id.to_string(),
    });
    let holds = |hit: &Hit| hit.name.to_lowercase().contains(&wanted) || hit.note.contains(&wanted);
    of_names("Accounts", ("account", "accounts"), "/accounts", hits, holds)
}

fn rules(app: &App, q: &str) -> Group {
    let wanted = q.to_lowercase();
    let titles = titles(app);
    let hits = titles.into_iter().map(|(id, title)| Hit { href: format!("/rules/{id}"), name: title, note: id });
    let holds = |hit: &Hit| hit.name.to_lowercase().contains(&wanted) || hit.note.contains(&wanted);
    of_names("Rules", ("rule", "rules"), "/rules", hits, holds)
}

async fn clusters(app: &App, q: &str, context: &PageContext) -> Result<Group, AppError> {
    let filter = ClusterFilter { q: Some(q.to_owned()), ..ClusterFilter::default() };
    let (rows, total) = tokio::try_join!(app.store.clusters(&filter, None, SHOWN), app.store.count_clusters(&filter))?;
    let hit = |row: &rolecall_store::ClusterRow| {
        let cluster = &row.cluster;
        Hit {
            href: cluster_href(cluster.account_id, cluster.region.as_str(), cluster.name.as_str()),
            name: cluster.name.to_string(),
            note: format!("{}, {}", context.names.of(cluster.account_id), cluster.region),
        }
    };
    let hits = rows.iter().map(hit).collect();
    Ok(group("Clusters", total, ("cluster", "clusters"), list_of("/clusters", q), hits))
}

/// A namespace by its name, in whatever clusters.
async fn namespace(app: &App, q: &str) -> Result<Group, AppError> {
    let wanted = Some(q.to_owned());
    let associations = AssociationFilter { namespace: wanted.clone(), ..AssociationFilter::default() };
    let findings = open(FindingFilter { namespace: wanted, ..FindingFilter::default() });
    let (associations, findings) =
        tokio::try_join!(app.store.count_associations(&associations), app.store.count_findings(&findings))?;
    let mut hits = Vec::new();
    for (total, path, one, many) in
        [(associations, "/associations", "association", "associations"), (findings, "/findings", "finding", "findings")]
    {
        if total != Total::Exact(0) {
            hits.push(Hit {
                href: format!("{path}?namespace={}", encode(q)),
                name: total_words(total, one, many),
                note: format!("in the namespace {q}"),
            });
        }
    }
    Ok(Group { title: "Namespace", total: String::new(), all: String::new(), hits })
}

async fn associations(app: &App, q: &str, context: &PageContext) -> Result<Group, AppError> {
    let filter = AssociationFilter { q: Some(q.to_owned()), ..AssociationFilter::default() };
    let list = Associations { filter, sessions_since: sessions_since(app, context.now) };
    let (rows, total) =
        tokio::try_join!(list.rows(&app.store, None, SHOWN), app.store.count_associations(&list.filter))?;
    let hit = |row: &rolecall_store::AssociationRow| {
        let key = &row.association.key;
        Hit {
            href: association_href(&key.to_string()),
            name: format!("{}/{}", key.namespace, key.service_account),
            note: format!("{}, {}, {}", key.cluster, context.names.of(key.account_id), key.region),
        }
    };
    let hits = rows.iter().map(hit).collect();
    Ok(group("Associations", total, ("association", "associations"), list_of("/associations", q), hits))
}

async fn roles(app: &App, q: &str, context: &PageContext) -> Result<Group, AppError> {
    let wanted = assumed(q).map_or_else(|| q.to_owned(), |(role, _)| format!("/{role}"));
    let filter = RoleFilter { q: Some(wanted.clone()), ..RoleFilter::default() };
    let (rows, total) = tokio::try_join!(app.store.roles(&filter, None, SHOWN), app.store.count_roles(&filter))?;
    let hit = |row: &rolecall_store::RoleRow| {
        let arn = &row.role.arn;
        Hit {
            href: role_href(arn.as_str()),
            name: arn.name().to_owned(),
            note: format!("{}, {}", context.names.of(arn.account_id()), arn.path()),
        }
    };
    let hits = rows.iter().map(hit).collect();
    Ok(group("Roles", total, ("role", "roles"), list_of("/roles", &wanted), hits))
}

/// Sessions by access key, or by a part of the session name, which EKS makes of cluster and pod.
async fn sessions(app: &App, q: &str, context: &PageContext) -> Result<Group, AppError> {
    let name = assumed(q).map_or_else(|| q.to_owned(), |(_, session)| session);
    let (filter, all) = if is_access_key(q) {
        (SessionFilter { access_key_id: Some(q.to_owned()), ..SessionFilter::default() }, format!("access_key_id={q}"))
    } else {
        // By name each session is looked at: no further back than sessions count elsewhere.
        let since = Some(sessions_since(app, context.now));
        let all = format!("session_name={}", encode(&name));
        (SessionFilter { session_name: Some(name), since, ..SessionFilter::default() }, all)
    };
    let mut rows = app.store.sessions(&filter, None, SHOWN + 1).await?;
    let most = usize::try_from(SHOWN).unwrap_or(usize::MAX);
    let more = rows.len() > most;
    rows.truncate(most);
    let shown = u64::try_from(rows.len()).unwrap_or(u64::MAX);
    let total = if more { Total::AtLeast(shown) } else { Total::Exact(shown) };
    let hit = |session: &Session| Hit {
        href: session_href(session),
        name: session.session_name.clone().unwrap_or_else(|| session.event_id.clone()),
        note: match &session.role_arn {
            Some(role) => format!("{}, {}", short_name(role), Stamp::new(session.at, context.now).text),
            None => Stamp::new(session.at, context.now).text,
        },
    };
    let hits = rows.iter().map(hit).collect();
    Ok(group("Sessions", total, ("session", "sessions"), format!("/sessions?{all}"), hits))
}

async fn findings(app: &App, q: &str) -> Result<Group, AppError> {
    let filter = open(FindingFilter { q: Some(q.to_owned()), ..FindingFilter::default() });
    let sort = FindingSort::default();
    let (rows, total) =
        tokio::try_join!(app.store.findings(&filter, sort, None, SHOWN), app.store.count_findings(&filter))?;
    let hit = |row: &rolecall_store::FindingRow| Hit {
        href: format!("/findings/{}", row.number),
        name: row.message.clone(),
        note: format!("{}, {}", words::severity(row.severity), subject_name(&row.subject)),
    };
    let hits = rows.iter().map(hit).collect();
    Ok(group("Open findings", total, ("finding", "findings"), list_of("/findings", q), hits))
}

fn open(filter: FindingFilter) -> FindingFilter {
    FindingFilter { workflow: vec![Workflow::Open, Workflow::Acknowledged], ..filter }
}

fn list_of(path: &str, q: &str) -> String {
    format!("{path}?q={}", encode(q))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_the_identifier_of_one_thing_or_of_none() {
        let key = "111122223333/eu-west-1/prod/payments/api";
        let cluster =
            Identifier::Cluster("111122223333".parse().unwrap(), "eu-west-1".parse().unwrap(), "prod".parse().unwrap());
        let fingerprint = "v1:h7slwjhv52mw7k5k2h3scxfo7w";
        for (text, expected) in [
            ("32", Some(Identifier::Finding(32))),
            ("#32", Some(Identifier::Finding(32))),
            ("0", None),
            ("111122223333", Some(Identifier::Account("111122223333".parse().unwrap()))),
            (
                "arn:aws:iam::111122223333:role/team/api",
                Some(Identifier::Role("arn:aws:iam::111122223333:role/team/api".parse().unwrap())),
            ),
            (key, Some(Identifier::Association(key.parse().unwrap()))),
            ("arn:aws:eks:eu-west-1:111122223333:cluster/prod", Some(cluster)),
            (
                "arn:aws:eks:eu-west-1:111122223333:podidentityassociation/prod/a-abcdefghijkl",
                Some(Identifier::AssociationId("a-abcdefghijkl".to_owned())),
            ),
            ("a-abcdefghijkl", Some(Identifier::AssociationId("a-abcdefghijkl".to_owned()))),
            ("a-team", None),
            ("chg_0a1b", Some(Identifier::Change("chg_0a1b".to_owned()))),
            ("bl_0a1b", Some(Identifier::Baseline("bl_0a1b".to_owned()))),
            (fingerprint, Some(Identifier::Fingerprint(fingerprint.to_owned()))),
            ("payments/api", None),
            ("payments", None),
            ("arn:aws:s3:::bucket", None),
            ("", None),
        ] {
            assert_eq!(Identifier::parse(text), expected, "{text}");
        }
    }

    #[test]
    fn access_keys_and_assumed_roles_are_read() {
        assert!(is_access_key("ASIAEXAMPLEEXAMPLE12") && is_access_key("AKIAEXAMPLEEXAMPLE12"));
        assert!(!is_access_key("ASIA") && !is_access_key("payments-api-7c9d-abcd"));
        assert_eq!(
            assumed("arn:aws:sts::111122223333:assumed-role/api/eks-prod-api-7c9d"),
            Some(("api".to_owned(), "eks-prod-api-7c9d".to_owned()))
        );
        assert_eq!(assumed("arn:aws:iam::111122223333:role/api"), None);
    }
}
