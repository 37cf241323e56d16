//! Any bytes can be imported: facts come out, or named problems.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rolecall_audit::import::{InputFile, read_files};

fuzz_target!(|bytes: &[u8]| {
    read_files(&[InputFile { path: "iam/111122223333/gaad.json".to_owned(), bytes: bytes.to_vec() }]);
});
