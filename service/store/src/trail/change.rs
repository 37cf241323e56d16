//! Calls that change what is watched, one row each, in monthly partitions.
//!
//! Knows how to write each event once and how to find those of an account, a resource or an actor. Refuses
//! to know which change of an estate an event caused.

use super::TrailBatch;
use crate::parse::JsonText;
use crate::{Error, Store, parse, partition};
use chrono::{DateTime, NaiveDate, Utc};
use rolecall_estate::{ChangeEvent, ChangedResource};
use rolecall_iam::AccountId;
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use std::collections::{BTreeMap, BTreeSet};

/// Rows of one statement. A row may hold 64 KiB of documents.
const CHUNK: usize = 200;

/// Which change events.
#[derive(Debug, Clone, Default)]
pub struct ChangeEventFilter {
    /// Of these accounts; empty: all.
    pub accounts: Vec<AccountId>,
    /// That name any of these, each as [`rolecall_estate::named_key`] gives it; empty: all.
    pub resource_keys: Vec<String>,
    /// That name a resource of this CloudFormation type.
    pub resource_type: Option<String>,
    /// Whose actor's ARN or service name holds this text.
    pub actor: Option<String>,
    /// Of this `eventName`.
    pub event_name: Option<String>,
    /// Whether the call was refused for want of permission.
    pub denied: Option<bool>,
    /// From this moment on.
    pub since: Option<DateTime<Utc>>,
    /// Before this moment.
    pub until: Option<DateTime<Utc>>,
}

/// The last change event of a page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeEventAfter {
    /// Its time.
    pub at: DateTime<Utc>,
    /// Its account.
    pub account_id: AccountId,
    /// Its event.
    pub event_id: String,
    /// Its region.
    pub region: String,
}

impl ChangeEventAfter {
    /// The key of a change event.
    #[must_use]
    pub fn new(event: &ChangeEvent) -> Self {
        Self {
            at: event.event_time,
            account_id: event.account_id,
            event_id: event.event_id.clone(),
            region: event.region.to_string(),
        }
    }
}

impl TrailBatch<'_> {
    /// Adds the change events that are not there yet, and says how many these were.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn changes(&mut self, events: &[ChangeEvent]) -> Result<u64, Error> {
        let pool = self.book.pool.clone();
        let mut made = self.book.partitions.clone();
        let months: BTreeSet<NaiveDate> =
            events.iter().filter_map(|event| partition::first_of_month(event.event_time.date_naive())).collect();
        for month in months {
            partition::ensure(&mut self.tx, &pool, &mut made, "change_event", month).await?;
        }
        self.pending.partitions.extend(made);
        let mut written = 0;
        for chunk in events.chunks(CHUNK) {
            written += self.change_chunk(chunk).await?;
        }
        if written > 0 {
            let mut since: BTreeMap<AccountId, DateTime<Utc>> = BTreeMap::new();
            for event in events.iter().filter(|event| event.error_code.is_none()) {
                let first = since.entry(event.account_id).or_insert(event.event_time);
                *first = event.event_time.min(*first);
            }
            owe(&mut self.tx, &since).await?;
        }
        Ok(written)
    }

    async fn change_chunk(&mut self, chunk: &[ChangeEvent]) -> Result<u64, Error> {
        fn column<'a, T>(chunk: &'a [ChangeEvent], of: impl Fn(&'a ChangeEvent) -> T) -> Vec<T> {
            chunk.iter().map(of).collect()
        }
        let plain = |text: Option<&str>| text.map(parse::storable);
        let list = |texts: BTreeSet<String>| parse::json_text(&texts);
        let done = sqlx::query!(
            "insert into change_event (account_id, event_id, region, at, event_source, event_name, actor, principal,
                                       source_ip, user_agent, agent_class, error_code, error_message, is_denied,
                                       resources, resource_keys, resource_types, request, is_request_cut)
             select w.account_id, w.event_id, w.region, w.at, w.event_source, w.event_name, w.actor::jsonb, w.principal,
                    w.source_ip, w.user_agent, w.agent_class, w.error_code, w.error_message, w.is_denied,
                    w.resources::jsonb, array(select jsonb_array_elements_text(w.resource_keys::jsonb)),
                    array(select jsonb_array_elements_text(w.resource_types::jsonb)), w.request::jsonb, w.is_request_cut
             from unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::text[], $6::text[], $7::text[],
                         $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::bool[],
                         $15::text[], $16::text[], $17::text[], $18::text[], $19::bool[])
                  as w (account_id, event_id, region, at, event_source, event_name, actor, principal, source_ip,
                        user_agent, agent_class, error_code, error_message, is_denied, resources, resource_keys,
                        resource_types, request, is_request_cut)
             on conflict (account_id, event_id, region, at) do nothing",
            &column(chunk, |event| event.account_id.to_string()),
            &column(chunk, |event| parse::indexed_beside(&event.event_id)),
            &column(chunk, |event| event.region.to_string()),
            &column(chunk, |event| event.event_time),
            &column(chunk, |event| parse::storable(&event.event_source)),
            &column(chunk, |event| parse::storable(&event.event_name)),
            &column(chunk, |event| parse::json_text(&event.actor)),
            &column(chunk, |event| plain(event.actor.principal())) as &[Option<String>],
            &column(chunk, |event| plain(event.source_ip.as_deref())) as &[Option<String>],
            &column(chunk, |event| plain(event.user_agent.as_deref())) as &[Option<String>],
            &column(chunk, |event| event.agent_class.as_str().to_owned()),
            &column(chunk, |event| plain(event.error_code.as_deref())) as &[Option<String>],
            &column(chunk, |event| plain(event.error_message.as_deref())) as &[Option<String>],
            &column(chunk, |event| event.is_denied),
            &column(chunk, |event| parse::json_text(&event.resources)),
            &column(chunk, |event| list(keys(&event.resources))),
            &column(chunk, |event| list(event.resources.iter().map(|it| it.resource_type.clone()).collect())),
            &column(chunk, |event| parse::json_text(&event.request)),
            &column(chunk, |event| event.is_request_cut)
        )
        .execute(&mut *self.tx)
        .await?;
        Ok(done.rows_affected())
    }
}

/// Notes that calls of accounts must be told again, each from a moment on.
async fn owe(connection: &mut PgConnection, since: &BTreeMap<AccountId, DateTime<Utc>>) -> Result<(), Error> {
    if since.is_empty() {
        return Ok(());
    }
    let (accounts, moments): (Vec<String>, Vec<DateTime<Utc>>) =
        since.iter().map(|(account, since)| (account.to_string(), *since)).unzip();
    sqlx::query!(
        "insert into owed_replay as o (account_id, since)
         select w.account_id, w.since from unnest($1::text[], $2::timestamptz[]) as w (account_id, since)
         on conflict (account_id) do update set since = least(o.since, excluded.since), number = o.number + 1",
        &accounts,
        &moments
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// By what the resources of an event are found. Of an association its id, too: an event may know no more.
fn keys(resources: &[ChangedResource]) -> BTreeSet<String> {
    let ids = resources.iter().filter_map(|resource| resource.association_id.clone());
    resources.iter().map(ChangedResource::key).chain(ids).map(|key| parse::indexed(&key)).collect()
}

struct Record {
    account_id: String,
    event_id: String,
    region: String,
    at: DateTime<Utc>,
    event_source: String,
    event_name: String,
    actor: JsonText,
    source_ip: Option<String>,
    user_agent: Option<String>,
    agent_class: String,
    error_code: Option<String>,
    error_message: Option<String>,
    is_denied: bool,
    resources: JsonText,
    request: serde_json::Value,
    is_request_cut: bool,
}

impl Record {
    fn into_event(self) -> Result<ChangeEvent, Error> {
        const TABLE: &str = "change_event";
        let key = self.event_id;
        Ok(ChangeEvent {
            event_time: self.at,
            account_id: parse::account(TABLE, &self.account_id)?,
            region: parse::text(TABLE, &key, &self.region)?,
            event_source: self.event_source,
            event_name: self.event_name,
            actor: parse::json(TABLE, &key, &self.actor)?,
            source_ip: self.source_ip,
            user_agent: self.user_agent,
            agent_class: parse::text(TABLE, &key, &self.agent_class)?,
            error_code: self.error_code,
            error_message: self.error_message,
            is_denied: self.is_denied,
            resources: parse::json(TABLE, &key, &self.resources)?,
            request: self.request,
            is_request_cut: self.is_request_cut,
            event_id: key,
        })
    }
}

impl Store {
    /// Change events from the newest, after the last of the page before.
    ///
    /// # Errors
    /// Where the database fails, or holds what this program cannot read.
    pub async fn change_events(
        &self,
        filter: &ChangeEventFilter,
        after: Option<&ChangeEventAfter>,
        limit: u32,
    ) -> Result<Vec<ChangeEvent>, Error> {
        let rows = sqlx::query_as!(
            Record,
            r#"select account_id, event_id, region, at, event_source, event_name, actor as "actor: JsonText", source_ip,
                    user_agent, agent_class, error_code, error_message, is_denied, resources as "resources: JsonText",
                    request, is_request_cut
             from change_event
             where (cardinality($1::text[]) = 0 or account_id = any($1))
               and (cardinality($2::text[]) = 0 or resource_keys && $2)
               and ($3::text is null or $3 = any(resource_types))
               and ($4::text is null or position(lower($4) in lower(principal)) > 0
                    or position(lower($4) in lower(actor ->> 'arn')) > 0)
               and ($5::text is null or event_name = $5)
               and ($6::bool is null or is_denied = $6)
               and ($7::timestamptz is null or at >= $7)
               and ($8::timestamptz is null or at < $8)
               and ($9::timestamptz is null or at <= $9)
               and ($9::timestamptz is null or at < $9 or (account_id, event_id, region) > ($10, $11, $12))
             order by at desc, account_id, event_id, region
             limit $13"#,
            &filter.accounts.iter().map(ToString::to_string).collect::<Vec<_>>(),
            &filter.resource_keys.iter().map(|key| parse::indexed(key)).collect::<Vec<_>>(),
            filter.resource_type,
            filter.actor,
            filter.event_name,
            filter.denied,
            filter.since,
            filter.until,
            after.map(|last| last.at),
            after.map(|last| last.account_id.to_string()),
            after.map(|last| last.event_id.clone()),
            after.map(|last| last.region.clone()),
            parse::limit(limit)
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(Record::into_event).collect()
    }

    /// Drops the months of change events that lie wholly before a moment, and names them. Readers are not
    /// held up.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn drop_change_events_before(&self, before: DateTime<Utc>) -> Result<Vec<String>, Error> {
        partition::drop_before(&self.pool, "change_event", before.date_naive()).await
    }
}
