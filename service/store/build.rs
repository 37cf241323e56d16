//! Tells cargo that the migrations, which are compiled in, are read from outside the crate.

fn main() {
    println!("cargo:rerun-if-changed=../../migrations");
}
