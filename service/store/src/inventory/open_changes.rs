//! Changes that are to be judged: those that some rule may not pass, and those with a finding that is not resolved.
//!
//! Knows how to load them with what came before and after each, and that what passed is noted in the transaction
//! of the findings. Refuses to decide what became of a change, and whether it is bad.

use super::changes::{ChangeRow, later_than, open_rows};
use crate::{Error, Store};
use chrono::{DateTime, Utc};
use rolecall_audit::drift::{EarlierCalls, Later, OpenChange, Standing, creating_calls, standing};
use rolecall_estate::{AgentClass, resource_key};
use rolecall_iam::Digest;
use sqlx::PgConnection;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The changes that were judged, and need not be judged again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PassedChanges {
    /// The digest of the rules that they were judged by.
    pub rules: String,
    /// Their ids.
    pub ids: Vec<String>,
    /// When they were loaded; one that was approved, or whose approval was withdrawn, since then is judged again.
    pub loaded_at: Option<DateTime<Utc>>,
}

impl Store {
    /// The changes that rules of this digest are to judge: those that follow from no other, were detected at
    /// this moment or later or were ever approved, and on which not every rule of these passed; and those
    /// with a finding that is not resolved. The oldest first.
    ///
    /// # Errors
    /// Where the database fails, or holds what this program cannot read.
    pub async fn open_changes(&self, rules: &Digest, since: DateTime<Utc>) -> Result<Vec<Arc<OpenChange>>, Error> {
        let mut tx = self.pool.begin_with("begin isolation level repeatable read read only").await?;
        let rows = open_rows(&mut *tx, &rules.to_string(), since).await?;
        let ids: Vec<String> = rows.iter().map(|row| row.change.id.clone()).collect();
        let after = if ids.is_empty() { Vec::new() } else { later_than(&mut *tx, &ids).await? };
        let mut earlier = earlier(&mut tx, &rows).await?;
        tx.rollback().await?;
        let mut of_resource: BTreeMap<_, Vec<&ChangeRow>> = BTreeMap::new();
        for row in &after {
            of_resource.entry((row.change.account_id, &row.change.resource)).or_default().push(row);
        }
        let open = rows.into_iter().map(|row| {
            let later = of_resource.get(&(row.change.account_id, &row.change.resource)).into_iter().flatten();
            let later = later
                .filter(|other| other.run > row.run)
                .map(|other| Later { change: &other.change, approval: other.approval.as_ref() });
            Arc::new(OpenChange {
                // What no scan shows is over: that it was is what is judged.
                standing: if row.ended.is_some() { Standing::There } else { standing(&row.change, later) },
                earlier: earlier.remove(&row.change.id).unwrap_or_default(),
                detected_at: row.detected_at,
                effective_at: row.effective_at,
                attributed: row.attributed,
                approval: row.approval,
                ended: row.ended,
                change: row.change,
            })
        });
        Ok(open.collect())
    }

    /// Whether some change was approved, or an approval withdrawn, at this moment or later.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn approved_since(&self, since: DateTime<Utc>) -> Result<bool, Error> {
        let found = sqlx::query_scalar!(r#"select exists (select from approval where at >= $1) as "is_any!""#, since)
            .fetch_one(&self.pool)
            .await?;
        Ok(found)
    }
}

/// The calls that changed the resources of changes before these were made, by change.
async fn earlier(connection: &mut PgConnection, rows: &[ChangeRow]) -> Result<BTreeMap<String, EarlierCalls>, Error> {
    let (mut ids, mut keys, mut types, mut until) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for row in rows {
        let Some(before) = row.attributed.event_time().or(row.since) else { continue };
        let kind = row.change.resource.kind.as_str();
        let own = resource_key(kind, &row.change.resource.name);
        for key in std::iter::once(own).chain(row.change.aliases.iter().cloned()) {
            ids.push(row.change.id.clone());
            keys.push(key);
            types.push(kind.to_owned());
            until.push(before);
        }
    }
    let mut found: BTreeMap<String, EarlierCalls> = BTreeMap::new();
    if ids.is_empty() {
        return Ok(found);
    }
    let calls = sqlx::query!(
        r#"select w.id as "id!", e.agent_class, bool_or(e.event_name = any($5)) as "is_creation!"
           from unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[]) as w (id, key, type, until)
           join change_event e on e.resource_keys @> array[w.key] and e.at < w.until and e.error_code is null
                              and e.resources @> jsonb_build_array(
                                      jsonb_build_object('resource_type', w.type, 'is_changed', true))
           group by w.id, e.agent_class order by w.id, e.agent_class"#,
        &ids,
        &keys,
        &types,
        &until,
        &creating_calls().map(str::to_owned).collect::<Vec<_>>()
    )
    .fetch_all(connection)
    .await?;
    for call in calls {
        let of = found.entry(call.id).or_default();
        // A class of a later version is none of those that manage resources for this one.
        of.agents.extend(call.agent_class.parse::<AgentClass>());
        of.is_from_creation |= call.is_creation;
    }
    Ok(found)
}

/// Notes that every rule passed on changes, unless an approval was given or withdrawn meanwhile.
pub(crate) async fn note_passed(connection: &mut PgConnection, passed: &PassedChanges) -> Result<(), Error> {
    if passed.ids.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "update change c set passed_under = $1
         where c.id = any($2) and c.passed_under is distinct from $1
           and not exists (select from approval a where a.account_id = c.account_id and a.change_id = c.id
                           and a.at >= $3::timestamptz - interval '1 minute')",
        passed.rules,
        &passed.ids,
        passed.loaded_at
    )
    .execute(connection)
    .await?;
    Ok(())
}
