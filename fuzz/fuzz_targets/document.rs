//! Any text is a document: it parses or says why, and its canonical form is a fixed point.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rolecall_iam::Document;

fuzz_target!(|text: &str| {
    let document = Document::read(text);
    if document.parsed.is_ok() {
        let canonical = document.canonical();
        let again = Document::read(&canonical);
        assert!(again.parsed.is_ok(), "the canonical form does not parse: {canonical}");
        assert_eq!(again.digest, document.digest, "the canonical form has another address: {canonical}");
    }
});
