//! What the selectors of a trail take in.
//!
//! Knows the two kinds of selectors, and when one of them takes in all events of a kind. Refuses to
//! count what is taken in only in part, by resource or by operation: a call that is not there proves
//! nothing then.

use rolecall_estate::{Recorded, Trail};
use serde_json::Value;
use std::collections::BTreeSet;

/// A selector of a trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// One of `EventSelectors`.
    Basic(BasicSelector),
    /// One of `AdvancedEventSelectors`: events that every field takes in.
    Advanced(Vec<FieldSelector>),
}

/// One of `EventSelectors`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BasicSelector {
    /// `All`, `ReadOnly` or `WriteOnly`; `None` means all.
    pub read_write: Option<String>,
    /// Whether it takes in management events; `None` means that it does.
    pub management: Option<bool>,
    /// Event sources whose management events it leaves out.
    pub excluded_sources: Vec<String>,
    /// Resource types, each with the ARNs or beginnings of ARNs whose data events it takes in.
    pub data: Vec<(String, Vec<String>)>,
}

impl BasicSelector {
    /// `ReadWriteType`, where one is given.
    fn read_write(&self) -> Option<&str> {
        self.read_write.as_deref().filter(|text| !text.is_empty())
    }
}

/// One field of an advanced selector. An operator without values says nothing; of several values of
/// one operator any will do, and of the negated ones none may.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldSelector {
    /// Such as `eventCategory`.
    pub field: String,
    /// `Equals`.
    pub equals: Vec<String>,
    /// `StartsWith`.
    pub starts_with: Vec<String>,
    /// `EndsWith`.
    pub ends_with: Vec<String>,
    /// `NotEquals`.
    pub not_equals: Vec<String>,
    /// `NotStartsWith`.
    pub not_starts_with: Vec<String>,
    /// `NotEndsWith`.
    pub not_ends_with: Vec<String>,
}

impl FieldSelector {
    /// Whether it takes in a value.
    fn takes(&self, value: &str) -> bool {
        let any = |values: &[String], test: fn(&str, &str) -> bool| values.iter().any(|own| test(value, own));
        let named = [&self.equals, &self.starts_with, &self.ends_with];
        let taken = named.iter().all(|values| values.is_empty())
            || any(&self.equals, |a, b| a == b)
            || any(&self.starts_with, |a, b| a.starts_with(b))
            || any(&self.ends_with, |a, b| a.ends_with(b));
        let left_out = any(&self.not_equals, |a, b| a == b)
            || any(&self.not_starts_with, |a, b| a.starts_with(b))
            || any(&self.not_ends_with, |a, b| a.ends_with(b));
        taken && !left_out
    }

    /// Whether it says nothing but which values it takes.
    fn only_equals(&self) -> bool {
        self.starts_with.is_empty() && self.ends_with.is_empty() && self.is_without_negation()
    }

    /// Whether it says nothing but which values it does not take.
    fn only_not_equals(&self) -> bool {
        let named = self.equals.is_empty() && self.starts_with.is_empty() && self.ends_with.is_empty();
        named && self.not_starts_with.is_empty() && self.not_ends_with.is_empty()
    }

    fn is_without_negation(&self) -> bool {
        self.not_equals.is_empty() && self.not_starts_with.is_empty() && self.not_ends_with.is_empty()
    }
}

/// What one selector takes in all of.
#[derive(Default)]
struct Taken {
    reads: bool,
    writes: bool,
    management: bool,
    excluded_sources: BTreeSet<String>,
    data: BTreeSet<String>,
}

/// Notes what a trail records by its selectors; says whether there are any. Without any nothing is noted: AWS
/// answers with those of a trail that nobody configured too, so that an answer without them says nothing.
/// <https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_GetEventSelectors.html>
pub fn set_recorded(trail: &mut Trail, selectors: &[Selector]) -> bool {
    if selectors.is_empty() {
        return false;
    }
    trail.records_read_only_management = Some(records_assume_role(selectors));
    trail.recorded = Some(recorded(selectors));
    true
}

/// What the selectors of a trail take in together.
#[must_use]
pub fn recorded(selectors: &[Selector]) -> Recorded {
    let taken: Vec<Taken> = selectors.iter().filter_map(taken).collect();
    let management = |of: fn(&Taken) -> bool| {
        let excluded = taken.iter().filter(|taken| taken.management && of(taken)).map(|taken| &taken.excluded_sources);
        // What one leaves out another may take in.
        excluded.cloned().reduce(|a, b| a.intersection(&b).cloned().collect())
    };
    let data = |of: fn(&Taken) -> bool| -> BTreeSet<String> {
        taken.iter().filter(|taken| of(taken)).flat_map(|taken| taken.data.iter().cloned()).collect()
    };
    let (reads, writes) = (management(|taken| taken.reads), management(|taken| taken.writes));
    Recorded {
        management_reads: reads.is_some(),
        management_writes: writes.is_some(),
        excluded_sources: reads.into_iter().chain(writes).flatten().collect(),
        data: data(|taken| taken.reads).intersection(&data(|taken| taken.writes)).cloned().collect(),
    }
}

/// The selectors that a call of `PutEventSelectors` asked for, as CloudTrail writes parameters; `None` where one
/// of them cannot be read.
/// <https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_PutEventSelectors.html>
#[must_use]
pub fn requested(request: &Value) -> Option<Vec<Selector>> {
    let basic = items(request, "eventSelectors")?.iter().map(requested_basic);
    let advanced = items(request, "advancedEventSelectors")?.iter().map(requested_advanced);
    basic.chain(advanced).collect()
}

fn requested_basic(selector: &Value) -> Option<Selector> {
    let of_type = |of: &Value| Some((member(of, "type")?.as_str()?.to_owned(), texts(of, "values")?));
    Some(Selector::Basic(BasicSelector {
        read_write: optional(selector, "readWriteType", |it| it.as_str().map(str::to_owned))?,
        management: optional(selector, "includeManagementEvents", Value::as_bool)?,
        excluded_sources: texts(selector, "excludeManagementEventSources")?,
        data: items(selector, "dataResources")?.iter().map(of_type).collect::<Option<_>>()?,
    }))
}

fn requested_advanced(selector: &Value) -> Option<Selector> {
    let field = |field: &Value| {
        Some(FieldSelector {
            field: member(field, "field")?.as_str()?.to_owned(),
            equals: texts(field, "equals")?,
            starts_with: texts(field, "startsWith")?,
            ends_with: texts(field, "endsWith")?,
            not_equals: texts(field, "notEquals")?,
            not_starts_with: texts(field, "notStartsWith")?,
            not_ends_with: texts(field, "notEndsWith")?,
        })
    };
    items(selector, "fieldSelectors")?.iter().map(field).collect::<Option<_>>().map(Selector::Advanced)
}

/// A member that is there and not null.
fn member<'a>(of: &'a Value, name: &str) -> Option<&'a Value> {
    of.get(name).filter(|value| !value.is_null())
}

/// `Some(None)` where it is not there, `None` where it is something else than `read` reads.
fn optional<T>(of: &Value, name: &str, read: impl Fn(&Value) -> Option<T>) -> Option<Option<T>> {
    member(of, name).map_or(Some(None), |value| read(value).map(Some))
}

/// A list; empty where it is not there, `None` where it is something else.
fn items<'a>(of: &'a Value, name: &str) -> Option<&'a [Value]> {
    member(of, name).map_or(Some(&[]), |list| list.as_array().map(Vec::as_slice))
}

fn texts(of: &Value, name: &str) -> Option<Vec<String>> {
    items(of, name)?.iter().map(|text| text.as_str().map(str::to_owned)).collect()
}

/// Whether the selectors of a trail take in every `AssumeRole`, a read-only management event of STS.
#[must_use]
pub fn records_assume_role(selectors: &[Selector]) -> bool {
    selectors.iter().any(|selector| match selector {
        Selector::Basic(basic) => {
            basic.management.unwrap_or(true) && matches!(basic.read_write(), None | Some("All" | "ReadOnly"))
        }
        Selector::Advanced(fields) => {
            fields
                .iter()
                .any(|field| field.field == "eventCategory" && field.equals.iter().any(|it| it == "Management"))
                && fields.iter().all(|field| match field.field.as_str() {
                    "eventCategory" => field.takes("Management"),
                    "readOnly" => field.takes("true"),
                    "eventSource" => field.takes("sts.amazonaws.com"),
                    "eventName" => field.takes("AssumeRole"),
                    "eventType" => field.takes("AwsApiCall"),
                    // Some of the events, then, and not all.
                    _ => false,
                })
        }
    })
}

fn taken(selector: &Selector) -> Option<Taken> {
    match selector {
        Selector::Basic(basic) => {
            let (reads, writes) = match basic.read_write() {
                None | Some("All") => (true, true),
                Some("ReadOnly") => (true, false),
                Some("WriteOnly") => (false, true),
                Some(_) => (false, false),
            };
            let every = basic.data.iter().filter(|(_, values)| values.iter().any(|value| is_every_resource(value)));
            Some(Taken {
                reads,
                writes,
                management: basic.management.unwrap_or(true),
                excluded_sources: basic.excluded_sources.iter().cloned().collect(),
                data: every.map(|(kind, _)| kind.clone()).collect(),
            })
        }
        Selector::Advanced(fields) => advanced(fields),
    }
}

/// Whether a value of a basic selector is the beginning of the ARN of every resource of its type:
/// `arn:aws:s3` and the like.
fn is_every_resource(value: &str) -> bool {
    let mut parts = value.splitn(3, ':');
    let is_arn = parts.next() == Some("arn") && parts.next().is_some_and(|partition| partition.starts_with("aws"));
    is_arn && parts.next().is_some_and(|rest| matches!(rest.trim_end_matches(':'), "s3" | "lambda" | "dynamodb"))
}

/// `None` where it takes in only some events of a kind, or something else.
fn advanced(fields: &[FieldSelector]) -> Option<Taken> {
    let mut taken = Taken { reads: true, writes: true, ..Taken::default() };
    let mut is_data = false;
    for field in fields {
        match field.field.as_str() {
            "eventCategory" if field.only_equals() => {
                taken.management |= field.takes("Management") && !field.equals.is_empty();
                is_data |= field.takes("Data") && !field.equals.is_empty();
            }
            "readOnly" => {
                taken.reads &= field.takes("true");
                taken.writes &= field.takes("false");
            }
            "eventSource" if field.only_not_equals() => {
                taken.excluded_sources.extend(field.not_equals.iter().cloned());
            }
            "resources.type" if field.only_equals() && taken.data.is_empty() => {
                taken.data.extend(field.equals.iter().cloned());
            }
            _ => return None,
        }
    }
    // Of data events a source that is left out is a part of them, and a type must be named; management
    // events have no resource type.
    let is_sound = match (taken.management, is_data) {
        (true, false) => taken.data.is_empty(),
        (false, true) => taken.excluded_sources.is_empty(),
        _ => false,
    };
    is_sound.then_some(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(values: &[&str]) -> Vec<String> {
        values.iter().map(|value| (*value).to_owned()).collect()
    }

    fn equals(field: &str, values: &[&str]) -> FieldSelector {
        FieldSelector { field: field.to_owned(), equals: texts(values), ..FieldSelector::default() }
    }

    fn not_equals(field: &str, values: &[&str]) -> FieldSelector {
        FieldSelector { field: field.to_owned(), not_equals: texts(values), ..FieldSelector::default() }
    }

    fn basic(read_write: &str, management: bool, excluded: &[&str], data: &[(&str, &[&str])]) -> Selector {
        Selector::Basic(BasicSelector {
            read_write: Some(read_write.to_owned()),
            management: Some(management),
            excluded_sources: texts(excluded),
            data: data.iter().map(|(kind, values)| ((*kind).to_owned(), texts(values))).collect(),
        })
    }

    fn is(selectors: &[Selector], reads: bool, writes: bool, excluded: &[&str], data: &[&str]) {
        let expected = Recorded {
            management_reads: reads,
            management_writes: writes,
            excluded_sources: texts(excluded).into_iter().collect(),
            data: texts(data).into_iter().collect(),
        };
        assert_eq!(recorded(selectors), expected, "{selectors:?}");
    }

    const S3: &str = "AWS::S3::Object";
    const KMS: &str = "kms.amazonaws.com";
    const RDS: &str = "rdsdata.amazonaws.com";

    #[test]
    fn basic_selectors_take_in_all_that_they_name() {
        is(&[], false, false, &[], &[]);
        is(&[Selector::Basic(BasicSelector::default())], true, true, &[], &[]);
        is(&[basic("All", true, &[KMS], &[])], true, true, &[KMS], &[]);
        is(&[basic("ReadOnly", true, &[], &[])], true, false, &[], &[]);
        is(&[basic("Some", true, &[], &[(S3, &["arn:aws:s3"])])], false, false, &[], &[]);
        let whole: [(&str, &[&str]); 3] = [
            (S3, &["arn:aws:s3:::one/", "arn:aws-cn:s3:::"]),
            ("AWS::Lambda::Function", &["arn:aws:lambda"]),
            ("AWS::DynamoDB::Table", &["arn:aws-us-gov:dynamodb"]),
        ];
        is(
            &[basic("All", false, &[], &whole)],
            false,
            false,
            &[],
            &["AWS::DynamoDB::Table", "AWS::Lambda::Function", S3],
        );
        for part in ["arn:aws:s3:::one/", "arn:aws:lambda:eu-west-1:111122223333:function:x", "s3", "arn:x:s3", ""] {
            is(&[basic("All", false, &[], &[(S3, &[part])])], false, false, &[], &[]);
        }
        is(&[basic("WriteOnly", true, &[], &[(S3, &["arn:aws:s3"])])], false, true, &[], &[]);
    }

    #[test]
    fn several_selectors_add_up() {
        let (all, objects): (_, [(&str, &[&str]); 1]) = ("arn:aws:s3", [(S3, &["arn:aws:s3"])]);
        assert_eq!(objects[0].1, [all]);
        is(
            &[basic("ReadOnly", true, &[KMS, RDS], &objects), basic("WriteOnly", true, &[KMS], &objects)],
            true,
            true,
            &[KMS, RDS],
            &[S3],
        );
        is(&[basic("All", true, &[KMS], &[]), basic("All", true, &[], &[])], true, true, &[], &[]);
        let data = |kind: &str, read_only: &str| {
            Selector::Advanced(vec![
                equals("eventCategory", &["Data"]),
                equals("resources.type", &[kind]),
                equals("readOnly", &[read_only]),
            ])
        };
        is(&[data(S3, "true"), data(S3, "false"), data("AWS::SQS::Queue", "true")], false, false, &[], &[S3]);
    }

    #[test]
    fn advanced_selectors_that_narrow_take_in_nothing_completely() {
        let management = || equals("eventCategory", &["Management"]);
        let data = || vec![equals("eventCategory", &["Data"]), equals("resources.type", &[S3])];
        let with = |mut fields: Vec<FieldSelector>, more: FieldSelector| {
            fields.push(more);
            Selector::Advanced(fields)
        };
        is(&[Selector::Advanced(vec![management()])], true, true, &[], &[]);
        is(&[Selector::Advanced(data())], false, false, &[], &[S3]);
        is(&[with(vec![management()], not_equals("eventSource", &[KMS, RDS]))], true, true, &[KMS, RDS], &[]);
        is(&[with(vec![management()], equals("readOnly", &["false"]))], false, true, &[], &[]);
        let starts = FieldSelector { starts_with: texts(&["kms"]), ..equals("eventSource", &[]) };
        for narrow in [
            equals("eventSource", &[KMS]),
            starts,
            not_equals("eventName", &["GetObject"]),
            not_equals("userIdentity.arn", &["arn:aws:iam::111122223333:role/x"]),
            equals("resources.type", &[S3]),
            equals("eventCategory", &["Data"]),
        ] {
            is(&[with(vec![management()], narrow)], false, false, &[], &[]);
        }
        for narrow in [
            FieldSelector { starts_with: texts(&["arn:aws:s3:::one/"]), ..equals("resources.ARN", &[]) },
            equals("eventName", &["GetObject"]),
            not_equals("eventSource", &[KMS]),
            not_equals("resources.type", &["AWS::SQS::Queue"]),
        ] {
            is(&[with(data(), narrow)], false, false, &[], &[]);
        }
        is(&[Selector::Advanced(vec![equals("eventCategory", &["NetworkActivity"])])], false, false, &[], &[]);
        is(&[Selector::Advanced(vec![])], false, false, &[], &[]);
    }

    #[test]
    fn assume_role_is_a_read_only_management_event() {
        let management = || equals("eventCategory", &["Management"]);
        let of = |fields: Vec<FieldSelector>| records_assume_role(&[Selector::Advanced(fields)]);
        let of_basic = |kind: &str, management: bool| records_assume_role(&[basic(kind, management, &[], &[])]);
        assert!(of_basic("All", true) && of_basic("ReadOnly", true));
        assert!(!of_basic("WriteOnly", true) && !of_basic("All", false));
        assert!(of(vec![management()]));
        assert!(of(vec![management(), equals("readOnly", &["true"])]));
        assert!(of(vec![management(), not_equals("eventSource", &[KMS])]));
        assert!(!of(vec![management(), equals("readOnly", &["false"])]));
        assert!(!of(vec![management(), not_equals("eventSource", &["sts.amazonaws.com"])]));
        let starts = FieldSelector { starts_with: texts(&["arn:aws"]), ..equals("userIdentity.arn", &[]) };
        assert!(!of(vec![management(), starts]));
        assert!(!of(vec![equals("eventCategory", &["Data"])]));
    }
}
