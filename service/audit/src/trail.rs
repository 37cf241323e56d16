//! CloudTrail records into sessions.
//!
//! Knows every wrapping in which records come: a trail file (`{"Records": […]}`), a bare array,
//! JSON lines, one record, the answer of `LookupEvents`, each gzipped or not; and which records are
//! sessions: STS `AssumeRole`, `AssumeRoleWithWebIdentity`, `AssumeRoleWithSAML` and eks-auth
//! `AssumeRoleForPodIdentity`, granted or refused. Reads in one pass and borrows from the bytes, so
//! that a file costs little more than its decompressed size.
//!
//! A record that cannot be read is counted and named; the others are kept. Session tokens are never
//! copied out of the bytes. Refuses to know where the bytes came from.

use crate::estate::{Session, SessionKind, Tags};
use crate::id::Region;
use chrono::{DateTime, Utc};
use rolecall_iam::AccountId;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;
use std::io::Read as _;

/// How many bytes a gzipped file may grow to, unless the caller says otherwise.
pub const MAX_DECOMPRESSED: u64 = 512 * 1024 * 1024;

/// How many problems of one file are named; the others are only counted.
const MAX_NAMED: usize = 100;

const PODS: &str = "pods.eks.amazonaws.com";

/// Something in a file that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}{}{}: {message}; {remedy}", Prefixed(":", *.line), if .field.is_empty() { String::new() } else { format!(": {}", .field) })]
pub struct ReadProblem {
    /// The file, as the caller names it; empty for a single event.
    pub file: String,
    /// The line, where the text itself is broken.
    pub line: Option<usize>,
    /// The record's place in its file, from 0.
    pub record: Option<usize>,
    /// JSON pointer of the offending field; empty for the whole file or line.
    pub field: String,
    /// What is wrong, in lower case, without a full stop.
    pub message: String,
    /// What would make it right.
    pub remedy: String,
}

struct Prefixed(&'static str, Option<usize>);

impl fmt::Display for Prefixed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.1.map_or(Ok(()), |n| write!(f, "{}{n}", self.0))
    }
}

/// What a file held.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrailRead {
    /// Sessions and refused requests for one, in the file's order.
    pub sessions: Vec<Session>,
    /// Records read, sessions or not; malformed ones are not among them.
    pub events: usize,
    /// Records that could not be read.
    pub malformed: usize,
    /// What could not be read, by name: the first hundred.
    pub problems: Vec<ReadProblem>,
}

/// Reads a CloudTrail file, gzipped or plain, with the default limit on its decompressed size.
#[must_use]
pub fn read_file(path: &str, bytes: &[u8]) -> TrailRead {
    read_bounded(path, bytes, MAX_DECOMPRESSED)
}

/// Reads a CloudTrail file that may grow to `max_decompressed` bytes.
#[must_use]
pub fn read_bounded(path: &str, bytes: &[u8], max_decompressed: u64) -> TrailRead {
    let mut reader = Reader { file: path, read: TrailRead::default(), pointer: "" };
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        reader.text(bytes);
        return reader.read;
    }
    let mut plain = Vec::new();
    let unzipped =
        flate2::read::MultiGzDecoder::new(bytes).take(max_decompressed.saturating_add(1)).read_to_end(&mut plain);
    if u64::try_from(plain.len()).is_ok_and(|length| length > max_decompressed) {
        reader.problem(
            None,
            format!("the file decompresses to more than {max_decompressed} bytes"),
            "split the file, or raise the limit".to_owned(),
        );
        return reader.read;
    }
    if let Err(error) = unzipped {
        // What was decompressed before the fault is still read; its torn end says nothing new.
        reader.text(&plain);
        reader.read.problems.retain(|problem| problem.line.is_none());
        reader.problem(None, format!("the gzip stream is broken: {error}"), "fetch the file again".to_owned());
    } else {
        reader.text(&plain);
    }
    reader.read
}

/// Reads one record, such as the `CloudTrailEvent` of a `LookupEvents` answer. `None`: a record,
/// but not a session.
///
/// # Errors
/// The text is not JSON, or a field that a session needs is missing or malformed.
pub fn read_event(json: &str) -> Result<Option<Session>, Box<ReadProblem>> {
    let mut de = serde_json::Deserializer::from_str(json);
    let record = de.deserialize_any(RecordVisitor).and_then(|record| de.end().map(|()| record));
    record
        .map_err(|error| Fault::new("", format!("not JSON: {error}"), "one CloudTrail record is needed"))
        .and_then(|record| record.session())
        .map_err(|fault| Box::new(fault.named("", None)))
}

/// A fault in one record.
struct Fault {
    field: String,
    message: String,
    remedy: String,
}

impl Fault {
    fn new(field: &str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { field: field.to_owned(), message: message.into(), remedy: remedy.into() }
    }

    fn named(self, file: &str, record: Option<(&str, usize)>) -> ReadProblem {
        let field = match record {
            Some((pointer, n)) => format!("{pointer}/{n}{}", self.field),
            None => self.field,
        };
        ReadProblem {
            file: file.to_owned(),
            line: None,
            record: record.map(|(_, n)| n),
            field,
            message: self.message,
            remedy: self.remedy,
        }
    }
}

struct Reader<'f> {
    file: &'f str,
    read: TrailRead,
    /// Where the records lie: `/Records`, `/Events`, or empty.
    pointer: &'static str,
}

impl Reader<'_> {
    fn problem(&mut self, line: Option<usize>, message: String, remedy: String) {
        let problem =
            ReadProblem { file: self.file.to_owned(), line, record: None, field: String::new(), message, remedy };
        self.name(problem);
    }

    fn name(&mut self, problem: ReadProblem) {
        if self.read.problems.len() < MAX_NAMED {
            self.read.problems.push(problem);
        }
    }

    fn text(&mut self, bytes: &[u8]) {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let mut lines = bytes.split(|b| *b == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
        // No valid JSON text has two lines in a row that open an object, but for JSON lines.
        let opens = |line: Option<&[u8]>| line.is_some_and(|line| line.starts_with(b"{"));
        if opens(lines.next()) && opens(lines.next()) {
            for (n, line) in bytes.split(|b| *b == b'\n').enumerate() {
                let line = line.trim_ascii();
                if !line.is_empty() {
                    self.value(line, n);
                }
            }
        } else {
            self.value(bytes, 0);
        }
    }

    /// Reads one JSON text that begins after `lines_before` lines.
    fn value(&mut self, bytes: &[u8], lines_before: usize) {
        let mut de = serde_json::Deserializer::from_slice(bytes);
        let result = Top(self).deserialize(&mut de).and_then(|()| de.end());
        if let Err(error) = result {
            self.read.malformed += 1;
            self.problem(
                Some(lines_before + error.line().max(1)),
                format!("not JSON from column {} on: {error}", error.column()),
                "CloudTrail records are needed: `{\"Records\": […]}`, an array, one record a line, or the output of LookupEvents".to_owned(),
            );
        }
    }

    fn record(&mut self, record: &Record<'_>, place: Option<usize>) {
        match record.session() {
            Ok(session) => {
                self.read.events += 1;
                self.read.sessions.extend(session);
            }
            Err(fault) => {
                self.read.malformed += 1;
                let problem = fault.named(self.file, place.map(|n| (self.pointer, n)));
                self.name(problem);
            }
        }
    }
}

/// The outermost value: an array of records, a wrapper, or one record.
struct Top<'r, 'f>(&'r mut Reader<'f>);

impl<'de> DeserializeSeed<'de> for Top<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Top<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CloudTrail records")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<(), A::Error> {
        self.0.pointer = "";
        Records(self.0).visit_seq(seq)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut wrapped = false;
        let mut record = Record::default();
        while let Some(Key(key)) = map.next_key()? {
            match &*key {
                "Records" | "Events" => {
                    wrapped = true;
                    self.0.pointer = if key == "Records" { "/Records" } else { "/Events" };
                    map.next_value_seed(Records(&mut *self.0))?;
                }
                other => record.take(other, &mut map)?,
            }
        }
        if !wrapped {
            self.0.record(&record, None);
        }
        Ok(())
    }
}

/// An array of records. One of them that is malformed does not end the reading.
struct Records<'r, 'f>(&'r mut Reader<'f>);

impl<'de> DeserializeSeed<'de> for Records<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Records<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of CloudTrail records")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let mut place = 0;
        while let Some(record) = seq.next_element_seed(RecordVisitor)? {
            self.0.record(&record, Some(place));
            place += 1;
        }
        Ok(())
    }
}

/// A JSON value of which only one shape is of use. Any other shape is skipped and remembered, so
/// that a field of an unexpected type spoils its record and not the file.
#[derive(Debug, Default)]
enum Field<T> {
    #[default]
    Absent,
    Is(T),
    Other,
}

impl<T> Field<T> {
    fn get(&self) -> Option<&T> {
        match self {
            Self::Is(value) => Some(value),
            Self::Absent | Self::Other => None,
        }
    }
}

struct Key<'a>(Cow<'a, str>);

impl<'de> serde::Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = Key<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a field's name")
            }
            fn visit_borrowed_str<E>(self, v: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(v)))
            }
            fn visit_str<E>(self, v: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(v.to_owned())))
            }
        }
        deserializer.deserialize_str(KeyVisitor)
    }
}

/// A value that is one of the shapes that records use; everything else is `Other`.
enum Leaf<'a> {
    Null,
    Text(Cow<'a, str>),
    Number(u64),
    Other,
}

macro_rules! visit_others {
    ($other:expr; $($method:ident: $of:ty),*) => {
        $(fn $method<E>(self, _: $of) -> Result<Self::Value, E> { Ok($other) })*
    };
}

impl<'de> serde::Deserialize<'de> for Leaf<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct LeafVisitor;
        impl<'de> Visitor<'de> for LeafVisitor {
            type Value = Leaf<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }
            fn visit_borrowed_str<E>(self, v: &'de str) -> Result<Leaf<'de>, E> {
                Ok(Leaf::Text(Cow::Borrowed(v)))
            }
            fn visit_str<E>(self, v: &str) -> Result<Leaf<'de>, E> {
                Ok(Leaf::Text(Cow::Owned(v.to_owned())))
            }
            fn visit_u64<E>(self, v: u64) -> Result<Leaf<'de>, E> {
                Ok(Leaf::Number(v))
            }
            fn visit_unit<E>(self) -> Result<Leaf<'de>, E> {
                Ok(Leaf::Null)
            }
            visit_others!(Leaf::Other; visit_bool: bool, visit_i64: i64, visit_f64: f64);
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Leaf<'de>, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Leaf::Other)
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Leaf<'de>, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Leaf::Other)
            }
        }
        deserializer.deserialize_any(LeafVisitor)
    }
}

type Text<'a> = Field<Cow<'a, str>>;

fn text<'de, A: MapAccess<'de>>(map: &mut A) -> Result<Text<'de>, A::Error> {
    Ok(match map.next_value()? {
        Leaf::Null => Field::Absent,
        Leaf::Text(text) => Field::Is(text),
        Leaf::Number(_) | Leaf::Other => Field::Other,
    })
}

fn number<'de, A: MapAccess<'de>>(map: &mut A) -> Result<Field<u64>, A::Error> {
    Ok(match map.next_value()? {
        Leaf::Null => Field::Absent,
        Leaf::Number(number) => Field::Is(number),
        // Older records write numbers as text.
        Leaf::Text(text) => text.parse().map_or(Field::Other, Field::Is),
        Leaf::Other => Field::Other,
    })
}

/// An object of which some fields are taken; any other shape is `Other`.
trait Object<'de>: Default {
    fn take<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error>;
}

struct ObjectSeed<T>(std::marker::PhantomData<T>);

impl<'de, T: Object<'de>> DeserializeSeed<'de> for ObjectSeed<T> {
    type Value = Field<T>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Field<T>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: Object<'de>> Visitor<'de> for ObjectSeed<T> {
    type Value = Field<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }
    fn visit_unit<E>(self) -> Result<Field<T>, E> {
        Ok(Field::Absent)
    }
    visit_others!(Field::Other; visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str);
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Field<T>, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Field::Other)
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Field<T>, A::Error> {
        let mut object = T::default();
        while let Some(Key(key)) = map.next_key()? {
            object.take(&key, &mut map)?;
        }
        Ok(Field::Is(object))
    }
}

fn object<'de, T: Object<'de>, A: MapAccess<'de>>(map: &mut A) -> Result<Field<T>, A::Error> {
    map.next_value_seed(ObjectSeed(std::marker::PhantomData))
}

fn skip<'de, A: MapAccess<'de>>(map: &mut A) -> Result<(), A::Error> {
    map.next_value::<IgnoredAny>().map(|_| ())
}

macro_rules! object {
    ($name:ident { $($key:literal => $field:ident: $type:ty = $read:ident),* $(,)? }) => {
        #[derive(Default)]
        struct $name<'a> { $($field: $type),* }

        impl<'a> Object<'a> for $name<'a> {
            fn take<A: MapAccess<'a>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
                match key {
                    $($key => self.$field = $read(map)?,)*
                    _ => skip(map)?,
                }
                Ok(())
            }
        }
    };
}

object!(Identity {
    "type" => kind: Text<'a> = text,
    "arn" => arn: Text<'a> = text,
    "principalId" => principal_id: Text<'a> = text,
    "accountId" => account_id: Text<'a> = text,
    "accessKeyId" => access_key_id: Text<'a> = text,
    "userName" => user_name: Text<'a> = text,
    "invokedBy" => invoked_by: Text<'a> = text,
});

object!(Request {
    "roleArn" => role_arn: Text<'a> = text,
    "roleSessionName" => session_name: Text<'a> = text,
    "externalId" => external_id: Text<'a> = text,
    "durationSeconds" => duration: Field<u64> = number,
    "clusterName" => cluster: Text<'a> = text,
    "tags" => tags: TagList<'a> = tags,
    "principalTags" => principal_tags: TagList<'a> = tags,
    "incomingTransitiveTags" => incoming: TagList<'a> = tags,
});

object!(Response {
    "credentials" => credentials: Field<Credentials<'a>> = object,
    "assumedRoleUser" => user: Field<AssumedUser<'a>> = object,
    "packedPolicySize" => packed: Field<u64> = number,
});

object!(Credentials { "accessKeyId" => access_key_id: Text<'a> = text });

object!(AssumedUser { "arn" => arn: Text<'a> = text });

object!(Resource {
    "type" => kind: Text<'a> = text,
    "ARN" => arn: Text<'a> = text,
    "accountId" => account_id: Text<'a> = text,
});

object!(Tag {
    "key" => key: Text<'a> = text,
    "value" => value: Text<'a> = text,
});

/// Session tags, which CloudTrail writes as a list of pairs or as a map.
#[derive(Default)]
struct TagList<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

fn tags<'de, A: MapAccess<'de>>(map: &mut A) -> Result<TagList<'de>, A::Error> {
    struct TagVisitor;
    impl<'de> DeserializeSeed<'de> for TagVisitor {
        type Value = TagList<'de>;
        fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<TagList<'de>, D::Error> {
            deserializer.deserialize_any(self)
        }
    }
    impl<'de> Visitor<'de> for TagVisitor {
        type Value = TagList<'de>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("any value")
        }
        fn visit_unit<E>(self) -> Result<TagList<'de>, E> {
            Ok(TagList::default())
        }
        visit_others!(TagList::default(); visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str);
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<TagList<'de>, A::Error> {
            let mut list = Vec::new();
            while let Some(Key(key)) = map.next_key()? {
                if let Field::Is(value) = text(&mut map)? {
                    list.push((key, value));
                }
            }
            Ok(TagList(list))
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<TagList<'de>, A::Error> {
            let mut list = Vec::new();
            while let Some(tag) = seq.next_element_seed(ObjectSeed::<Tag<'de>>(std::marker::PhantomData))? {
                if let Field::Is(Tag { key: Field::Is(key), value }) = tag {
                    list.push((key, if let Field::Is(value) = value { value } else { Cow::Borrowed("") }));
                }
            }
            Ok(TagList(list))
        }
    }
    map.next_value_seed(TagVisitor)
}

#[derive(Default)]
struct Resources<'a>(Vec<Resource<'a>>);

fn resources<'de, A: MapAccess<'de>>(map: &mut A) -> Result<Resources<'de>, A::Error> {
    struct ResourceVisitor;
    impl<'de> DeserializeSeed<'de> for ResourceVisitor {
        type Value = Resources<'de>;
        fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Resources<'de>, D::Error> {
            deserializer.deserialize_any(self)
        }
    }
    impl<'de> Visitor<'de> for ResourceVisitor {
        type Value = Resources<'de>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("any value")
        }
        fn visit_unit<E>(self) -> Result<Resources<'de>, E> {
            Ok(Resources::default())
        }
        visit_others!(Resources::default(); visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str);
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Resources<'de>, A::Error> {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            Ok(Resources::default())
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Resources<'de>, A::Error> {
            let mut list = Vec::new();
            while let Some(resource) = seq.next_element_seed(ObjectSeed::<Resource<'de>>(std::marker::PhantomData))? {
                if let Field::Is(resource) = resource {
                    list.push(resource);
                }
            }
            Ok(Resources(list))
        }
    }
    map.next_value_seed(ResourceVisitor)
}

object!(Body {
    "eventID" => event_id: Text<'a> = text,
    "eventName" => event_name: Text<'a> = text,
    "eventSource" => event_source: Text<'a> = text,
    "eventTime" => event_time: Text<'a> = text,
    "eventCategory" => category: Text<'a> = text,
    "awsRegion" => region: Text<'a> = text,
    "recipientAccountId" => recipient: Text<'a> = text,
    "sourceIPAddress" => source_ip: Text<'a> = text,
    "errorCode" => error_code: Text<'a> = text,
    "errorMessage" => error_message: Text<'a> = text,
    "userIdentity" => identity: Field<Identity<'a>> = object,
    "requestParameters" => request: Field<Request<'a>> = object,
    "responseElements" => response: Field<Response<'a>> = object,
    "resources" => resources: Resources<'a> = resources,
});

/// An element where a record is expected.
enum Record<'a> {
    Body(Box<Body<'a>>),
    /// A row of `LookupEvents`: the record is in it as text.
    Lookup(Text<'a>),
    NotAnObject,
}

impl Default for Record<'_> {
    fn default() -> Self {
        Self::Body(Box::default())
    }
}

impl<'a> Record<'a> {
    fn take<A: MapAccess<'a>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        if key == "CloudTrailEvent" {
            *self = Self::Lookup(text(map)?);
            return Ok(());
        }
        match self {
            Self::Body(body) => body.take(key, map),
            Self::Lookup(_) | Self::NotAnObject => skip(map),
        }
    }
}

struct RecordVisitor;

impl<'de> DeserializeSeed<'de> for RecordVisitor {
    type Value = Record<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Record<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for RecordVisitor {
    type Value = Record<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a CloudTrail record")
    }
    fn visit_unit<E>(self) -> Result<Record<'de>, E> {
        Ok(Record::NotAnObject)
    }
    visit_others!(Record::NotAnObject; visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str);
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Record<'de>, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Record::NotAnObject)
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Record<'de>, A::Error> {
        let mut record = Record::default();
        while let Some(Key(key)) = map.next_key()? {
            record.take(&key, &mut map)?;
        }
        Ok(record)
    }
}

fn owned(text: &Text<'_>) -> Option<String> {
    text.get().map(|text| text.clone().into_owned())
}

impl Record<'_> {
    fn session(&self) -> Result<Option<Session>, Fault> {
        match self {
            Self::NotAnObject => Err(Fault::new("", "a record must be an object", "remove it")),
            Self::Body(body) => body.session(),
            Self::Lookup(Field::Is(json)) => read_event(json).map_err(|problem| {
                Fault::new(&format!("/CloudTrailEvent{}", problem.field), problem.message, problem.remedy)
            }),
            Self::Lookup(_) => Err(Fault::new(
                "/CloudTrailEvent",
                "a record as JSON text is needed",
                "keep the row as LookupEvents gave it",
            )),
        }
    }
}

impl Body<'_> {
    fn session(&self) -> Result<Option<Session>, Fault> {
        let Some(name) = self.event_name.get() else {
            // Insight records and their like have no event name of their own.
            return match self.category.get().map(|category| &**category) {
                Some(category) if !matches!(category, "Management" | "Data") => Ok(None),
                _ => Err(Fault::new("/eventName", "not a CloudTrail record: no event name", "remove it")),
            };
        };
        let source = self.event_source.get().map(|source| &**source);
        let kind = match (source, &**name) {
            (Some("sts.amazonaws.com"), "AssumeRole") => self.assume_role_kind(),
            (Some("sts.amazonaws.com"), "AssumeRoleWithWebIdentity") => SessionKind::WebIdentity,
            (Some("sts.amazonaws.com"), "AssumeRoleWithSAML") => SessionKind::Saml,
            (Some("eks-auth.amazonaws.com"), "AssumeRoleForPodIdentity") => SessionKind::AgentRequest,
            (None, "AssumeRole" | "AssumeRoleWithWebIdentity" | "AssumeRoleWithSAML" | "AssumeRoleForPodIdentity") => {
                return Err(missing("/eventSource", "the service's name"));
            }
            _ => return Ok(None),
        };
        let event_id = owned(&self.event_id).ok_or_else(|| missing("/eventID", "the event's id"))?;
        let at = self.event_time.get().ok_or_else(|| missing("/eventTime", "a time"))?;
        let at = DateTime::parse_from_rfc3339(at)
            .map_err(|error| {
                Fault::new(
                    "/eventTime",
                    format!("`{at}` is not a time: {error}"),
                    "a time such as 2026-01-31T09:00:00Z is needed",
                )
            })?
            .with_timezone(&Utc);
        let region = self.region.get().ok_or_else(|| missing("/awsRegion", "the region"))?;
        let region: Region = region.parse().map_err(|error: crate::id::IdError| {
            Fault::new("/awsRegion", error.to_string(), "keep the region as CloudTrail wrote it")
        })?;
        let identity = self.identity.get();
        let request = self.request.get();
        let response = self.response.get();
        let tags = request.map(Request::all_tags).unwrap_or_default();
        Ok(Some(Session {
            event_id,
            account_id: self.account()?,
            region,
            at,
            kind,
            role_arn: self.role_arn(),
            session_name: request.and_then(|request| owned(&request.session_name)).or_else(|| self.granted_name()),
            access_key_id: response
                .and_then(|response| response.credentials.get())
                .and_then(|credentials| owned(&credentials.access_key_id)),
            principal: identity.map(Identity::principal).unwrap_or_default(),
            principal_type: identity.and_then(|identity| owned(&identity.kind)).unwrap_or_default(),
            parent_access_key_id: identity.and_then(|identity| owned(&identity.access_key_id)),
            source_ip: owned(&self.source_ip),
            cluster: request.and_then(|request| owned(&request.cluster)).or_else(|| cluster_of(&tags)),
            tags,
            external_id: request.and_then(|request| owned(&request.external_id)),
            duration_seconds: request
                .and_then(|request| request.duration.get())
                .and_then(|seconds| u32::try_from(*seconds).ok()),
            packed_policy_size: response
                .and_then(|response| response.packed.get())
                .and_then(|percent| u8::try_from(*percent).ok()),
            error: owned(&self.error_code),
        }))
    }

    /// How an STS `AssumeRole` came about.
    ///
    /// What EKS's hop to a target role looks like is not documented, so it is known by any of its
    /// unforgeable marks (the service called for the role, from the service's own address), or by
    /// content: inherited Pod Identity tags together with the external id that EKS makes for them.
    /// Inherited tags alone are not enough, as every further hop of the application has them too.
    fn assume_role_kind(&self) -> SessionKind {
        let identity = self.identity.get();
        let is_pods = |text: Option<&Cow<'_, str>>| text.is_some_and(|text| **text == *PODS);
        let by_pods = is_pods(identity.and_then(|identity| identity.invoked_by.get())) || is_pods(self.source_ip.get());
        let by_service = identity.and_then(|identity| identity.kind.get()).is_some_and(|kind| &**kind == "AWSService");
        match (by_service, by_pods) {
            (true, true) => SessionKind::PodIdentity,
            (true, false) => SessionKind::Service,
            (false, true) => SessionKind::PodIdentityTarget,
            (false, false) if self.request.get().is_some_and(Request::is_target_hop) => SessionKind::PodIdentityTarget,
            (false, false) => SessionKind::AssumeRole,
        }
    }

    fn account(&self) -> Result<AccountId, Fault> {
        if matches!(self.recipient, Field::Other) {
            return Err(missing("/recipientAccountId", "an account id as text"));
        }
        let (field, text) =
            match (self.recipient.get(), self.identity.get().and_then(|identity| identity.account_id.get())) {
                (Some(text), _) => ("/recipientAccountId", text),
                // Records before version 1.02 name no recipient: they stand in the caller's own trail.
                (None, Some(text)) => ("/userIdentity/accountId", text),
                (None, None) => return Err(missing("/recipientAccountId", "the account's id")),
            };
        text.parse().map_err(|error: rolecall_iam::ArnError| {
            Fault::new(field, error.to_string(), "keep the account id as CloudTrail wrote it")
        })
    }

    /// The role asked for. A denied request often has no parameters: then AWS's message names it.
    fn role_arn(&self) -> Option<String> {
        let is_role = |arn: &&str| arn.contains(":role/");
        let asked = self.request.get().and_then(|request| request.role_arn.get()).map(|arn| &**arn);
        let resource = || {
            self.resources
                .0
                .iter()
                .filter(|resource| resource.kind.get().is_none_or(|kind| &**kind == "AWS::IAM::Role"))
                .filter_map(|resource| resource.arn.get().map(|arn| &**arn))
                .find(is_role)
        };
        let told = || {
            let message = self.error_message.get()?;
            let (_, after) = message.split_once(" on resource: ")?;
            after.split_whitespace().next().filter(is_role)
        };
        asked.or_else(resource).or_else(told).map(str::to_owned)
    }

    fn granted_name(&self) -> Option<String> {
        let arn = self.response.get()?.user.get()?.arn.get()?;
        arn.rsplit_once('/').map(|(_, name)| name.to_owned())
    }
}

fn missing(field: &str, what: &str) -> Fault {
    Fault::new(field, "missing, or not a text", format!("{what} is needed"))
}

impl Identity<'_> {
    fn principal(&self) -> String {
        let kind = self.kind.get().map(|kind| &**kind);
        let first = match kind {
            Some("AWSService") => &self.invoked_by,
            Some("WebIdentityUser" | "SAMLUser") => &self.user_name,
            _ => &self.arn,
        };
        [first, &self.arn, &self.principal_id, &self.invoked_by, &self.account_id]
            .into_iter()
            .find_map(owned)
            .unwrap_or_default()
    }
}

impl Request<'_> {
    /// The session's tags: its own, the identity provider's, and those inherited from its caller.
    fn all_tags(&self) -> Tags {
        let mut tags = Tags::new();
        for (key, value) in self.tags.0.iter().chain(&self.principal_tags.0).chain(&self.incoming.0) {
            tags.entry(key.clone().into_owned()).or_insert_with(|| value.clone().into_owned());
        }
        tags
    }

    /// Whether the external id is the one that EKS makes for the inherited tags:
    /// `region/account/cluster/namespace/service-account`.
    fn is_target_hop(&self) -> bool {
        let tag = |name: &str| self.incoming.0.iter().find(|(key, _)| key == name).map(|(_, value)| &**value);
        let (Some(cluster_arn), Some(namespace), Some(service_account), Some(external_id)) = (
            tag("eks-cluster-arn"),
            tag("kubernetes-namespace"),
            tag("kubernetes-service-account"),
            self.external_id.get(),
        ) else {
            return false;
        };
        let Ok(arn) = cluster_arn.parse::<rolecall_iam::Arn>() else { return false };
        let cluster = arn.resource().strip_prefix("cluster/").unwrap_or_default();
        **external_id == format!("{}/{}/{cluster}/{namespace}/{service_account}", arn.region(), arn.account())
    }
}

fn cluster_of(tags: &Tags) -> Option<String> {
    let by_arn =
        || tags.get("eks-cluster-arn").and_then(|arn| arn.rsplit_once("cluster/")).map(|(_, name)| name.to_owned());
    tags.get("eks-cluster-name").cloned().or_else(by_arn)
}

#[cfg(test)]
mod tests;
