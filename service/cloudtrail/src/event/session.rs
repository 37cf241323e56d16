//! The session that a record tells of.

use super::parts::{Identity, Request};
use super::{Event, PODS, bounded, missing, owned, str_of};
use crate::problem::{Fault, ProblemKind};
use rolecall_estate::id::Region;
use rolecall_estate::{Actor, Session, SessionKind, Tags, VpcEndpoint};

impl Event<'_> {
    /// The session that the record tells of; `None` where it tells of another thing.
    pub(crate) fn session(&self) -> Result<Option<Session>, Fault> {
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
            attribution: None,
        }))
    }
}

impl Event<'_> {
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
    pub(super) fn actor(&self) -> Result<Actor, Fault> {
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
