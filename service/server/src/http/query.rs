//! Query strings, read strictly.
//!
//! Every list declares its parameters once, as a table of [`Param`]; from it come the reading, the
//! OpenAPI document, the links of the pages and the filter hash of cursors. A name that is not in
//! the table is refused with the nearest that is: a mistyped filter that is ignored would answer
//! for everything. Refuses to know what is filtered.

use super::error::{AppError, Code, FieldError};
use chrono::{DateTime, Datelike as _, NaiveDate, NaiveTime, Utc};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use rolecall_audit::access::simulate::{AskError, LONGEST_ACTION, is_action};
use rolecall_audit::finding::ticket::TicketSystem;
use rolecall_estate::AssociationKey;
use rolecall_iam::{AccountId, Digest, RoleArn};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ArrayBuilder, KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::openapi::{RefOr, Required};

/// The shape of a parameter's value.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// A comma-separated list out of these words.
    Words(&'static [&'static str]),
    /// One of these words.
    Word(&'static [&'static str]),
    /// A comma-separated list of account ids.
    Accounts,
    /// One account id.
    Account,
    /// A comma-separated list of free texts.
    Texts,
    /// One free text.
    Text,
    /// The key of an association.
    Association,
    /// The ARN of an IAM role.
    Role,
    /// An action, as `service:Name`.
    Action,
    /// An RFC 3339 instant, or a day, which stands for its first moment in UTC.
    Instant,
    /// An RFC 3339 instant, or a day, which stands for its last moment in UTC.
    Moment,
    /// `true` or `false`.
    Flag,
    /// A whole number between these bounds.
    Number(u32, u32),
    /// `none`, `any`, or the name of a ticket system.
    Ticket,
    /// A place in a numbered order, from 0.
    Position,
    /// A cursor of an earlier answer.
    Cursor,
}

/// One parameter of a list.
#[derive(Debug, Clone, Copy)]
pub struct Param {
    /// Its name in the query string.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// What it does, in one sentence.
    pub about: &'static str,
    /// Whether it has to be given.
    pub is_required: bool,
}

impl Param {
    /// The same, where a request without it is refused.
    #[must_use]
    pub const fn required(self) -> Self {
        Self { is_required: true, ..self }
    }
}

/// A row of a parameter table.
#[must_use]
pub const fn param(name: &'static str, kind: Kind, about: &'static str) -> Param {
    Param { name, kind, about, is_required: false }
}

/// How many items a page of the API may have.
pub const LIMIT: Param = param("limit", Kind::Number(1, 1000), "Items a page; 100 if not given.");
/// Where to go on.
pub const CURSOR: Param = param("cursor", Kind::Cursor, "`next_cursor` of the page before.");
/// Whether to count.
pub const TOTAL: Param = param("total", Kind::Word(&["count", "none"]), "`none` leaves out the count of all items.");

/// Characters of one value.
const MAX_TEXT: usize = 512;
/// The key of an association.
const ASSOCIATION: &str =
    "^[0-9]{12}/[a-z0-9]{2,8}-[a-z0-9-]{1,20}/[A-Za-z0-9_-]{1,100}/[A-Za-z0-9.-]{1,63}/[A-Za-z0-9.:-]{1,253}$";
/// The ARN of a role. IAM's names and paths have printable ASCII characters only.
const ROLE: &str = "^arn:[a-z0-9-]{1,40}:iam::[0-9]{12}:role/([!-~]*[!-.0-~])$";
/// An action, as [`is_action`] says.
const ACTION: &str = "^[A-Za-z0-9_.-]+:[A-Za-z0-9_.-]+$";
/// Values of one list.
const MAX_ITEMS: usize = 200;
/// The greatest number that a JSON reader of any language keeps exactly.
const MAX_POSITION: i64 = (1 << 53) - 1;
/// What decides neither which rows there are nor their order.
const NOT_FILTERS: [&str; 4] = ["limit", "cursor", "total", "columns"];

/// The parameters of one request, checked against a table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Params {
    /// In the order of the table; only names that were given, each with at least one value.
    given: Vec<(&'static str, Vec<String>)>,
}

impl Params {
    /// Reads the query string of a page. Empty values count as not given, as forms send them so.
    ///
    /// # Errors
    /// `unknown_parameter` or `invalid_parameter`, with every fault in `errors`.
    pub fn parse(query: Option<&str>, table: &[&[Param]]) -> Result<Self, AppError> {
        Self::checked(pairs(query.unwrap_or_default()), table, |_| None)
    }

    /// Reads the query string of a request to the API. An empty value is refused: whoever sends one
    /// wants to filter by something, and an answer about everything would pass for an answer about that.
    ///
    /// # Errors
    /// As [`Params::parse`], and `invalid_parameter` for an empty value.
    pub fn parse_filled(query: Option<&str>, table: &[&[Param]]) -> Result<Self, AppError> {
        Self::from_pairs(pairs(query.unwrap_or_default()), table)
    }

    /// Reads values by name, as somebody gives them who wants to filter by each.
    ///
    /// # Errors
    /// As [`Params::parse_filled`].
    pub fn from_pairs(given: impl IntoIterator<Item = (String, String)>, table: &[&[Param]]) -> Result<Self, AppError> {
        Self::checked(given, table, |name| Some(format!("`{name}` has no value; leave it out to not filter by it")))
    }

    fn checked(
        given: impl IntoIterator<Item = (String, String)>,
        table: &[&[Param]],
        empty: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, AppError> {
        let known = || table.iter().copied().flatten();
        let mut values: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
        let mut unknown = Vec::new();
        let mut wrong = Vec::new();
        for (name, value) in given {
            match known().find(|p| p.name == name) {
                None => unknown.push(FieldError { message: misnamed(&name, known()), parameter: name }),
                Some(p) if p.kind.is_empty(&value) => {
                    if let Some(message) = empty(p.name) {
                        wrong.push(FieldError { parameter: name, message });
                    }
                }
                Some(p) => match p.kind.parse(&value) {
                    Ok(read) => values.entry(p.name).or_default().extend(read),
                    Err(message) => {
                        let message = format!("`{}`: {message}", p.name);
                        wrong.push(FieldError { parameter: name, message });
                    }
                },
            }
        }
        for p in known().filter(|p| !p.kind.is_list()) {
            if values.get(p.name).is_some_and(|v| v.len() > 1) {
                let message = format!("`{}` may be given once only", p.name);
                wrong.push(FieldError { parameter: p.name.to_owned(), message });
            }
        }
        match (unknown.is_empty(), wrong.is_empty()) {
            (false, _) => Err(AppError::of_fields(Code::UnknownParameter, unknown)),
            (true, false) => Err(AppError::of_fields(Code::InvalidParameter, wrong)),
            (true, true) => Ok(Self { given: ordered(values, known()) }),
        }
    }

    /// All values of a list parameter; empty where it was not given.
    #[must_use]
    pub fn list(&self, name: &str) -> &[String] {
        self.given.iter().find(|(n, _)| *n == name).map_or(&[], |(_, values)| values)
    }

    /// Values of a list parameter that are of a type; the table has checked that they all are.
    pub fn parsed<T: std::str::FromStr>(&self, name: &str) -> Vec<T> {
        self.list(name).iter().filter_map(|v| v.parse().ok()).collect()
    }

    /// The value of a single parameter.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.list(name).first().map(String::as_str)
    }

    /// The value of an instant.
    #[must_use]
    pub fn instant(&self, name: &str) -> Option<DateTime<Utc>> {
        instant(self.text(name)?)
    }

    /// The value of a flag.
    #[must_use]
    pub fn flag(&self, name: &str) -> Option<bool> {
        self.text(name)?.parse().ok()
    }

    /// `limit`, or the default.
    #[must_use]
    pub fn limit(&self, default: u32) -> u32 {
        self.text("limit").and_then(|v| v.parse().ok()).unwrap_or(default)
    }

    /// Whether anything is filtered.
    #[must_use]
    pub fn filters(&self) -> bool {
        self.given.iter().any(|(name, _)| !NOT_FILTERS.contains(name) && *name != "sort" && *name != "group")
    }

    /// Hash of everything that decides which rows are in the list; what cursors are bound to.
    #[must_use]
    pub fn filter_hash(&self) -> String {
        let mut text = self.keeping(|name| !NOT_FILTERS.contains(&name)).query();
        text = Digest::sha256(text.as_bytes()).to_string();
        text.truncate(16);
        text
    }

    /// The canonical query string: table order, sorted lists, no `?`.
    #[must_use]
    pub fn query(&self) -> String {
        let pair = |(name, values): &(&str, Vec<String>)| format!("{name}={}", encode(&values.join(",")));
        self.given.iter().map(pair).collect::<Vec<_>>().join("&")
    }

    /// `path?query`, or the path alone.
    #[must_use]
    pub fn link(&self, path: &str) -> String {
        if self.given.is_empty() { path.to_owned() } else { format!("{path}?{}", self.query()) }
    }

    /// The same with a parameter set to one value; any cursor falls away.
    #[must_use]
    pub fn with(&self, name: &'static str, value: &str) -> Self {
        let mut other = self.without(name);
        other.given.push((name, vec![value.to_owned()]));
        other
    }

    /// The same with a list parameter set to these values; any cursor falls away.
    #[must_use]
    pub fn with_list(&self, name: &'static str, values: &[&str]) -> Self {
        let mut other = self.without(name);
        other.given.push((name, values.iter().map(|v| (*v).to_owned()).collect()));
        other
    }

    /// The same with a list that was not given; a cursor stays, as the default was in force for it too.
    #[must_use]
    pub fn defaulting(&self, name: &'static str, values: &[&str]) -> Self {
        let mut other = self.clone();
        other.given.insert(0, (name, values.iter().map(|v| (*v).to_owned()).collect()));
        other
    }

    /// The same without a parameter; any cursor falls away.
    #[must_use]
    pub fn without(&self, name: &str) -> Self {
        self.keeping(|n| n != name && n != "cursor")
    }

    /// The same without one value of a list; any cursor falls away.
    #[must_use]
    pub fn without_value(&self, name: &str, value: &str) -> Self {
        let mut other = self.keeping(|n| n != "cursor");
        for (n, values) in &mut other.given {
            if *n == name {
                values.retain(|v| v != value);
            }
        }
        other.given.retain(|(_, values)| !values.is_empty());
        other
    }

    /// Only the parameters of these names.
    #[must_use]
    pub fn only(&self, names: &[&str]) -> Self {
        self.keeping(|n| names.contains(&n))
    }

    /// Every parameter with its values.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &[String])> {
        self.given.iter().map(|(name, values)| (*name, values.as_slice()))
    }

    fn keeping(&self, keep: impl Fn(&str) -> bool) -> Self {
        Self { given: self.given.iter().filter(|(name, _)| keep(name)).cloned().collect() }
    }
}

fn ordered<'a>(
    mut values: BTreeMap<&'static str, Vec<String>>,
    table: impl Iterator<Item = &'a Param>,
) -> Vec<(&'static str, Vec<String>)> {
    let mut given = Vec::new();
    for p in table {
        if let Some(mut list) = values.remove(p.name) {
            list.sort_unstable();
            list.dedup();
            given.push((p.name, list));
        }
    }
    given
}

/// Of the years that RFC 3339 has; PostgreSQL does not take all that `chrono` reads.
pub(crate) fn instant(value: &str) -> Option<DateTime<Utc>> {
    let day = || Some(value.parse::<NaiveDate>().ok()?.and_time(NaiveTime::MIN).and_utc());
    value.parse().ok().or_else(day).filter(|instant: &DateTime<Utc>| (0..=9999).contains(&instant.year()))
}

/// As [`instant`], but a day stands for its last moment. To the minute is exact enough: `2026-10-03T10:00Z`.
pub(crate) fn moment(value: &str) -> Option<DateTime<Utc>> {
    let end = |day: NaiveDate| day.and_hms_micro_opt(23, 59, 59, 999_999).map(|end| end.and_utc());
    match value.parse::<NaiveDate>() {
        Ok(day) => end(day).filter(|end| (0..=9999).contains(&end.year())),
        Err(_) => instant(value).or_else(|| {
            let to_the_minute = DateTime::parse_from_str(value, "%Y-%m-%dT%H:%M%#z").ok()?;
            Some(to_the_minute.to_utc()).filter(|at| (0..=9999).contains(&at.year()))
        }),
    }
}

/// The known word that somebody may have meant.
fn closest<'a>(given: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let near = known.map(|word| (strsim::jaro_winkler(word, given), word)).max_by(|a, b| a.0.total_cmp(&b.0));
    near.filter(|(score, _)| *score > 0.75).map(|(_, word)| word)
}

fn misnamed<'a>(name: &str, known: impl Iterator<Item = &'a Param>) -> String {
    let mut names: Vec<&str> = known.map(|p| p.name).collect();
    names.sort_unstable();
    let mut message = format!("unknown parameter `{}`", name.chars().take(60).collect::<String>());
    match closest(name, names.iter().copied()) {
        Some(near) => {
            let _ = write!(message, "; did you mean `{near}`?");
        }
        _ if names.is_empty() => message.push_str("; this address takes none"),
        _ => {
            let _ = write!(message, "; known are {}", names.join(", "));
        }
    }
    message
}

impl Kind {
    pub(crate) fn is_list(self) -> bool {
        matches!(self, Self::Words(_) | Self::Accounts | Self::Texts)
    }

    /// What stands for its value in the help of an option.
    pub(crate) fn placeholder(self) -> String {
        match self {
            Self::Words(words) | Self::Word(words) => words.join("|"),
            Self::Accounts | Self::Account => "ACCOUNT".to_owned(),
            Self::Texts | Self::Text | Self::Cursor => "TEXT".to_owned(),
            Self::Association => "KEY".to_owned(),
            Self::Role => "ARN".to_owned(),
            Self::Action => "SERVICE:NAME".to_owned(),
            Self::Ticket => "none|any|SYSTEM".to_owned(),
            Self::Instant | Self::Moment => "TIME".to_owned(),
            Self::Flag => "true|false".to_owned(),
            Self::Number(..) | Self::Position => "NUMBER".to_owned(),
        }
    }

    /// Whether a value says nothing; a list of commas does not either.
    pub(crate) fn is_empty(self, value: &str) -> bool {
        let mut parts = value.split(',').map(str::trim);
        value.is_empty() || (self.is_list() && parts.all(str::is_empty))
    }

    pub(crate) fn parse(self, value: &str) -> Result<Vec<String>, String> {
        if !self.is_list() {
            return self.check(value).map(|()| vec![value.to_owned()]);
        }
        let parts: Vec<&str> = value.split(',').map(str::trim).filter(|part| !part.is_empty()).collect();
        if parts.len() > MAX_ITEMS {
            return Err(format!("{} values; {MAX_ITEMS} are allowed", parts.len()));
        }
        parts.into_iter().map(|part| self.check(part).map(|()| part.to_owned())).collect()
    }

    fn check(self, value: &str) -> Result<(), String> {
        if value.chars().count() > MAX_TEXT && !matches!(self, Self::Cursor) {
            return Err(format!("longer than {MAX_TEXT} characters"));
        }
        match self {
            Self::Words(words) | Self::Word(words) if !words.contains(&value) => {
                let known = format!("`{value}` is not one of {}", words.join(", "));
                Err(match closest(value, words.iter().copied()) {
                    Some(near) => format!("{known}; did you mean `{near}`?"),
                    None => known,
                })
            }
            Self::Accounts | Self::Account => value.parse::<AccountId>().map(drop).map_err(|e| e.to_string()),
            Self::Association => value.parse::<AssociationKey>().map(drop),
            Self::Role if !is_role(value) => {
                Err(format!("`{value}` is not the ARN of an IAM role, such as arn:aws:iam::111122223333:role/name"))
            }
            Self::Action if !is_action(value) => Err(AskError::Action(value.to_owned()).to_string()),
            Self::Ticket if !matches!(value, "none" | "any") => {
                TicketSystem::new(value).map(drop).map_err(|fault| fault.message)
            }
            Self::Instant if instant(value).is_none() => Err(format!(
                "`{value}` is not an instant such as 2026-01-31T08:00:00Z, and not a day such as 2026-01-31"
            )),
            Self::Moment if moment(value).is_none() => {
                Err(format!("`{value}` is not a time such as 2026-01-31T08:00:00Z, and not a day such as 2026-01-31"))
            }
            Self::Flag if !matches!(value, "true" | "false") => Err(format!("`{value}` is not one of true, false")),
            Self::Number(min, max) if !value.parse::<u32>().is_ok_and(|n| (min..=max).contains(&n)) => {
                Err(format!("`{value}` is not a whole number from {min} to {max}"))
            }
            Self::Position if !value.parse::<i64>().is_ok_and(|n| (0..=MAX_POSITION).contains(&n)) => {
                Err(format!("`{value}` is not a whole number from 0 to {MAX_POSITION}"))
            }
            _ => Ok(()),
        }
    }

    fn schema(self) -> Schema {
        let text = || ObjectBuilder::new().schema_type(Type::String);
        let free = || text().min_length(Some(1)).max_length(Some(MAX_TEXT));
        // A comma ends a value, spaces around it count for nothing, and NUL is in no text.
        let item = || free().pattern(Some(r"^[^\x00,\s]([^\x00,]*[^\x00,\s])?$"));
        let of = |item: ObjectBuilder| {
            Schema::Array(ArrayBuilder::new().items(item).min_items(Some(1)).max_items(Some(MAX_ITEMS)).build())
        };
        match self {
            Self::Words(words) => of(text().enum_values(Some(words.iter().copied()))),
            Self::Word(words) => Schema::Object(text().enum_values(Some(words.iter().copied())).build()),
            Self::Accounts => of(text().pattern(Some("^[0-9]{12}$"))),
            Self::Account => Schema::Object(text().pattern(Some("^[0-9]{12}$")).build()),
            Self::Texts => of(item()),
            Self::Text => Schema::Object(free().pattern(Some(r"^[^\x00]+$")).build()),
            Self::Association => Schema::Object(free().pattern(Some(ASSOCIATION)).build()),
            Self::Role => Schema::Object(free().pattern(Some(ROLE)).build()),
            Self::Action => Schema::Object(text().max_length(Some(LONGEST_ACTION)).pattern(Some(ACTION)).build()),
            Self::Ticket => Schema::Object(text().pattern(Some("^[a-z0-9_-]{1,40}$")).build()),
            Self::Cursor => Schema::Object(text().min_length(Some(1)).build()),
            Self::Instant | Self::Moment => {
                Schema::Object(text().format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime))).build())
            }
            Self::Position => Schema::Object(
                ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0)).maximum(Some(MAX_POSITION)).build(),
            ),
            Self::Flag => Schema::Object(ObjectBuilder::new().schema_type(Type::Boolean).build()),
            Self::Number(min, max) => Schema::Object(
                ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(min)).maximum(Some(max)).build(),
            ),
        }
    }
}

/// As [`ROLE`].
fn is_role(value: &str) -> bool {
    let partition = value.split(':').nth(1).unwrap_or_default();
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    value.parse::<RoleArn>().is_ok()
        && value.bytes().all(|b| b.is_ascii_graphic())
        && partition.len() <= 40
        && partition.bytes().all(plain)
}

/// The OpenAPI form of a table.
#[must_use]
pub fn openapi(table: &[&[Param]]) -> Vec<Parameter> {
    let one = |p: &Param| {
        ParameterBuilder::new()
            .name(p.name)
            .parameter_in(ParameterIn::Query)
            .required(if p.is_required { Required::True } else { Required::False })
            .description(Some(p.about))
            .explode(p.kind.is_list().then_some(false))
            .schema(Some(RefOr::T(p.kind.schema())))
            .build()
    };
    table.iter().copied().flatten().map(one).collect()
}

/// Declares the query of a page: its table.
macro_rules! query {
    ($(#[$doc:meta])* $name:ident = $($table:expr),+ $(,)?) => {
        $(#[$doc])*
        pub(crate) struct $name;

        impl $name {
            /// Reads a query string against the table.
            pub(crate) fn parse(query: Option<&str>) -> Result<crate::http::query::Params, crate::http::error::AppError> {
                crate::http::query::Params::parse(query, &[$($table),+])
            }
        }
    };
}
pub(crate) use query;

/// Declares the query of an operation of the API: its table, and the OpenAPI parameters that come of it.
macro_rules! api_query {
    ($(#[$doc:meta])* $name:ident = $($table:expr),+ $(,)?) => {
        $(#[$doc])*
        pub(crate) struct $name;

        impl $name {
            /// Reads a query string against the table.
            pub(crate) fn parse(query: Option<&str>) -> Result<crate::http::query::Params, crate::http::error::AppError> {
                crate::http::query::Params::parse_filled(query, &[$($table),+])
            }
        }

        impl utoipa::IntoParams for $name {
            fn into_params(
                _: impl Fn() -> Option<utoipa::openapi::path::ParameterIn>,
            ) -> Vec<utoipa::openapi::path::Parameter> {
                crate::http::query::openapi(&[$($table),+])
            }
        }
    };
}
pub(crate) use api_query;

/// What a value in a query must not hold bare. Commas, colons and slashes stay readable: RFC 3986
/// allows them there.
const BARE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b',')
    .remove(b':')
    .remove(b'/')
    .remove(b'*')
    .remove(b'@');

/// A text as the value of a query parameter, or as one segment of a path with its slashes kept.
#[must_use]
pub fn encode(text: &str) -> String {
    utf8_percent_encode(text, BARE).to_string()
}

/// The names and values of a query string or of a form's body, whose encoding `border` has checked.
pub fn pairs(query: &str) -> impl Iterator<Item = (String, String)> {
    let text = |part: &str| percent_decode_str(&part.replace('+', " ")).decode_utf8_lossy().into_owned();
    query.split('&').filter(|pair| !pair.is_empty()).map(move |pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (text(name), text(value))
    })
}

/// Whether an address is one of ours: a path, and not `//host` or `/\host`.
pub(crate) fn is_local(next: &str) -> bool {
    next.starts_with('/') && !next.starts_with("//") && !next.contains(['\\', '\r', '\n', '\t'])
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[Param] = &[
        param("state", Kind::Words(&["open", "resolved"]), ""),
        param("account_id", Kind::Accounts, ""),
        param("cluster", Kind::Texts, ""),
        param("q", Kind::Text, ""),
        param("updated_since", Kind::Instant, ""),
        param("role", Kind::Role, ""),
        param("action", Kind::Action, ""),
        LIMIT,
        CURSOR,
    ];

    fn parse(query: &str) -> Result<Params, AppError> {
        Params::parse(Some(query), &[TABLE])
    }

    #[test]
    fn a_mistyped_name_is_refused_with_the_nearest() {
        let error = parse("stat=open&acount_id=111122223333").unwrap_err();
        assert_eq!(error.code, Code::UnknownParameter);
        let names: Vec<_> = error.errors.iter().map(|e| e.parameter.as_str()).collect();
        assert_eq!(names, ["stat", "acount_id"]);
        assert_eq!(error.errors[0].message, "unknown parameter `stat`; did you mean `state`?");
        assert_eq!(error.errors[1].message, "unknown parameter `acount_id`; did you mean `account_id`?");
        assert!(parse("zzz=1").unwrap_err().detail.contains("known are account_id, action, cluster"));
    }

    #[test]
    fn a_wrong_value_names_the_parameter_and_what_is_allowed() {
        for (query, said) in [
            ("state=opne", "`state`: `opne` is not one of open, resolved"),
            ("account_id=12", "`account_id`"),
            ("updated_since=yesterday", "is not an instant such as"),
            ("updated_since=-9999-01-01T00:00:00Z", "is not an instant such as"),
            ("limit=0", "`limit`: `0` is not a whole number from 1 to 1000"),
            ("limit=1001", "whole number"),
            ("q=a&q=b", "`q` may be given once only"),
            ("role=arn:aws:iam::111122223333:user/api", "`role`: `arn:aws:iam::111122223333:user/api` is not the ARN"),
            ("role=arn:aws:iam::111122223333:role/team/", "is not the ARN of an IAM role"),
            ("role=arn:aws:iam::111122223333:role/a%20b", "is not the ARN of an IAM role"),
            ("action=s3", "`action`: `s3` is no action: give service:Name"),
            ("action=s3:Get*", "`s3:Get*` is no action"),
            ("action=s3:Get%20Object", "is no action"),
            ("action=:GetObject", "is no action"),
        ] {
            let error = parse(query).unwrap_err();
            assert_eq!(error.code, Code::InvalidParameter, "{query}");
            assert!(error.detail.contains(said), "{query}: {}", error.detail);
        }
    }

    #[test]
    fn lists_merge_and_the_query_is_canonical() {
        let params = parse("cluster=b&state=resolved,open&cluster=a,b&q=").unwrap();
        assert_eq!(params.query(), "state=open,resolved&cluster=a,b");
        assert_eq!(
            params.filter_hash(),
            parse("state=open,resolved&cluster=a,b&limit=5&cursor=x").unwrap().filter_hash()
        );
        assert_ne!(params.filter_hash(), parse("state=open&cluster=a,b").unwrap().filter_hash());
        assert_eq!(params.without_value("state", "open").link("/f"), "/f?state=resolved&cluster=a,b");
        assert_eq!(params.without("state").without("cluster").link("/f"), "/f");
        assert_eq!(params.with("q", "a b&c").query(), "state=open,resolved&cluster=a,b&q=a%20b%26c");
    }

    #[test]
    fn an_empty_value_is_a_form_s_and_not_a_script_s() {
        for query in ["q=", "state=", "cluster=,", "updated_since=", "limit="] {
            assert!(!parse(query).unwrap().filters(), "{query}");
            let error = Params::parse_filled(Some(query), &[TABLE]).unwrap_err();
            assert_eq!(error.code, Code::InvalidParameter, "{query}");
            assert_eq!(error.errors[0].parameter, query.split('=').next().unwrap());
            assert!(error.detail.contains("has no value"), "{}", error.detail);
        }
        let given = Params::parse_filled(Some("state=open&cluster=a"), &[TABLE]).unwrap();
        assert_eq!(given.query(), "state=open&cluster=a");
    }

    #[test]
    fn a_sign_in_leads_to_no_other_site() {
        for (next, local) in [
            ("/", true),
            ("/findings?severity=high", true),
            ("//evil.example", false),
            ("/\\evil.example", false),
            ("https://evil.example", false),
            ("/\t/evil.example", false),
            ("", false),
        ] {
            assert_eq!(is_local(next), local, "{next}");
        }
    }
}
