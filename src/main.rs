//! Arguments to exit code.

use std::process::ExitCode;

// One allocator for Rust and C alike: librdkafka allocates per message.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cdrveil::cli::main()
}
