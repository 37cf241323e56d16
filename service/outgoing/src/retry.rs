//! When a message is sent again, as Standard Webhooks 1.0 proposes:
//! <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>.

use std::time::Duration;

/// Between attempts, in seconds. The first attempt is made at once.
const DELAYS: [u64; 9] = [5, 5 * 60, 30 * 60, 2 * 3_600, 5 * 3_600, 10 * 3_600, 14 * 3_600, 20 * 3_600, 24 * 3_600];

/// How often a message is sent before it is given up.
pub const ATTEMPTS: u32 = 10;

/// The longest that an endpoint may ask us to wait.
const LONGEST: Duration = Duration::from_secs(24 * 3_600);

/// How long to wait after so many attempts that failed, up to a tenth longer by `jitter` (0 to 1), so that messages
/// that failed together do not come back together. An endpoint's `Retry-After` is honoured up to a day; it never
/// shortens the wait. `None` after the last attempt.
#[must_use]
pub fn delay(failed: u32, jitter: f64, retry_after: Option<Duration>) -> Option<Duration> {
    let at = usize::try_from(failed.checked_sub(1)?).ok()?;
    let usual = Duration::from_secs(*DELAYS.get(at)?);
    let usual = usual + usual.mul_f64(jitter.clamp(0.0, 1.0) / 10.0);
    Some(usual.max(retry_after.unwrap_or_default().min(LONGEST)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_come_further_and_further_apart_and_end() {
        let waits: Vec<_> = (1..ATTEMPTS).map(|failed| delay(failed, 0.0, None).unwrap().as_secs()).collect();
        assert_eq!(waits, [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400]);
        assert_eq!((delay(0, 0.0, None), delay(ATTEMPTS, 0.0, None)), (None, None));
    }

    #[test]
    fn an_endpoint_may_ask_for_more_time_and_not_for_less() {
        let asked = |seconds| Some(Duration::from_secs(seconds));
        for (failed, retry_after, seconds) in
            [(1, asked(120), 120), (1, asked(1), 5), (2, asked(10), 300), (1, asked(9_999_999), 86_400)]
        {
            assert_eq!(delay(failed, 0.0, retry_after).unwrap().as_secs(), seconds);
        }
        assert_eq!(delay(2, 1.0, None), Some(Duration::from_secs(330)));
        assert_eq!(delay(2, 7.0, None), Some(Duration::from_secs(330)));
    }
}
