//! What a stack comes to for one action on one resource, as a formula over conditions.
//!
//! A formula is kept in a form in which most that mean the same look the same; what is true or false
//! for all values shows at once. Refuses to know what a condition is.

/// A conjunction of conditions, one bit each.
pub(super) type Term = u128;

/// Terms of which one must hold: ascending, none of them implied by another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(super) struct Any(Vec<Term>);

impl Any {
    pub(super) fn new(mut terms: Vec<Term>) -> Self {
        terms.sort_unstable();
        terms.dedup();
        if terms.first() == Some(&0) {
            return Self(vec![0]);
        }
        let implied = |term: &Term| terms.iter().any(|other| other != term && other & term == *other);
        let kept = terms.iter().copied().filter(|term| !implied(term)).collect();
        Self(kept)
    }

    #[cfg(test)]
    pub(super) fn always() -> Self {
        Self(vec![0])
    }

    fn is_true(&self) -> bool {
        self.0.first() == Some(&0)
    }

    fn is_false(&self) -> bool {
        self.0.is_empty()
    }

    /// The conditions of `asked` are known: those of `holding` hold.
    fn assign(&self, asked: Term, holding: Term) -> Self {
        if self.0.iter().all(|term| term & asked == 0) {
            return self.clone();
        }
        let left = self.0.iter().filter(|term| **term & asked & !holding == 0);
        Self::new(left.map(|term| term & !asked).collect())
    }

    fn without(&self, denied: &Self) -> Self {
        let dead = |term: &Term| denied.0.iter().any(|deny| deny & term == *deny);
        Self(self.0.iter().copied().filter(|term| !dead(term)).collect())
    }

    fn atoms(&self) -> Term {
        self.0.iter().fold(0, |all, term| all | term)
    }
}

/// What policies on the resource grant past the requester's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Grants {
    pub(super) direct: Any,
    pub(super) role: Any,
    pub(super) account: Any,
    pub(super) ceilings: Vec<Any>,
    pub(super) identity: Any,
    pub(super) how: How,
}

/// How the two sides count together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// The requester has no policies of its own.
    Granted,
    /// Both are of one account.
    Same {
        /// The policy on the resource must allow.
        needs: bool,
    },
    /// They are of two accounts.
    Across,
}

/// Whether a request is allowed: every group, no Deny, and the grants where they count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Formula {
    groups: Vec<Any>,
    denies: Any,
    grants: Option<Box<Grants>>,
}

impl Formula {
    pub(super) fn new(groups: Vec<Any>, denies: Any, grants: Option<Grants>) -> Self {
        Self { groups, denies, grants: grants.map(Box::new) }.simplified()
    }

    fn never() -> Self {
        Self { groups: vec![Any::default()], denies: Any::default(), grants: None }
    }

    fn simplified(self) -> Self {
        if self.denies.is_true() {
            return Self::never();
        }
        let mut groups: Vec<Any> = self.groups.iter().map(|group| group.without(&self.denies)).collect();
        groups.retain(|group| !group.is_true());
        groups.sort_unstable();
        groups.dedup();
        let grants = self.grants.and_then(|grants| grants.fold_into(&mut groups));
        if groups.iter().any(Any::is_false) {
            return Self::never();
        }
        Self { groups, denies: self.denies, grants }
    }

    /// Its value, where that is the same for all.
    pub(super) fn value(&self) -> Option<bool> {
        if self.groups.iter().any(Any::is_false) {
            return Some(false);
        }
        (self.groups.is_empty() && self.denies.is_false() && self.grants.is_none()).then_some(true)
    }

    pub(super) fn assign(&self, asked: Term, holding: Term) -> Self {
        let any = |any: &Any| any.assign(asked, holding);
        let grants = self.grants.as_ref().map(|grants| {
            Box::new(Grants {
                direct: any(&grants.direct),
                role: any(&grants.role),
                account: any(&grants.account),
                ceilings: grants.ceilings.iter().map(any).collect(),
                identity: any(&grants.identity),
                how: grants.how,
            })
        });
        Self { groups: self.groups.iter().map(any).collect(), denies: any(&self.denies), grants }.simplified()
    }

    /// The conditions that it depends on.
    pub(super) fn atoms(&self) -> Term {
        let mut all = self.groups.iter().chain([&self.denies]).fold(0, |all, any| all | any.atoms());
        if let Some(grants) = &self.grants {
            let parts = [&grants.direct, &grants.role, &grants.account, &grants.identity];
            all |= parts.into_iter().chain(&grants.ceilings).fold(0, |all, any| all | any.atoms());
        }
        all
    }

    /// Its terms, to be compared with another's.
    pub(super) fn terms(&self) -> Vec<Term> {
        let anys = self.groups.iter().chain([&self.denies]);
        anys.flat_map(|any| any.0.iter().copied()).collect()
    }
}

impl Grants {
    /// Moves what is decided into the groups; `None` where nothing is left.
    fn fold_into(self: Box<Self>, groups: &mut Vec<Any>) -> Option<Box<Self>> {
        let none = self.direct.is_false() && self.role.is_false() && self.account.is_false();
        let own = |groups: &mut Vec<Any>| {
            groups.extend(self.ceilings.iter().chain([&self.identity]).filter(|any| !any.is_true()).cloned());
            groups.sort_unstable();
            groups.dedup();
        };
        match self.how {
            How::Granted => {
                let all = [&self.direct, &self.role, &self.account];
                let granted = Any::new(all.into_iter().flat_map(|any| any.0.iter().copied()).collect());
                if !granted.is_true() {
                    groups.push(granted);
                }
                None
            }
            How::Across => {
                let all = [&self.direct, &self.role, &self.account];
                let granted = Any::new(all.into_iter().flat_map(|any| any.0.iter().copied()).collect());
                if !granted.is_true() {
                    groups.push(granted);
                }
                own(groups);
                None
            }
            How::Same { needs: false } if none || (self.direct.is_false() && self.role.is_false()) => {
                own(groups);
                None
            }
            How::Same { needs: true } if none => {
                groups.push(Any::default());
                None
            }
            How::Same { .. } if self.direct.is_true() => None,
            How::Same { needs } => {
                let atoms = [&self.direct, &self.role, &self.account, &self.identity];
                if atoms.into_iter().chain(&self.ceilings).any(|any| any.atoms() != 0) {
                    return Some(self);
                }
                let ceiling = self.ceilings.iter().all(Any::is_true);
                let own = self.identity.is_true() && ceiling && (!needs || self.account.is_true());
                if !(own || (self.role.is_true() && ceiling)) {
                    groups.push(Any::default());
                }
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_the_same_looks_the_same() {
        let any = |terms: &[Term]| Any::new(terms.to_vec());
        assert_eq!(any(&[0b11, 0b1]), any(&[0b1]));
        let formula = |allow: &[Term], deny: &[Term]| Formula::new(vec![any(allow)], any(deny), None);
        assert_eq!(formula(&[0b11], &[0b1]).value(), Some(false));
        assert_eq!(formula(&[0], &[]).value(), Some(true));
        assert_eq!(formula(&[0], &[0b1]).value(), None);
        assert_eq!(formula(&[0], &[0b1]).assign(0b1, 0b1).value(), Some(false));
        assert_eq!(formula(&[0b10], &[0b1]).assign(0b11, 0b10).value(), Some(true));
    }

    #[test]
    fn a_policy_on_the_resource_grants_past_the_others() {
        let grants = |how, direct: Any, account: Any, identity: Any| Grants {
            direct,
            role: Any::default(),
            account,
            ceilings: vec![Any::default()],
            identity,
            how,
        };
        let value = |grants| Formula::new(Vec::new(), Any::default(), Some(grants)).value();
        let (yes, no) = (Any::always, Any::default);
        assert_eq!(value(grants(How::Same { needs: false }, yes(), no(), no())), Some(true));
        assert_eq!(value(grants(How::Same { needs: true }, no(), yes(), yes())), Some(false));
        assert_eq!(value(grants(How::Across, yes(), no(), yes())), Some(false));
        assert_eq!(value(grants(How::Granted, no(), yes(), no())), Some(true));
    }
}
