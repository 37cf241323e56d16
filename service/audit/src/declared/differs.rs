//! What a document that is not as declared comes to.

use super::Difference;
use super::place::Matching;
use crate::label::{Access, Effect};
use rolecall_estate::declared::{Known, ManagedPolicy, Match, Place, Text};
use rolecall_iam::compare::{Asker, Comparison, Relation, compare};
use rolecall_iam::{AccountId, Digest, Document, PolicyRef, PolicySet, Requester};
use std::collections::BTreeMap;

/// Which place of a set of policies a document has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    Identity,
    Trust,
    Session,
}

pub(super) fn asker(account: AccountId, name: &str) -> Asker {
    let who = Requester::parse(&format!("arn:aws:sts::{account}:assumed-role/{name}/session"));
    Asker { principal: who, resource_account: None }
}

/// Compares what is declared with what is there, as one set of policies with another.
pub(super) fn sets(asker: &Asker, declared: &PolicySet, actual: &PolicySet) -> Comparison {
    compare(asker, declared, actual)
}

/// A document against the one that is there; `None` where they mean the same.
pub(super) fn document(
    asker: &Asker,
    slot: Slot,
    part: &str,
    declared: &Document,
    actual: &Document,
    place: &Place,
) -> Option<Difference> {
    if declared.digest == actual.digest {
        return None;
    }
    let set = |document: &Document| {
        let layer = PolicyRef::known(part, document);
        match slot {
            Slot::Identity => PolicySet { identity: Some(vec![layer]), ..PolicySet::default() },
            Slot::Trust => PolicySet { trust: Some(layer), ..PolicySet::default() },
            Slot::Session => {
                let all = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#;
                let all = PolicyRef::known("a policy that allows everything", &Document::new(all));
                PolicySet { identity: Some(vec![all]), session: Some(vec![layer]), ..PolicySet::default() }
            }
        }
    };
    // Whoever a trust policy names asks; of all else the role.
    let everybody = Asker::default();
    let asker = if slot == Slot::Trust { &everybody } else { asker };
    let found = compare(asker, &set(declared), &set(actual));
    if found.relation == Relation::Equal {
        return None;
    }
    let mut difference = difference(part, Some(declared.canonical()), Some(actual.canonical()), Some(place));
    label(&mut difference, found);
    Some(difference)
}

pub(super) fn difference(
    part: &str,
    declared: Option<String>,
    actual: Option<String>,
    place: Option<&Place>,
) -> Difference {
    Difference {
        part: part.to_owned(),
        declared,
        actual,
        effect: Effect::None,
        gained: None,
        lost: None,
        because: String::new(),
        place: place.cloned(),
    }
}

pub(super) fn label(difference: &mut Difference, found: Comparison) {
    difference.effect = Effect::from(found.relation);
    difference.gained = found.gained.map(Access::new);
    difference.lost = found.lost.map(Access::new);
    difference.because = found.because;
}

/// Compares a declared document with that of a digest.
#[expect(clippy::too_many_arguments, reason = "one question: what, where, and how both sides say it")]
pub(super) fn known_document(
    matching: &Matching<'_>,
    asker: &Asker,
    slot: Slot,
    part: &str,
    declared: &Known<Document>,
    actual: Option<&Digest>,
    place: &Place,
    out: (&mut Vec<Difference>, &mut Vec<String>),
) {
    let (differences, unknown) = out;
    let actual = actual.and_then(|digest| matching.estate.documents.get(digest));
    match (declared, actual) {
        (Err(why), _) => unknown.push(format!("the declared {part}: {why}")),
        (Ok(_), None) => unknown.push(format!("the {part} that is there was not seen")),
        (Ok(declared), Some(actual)) => differences.extend(document(asker, slot, part, declared, actual, place)),
    }
}

pub(super) fn managed_policy(
    matching: &Matching<'_>,
    declared: &ManagedPolicy,
    found: &rolecall_estate::ManagedPolicy,
    place: &Place,
) -> (Vec<Difference>, Vec<String>) {
    let (mut differences, mut unknown) = (Vec::new(), Vec::new());
    let out = (&mut differences, &mut unknown);
    let asker = asker(found.account_id, "any");
    let part = "policy document";
    known_document(matching, &asker, Slot::Identity, part, &declared.document, found.document.as_ref(), place, out);
    (differences, unknown)
}

/// The tags that are declared and not there so. Further ones come from the provider, or the stack.
pub(super) fn tags(
    declared: &BTreeMap<String, Text>,
    actual: &BTreeMap<String, String>,
    place: &Place,
    out: (&mut Vec<Difference>, &mut Vec<String>),
) {
    let (differences, unknown) = out;
    for (key, value) in declared {
        let there = actual.get(key);
        let part = format!("tag {key}");
        match there.map(|there| value.matches(there)) {
            Some(Match::Yes) => {}
            Some(Match::Perhaps) => {
                unknown.extend(value.why().map(|why| format!("the {part}: {why}")));
            }
            Some(Match::No) | None => {
                differences.push(difference(&part, Some(value.to_string()), there.cloned(), Some(place)));
            }
        }
    }
}
