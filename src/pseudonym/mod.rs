//! Keyed pseudonyms: HMAC construction, epochs, keyring and tokens. Pure: no IO, no clock.

pub mod edit;
pub mod epoch;
pub mod keyring;
pub mod list;
pub mod mac;
pub mod token;
