//! Which events and files were counted before.
//!
//! A place's marks lie in segments that are written once. A batch adds one; where several small
//! ones have come together they are replaced by one, so that reading stays cheap and writing costs
//! each mark a few rewrites in all.

use super::{TrailBatch, TrailWriter, marks};
use crate::{Error, INSTALLATION, parse, partition};
use chrono::{DateTime, NaiveDate, Utc};
use rolecall_cloudtrail::TrailDay;
use rolecall_iam::AccountId;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use uuid::Uuid;

/// So many marks are remembered between batches: 16 MiB.
const REMEMBERED: usize = 2_000_000;
/// So many small segments are made one.
const MERGED: usize = 4;
/// A segment is small beside one that is this many times smaller.
const SMALL: usize = 4;

/// A file by its name and size, and the day whose events it has.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileMark {
    /// `None`: it lies in no trail's layout. Read in whatever month, it is known.
    pub day: Option<TrailDay>,
    /// A 64-bit hash of its identity.
    pub mark: u64,
}

impl FileMark {
    /// The account that must be open to write it.
    #[must_use]
    pub fn account_id(&self) -> AccountId {
        self.day.as_ref().map_or_else(crate::installation, |day| day.account_id)
    }
}

/// The row key of a set of marks: a day of a trail, or the month in which files of no layout were read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct MarkSet {
    account_id: AccountId,
    /// Empty for files of no layout.
    region: String,
    day: NaiveDate,
}

impl MarkSet {
    pub(super) fn of_day(day: &TrailDay) -> Self {
        Self { account_id: day.account_id, region: day.region.to_string(), day: day.day }
    }

    /// A file of no layout belongs to the month in which it is read, so that it can be forgotten in time.
    pub(super) fn of_file(file: &FileMark, read_at: DateTime<Utc>) -> Self {
        let month = || {
            let day = read_at.date_naive();
            Self::of_month(partition::first_of_month(day).unwrap_or(day))
        };
        file.day.as_ref().map_or_else(month, Self::of_day)
    }

    fn of_month(day: NaiveDate) -> Self {
        Self { account_id: crate::installation(), region: String::new(), day }
    }

    fn is_month(&self) -> bool {
        self.region.is_empty() && self.account_id == crate::installation()
    }

    fn trail_day(&self) -> Result<TrailDay, Error> {
        let region = parse::text("trail_seen", &self.account_id, &self.region)?;
        Ok(TrailDay { account_id: self.account_id, region, day: self.day })
    }
}

/// Segments that were read or written, the newest last.
#[derive(Debug, Default)]
pub(super) struct Segments {
    known: HashMap<Uuid, Arc<[u64]>>,
    order: VecDeque<Uuid>,
    marks: usize,
}

impl Segments {
    fn know(&mut self, id: Uuid, marks: Arc<[u64]>) {
        self.marks += marks.len();
        self.order.push_back(id);
        self.known.insert(id, marks);
        while self.marks > REMEMBERED {
            let Some(oldest) = self.order.pop_front() else { break };
            self.marks -= self.known.remove(&oldest).map_or(0, |marks| marks.len());
        }
    }
}

rolecall_iam::vocabulary! {
    /// The sets of marks of which a place has one each.
    pub(super) enum Kind: "a kind of mark" {
        Event = "event",
        File = "file",
    }
}

struct Held {
    id: Uuid,
    marks: Arc<[u64]>,
}

fn keys<'p>(places: impl Iterator<Item = &'p MarkSet>) -> (Vec<String>, Vec<String>, Vec<NaiveDate>) {
    let (mut accounts, mut regions, mut days) = (Vec::new(), Vec::new(), Vec::new());
    for place in places {
        accounts.push(place.account_id.to_string());
        regions.push(place.region.clone());
        days.push(place.day);
    }
    (accounts, regions, days)
}

impl TrailWriter {
    /// Which of these files were read before. Asked before a file is fetched; the answer may be
    /// out of date by then, and [`TrailBatch::unread`] asks again.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn read_before(&mut self, files: &[FileMark]) -> Result<Vec<bool>, Error> {
        let mut connection = self.pool.acquire().await?;
        known_files(&mut connection, &mut self.segments, files).await
    }
}

async fn known_files(
    connection: &mut sqlx::PgConnection,
    segments: &mut Segments,
    files: &[FileMark],
) -> Result<Vec<bool>, Error> {
    let mut places: BTreeMap<MarkSet, Vec<u64>> = BTreeMap::new();
    let mut elsewhere = Vec::new();
    for file in files {
        match &file.day {
            Some(day) => places.entry(MarkSet::of_day(day)).or_default().push(file.mark),
            None => elsewhere.push(file.mark),
        }
    }
    if !elsewhere.is_empty() {
        let months = sqlx::query_scalar!(
            "select distinct day from trail_seen where account_id = $1 and region = '' and kind = 'file'",
            INSTALLATION
        )
        .fetch_all(&mut *connection)
        .await?;
        for day in months {
            places.insert(MarkSet::of_month(day), elsewhere.clone());
        }
    }
    for marks in places.values_mut() {
        marks.sort_unstable();
        marks.dedup();
    }
    let found = intersect(connection, segments, Kind::File, &places).await?;
    let holds = |marks: &Vec<u64>, mark: u64| marks.binary_search(&mark).is_ok();
    let known = |file: &FileMark| match &file.day {
        Some(day) => found.get(&MarkSet::of_day(day)).is_some_and(|marks| holds(marks, file.mark)),
        None => found.iter().any(|(set, marks)| set.is_month() && holds(marks, file.mark)),
    };
    Ok(files.iter().map(known).collect())
}

/// What of each place's marks is kept already.
async fn intersect(
    connection: &mut sqlx::PgConnection,
    segments: &mut Segments,
    kind: Kind,
    places: &BTreeMap<MarkSet, Vec<u64>>,
) -> Result<BTreeMap<MarkSet, Vec<u64>>, Error> {
    let held = load(connection, segments, kind, places.keys()).await?;
    let mut found = BTreeMap::new();
    for (place, marks) in places {
        let mut both = Vec::new();
        for segment in held.get(place).into_iter().flatten() {
            let (few, many) = if marks.len() < segment.marks.len() {
                (&**marks, &*segment.marks)
            } else {
                (&*segment.marks, &**marks)
            };
            marks::common(few, many, &mut both);
        }
        if !both.is_empty() {
            both.sort_unstable();
            both.dedup();
            found.insert(place.clone(), both);
        }
    }
    Ok(found)
}

/// The segments of places, from memory where they are known.
async fn load(
    connection: &mut sqlx::PgConnection,
    segments: &mut Segments,
    kind: Kind,
    places: impl Iterator<Item = &MarkSet>,
) -> Result<BTreeMap<MarkSet, Vec<Held>>, Error> {
    let (accounts, regions, days) = keys(places);
    let rows = sqlx::query!(
        "select s.account_id, s.region, s.day, s.id
         from unnest($1::text[], $2::text[], $3::date[]) as w (account_id, region, day)
         join trail_seen s on s.account_id = w.account_id and s.region = w.region and s.day = w.day and s.kind = $4",
        &accounts,
        &regions,
        &days,
        kind.as_str()
    )
    .fetch_all(&mut *connection)
    .await?;
    let mut held: BTreeMap<MarkSet, Vec<Held>> = BTreeMap::new();
    for row in rows {
        let place =
            MarkSet { account_id: parse::account("trail_seen", &row.account_id)?, region: row.region, day: row.day };
        let marks = match segments.known.get(&row.id) {
            Some(marks) => Arc::clone(marks),
            None => {
                // One at a time: a day that counted millions of events has large ones.
                let bytes = sqlx::query_scalar!(
                    "select marks from trail_seen
                     where account_id = $1 and region = $2 and day = $3 and kind = $4 and id = $5",
                    row.account_id,
                    place.region,
                    place.day,
                    kind.as_str(),
                    row.id
                )
                .fetch_optional(&mut *connection)
                .await?;
                // Merged into another meanwhile; that cannot happen under the account's lock.
                let Some(bytes) = bytes else { continue };
                let marks = marks::decode(&bytes)
                    .map_err(|why| Error::corrupt("trail_seen", row.id.to_string(), why.to_string()))?;
                let marks: Arc<[u64]> = marks.into();
                segments.know(row.id, Arc::clone(&marks));
                marks
            }
        };
        held.entry(place).or_default().push(Held { id: row.id, marks });
    }
    Ok(held)
}

impl TrailBatch<'_> {
    /// Which of these files were not read before. Of those that were, nothing must be counted.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn unread(&mut self, files: &[FileMark]) -> Result<Vec<bool>, Error> {
        let read = known_files(&mut self.tx, &mut self.book.segments, files).await?;
        Ok(read.into_iter().map(|read| !read).collect())
    }

    /// Which events of a batch were counted before. `marks` are sorted and unique for each place.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn counted(
        &mut self,
        marks: &BTreeMap<TrailDay, Vec<u64>>,
    ) -> Result<BTreeMap<TrailDay, Vec<u64>>, Error> {
        let marks = marks.iter().map(|(day, marks)| (MarkSet::of_day(day), marks.clone())).collect();
        let found = intersect(&mut self.tx, &mut self.book.segments, Kind::Event, &marks).await?;
        found.into_iter().map(|(set, marks)| Ok((set.trail_day()?, marks))).collect()
    }

    /// Adds marks that are sorted, unique and new.
    pub(super) async fn remember(&mut self, kind: Kind, new: BTreeMap<MarkSet, Vec<u64>>) -> Result<(), Error> {
        let held = load(&mut self.tx, &mut self.book.segments, kind, new.keys()).await?;
        for (place, mut marks) in new {
            if marks.is_empty() {
                continue;
            }
            let mut around: Vec<&Held> = held.get(&place).into_iter().flatten().collect();
            around.sort_by_key(|segment| segment.marks.len());
            let mut total = marks.len();
            let mut small = Vec::new();
            for segment in around {
                if segment.marks.len() > total.saturating_mul(SMALL) {
                    break;
                }
                total += segment.marks.len();
                small.push(segment);
            }
            let account = place.account_id.to_string();
            if small.len() >= MERGED {
                for segment in &small {
                    marks.extend_from_slice(&segment.marks);
                }
                marks.sort_unstable();
                marks.dedup();
                let replaced: Vec<Uuid> = small.iter().map(|segment| segment.id).collect();
                sqlx::query!(
                    "delete from trail_seen
                     where account_id = $1 and region = $2 and day = $3 and kind = $4 and id = any($5)",
                    account,
                    place.region,
                    place.day,
                    kind.as_str(),
                    &replaced
                )
                .execute(&mut *self.tx)
                .await?;
            }
            let id = Uuid::now_v7();
            sqlx::query!(
                "insert into trail_seen (account_id, region, day, kind, id, marks, count)
                 values ($1, $2, $3, $4, $5, $6, $7)",
                account,
                place.region,
                place.day,
                kind.as_str(),
                id,
                marks::encode(&marks),
                i32::try_from(marks.len()).unwrap_or(i32::MAX)
            )
            .execute(&mut *self.tx)
            .await?;
            // Under an id that nobody will meet if this transaction does not commit.
            self.book.segments.know(id, marks.into());
        }
        Ok(())
    }
}
