//! The resource that a call was made on.

use super::{Event, str_of};
use crate::json::Text;
use crate::shape::fold;
use rolecall_iam::ArnText;
use std::borrow::Cow;

impl Event<'_> {
    /// Whether calls of the service name their resource by parameters alone, and role sessions make
    /// them often.
    pub(super) fn names_its_resource_by_parameters(&self) -> bool {
        matches!(
            str_of(&self.source),
            Some(
                "s3.amazonaws.com"
                    | "secretsmanager.amazonaws.com"
                    | "sqs.amazonaws.com"
                    | "sns.amazonaws.com"
                    | "ssm.amazonaws.com"
                    | "lambda.amazonaws.com"
                    | "dynamodb.amazonaws.com"
                    | "kinesis.amazonaws.com"
                    | "ecr.amazonaws.com"
            )
        )
    }

    /// Writes the shape of the resource that was called on: of the first that the record lists, else
    /// of the one that the parameters name. `false`: the record names none.
    pub(crate) fn shape(&self, out: &mut String) -> bool {
        if let Some(arn) = self.resources.0.iter().find_map(|resource| str_of(&resource.arn)) {
            return fold(arn, out);
        }
        self.asked_for().is_some_and(|arn| fold(&arn, out))
    }

    /// The ARN of what the parameters name.
    fn asked_for(&self) -> Option<Cow<'_, str>> {
        let request = self.request()?;
        let source = str_of(&self.source)?;
        let of = |service: &str, resource: &str, name: &str| {
            let caller = self.identity.get().and_then(|identity| str_of(&identity.arn)).unwrap_or_default();
            let partition = ArnText(caller).partition().unwrap_or("aws");
            let region = str_of(&self.region).unwrap_or_default();
            let account = self.account_name().map(|(_, account)| account).unwrap_or_default();
            Cow::Owned(format!("arn:{partition}:{service}:{region}:{account}:{resource}{name}"))
        };
        let named = |text: &'_ Text<'_>, service: &str, resource: &str| -> Option<Cow<'_, str>> {
            let name = text.get()?;
            Some(if name.starts_with("arn:") { Cow::Owned(name.to_string()) } else { of(service, resource, name) })
        };
        match source {
            "s3.amazonaws.com" => {
                let bucket = str_of(&request.bucket)?;
                // An object's key is folded; of it, only that there is one is kept.
                let tail = if request.key.get().is_some() { "/*" } else { "" };
                let arn = of("s3", bucket, tail);
                // A bucket's ARN has neither region nor account.
                let partition = ArnText(&arn).partition().unwrap_or("aws").to_owned();
                Some(Cow::Owned(format!("arn:{partition}:s3:::{bucket}{tail}")))
            }
            "secretsmanager.amazonaws.com" => named(&request.secret, "secretsmanager", "secret:"),
            "sqs.amazonaws.com" => {
                let queue = str_of(&request.queue)?.rsplit('/').next()?;
                Some(of("sqs", queue, ""))
            }
            "sns.amazonaws.com" => named(&request.topic, "sns", ""),
            "ssm.amazonaws.com" => {
                let name = str_of(&request.name)?;
                Some(of("ssm", "parameter/", name.strip_prefix('/').unwrap_or(name)))
            }
            "lambda.amazonaws.com" => named(&request.function, "lambda", "function:"),
            "dynamodb.amazonaws.com" => named(&request.table, "dynamodb", "table/"),
            "kinesis.amazonaws.com" => named(&request.stream, "kinesis", "stream/"),
            "ecr.amazonaws.com" => named(&request.repository, "ecr", "repository/"),
            _ => None,
        }
    }
}
