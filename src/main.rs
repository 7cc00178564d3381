//! Arguments to exit code.

#![allow(unsafe_code)] // one call of the allocator

use std::ffi::c_long;
use std::process::ExitCode;

use libmimalloc_sys as mi;

// One allocator for Rust and C alike: librdkafka allocates per message.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// For how long memory that is free is kept, in milliseconds. After mimalloc's own 10, what librdkafka frees at the
/// end of a transaction went back to the system and came again page by page: a tenth of all CPU.
const KEEP_FREE_MEMORY: c_long = 1_000;
/// The option has no name in the bindings: `mi_option_purge_delay` stands behind this one.
const PURGE_DELAY: mi::mi_option_t = mi::mi_option_eager_commit_delay + 1;

fn main() -> ExitCode {
    // SAFETY: sets a number.
    unsafe { mi::mi_option_set(PURGE_DELAY, KEEP_FREE_MEMORY) };
    cdrveil::cli::main()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_option_is_the_one_that_is_10_by_default() {
        // SAFETY: reads a number.
        assert_eq!(unsafe { mi::mi_option_get(PURGE_DELAY) }, 10);
    }
}
