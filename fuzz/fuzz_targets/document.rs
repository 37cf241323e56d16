//! Any text is a document or a reason; the canonical form of a document is a document with the same
//! address, and every question about it has an answer.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rolecall_iam::access::{Access, Layer, Stack};
use rolecall_iam::trust::{Caller, Trust};
use rolecall_iam::{Context, Document};

fuzz_target!(|text: &str| {
    let document = Document::read(text);
    if document.parsed.is_ok() {
        let again = Document::read(&document.canonical());
        assert_eq!(again.digest, document.digest);
        assert_eq!(again.canonical(), document.canonical());
    }
    let trust = Trust::of("trust policy", &document);
    let caller = Caller::service("pods.eks.amazonaws.com");
    let admitted = trust.admits(&caller, "sts:AssumeRole").truth;
    if trust.decide(&caller, "sts:AssumeRole", &Context::open()).allowed.is_true() {
        assert!(admitted.is_true());
    }
    let stack = Stack { identity: vec![Layer::known("inline policy", &document)], ..Stack::default() };
    let access = Access::of(&stack);
    let actions = access.actions();
    for grant in access.broad_writes().grants {
        assert!(actions.includes(&grant.actions));
    }
    let (admin, wild, pass) = (access.admin(), access.wildcard_actions(), access.pass_role());
    assert_eq!(admin.by.is_some(), admin.answer.truth.is_true());
    assert!(document.parsed.is_ok() || wild.grants.is_empty() && pass.grants.is_empty());
});
