//! Texts that stand for something: durations, and globs over names and OU paths.
//!
//! Refuses to know where they are written.

use chrono::TimeDelta;

/// Reads a duration such as `90d`, `1h30m`, `45s`, `250ms`; units from large to small need not be kept.
///
/// # Errors
/// What is wrong with it, in one sentence.
pub(super) fn read_duration(text: &str) -> Result<TimeDelta, String> {
    let bad = || format!("`{text}` is not a duration; write it as in `90d`, `12h`, `1h30m`, `45s` or `250ms`");
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    if rest.is_empty() {
        return Err(bad());
    }
    let mut total = TimeDelta::zero();
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(bad)?;
        let (number, tail) = rest.split_at_checked(digits).ok_or_else(bad)?;
        let number: i64 = number.parse().map_err(|_| bad())?;
        let letters = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at_checked(letters).ok_or_else(bad)?;
        let part = match unit {
            "d" => TimeDelta::try_days(number),
            "h" => TimeDelta::try_hours(number),
            "m" => TimeDelta::try_minutes(number),
            "s" => TimeDelta::try_seconds(number),
            "ms" => TimeDelta::try_milliseconds(number),
            _ => None,
        };
        total = part.and_then(|part| total.checked_add(&part)).ok_or_else(bad)?;
        rest = tail;
    }
    Ok(if negative { -total } else { total })
}

/// Prints a duration as [`read_duration`] reads it.
pub(super) fn print_duration(duration: TimeDelta) -> String {
    let millis = duration.num_milliseconds();
    if millis == 0 {
        return "0s".to_owned();
    }
    let mut out = String::new();
    if millis < 0 {
        out.push('-');
    }
    let mut rest = millis.unsigned_abs();
    for (unit, size) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)] {
        let count = rest / size;
        rest %= size;
        if count > 0 {
            out.push_str(&format!("{count}{unit}"));
        }
    }
    out
}

/// A name pattern: `*` stands for any run of characters, `?` for one. No other character is special.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Glob(Box<str>);

impl Glob {
    pub(super) fn new(text: &str) -> Self {
        Self(text.into())
    }

    pub(super) fn matches(&self, text: &str) -> bool {
        matches(&self.0, text)
    }

    /// Whether some text matches both.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        let a: Vec<char> = self.0.chars().collect();
        let b: Vec<char> = other.0.chars().collect();
        overlap(&a, &b, |c| *c == '*', |x, y| x == y || *x == '?' || *y == '?')
    }
}

/// Whether `pattern`, with `*` and `?`, matches the whole text.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    // Two pointers and the last star: linear in practice, no recursion.
    let (mut p, mut t) = (pattern.chars(), text.chars());
    let mut star: Option<(std::str::Chars<'_>, std::str::Chars<'_>)> = None;
    loop {
        let t_here = t.clone();
        match (p.next(), t.next()) {
            (None, None) => return true,
            (Some('*'), _) => {
                t = t_here;
                star = Some((p.clone(), t.clone()));
            }
            (Some('?'), Some(_)) => {}
            (Some(a), Some(b)) if a == b => {}
            _ => {
                let Some((after, mut from)) = star.take() else { return false };
                if from.next().is_none() {
                    return false;
                }
                p = after.clone();
                t = from.clone();
                star = Some((after, from));
            }
        }
    }
}

/// More literal characters first, then fewer stars: what "more specific" means.
fn specificity(pattern: &str) -> (usize, usize) {
    let literal = pattern.chars().filter(|c| !matches!(c, '*' | '?')).count();
    let stars = pattern.chars().filter(|c| *c == '*').count();
    (literal, usize::MAX - stars)
}

/// The pattern of the keys that matches the text and is the most specific.
pub(super) fn most_specific<'a>(patterns: impl Iterator<Item = &'a str>, text: &str) -> Option<&'a str> {
    patterns.filter(|p| matches(p, text)).max_by_key(|p| (specificity(p), std::cmp::Reverse(*p)))
}

/// Whether some sequence is matched by both patterns, `any` elements standing for any run.
fn overlap<T>(a: &[T], b: &[T], any: impl Fn(&T) -> bool, same: impl Fn(&T, &T) -> bool) -> bool {
    // row[j]: whether a[..i] and b[..j] can match one sequence.
    let mut row: Vec<bool> = Vec::with_capacity(b.len() + 1);
    row.push(true);
    for y in b {
        let before = row.last().copied().unwrap_or(false);
        row.push(before && any(y));
    }
    for x in a {
        let mut next: Vec<bool> = Vec::with_capacity(b.len() + 1);
        next.push(row.first().copied().unwrap_or(false) && any(x));
        for (j, y) in b.iter().enumerate() {
            let up = row.get(j + 1).copied().unwrap_or(false);
            let left = next.last().copied().unwrap_or(false);
            let diagonal = row.get(j).copied().unwrap_or(false);
            let here = match (any(x), any(y)) {
                (true, true) => up || left || diagonal,
                (true, false) => up || left,
                (false, true) => up || left,
                (false, false) => diagonal && same(x, y),
            };
            next.push(here);
        }
        row = next;
    }
    row.last().copied().unwrap_or(false)
}

/// A pattern over OU paths such as `/workloads/prod`: `*` stands within one name, `**` for any
/// number of names. `/` alone, and `/**`, select the whole organisation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OuPattern {
    parts: Vec<Box<str>>,
}

impl OuPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// What is wrong with it, in one sentence.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let Some(rest) = text.strip_prefix('/') else {
            return Err(format!("`{text}` is not an OU path; it starts with `/`, as in `/workloads/prod/**`"));
        };
        if rest.is_empty() {
            return Ok(Self { parts: vec!["**".into()] });
        }
        let parts: Vec<Box<str>> = rest.split('/').map(Into::into).collect();
        if parts.iter().any(|part| part.is_empty()) {
            return Err(format!("`{text}` is not an OU path; it has an empty name between two `/`"));
        }
        if parts.iter().any(|part| part.contains("**") && part.as_ref() != "**") {
            return Err(format!("`{text}` is not an OU path; `**` stands alone between two `/`"));
        }
        Ok(Self { parts })
    }

    /// Whether it selects every account.
    pub(super) fn is_everything(&self) -> bool {
        self.parts.iter().all(|part| part.as_ref() == "**")
    }

    /// How many names it states, which ranks it among OU patterns.
    pub(super) fn length(&self) -> usize {
        self.parts.iter().filter(|part| part.as_ref() != "**").count()
    }

    pub(super) fn matches(&self, path: &str) -> bool {
        let names: Vec<&str> = path.split('/').filter(|name| !name.is_empty()).collect();
        let mut reached = vec![false; names.len() + 1];
        if let Some(first) = reached.first_mut() {
            *first = true;
        }
        for part in &self.parts {
            if part.as_ref() == "**" {
                let mut seen = false;
                for here in &mut reached {
                    seen |= *here;
                    *here = seen;
                }
            } else {
                let mut next = vec![false; names.len() + 1];
                for ((here, name), slot) in reached.iter().zip(&names).zip(next.iter_mut().skip(1)) {
                    *slot = *here && matches(part, name);
                }
                reached = next;
            }
        }
        reached.last().copied().unwrap_or(false)
    }

    /// Whether some OU path matches both.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        overlap(&self.parts, &other.parts, |part| part.as_ref() == "**", |a, b| Glob::new(a).overlaps(&Glob::new(b)))
    }
}

/// The candidate nearest to a misspelt name, if any is near.
pub(super) fn closest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate))
        .filter(|(score, _)| *score >= 0.75)
        .max_by(|(a, x), (b, y)| a.total_cmp(b).then_with(|| y.cmp(x)))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations() {
        for (text, millis) in [
            ("90d", 90 * 86_400_000),
            ("1h30m", 5_400_000),
            ("45s", 45_000),
            ("250ms", 250),
            ("-1d", -86_400_000),
            ("0s", 0),
        ] {
            assert_eq!(read_duration(text).unwrap().num_milliseconds(), millis, "{text}");
            assert_eq!(print_duration(read_duration(text).unwrap()), text);
        }
        for text in ["", "-", "d", "1", "1 d", "1y", "99999999999999999d"] {
            assert!(read_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn globs() {
        for (pattern, text, expect) in [
            ("*", "", true),
            ("a*", "abc", true),
            ("*c", "abc", true),
            ("a*c*e", "abcde", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("a", "ab", false),
            ("", "", true),
            ("a*b*c", "aXbXbXc", true),
            ("[a]", "a", false),
        ] {
            assert_eq!(matches(pattern, text), expect, "{pattern} {text}");
        }
        let keys = ["*", "payments-*", "payments-eu-*"];
        assert_eq!(most_specific(keys.into_iter(), "payments-eu-1"), Some("payments-eu-*"));
        assert_eq!(most_specific(keys.into_iter(), "payments-us"), Some("payments-*"));
        assert_eq!(most_specific(keys.into_iter(), "web"), Some("*"));
    }

    #[test]
    fn ou_patterns() {
        for (pattern, path, expect) in [
            ("/", "/", true),
            ("/", "/a/b", true),
            ("/a", "/a", true),
            ("/a", "/a/b", false),
            ("/a/**", "/a", true),
            ("/a/**", "/a/b/c", true),
            ("/a/**", "/ab", false),
            ("/*/b", "/x/b", true),
            ("/**/b", "/x/y/b", true),
            ("/**/b", "/x/y/c", false),
        ] {
            assert_eq!(OuPattern::parse(pattern).unwrap().matches(path), expect, "{pattern} {path}");
        }
        for text in ["", "a", "//", "/a//b", "/a**"] {
            assert!(OuPattern::parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        /// Where one text matches both patterns, the patterns overlap.
        #[test]
        fn a_common_match_is_an_overlap(a in "[ab*?]{0,5}", b in "[ab*?]{0,5}", text in "[ab]{0,5}") {
            if matches(&a, &text) && matches(&b, &text) {
                prop_assert!(Glob::new(&a).overlaps(&Glob::new(&b)));
            }
        }

        #[test]
        fn a_common_ou_is_an_overlap(
            a in "(/(a|b|\\*|\\*\\*)){1,4}", b in "(/(a|b|\\*|\\*\\*)){1,4}", path in "(/(a|b)){0,4}",
        ) {
            let (a, b) = (OuPattern::parse(&a).unwrap(), OuPattern::parse(&b).unwrap());
            if a.matches(&path) && b.matches(&path) {
                prop_assert!(a.overlaps(&b));
            }
        }
    }
}
