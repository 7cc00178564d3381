//! Arguments to exit code.

#![allow(unsafe_code)] // one call of the allocator, one of mlock

use std::ffi::{c_long, c_void};
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
    cdrveil::secret::lock_pages_with(lock_pages);
    cdrveil::cli::main()
}

fn lock_pages(address: usize, bytes: usize) -> bool {
    // SAFETY: mlock reads and writes nothing there; of pages that are not ours it says so.
    unsafe { libc::mlock(address as *const c_void, bytes) == 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_that_are_not_there_cannot_be_locked() {
        assert!(!lock_pages(0, 1));
    }

    #[test]
    fn the_option_is_the_one_that_is_10_by_default() {
        // SAFETY: reads a number.
        assert_eq!(unsafe { mi::mi_option_get(PURGE_DELAY) }, 10);
    }
}
