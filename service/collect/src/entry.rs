//! The hub's credentials, and stepping from there into each account.
//!
//! Knows: how the SDK finds credentials, how a role is assumed and how the new credentials are
//! renewed. Refuses to know what is read with them.

use crate::call::{Caller, CompleteAnswer, Holder, PermissionUse, Refusal};
use crate::plan::{Hub, Plan, Target};
use aws_config::identity::IdentityCache;
use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use aws_sdk_sts::config::retry::RetryPartition;
use aws_smithy_http_client::tls;
use rolecall_estate::coverage::GapReason;
use rolecall_estate::id::Region;
use rolecall_iam::{AccountId, Arn, RoleArn};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

pub(crate) static ASSUME_ROLE: PermissionUse =
    PermissionUse { action: "sts:AssumeRole", holder: Holder::Hub, why: "to step into each audited account" };

/// Needs no permission, so it is not among [`ACTIONS`].
static GET_CALLER_IDENTITY: PermissionUse =
    PermissionUse { action: "sts:GetCallerIdentity", holder: Holder::Hub, why: "to know the hub's own account" };

pub(crate) static ACTIONS: [&PermissionUse; 1] = [&ASSUME_ROLE];

/// Why a scan could not even begin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CannotStart {
    /// No region anywhere.
    #[error("no AWS region is set: set AWS_REGION, or `region` in the configuration or the AWS profile")]
    NoRegion,
    /// The region of the environment is not a region's name.
    #[error("`{0}` is not an AWS region: set AWS_REGION to a region code such as eu-west-1")]
    BadRegion(String),
    /// No credentials anywhere.
    #[error("no AWS credentials were found: set AWS_PROFILE or AWS_ACCESS_KEY_ID, or run `aws sso login` ({0})")]
    NoCredentials(String),
    /// Credentials that AWS does not accept (any more).
    #[error("AWS does not accept the credentials: sign in again, or renew the keys ({0})")]
    BadCredentials(String),
    /// No answer, or none of AWS's.
    #[error("no answer from {endpoint}: check the network, the proxy and AWS_ENDPOINT_URL ({detail})")]
    Unreachable {
        /// Where an answer was looked for.
        endpoint: String,
        /// What happened.
        detail: String,
    },
    /// AWS refused even to say who we are.
    #[error("AWS refused sts:GetCallerIdentity ({0})")]
    Refused(String),
}

/// The hub: a configuration that every account's is made from, and who it is.
#[derive(Debug)]
pub(crate) struct HubSession {
    pub(crate) config: SdkConfig,
    pub(crate) account_id: AccountId,
    pub(crate) partition: String,
    pub(crate) region: Region,
}

impl HubSession {
    pub(crate) async fn open(plan: &Plan, caller: &Caller) -> Result<Self, CannotStart> {
        let config = sdk_config(plan).await;
        let region = config.region().ok_or(CannotStart::NoRegion)?.to_string();
        let region: Region = region.parse().map_err(|_| CannotStart::BadRegion(region))?;
        let endpoint = config.endpoint_url().map_or_else(|| format!("AWS STS in {region}"), str::to_owned);
        let sts = sts(&config, "hub");
        let identity = caller.call(&GET_CALLER_IDENTITY, sts.get_caller_identity().send()).await.map_err(
            |refusal| match refusal.reason {
                // The SDK goes on with a list of every place that it looked in.
                GapReason::Credentials if refusal.code.is_none() => {
                    CannotStart::NoCredentials(refusal.detail.trim_end_matches(". Attempted:").to_owned())
                }
                GapReason::Credentials => CannotStart::BadCredentials(refusal.detail),
                GapReason::Denied | GapReason::Throttled => CannotStart::Refused(refusal.detail),
                _ => CannotStart::Unreachable { endpoint: endpoint.clone(), detail: refusal.detail },
            },
        )?;
        let account_id = identity.account().and_then(|id| id.parse().ok()).ok_or_else(|| CannotStart::Unreachable {
            endpoint,
            detail: "the answer to GetCallerIdentity names no account".to_owned(),
        })?;
        let arn: Option<Arn> = identity.arn().and_then(|arn| arn.parse().ok());
        let partition = arn.as_ref().map_or("aws", Arn::partition).to_owned();
        Ok(Self { config, account_id, partition, region })
    }

    /// The region whose trail holds what is not regional: calls to the global STS endpoint.
    pub(crate) fn global_region(&self) -> Option<Region> {
        let name = match &*self.partition {
            "aws-cn" => "cn-north-1",
            "aws-us-gov" => "us-gov-west-1",
            _ => "us-east-1",
        };
        name.parse().ok()
    }

    /// Steps into an account. The hub's own account needs no such role: where it has none, the hub's
    /// own credentials do. With the role's name, where one was assumed.
    pub(crate) async fn enter(
        &self,
        plan: &Plan,
        target: &Target,
        caller: &Caller,
    ) -> Result<(SdkConfig, Option<String>), Refusal> {
        let settings = &plan.settings;
        let usual = || format!("arn:{}:iam::{}:role/{}", self.partition, target.account_id, settings.role_name);
        let role = AssumedRole {
            sts: sts(&self.config, &format!("sts-{}", target.account_id)),
            role_arn: target.role_arn.as_ref().map_or_else(usual, |arn| arn.as_str().to_owned()),
            external_id: target.external_id.clone().or_else(|| settings.external_id.clone()),
            session_name: settings.session_name.clone(),
            first: Mutex::default(),
        };
        let name = role.role_arn.rsplit('/').next().map(str::to_owned);
        match role.enter(&self.config, caller).await {
            Err(refusal) if refusal.reason == GapReason::Denied && target.account_id == self.account_id => {
                tracing::debug!(detail = %refusal.detail, "the hub's own account is read with the hub's own credentials");
                Ok((self.config.clone(), None))
            }
            entered => Ok((entered?, name)),
        }
    }
}

/// Assumes a role that is named, from a configuration; there is nothing else in its place.
pub(crate) async fn assume(
    plan: &Plan,
    config: &SdkConfig,
    role_arn: &RoleArn,
    external_id: Option<&str>,
    caller: &Caller,
) -> Result<SdkConfig, Refusal> {
    let role = AssumedRole {
        sts: sts(config, &format!("sts-{}", role_arn.account_id())),
        role_arn: role_arn.as_str().to_owned(),
        external_id: external_id.map(str::to_owned),
        session_name: plan.settings.session_name.clone(),
        first: Mutex::default(),
    };
    role.enter(config, caller).await
}

pub(crate) async fn sdk_config(plan: &Plan) -> SdkConfig {
    let settings = &plan.settings;
    let timeout = settings.call_timeout;
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::AwsLc))
        .build_https();
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(timeout.min(Duration::from_secs(5)))
        .operation_attempt_timeout(timeout)
        .operation_timeout(timeout.saturating_mul(settings.attempts))
        .build();
    let retry = RetryConfig::adaptive().with_max_attempts(settings.attempts);
    // The timeouts bound every answer, as all are small and read completely.
    let stalls = StalledStreamProtectionConfig::disabled();
    match &settings.hub {
        Hub::Environment { profile, region, endpoint_url } => {
            let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
                .http_client(http)
                .timeout_config(timeouts)
                .stalled_stream_protection(stalls)
                .retry_config(retry);
            if let Some(profile) = profile {
                loader = loader.profile_name(profile);
            }
            if let Some(region) = region {
                loader = loader.region(sdk_region(region));
            }
            if let Some(endpoint) = endpoint_url {
                loader = loader.endpoint_url(endpoint);
            }
            loader.load().await
        }
        Hub::Keys(keys) => {
            let mut builder = SdkConfig::builder()
                .behavior_version(BehaviorVersion::v2026_01_12())
                .http_client(http)
                .timeout_config(timeouts)
                .stalled_stream_protection(stalls)
                .retry_config(retry)
                .region(sdk_region(&keys.region))
                .identity_cache(IdentityCache::lazy().build())
                .credentials_provider(SharedCredentialsProvider::new(keys.credentials.clone()));
            builder.set_endpoint_url(keys.endpoint_url.clone());
            builder.build()
        }
    }
}

pub(crate) fn sdk_region(region: &Region) -> aws_config::Region {
    aws_config::Region::new(region.as_str().to_owned())
}

/// The SDK slows down all clients of one partition together when AWS throttles one of them. AWS
/// throttles by account, so each account is a partition of its own.
pub(crate) fn partition(service: &str, region: &str, account: &str) -> RetryPartition {
    RetryPartition::new(format!("{service}-{region}-{account}"))
}

fn sts(config: &SdkConfig, partition_name: &str) -> aws_sdk_sts::Client {
    let region = config.region().map(ToString::to_string).unwrap_or_default();
    let config = aws_sdk_sts::config::Builder::from(config)
        .retry_partition(partition("sts", &region, partition_name))
        .interceptor(CompleteAnswer);
    aws_sdk_sts::Client::from_conf(config.build())
}

/// Credentials of an assumed role. The first ones are those that the entry got; when they run out,
/// the role is assumed again.
#[derive(Debug)]
struct AssumedRole {
    sts: aws_sdk_sts::Client,
    role_arn: String,
    external_id: Option<String>,
    session_name: String,
    first: Mutex<Option<Credentials>>,
}

impl AssumedRole {
    /// The configuration with this role's credentials, after it was assumed once.
    async fn enter(self, config: &SdkConfig, caller: &Caller) -> Result<SdkConfig, Refusal> {
        let answer = caller.call(&ASSUME_ROLE, self.request().send()).await?;
        let credentials = credentials(answer)
            .ok_or_else(|| Refusal::malformed(&ASSUME_ROLE, "the answer to AssumeRole holds no credentials"))?;
        *self.first.lock().unwrap_or_else(PoisonError::into_inner) = Some(credentials);
        let config = config.to_builder().credentials_provider(SharedCredentialsProvider::new(self));
        Ok(config.identity_cache(IdentityCache::lazy().build()).build())
    }

    fn request(&self) -> aws_sdk_sts::operation::assume_role::builders::AssumeRoleFluentBuilder {
        self.sts
            .assume_role()
            .role_arn(&self.role_arn)
            .role_session_name(&self.session_name)
            .set_external_id(self.external_id.clone())
    }
}

impl ProvideCredentials for AssumedRole {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        if let Some(first) = self.first.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return future::ProvideCredentials::ready(Ok(first));
        }
        future::ProvideCredentials::new(async {
            let answer = self.request().send().await.map_err(CredentialsError::provider_error)?;
            credentials(answer)
                .ok_or_else(|| CredentialsError::unhandled("the answer to AssumeRole holds no credentials"))
        })
    }
}

fn credentials(answer: aws_sdk_sts::operation::assume_role::AssumeRoleOutput) -> Option<Credentials> {
    let given = answer.credentials?;
    // The SDK reads parts that an answer lacks as empty texts.
    if [&given.access_key_id, &given.secret_access_key, &given.session_token].into_iter().any(String::is_empty) {
        return None;
    }
    let expiry = given.expiration.try_into().ok()?;
    Some(Credentials::new(
        given.access_key_id,
        given.secret_access_key,
        Some(given.session_token),
        Some(expiry),
        "rolecall",
    ))
}
