//! Whether some text may match two patterns, their wildcards taken as wide as they can be.

/// One step of a pattern, its wildcards taken as wide as they can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Char(char),
    One,
    Any,
    /// Any text without a colon.
    Within,
}

impl Step {
    fn is_star(self) -> bool {
        matches!(self, Self::Any | Self::Within)
    }
}

pub(crate) fn steps(text: &str) -> Vec<Step> {
    let mut steps = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let variable = rest.strip_prefix("${").and_then(|inner| inner.split_once('}')).map(|(_, tail)| tail);
        rest = variable.unwrap_or_else(|| rest.get(c.len_utf8()..).unwrap_or_default());
        steps.push(match c {
            _ if variable.is_some() => Step::Any,
            '*' => Step::Any,
            '?' => Step::One,
            c => Step::Char(c),
        });
    }
    steps
}

/// Whether some text may match both patterns. Never wrongly no.
pub(crate) fn overlaps(a: &str, b: &str) -> bool {
    meet_somewhere(&steps(a), &steps(b))
}

pub(super) fn meet_somewhere(a: &[Step], b: &[Step]) -> bool {
    let differ = |pair: (&Step, &Step)| matches!(pair, (Step::Char(x), Step::Char(y)) if x != y);
    let fixed = |pair: &(&Step, &Step)| !pair.0.is_star() && !pair.1.is_star();
    // Most pairs differ before their first star, or after their last.
    if a.iter().zip(b).take_while(fixed).any(differ) || a.iter().rev().zip(b.iter().rev()).take_while(fixed).any(differ)
    {
        return false;
    }
    match (Places::new(a), Places::new(b)) {
        (_, Some(places)) => places.meet(a),
        (Some(places), None) => places.meet(b),
        (None, None) => meet_step_by_step(a, b),
    }
}

/// The steps of a pattern as bits, so that all of its beginnings are compared at once.
///
/// Bit `n` of a set of places means: before step `n`, or behind the last.
#[derive(Debug)]
pub(crate) struct Places {
    /// For each letter of ASCII, which of the masks is its own; the first is of none.
    letters: [u8; 128],
    /// Where each letter stands.
    masks: Vec<u128>,
    others: Vec<(char, u128)>,
    /// Where a `?` stands.
    ones: u128,
    /// Where a star stands, and where one that takes colons too.
    stars: u128,
    free: u128,
    len: usize,
}

impl Places {
    /// `None` for a pattern that is too long.
    pub(super) fn new(steps: &[Step]) -> Option<Self> {
        if steps.len() > 127 {
            return None;
        }
        let (letters, masks, others) = ([0; 128], vec![0], Vec::new());
        let mut places = Self { letters, masks, others, ones: 0, stars: 0, free: 0, len: steps.len() };
        for (at, step) in steps.iter().enumerate() {
            let bit = 1_u128 << at;
            match step {
                Step::Char(c) => places.put(*c, bit),
                Step::One => places.ones |= bit,
                Step::Any => (places.stars, places.free) = (places.stars | bit, places.free | bit),
                Step::Within => places.stars |= bit,
            }
        }
        Some(places)
    }

    fn put(&mut self, c: char, bit: u128) {
        let next = u8::try_from(self.masks.len()).unwrap_or(u8::MAX);
        match self.letters.get_mut(usize::try_from(u32::from(c)).unwrap_or(usize::MAX)) {
            Some(place @ 0) => {
                *place = next;
                self.masks.push(bit);
            }
            Some(place) => self.masks.get_mut(usize::from(*place)).into_iter().for_each(|mask| *mask |= bit),
            None => self.others.push((c, bit)),
        }
    }

    fn letter(&self, c: char) -> u128 {
        match self.letters.get(usize::try_from(u32::from(c)).unwrap_or(usize::MAX)) {
            Some(place) => self.masks.get(usize::from(*place)).copied().unwrap_or(0),
            None => self.others.iter().filter(|(other, _)| *other == c).fold(0, |all, (_, mask)| all | mask),
        }
    }

    /// A star may stand for nothing.
    fn past_stars(&self, mut reached: u128) -> u128 {
        loop {
            let more = reached | (reached & self.stars) << 1;
            if more == reached {
                return reached;
            }
            reached = more;
        }
    }

    /// As [`meet_step_by_step`].
    pub(super) fn meet(&self, other: &[Step]) -> bool {
        let (end, colons) = (1_u128 << self.len, self.letter(':'));
        let mut reached = self.past_stars(1);
        for step in other {
            reached = match step {
                Step::Char(c) => {
                    let taking = if *c == ':' { self.free } else { self.stars };
                    self.past_stars((reached & (self.letter(*c) | self.ones)) << 1 | reached & taking)
                }
                Step::One => self.past_stars((reached & !self.stars & !end) << 1 | reached & self.stars),
                // Everything behind the first place.
                Step::Any => (end << 1).wrapping_sub(reached & reached.wrapping_neg()),
                Step::Within => {
                    let mut open = reached;
                    loop {
                        let more = open | (open & !colons & !end) << 1;
                        if more == open {
                            break open;
                        }
                        open = more;
                    }
                }
            };
            if reached == 0 {
                return false;
            }
        }
        reached & end != 0
    }
}

/// Which beginnings of `b` can go with each beginning of `a`, one after the other.
pub(crate) fn meet_step_by_step(a: &[Step], b: &[Step]) -> bool {
    let mut reached: Vec<bool> = Vec::with_capacity(b.len() + 1);
    let mut next: Vec<bool> = Vec::with_capacity(b.len() + 1);
    reached.push(true);
    for step in b {
        reached.push(step.is_star() && reached.last().copied().unwrap_or_default());
    }
    for x in a {
        next.clear();
        next.push(x.is_star() && reached.first().copied().unwrap_or_default());
        for (y, pair) in b.iter().zip(reached.windows(2)) {
            let (diagonal, above) =
                (pair.first().copied().unwrap_or_default(), pair.last().copied().unwrap_or_default());
            let left = next.last().copied().unwrap_or_default();
            let together = match (x, y) {
                (Step::Char(x), Step::Char(y)) => diagonal && x == y,
                (Step::Any | Step::Within, Step::Any | Step::Within) => diagonal || above || left,
                // A star stands for nothing, or takes the other's step in, as long as it may.
                (Step::Within, Step::Char(':')) => above,
                (Step::Char(':'), Step::Within) => left,
                (Step::Any | Step::Within, _) | (_, Step::Any | Step::Within) => left || above,
                _ => diagonal,
            };
            next.push(together);
        }
        std::mem::swap(&mut reached, &mut next);
    }
    reached.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_can_and_cannot_have_something_in_common() {
        let cases = [
            ("arn:aws:s3:::a/*", "arn:aws:s3:::b/*", false),
            ("arn:aws:s3:::a*", "arn:aws:s3:::*b", true),
            ("arn:aws:s3:::a", "arn:aws:s3:::a", true),
            ("arn:aws:s3:::a", "arn:aws:s3:::a?", false),
            ("*", "anything", true),
            ("*-prod", "*-test", false),
            ("a*b*c", "a?c", true),
            ("a*bb*c", "a?c", false),
            ("a*b*c", "a??c", true),
            ("role/${aws:username}", "role/ann", true),
            ("role/${aws:username}-x", "role/ann", false),
            ("", "*", true),
            ("", "", true),
            ("", "a", false),
        ];
        for (a, b, wanted) in cases {
            assert_eq!(overlaps(a, b), wanted, "{a} {b}");
            assert_eq!(overlaps(b, a), wanted, "{b} {a}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        #[test]
        fn all_at_once_is_as_step_by_step(a in "[ab:*?]{0,12}", b in "[ab:*?]{0,12}", within in any::<[bool; 2]>()) {
            let narrowed = |text: &str, within: bool| -> Vec<Step> {
                let narrow = |step| if step == Step::Any && within { Step::Within } else { step };
                steps(text).into_iter().map(narrow).collect()
            };
            let [a, b] = [narrowed(&a, within[0]), narrowed(&b, within[1])];
            prop_assert_eq!(Places::new(&b).unwrap().meet(&a), meet_step_by_step(&a, &b));
        }

        #[test]
        fn a_text_that_matches_both_is_never_missed(
            a in "[ab:*?]{0,8}", b in "[ab:*?]{0,8}", text in "[ab:]{0,6}",
        ) {
            if crate::matching::pattern::like(&a, &text) && crate::matching::pattern::like(&b, &text) {
                prop_assert!(overlaps(&a, &b), "{} {} {}", a, b, text);
            }
        }
    }
}
