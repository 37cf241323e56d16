//! The fuzz targets' functions over the kept corpus.

#[path = "../../../../fuzz/src/records.rs"]
mod records;

use std::path::Path;

/// A target's name and its function.
type Target = (&'static str, fn(&[u8]));

const TARGETS: [Target; 8] = [
    ("trail", records::trail),
    ("import", records::import),
    ("baseline", records::baseline),
    ("declared", records::declared),
    ("pieces", records::pieces),
    ("deep", records::deep),
    ("rules", records::rules),
    ("names", records::names),
];

#[test]
fn the_kept_corpus_breaks_no_law() {
    for (name, target) in TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(name);
        let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        assert!(files.len() >= 3, "{name}");
        for file in files {
            println!("{}", file.display());
            target(&std::fs::read(&file).unwrap());
        }
    }
}
