//! The binary: all of it is in the library.

/// Reading and judging make and drop many small values, of which this one wastes the least time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    rolecall::cli::main()
}
