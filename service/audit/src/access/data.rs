//! Which actions read data, by the kind of data.
//!
//! Only what hands out the data itself counts: a secret's value, an object's content, an item of a
//! table.

use rolecall_iam::ActionSet;
use std::sync::LazyLock;

/// A kind of data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Data {
    Secrets,
    Parameters,
    Objects,
    Items,
    Ciphertext,
}

/// The actions that hand out each kind.
static READS: LazyLock<Vec<(Data, ActionSet)>> = LazyLock::new(|| {
    let of = |data: Data| {
        let names: &[&str] = match data {
            // `BatchGetSecretValue` gives a secret only to those who may call this for it:
            // https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_BatchGetSecretValue.html
            Data::Secrets => &["secretsmanager:GetSecretValue"],
            Data::Parameters => {
                &["ssm:GetParameter", "ssm:GetParameters", "ssm:GetParametersByPath", "ssm:GetParameterHistory"]
            }
            Data::Objects => &["s3:GetObject", "s3:GetObjectVersion"],
            Data::Items => &[
                "dynamodb:GetItem",
                "dynamodb:BatchGetItem",
                "dynamodb:Query",
                "dynamodb:Scan",
                "dynamodb:PartiQLSelect",
            ],
            Data::Ciphertext => &["kms:Decrypt"],
        };
        ActionSet::from_names(names.iter().copied())
    };
    Data::ALL.into_iter().map(|data| (data, of(data))).collect()
});

/// Everything that hands out data of a resource which can be named.
pub(crate) static ALL_READS: LazyLock<ActionSet> = LazyLock::new(|| {
    let more = ActionSet::from_names([
        "codecommit:GitPull",
        "ecr:BatchGetImage",
        "ecr:GetDownloadUrlForLayer",
        "elasticfilesystem:ClientMount",
        "kinesis:GetRecords",
        "logs:FilterLogEvents",
        "logs:GetLogEvents",
        "logs:StartQuery",
        "rds-data:ExecuteStatement",
        "rds-db:connect",
        "sqs:ReceiveMessage",
    ]);
    ActionSet::union_of(READS.iter().map(|(_, actions)| actions).chain([&more]))
});

impl Data {
    pub(crate) const ALL: [Self; 5] = [Self::Secrets, Self::Parameters, Self::Objects, Self::Items, Self::Ciphertext];

    /// The actions that hand it out.
    pub(crate) fn reads(self) -> &'static ActionSet {
        static NONE: LazyLock<ActionSet> = LazyLock::new(ActionSet::default);
        READS.iter().find(|(data, _)| *data == self).map_or(&NONE, |(_, actions)| actions)
    }
}
