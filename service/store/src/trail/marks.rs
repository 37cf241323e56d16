//! Sets of 64-bit marks in few bytes: sorted, each written as its distance from the one before.
//!
//! Distances of evenly spread marks are written as Rice codes, which for a million marks takes
//! under six bytes each, close to the least that any code can. Refuses to know what is marked.

/// Why bytes are no set of marks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the marks end too early or are out of order")]
pub(crate) struct Broken;

/// Longer distances than this many steps are written out, so that no set of marks, however chosen,
/// takes more than 16 bytes a mark.
const LONGEST: u32 = 48;

/// Writes marks, which must be sorted and unique.
pub(crate) fn encode(sorted: &[u64]) -> Vec<u8> {
    let count = u64::try_from(sorted.len()).unwrap_or(u64::MAX);
    // The bits that the mean distance has: they are written as they are, what is over in steps.
    let low = (u64::MAX / count.max(1)).checked_ilog2().unwrap_or(0).min(62);
    let mut out = Writer { bytes: Vec::with_capacity(sorted.len().saturating_mul(7) + 16), held: 0, filled: 0 };
    out.push(count, 32);
    out.push(u64::from(low), 8);
    let mut before = 0;
    for mark in sorted {
        let distance = mark.wrapping_sub(before);
        before = *mark;
        let steps = u32::try_from(distance >> low).unwrap_or(u32::MAX);
        if steps < LONGEST {
            out.push((1 << steps) - 1, steps + 1);
            out.push(distance & ((1 << low) - 1), low);
        } else {
            out.push((1 << LONGEST) - 1, LONGEST);
            out.push(distance & u64::from(u32::MAX), 32);
            out.push(distance >> 32, 32);
        }
    }
    out.end()
}

/// Reads what [`encode()`] wrote.
pub(crate) fn decode(bytes: &[u8]) -> Result<Vec<u64>, Broken> {
    let mut bits = Reader { rest: bytes, held: 0, filled: 0 };
    let count = bits.take(32)?;
    let low = u32::try_from(bits.take(8)?).map_err(|_| Broken)?;
    if low > 62 {
        return Err(Broken);
    }
    // No mark takes less than a bit: a count beyond that is not to claim memory.
    let most = u64::try_from(bytes.len()).unwrap_or(u64::MAX).saturating_mul(8);
    if count > most {
        return Err(Broken);
    }
    let mut marks = Vec::with_capacity(usize::try_from(count).map_err(|_| Broken)?);
    let mut before = 0_u64;
    for n in 0..count {
        let steps = bits.ones()?;
        let distance = if steps < LONGEST {
            (u64::from(steps) << low) | bits.take(low)?
        } else {
            bits.take(32)? | (bits.take(32)? << 32)
        };
        let mark = before.checked_add(distance).ok_or(Broken)?;
        if n > 0 && distance == 0 {
            return Err(Broken);
        }
        marks.push(mark);
        before = mark;
    }
    Ok(marks)
}

/// What is in both of two sorted sets is added to `out`. Costs little more than the smaller set
/// where the other is much larger.
pub(crate) fn common(few: &[u64], many: &[u64], out: &mut Vec<u64>) {
    let mut many = many;
    for mark in few {
        // Doubling steps find the range that can hold the mark, and a search within it the place.
        let mut reach = 1;
        while many.get(reach - 1).is_some_and(|other| other < mark) {
            reach *= 2;
        }
        let stretch = many.get(..reach.min(many.len())).unwrap_or_default();
        let at = stretch.partition_point(|other| other < mark);
        many = many.get(at..).unwrap_or_default();
        if many.first() == Some(mark) {
            out.push(*mark);
        }
    }
}

struct Writer {
    bytes: Vec<u8>,
    held: u128,
    filled: u32,
}

impl Writer {
    /// `bits` is at most 64, and `value` has no more.
    fn push(&mut self, value: u64, bits: u32) {
        self.held |= u128::from(value) << self.filled;
        self.filled += bits;
        if self.filled >= 64 {
            let low = u64::try_from(self.held & u128::from(u64::MAX)).unwrap_or_default();
            self.bytes.extend_from_slice(&low.to_le_bytes());
            self.held >>= 64;
            self.filled -= 64;
        }
    }

    fn end(mut self) -> Vec<u8> {
        let bytes = usize::try_from(self.filled.div_ceil(8)).unwrap_or_default();
        self.bytes.extend(self.held.to_le_bytes().into_iter().take(bytes));
        self.bytes
    }
}

struct Reader<'a> {
    rest: &'a [u8],
    held: u128,
    filled: u32,
}

impl Reader<'_> {
    fn fill(&mut self) {
        if let Some((next, rest)) = self.rest.split_first_chunk::<8>() {
            self.held |= u128::from(u64::from_le_bytes(*next)) << self.filled;
            self.filled += 64;
            self.rest = rest;
        } else {
            while let (Some((next, rest)), true) = (self.rest.split_first(), self.filled <= 64) {
                self.held |= u128::from(*next) << self.filled;
                self.filled += 8;
                self.rest = rest;
            }
        }
    }

    /// `bits` is at most 62 or so; 64 always fit.
    fn take(&mut self, bits: u32) -> Result<u64, Broken> {
        if self.filled < bits {
            self.fill();
            if self.filled < bits {
                return Err(Broken);
            }
        }
        let value = self.held & ((1_u128 << bits) - 1);
        self.held >>= bits;
        self.filled -= bits;
        u64::try_from(value).map_err(|_| Broken)
    }

    /// Ones up to the next zero, which is taken as well; or [`LONGEST`] of them without it.
    fn ones(&mut self) -> Result<u32, Broken> {
        if self.filled <= LONGEST {
            self.fill();
        }
        let ones = self.held.trailing_ones().min(LONGEST);
        self.take(if ones == LONGEST { LONGEST } else { ones + 1 })?;
        Ok(ones)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn spread(count: u64) -> Vec<u64> {
        let mut marks: Vec<u64> = (0..count).map(|n| (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
        marks.sort_unstable();
        marks.dedup();
        marks
    }

    #[test]
    fn a_million_marks_take_under_six_bytes_each() {
        let marks = spread(1_000_000);
        let bytes = encode(&marks);
        assert_eq!(decode(&bytes).unwrap(), marks);
        assert!(bytes.len() < marks.len() * 6, "{}", bytes.len());
    }

    #[test]
    fn bytes_that_claim_more_than_they_hold_are_refused() {
        assert_eq!(decode(&[]), Err(Broken));
        assert_eq!(decode(&[0xff; 5]), Err(Broken));
        let mut cut = encode(&spread(100));
        cut.truncate(cut.len() / 2);
        assert_eq!(decode(&cut), Err(Broken));
    }

    proptest! {
        #[test]
        fn every_set_reads_back(mut marks in prop::collection::vec(
            prop_oneof![any::<u64>(), 0_u64..50, (u64::MAX - 50)..=u64::MAX], 0..300)
        ) {
            marks.sort_unstable();
            marks.dedup();
            let bytes = encode(&marks);
            prop_assert!(bytes.len() <= marks.len() * 16 + 16);
            prop_assert_eq!(decode(&bytes).unwrap(), marks);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _read = decode(&bytes);
        }

        #[test]
        fn what_is_common_is_in_both(
            a in prop::collection::btree_set(0_u64..200, 0..60),
            b in prop::collection::btree_set(0_u64..200, 0..60),
        ) {
            let (few, many): (Vec<u64>, Vec<u64>) = (a.iter().copied().collect(), b.iter().copied().collect());
            let mut found = Vec::new();
            common(&few, &many, &mut found);
            prop_assert_eq!(found, a.intersection(&b).copied().collect::<Vec<_>>());
        }
    }
}
