//! Any bytes are a CloudTrail file: sessions come out, or named problems.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    rolecall_audit::trail::read_bounded("input", bytes, 1 << 20);
});
