//! Which sessions are to be attributed to an association, what they could be attributed by, and the result.
//!
//! Knows that a session must be looked at again when its parent or an association that it may
//! belong to comes late, so that the order in which things arrive does not matter in the end.
//! Refuses to attribute a session: `rolecall_cloudtrail` does.

use crate::parse::JsonText;
use crate::trail::sessions::{Record, select_sessions};
use crate::{Error, INSTALLATION, Store, parse};
use chrono::{DateTime, Utc};
use rolecall_cloudtrail::AssociationQuery;
use rolecall_estate::{Association, AssociationSpan, Session, SessionAttribution};
use rolecall_iam::AccountId;
use sqlx::PgConnection;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// What names a session.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionKey {
    /// In whose trail.
    pub account_id: AccountId,
    /// CloudTrail's event id.
    pub event_id: String,
    /// When.
    pub at: DateTime<Utc>,
}

impl SessionKey {
    fn new(session: &Session) -> Self {
        Self { account_id: session.account_id, event_id: session.event_id.clone(), at: session.at }
    }
}

/// Sessions that are to be attributed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DueSessions {
    /// They, the oldest first, and every other record of their access keys.
    pub rows: Vec<Session>,
    /// By access key: the records of what opened these, where they are not among them.
    pub known: HashMap<String, Vec<Session>>,
}

/// See [`Store::association_spans`].
pub(crate) async fn spans(
    connection: &mut PgConnection,
    query: &AssociationQuery,
) -> Result<Vec<AssociationSpan>, Error> {
    let mut roles: BTreeSet<String> = query.roles.clone();
    if !query.role_names.is_empty() {
        let names: Vec<String> = query.role_names.iter().cloned().collect();
        let named = sqlx::query_scalar!(
            r#"select distinct w.arn as "arn!" from resource r, unnest(array[r.role_arn, r.target_role_arn]) as w (arn)
               where r.kind = 'association' and substring(w.arn from '[^/]*$') = any($1)"#,
            &names
        )
        .fetch_all(&mut *connection)
        .await?;
        roles.extend(named);
    }
    let roles: Vec<String> = roles.into_iter().collect();
    let keys: Vec<String> = query.keys.iter().cloned().collect();
    let rows = sqlx::query!(
        r#"select r.key, r.body as "body: JsonText", b.started_at as "began?", e.started_at as "ended?"
           from resource r
           left join run b on b.account_id = $3 and b.id = r.seen_from
           left join run e on e.account_id = $3 and e.id = r.seen_to
           where r.kind = 'association' and (r.account_id, r.key) in (
               select account_id, key from resource where kind = 'association' and role_arn = any($1)
               union select account_id, key from resource where kind = 'association' and target_role_arn = any($1)
               union select account_id, key from resource where kind = 'association' and key = any($2)
               union select account_id, key from resource where kind = 'association' and role_arn is null)
           order by r.account_id, r.key, r.seen_from"#,
        &roles,
        &keys,
        INSTALLATION
    )
    .fetch_all(&mut *connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            let association: Association = parse::json("resource", &row.key, &row.body)?;
            // Runs are forgotten in time; what they saw is not.
            Ok(AssociationSpan::new(&association, row.began.unwrap_or(DateTime::UNIX_EPOCH), row.ended))
        })
        .collect()
}

impl Store {
    /// Sessions that are to be attributed.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn due_sessions(&self, limit: u32) -> Result<DueSessions, Error> {
        let rows =
            select_sessions!("where attribution_due order by at, account_id, event_id limit $1", parse::limit(limit))
                .fetch_all(&self.pool)
                .await?;
        let mut rows = rows.into_iter().map(Record::into_session).collect::<Result<Vec<_>, Error>>()?;
        let given: HashSet<String> = rows.iter().filter_map(|row| row.access_key_id.clone()).collect();
        let opened_by = rows.iter().filter_map(|row| row.parent_access_key_id.clone());
        let keys: BTreeSet<String> = given.iter().cloned().chain(opened_by).collect();
        let keys: Vec<String> = keys.into_iter().collect();
        let others = select_sessions!("where access_key_id = any($1) order by at, account_id, event_id", &keys)
            .fetch_all(&self.pool)
            .await?;
        let here: HashSet<SessionKey> = rows.iter().map(SessionKey::new).collect();
        let mut known: HashMap<String, Vec<Session>> = HashMap::new();
        for other in others {
            let other = other.into_session()?;
            match &other.access_key_id {
                Some(key) if !given.contains(key) => known.entry(key.clone()).or_default().push(other),
                _ if here.contains(&SessionKey::new(&other)) => {}
                _ => rows.push(other),
            }
        }
        Ok(DueSessions { rows, known })
    }

    /// The associations of a query as scans found them over time, and those that nobody could describe,
    /// whose role can be any.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn association_spans(&self, query: &AssociationQuery) -> Result<Vec<AssociationSpan>, Error> {
        let mut connection = self.pool.acquire().await?;
        spans(&mut connection, query).await
    }

    /// Has the sessions looked at again that associations may concern which came, changed or went
    /// in snapshots since the last time that this was asked. Says how many those are.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn associations_changed(&self) -> Result<u64, Error> {
        let mut tx = self.pool.begin().await?;
        let done = sqlx::query_scalar!(
            "select value from counter where account_id = $1 and name = 'attribution' for update",
            INSTALLATION
        )
        .fetch_one(&mut *tx)
        .await?;
        let last =
            sqlx::query_scalar!("select value from counter where account_id = $1 and name = 'snapshot'", INSTALLATION)
                .fetch_one(&mut *tx)
                .await?;
        let changed = sqlx::query!(
            r#"select distinct role_arn, target_role_arn, account_id, cluster, namespace, service_account from resource
               where kind = 'association' and (seen_from > $1 or seen_to > $1)"#,
            done
        )
        .fetch_all(&mut *tx)
        .await?;
        let mut roles: BTreeSet<String> = BTreeSet::new();
        let (mut clusters, mut namespaces, mut service_accounts) = (Vec::new(), Vec::new(), Vec::new());
        for row in changed {
            roles.extend(row.role_arn);
            roles.extend(row.target_role_arn);
            if let (Some(cluster), Some(namespace), Some(service_account)) =
                (row.cluster, row.namespace, row.service_account)
            {
                clusters.push(cluster);
                namespaces.push(namespace);
                service_accounts.push(service_account);
            }
        }
        let roles: Vec<String> = roles.into_iter().collect();
        let by_role = sqlx::query!(
            "update session set attribution_due = true where role_arn = any($1) and not attribution_due",
            &roles
        )
        .execute(&mut *tx)
        .await?;
        // By the service account that their tags name, which may disagree with the role.
        let by_tags = sqlx::query!(
            "update session s set attribution_due = true
             from unnest($1::text[], $2::text[], $3::text[]) as w (cluster, namespace, service_account)
             where not s.attribution_due and s.service_account = w.service_account and s.namespace = w.namespace
               and s.cluster = w.cluster",
            &clusters,
            &namespaces,
            &service_accounts
        )
        .execute(&mut *tx)
        .await?;
        sqlx::query!(
            "update counter set value = $2 where account_id = $1 and name = 'attribution'",
            INSTALLATION,
            last
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(by_role.rows_affected() + by_tags.rows_affected())
    }

    /// Writes what was found of sessions that were due. What follows from a session whose attribution
    /// changed becomes due; calls by its key are its association's from now on.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn set_attributions(&self, attributions: &[(SessionKey, SessionAttribution)]) -> Result<(), Error> {
        let column = |of: &dyn Fn(&(SessionKey, SessionAttribution)) -> Option<String>| -> Vec<Option<String>> {
            attributions.iter().map(|attribution| of(attribution).map(|text| parse::storable(&text))).collect()
        };
        let indexed = |of: &dyn Fn(&(SessionKey, SessionAttribution)) -> Option<String>| -> Vec<Option<String>> {
            attributions.iter().map(|attribution| of(attribution).map(|text| parse::indexed_beside(&text))).collect()
        };
        let accounts: Vec<String> = attributions.iter().map(|(key, _)| key.account_id.to_string()).collect();
        let events: Vec<String> = attributions.iter().map(|(key, _)| key.event_id.clone()).collect();
        let times: Vec<DateTime<Utc>> = attributions.iter().map(|(key, _)| key.at).collect();
        let candidates: Vec<String> =
            attributions.iter().map(|(_, attribution)| parse::json_text(&attribution.candidates)).collect();
        let depths: Vec<i16> = attributions.iter().map(|(_, attribution)| i16::from(attribution.depth)).collect();
        let mut tx = self.pool.begin().await?;
        // Few rows, each found by its key: what sorts or hashes all sessions for them is slower with each month.
        sqlx::query!("set local enable_mergejoin = off").execute(&mut *tx).await?;
        sqlx::query!("set local enable_hashjoin = off").execute(&mut *tx).await?;
        let changed = sqlx::query!(
            r#"update session s set
                   cluster = w.cluster, namespace = w.namespace, service_account = w.service_account, pod = w.pod,
                   association_id = w.association_id, association_account_id = w.association_account_id,
                   association_region = w.association_region,
                   attribution_method = w.attribution_method, attribution_reason = w.why,
                   candidates = w.candidates::jsonb, attribution_depth = w.depth, attribution_due = false
               from unnest($1::text[], $2::text[], $3::timestamptz[], $4::text[], $5::text[], $6::text[], $7::text[],
                           $8::text[], $9::text[], $10::text[], $11::text[], $12::smallint[], $13::text[], $14::text[])
                    as w (account_id, event_id, at, cluster, namespace, service_account, pod, association_id, attribution_method,
                          why, candidates, depth, association_account_id, association_region)
               join session o on o.account_id = w.account_id and o.event_id = w.event_id and o.at = w.at
               where s.account_id = w.account_id and s.event_id = w.event_id and s.at = w.at
               returning s.access_key_id, s.association_id,
                         ((o.attribution_method, o.cluster, o.namespace, o.service_account, o.pod, o.association_id, o.candidates,
                           o.attribution_depth)
                          is distinct from
                          (w.attribution_method, w.cluster, w.namespace, w.service_account, w.pod, w.association_id,
                           w.candidates::jsonb, w.depth))
                         as "changed!""#,
            &accounts,
            &events,
            &times,
            &indexed(&|(_, attribution)| attribution.cluster.clone()) as &[Option<String>],
            &indexed(&|(_, attribution)| attribution.namespace.clone()) as &[Option<String>],
            &indexed(&|(_, attribution)| attribution.service_account.clone()) as &[Option<String>],
            &column(&|(_, attribution)| attribution.pod.clone()) as &[Option<String>],
            &indexed(&|(_, attribution)| attribution.association_id.clone()) as &[Option<String>],
            &column(&|(_, attribution)| Some(attribution.method.as_str().to_owned())) as &[Option<String>],
            &column(&|(_, attribution)| attribution.reason.clone()) as &[Option<String>],
            &candidates,
            &depths,
            &column(&|(_, attribution)| Some(attribution.association.as_ref()?.account_id.to_string()))
                as &[Option<String>],
            &column(&|(_, attribution)| Some(attribution.association.as_ref()?.region.to_string())) as &[Option<String>]
        )
        .fetch_all(&mut *tx)
        .await?;
        let mut keys: BTreeMap<String, String> = BTreeMap::new();
        for row in changed {
            // A session that two accounts recorded: where one of them is attributed, its key is.
            if let (Some(key), true) = (row.access_key_id, row.changed) {
                let known = keys.entry(key).or_default();
                if known.is_empty() {
                    *known = row.association_id.unwrap_or_default();
                }
            }
        }
        // Those that were attributed together with what opened them are as they should be.
        let due: Vec<String> = keys.keys().cloned().collect();
        let (keys, associations): (Vec<String>, Vec<String>) = keys.into_iter().unzip();
        if !keys.is_empty() {
            sqlx::query!(
                "update session s set attribution_due = true
                 where s.parent_access_key_id = any($1) and not s.attribution_due
                   and not exists (select from unnest($2::text[], $3::text[]) as w (account_id, event_id)
                                   where w.account_id = s.account_id and w.event_id = s.event_id)",
                &due,
                &accounts,
                &events
            )
            .execute(&mut *tx)
            .await?;
            sqlx::query!(
                "update trail_principal p set association_id = w.association_id
                 from unnest($1::text[], $2::text[]) as w (access_key_id, association_id)
                 where p.access_key_id = w.access_key_id and p.access_key_id <> ''
                   and p.association_id <> w.association_id",
                &keys,
                &associations
            )
            .execute(&mut *tx)
            .await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Attributes the calls of keys whose session was attributed before they came. Says how many keys those are.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn attribute_late_calls(&self) -> Result<u64, Error> {
        let done = sqlx::query!(
            "update trail_principal p set association_id = s.association_id
             from session s
             where p.association_id = '' and p.access_key_id <> '' and s.access_key_id = p.access_key_id
               and s.association_id is not null"
        )
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected())
    }
}
