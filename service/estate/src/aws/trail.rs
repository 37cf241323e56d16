//! `DescribeTrails` and `GetTrailStatus`.
//! <https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_DescribeTrails.html>

use super::{FieldError, non_empty, parsed};
use crate::id::Region;
use crate::resource::{Trail, TrailStatus};
use chrono::{DateTime, Utc};
use rolecall_iam::{AccountId, Arn};

/// The answer of `GetTrailStatus`.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "the fields have AWS's names and meaning")]
pub struct TrailStatusAnswer {
    pub is_logging: Option<bool>,
    pub start_logging_time: Option<DateTime<Utc>>,
    pub stop_logging_time: Option<DateTime<Utc>>,
}

impl TrailStatusAnswer {
    /// The status; `None` where the answer does not say whether the trail is logging.
    #[must_use]
    pub fn into_status(self) -> Option<TrailStatus> {
        let Self { is_logging, start_logging_time, stop_logging_time } = self;
        Some(TrailStatus { is_logging: is_logging?, started_at: start_logging_time, stopped_at: stop_logging_time })
    }
}

/// One of `trailList`.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "the fields have AWS's names and meaning")]
pub struct TrailDescription {
    pub trail_arn: Option<String>,
    pub name: Option<String>,
    pub home_region: Option<String>,
    pub s3_bucket_name: Option<String>,
    pub is_multi_region_trail: Option<bool>,
    pub is_organization_trail: Option<bool>,
}

impl TrailDescription {
    /// The trail, without what it records, and its ARN. `seen_in`: the account that was asked; `None`: the one
    /// that the ARN names. The region of the ARN is the home region where no other is given.
    ///
    /// # Errors
    /// The first field that cannot be read.
    pub fn into_trail(self, seen_in: Option<AccountId>) -> Result<(Arn, Trail), FieldError> {
        let arn: Arn = parsed(self.trail_arn, "/TrailARN")?;
        let nobody = || FieldError { field: "/TrailARN".to_owned(), message: "the ARN names no account".to_owned() };
        let region: Region = match non_empty(self.home_region) {
            Some(home) => parsed(Some(home), "/HomeRegion")?,
            None => parsed(Some(arn.region().to_owned()), "/HomeRegion")?,
        };
        let name = || arn.resource().rsplit('/').next().unwrap_or_default().to_owned();
        let trail = Trail {
            account_id: seen_in.or_else(|| arn.account_id()).ok_or_else(nobody)?,
            region,
            arn: arn.as_str().to_owned(),
            name: non_empty(self.name).unwrap_or_else(name),
            bucket: non_empty(self.s3_bucket_name),
            is_multi_region: self.is_multi_region_trail.unwrap_or(false),
            is_organization: self.is_organization_trail.unwrap_or(false),
            records_read_only_management: None,
            recorded: None,
            status: None,
        };
        Ok((arn, trail))
    }
}
