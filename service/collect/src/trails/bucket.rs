//! A bucket, wherever it is: listing and getting, with its own region found out.
//!
//! Refuses to know what the keys mean.

use super::{Missed, Room};
use crate::call::{Caller, CompleteAnswer, Holder, PermissionUse, Refusal};
use crate::entry::{partition, sdk_region};
use aws_config::SdkConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::AfterDeserializationInterceptorContextRef;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use rolecall_estate::coverage::GapReason;
use rolecall_estate::id::Region;
use rolecall_iam::AccountId;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub(crate) static LIST_BUCKET: PermissionUse =
    PermissionUse { action: "s3:ListBucket", holder: Holder::Trails, why: "to find the files of a trail" };
pub(crate) static GET_OBJECT: PermissionUse =
    PermissionUse { action: "s3:GetObject", holder: Holder::Trails, why: "to read the files of a trail" };
pub(crate) static DECRYPT: PermissionUse = PermissionUse {
    action: "kms:Decrypt",
    holder: Holder::Trails,
    why: "to read the files of a trail that a key of KMS encrypts",
};

/// Attempts at a body whose stream breaks off, which the SDK does not retry.
const BODY_ATTEMPTS: usize = 3;

/// Notes the region that S3 says a bucket is in.
#[derive(Debug, Clone, Default)]
struct BucketRegion(Arc<Mutex<Option<String>>>);

impl Intercept for BucketRegion {
    fn name(&self) -> &'static str {
        "whereabouts"
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let answered = context.response().headers().get("x-amz-bucket-region").map(str::to_owned);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = answered;
        Ok(())
    }
}

/// A bucket that files are read from.
#[derive(Debug)]
pub(crate) struct Bucket {
    pub(crate) name: String,
    config: SdkConfig,
    caller: Arc<Caller>,
    account_id: AccountId,
    /// Between two pieces of a body.
    patience: Duration,
    at: Mutex<(Region, Client)>,
}

fn client(config: &SdkConfig, region: &Region, account_id: AccountId) -> Client {
    let own_endpoint = config.endpoint_url().is_some();
    let builder = aws_sdk_s3::config::Builder::from(config)
        .region(sdk_region(region))
        // An endpoint of one's own seldom has a name for each bucket.
        .force_path_style(own_endpoint)
        .retry_partition(partition("s3", region.as_str(), &account_id.to_string()));
    Client::from_conf(builder.build())
}

impl Bucket {
    pub(crate) fn new(
        name: &str,
        region: &Region,
        config: &SdkConfig,
        account_id: AccountId,
        caller: Arc<Caller>,
        patience: Duration,
    ) -> Self {
        let at = Mutex::new((region.clone(), client(config, region, account_id)));
        Self { name: name.to_owned(), config: config.clone(), caller, account_id, patience, at }
    }

    fn at(&self) -> (Region, Client) {
        self.at.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether S3 said that the bucket is in another region than was asked; from now on it is asked.
    fn moves(&self, asked: &Region, answered: &BucketRegion) -> bool {
        let answered = answered.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(answered) =
            answered.and_then(|answered| answered.parse::<Region>().ok()).filter(|answered| answered != asked)
        else {
            return false;
        };
        tracing::debug!(bucket = self.name, region = answered.as_str(), "the bucket is in another region");
        let client = client(&self.config, &answered, self.account_id);
        *self.at.lock().unwrap_or_else(PoisonError::into_inner) = (answered, client);
        true
    }

    /// One page of a listing. `after`: only keys behind it; not looked at with a token.
    pub(crate) async fn list(
        &self,
        prefix: &str,
        delimited: bool,
        after: Option<&str>,
        token: Option<String>,
        limit: Option<i32>,
    ) -> Result<ListObjectsV2Output, Refusal> {
        let once = |client: Client, answered: BucketRegion, token: Option<String>| async move {
            let request = client
                .list_objects_v2()
                .bucket(&self.name)
                .prefix(prefix)
                .set_delimiter(delimited.then(|| "/".to_owned()))
                .set_start_after(after.map(str::to_owned))
                .set_continuation_token(token)
                .set_max_keys(limit);
            let sent = request.customize().interceptor(CompleteAnswer).interceptor(answered).send();
            self.caller.call(&LIST_BUCKET, sent).await
        };
        let answered = BucketRegion::default();
        let (region, client) = self.at();
        let answer = once(client, answered.clone(), token.clone()).await;
        let answer = if answer.is_err() && self.moves(&region, &answered) {
            once(self.at().1, answered, token).await
        } else {
            answer
        };
        answer.and_then(counted)
    }

    async fn get(&self, key: &str, range: Option<&str>) -> Result<GetObjectOutput, Refusal> {
        let once = |client: Client, answered: BucketRegion| async move {
            let request = client.get_object().bucket(&self.name).key(key).set_range(range.map(str::to_owned));
            self.caller.call(&GET_OBJECT, request.customize().interceptor(answered).send()).await
        };
        let answered = BucketRegion::default();
        let (region, client) = self.at();
        let answer = once(client, answered.clone()).await;
        let answer =
            if answer.is_err() && self.moves(&region, &answered) { once(self.at().1, answered).await } else { answer };
        answer.map_err(of_key)
    }

    /// Whether an object may be read; its first byte is.
    pub(crate) async fn try_get(&self, key: &str) -> Result<(), Refusal> {
        self.get(key, Some("bytes=0-0")).await.map(drop)
    }

    /// An object's bytes, whole.
    pub(crate) async fn bytes(&self, key: &str, size: Option<u64>, room: &Room) -> Result<Vec<u8>, Missed> {
        let mut attempt = 1;
        loop {
            match self.once(key, size, room).await {
                Err(missed) if attempt < BODY_ATTEMPTS && is_broken_off(&missed) => attempt += 1,
                outcome => return outcome,
            }
        }
    }

    async fn once(&self, key: &str, size: Option<u64>, room: &Room) -> Result<Vec<u8>, Missed> {
        let answer = self.get(key, None).await.map_err(Missed::new)?;
        let length = answer.content_length().and_then(|length| u64::try_from(length).ok());
        if let Some(too_large) = length.and_then(|length| room.too_large(GET_OBJECT.action, length)) {
            return Err(too_large);
        }
        let missed =
            |reason, detail: String| Missed { action: GET_OBJECT.action.to_owned(), reason, detail, gone: false };
        let mut bytes = Vec::with_capacity(length.and_then(|length| usize::try_from(length).ok()).unwrap_or_default());
        let mut body = answer.body;
        loop {
            let piece = tokio::time::timeout(self.patience, body.try_next()).await;
            match piece {
                Err(_) => return Err(missed(GapReason::Timeout, BROKEN_OFF.to_owned())),
                Ok(Err(_)) => return Err(missed(GapReason::Unreachable, BROKEN_OFF.to_owned())),
                Ok(Ok(None)) => break,
                Ok(Ok(Some(piece))) => bytes.extend_from_slice(&piece),
            }
            let so_far = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            if let Some(too_large) = room.too_large(GET_OBJECT.action, so_far) {
                return Err(too_large);
            }
        }
        let got = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        match size.filter(|size| *size != got) {
            Some(size) => Err(missed(GapReason::Malformed, format!("{got} bytes came of {size}: {BROKEN_OFF}"))),
            None => Ok(bytes),
        }
    }
}

const BROKEN_OFF: &str = "the object broke off";

fn is_broken_off(missed: &Missed) -> bool {
    missed.detail.ends_with(BROKEN_OFF)
}

/// A refusal to decrypt comes as one of `GetObject`: the message names the action that is missing.
fn of_key(refusal: Refusal) -> Refusal {
    let by_key =
        refusal.code.as_deref().is_some_and(|code| code.starts_with("KMS.")) || refusal.detail.contains(DECRYPT.action);
    if by_key { Refusal { action: DECRYPT.action, reason: GapReason::Denied, ..refusal } } else { refusal }
}

/// A page that holds as many keys as it says. S3 leaves the list out where there are none, so only the
/// number tells an empty page from one whose list was lost.
fn counted(page: ListObjectsV2Output) -> Result<ListObjectsV2Output, Refusal> {
    let held = page.contents().len() + page.common_prefixes().len();
    let non_empty = page.key_count().and_then(|count| usize::try_from(count).ok());
    if non_empty != Some(held) {
        let non_empty = non_empty.map_or_else(|| "no number".to_owned(), |non_empty| non_empty.to_string());
        let fault = format!("the answer holds {held} keys, and says that there are {non_empty}");
        return Err(Refusal::malformed(&LIST_BUCKET, fault));
    }
    if page.is_truncated().is_none() {
        return Err(Refusal::malformed(&LIST_BUCKET, "the answer does not say whether it is the last page"));
    }
    Ok(page)
}
