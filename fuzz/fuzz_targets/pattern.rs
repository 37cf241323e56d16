//! What a pattern covers, it matches; every text matches itself as a pattern.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rolecall_iam::pattern::{ActionPattern, ResourcePattern, like};

fuzz_target!(|input: (String, String, String)| {
    let (a, b, text) = input;
    let (wide, narrow) = (ResourcePattern::read(&a), ResourcePattern::read(&b));
    if wide.covers(&narrow) && !narrow.has_variable() && narrow.matches(&text) {
        assert!(wide.matches(&text) || wide.is_everything());
    }
    assert!(like(&text, &text));
    if let (Ok(wide), Ok(narrow)) = (ActionPattern::read(&a), ActionPattern::read(&b)) {
        if wide.covers(&narrow) && narrow.matches(&text) {
            assert!(wide.matches(&text));
        }
    }
});
