//! What a difference of an association comes to.

use super::Both;
use super::label::{AccessChange, Label};
use super::side::{Held, Slot};
use crate::access::trust::TAGS;
use crate::drift::difference::{Difference, kind};
use crate::drift::{Access, Effect};
use rolecall_estate::AssociationKey;

impl Both<'_> {
    pub(super) fn association(&self, key: &AssociationKey, difference: &Difference) -> Label {
        let (was, is) = (self.before.workload(key), self.after.workload(key));
        let mut label = Label::default();
        let change = match difference.change {
            kind::SESSION_POLICY_SET | kind::SESSION_POLICY_CHANGED | kind::SESSION_POLICY_REMOVED => {
                match (&was, &is) {
                    (Held::Policies(was), Held::Policies(is)) if was.role == is.role => {
                        self.slots(was, is, &[Slot::Session])
                    }
                    _ => self.held(&was, &is),
                }
            }
            kind::SESSION_TAGS_OFF | kind::SESSION_TAGS_ON => self.session_tags(key, difference, &was, &is),
            // EKS makes it with the target role, which is a change of its own.
            kind::EXTERNAL_ID if self.before.target(key) != self.after.target(key) => {
                AccessChange::none("it comes and goes with the target role")
            }
            kind::EXTERNAL_ID => match (&was, &is) {
                (Held::Policies(was), Held::Policies(is)) if was.role == is.role => AccessChange::none(
                    "no trust policy on the way lets the pods in by the old or the new external id alone",
                ),
                _ => self.held(&was, &is),
            },
            kind::FIELD => AccessChange::unknown("this version does not know what the field means".to_owned()),
            kind::OWNER | kind::TAGS => AccessChange::none("it changes nothing that the pods may do"),
            _ => self.held(&was, &is),
        };
        label.add(key, &change);
        let acts = ![kind::ADDED, kind::OWNER, kind::TAGS].contains(&difference.change);
        if acts {
            label.takes_hold = self.next_credentials(&label);
        }
        label
    }

    /// Session tags count where a policy asks for one of them.
    fn session_tags(&self, key: &AssociationKey, difference: &Difference, was: &Held, is: &Held) -> AccessChange {
        // Without its tags a session may not get through a trust policy at all.
        let (Held::Policies(old), Held::Policies(new)) = (was, is) else { return self.held(was, is) };
        let mut asks = Asks::default();
        for text in old.texts().chain(new.texts()) {
            asks.read(&text);
        }
        let off = difference.change == kind::SESSION_TAGS_OFF;
        let words = format!("what policies allow to sessions with the tags of {key}");
        let access = Some(Access { principal: None, ..Access::described(words, "*", "*") });
        match asks {
            Asks { allow: false, other: false } => match old.first_unseen().or(new.first_unseen()) {
                Some(unseen) => AccessChange::unknown(format!("{unseen}, and may ask for a session tag")),
                None => AccessChange::none("no policy on the way asks for a session tag"),
            },
            Asks { allow: true, other: false, .. } if off => AccessChange {
                effect: Effect::Narrowed,
                gained: None,
                lost: access,
                because: "statements that allow ask for a session tag, which is not sent any more".to_owned(),
                is_compared: false,
            },
            Asks { allow: true, other: false, .. } => AccessChange {
                effect: Effect::Widened,
                gained: access,
                lost: None,
                because: "statements that allow ask for a session tag, which is sent now".to_owned(),
                is_compared: false,
            },
            _ => AccessChange::unknown(
                "a policy asks for a session tag in a way that may both allow and refuse".to_owned(),
            ),
        }
    }
}

/// How policies ask for session tags.
#[derive(Debug, Clone, Copy, Default)]
struct Asks {
    /// A statement that allows does, and only by operators that an absent key does not satisfy.
    allow: bool,
    /// Some other statement or operator does.
    other: bool,
}

impl Asks {
    fn read(&mut self, text: &str) {
        let Ok(value) = serde_json::from_str::<serde_json::Value>(text) else { return };
        let statements = match value.get("Statement") {
            Some(serde_json::Value::Array(list)) => list.clone(),
            Some(one) => vec![one.clone()],
            None => Vec::new(),
        };
        for statement in statements {
            let asks = |text: &str| {
                let text = text.to_lowercase();
                TAGS.iter().any(|tag| text.contains(&format!("aws:principaltag/{tag}")))
            };
            if !asks(&statement.to_string()) {
                continue;
            }
            let empty = serde_json::Map::new();
            let conditions = statement.get("Condition").and_then(|it| it.as_object()).unwrap_or(&empty);
            let plain = conditions.iter().filter(|(_, keys)| asks(&keys.to_string())).all(|(operator, _)| {
                let operator = operator.to_lowercase();
                !operator.contains("not")
                    && !operator.contains("ifexists")
                    && !operator.contains("null")
                    && !operator.contains("forallvalues")
            });
            let allows = statement.get("Effect").and_then(|it| it.as_str()) == Some("Allow");
            let denied = ["NotResource", "NotAction"].iter().any(|it| statement.get(*it).is_some());
            if allows && plain && !denied { self.allow = true } else { self.other = true }
        }
    }
}
