//! The names under which CloudTrail delivers its files.
//!
//! `AWSLogs/[o-…/]<account>/CloudTrail/<region>/<yyyy>/<mm>/<dd>/<account>_CloudTrail_<region>_<yyyymmddThhmmZ>_<unique>.json.gz`
//!
//! Refuses to know where such names are listed.

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use rolecall_estate::id::Region;
use rolecall_iam::AccountId;

/// The name of a log file, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFile {
    /// Whose events.
    pub account_id: AccountId,
    /// Of which region.
    pub region: Region,
    /// The day under which it lies; where it lies under none, that of its delivery.
    pub day: NaiveDate,
    /// When it was delivered, to the minute.
    pub at: DateTime<Utc>,
    /// The file's name. No two files have the same, wherever they lie.
    pub name: String,
}

/// Why a name is not that of a log file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotALog {
    /// A digest of log files.
    Digest,
    /// An insight, or a file of network activity or aggregated events.
    Insight,
    /// Something else.
    Other,
}

impl LogFile {
    /// Reads a key, or a path with `/` between its parts.
    ///
    /// # Errors
    /// What else it is.
    pub fn of_key(key: &str) -> Result<Self, NotALog> {
        let mut parts = key.rsplit('/');
        let name = parts.next().unwrap_or_default();
        if name.contains("_CloudTrail-Digest_") {
            return Err(NotALog::Digest);
        }
        if name.contains("_CloudTrail-") {
            return Err(NotALog::Insight);
        }
        let read = Self::of_name(name).ok_or(NotALog::Other)?;
        let dated = [parts.next(), parts.next(), parts.next()];
        let day = match dated {
            [Some(day), Some(month), Some(year)] => {
                NaiveDate::parse_from_str(&format!("{year}{month}{day}"), "%Y%m%d").ok()
            }
            _ => None,
        };
        Ok(Self { day: day.unwrap_or(read.day), ..read })
    }

    fn of_name(name: &str) -> Option<Self> {
        let stem = name.strip_suffix(".gz").unwrap_or(name).strip_suffix(".json")?;
        let mut parts = stem.split('_');
        let account_id: AccountId = parts.next()?.parse().ok()?;
        if parts.next()? != "CloudTrail" {
            return None;
        }
        let region: Region = parts.next()?.parse().ok()?;
        let at = NaiveDateTime::parse_from_str(parts.next()?, "%Y%m%dT%H%MZ").ok()?.and_utc();
        let unique = parts.next()?;
        let is_unique = !unique.is_empty() && unique.bytes().all(|b| b.is_ascii_alphanumeric());
        (is_unique && parts.next().is_none()).then(|| Self {
            account_id,
            region,
            day: at.date_naive(),
            at,
            name: name.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "111122223333_CloudTrail_eu-west-1_20261123T2355Z_AbCdEf0123456789.json.gz";

    #[test]
    fn a_log_file_says_whose_it_is_and_of_when() {
        for prefix in ["AWSLogs/111122223333", "team/x/AWSLogs/o-exampleorg/111122223333"] {
            let read = LogFile::of_key(&format!("{prefix}/CloudTrail/eu-west-1/2026/11/24/{NAME}")).unwrap();
            assert_eq!(read.account_id.to_string(), "111122223333");
            assert_eq!(read.region.as_str(), "eu-west-1");
            assert_eq!(read.day.to_string(), "2026-11-24");
            assert_eq!(read.at.to_rfc3339(), "2026-11-23T23:55:00+00:00");
            assert_eq!(read.name, NAME);
        }
        assert_eq!(LogFile::of_key(NAME).unwrap().day.to_string(), "2026-11-23");
        assert!(LogFile::of_key(NAME.strip_suffix(".gz").unwrap()).is_ok());
    }

    #[test]
    fn anything_else_is_none() {
        let cases = [
            ("111122223333_CloudTrail-Digest_eu-west-1_main_eu-west-1_20261123T235500Z.json.gz", NotALog::Digest),
            ("111122223333_CloudTrail-Insight_eu-west-1_20261123T2355Z_AbCdEf0123456789.json.gz", NotALog::Insight),
            ("111122223333_CloudTrail_eu-west-1_20261123T2355Z_.json.gz", NotALog::Other),
            ("111122223333_CloudTrail_eu-west-1_20261323T2355Z_AbC.json.gz", NotALog::Other),
            ("12_CloudTrail_eu-west-1_20261123T2355Z_AbC.json.gz", NotALog::Other),
            ("111122223333_Config_eu-west-1_ConfigHistory.json.gz", NotALog::Other),
            ("111122223333_CloudTrail_eu-west-1_20261123T2355Z_AbC.csv", NotALog::Other),
            ("", NotALog::Other),
        ];
        for (name, expected) in cases {
            assert_eq!(LogFile::of_key(&format!("AWSLogs/x/{name}")), Err(expected), "{name}");
        }
    }
}
