//! How often one credential may ask.
//!
//! Each has so many requests a minute, all at once or spread, and gets them back one by one; a process counts what it
//! answers itself. Refuses to know requests.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

const WINDOW: Duration = Duration::from_secs(60);
/// So many credentials are counted; then those with all of their requests are forgotten.
const COUNTED: usize = 10_000;

/// How a credential stands after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// So many requests a minute.
    pub limit: u32,
    /// So many more at once.
    pub remaining: u32,
    /// Until it has all of them back.
    pub reset: Duration,
    /// Where the request is one too many: until the next one is not.
    pub wait: Option<Duration>,
}

/// The requests of each credential.
#[derive(Debug, Clone, Default)]
pub struct Rates(Arc<Mutex<HashMap<String, Instant>>>);

impl Rates {
    /// Counts a request; `None` where there is no limit. What is one too many is not counted.
    pub(crate) fn count(&self, credential: &str, limit: u32, now: Instant) -> Option<Standing> {
        let each = WINDOW.checked_div(limit)?;
        let mut spent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if spent.len() >= COUNTED {
            spent.retain(|_, until| *until > now);
        }
        // The moment at which all requests are back, were none sent any more.
        let until = spent.get(credential).copied().unwrap_or(now).max(now);
        let next = until + each;
        let used = next - now;
        if used > WINDOW {
            let standing = Standing { limit, remaining: 0, reset: until - now, wait: Some(used - WINDOW) };
            return Some(standing);
        }
        spent.insert(credential.to_owned(), next);
        let remaining = (WINDOW - used).as_nanos().checked_div(each.as_nanos()).unwrap_or_default();
        let remaining = u32::try_from(remaining).unwrap_or(limit);
        Some(Standing { limit, remaining, reset: used, wait: None })
    }
}

/// Refusals that are written down: of each cause the first of a minute, with how many there were since the one before.
#[derive(Debug, Clone, Default)]
pub struct Refusals(Arc<Mutex<HashMap<String, Refused>>>);

#[derive(Debug, Clone, Copy)]
struct Refused {
    written: Instant,
    since: u64,
}

impl Refusals {
    /// Counts a refusal, and says how many it stands for where it is to be written down. So many causes are counted at
    /// once; beyond them nothing is.
    pub(crate) fn count(&self, cause: &str, now: Instant) -> Option<u64> {
        let mut causes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = causes.get_mut(cause) {
            known.since = known.since.saturating_add(1);
            if now.saturating_duration_since(known.written) < WINDOW {
                return None;
            }
            let count = std::mem::take(&mut known.since);
            known.written = now;
            return Some(count);
        }
        if causes.len() >= COUNTED {
            causes.retain(|_, it| now.saturating_duration_since(it.written) < WINDOW);
        }
        if causes.len() >= COUNTED {
            return None;
        }
        causes.insert(cause.to_owned(), Refused { written: now, since: 0 });
        Some(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_spent_comes_back_and_each_has_its_own() {
        let (rates, begin) = (Rates::default(), Instant::now());
        let at = |seconds: u64| begin + Duration::from_secs(seconds);
        let ask = |who: &str, now: Instant| rates.count(who, 6, now).unwrap();
        let left: Vec<u32> = (0..6).map(|_| ask("a", begin).remaining).collect();
        assert_eq!(left, [5, 4, 3, 2, 1, 0]);
        let refused = ask("a", begin);
        assert_eq!((refused.remaining, refused.wait), (0, Some(Duration::from_secs(10))));
        assert_eq!(ask("b", begin).remaining, 5);
        // One comes back in ten seconds, and what was refused cost nothing.
        assert_eq!(ask("a", at(9)).wait, Some(Duration::from_secs(1)));
        assert_eq!(ask("a", at(10)), Standing { limit: 6, remaining: 0, reset: WINDOW, wait: None });
        assert_eq!(ask("a", at(200)).remaining, 5);
        assert_eq!(rates.count("a", 0, begin), None);
    }

    #[test]
    fn of_refusals_the_first_of_a_minute_stands_for_those_before_it() {
        let (refusals, begin) = (Refusals::default(), Instant::now());
        let at = |seconds: u64| begin + Duration::from_secs(seconds);
        assert_eq!(refusals.count("a", begin), Some(1));
        assert_eq!([at(1), at(2), at(59)].map(|now| refusals.count("a", now)), [None; 3]);
        assert_eq!(refusals.count("b", at(2)), Some(1));
        assert_eq!(refusals.count("a", at(60)), Some(4));
        assert_eq!((refusals.count("a", at(61)), refusals.count("a", at(500))), (None, Some(2)));
        for n in 0..COUNTED {
            refusals.count(&n.to_string(), at(500));
        }
        assert_eq!(refusals.count("c", at(501)), None, "bounded");
        assert_eq!(refusals.count("c", at(600)), Some(1));
    }
}
