//! One CloudTrail record: the fields that are used, borrowed, and what they say of a session.
//!
//! Knows which records are sessions and how each came about; who made a call, with which key, from
//! where. Parameters and answers of calls are read for those few events that need them and skipped
//! for all others. Session tokens are never copied out of the bytes. Refuses to know which wrapping
//! a record came in.

use super::change::{self, Call, Evidence, Parameters, Program, Read, call_of, class_of, is_watched};
use super::denial::is_denial;
use super::json::{
    Boxed, Field, Key, List, Object, ObjectSeed, Slot, Text, boxed, fields, list, number, object, skip, text,
    visit_others,
};
use super::shape::fold;
use crate::problem::{Fault, ProblemKind};
use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use rolecall_estate::id::Region;
use rolecall_estate::{Actor, ChangeEvent, Session, SessionKind, Tags, VpcEndpoint};
use rolecall_iam::AccountId;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

pub(crate) const PODS: &str = "pods.eks.amazonaws.com";

/// No name, ARN or tag of AWS is longer, in bytes.
const LONGEST: usize = 4096;

/// So many bytes are kept of a text that the caller or AWS words freely.
const LONGEST_TEXT: usize = 1024;

/// No account of a trail can be older than the service.
const FIRST_YEAR: i32 = 2013;

fields!(Identity {
    "type" => kind: Text<'a> = text,
    "arn" => arn: Text<'a> = text,
    "principalId" => principal_id: Text<'a> = text,
    "accountId" => account_id: Text<'a> = text,
    "accessKeyId" => access_key_id: Text<'a> = text,
    "userName" => user_name: Text<'a> = text,
    "invokedBy" => invoked_by: Text<'a> = text,
    "sessionContext" => context: Slot<SessionContext<'a>> = object,
});

fields!(SessionContext {
    "sessionIssuer" => issuer: Slot<Issuer<'a>> = object,
    "sourceIdentity" => source_identity: Text<'a> = text,
});

fields!(Issuer { "arn" => arn: Text<'a> = text });

fields!(Request {
    "roleArn" => role_arn: Text<'a> = text,
    "roleSessionName" => session_name: Text<'a> = text,
    "externalId" => external_id: Text<'a> = text,
    "durationSeconds" => duration: Field<u64> = number,
    "clusterName" => cluster: Text<'a> = text,
    "tags" => tags: TagList<'a> = tags,
    "principalTags" => principal_tags: TagList<'a> = tags,
    "incomingTransitiveTags" => incoming: TagList<'a> = tags,
    "bucketName" => bucket: Text<'a> = text,
    "key" => key: Text<'a> = text,
    "secretId" => secret: Text<'a> = text,
    "queueUrl" => queue: Text<'a> = text,
    "topicArn" => topic: Text<'a> = text,
    "functionName" => function: Text<'a> = text,
    "tableName" => table: Text<'a> = text,
    "streamName" => stream: Text<'a> = text,
    "repositoryName" => repository: Text<'a> = text,
    "name" => name: Text<'a> = text,
});

fields!(Response {
    "credentials" => credentials: Slot<Credentials<'a>> = object,
    "assumedRoleUser" => user: Slot<AssumedUser<'a>> = object,
    "packedPolicySize" => packed: Field<u64> = number,
});

fields!(Credentials { "accessKeyId" => access_key_id: Text<'a> = text });

fields!(AssumedUser { "arn" => arn: Text<'a> = text });

fields!(Resource {
    "type" => kind: Text<'a> = text,
    "ARN" => arn: Text<'a> = text,
});

fields!(Tag {
    "key" => key: Text<'a> = text,
    "value" => value: Text<'a> = text,
});

/// Session tags, which CloudTrail writes as a list of pairs or as a map.
#[derive(Debug, Default)]
pub(super) struct TagList<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

fn tags<'de, A: MapAccess<'de>>(into: &mut TagList<'de>, map: &mut A) -> Result<(), A::Error> {
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
                let mut value = Field::Absent;
                text(&mut value, &mut map)?;
                if let Field::Is(value) = value {
                    list.push((key, value));
                }
            }
            Ok(TagList(list))
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<TagList<'de>, A::Error> {
            let mut list = Vec::new();
            let mut tag = Tag::default();
            while let Some(shape) = seq.next_element_seed(ObjectSeed(&mut tag))? {
                if let (Field::Is(()), Tag { key: Field::Is(key), value }) = (shape, std::mem::take(&mut tag)) {
                    list.push((key, if let Field::Is(value) = value { value } else { Cow::Borrowed("") }));
                }
            }
            Ok(TagList(list))
        }
    }
    *into = map.next_value_seed(TagVisitor)?;
    Ok(())
}

/// The fields of a record that are used.
#[derive(Debug, Default)]
pub(super) struct Event<'a> {
    version: Text<'a>,
    id: Text<'a>,
    name: Text<'a>,
    source: Text<'a>,
    time: Text<'a>,
    category: Text<'a>,
    kind: Text<'a>,
    request_id: Text<'a>,
    region: Text<'a>,
    recipient: Text<'a>,
    source_ip: Text<'a>,
    agent: Text<'a>,
    vpc_endpoint: Text<'a>,
    vpc_endpoint_account: Text<'a>,
    error_code: Text<'a>,
    error_message: Text<'a>,
    identity: Slot<Identity<'a>>,
    request: Boxed<Request<'a>>,
    response: Boxed<Response<'a>>,
    resources: List<Resource<'a>>,
    from_console: Text<'a>,
    /// Of a call that changes what is watched, as far as the record said so by then.
    asked: Option<Box<Parameters>>,
}

impl<'a> Object<'a> for Event<'a> {
    fn take<A: MapAccess<'a>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "eventVersion" => text(&mut self.version, map),
            "userIdentity" => object(&mut self.identity, map),
            "eventTime" => text(&mut self.time, map),
            "eventSource" => text(&mut self.source, map),
            "eventName" => text(&mut self.name, map),
            "awsRegion" => text(&mut self.region, map),
            "sourceIPAddress" => text(&mut self.source_ip, map),
            "userAgent" if self.may_name_its_resource() || self.may_be_a_change() => text(&mut self.agent, map),
            "errorCode" => text(&mut self.error_code, map),
            "errorMessage" if self.may_open_a_session() || self.may_be_a_change() => text(&mut self.error_message, map),
            "requestParameters" if self.may_be_a_change() => {
                let read = Read::take(map)?;
                if self.may_open_a_session() || self.names_its_resource_by_parameters() {
                    read.fields(&mut self.request);
                }
                self.asked.get_or_insert_default().request = read;
                Ok(())
            }
            "requestParameters" if self.may_open_a_session() || self.names_its_resource_by_parameters() => {
                boxed(&mut self.request, map)
            }
            "responseElements" if self.may_be_a_change() => {
                let read = Read::take(map)?;
                if self.may_open_a_session() {
                    read.fields(&mut self.response);
                }
                self.asked.get_or_insert_default().response = read;
                Ok(())
            }
            "responseElements" if self.may_open_a_session() => boxed(&mut self.response, map),
            "serviceEventDetails" if self.may_be_a_change() => {
                self.asked.get_or_insert_default().details = Read::take(map)?;
                Ok(())
            }
            "sessionCredentialFromConsole" => text(&mut self.from_console, map),
            "resources" if self.may_name_its_resource() => list(&mut self.resources, map),
            "eventID" => text(&mut self.id, map),
            "recipientAccountId" => text(&mut self.recipient, map),
            "vpcEndpointId" => text(&mut self.vpc_endpoint, map),
            "vpcEndpointAccountId" => text(&mut self.vpc_endpoint_account, map),
            "requestID" => text(&mut self.request_id, map),
            "eventType" => text(&mut self.kind, map),
            "eventCategory" => text(&mut self.category, map),
            _ => skip(map),
        }
    }
}

impl Event<'_> {
    /// Forgets everything, and keeps the memory for the next.
    fn clear(&mut self) {
        let Self {
            version,
            id,
            name,
            source,
            time,
            category,
            kind,
            request_id,
            region,
            recipient,
            source_ip,
            agent,
            vpc_endpoint,
            vpc_endpoint_account,
            error_code,
            error_message,
            identity,
            request,
            response,
            resources,
            from_console,
            asked,
        } = self;
        for text in [
            version,
            id,
            name,
            source,
            time,
            category,
            kind,
            request_id,
            region,
            recipient,
            source_ip,
            agent,
            vpc_endpoint,
            vpc_endpoint_account,
            error_code,
            error_message,
            from_console,
        ] {
            *text = Field::Absent;
        }
        identity.clear();
        request.iter_mut().for_each(|request| request.clear());
        response.iter_mut().for_each(|response| response.clear());
        resources.0.clear();
        *asked = None;
    }
}

/// An element where a record is expected. One is used for all elements of a list, one after the
/// other.
#[derive(Debug, Default)]
pub(super) struct Record<'a> {
    pub(super) is: Element<'a>,
    /// Of no meaning unless the element is an event.
    pub(super) event: Event<'a>,
    /// The event came in an envelope: what stands beside it there is no part of it.
    is_sealed: bool,
}

/// What an element is.
#[derive(Debug, Default)]
pub(super) enum Element<'a> {
    #[default]
    Event,
    /// The record is in it as text: a row of `LookupEvents`, a line of a log group.
    Embedded(&'static str, Text<'a>),
    NotAnObject,
}

// What Filebeat keeps of a line.
fields!(Original { "original" => text: Text<'a> = text });

impl<'a> Record<'a> {
    pub(super) fn not_an_object() -> Self {
        Self { is: Element::NotAnObject, ..Self::default() }
    }

    pub(super) fn take<A: MapAccess<'a>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "CloudTrailEvent" => {
                let mut row = Field::Absent;
                text(&mut row, map)?;
                self.is = Element::Embedded("/CloudTrailEvent", row);
                Ok(())
            }
            // A line of CloudWatch Logs. No record has such a field.
            "message" => self.embedded("/message", map, text),
            "event" => self.embedded("/event/original", map, |row, map| {
                let mut original = Slot::<Original<'a>>::default();
                object(&mut original, map)?;
                if let Some(original) = original.get_mut() {
                    *row = std::mem::take(&mut original.text);
                }
                Ok(())
            }),
            // An event of EventBridge.
            "detail" if matches!(self.is, Element::Event) => {
                self.event.clear();
                self.is_sealed = map.next_value_seed(ObjectSeed(&mut self.event))?.get().is_some();
                Ok(())
            }
            _ if matches!(self.is, Element::Event) && !self.is_sealed => self.event.take(key, map),
            _ => skip(map),
        }
    }

    /// Takes a record that stands in a field as text; of any other thing the field is passed over.
    fn embedded<A: MapAccess<'a>>(
        &mut self,
        field: &'static str,
        map: &mut A,
        read: impl FnOnce(&mut Text<'a>, &mut A) -> Result<(), A::Error>,
    ) -> Result<(), A::Error> {
        let mut row = Field::Absent;
        read(&mut row, map)?;
        if let (Field::Is(_), Element::Event) = (&row, &self.is) {
            self.is = Element::Embedded(field, row);
        }
        Ok(())
    }
}

/// Reads an element, into a record that is cleared first.
pub(super) struct RecordSeed<'r, 'a>(pub(super) &'r mut Record<'a>);

impl<'de> DeserializeSeed<'de> for RecordSeed<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let Self(record) = self;
        record.is = Element::Event;
        record.is_sealed = false;
        record.event.clear();
        if !deserializer.deserialize_any(RecordVisitor(record))? {
            record.is = Element::NotAnObject;
        }
        Ok(())
    }
}

struct RecordVisitor<'r, 'a>(&'r mut Record<'a>);

impl<'de> Visitor<'de> for RecordVisitor<'_, 'de> {
    /// Whether it is an object.
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a CloudTrail record")
    }
    fn visit_unit<E>(self) -> Result<bool, E> {
        Ok(false)
    }
    visit_others!(false; visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str);
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<bool, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(false)
    }
    #[inline]
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
        while let Some(Key(key)) = map.next_key()? {
            self.0.take(&key, &mut map)?;
        }
        Ok(true)
    }
}

/// A time, and how it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct When {
    pub(super) at: DateTime<Utc>,
    /// Written for people, not as RFC 3339.
    pub(super) is_local: bool,
}

/// Who called, where a session of a role did.
#[derive(Debug, Clone, Copy)]
pub(super) struct Caller<'e> {
    pub(super) access_key_id: Option<&'e str>,
    /// `arn:…:sts::ACCOUNT:assumed-role/NAME/SESSION`; empty where the record has none.
    pub(super) arn: &'e str,
    /// The role's own ARN with its path, where the record has it.
    pub(super) issuer: Option<&'e str>,
    /// `AROA…:SESSION`.
    pub(super) principal_id: &'e str,
}

fn str_of<'e>(text: &'e Text<'_>) -> Option<&'e str> {
    text.get().map(|text| &**text)
}

fn owned(text: &Text<'_>, field: &str) -> Result<Option<String>, Fault> {
    str_of(text).map(|text| bounded(text, field)).transpose()
}

fn bounded(text: &str, field: &str) -> Result<String, Fault> {
    if text.len() > LONGEST {
        let message = format!("{} bytes long, where AWS has no more than {LONGEST}", text.len());
        return Err(Fault::new(ProblemKind::Field, field, message, "keep the field as CloudTrail wrote it"));
    }
    Ok(text.to_owned())
}

fn missing(field: &str, what: &str) -> Fault {
    Fault::new(ProblemKind::Missing, field, "missing, or not a text", format!("{what} is needed"))
}

impl<'a> Event<'a> {
    /// Whether parameters and answer are needed: they open a session, or it is not known yet.
    fn may_open_a_session(&self) -> bool {
        str_of(&self.name).is_none_or(|name| name.starts_with("AssumeRole"))
    }

    /// Whether the resource is needed: a session of a role calls, or it is not known yet.
    fn may_name_its_resource(&self) -> bool {
        self.may_open_a_session()
            || self.identity.get().is_none_or(|identity| str_of(&identity.kind) == Some("AssumedRole"))
    }

    /// Whether parameters and answer are needed as they are: the call changes what is watched, or it is
    /// not known yet.
    fn may_be_a_change(&self) -> bool {
        is_watched(str_of(&self.source), str_of(&self.name))
    }

    fn request(&self) -> Option<&Request<'a>> {
        self.request.as_ref()?.get()
    }

    fn response(&self) -> Option<&Response<'a>> {
        self.response.as_ref()?.get()
    }

    pub(super) fn kind_of_principal(&self) -> &str {
        self.identity.get().and_then(|identity| str_of(&identity.kind)).unwrap_or("none")
    }

    /// The part of the version that says whether the record can be understood; `None` where it can.
    pub(super) fn unknown_version(&self) -> Option<&str> {
        str_of(&self.version).filter(|version| *version != "1" && !version.starts_with("1."))
    }

    /// A record that tells of no call: one of CloudTrail Insights, or of a category that names no
    /// event.
    pub(super) fn is_not_a_call(&self) -> Result<bool, Fault> {
        let category = str_of(&self.category);
        if category == Some("Insight") || str_of(&self.kind) == Some("AwsCloudTrailInsight") {
            return Ok(true);
        }
        if self.name.get().is_some() {
            return Ok(false);
        }
        match category {
            Some(category) if !matches!(category, "Management" | "Data" | "NetworkActivity") => Ok(true),
            _ => Err(Fault::new(
                ProblemKind::Missing,
                "/eventName",
                "not a CloudTrail record: no event name",
                "remove it",
            )),
        }
    }

    /// Whether a VPC endpoint recorded the call as it passed, beside the service that was called.
    /// Source: <https://docs.aws.amazon.com/awscloudtrail/latest/userguide/logging-network-events-with-cloudtrail.html>.
    pub(super) fn is_network_activity(&self) -> bool {
        str_of(&self.category) == Some("NetworkActivity") || str_of(&self.kind) == Some("AwsVpceEvent")
    }

    /// The request's id: a call and its network activity event have the same.
    pub(super) fn request_id(&self) -> Option<&str> {
        str_of(&self.request_id).filter(|id| !id.is_empty())
    }

    /// The session of a role that called.
    pub(super) fn caller(&self) -> Option<Caller<'_>> {
        let identity = self.identity.get()?;
        if str_of(&identity.kind) != Some("AssumedRole") {
            return None;
        }
        let issuer = identity.context.get().and_then(|context| context.issuer.get());
        Some(Caller {
            access_key_id: str_of(&identity.access_key_id),
            arn: str_of(&identity.arn).unwrap_or_default(),
            issuer: issuer.and_then(|issuer| str_of(&issuer.arn)),
            principal_id: str_of(&identity.principal_id).unwrap_or_default(),
        })
    }

    /// The account of who called, as text.
    pub(super) fn caller_account(&self) -> Option<&str> {
        self.identity.get().and_then(|identity| str_of(&identity.account_id))
    }

    /// The service that was called, and the call, by CloudTrail's names.
    pub(super) fn call(&self) -> Result<(&str, &str), Fault> {
        let source = str_of(&self.source).ok_or_else(|| missing("/eventSource", "the service's name"))?;
        Ok((source, str_of(&self.name).unwrap_or_default()))
    }

    pub(super) fn error(&self) -> Option<&str> {
        str_of(&self.error_code)
    }

    pub(super) fn source_address(&self) -> Option<&str> {
        str_of(&self.source_ip)
    }

    pub(super) fn came_by_endpoint(&self) -> bool {
        self.vpc_endpoint.get().is_some()
    }

    /// The VPC endpoint's id.
    pub(super) fn vpc_endpoint(&self) -> Option<&str> {
        str_of(&self.vpc_endpoint)
    }

    pub(super) fn user_agent(&self) -> Option<&str> {
        str_of(&self.agent)
    }

    /// Whether calls of the service name their resource by parameters alone, and role sessions make
    /// them often.
    fn names_its_resource_by_parameters(&self) -> bool {
        matches!(
            str_of(&self.source),
            Some(
                "s3.amazonaws.com"
                    | "secretsmanager.amazonaws.com"
                    | "sqs.amazonaws.com"
                    | "sns.amazonaws.com"
                    | "ssm.amazonaws.com"
                    | "lambda.amazonaws.com"
                    | "dynamodb.amazonaws.com"
                    | "kinesis.amazonaws.com"
                    | "ecr.amazonaws.com"
            )
        )
    }

    /// Writes the shape of the resource that was called on: of the first that the record lists, else
    /// of the one that the parameters name. `false`: the record names none.
    pub(super) fn shape(&self, out: &mut String) -> bool {
        if let Some(arn) = self.resources.0.iter().find_map(|resource| str_of(&resource.arn)) {
            return fold(arn, out);
        }
        self.asked_for().is_some_and(|arn| fold(&arn, out))
    }

    /// The ARN of what the parameters name.
    fn asked_for(&self) -> Option<Cow<'_, str>> {
        let request = self.request()?;
        let source = str_of(&self.source)?;
        let of = |service: &str, resource: &str, name: &str| {
            let caller = self.identity.get().and_then(|identity| str_of(&identity.arn)).unwrap_or_default();
            let partition = caller.split(':').nth(1).filter(|partition| !partition.is_empty()).unwrap_or("aws");
            let region = str_of(&self.region).unwrap_or_default();
            let account = self.account_name().map(|(_, account)| account).unwrap_or_default();
            Cow::Owned(format!("arn:{partition}:{service}:{region}:{account}:{resource}{name}"))
        };
        let named = |text: &'_ Text<'_>, service: &str, resource: &str| -> Option<Cow<'_, str>> {
            let name = text.get()?;
            Some(if name.starts_with("arn:") { Cow::Owned(name.to_string()) } else { of(service, resource, name) })
        };
        match source {
            "s3.amazonaws.com" => {
                let bucket = str_of(&request.bucket)?;
                // An object's key is folded; of it, only that there is one is kept.
                let tail = if request.key.get().is_some() { "/*" } else { "" };
                let arn = of("s3", bucket, tail);
                // A bucket's ARN has neither region nor account.
                let partition = arn.split(':').nth(1).unwrap_or("aws").to_owned();
                Some(Cow::Owned(format!("arn:{partition}:s3:::{bucket}{tail}")))
            }
            "secretsmanager.amazonaws.com" => named(&request.secret, "secretsmanager", "secret:"),
            "sqs.amazonaws.com" => {
                let queue = str_of(&request.queue)?.rsplit('/').next()?;
                Some(of("sqs", queue, ""))
            }
            "sns.amazonaws.com" => named(&request.topic, "sns", ""),
            "ssm.amazonaws.com" => {
                let name = str_of(&request.name)?;
                Some(of("ssm", "parameter/", name.strip_prefix('/').unwrap_or(name)))
            }
            "lambda.amazonaws.com" => named(&request.function, "lambda", "function:"),
            "dynamodb.amazonaws.com" => named(&request.table, "dynamodb", "table/"),
            "kinesis.amazonaws.com" => named(&request.stream, "kinesis", "stream/"),
            "ecr.amazonaws.com" => named(&request.repository, "ecr", "repository/"),
            _ => None,
        }
    }

    pub(super) fn event_id(&self) -> Result<&str, Fault> {
        str_of(&self.id).filter(|id| !id.is_empty()).ok_or_else(|| missing("/eventID", "the event's id"))
    }

    pub(super) fn region_name(&self) -> Result<&str, Fault> {
        str_of(&self.region).ok_or_else(|| missing("/awsRegion", "the region"))
    }

    pub(super) fn when(&self) -> Result<When, Fault> {
        let text = str_of(&self.time).ok_or_else(|| missing("/eventTime", "a time"))?;
        let when = plain_time(text).map(|at| When { at, is_local: false }).or_else(|| local_time(text));
        when.filter(|when| chrono::Datelike::year(&when.at) >= FIRST_YEAR).ok_or_else(|| {
            let shown: String = text.chars().take(64).collect();
            Fault::new(
                ProblemKind::Time,
                "/eventTime",
                format!("`{shown}` is not a time of CloudTrail's"),
                "a time such as 2026-01-31T09:00:00Z is needed",
            )
        })
    }

    /// The account in whose trail the record stands, as text, with the field that says so.
    pub(super) fn account_name(&self) -> Result<(&'static str, &str), Fault> {
        match (&self.recipient, self.caller_account()) {
            (Field::Is(text), _) => Ok(("/recipientAccountId", text)),
            (Field::Other, _) => Err(missing("/recipientAccountId", "an account id as text")),
            // Records before version 1.02 name no recipient: they stand in the caller's own trail.
            (Field::Absent, Some(text)) => Ok(("/userIdentity/accountId", text)),
            (Field::Absent, None) => Err(missing("/recipientAccountId", "the account's id")),
        }
    }

    pub(super) fn account(&self) -> Result<AccountId, Fault> {
        let (field, text) = self.account_name()?;
        text.parse().map_err(|_| {
            let shown: String = text.chars().take(24).collect();
            let message = format!("`{shown}` is not an AWS account id: twelve digits are needed");
            Fault::new(ProblemKind::Field, field, message, "keep the account id as CloudTrail wrote it")
        })
    }

    /// The session that the record tells of; `None` where it tells of another thing.
    pub(super) fn session(&self) -> Result<Option<Session>, Fault> {
        let Some(name) = str_of(&self.name).filter(|name| name.starts_with("AssumeRole")) else { return Ok(None) };
        // A VPC endpoint does not know what the service answered.
        if self.is_network_activity() {
            return Ok(None);
        }
        let kind = match (str_of(&self.source), name) {
            (Some("sts.amazonaws.com"), "AssumeRole") => self.assume_role_kind(),
            (Some("sts.amazonaws.com"), "AssumeRoleWithWebIdentity") => SessionKind::WebIdentity,
            (Some("sts.amazonaws.com"), "AssumeRoleWithSAML") => SessionKind::Saml,
            (Some("eks-auth.amazonaws.com"), "AssumeRoleForPodIdentity") => SessionKind::AgentRequest,
            (None, "AssumeRole" | "AssumeRoleWithWebIdentity" | "AssumeRoleWithSAML" | "AssumeRoleForPodIdentity") => {
                return Err(missing("/eventSource", "the service's name"));
            }
            _ => return Ok(None),
        };
        let region = self.region_name()?;
        let region: Region = region.parse().map_err(|_| {
            let shown: String = region.chars().take(32).collect();
            let message = format!("`{shown}` is not an AWS region");
            Fault::new(ProblemKind::Field, "/awsRegion", message, "keep the region as CloudTrail wrote it")
        })?;
        let identity = self.identity.get();
        let request = self.request();
        let response = self.response();
        let tags = request.map(Request::all_tags).transpose()?.unwrap_or_default();
        let asked_name = request.map(|request| owned(&request.session_name, "/requestParameters/roleSessionName"));
        let new_key = response
            .and_then(|response| response.credentials.get())
            .map(|credentials| owned(&credentials.access_key_id, "/responseElements/credentials/accessKeyId"));
        let cluster = request.map(|request| owned(&request.cluster, "/requestParameters/clusterName"));
        let external_id = request.map(|request| owned(&request.external_id, "/requestParameters/externalId"));
        Ok(Some(Session {
            event_id: bounded(self.event_id()?, "/eventID")?,
            account_id: self.account()?,
            region,
            at: self.when()?.at,
            kind,
            role_arn: self.role_arn().map(|arn| bounded(arn, "/requestParameters/roleArn")).transpose()?,
            session_name: asked_name.transpose()?.flatten().or_else(|| self.granted_name()),
            access_key_id: new_key.transpose()?.flatten(),
            principal: identity.map(Identity::principal).transpose()?.unwrap_or_default(),
            principal_type: identity
                .map(|identity| owned(&identity.kind, "/userIdentity/type"))
                .transpose()?
                .flatten()
                .unwrap_or_default(),
            parent_access_key_id: identity
                .map(|identity| owned(&identity.access_key_id, "/userIdentity/accessKeyId"))
                .transpose()?
                .flatten(),
            source_ip: owned(&self.source_ip, "/sourceIPAddress")?,
            vpc_endpoint: self.endpoint()?,
            cluster: cluster.transpose()?.flatten().or_else(|| cluster_of(&tags)),
            tags,
            external_id: external_id.transpose()?.flatten(),
            duration_seconds: request
                .and_then(|request| request.duration.get())
                .and_then(|seconds| u32::try_from(*seconds).ok()),
            packed_policy_size: response
                .and_then(|response| response.packed.get())
                .and_then(|percent| u8::try_from(*percent).ok()),
            error: owned(&self.error_code, "/errorCode")?,
        }))
    }

    /// By what the call names what it changes; `None` where it changes nothing that is watched. A VPC
    /// endpoint does not know what the service did, but what it refused itself.
    pub(super) fn change_call(&self) -> Option<Call> {
        let call = call_of(str_of(&self.source)?, str_of(&self.name)?)?;
        (!self.is_network_activity() || self.error_code.get().is_some()).then_some(call)
    }

    /// The change event that the record is.
    pub(super) fn change(
        &self,
        call: Call,
        (account_id, region): (AccountId, &Region),
        event_time: DateTime<Utc>,
    ) -> Result<ChangeEvent, Fault> {
        let none = Parameters::default();
        let asked = self.asked.as_deref().unwrap_or(&none);
        let error_message = str_of(&self.error_message);
        let resources = change::resources(
            call,
            &Evidence {
                account: account_id,
                region,
                request: &asked.request.value,
                response: &asked.response.value,
                details: &asked.details.value,
                error_message,
            },
        );
        let cut = |text: Option<&str>| text.map(|text| change::beginning(text, LONGEST_TEXT));
        let identity = self.identity.get();
        let (source, name) = self.call()?;
        // What an event that is no call tells stands in the place of what was asked for.
        let is_call = !matches!(asked.request.value, serde_json::Value::Null);
        let said = if is_call { &asked.request } else { &asked.details };
        let program = Program {
            user_agent: str_of(&self.agent),
            invoked_by: identity.and_then(|identity| str_of(&identity.invoked_by)),
            is_service: identity.and_then(|identity| str_of(&identity.kind)) == Some("AWSService")
                || str_of(&self.kind) == Some("AwsServiceEvent"),
            from_console: str_of(&self.from_console) == Some("true"),
        };
        Ok(ChangeEvent {
            event_id: bounded(self.event_id()?, "/eventID")?,
            event_time,
            account_id,
            region: region.clone(),
            event_source: bounded(source, "/eventSource")?,
            event_name: bounded(name, "/eventName")?,
            actor: identity.map(Identity::actor).transpose()?.unwrap_or_default(),
            source_ip: cut(str_of(&self.source_ip)),
            user_agent: cut(program.user_agent),
            agent_class: class_of(program),
            error_code: cut(self.error()),
            is_denied: self.error().is_some_and(is_denial),
            error_message: cut(error_message),
            resources,
            request: said.value.clone(),
            is_request_cut: said.is_cut,
        })
    }

    /// About how many bytes a change event of it takes.
    pub(super) fn change_weight(&self) -> usize {
        self.asked.as_ref().map_or(0, |asked| 2 * (asked.request.bytes + asked.details.bytes))
    }

    fn endpoint(&self) -> Result<Option<VpcEndpoint>, Fault> {
        let Some(id) = owned(&self.vpc_endpoint, "/vpcEndpointId")? else { return Ok(None) };
        let account_id = owned(&self.vpc_endpoint_account, "/vpcEndpointAccountId")?;
        Ok(Some(VpcEndpoint { id, account_id }))
    }

    /// How an STS `AssumeRole` came about.
    ///
    /// What EKS's hop to a target role looks like is not documented, so it is known by any of its
    /// unforgeable marks (the service called for the role, from the service's own address), or by
    /// content: inherited Pod Identity tags together with the external id that EKS makes for them.
    /// Inherited tags alone are not enough, as every further hop of the application has them too.
    fn assume_role_kind(&self) -> SessionKind {
        let identity = self.identity.get();
        let by_pods = identity.and_then(|identity| str_of(&identity.invoked_by)) == Some(PODS)
            || str_of(&self.source_ip) == Some(PODS);
        let by_service = identity.and_then(|identity| str_of(&identity.kind)) == Some("AWSService");
        match (by_service, by_pods) {
            (true, true) => SessionKind::PodIdentity,
            (true, false) => SessionKind::Service,
            (false, true) => SessionKind::PodIdentityTarget,
            (false, false) if self.request().is_some_and(Request::is_target_hop) => SessionKind::PodIdentityTarget,
            (false, false) => SessionKind::AssumeRole,
        }
    }

    /// The role asked for. A denied request often has no parameters: then AWS's message names it.
    fn role_arn(&self) -> Option<&str> {
        let is_role = |arn: &&str| arn.contains(":role/");
        let asked = self.request().and_then(|request| str_of(&request.role_arn));
        let resource = || {
            self.resources
                .0
                .iter()
                .filter(|resource| str_of(&resource.kind).is_none_or(|kind| kind == "AWS::IAM::Role"))
                .filter_map(|resource| str_of(&resource.arn))
                .find(is_role)
        };
        let told = || {
            let (_, after) = str_of(&self.error_message)?.split_once(" on resource: ")?;
            after.split_whitespace().next().filter(is_role)
        };
        asked.or_else(resource).or_else(told)
    }

    fn granted_name(&self) -> Option<String> {
        let arn = str_of(&self.response()?.user.get()?.arn)?;
        arn.rsplit_once('/').map(|(_, name)| name.chars().take(64).collect())
    }
}

impl Identity<'_> {
    fn actor(&self) -> Result<Actor, Fault> {
        let context = self.context.get();
        let issuer = context.and_then(|context| context.issuer.get()).map(|issuer| &issuer.arn);
        // Of a session of any kind, what stands after the principal's id is its name.
        let session_name = (str_of(&self.kind) == Some("AssumedRole"))
            .then(|| str_of(&self.arn).and_then(|arn| arn.rsplit_once('/')).map(|(_, name)| name))
            .flatten()
            .or_else(|| str_of(&self.principal_id).and_then(|id| id.split_once(':')).map(|(_, name)| name));
        Ok(Actor {
            kind: owned(&self.kind, "/userIdentity/type")?.unwrap_or_default(),
            arn: owned(&self.arn, "/userIdentity/arn")?,
            session_issuer_arn: issuer
                .map(|arn| owned(arn, "/userIdentity/sessionContext/sessionIssuer/arn"))
                .transpose()?
                .flatten(),
            session_name: session_name.map(|name| bounded(name, "/userIdentity/principalId")).transpose()?,
            account_id: owned(&self.account_id, "/userIdentity/accountId")?,
            access_key_id: owned(&self.access_key_id, "/userIdentity/accessKeyId")?,
            source_identity: context
                .map(|context| owned(&context.source_identity, "/userIdentity/sessionContext/sourceIdentity"))
                .transpose()?
                .flatten(),
            invoked_by: owned(&self.invoked_by, "/userIdentity/invokedBy")?,
        })
    }

    fn principal(&self) -> Result<String, Fault> {
        let first = match str_of(&self.kind) {
            Some("AWSService") => &self.invoked_by,
            Some("WebIdentityUser" | "SAMLUser") => &self.user_name,
            _ => &self.arn,
        };
        [first, &self.arn, &self.principal_id, &self.invoked_by, &self.account_id]
            .into_iter()
            .find_map(str_of)
            .map_or_else(|| Ok(String::new()), |principal| bounded(principal, "/userIdentity"))
    }
}

impl Request<'_> {
    /// The session's tags: its own, the identity provider's, and those inherited from its caller.
    fn all_tags(&self) -> Result<Tags, Fault> {
        let mut tags = Tags::new();
        for (key, value) in self.tags.0.iter().chain(&self.principal_tags.0).chain(&self.incoming.0) {
            if !tags.contains_key(&**key) {
                let field = "/requestParameters/tags";
                tags.insert(bounded(key, field)?, bounded(value, field)?);
            }
        }
        Ok(tags)
    }

    /// Whether the external id is the one that EKS makes for the inherited tags:
    /// `region/account/cluster/namespace/service-account`.
    fn is_target_hop(&self) -> bool {
        let tag = |name: &str| self.incoming.0.iter().find(|(key, _)| key == name).map(|(_, value)| &**value);
        let (Some(cluster_arn), Some(namespace), Some(service_account), Some(external_id)) = (
            tag("eks-cluster-arn"),
            tag("kubernetes-namespace"),
            tag("kubernetes-service-account"),
            str_of(&self.external_id),
        ) else {
            return false;
        };
        let Ok(arn) = cluster_arn.parse::<rolecall_iam::Arn>() else { return false };
        let cluster = arn.resource().strip_prefix("cluster/").unwrap_or_default();
        external_id == format!("{}/{}/{cluster}/{namespace}/{service_account}", arn.region(), arn.account())
    }
}

fn cluster_of(tags: &Tags) -> Option<String> {
    let by_arn =
        || tags.get("eks-cluster-arn").and_then(|arn| arn.rsplit_once("cluster/")).map(|(_, name)| name.to_owned());
    tags.get("eks-cluster-name").cloned().or_else(by_arn)
}

/// `2026-01-31T09:00:00Z`, which is how CloudTrail writes times, without a general parser; any
/// other RFC 3339 with one.
fn plain_time(text: &str) -> Option<DateTime<Utc>> {
    if let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T', h1, h2, b':', n1, n2, b':', s1, s2, b'Z'] =
        text.as_bytes()
    {
        let number = |digits: &[&u8]| {
            digits.iter().try_fold(0_u32, |sum, digit| {
                digit.is_ascii_digit().then(|| sum * 10 + u32::from(digit.wrapping_sub(b'0')))
            })
        };
        let year = i32::try_from(number(&[y1, y2, y3, y4])?).ok()?;
        let day = NaiveDate::from_ymd_opt(year, number(&[m1, m2])?, number(&[d1, d2])?)?;
        return Some(day.and_hms_opt(number(&[h1, h2])?, number(&[n1, n2])?, number(&[s1, s2])?)?.and_utc());
    }
    DateTime::parse_from_rfc3339(text).ok().map(|at| at.with_timezone(&Utc))
}

/// `Nov 20, 2026, 3:20:04 PM`, with or without the second comma, as some tools print times.
fn local_time(text: &str) -> Option<When> {
    if text.len() > 64 {
        return None;
    }
    // Newer locales put a narrow no-break space before the half of the day.
    let text = text.replace(['\u{202f}', '\u{a0}'], " ");
    ["%b %d, %Y, %I:%M:%S %p", "%b %d, %Y %I:%M:%S %p", "%Y-%m-%d %H:%M:%S"]
        .iter()
        .find_map(|format| NaiveDateTime::parse_from_str(&text, format).ok())
        .map(|at| When { at: at.and_utc(), is_local: true })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_cloudtrail_and_as_people_write_them() {
        let read = |text: &str| {
            plain_time(text)
                .map(|at| (at.to_rfc3339(), false))
                .or_else(|| local_time(text).map(|w| (w.at.to_rfc3339(), true)))
        };
        let at = |text: &str, is_local| Some((text.to_owned(), is_local));
        let cases = [
            ("2026-11-20T15:20:04Z", at("2026-11-20T15:20:04+00:00", false)),
            ("2026-11-20T15:20:04.123Z", at("2026-11-20T15:20:04.123+00:00", false)),
            ("2026-11-20T15:20:04+01:00", at("2026-11-20T14:20:04+00:00", false)),
            ("Nov 20, 2026, 3:20:04 PM", at("2026-11-20T15:20:04+00:00", true)),
            ("Nov 20, 2026, 3:20:04\u{202f}PM", at("2026-11-20T15:20:04+00:00", true)),
            ("Jul 10, 2023 12:09:21 PM", at("2023-07-10T12:09:21+00:00", true)),
            ("2026-13-20T15:20:04Z", None),
            ("2026-1a-20T15:20:04Z", None),
            ("2026-11-20T25:20:04Z", None),
            ("yesterday", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(read(text), expected, "{text}");
        }
    }
}
