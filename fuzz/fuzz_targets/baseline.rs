//! Runs [`rolecall_fuzz::records::baseline`].

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| rolecall_fuzz::records::baseline(bytes));
