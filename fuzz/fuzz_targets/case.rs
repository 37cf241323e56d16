//! Runs [`rolecall_fuzz::language::case`].

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| rolecall_fuzz::language::case(bytes));
