//! Any bytes are CloudTrail records or problems, and what is read bears no session token.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rolecall_audit::trail::read_bounded;

fuzz_target!(|bytes: &[u8]| {
    let read = read_bounded("x.json", bytes, 1 << 20);
    assert!(read.sessions.len() <= read.events);
});
