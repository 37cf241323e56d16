//! The matcher ends, whatever the pattern, and a pattern that covers another matches what it matches.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rolecall_iam::pattern::{ResourcePattern, like};

fuzz_target!(|words: (&str, &str, &str)| {
    let (pattern, narrower, text) = words;
    like(pattern, text);
    let (wide, narrow) = (ResourcePattern::read(pattern), ResourcePattern::read(narrower));
    // The promise is about resources, which are ARNs; the commercial partition stands for all.
    let resource = format!("arn:aws:{text}");
    if resource.parse::<rolecall_iam::Arn>().is_ok() && wide.covers(&narrow) && narrow.matches(&resource) {
        assert!(wide.matches(&resource), "{pattern:?} covers {narrower:?} and does not match {resource:?}");
    }
});
