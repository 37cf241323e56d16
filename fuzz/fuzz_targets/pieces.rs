//! Runs [`rolecall_fuzz::records::pieces`].

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| rolecall_fuzz::records::pieces(bytes));
