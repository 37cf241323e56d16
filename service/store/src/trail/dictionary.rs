//! Texts by number, within an account: actions, resource shapes and roles.
//!
//! A number is given once and never changed, so what was committed may be remembered for ever; it
//! is forgotten only to bound memory.

use super::TrailBatch;
use crate::{Error, parse};
use rolecall_iam::AccountId;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// So many texts are remembered between batches.
const REMEMBERED: usize = 100_000;

/// What is remembered.
#[derive(Debug, Default)]
pub(super) struct Names {
    by_account: HashMap<AccountId, HashMap<String, i32>>,
    count: usize,
}

impl Names {
    pub(super) fn know(&mut self, account: AccountId, text: String, id: i32) {
        if self.count >= REMEMBERED {
            self.by_account.clear();
            self.count = 0;
        }
        self.count += usize::from(self.by_account.entry(account).or_default().insert(text, id).is_none());
    }

    fn get(&self, account: AccountId, text: &str) -> Option<i32> {
        self.by_account.get(&account)?.get(text).copied()
    }
}

/// The numbers of one batch's texts.
#[derive(Debug, Default)]
pub(super) struct Numbers(HashMap<AccountId, HashMap<String, i32>>);

impl Numbers {
    pub(super) fn of(&self, account: AccountId, text: &str) -> Result<i32, Error> {
        let found = self.0.get(&account).and_then(|texts| texts.get(text)).copied();
        found.ok_or_else(|| Error::corrupt("trail_name", text, "the text has no number"))
    }
}

impl TrailBatch<'_> {
    /// The numbers of texts; those that have none get one.
    pub(super) async fn numbers(&mut self, texts: BTreeMap<AccountId, BTreeSet<&str>>) -> Result<Numbers, Error> {
        let mut numbers = Numbers::default();
        for (account, texts) in texts {
            let known = numbers.0.entry(account).or_default();
            let mut unknown: Vec<String> = Vec::new();
            for text in texts {
                match self.book.names.get(account, text) {
                    Some(id) => drop(known.insert(text.to_owned(), id)),
                    None => unknown.push(text.to_owned()),
                }
            }
            if unknown.is_empty() {
                continue;
            }
            let id = account.to_string();
            let clean: Vec<String> = unknown.iter().map(|text| parse::indexed(text)).collect();
            let rows =
                sqlx::query!("select id, text from trail_name where account_id = $1 and text = any($2)", id, &clean)
                    .fetch_all(&mut *self.tx)
                    .await?;
            let mut found: HashMap<String, i32> = rows.into_iter().map(|row| (row.text, row.id)).collect();
            let given = self
                .accounts
                .get_mut(&account)
                .ok_or_else(|| Error::corrupt("trail_account", id.clone(), "the account is not locked"))?;
            let (mut new_ids, mut new_texts) = (Vec::new(), Vec::new());
            for (text, clean) in unknown.into_iter().zip(clean) {
                let number = match found.get(&clean) {
                    Some(number) => *number,
                    None => {
                        given.names = given.names.saturating_add(1);
                        given.changed = true;
                        new_ids.push(given.names);
                        new_texts.push(clean.clone());
                        found.insert(clean, given.names);
                        given.names
                    }
                };
                self.pending.names.push((account, text.clone(), number));
                known.insert(text, number);
            }
            if !new_ids.is_empty() {
                sqlx::query!(
                    "insert into trail_name (account_id, id, text)
                     select $1, w.id, w.text from unnest($2::int[], $3::text[]) as w (id, text)",
                    id,
                    &new_ids,
                    &new_texts
                )
                .execute(&mut *self.tx)
                .await?;
            }
        }
        Ok(numbers)
    }
}
