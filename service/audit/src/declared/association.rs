//! A declared association against the one that is there.

use super::differs::{self, Slot, asker, difference, known_document, label, sets};
use super::place::{self, Matched, Matching};
use super::role::actual_set;
use super::{Difference, Row, Status, blank};
use crate::label::Effect;
use crate::resource::ResourceType;
use rolecall_estate::declared::{Association, Declaration, Match, Place, Text};
use rolecall_estate::{AssociationDetail, ResourceKind};
use rolecall_iam::Document;

pub(super) fn row(matching: &Matching<'_>, declaration: &Declaration, association: &Association) -> Row {
    let name = match place::key(association) {
        Ok(key) => key.to_string(),
        Err(_) => {
            let account = association.account.map_or_else(|| "…".to_owned(), |id| id.to_string());
            let region = association.region.as_ref().map_or("…", |region| region.as_str());
            let Association { cluster, namespace, service_account, .. } = association;
            format!("{account}/{region}/{cluster}/{namespace}/{service_account}")
        }
    };
    let mut row = blank(ResourceType::Association, name, association.account);
    match matching.association(association) {
        Matched::None => row.status = Status::Missing,
        Matched::Unknown(why) => row.unknown.push(why),
        Matched::One(found) => {
            let (account, key) = (found.key.account_id, found.key.to_string());
            row.unknown.extend(matching.unconfirmed(ResourceKind::Association, account, &key));
            match &found.detail {
                None => row.unknown.push("its description was not seen".to_owned()),
                Some(detail) => {
                    let place = &declaration.place;
                    let mut against =
                        Against { matching, association, detail, place, differences: Vec::new(), unknown: Vec::new() };
                    against.all();
                    row.differences = against.differences;
                    row.unknown.append(&mut against.unknown);
                    row.unknown.extend(matching.unconfirmed(ResourceKind::AssociationDetail, account, &key));
                }
            }
        }
    }
    row
}

struct Against<'w, 'a> {
    matching: &'w Matching<'a>,
    association: &'w Association,
    detail: &'w AssociationDetail,
    place: &'w Place,
    differences: Vec<Difference>,
    unknown: Vec<String>,
}

impl Against<'_, '_> {
    fn all(&mut self) {
        let (it, detail) = (self.association, self.detail);
        self.role("role", Some(&self.matching.arn_of(&it.role)), Some(&detail.role_arn));
        let target = it.target_role.as_ref().map(|target| self.matching.arn_of(target));
        self.role("target role", target.as_ref(), detail.target_role_arn.as_deref());
        match &it.disable_session_tags {
            Err(why) => self.unknown.push(format!("whether session tags are left out: {why}")),
            Ok(declared) if *declared != detail.disable_session_tags => {
                let part = "disableSessionTags";
                let (declared, there) = (declared.to_string(), detail.disable_session_tags.to_string());
                let mut difference = difference(part, Some(declared), Some(there), Some(self.place));
                difference.effect = Effect::Unknown;
                "which requests the session tags decide is not compared".clone_into(&mut difference.because);
                self.differences.push(difference);
            }
            Ok(_) => {}
        }
        self.session_policy();
        let out = (&mut self.differences, &mut self.unknown);
        differs::tags(&it.tags, &detail.tags, self.place, out);
    }

    fn role(&mut self, part: &str, declared: Option<&Text>, there: Option<&str>) {
        let matched = match (declared, there) {
            (None, None) => return,
            (Some(declared), Some(there)) => declared.matches(there),
            _ => Match::No,
        };
        match matched {
            Match::Yes => {}
            Match::Perhaps => {
                self.unknown.extend(declared.and_then(Text::why).map(|why| format!("its {part}: {why}")));
            }
            Match::No => {
                let text = declared.map(ToString::to_string);
                let mut difference = difference(part, text, there.map(str::to_owned), Some(self.place));
                self.access(&mut difference, declared, there);
                self.differences.push(difference);
            }
        }
    }

    /// What the role that is there is allowed, compared with the declared one.
    fn access(&self, difference: &mut Difference, declared: Option<&Text>, there: Option<&str>) {
        difference.effect = Effect::Unknown;
        let role = |arn: Option<&str>| arn.and_then(|arn| self.matching.role_by_arn(arn));
        let before = role(declared.and_then(Text::as_known));
        let (Some(before), Some(after)) = (before, role(there)) else {
            "one of the two roles was not seen".clone_into(&mut difference.because);
            return;
        };
        let asker = asker(after.arn.account_id(), after.arn.name());
        label(difference, sets(&asker, &actual_set(self.matching, before), &actual_set(self.matching, after)));
    }

    fn session_policy(&mut self) {
        let part = "session policy";
        let (declared, there) = (&self.association.session_policy, self.detail.policy.as_ref());
        match (declared, there) {
            (None, None) => {}
            (Some(declared), Some(there)) => {
                let account = self.association.account;
                let Some(account) = account else { return };
                let out = (&mut self.differences, &mut self.unknown);
                let asker = asker(account, "any");
                known_document(self.matching, &asker, Slot::Session, part, declared, Some(there), self.place, out);
            }
            (declared, there) => {
                let text = declared.as_ref().map(|it| it.as_ref().map_or_else(|_| "…".to_owned(), Document::canonical));
                let there = there.and_then(|it| self.matching.estate.documents.get(it)).map(Document::canonical);
                let mut difference = difference(part, text, there, Some(self.place));
                // A session policy only limits.
                difference.effect = if declared.is_some() { Effect::Widened } else { Effect::Narrowed };
                difference.because = match declared.is_some() {
                    true => "the session policy that would limit the role is not there".to_owned(),
                    false => "a session policy limits the role that is not declared".to_owned(),
                };
                self.differences.push(difference);
            }
        }
    }
}
