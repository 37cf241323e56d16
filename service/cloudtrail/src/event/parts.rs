//! Objects within a record, of which some fields are taken.

use crate::json::{Field, Key, Object, ObjectSeed, Slot, Text, fields, number, object, skip, text, visit_others};
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

fields!(Identity {
    "type" => kind: Text<'a> = text,
    "arn" => arn: Text<'a> = text,
    "principalId" => principal_id: Text<'a> = text,
    "accountId" => account_id: Text<'a> = text,
    "accessKeyId" => access_key_id: Text<'a> = text,
    "userName" => user_name: Text<'a> = text,
    "invokedBy" => invoked_by: Text<'a> = text,
    "sessionContext" => context: Slot<SessionContext<'a>> = object,
});

fields!(SessionContext {
    "sessionIssuer" => issuer: Slot<Issuer<'a>> = object,
    "sourceIdentity" => source_identity: Text<'a> = text,
});

fields!(Issuer { "arn" => arn: Text<'a> = text });

fields!(Request {
    "roleArn" => role_arn: Text<'a> = text,
    "roleSessionName" => session_name: Text<'a> = text,
    "externalId" => external_id: Text<'a> = text,
    "durationSeconds" => duration: Field<u64> = number,
    "clusterName" => cluster: Text<'a> = text,
    "tags" => tags: TagList<'a> = tags,
    "principalTags" => principal_tags: TagList<'a> = tags,
    "incomingTransitiveTags" => incoming: TagList<'a> = tags,
    "bucketName" => bucket: Text<'a> = text,
    "key" => key: Text<'a> = text,
    "secretId" => secret: Text<'a> = text,
    "queueUrl" => queue: Text<'a> = text,
    "topicArn" => topic: Text<'a> = text,
    "functionName" => function: Text<'a> = text,
    "tableName" => table: Text<'a> = text,
    "streamName" => stream: Text<'a> = text,
    "repositoryName" => repository: Text<'a> = text,
    "name" => name: Text<'a> = text,
});

fields!(Response {
    "credentials" => credentials: Slot<Credentials<'a>> = object,
    "assumedRoleUser" => user: Slot<AssumedUser<'a>> = object,
    "packedPolicySize" => packed: Field<u64> = number,
});

fields!(Credentials { "accessKeyId" => access_key_id: Text<'a> = text });

fields!(AssumedUser { "arn" => arn: Text<'a> = text });

fields!(Resource {
    "type" => kind: Text<'a> = text,
    "ARN" => arn: Text<'a> = text,
});

fields!(Tag {
    "key" => key: Text<'a> = text,
    "value" => value: Text<'a> = text,
});

/// Session tags, which CloudTrail writes as a list of pairs or as a map.
#[derive(Debug, Default)]
pub(crate) struct TagList<'a>(pub(super) Vec<(Cow<'a, str>, Cow<'a, str>)>);

pub(super) fn tags<'de, A: MapAccess<'de>>(into: &mut TagList<'de>, map: &mut A) -> Result<(), A::Error> {
    struct TagVisitor;
    impl<'de> DeserializeSeed<'de> for TagVisitor {
        type Value = TagList<'de>;
        fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<TagList<'de>, D::Error> {
            deserializer.deserialize_any(self)
        }
    }
    impl<'de> Visitor<'de> for TagVisitor {
        type Value = TagList<'de>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("any value")
        }
        fn visit_unit<E>(self) -> Result<TagList<'de>, E> {
            Ok(TagList::default())
        }
        visit_others!(TagList::default(); visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str);
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<TagList<'de>, A::Error> {
            let mut list = Vec::new();
            while let Some(Key(key)) = map.next_key()? {
                let mut value = Field::Absent;
                text(&mut value, &mut map)?;
                if let Field::Is(value) = value {
                    list.push((key, value));
                }
            }
            Ok(TagList(list))
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<TagList<'de>, A::Error> {
            let mut list = Vec::new();
            let mut tag = Tag::default();
            while let Some(shape) = seq.next_element_seed(ObjectSeed(&mut tag))? {
                if let (Field::Is(()), Tag { key: Field::Is(key), value }) = (shape, std::mem::take(&mut tag)) {
                    list.push((key, if let Field::Is(value) = value { value } else { Cow::Borrowed("") }));
                }
            }
            Ok(TagList(list))
        }
    }
    *into = map.next_value_seed(TagVisitor)?;
    Ok(())
}
