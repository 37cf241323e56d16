//! A declared role against the one that is there.

use super::differs::{self, Slot, asker, difference, known_document, label, sets};
use super::place::{Matched, Matching};
use super::{Difference, Row, Status, blank};
use crate::resource::ResourceType;
use rolecall_estate::ResourceKind;
use rolecall_estate::declared::{Declaration, Match, Place, Role, RoleName, Text};
use rolecall_iam::{AccountId, Arn, Comparison, Document, PolicyRef, PolicySet};

pub(super) fn row(matching: &Matching<'_>, declaration: &Declaration, role: &Role) -> Row {
    let name = match &role.name {
        RoleName::Given(name) => name.to_string(),
        RoleName::Made { contains, .. } => format!("…{contains}…"),
    };
    let mut row = blank(ResourceType::Role, name, role.account);
    match matching.role(declaration, role) {
        Matched::One(found) => {
            row.resource.name = found.arn.to_string();
            row.account = Some(found.arn.account_id());
            let mut against = Against {
                matching,
                role,
                found,
                place: &declaration.place,
                differences: Vec::new(),
                unknown: Vec::new(),
                open: open(matching, role, found.arn.name()),
            };
            against.all();
            (row.differences, row.unknown) = (against.differences, against.unknown);
            let account = found.arn.account_id();
            row.unknown.extend(matching.unconfirmed(ResourceKind::Role, account, found.arn.as_str()));
        }
        // A role whose policies only are declared here may be declared elsewhere.
        Matched::None => row.status = Status::Missing,
        Matched::Unknown(why) => row.unknown.push(why),
    }
    row
}

/// Why further policies of a role may be declared.
fn open(matching: &Matching<'_>, role: &Role, name: &str) -> Option<String> {
    let own = role.open.first().map(ToString::to_string);
    let may_be = |text: &Text| {
        let last = |name: &str| text.matches(name) != Match::No;
        last(name) || text.to_string().starts_with('…') || text.to_string().contains(":role")
    };
    let unplaced = || matching.declared.unplaced.iter().find(|it| may_be(&it.role));
    let of_other = || unplaced().map(|it| format!("whose policy {}:{} is: {}", it.place.file, it.place.line, it.why));
    own.or_else(of_other).or_else(|| matching.unread.clone())
}

struct Against<'w, 'a> {
    matching: &'w Matching<'a>,
    role: &'w Role,
    found: &'a rolecall_estate::Role,
    place: &'w Place,
    differences: Vec<Difference>,
    unknown: Vec<String>,
    open: Option<String>,
}

impl Against<'_, '_> {
    fn all(&mut self) {
        let (role, found) = (self.role, self.found);
        let account = found.arn.account_id();
        let asker = asker(account, found.arn.name());
        if let Some(path) = &role.path {
            match path.matches(found.arn.path()) {
                Match::Yes => {}
                Match::No => self.differs("path", Some(path.to_string()), Some(found.arn.path().to_owned())),
                Match::Perhaps => self.unknown.extend(path.why().map(|why| format!("the path: {why}"))),
            }
        }
        if let Some(trust) = &role.trust {
            let out = (&mut self.differences, &mut self.unknown);
            known_document(
                self.matching,
                &asker,
                Slot::Trust,
                "trust policy",
                trust,
                found.trust.as_ref(),
                self.place,
                out,
            );
        }
        let before = self.differences.len();
        self.attached();
        self.boundary();
        // What attached policies and the boundary come to is asked of the whole.
        if self.differences.len() > before {
            let access = self.access();
            for difference in self.differences.iter_mut().skip(before) {
                label(difference, access.clone());
            }
        }
        self.inline(&asker);
        let out = (&mut self.differences, &mut self.unknown);
        differs::tags(&role.tags, &found.tags, self.place, out);
    }

    fn differs(&mut self, part: &str, declared: Option<String>, actual: Option<String>) {
        self.differences.push(difference(part, declared, actual, Some(self.place)));
    }

    /// What the whole role is allowed, compared with what it is allowed as declared.
    fn access(&self) -> Comparison {
        let asker = asker(self.found.arn.account_id(), self.found.arn.name());
        sets(&asker, &self.declared_set(), &actual_set(self.matching, self.found))
    }

    fn declared_set(&self) -> PolicySet {
        let account = self.found.arn.account_id();
        let inline = self.role.inline.iter().map(|it| {
            let source = format!("inline policy {}", it.name);
            match &it.document {
                Ok(document) => PolicyRef::known(&source, document),
                Err(why) => PolicyRef::missing(&source, why.0.as_str()),
            }
        });
        let attached = self.role.attached.iter().map(|it| match self.matching.arn_of(&it.policy).resolved() {
            Ok(arn) => self.policy(account, &arn),
            Err(why) => PolicyRef::missing("a policy that is attached", why.0.as_str()),
        });
        let open = self.open.iter().map(|why| PolicyRef::missing("a further policy", why.as_str()));
        let boundary = self.role.boundary.as_ref().map(|it| match it.text.resolved() {
            Ok(arn) => vec![self.policy(account, &arn)],
            Err(why) => vec![PolicyRef::missing("permissions boundary", why.0.as_str())],
        });
        PolicySet { identity: Some(inline.chain(attached).chain(open).collect()), boundary, ..PolicySet::default() }
    }

    /// A managed policy as it is declared or, where it is not, as it is there.
    fn policy(&self, account: AccountId, arn: &str) -> PolicyRef {
        match self.matching.declared_policy(arn).map(|it| &it.document) {
            Some(Ok(document)) => PolicyRef::known(arn, document),
            Some(Err(why)) => PolicyRef::missing(arn, why.0.as_str()),
            None => actual_policy(self.matching, account, arn),
        }
    }

    fn attached(&mut self) {
        let (role, found) = (self.role, self.found);
        let mut left: Vec<&Arn> = found.attached.iter().map(|it| &it.arn).collect();
        let mut seen_only = Vec::new();
        let mut open = Vec::new();
        for it in &role.attached {
            let text = self.matching.arn_of(&it.policy);
            let at = left.iter().position(|arn| text.matches(arn.as_str()) == Match::Yes);
            match (at, text.as_known()) {
                (Some(at), _) if it.is_certain => drop(left.remove(at)),
                (Some(_), Some(known)) => seen_only.push(known.to_owned()),
                // What was seen at the last refresh and is not there any more says nothing of what is declared.
                (None, Some(known)) if it.is_certain => {
                    let part = format!("attached policy {known}");
                    self.differences.push(difference(&part, Some(known.to_owned()), None, Some(&it.place)));
                }
                (_, None) => open.push((text, it)),
                _ => {}
            }
        }
        for (text, it) in open {
            let may_be: Vec<usize> = left
                .iter()
                .enumerate()
                .filter(|(_, arn)| text.matches(arn.as_str()) != Match::No)
                .map(|(at, _)| at)
                .collect();
            let why = text.why().map(ToString::to_string).unwrap_or_default();
            match may_be.as_slice() {
                [] => {
                    let part = format!("attached policy {text}");
                    self.differences.push(difference(&part, Some(text.to_string()), None, Some(&it.place)));
                }
                // Which of those that are there it is does not matter where each of them is accounted for.
                [at] => {
                    let arn = left.remove(*at);
                    self.unknown.push(format!("whether the attached policy {arn} is the one declared: {why}"));
                }
                _ => self.open = self.open.take().or(Some(why)),
            }
        }
        for arn in left {
            if seen_only.iter().any(|it| it == arn.as_str()) {
                let why = "the Terraform state does not tell what is declared from what was there at the last refresh";
                self.unknown.push(format!("whether the attached policy {arn} is declared: {why}"));
            } else if let Some(why) = &self.open {
                self.unknown.push(format!("whether the attached policy {arn} is declared: {why}"));
            } else if role.is_whole {
                let part = format!("attached policy {arn}");
                self.differences.push(difference(&part, None, Some(arn.to_string()), Some(self.place)));
            }
        }
    }

    fn boundary(&mut self) {
        if !self.role.is_whole {
            return;
        }
        let part = "permissions boundary";
        let there = self.found.boundary.as_ref().map(Arn::as_str);
        match (&self.role.boundary, there) {
            (None, None) => {}
            (None, Some(there)) => self.differs(part, None, Some(there.to_owned())),
            (Some(declared), there) => {
                let text = declared.text.clone();
                match there.map(|there| text.matches(there)) {
                    Some(Match::Yes) => {}
                    Some(Match::Perhaps) => self.unknown.extend(text.why().map(|why| format!("the {part}: {why}"))),
                    Some(Match::No) | None => self.differs(part, Some(text.to_string()), there.map(str::to_owned)),
                }
            }
        }
    }

    /// Compares a declared inline policy with the one that it is.
    fn inline_policy(
        &mut self,
        asker: &rolecall_iam::Asker,
        name: &str,
        declared: &rolecall_estate::declared::InlinePolicy,
        there: &rolecall_estate::InlinePolicy,
    ) {
        let part = format!("inline policy {name}");
        let out = (&mut self.differences, &mut self.unknown);
        let (document, place) = (&declared.document, &declared.place);
        known_document(self.matching, asker, Slot::Identity, &part, document, Some(&there.document), place, out);
    }

    fn inline(&mut self, asker: &rolecall_iam::Asker) {
        let (role, found) = (self.role, self.found);
        let mut left: Vec<&rolecall_estate::InlinePolicy> = found.inline.iter().collect();
        let mut open = Vec::new();
        let before = self.differences.len();
        let mut alone = Vec::new();
        for it in &role.inline {
            match (left.iter().position(|there| it.name.matches(&there.name) == Match::Yes), it.name.as_known()) {
                (Some(at), Some(name)) => {
                    self.inline_policy(asker, name, it, left.remove(at));
                }
                (None, Some(name)) if it.is_certain => {
                    let part = format!("inline policy {name}");
                    alone.push(difference(
                        &part,
                        it.document.as_ref().ok().map(Document::canonical),
                        None,
                        Some(&it.place),
                    ));
                }
                (_, None) => open.push(it),
                _ => {}
            }
        }
        for it in open {
            let may_be: Vec<usize> = left
                .iter()
                .enumerate()
                .filter(|(_, there)| it.name.matches(&there.name) != Match::No)
                .map(|(at, _)| at)
                .collect();
            let why = it.name.why().map(ToString::to_string).unwrap_or_default();
            match may_be.as_slice() {
                [] => {
                    let part = format!("inline policy {}", it.name);
                    let text = it.document.as_ref().ok().map(Document::canonical);
                    alone.push(difference(&part, text, None, Some(&it.place)));
                }
                // The only one that is left is the only one that is declared.
                [at] => {
                    let there = left.remove(*at);
                    self.inline_policy(asker, &there.name, it, there);
                }
                _ => self.open = self.open.take().or(Some(why)),
            }
        }
        for there in left {
            match &self.open {
                Some(why) => {
                    self.unknown.push(format!("whether the inline policy {} is declared: {why}", there.name));
                }
                None if role.is_whole => {
                    let part = format!("inline policy {}", there.name);
                    let text = self.matching.estate.documents.get(&there.document).map(Document::canonical);
                    alone.push(difference(&part, None, text, Some(self.place)));
                }
                None => {}
            }
        }
        // A policy that only one side has is asked of the whole, too: it may say what another says.
        if !alone.is_empty() {
            let access = self.access();
            for difference in &mut alone {
                label(difference, access.clone());
            }
            // Split or merged policies that come to the same as a whole are not different.
            let is_same = access.relation == rolecall_iam::Relation::Equal;
            match is_same {
                true => {
                    self.differences.truncate(before);
                }
                false => self.differences.append(&mut alone),
            }
        }
    }
}

/// A managed policy as it is there.
fn actual_policy(matching: &Matching<'_>, account: AccountId, arn: &str) -> PolicyRef {
    let document = matching.policy_of(account, arn).and_then(|it| it.document);
    match document.and_then(|digest| matching.estate.documents.get(&digest)) {
        Some(document) => PolicyRef::known(arn, document),
        None => PolicyRef::missing(arn, "its document is not in the estate"),
    }
}

/// What a role is allowed as it is there.
pub(super) fn actual_set(matching: &Matching<'_>, role: &rolecall_estate::Role) -> PolicySet {
    let account = role.arn.account_id();
    let inline = role.inline.iter().map(|it| {
        let source = format!("inline policy {}", it.name);
        match matching.estate.documents.get(&it.document) {
            Some(document) => PolicyRef::known(&source, document),
            None => PolicyRef::missing(&source, "its document is not in the estate"),
        }
    });
    let attached = role.attached.iter().map(|it| actual_policy(matching, account, it.arn.as_str()));
    let boundary = role.boundary.as_ref().map(|arn| vec![actual_policy(matching, account, arn.as_str())]);
    PolicySet { identity: Some(inline.chain(attached).collect()), boundary, ..PolicySet::default() }
}
