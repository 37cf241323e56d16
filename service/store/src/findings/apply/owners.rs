//! Whose findings and associations are: what an audit decided of it, kept where it differs from what is kept.
//!
//! A change of a finding's owner is a step of its life; what is decided for the first time is none. Refuses to decide
//! whose anything is.

use super::{Life, Step, select_lives};
use crate::parse::JsonText;
use crate::{Error, Store, parse};
use rolecall_audit::owner::{Owner, OwnerChange, OwnerChanges};
use rolecall_estate::AssociationKey;
use serde_json::json;
use sqlx::{Postgres, Transaction};
use std::collections::{BTreeMap, HashMap};

/// So many owners are written at once.
const CHUNK: usize = 500;

/// Owners of findings that are to be written, by fingerprint.
pub(super) type Owners = HashMap<String, OwnerChange>;

pub(super) fn by_fingerprint(changes: &[OwnerChange]) -> Owners {
    changes.iter().map(|change| (change.fingerprint.0.clone(), change.clone())).collect()
}

impl Store {
    /// Whose associations are, as last decided.
    ///
    /// # Errors
    /// Where the database fails, or holds what this program cannot read.
    pub async fn association_owners(&self) -> Result<BTreeMap<AssociationKey, Owner>, Error> {
        let rows =
            sqlx::query!(r#"select association, owner_because as "owner_because: JsonText" from association_owner"#)
                .fetch_all(&self.pool)
                .await?;
        let each = rows.into_iter().map(|row| {
            let key = parse::text("association_owner", &row.association, &row.association)?;
            Ok((key, parse::json("association_owner", &row.association, &row.owner_because)?))
        });
        each.collect()
    }
}

/// Writes the owners of the findings that are there already; those of new ones are written with them.
pub(super) async fn write_of_findings(tx: &mut Transaction<'static, Postgres>, step: &mut Step) -> Result<(), Error> {
    let mut changes: Vec<OwnerChange> = std::mem::take(&mut step.owners).into_values().collect();
    changes.sort_by(|a, b| a.fingerprint.cmp(&b.fingerprint));
    for some in changes.chunks(CHUNK) {
        let named =
            some.iter().filter(|change| change.from.as_ref().is_some_and(|from| from.name() != change.to.name()));
        let named: HashMap<&str, &OwnerChange> = named.map(|change| (change.fingerprint.0.as_str(), change)).collect();
        let wanted: Vec<String> = named.keys().map(|fingerprint| (*fingerprint).to_owned()).collect();
        let mut lives: Vec<Life> = select_lives!("where f.fingerprint = any($1)", &wanted).fetch_all(&mut **tx).await?;
        lives.sort_by_key(|life| life.number);
        for mut life in lives {
            let Some(change) = named.get(life.fingerprint.as_str()) else { continue };
            let (from, to) = (change.from.as_ref().and_then(Owner::name), change.to.name());
            step.event(&mut life, "changed", json!({ "owner": { "from": from, "to": to } }));
            step.move_on(life);
        }
        step.write_down(tx).await?;
        let text = |of: &dyn Fn(&OwnerChange) -> String| some.iter().map(of).collect::<Vec<String>>();
        let names: Vec<Option<String>> = some.iter().map(|change| change.to.name().map(parse::storable)).collect();
        sqlx::query!(
            "update finding f set owner = w.owner, owned = w.owned, owner_because = w.because::jsonb
             from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[])
                  as w (account_id, fingerprint, owner, owned, because)
             where f.account_id = w.account_id and f.fingerprint = w.fingerprint",
            &text(&|change| change.account_id.to_string()),
            &text(&|change| change.fingerprint.0.clone()),
            &names as &[Option<String>],
            &text(&|change| change.to.owned().to_string()),
            &text(&|change| parse::json_text(&change.to)),
        )
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}

/// Writes the owners of associations.
pub(super) async fn write_of_associations(
    tx: &mut Transaction<'static, Postgres>,
    changes: &OwnerChanges,
) -> Result<(), Error> {
    if !changes.gone.is_empty() {
        let gone: Vec<String> = changes.gone.iter().map(ToString::to_string).collect();
        sqlx::query!("delete from association_owner where association = any($1)", &gone).execute(&mut **tx).await?;
    }
    for some in changes.associations.chunks(CHUNK) {
        let text = |of: &dyn Fn(&AssociationKey, &Owner) -> String| {
            some.iter().map(|(key, owner)| of(key, owner)).collect::<Vec<String>>()
        };
        let names: Vec<Option<String>> = some.iter().map(|(_, owner)| owner.name().map(parse::storable)).collect();
        sqlx::query!(
            "insert into association_owner (account_id, association, owner, owned, owner_because)
             select w.account_id, w.association, w.owner, w.owned, w.because::jsonb
             from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[])
                  as w (account_id, association, owner, owned, because)
             on conflict (account_id, association) do update set
                 owner = excluded.owner, owned = excluded.owned, owner_because = excluded.owner_because",
            &text(&|key, _| key.account_id.to_string()),
            &text(&|key, _| key.to_string()),
            &names as &[Option<String>],
            &text(&|_, owner| owner.owned().to_string()),
            &text(&|_, owner| parse::json_text(owner)),
        )
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}
