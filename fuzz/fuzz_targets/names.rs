//! Runs [`rolecall_fuzz::records::names`].

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| rolecall_fuzz::records::names(bytes));
