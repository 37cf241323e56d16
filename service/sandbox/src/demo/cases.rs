//! What is wrong on purpose: each problem at least once, on a workload that a team might have built
//! in a hurry.

use super::people::trust_arn;
use super::workloads::pod_role;
use super::{COMMERCE, DATA, Draft, EDGE, LAB, PAY, PAYMENTS, SHOP, VENDOR, arn_of, key, problem, role_arn};
use crate::build::{self, PODS, Role, allow, document, trust_pods, trust_pods_of, trust_service, with};
use crate::estate::text;
use serde_json::{Value, json};

pub(super) fn add(draft: &mut Draft) {
    too_much(draft);
    trusts(draft);
    hops(draft);
    refused_hop(draft);
    places(draft);
    tags(draft);
    unreadable(draft);
}

/// Policies that give too much.
fn too_much(draft: &mut Draft) {
    let uploads = "arn:aws:s3:::settlement-files-444455556666";
    let role = draft.role(
        pod_role(PAY, "settlement", "settlement-uploads")
            .inline("files", document(vec![allow(&["s3:*"], &[uploads, &format!("{uploads}/*")])])),
    );
    draft.expect(problem::WILDCARD_ACTION, role.clone(), "s3:* where three actions would do");
    draft.associate(PAY, "settlement", "uploads", &role);

    let repositories = "arn:aws:ecr:eu-west-1:777788889999:repository/*";
    let release = draft.role(
        pod_role(SHOP, "delivery", "delivery-release-bot")
            .inline("release", document(vec![allow(&["ecr:BatchGetImage", "ecr:PutImage"], &[repositories])]))
            .attach_aws("AdministratorAccess"),
    );
    draft.expect(problem::ADMIN, release.clone(), "AdministratorAccess is attached");
    draft.associate(SHOP, "delivery", "release-bot", &release);

    let migrator = draft
        .role(pod_role(PAY, "ledger", "ledger-migrator").inline("everything", document(vec![allow(&["*"], &["*"])])));
    draft.expect(problem::ADMIN, migrator.clone(), "all actions on all resources, inline");
    draft.associate(PAY, "ledger", "migrator", &migrator);

    let indexer = draft.role(pod_role(SHOP, "catalogue", "catalogue-importer").inline(
        "import",
        document(vec![allow(&["dynamodb:DeleteItem", "dynamodb:PutItem", "s3:DeleteObject"], &["*"])]),
    ));
    draft.expect(problem::WILDCARD_RESOURCE, indexer.clone(), "writes to any table and any bucket");
    draft.associate(SHOP, "catalogue", "importer", &indexer);

    let grants = draft.role(
        pod_role(LAB, "analytics", "analytics-provisioner")
            .inline("provision", document(vec![allow(&["iam:AttachRolePolicy", "iam:PutRolePolicy"], &["*"])])),
    );
    draft.expect(problem::WILDCARD_RESOURCE, grants.clone(), "grants permissions to any role");
    draft.associate(LAB, "analytics", "provisioner", &grants);

    let explorer = draft.role(pod_role(LAB, "notebooks", "notebooks-explorer").inline("explore", document(vec![
        json!({"Sid": "AllButIdentity", "Effect": "Allow", "NotAction": ["iam:*", "organizations:*", "account:*"], "Resource": "*"}),
    ])));
    draft.expect(
        problem::NOT_ACTION,
        explorer.clone(),
        "everything that is not named is allowed, and what AWS adds tomorrow",
    );
    draft.associate(LAB, "notebooks", "explorer", &explorer);

    let runner = draft.role(pod_role(LAB, "analytics", "analytics-job-runner").inline(
        "run",
        document(vec![
            allow(&["iam:PassRole"], &["*"]),
            allow(&["glue:GetJobRun", "glue:StartJobRun"], &["arn:aws:glue:eu-west-1:123456789012:job/*"]),
        ]),
    ));
    draft.expect(problem::PASS_ROLE, runner.clone(), "any role can be passed to any service");
    draft.associate(LAB, "analytics", "job-runner", &runner);
}

/// Trust policies that let too many in, or the right one not at all.
fn trusts(draft: &mut Draft) {
    let bucket =
        |name: &str| document(vec![allow(&["s3:GetObject", "s3:PutObject"], &[&format!("arn:aws:s3:::{name}/*")])]);
    for (place, namespace, service_account) in [
        (PAY, "observability", "collector"),
        (SHOP, "media", "transcoder"),
        (EDGE, "edge", "geo-cache"),
        (LAB, "notebooks", "hub"),
    ] {
        let name = format!("{namespace}-{service_account}");
        let role =
            draft.role(Role::new(place.0, &name, trust_pods()).inline("files", bucket(&name)).tag("owner", namespace));
        draft.expect(problem::UNSCOPED_TRUST, role.clone(), "any cluster of the account may be given this role");
        draft.associate(place, namespace, service_account, &role);
    }

    let mut trust = trust_pods_of(&arn_of(PAY), "ledger");
    if let Some(actions) = trust.pointer_mut("/Statement/0/Action") {
        *actions = json!("sts:AssumeRole");
    }
    let writer = draft.role(
        Role::at(PAYMENTS, "/pods/", "ledger-archiver", trust).inline("files", bucket("ledger-archive-444455556666")),
    );
    draft.expect(
        problem::NO_TAG_SESSION,
        key(PAY, "ledger", "archiver"),
        "the tags are sent, and the trust does not admit them",
    );
    // Never a session: the agent is refused, every day.
    draft.associate_idle(PAY, "ledger", "archiver", &writer, json!({}));

    let untagged = draft.role(Role::at(PAYMENTS, "/pods/", "fraud-labeller", document(vec![json!({"Effect": "Allow",
        "Principal": {"Service": PODS}, "Action": "sts:AssumeRole", "Condition": {"StringEquals": {"aws:SourceAccount": PAYMENTS},
            "ArnEquals": {"aws:SourceArn": arn_of(PAY)}}})])).inline("files", bucket("fraud-labels-444455556666")));
    draft.spare(problem::NO_TAG_SESSION, key(PAY, "fraud", "labeller"), "the association sends no tags");
    draft.associate_with(PAY, "fraud", "labeller", &untagged, json!({"disableSessionTags": true}));

    let broken = document(vec![
        json!({"Effect": "Allow", "Principal": {"Service": PODS}, "Action": ["sts:AssumeRole", "sts:TagSession"],
        "Condition": {"ArnLike": {"aws:SourceArn": format!("arn:aws:eks:eu-west-1:{COMMERCE}:podidentityassociation/{}/*", SHOP.2)}}}),
    ]);
    let mount = draft.role(
        Role::at(COMMERCE, "/pods/", "shipping-archive-mount", broken)
            .inline("files", bucket("shipping-archive-777788889999")),
    );
    draft.expect(
        problem::BROKEN_SOURCE_ARN,
        key(SHOP, "shipping", "archive-mount"),
        "aws:SourceArn is the cluster's ARN, never the association's",
    );
    draft.associate_idle(SHOP, "shipping", "archive-mount", &mount, json!({}));

    let public = draft.role(
        Role::new(DATA, "partner-reports", trust_arn("*")).inline("files", bucket("partner-reports-123456789012")),
    );
    draft.expect(problem::OUTSIDER, public, "every AWS account may assume it");

    let both = document(vec![
        json!({"Effect": "Allow", "Principal": {"Service": PODS}, "Action": ["sts:AssumeRole", "sts:TagSession"],
            "Condition": {"StringEquals": {"aws:SourceAccount": COMMERCE}, "ArnEquals": {"aws:SourceArn": arn_of(SHOP)}}}),
        json!({"Effect": "Allow", "Principal": {"AWS": format!("arn:aws:iam::{VENDOR}:root")}, "Action": "sts:AssumeRole"}),
    ]);
    let feed = draft.role(
        Role::at(COMMERCE, "/pods/", "catalogue-vendor-feed", both).inline("files", bucket("vendor-feed-777788889999")),
    );
    draft.expect(
        problem::OUTSIDER,
        feed.clone(),
        "a vendor's account, not in the organisation, without an external id",
    );
    draft.associate(SHOP, "catalogue", "vendor-feed", &feed);
}

/// Associations with a second hop.
fn hops(draft: &mut Draft) {
    let target_trust = |from: &str, condition: Value| {
        document(vec![with(
            json!({"Effect": "Allow", "Principal": {"AWS": from}, "Action": ["sts:AssumeRole", "sts:TagSession"]}),
            "Condition",
            condition,
        )])
    };
    let archive = role_arn(COMMERCE, "payments-archive");
    let vault = role_arn(COMMERCE, "payments-vault");
    let source = draft.role(
        pod_role(PAY, "settlement", "settlement-archiver")
            .inline("hop", document(vec![allow(&["sts:AssumeRole", "sts:TagSession"], &[&archive])])),
    );
    let open = document(vec![json!({"Effect": "Allow", "Principal": {"AWS": format!("arn:aws:iam::{PAYMENTS}:root")},
        "Action": ["sts:AssumeRole", "sts:TagSession"]})]);
    draft.role(Role::new(COMMERCE, "payments-archive", open).inline(
        "files",
        document(vec![
            allow(&["s3:PutObject"], &["arn:aws:s3:::payments-archive-777788889999/*"]),
            allow(&["sts:AssumeRole", "sts:TagSession"], &[&vault]),
        ]),
    ));
    draft.role(
        Role::new(
            COMMERCE,
            "payments-vault",
            target_trust(&archive, json!({"StringEquals": {"aws:PrincipalAccount": COMMERCE}})),
        )
        .inline("files", document(vec![allow(&["s3:PutObject"], &["arn:aws:s3:::payments-vault-777788889999/*"])])),
    );
    draft.expect(
        problem::NO_EXTERNAL_ID,
        key(PAY, "settlement", "archiver"),
        "any principal of the payments account may hop here, for any workload",
    );
    draft.spare(problem::OUTSIDER, archive.clone(), "the trusted account is in the organisation");
    let Some(cluster) = draft.cluster(PAY) else { return };
    let external = build::external_id(cluster, "settlement", "archiver");
    draft.associate_with(
        PAY,
        "settlement",
        "archiver",
        &source,
        json!({"targetRoleArn": archive, "externalId": external}),
    );

    let Some(cluster) = draft.cluster(PAY) else { return };
    let external = build::external_id(cluster, "fraud", "signals");
    let guarded = role_arn(DATA, "fraud-signals");
    let source = draft.role(
        Role::at(
            PAYMENTS,
            "/pods/",
            "fraud-signals-source",
            document(vec![json!({"Effect": "Allow",
        "Principal": {"Service": PODS}, "Action": ["sts:AssumeRole", "sts:TagSession"], "Condition": {
            "StringEquals": {"aws:SourceAccount": PAYMENTS}, "ArnEquals": {"aws:SourceArn": arn_of(PAY)}}})]),
        )
        .inline("hop", document(vec![allow(&["sts:AssumeRole", "sts:TagSession"], &[&guarded])])),
    );
    draft.role(
        Role::new(DATA, "fraud-signals", target_trust(&source, json!({"StringEquals": {"sts:ExternalId": external}})))
            .inline("files", document(vec![allow(&["s3:GetObject"], &["arn:aws:s3:::fraud-signals-123456789012/*"])])),
    );
    draft.spare(problem::NO_EXTERNAL_ID, key(PAY, "fraud", "signals"), "asks for the association's external id");
    draft.spare(problem::OUTSIDER, guarded.clone(), "the trusted role is in the organisation");
    let policy =
        document(vec![allow(&["s3:GetObject"], &["arn:aws:s3:::fraud-signals-123456789012/daily/*"])]).to_string();
    draft.associate_with(
        PAY,
        "fraud",
        "signals",
        &source,
        json!({"targetRoleArn": guarded, "externalId": external,
        "disableSessionTags": true, "policy": policy}),
    );
}

/// A second hop that nobody allowed.
fn refused_hop(draft: &mut Draft) {
    let trail_batch = role_arn(PAYMENTS, "pods/ledger-balances");
    let source = draft.role(
        pod_role(SHOP, "checkout", "checkout-balance")
            .inline("hop", document(vec![allow(&["sts:AssumeRole", "sts:TagSession"], &[&trail_batch])])),
    );
    let Some(cluster) = draft.cluster(SHOP) else { return };
    let external = build::external_id(cluster, "checkout", "balance");
    let members = json!({"targetRoleArn": trail_batch, "externalId": external});
    draft.associate_idle(SHOP, "checkout", "balance", &source, members);
    draft.expect(problem::HOP, key(SHOP, "checkout", "balance"), "the target trusts Pod Identity alone");
    draft.spare(problem::HOP, key(PAY, "fraud", "signals"), "both sides allow the hop");
}

/// Associations in the wrong place, or of the wrong role.
fn places(draft: &mut Draft) {
    draft.associate_idle(SHOP, "checkout", "gift-cards", &role_arn(COMMERCE, "pods/checkout-gift-cards"), json!({}));
    draft.expect(
        problem::MISSING_ROLE,
        key(SHOP, "checkout", "gift-cards"),
        "the role was deleted, the association stayed",
    );

    let shared = draft.role(
        Role::new(
            COMMERCE,
            "platform-shared-cache",
            document(vec![json!({"Effect": "Allow",
        "Principal": {"Service": PODS}, "Action": ["sts:AssumeRole", "sts:TagSession"], "Condition": {
            "StringEquals": {"aws:SourceAccount": COMMERCE}, "ArnEquals": {"aws:SourceArn": arn_of(SHOP)}}})]),
        )
        .inline(
            "cache",
            document(vec![allow(
                &["elasticache:Connect"],
                &[
                    "arn:aws:elasticache:eu-west-1:777788889999:replicationgroup:shop-cache",
                    "arn:aws:elasticache:eu-west-1:777788889999:user:shop",
                ],
            )]),
        ),
    );
    for namespace in ["checkout", "search", "shipping"] {
        draft.associate(SHOP, namespace, "cache-warmer", &shared);
    }
    draft.expect(problem::SHARED_ROLE, shared, "three teams' namespaces use one role");

    let cron = draft.role(
        pod_role(LAB, "ingest", "ingest-cron")
            .inline("files", document(vec![allow(&["s3:GetObject"], &["arn:aws:s3:::ingest-landing-123456789012/*"])])),
    );
    draft.associate(LAB, "ingest", "default", &cron);
    draft.expect(
        problem::DEFAULT_ACCOUNT,
        key(LAB, "ingest", "default"),
        "every pod that names no service account gets the role",
    );
    draft.spare(problem::DEFAULT_ACCOUNT, key(SHOP, "catalogue", "vendor-feed"), "a service account of its own");

    let nightly = draft.role(Role::at(PAYMENTS, "/pods/", "settlement-nightly", document(vec![
        json!({"Effect": "Allow", "Principal": {"Service": PODS}, "Action": ["sts:AssumeRole", "sts:TagSession"], "Condition": {
            "StringEquals": {"aws:SourceAccount": PAYMENTS}, "ArnEquals": {"aws:SourceArn": arn_of(PAY)}}}),
        json!({"Effect": "Allow", "Principal": {"AWS": role_arn(PAYMENTS, "delivery/deployer")}, "Action": ["sts:AssumeRole", "sts:TagSession"]}),
    ])).inline("files", document(vec![allow(&["s3:PutObject"], &["arn:aws:s3:::settlement-nightly-444455556666/*"])])));
    draft.associate(PAY, "settlement", "nightly", &nightly);
    draft.expect(
        problem::SESSION_NAME,
        nightly.clone(),
        "EKS began sessions without the pod and the UUID in their names",
    );
    draft.expect(problem::IMITATION, nightly.clone(), "the pipeline begins sessions that are named like the pod's");
    draft.expect(
        problem::NO_ASSOCIATION,
        nightly.clone(),
        "pods of settlement/rotator have sessions and no association",
    );
    draft.expect(problem::PACKED, nightly, "the session's tags leave hardly any room");
    let journal = role_arn(PAYMENTS, "pods/ledger-journal");
    draft.expect(problem::DISAGREES, journal.clone(), "the pods of settlement/nightly have sessions of it");
    draft.spare(problem::NO_ASSOCIATION, journal, "the pods have an association, with another role");
    draft.expect(
        problem::DEFAULT_NAME,
        role_arn(PAYMENTS, &format!("{}-fraud-rules-engine-irsa", PAY.2)),
        "its pods leave it to the SDK to name the session",
    );
}

/// Session tags that permissions and trust policies go by, and what can go wrong with them.
fn tags(draft: &mut Draft) {
    let own = |bucket: &str, tags: &[(&str, &str)]| {
        let condition: serde_json::Map<String, Value> =
            tags.iter().map(|(tag, value)| (format!("aws:PrincipalTag/{tag}"), json!(value))).collect();
        let folder = format!("arn:aws:s3:::{bucket}/${{aws:PrincipalTag/kubernetes-namespace}}/*");
        document(vec![with(allow(&["s3:GetObject"], &[&folder]), "Condition", json!({"StringEquals": condition}))])
    };
    let (shop, lab) = (arn_of(SHOP), arn_of(LAB));

    let anywhere = document(vec![
        json!({"Effect": "Allow", "Principal": {"Service": PODS}, "Action": ["sts:AssumeRole", "sts:TagSession"],
        "Condition": {"StringEquals": {"aws:RequestTag/kubernetes-namespace": "search"}}}),
    ]);
    let tenant = draft.role(
        Role::at(COMMERCE, "/pods/", "search-tenant-files", anywhere)
            .inline("files", own("tenant-files-777788889999", &[("kubernetes-namespace", "search")])),
    );
    let held = draft.role(
        pod_role(SHOP, "shipping", "shipping-tenant-files")
            .inline("files", own("tenant-files-777788889999", &[("kubernetes-namespace", "shipping")])),
    );
    draft.associate(SHOP, "shipping", "tenant-files", &held);
    draft.spare(problem::ABAC, held, "its trust policy names the cluster");
    draft.associate(SHOP, "search", "tenant-files", &tenant);
    draft.expect(problem::ABAC, tenant, "a namespace of that name in any cluster gets the same files");
    let exact = draft.role(pod_role(SHOP, "catalogue", "catalogue-tenant-files").inline(
        "files",
        own("tenant-files-777788889999", &[("kubernetes-namespace", "catalogue"), ("eks-cluster-arn", &shop)]),
    ));
    draft.associate(SHOP, "catalogue", "tenant-files", &exact);
    draft.spare(problem::ABAC, exact.clone(), "names the cluster as well");
    draft.spare(problem::FORGEABLE, exact, "nobody but Pod Identity may set its tags");

    let mut trust = trust_pods_of(&lab, "notebooks");
    if let Some(statements) = trust.get_mut("Statement").and_then(Value::as_array_mut) {
        statements.push(
            json!({"Sid": "TryItOut", "Effect": "Allow", "Principal": {"AWS": role_arn(DATA, "delivery/deployer")},
            "Action": ["sts:AssumeRole", "sts:TagSession"]}),
        );
    }
    let forged = draft.role(Role::at(DATA, "/pods/", "notebooks-tenant", trust).inline(
        "files",
        own("notebooks-123456789012", &[("kubernetes-namespace", "notebooks"), ("eks-cluster-arn", &lab)]),
    ));
    draft.associate(LAB, "notebooks", "tenant", &forged);
    draft.expect(problem::FORGEABLE, forged, "the pipeline may claim any namespace");

    let silent = draft.role(
        pod_role(PAY, "fraud", "fraud-exporter")
            .inline("files", document(vec![allow(&["s3:PutObject"], &["arn:aws:s3:::fraud-export-444455556666/*"])])),
    );
    draft.associate_idle(PAY, "fraud", "exporter", &silent, json!({"disableSessionTags": true}));
    draft.expect(problem::TAGS_OFF, key(PAY, "fraud", "exporter"), "the trust policy asks for tags that are not sent");
    draft.spare(problem::TAGS_OFF, key(PAY, "fraud", "labeller"), "the trust policy goes by the cluster's ARN");

    let moved = draft.role(
        pod_role(SHOP, "marketing", "marketing-loyalty")
            .inline("files", document(vec![allow(&["s3:GetObject"], &["arn:aws:s3:::loyalty-777788889999/*"])])),
    );
    draft.associate_idle(SHOP, "checkout", "loyalty", &moved, json!({}));
    draft.expect(problem::BLOCKED, key(SHOP, "checkout", "loyalty"), "the workload moved, its role's trust did not");
    draft.spare(problem::BLOCKED, key(SHOP, "checkout", "orders"), "the trust is for this cluster and namespace");
}

/// A document that lost its end on the way.
fn unreadable(draft: &mut Draft) {
    let cut = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:GetObject","s3:PutObject"],"Resource":"arn:aws:s3:::"#;
    let role = draft
        .role(Role::new(DATA, "quality-sampler", trust_service("batch.amazonaws.com")).inline("sample", json!(cut)));
    draft.expect(problem::UNREADABLE, role, "the inline policy is cut off");
    let readable = draft
        .account(DATA)
        .roles
        .iter()
        .find(|r| text(r, "RoleName") == "partner-reports")
        .map(|r| text(r, "Arn").to_owned());
    let sourced = document(vec![json!({"Effect": "Allow", "Principal": {"Service": PODS}, "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"aws:SourceAccount": DATA}, "ArnEquals": {"aws:SourceArn": arn_of(LAB)}}})]);
    let landing = document(vec![allow(&["s3:GetObject"], &["arn:aws:s3:::ingest-landing-123456789012/*"])]);
    let replay = draft.role(Role::at(DATA, "/pods/", "ingest-replayer", sourced).inline("files", landing));
    draft.associate_idle(LAB, "ingest", "replayer", &replay, json!({"disableSessionTags": true, "policy": cut}));
    draft.expect(problem::UNREADABLE_SESSION, key(LAB, "ingest", "replayer"), "the session policy is cut off");
    draft.spare(problem::UNREADABLE_SESSION, key(PAY, "fraud", "signals"), "its session policy parses");
    draft.spare(problem::UNREADABLE, readable.unwrap_or_default(), "its documents parse");
}
