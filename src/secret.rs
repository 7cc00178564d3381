//! `Secret<T>`: a value that cannot be printed and is wiped when dropped.
//!
//! Key material and passwords live in this type from the moment they are read.

use std::fmt;

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

#[cfg(test)]
mod tests {
    use super::Secret;

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", Secret::new(vec![7u8, 8, 9])), "Secret(..)");
    }
}
