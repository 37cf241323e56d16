//! A small estate to begin tests from: one account with one cluster, one association and the role
//! behind it, all seen, and nothing wrong with any of it.

use rolecall_estate::coverage::{Gap, GapReason, Scope, ScopeKind};
use rolecall_estate::{
    Account, Addon, Association, AssociationDetail, AssociationKey, AttachedPolicy, Cluster, CompleteRange, Estate,
    EventScope, InlinePolicy, ManagedPolicy, OrgPolicy, OrgPolicyKind, OrgUnit, Recorded, ResourceKind, Role, Session,
    SessionKind, Snapshot, Tags, Trail, TrailMemory,
};
use rolecall_iam::{AccountId, Arn};

pub(crate) const HOME: &str = "111122223333";
pub(crate) const AWAY: &str = "444455556666";
pub(crate) const REGION: &str = "eu-west-1";
pub(crate) const CLUSTER: &str = "prod";
pub(crate) const API: &str = "arn:aws:iam::111122223333:role/api";
pub(crate) const DATA: &str = "arn:aws:iam::444455556666:role/data";
pub(crate) const UUID: &str = "498124c2-a555-40bf-9059-ca9a26821eb0";

/// A trust policy for EKS Pod Identity that is bound to the cluster.
pub(crate) const BOUND: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow",
    "Principal":{"Service":"pods.eks.amazonaws.com"},"Action":["sts:AssumeRole","sts:TagSession"],
    "Condition":{"ArnEquals":{"aws:SourceArn":"arn:aws:eks:eu-west-1:111122223333:cluster/prod"}}}]}"#;

/// A trust policy for EKS Pod Identity as AWS's guide has it, without conditions.
pub(crate) const OPEN: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow",
    "Principal":{"Service":"pods.eks.amazonaws.com"},"Action":["sts:AssumeRole","sts:TagSession"]}]}"#;

/// One Allow statement as a policy; `rest` are further members.
pub(crate) fn allow(rest: &str) -> String {
    format!(r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow",{rest}}}]}}"#)
}

pub(crate) fn id(text: &str) -> AccountId {
    text.parse().unwrap()
}

/// Builds an estate step by step.
#[derive(Clone)]
pub(crate) struct Small(pub(crate) Estate);

impl Small {
    pub(crate) fn new() -> Self {
        let mut small = Self(Estate::default());
        for (account, ou) in [(HOME, "/prod"), (AWAY, "/data")] {
            small.0.accounts.push(Account {
                id: id(account),
                name: None,
                ou_path: Some(ou.to_owned()),
                status: None,
                is_management: false,
                organization_id: Some("o-abc".to_owned()),
            });
            for kind in [
                ScopeKind::Entry,
                ScopeKind::Roles,
                ScopeKind::Policies,
                ScopeKind::OidcProviders,
                ScopeKind::OidcProviderDetails,
            ] {
                small.0.coverage.complete(Scope::global(id(account), kind));
            }
            for kind in [ScopeKind::Clusters, ScopeKind::Trails, ScopeKind::Sessions] {
                small.0.coverage.complete(Scope::regional(id(account), kind, REGION.parse().unwrap()));
            }
        }
        for kind in [ScopeKind::Organization, ScopeKind::OrgPolicies] {
            small.0.coverage.complete(Scope::global(id(HOME), kind));
        }
        let unit = |unit: &str, parent: Option<&str>, path: &str| OrgUnit {
            account_id: id(HOME),
            id: unit.to_owned(),
            parent: parent.map(str::to_owned),
            path: path.to_owned(),
        };
        small.0.org_units =
            vec![unit("r-1", None, "/"), unit("ou-1", Some("r-1"), "/prod"), unit("ou-2", Some("r-1"), "/data")];
        let everything = allow(r#""Action":"*","Resource":"*""#);
        small = small.scp("FullAWSAccess", &everything, &["r-1", "ou-1", "ou-2", HOME, AWAY]);
        small.0.trails.push(Trail {
            account_id: id(HOME),
            region: REGION.parse().unwrap(),
            arn: format!("arn:aws:cloudtrail:{REGION}:{HOME}:trail/all"),
            name: "all".to_owned(),
            bucket: Some("trail".to_owned()),
            is_multi_region: true,
            is_organization: false,
            records_read_only_management: Some(true),
            recorded: Some(Recorded {
                management_reads: true,
                management_writes: true,
                data: ["AWS::S3::Object".to_owned()].into(),
                ..Recorded::default()
            }),
            status: None,
        });
        small.0.memory = TrailMemory {
            at: Some("2026-11-23T00:00:00Z".parse().unwrap()),
            complete_ranges: vec![CompleteRange {
                source: "bucket".to_owned(),
                account_id: id(HOME),
                region: REGION.parse().unwrap(),
                from: "2026-11-16T00:00:00Z".parse().unwrap(),
                to: "2026-11-22T22:00:00Z".parse().unwrap(),
                event_scope: EventScope::Bucket("trail".to_owned()),
                all_regions: false,
            }],
            ..TrailMemory::default()
        };
        small = small.cluster(CLUSTER);
        let read = allow(r#""Action":"s3:GetObject","Resource":"arn:aws:s3:::orders/*""#);
        small.role(API, BOUND, &[("own", &read)]).association("pay", "api", API)
    }

    pub(crate) fn scp(mut self, name: &str, document: &str, targets: &[&str]) -> Self {
        let document = self.0.documents.read(document);
        self.0.org_policies.push(OrgPolicy {
            account_id: id(HOME),
            id: format!("p-{name}"),
            kind: OrgPolicyKind::Scp,
            name: name.to_owned(),
            document,
            targets: targets.iter().map(ToString::to_string).collect(),
        });
        self
    }

    pub(crate) fn cluster(mut self, name: &str) -> Self {
        for kind in [
            ScopeKind::ClusterDetails,
            ScopeKind::Associations,
            ScopeKind::AssociationDetails,
            ScopeKind::Addons,
            ScopeKind::AccessEntries,
        ] {
            let scope = Scope::of_cluster(id(HOME), kind, REGION.parse().unwrap(), name.parse().unwrap());
            self.0.coverage.complete(scope);
        }
        self.0.clusters.push(Cluster {
            account_id: id(HOME),
            region: REGION.parse().unwrap(),
            name: name.parse().unwrap(),
            arn: format!("arn:aws:eks:{REGION}:{HOME}:cluster/{name}"),
            created_at: None,
            version: Some("1.33".to_owned()),
            status: Some("ACTIVE".to_owned()),
            role_arn: None,
            oidc_issuer: None,
            authentication_mode: None,
            auto_mode: Some(false),
            addons: Some(vec![Addon {
                name: "eks-pod-identity-agent".to_owned(),
                version: None,
                status: None,
                service_account_role_arn: None,
                association_arns: Vec::new(),
                health_issues: Vec::new(),
            }]),
            access_entries: Some(Vec::new()),
            tags: Tags::new(),
        });
        self
    }

    /// Adds a role, or replaces the one of this ARN.
    pub(crate) fn role(mut self, arn: &str, trust: &str, inline: &[(&str, &str)]) -> Self {
        let trust = self.0.documents.read(trust);
        let inline = inline
            .iter()
            .map(|(name, text)| InlinePolicy { name: (*name).to_owned(), document: self.0.documents.read(text) })
            .collect();
        self.0.roles.retain(|role| role.arn.as_str() != arn);
        self.0.roles.push(Role {
            arn: arn.parse().unwrap(),
            role_id: format!("AROA{:0>16}", arn.len()),
            created_at: None,
            trust: Some(trust),
            inline,
            attached: Vec::new(),
            boundary: None,
            instance_profiles: Vec::new(),
            tags: Tags::new(),
        });
        self
    }

    /// Gives the API role this inline policy and no other.
    pub(crate) fn may(self, policy: &str) -> Self {
        self.role(API, BOUND, &[("own", policy)])
    }

    /// Gives the API role this trust policy.
    pub(crate) fn trust(self, trust: &str) -> Self {
        self.role(API, trust, &[])
    }

    pub(crate) fn managed(mut self, arn: &str, document: &str) -> Self {
        let document = self.0.documents.read(document);
        let arn: Arn = arn.parse().unwrap();
        self.0.policies.push(ManagedPolicy {
            account_id: id(HOME),
            name: arn.resource().rsplit('/').next().unwrap().to_owned(),
            arn,
            policy_id: "ANPA".to_owned(),
            default_version: "v1".to_owned(),
            document: Some(document),
            updated_at: None,
        });
        self
    }

    pub(crate) fn attach(mut self, arn: &str) -> Self {
        let attached = AttachedPolicy { arn: arn.parse().unwrap(), name: String::new() };
        self.change_role(|role| role.attached.push(attached));
        self
    }

    pub(crate) fn boundary(mut self, arn: &str) -> Self {
        self.change_role(|role| role.boundary = Some(arn.parse().unwrap()));
        self
    }

    pub(crate) fn change_role(&mut self, change: impl FnOnce(&mut Role)) {
        change(self.0.roles.iter_mut().find(|role| role.arn.as_str() == API).unwrap());
    }

    pub(crate) fn association(mut self, namespace: &str, service_account: &str, role: &str) -> Self {
        let key = AssociationKey {
            account_id: id(HOME),
            region: REGION.parse().unwrap(),
            cluster: CLUSTER.parse().unwrap(),
            namespace: namespace.parse().unwrap(),
            service_account: service_account.parse().unwrap(),
        };
        self.0.associations.push(Association {
            association_id: format!("a-{namespace}-{service_account}"),
            arn: format!("arn:aws:eks:{REGION}:{HOME}:podidentityassociation/{CLUSTER}/a-{namespace}"),
            detail: Some(AssociationDetail {
                role_arn: role.to_owned(),
                target_role_arn: None,
                external_id: None,
                disable_session_tags: false,
                policy: None,
                tags: Tags::new(),
                created_at: Some("2026-11-01T00:00:00Z".parse().unwrap()),
                modified_at: None,
                extra: std::collections::BTreeMap::new(),
            }),
            owner_arn: None,
            key,
        });
        self
    }

    /// Changes the first association's description.
    pub(crate) fn detail(mut self, change: impl FnOnce(&mut AssociationDetail)) -> Self {
        change(self.0.associations[0].detail.as_mut().unwrap());
        self
    }

    pub(crate) fn session_policy(mut self, document: &str) -> Self {
        let digest = self.0.documents.read(document);
        self.detail(|detail| {
            detail.policy = Some(digest);
            detail.disable_session_tags = true;
        })
    }

    /// Sends the first association on to the data role, which has this trust policy.
    pub(crate) fn target(self, trust: &str) -> Self {
        let hop = allow(&format!(r#""Action":["sts:AssumeRole","sts:TagSession"],"Resource":"{DATA}""#));
        self.may(&hop).role(DATA, trust, &[]).detail(|detail| {
            detail.target_role_arn = Some(DATA.to_owned());
            detail.external_id = Some(format!("{REGION}/{HOME}/{CLUSTER}/pay/api"));
        })
    }

    pub(crate) fn session(mut self, kind: SessionKind, principal: &str, name: &str, tags: &[(&str, &str)]) -> Self {
        let number = self.0.sessions.len();
        self.0.sessions.push(Session {
            event_id: format!("e-{number}"),
            account_id: id(HOME),
            region: REGION.parse().unwrap(),
            at: "2026-11-20T09:20:04Z".parse().unwrap(),
            kind,
            role_arn: Some(API.to_owned()),
            session_name: Some(name.to_owned()),
            access_key_id: None,
            principal: principal.to_owned(),
            principal_type: "AWSService".to_owned(),
            parent_access_key_id: None,
            source_ip: None,
            tags: tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
            external_id: None,
            duration_seconds: None,
            vpc_endpoint: None,
            packed_policy_size: None,
            attribution: None,
            error: None,
            cluster: None,
        });
        self
    }

    /// Has the listings of a kind refused in the latest scan: what they and those that depend on them
    /// showed before is only remembered.
    pub(crate) fn gap(mut self, kind: ScopeKind) -> Self {
        self = self.cut(kind);
        let of_kind: Vec<Scope> = self.scopes(kind).collect();
        let below = |scope: &&Scope| scope.depends_on().iter().any(|above| of_kind.contains(above));
        let scopes: Vec<Scope> = self.0.coverage.scopes().map(|(scope, _)| scope.clone()).collect();
        for scope in scopes.iter().filter(below) {
            self.0.coverage.gap(Gap {
                scope: scope.clone(),
                action: action_of(kind).to_owned(),
                reason: GapReason::NotReached,
                detail: String::new(),
                day: None,
            });
        }
        let refused: Vec<ScopeKind> = scopes.iter().filter(below).map(|scope| scope.kind).chain([kind]).collect();
        for kind in refused {
            self.forget(kind);
        }
        self
    }

    /// Has a CloudTrail file of a day be damaged.
    pub(crate) fn torn(mut self, day: &str) -> Self {
        let day = Some(day.parse().unwrap());
        for scope in self.scopes(ScopeKind::Sessions).collect::<Vec<Scope>>() {
            let (action, reason) = ("rolecall:ReadTrail".to_owned(), GapReason::Malformed);
            self.0.coverage.gap(Gap { scope, action, reason, detail: String::new(), day });
        }
        self
    }

    /// Has the listings of a kind break off after what they showed.
    pub(crate) fn cut(mut self, kind: ScopeKind) -> Self {
        let scopes: Vec<Scope> = self.scopes(kind).collect();
        assert!(!scopes.is_empty(), "no scope of kind {kind}");
        for scope in scopes {
            self.0.coverage.gap(Gap {
                scope,
                action: action_of(kind).to_owned(),
                reason: GapReason::Denied,
                detail: String::new(),
                day: None,
            });
        }
        self
    }

    fn scopes(&self, kind: ScopeKind) -> impl Iterator<Item = Scope> {
        self.0.coverage.scopes().map(|(scope, _)| scope.clone()).filter(move |scope| scope.kind == kind)
    }

    /// Notes everything that listings of a kind show as not shown by the latest scan.
    fn forget(&mut self, kind: ScopeKind) {
        let Estate { snapshot, unconfirmed, .. } = &mut self.0;
        let Snapshot { roles, policies, clusters, associations, trails, org_policies, org_units, .. } = snapshot;
        match kind {
            ScopeKind::Roles => {
                roles.iter().for_each(|it| unconfirmed.add(ResourceKind::Role, it.arn.account_id(), it.arn.as_str()));
            }
            ScopeKind::Policies => {
                policies.iter().for_each(|it| unconfirmed.add(ResourceKind::Policy, it.account_id, it.arn.as_str()));
            }
            ScopeKind::Clusters => {
                clusters.iter().for_each(|it| unconfirmed.add(ResourceKind::Cluster, it.account_id, it.key()));
            }
            ScopeKind::Associations | ScopeKind::AssociationDetails => {
                let part = if kind == ScopeKind::Associations {
                    ResourceKind::Association
                } else {
                    ResourceKind::AssociationDetail
                };
                associations.iter().for_each(|it| unconfirmed.add(part, it.key.account_id, it.key.to_string()));
            }
            ScopeKind::Trails => {
                trails.iter().for_each(|it| unconfirmed.add(ResourceKind::Trail, it.account_id, it.arn.as_str()));
            }
            ScopeKind::OrgPolicies => {
                org_policies
                    .iter()
                    .for_each(|it| unconfirmed.add(ResourceKind::OrgPolicy, it.account_id, it.id.as_str()));
            }
            ScopeKind::Organization => {
                org_units.iter().for_each(|it| unconfirmed.add(ResourceKind::OrgUnit, it.account_id, it.id.as_str()));
            }
            ScopeKind::Addons => {
                clusters.iter().for_each(|it| unconfirmed.add(ResourceKind::ClusterAddons, it.account_id, it.key()));
            }
            ScopeKind::Entry
            | ScopeKind::OidcProviders
            | ScopeKind::OidcProviderDetails
            | ScopeKind::ClusterDetails
            | ScopeKind::AccessEntries
            | ScopeKind::Sessions => {}
        }
    }
}

/// An action whose refusal makes a gap in a scope.
pub(crate) fn action_of(kind: ScopeKind) -> &'static str {
    match kind {
        ScopeKind::Entry => "sts:AssumeRole",
        ScopeKind::Organization => "organizations:ListAccounts",
        ScopeKind::OrgPolicies => "organizations:ListPolicies",
        ScopeKind::Roles | ScopeKind::Policies => "iam:GetAccountAuthorizationDetails",
        ScopeKind::OidcProviders => "iam:ListOpenIDConnectProviders",
        ScopeKind::OidcProviderDetails => "iam:GetOpenIDConnectProvider",
        ScopeKind::Clusters => "eks:ListClusters",
        ScopeKind::ClusterDetails => "eks:DescribeCluster",
        ScopeKind::Associations => "eks:ListPodIdentityAssociations",
        ScopeKind::AssociationDetails => "eks:DescribePodIdentityAssociation",
        ScopeKind::Addons => "eks:ListAddons",
        ScopeKind::AccessEntries => "eks:ListAccessEntries",
        ScopeKind::Trails => "cloudtrail:DescribeTrails",
        ScopeKind::Sessions => "cloudtrail:LookupEvents",
    }
}
