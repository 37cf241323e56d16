//! The operations, service by service. Each knows its service's parameters, checks and answers,
//! and refuses to know faults (but for page sizes), sockets and headers.

mod cloudtrail;
mod eks;
mod events;
mod iam;
mod organizations;
mod regions;
pub(crate) mod s3;
mod sns;
pub(crate) mod sqs;
mod sts;

use crate::state::{Caller, Snapshot, State};
use crate::wire::{Answer, Paging, Problem, Service};
use serde_json::Value;
use std::sync::Arc;

/// What a call carries, by protocol.
pub(crate) enum Input {
    Form(Vec<(String, String)>),
    Json(Value),
    Rest { path: Vec<String>, query: Vec<(String, String)>, body: Value },
    S3(Box<s3::Asked>),
}

impl Input {
    /// A form parameter.
    pub(crate) fn form(&self, name: &str) -> Option<&str> {
        match self {
            Self::Form(pairs) | Self::Rest { query: pairs, .. } => {
                pairs.iter().find(|(k, _)| k == name).map(|(_, v)| v.as_str())
            }
            Self::Json(_) | Self::S3(_) => None,
        }
    }

    /// The account that `AssumeRole` enters.
    pub(crate) fn account_entered(&self) -> Option<&str> {
        let Self::Form(_) = self else { return None };
        self.form("RoleArn").map(crate::estate::account_of).filter(|a| !a.is_empty())
    }

    fn json(&self) -> &Value {
        match self {
            Self::Json(value) | Self::Rest { body: value, .. } => value,
            Self::Form(_) | Self::S3(_) => &Value::Null,
        }
    }

    pub(crate) fn s3(&self) -> Option<&s3::Asked> {
        if let Self::S3(asked) = self { Some(asked) } else { None }
    }
}

/// A call, and what its answer depends on.
pub(crate) struct Call<'a> {
    pub(crate) state: &'a State,
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) caller: &'a Caller,
    pub(crate) service: Service,
    pub(crate) operation: &'a str,
    pub(crate) region: &'a str,
    pub(crate) request_id: &'a str,
    pub(crate) page_cap: Option<usize>,
    pub(crate) paging: Paging,
    pub(crate) malformed_policy: bool,
}

/// What a malformed policy document looks like.
const MALFORMED: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"#;

impl Call<'_> {
    /// The page size to use: what was asked for, under the cap.
    fn limit(&self, asked: usize) -> usize {
        self.page_cap.map_or(asked, |cap| cap.min(asked))
    }

    fn unknown(&self) -> Problem {
        Problem::UnknownOperation(self.operation.to_owned())
    }
}

/// The REST services' action of a method and path.
pub(crate) fn rest_action(service: Service, method: &str, path: &[String]) -> Option<&'static str> {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    match service {
        Service::Eks => eks::action(method, &path),
        Service::Account => regions::action(method, &path),
        _ => None,
    }
}

/// Answers a call.
pub(crate) fn dispatch(call: &Call<'_>, input: &Input) -> Result<Answer, Problem> {
    match call.service {
        Service::Sts => sts::answer(call, input),
        Service::Iam => iam::answer(call, input),
        Service::Ec2 | Service::Account => regions::answer(call, input),
        Service::Eks => eks::answer(call, input),
        Service::CloudTrail => cloudtrail::answer(call, input.json()),
        Service::Organizations => organizations::answer(call, input.json()),
        Service::Sqs => sqs::answer(call, input.json()),
        Service::Sns => sns::answer(call, input),
        Service::Events => events::answer(call, input.json()),
        Service::S3 => input.s3().map_or_else(|| Err(call.unknown()), |asked| s3::answer(call, asked)),
    }
}
