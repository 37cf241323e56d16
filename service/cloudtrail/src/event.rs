//! One CloudTrail record: the fields that are used, borrowed, and what they say of a session.
//!
//! Knows which records are sessions and how each came about; who made a call, with which key, from
//! where. Parameters and answers of calls are read for those few events that need them and skipped
//! for all others. Session tokens are never copied out of the bytes. Refuses to know which wrapping
//! a record came in.

mod change_event;
mod parts;
mod record;
mod resource;
mod session;
mod time;

use super::change::{Parameters, Read, is_watched};
use super::json::{Boxed, Field, List, Object, Slot, Text, boxed, list, object, skip, text};
use crate::problem::{Fault, ProblemKind};
use parts::{Identity, Request, Resource, Response};
pub(crate) use record::{Element, Record, RecordSeed};
use rolecall_iam::AccountId;
use serde::de::MapAccess;
pub(crate) use time::When;
use time::{local_time, plain_time};

pub(crate) const PODS: &str = "pods.eks.amazonaws.com";

/// No name, ARN or tag of AWS is longer, in bytes.
const LONGEST: usize = 4096;

/// So many bytes are kept of a text that the caller or AWS words freely.
const LONGEST_TEXT: usize = 1024;

/// No account of a trail can be older than the service.
const FIRST_YEAR: i32 = 2013;

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
}

impl Event<'_> {
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
}
