//! Tickets of findings in other systems: what a system, a ticket and a reservation may be called. Refuses to know
//! which findings there are, and whose reservation holds.

use super::triage::{TriageFault, text};
use std::time::Duration;

/// The longest name of a system.
const SYSTEM: usize = 40;
const HOLDER: usize = 200;
const KEY: usize = 200;
const URL: usize = 2_000;
/// Words of the filter by ticket.
const RESERVED: [&str; 2] = ["none", "any"];
/// A reservation lasts so long, in seconds.
const LEASE: std::ops::RangeInclusive<u64> = 1..=3_600;
const USUAL_LEASE: u64 = 600;

/// How an installation calls a system that holds tickets.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TicketSystem(String);

impl TicketSystem {
    /// A name.
    ///
    /// # Errors
    /// Where it has other characters than lower-case letters, digits, `-` and `_`, is too long, or is a word of the
    /// filter.
    pub fn new(name: &str) -> Result<Self, TriageFault> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_');
        let fault = |message: String| Err(TriageFault { field: "system", message });
        if name.is_empty() || name.len() > SYSTEM || !name.bytes().all(plain) {
            let shown: String = name.chars().take(SYSTEM).collect();
            let allowed = format!("{SYSTEM} lower-case letters, digits, `-` and `_` at most");
            return fault(format!("`system`: `{shown}` is not the name of a system; it has {allowed}, such as `jira`"));
        }
        if RESERVED.contains(&name) {
            return fault(format!("`system`: `{name}` is a word of the filter `ticket`; choose another name"));
        }
        Ok(Self(name.to_owned()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A reservation as it is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reservation {
    system: TicketSystem,
    holder: String,
    lease: Duration,
}

impl Reservation {
    /// A reservation in a system, for a worker, for so many seconds.
    ///
    /// # Errors
    /// Every fault: the system's, a holder that is blank or too long, a lease that is too short or too long.
    pub fn new(system: &str, holder: &str, seconds: Option<u64>) -> Result<Self, Vec<TriageFault>> {
        let mut faults = Vec::new();
        let system = TicketSystem::new(system).map_err(|fault| faults.push(fault));
        let holder = line("holder", holder, HOLDER).map_err(|fault| faults.push(fault));
        let seconds = seconds.unwrap_or(USUAL_LEASE);
        if !LEASE.contains(&seconds) {
            let message =
                format!("`lease_seconds` is {seconds}; from {} to {} are allowed", LEASE.start(), LEASE.end());
            faults.push(TriageFault { field: "lease_seconds", message });
        }
        match (system, holder) {
            (Ok(system), Ok(holder)) if faults.is_empty() => {
                Ok(Self { system, holder, lease: Duration::from_secs(seconds) })
            }
            _ => Err(faults),
        }
    }

    /// In which system.
    #[must_use]
    pub fn system(&self) -> &TicketSystem {
        &self.system
    }

    /// Which worker.
    #[must_use]
    pub fn holder(&self) -> &str {
        &self.holder
    }

    /// For how long.
    #[must_use]
    pub fn lease(&self) -> Duration {
        self.lease
    }
}

/// A ticket, as its system calls it and where people read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    key: String,
    url: String,
}

impl Ticket {
    /// A ticket by its key and address.
    ///
    /// # Errors
    /// Every fault: a key that is blank, too long or of several lines, an address that is not `https` or `http`.
    pub fn new(key: &str, url: &str) -> Result<Self, Vec<TriageFault>> {
        let mut faults = Vec::new();
        let key = line("key", key, KEY).map_err(|fault| faults.push(fault));
        let url = line("url", url, URL).map_err(|fault| faults.push(fault));
        let is_web = |url: &String| {
            let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
            rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/')) && !url.contains(char::is_whitespace)
        };
        if url.as_ref().is_ok_and(|url| !is_web(url)) {
            let message = "`url` is not an address that begins with `https://` or `http://`".to_owned();
            faults.push(TriageFault { field: "url", message });
        }
        match (key, url) {
            (Ok(key), Ok(url)) if faults.is_empty() => Ok(Self { key, url }),
            _ => Err(faults),
        }
    }

    /// How its system calls it.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Where people read it.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }
}

fn line(field: &'static str, given: &str, most: usize) -> Result<String, TriageFault> {
    let given = text(field, given, most)?;
    if given.chars().any(char::is_control) {
        let message = format!("`{field}` is one line, without control characters");
        return Err(TriageFault { field, message });
    }
    Ok(given)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields<T: std::fmt::Debug>(given: Result<T, Vec<TriageFault>>) -> Vec<&'static str> {
        given.unwrap_err().into_iter().map(|fault| fault.field).collect()
    }

    #[test]
    fn a_reservation_names_every_fault() {
        let fit = Reservation::new("jira-cloud_2", " bot a ", None).unwrap();
        assert_eq!((fit.holder(), fit.lease()), ("bot a", Duration::from_secs(600)));
        for (system, holder, seconds, wrong) in [
            ("", "bot", None, &["system"][..]),
            ("Jira", "bot", None, &["system"]),
            ("none", "bot", None, &["system"]),
            ("any", " ", Some(0), &["system", "holder", "lease_seconds"]),
            ("jira", "a\nb", Some(3_601), &["holder", "lease_seconds"]),
        ] {
            assert_eq!(fields(Reservation::new(system, holder, seconds)), wrong, "{system} {holder}");
        }
    }

    #[test]
    fn a_ticket_leads_to_a_page() {
        let fit = Ticket::new("SEC-1", "https://tracker.example/browse/SEC-1").unwrap();
        assert_eq!((fit.key(), fit.url()), ("SEC-1", "https://tracker.example/browse/SEC-1"));
        for (key, url, wrong) in [
            ("", "https://t.example/1", &["key"][..]),
            ("SEC-1", "javascript:alert(1)", &["url"]),
            ("SEC-1", "https://", &["url"]),
            ("SEC-1", "https:///x", &["url"]),
            ("SEC-1", "https://t.example/a b", &["url"]),
            ("a\nb", "", &["key", "url"]),
        ] {
            assert_eq!(fields(Ticket::new(key, url)), wrong, "{key} {url}");
        }
    }
}
