//! From where and by which program sessions called.

use super::batch::{Batch, LONGEST_SOURCE, OriginKey, OriginUse, at, at_mut};
use super::{MAX_SOURCES, NONE};
use crate::event::Event;
use crate::origin;
use chrono::{DateTime, Utc};
use rolecall_estate::{Networks, Origin};
use std::collections::BTreeSet;

impl Batch {
    /// The class of a source, which is most often one that was seen before, and its network.
    pub(super) fn networks(&mut self, source: Option<&str>, by_endpoint: bool) -> (Networks, u32) {
        let Some(text) = source.filter(|text| text.len() <= LONGEST_SOURCE) else {
            return (Networks::new(source, by_endpoint), NONE);
        };
        let (class, network) = match self.sources.get(text) {
            Some(class) => *class,
            None => {
                if self.sources.len() >= MAX_SOURCES {
                    self.sources.clear();
                }
                let network = origin::network(text).map_or(NONE, |network| self.word(&network));
                let class = (Networks::new(Some(text), false), network);
                self.sources.insert(text.into(), class);
                class
            }
        };
        (if by_endpoint { class.and(Networks::ENDPOINT) } else { class }, network)
    }

    fn word(&mut self, text: &str) -> u32 {
        if let Some(number) = self.word_names.get(text) {
            return *number;
        }
        let number = u32::try_from(self.words.len()).unwrap_or(NONE);
        self.text += text.len() * 2 + 64;
        self.words.push(text.into());
        self.word_names.insert(text.into(), number);
        number
    }

    /// The family of a user agent, which is most often that of the call before.
    fn agent(&mut self, text: &str) -> u32 {
        if text.is_empty() {
            return NONE;
        }
        if self.last_agent.0 == text {
            return self.last_agent.1;
        }
        let number = match self.agents.get(text) {
            Some(number) => *number,
            None => {
                if self.agents.len() >= MAX_SOURCES {
                    self.agents.clear();
                }
                let number = origin::family(text).map_or(NONE, |family| self.word(&family));
                self.agents.insert(text.into(), number);
                number
            }
        };
        self.last_agent.0.clear();
        self.last_agent.0.push_str(text);
        self.last_agent.1 = number;
        number
    }

    /// Notes from where a session called. What AWS's services call for it is from nowhere.
    pub(super) fn seen_from(&mut self, event: &Event<'_>, pattern: u32, network: u32, time: DateTime<Utc>) {
        let Some((place, principal, event_action)) =
            at(&self.patterns, pattern).map(|p| (p.place, p.principal, p.event_action))
        else {
            return;
        };
        let endpoint = event.vpc_endpoint().filter(|id| id.len() <= LONGEST_SOURCE);
        if network == NONE && endpoint.is_none() {
            return;
        }
        let endpoint = endpoint.map_or(NONE, |id| self.word(id));
        let agent = event.user_agent().map_or(NONE, |agent| self.agent(agent));
        let place = at(&self.regions, place).copied().unwrap_or(place);
        let mut from = OriginKey { place, network, endpoint, agent, is_rest: false };
        let source = event.source_address().filter(|_| network != NONE);
        let Some(principal) = at_mut(&mut self.principals, principal) else { return };
        if principal.origins.len() >= origin::MOST && !principal.origins.iter().any(|seen| seen.from == from) {
            from = OriginKey { place: from.place, network: NONE, endpoint: NONE, agent: NONE, is_rest: true };
        }
        match principal.origins.iter_mut().find(|seen| seen.from == from) {
            Some(seen) => {
                if time <= seen.first {
                    let name = |event_action: u32| {
                        at(&self.event_actions, event_action).and_then(|event_action| event_action.actions.first())
                    };
                    if time < seen.first || name(event_action) < name(seen.event_action) {
                        seen.event_action = event_action;
                    }
                    seen.first = time;
                }
                seen.last = seen.last.max(time);
                if let Some(source) = source
                    && seen.source.as_deref().is_none_or(|own| source < own)
                {
                    seen.source = Some(source.into());
                }
            }
            None => {
                self.text += size_of::<OriginUse>() + 32;
                let source = source.map(Box::from);
                principal.origins.push(OriginUse { from, first: time, last: time, event_action, source });
            }
        }
    }

    /// The origins of sessions with calls that count.
    pub(super) fn origins(&self, counts: &[(u64, u64, u64)]) -> Vec<Origin> {
        let counted = self.patterns.iter().zip(counts).filter(|(_, count)| count.0 > 0);
        let callers: BTreeSet<u32> = counted.map(|(pattern, _)| pattern.principal).collect();
        let word = |number: u32| at(&self.words, number).map(ToString::to_string);
        let mut origins = Vec::new();
        for principal in callers.into_iter().filter_map(|number| at(&self.principals, number)) {
            origins.extend(principal.origins.iter().filter_map(|seen| {
                let place = at(&self.places, seen.from.place)?;
                Some(Origin {
                    account_id: place.account_id,
                    access_key_id: principal.access_key_id.as_deref().map(str::to_owned),
                    role_arn: principal.role_arn.to_string(),
                    region: place.region.clone(),
                    network: word(seen.from.network),
                    endpoint: word(seen.from.endpoint),
                    agent: word(seen.from.agent),
                    first: seen.first,
                    last: seen.last,
                    action: at(&self.event_actions, seen.event_action)?.actions.first()?.to_string(),
                    source: seen.source.as_deref().map(str::to_owned),
                    is_rest: seen.from.is_rest,
                })
            }));
        }
        origins.sort_by(|a, b| a.key().cmp(&b.key()));
        // Sessions of one key and role can have several names.
        origins.dedup_by(|next, kept| {
            let same = next.key() == kept.key();
            if same {
                kept.absorb(next);
            }
            same
        });
        origins
    }
}
