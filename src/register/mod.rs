//! The register: what every epoch of a domain is, agreed on by all its instances before the first record.
//!
//! A compacted topic of one partition holds a claim for each epoch (key check value, window) and its
//! destruction. An instance appends its claim and reads the topic to its end before a lane gets the key: the
//! claim with the lowest offset holds, equal ones agree, and who differs refuses the keyring. So two keys under
//! one name, or one that came back from a backup, are stopped before they write, not seen afterwards.

pub mod entry;
pub mod live;
pub mod table;
