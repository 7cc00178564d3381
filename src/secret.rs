//! `Secret<T>`: a value that cannot be printed and is wiped when dropped.
//!
//! Key material and passwords live in this type from the moment they are read. What stays for as long as the program
//! runs is kept out of swap as well ([`keep_from_swap`]), where the system allows it.

use std::fmt;
use std::hint::black_box;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use zeroize::Zeroize;

/// A value whose `Debug` shows nothing and whose memory is wiped on drop.
#[derive(Clone)]
pub struct Secret<T: Zeroize>(T);

impl<T: Zeroize> Secret<T> {
    /// Takes ownership of the value.
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself: the one door, easy to search for.
    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl<T: Zeroize> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl<T: Zeroize> Drop for Secret<T> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// Locks the pages of so many bytes from an address on into memory; false where the system does not allow it.
pub type PageLock = fn(address: usize, bytes: usize) -> bool;

static LOCK: OnceLock<PageLock> = OnceLock::new();
static REFUSED: AtomicBool = AtomicBool::new(false);

/// How pages are locked: `main` says it once, because only it may call the system for that.
pub fn lock_pages_with(lock: PageLock) {
    // A second call changes nothing: there is one main.
    let _ = LOCK.set(lock);
}

/// Asks for these values never to be written to swap, where they lie now: a copy lies elsewhere.
///
/// Never undone: other secrets may lie on the same page. They are few pages, and the allocator uses them again.
pub fn keep_from_swap<T>(values: &[T]) {
    let bytes = size_of_val(values);
    if let Some(lock) = LOCK.get()
        && bytes > 0
        && !lock(values.as_ptr() as usize, bytes)
    {
        REFUSED.store(true, Ordering::Relaxed);
    }
}

/// Whether the system refused to keep one of them out of swap.
pub fn may_be_swapped() -> bool {
    REFUSED.load(Ordering::Relaxed)
}

/// Does work with secrets further down the stack, and overwrites what it left there: values that are moved leave their
/// bytes behind, and a thread that waits keeps them.
pub fn leaving_no_trace<T>(work: impl FnOnce() -> T) -> T {
    let done = further_down(work);
    overwrite();
    done
}

/// Room enough for all frames of the work.
const DEPTH: usize = 16 * 1024;

/// A frame without secrets between: what is overwritten begins somewhat below the caller's frame, not at its edge.
#[inline(never)]
fn further_down<T>(work: impl FnOnce() -> T) -> T {
    let mut between = [0_u8; 1024];
    black_box(&mut between);
    let done = called(work);
    black_box(&mut between);
    done
}

#[inline(never)]
fn called<T>(work: impl FnOnce() -> T) -> T {
    work()
}

#[inline(never)]
fn overwrite() {
    let mut below = [0_u8; DEPTH];
    black_box(&mut below);
}

#[cfg(test)]
mod tests {
    use super::Secret;

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", Secret::new(vec![7u8, 8, 9])), "Secret(..)");
    }
}
