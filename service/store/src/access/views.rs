//! Saved views: addresses of lists under names, of one person or of all.
//!
//! Views are of people, and not of an estate: each statement names whose they are, and whoever sees a part of the estate
//! has no right to the table itself. Refuses to know whether a list and its query are good: whoever opens a view asks that anew. "Now" is the caller's.

use crate::audit_log::{AuditAction, NewAuditEntry, append};
use crate::{Error, INSTALLATION, Store, parse};
use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::PgConnection;

/// So many views one person has at most.
pub const MOST_VIEWS: i64 = 200;

/// A list with its query, under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedView {
    /// The last part of its short address.
    pub slug: String,
    /// How people call it.
    pub name: String,
    /// Who saved it.
    pub owner: String,
    /// The list, such as `/findings`.
    pub path: String,
    /// What is asked of the list, without `?`.
    pub query: String,
    /// Whether everybody has it.
    pub shared: bool,
    /// When it was saved.
    pub created_at: DateTime<Utc>,
    /// When it was last renamed, shared or taken back.
    pub updated_at: DateTime<Utc>,
}

/// What is to become of a saved view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ViewStep {
    /// It gets another name.
    Rename(String),
    /// Everybody has it, or only who saved it.
    Share(bool),
    /// It goes.
    Delete,
}

/// What came of saving or changing a view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ViewKept {
    /// It is done.
    Done,
    /// There is no such view, or not for this person.
    NotThere,
    /// The person has a view of this name.
    NameTaken,
    /// The person has as many views as one may have.
    TooMany,
}

fn entry(action: AuditAction, view: &SavedView) -> NewAuditEntry {
    let detail = json!({ "name": view.name, "owner": view.owner, "path": view.path, "query": view.query });
    NewAuditEntry::done(action, &view.slug, detail)
}

impl Store {
    /// The views that a person has: their own, and those that everybody has; by name.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn saved_views(&self, person: &str) -> Result<Vec<SavedView>, Error> {
        Ok(sqlx::query_as!(
            SavedView,
            "select slug, name, owner, path, query, shared, created_at, updated_at from saved_view
             where account_id = $1 and (owner = $2 or shared) order by lower(name), slug",
            INSTALLATION,
            person
        )
        .fetch_all(&self.pool.of_owner())
        .await?)
    }

    /// One of the views that a person has.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn saved_view(&self, slug: &str, person: &str) -> Result<Option<SavedView>, Error> {
        Ok(sqlx::query_as!(
            SavedView,
            "select slug, name, owner, path, query, shared, created_at, updated_at from saved_view
             where account_id = $1 and slug = $2 and (owner = $3 or shared)",
            INSTALLATION,
            slug,
            person
        )
        .fetch_optional(&self.pool.of_owner())
        .await?)
    }

    /// Keeps a view. One that everybody has goes into the audit log.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn create_saved_view(&self, view: &SavedView) -> Result<ViewKept, Error> {
        let mut tx = self.pool.of_owner().begin().await?;
        let own = sqlx::query_scalar!(
            r#"select count(*) as "count!" from saved_view where account_id = $1 and owner = $2"#,
            INSTALLATION,
            view.owner
        )
        .fetch_one(&mut *tx)
        .await?;
        if own >= MOST_VIEWS {
            return Ok(ViewKept::TooMany);
        }
        let made = sqlx::query!(
            "insert into saved_view (account_id, slug, name, owner, path, query, shared, created_at, updated_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $8) on conflict do nothing",
            INSTALLATION,
            view.slug,
            parse::storable(&view.name),
            view.owner,
            view.path,
            parse::storable(&view.query),
            view.shared,
            view.created_at
        )
        .execute(&mut *tx)
        .await?;
        if made.rows_affected() == 0 {
            return Ok(ViewKept::NameTaken);
        }
        if view.shared {
            append(&mut tx, &self.actor, &[entry(AuditAction::ViewShare, view)]).await?;
        }
        tx.commit().await?;
        Ok(ViewKept::Done)
    }

    /// Takes a step with a view: one's own, or with `any_shared` also one that everybody has. What everybody has goes
    /// into the audit log.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn change_saved_view(
        &self,
        slug: &str,
        person: &str,
        any_shared: bool,
        step: &ViewStep,
        now: DateTime<Utc>,
    ) -> Result<ViewKept, Error> {
        let mut tx = self.pool.of_owner().begin().await?;
        let view = sqlx::query_as!(
            SavedView,
            "select slug, name, owner, path, query, shared, created_at, updated_at from saved_view
             where account_id = $1 and slug = $2 and (owner = $3 or (shared and $4::bool)) for update",
            INSTALLATION,
            slug,
            person,
            any_shared
        )
        .fetch_optional(&mut *tx)
        .await?;
        let Some(view) = view else { return Ok(ViewKept::NotThere) };
        let acts = match step {
            ViewStep::Delete => {
                sqlx::query!("delete from saved_view where account_id = $1 and slug = $2", INSTALLATION, slug)
                    .execute(&mut *tx)
                    .await?;
                view.shared.then(|| entry(AuditAction::ViewDelete, &view))
            }
            ViewStep::Rename(name) => {
                if is_taken(&mut tx, &view, name).await? {
                    return Ok(ViewKept::NameTaken);
                }
                sqlx::query!(
                    "update saved_view set name = $3, updated_at = $4 where account_id = $1 and slug = $2",
                    INSTALLATION,
                    slug,
                    parse::storable(name),
                    now
                )
                .execute(&mut *tx)
                .await?;
                let renamed = SavedView { name: name.clone(), ..view.clone() };
                view.shared.then(|| entry(AuditAction::ViewRename, &renamed))
            }
            ViewStep::Share(shared) => {
                sqlx::query!(
                    "update saved_view set shared = $3, updated_at = $4 where account_id = $1 and slug = $2",
                    INSTALLATION,
                    slug,
                    shared,
                    now
                )
                .execute(&mut *tx)
                .await?;
                let action = if *shared { AuditAction::ViewShare } else { AuditAction::ViewUnshare };
                (view.shared != *shared).then(|| entry(action, &view))
            }
        };
        append(&mut tx, &self.actor, &acts.into_iter().collect::<Vec<_>>()).await?;
        tx.commit().await?;
        Ok(ViewKept::Done)
    }
}

/// Whether another view of the same person has a name.
async fn is_taken(connection: &mut PgConnection, view: &SavedView, name: &str) -> Result<bool, Error> {
    Ok(sqlx::query_scalar!(
        r#"select exists (select from saved_view where account_id = $1 and owner = $2 and lower(name) = lower($3)
                          and slug <> $4) as "taken!""#,
        INSTALLATION,
        view.owner,
        parse::storable(name),
        view.slug
    )
    .fetch_one(connection)
    .await?)
}
