//! Workloads on Pod Identity that are well made: a role each, for one cluster and one namespace,
//! with what it needs on resources of its own.

use super::{Draft, EDGE, LAB, PAY, PAY_DR, Place, SHOP, arn_of, key, problem};
use crate::build::{self, Role, allow, document, trust_pods_of};
use crate::ids;
use serde_json::{Value, json};

/// What a workload works on.
#[derive(Clone, Copy)]
enum Needs {
    Bucket,
    Table,
    Queue,
    Secret,
    Stream,
    Topic,
    Key,
}

use Needs::{Bucket, Key, Queue, Secret, Stream, Table, Topic};

const WORKLOADS: [(Place, &str, &str, &[Needs]); 17] = [
    (PAY, "payments", "api", &[Table, Queue, Secret]),
    (PAY, "payments", "authoriser", &[Table, Secret]),
    (PAY, "payments", "card-vault", &[Table, Secret, Key]),
    (PAY, "ledger", "journal", &[Table, Stream]),
    (PAY, "ledger", "balances", &[Table]),
    (PAY, "settlement", "clearing", &[Queue, Bucket]),
    (PAY, "fraud", "scorer", &[Stream, Table]),
    (PAY_DR, "payments", "api", &[Table, Queue, Secret]),
    (SHOP, "checkout", "basket", &[Table]),
    (SHOP, "checkout", "orders", &[Table, Queue, Topic]),
    (SHOP, "catalogue", "products", &[Table, Bucket]),
    (SHOP, "search", "query", &[Bucket]),
    (SHOP, "shipping", "labels", &[Bucket, Queue]),
    (EDGE, "edge", "personalise", &[Table]),
    (EDGE, "media", "renditions", &[Bucket, Queue]),
    (LAB, "ingest", "collector", &[Stream, Bucket]),
    (LAB, "analytics", "report-builder", &[Bucket]),
];

/// A statement over a resource of the workload's own.
fn statement(needs: Needs, place: Place, name: &str) -> Value {
    let (account, region, _) = place;
    match needs {
        Bucket => {
            let bucket = format!("arn:aws:s3:::{name}-{account}");
            allow(&["s3:GetObject", "s3:ListBucket", "s3:PutObject"], &[&bucket, &format!("{bucket}/*")])
        }
        Table => allow(
            &["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query", "dynamodb:UpdateItem"],
            &[&format!("arn:aws:dynamodb:{region}:{account}:table/{name}")],
        ),
        Queue => allow(
            &["sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage", "sqs:SendMessage"],
            &[&format!("arn:aws:sqs:{region}:{account}:{name}")],
        ),
        Secret => allow(
            &["secretsmanager:GetSecretValue"],
            &[&format!("arn:aws:secretsmanager:{region}:{account}:secret:{name}-{}", ids::hex(name, 6))],
        ),
        Stream => allow(
            &["kinesis:GetRecords", "kinesis:GetShardIterator", "kinesis:PutRecord"],
            &[&format!("arn:aws:kinesis:{region}:{account}:stream/{name}")],
        ),
        Key => allow(
            &["kms:Decrypt", "kms:GenerateDataKey"],
            &[&format!("arn:aws:kms:{region}:{account}:key/{}", ids::uuid(&format!("key/{name}")))],
        ),
        Topic => allow(&["sns:Publish"], &[&format!("arn:aws:sns:{region}:{account}:{name}")]),
    }
}

/// A role under the pods' path, for one cluster and namespace.
pub(super) fn pod_role(place: Place, namespace: &str, name: &str) -> Role {
    Role::at(place.0, "/pods/", name, trust_pods_of(&arn_of(place), namespace))
        .tag("owner", namespace)
        .tag("managed-by", "terraform")
}

pub(super) fn add(draft: &mut Draft) {
    for (place, namespace, service_account, needs) in WORKLOADS {
        let suffix = if place == PAY_DR { "-dr" } else { "" };
        let name = format!("{namespace}-{service_account}{suffix}");
        let statements = needs.iter().map(|n| statement(*n, place, &name)).collect();
        let role = draft.role(pod_role(place, namespace, &name).inline("access", document(statements)));
        draft.associate(place, namespace, service_account, &role);
        if (namespace, service_account) == ("payments", "card-vault") {
            draft.spare(problem::UNSCOPED_TRUST, role.clone(), "one cluster, one namespace");
            draft.spare(problem::NO_TAG_SESSION, role.clone(), "sts:TagSession is there");
            draft.spare(problem::MISSING_ROLE, key(place, namespace, service_account), "the role is there");
            draft.spare(problem::SESSION_NAME, role, "its sessions are named by Pod Identity");
        }
    }
    one_namespace(draft);
    storage_driver(draft);
}

/// Two service accounts of one namespace share a role: one team, one trust boundary.
fn one_namespace(draft: &mut Draft) {
    let body = document(vec![statement(Bucket, SHOP, "search-index")]);
    let role = draft.role(pod_role(SHOP, "search", "search-index-writer").inline("access", body));
    for service_account in ["indexer", "reindexer"] {
        draft.associate(SHOP, "search", service_account, &role);
    }
    draft.spare(problem::SHARED_ROLE, role, "both service accounts are of one namespace");
}

/// An association that an add-on owns.
fn storage_driver(draft: &mut Draft) {
    let role =
        draft.role(pod_role(SHOP, "kube-system", "ebs-csi-driver").attach_aws("service-role/AmazonEBSCSIDriverPolicy"));
    let Some(cluster) = draft.cluster(SHOP) else { return };
    let mut addon = build::addon(cluster, "aws-ebs-csi-driver", "v1.51.0-eksbuild.1");
    let owner = addon.get("addonArn").cloned().unwrap_or_default();
    let association = build::association(cluster, "kube-system", "ebs-csi-controller-sa", &role);
    if let Some(map) = addon.as_object_mut() {
        let arn = association.get("associationArn").cloned().unwrap_or_default();
        map.insert("podIdentityAssociations".to_owned(), json!([arn]));
    }
    cluster.addons.push(addon);
    draft.associate_with(SHOP, "kube-system", "ebs-csi-controller-sa", &role, json!({"ownerArn": owner}));
}
