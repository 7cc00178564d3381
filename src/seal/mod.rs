//! Sealing: envelopes that only the recipients of the security team can open.
//!
//! [`sealer`] writes them with public keys alone and cannot read them back;
//! [`opener`] reads them with an age identity. The byte layout stands in
//! [`envelope`] and `docs/formats.md`; [`fields`] is what a restricted envelope holds.
//!
//! Pure but for the operating system's randomness: a fresh data key and its
//! wrapping are drawn where a session begins.

pub mod envelope;
pub mod fields;
pub mod opener;
pub mod recipient;
pub mod sealer;

#[cfg(test)]
mod tests;
