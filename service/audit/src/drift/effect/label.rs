//! What is said of a difference: its effect, what is gained and lost by it, and for whom.

use crate::drift::{Access, Affected, Effect, Escalations, TakesHold, TrustedAccount};
use rolecall_estate::AssociationKey;
use rolecall_iam::compare::Comparison;

/// What a difference comes to.
#[derive(Debug, Clone)]
pub(in crate::drift) struct Label {
    pub(in crate::drift) effect: Effect,
    pub(in crate::drift) gained: Option<Access>,
    pub(in crate::drift) lost: Option<Access>,
    pub(in crate::drift) because: String,
    pub(in crate::drift) affected: Vec<Affected>,
    pub(in crate::drift) takes_hold: TakesHold,
    pub(in crate::drift) escalations: Escalations,
    pub(in crate::drift) trusted: Option<Vec<TrustedAccount>>,
    pub(super) is_compared: bool,
}

impl Default for Label {
    fn default() -> Self {
        Self::none("it changes nothing that is allowed")
    }
}

impl Label {
    pub(super) fn plain(effect: Effect, because: &str) -> Self {
        Self {
            effect,
            gained: None,
            lost: None,
            because: because.to_owned(),
            affected: Vec::new(),
            takes_hold: TakesHold::AtOnce,
            escalations: Escalations::default(),
            trusted: None,
            is_compared: false,
        }
    }

    pub(super) fn none(because: &str) -> Self {
        Self::plain(Effect::None, because)
    }

    pub(super) fn new(change: &AccessChange) -> Self {
        let AccessChange { effect, gained, lost, because, is_compared } = change.clone();
        Self { effect, gained, lost, is_compared, ..Self::none(&because) }
    }

    pub(super) fn add(&mut self, workload: &AssociationKey, change: &AccessChange) {
        self.is_compared |= change.is_compared;
        let first = self.affected.is_empty();
        if first {
            self.because.clone_from(&change.because);
            self.effect = change.effect;
        } else {
            // The sentence is of the workload that it matters to.
            if self.effect == Effect::None && change.effect != Effect::None {
                self.because.clone_from(&change.because);
            }
            self.effect = self.effect.and(change.effect);
        }
        self.gained = self.gained.take().or_else(|| change.gained.clone());
        self.lost = self.lost.take().or_else(|| change.lost.clone());
        self.affected.push(Affected {
            workload: workload.clone(),
            effect: change.effect,
            gained: change.gained.clone(),
            lost: change.lost.clone(),
            escalations: Escalations::default(),
        });
    }

    pub(super) fn also(&mut self, change: &AccessChange) {
        self.is_compared |= change.is_compared;
        if change.effect == Effect::None {
            return;
        }
        if self.effect == Effect::None {
            self.because.clone_from(&change.because);
        }
        self.effect = self.effect.and(change.effect);
        self.gained = self.gained.take().or_else(|| change.gained.clone());
        self.lost = self.lost.take().or_else(|| change.lost.clone());
    }
}

/// What a comparison says.
#[derive(Debug, Clone)]
pub(super) struct AccessChange {
    pub(super) effect: Effect,
    pub(super) gained: Option<Access>,
    pub(super) lost: Option<Access>,
    pub(super) because: String,
    /// Whether policies were compared for it.
    pub(super) is_compared: bool,
}

impl AccessChange {
    pub(super) fn none(because: &str) -> Self {
        Self { effect: Effect::None, gained: None, lost: None, because: because.to_owned(), is_compared: false }
    }

    pub(super) fn unknown(because: String) -> Self {
        Self { effect: Effect::Unknown, gained: None, lost: None, because, is_compared: false }
    }

    /// The same, of requests on one resource: a trust policy names none.
    pub(super) fn on(self, resource: &str) -> Self {
        let on = |access: Option<Access>| access.map(|access| access.on(resource));
        Self { gained: on(self.gained), lost: on(self.lost), ..self }
    }
}

impl From<Comparison> for AccessChange {
    fn from(found: Comparison) -> Self {
        Self {
            effect: Effect::from(found.relation),
            gained: found.gained.map(Access::new),
            lost: found.lost.map(Access::new),
            because: found.because,
            is_compared: true,
        }
    }
}
