//! The register's entries, byte by byte: what stands in a record's key and value (`docs/formats.md`).
//!
//! Invariant: a key is never written twice with a meaning, so compaction moves no claim to another offset;
//! what cannot be read is told by its offset, never by its content.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::pseudonym::epoch::{EpochId, EventTime};
use crate::pseudonym::mac::Kcv;

const VERSION: u32 = 1;
/// Last part of the key under which a destruction stands.
const DESTROYED: &str = "destroyed";
/// In the place of a key check value that nobody has any more.
const NO_KCV: &str = "-";

/// "This epoch is this key, from this time on": what all instances of a domain have to agree in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Name of the epoch.
    pub epoch: EpochId,
    /// Check value of its key.
    pub kcv: Kcv,
    /// First event time of its window.
    pub activate_at: EventTime,
    /// First event time after it, as far as it was known: a successor may be added later.
    pub ends_at: Option<EventTime>,
    /// How pseudonyms are made of key and value.
    pub algorithm: String,
    /// How numbers are brought to their canonical form.
    pub numbers: String,
    /// The consumer group that claimed: one group is one domain.
    pub group: String,
    /// Who claimed.
    pub made: Made,
}

impl Claim {
    /// Whether both say the same of everything that may not change: the end of a window may, when a successor is added.
    pub fn agrees(&self, other: &Self) -> bool {
        let fixed = |claim: &Self| (claim.kcv, claim.activate_at);
        fixed(self) == fixed(other) && self.algorithm == other.algorithm && self.numbers == other.numbers
    }
}

/// Who wrote an entry, and when by its clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// `[kafka] instance`.
    pub instance: String,
    /// Wall clock.
    pub time: Timestamp,
}

/// "This key is gone, and this name with it."
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destruction {
    /// Name of the epoch.
    pub epoch: EpochId,
    /// Check value of the key, if it was still known.
    pub kcv: Option<Kcv>,
    /// Who said so; `None` where the value does not tell: the key alone destroys.
    pub made: Option<Made>,
}

/// What a record of the register means to one domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A claim, under this key.
    Claim(Box<Claim>),
    /// A destruction.
    Destroyed(Destruction),
    /// Whatever stood under this key is taken back.
    Withdrawn,
    /// It concerns this domain, or may, and cannot be read.
    Unreadable,
    /// A claim of this other domain: whose group it is may matter.
    Foreign(String, Box<Claim>),
    /// It concerns another domain, and not us.
    Nothing,
}

/// The key of a claim. `nonce` makes it unlike every other one, so that nobody rewrites it: of two equal claims
/// compaction would keep the later, and one between them that had lost would have won.
pub fn claim_key(domain: &str, epoch: EpochId, kcv: Kcv, nonce: [u8; 8]) -> String {
    let nonce = data_encoding::HEXLOWER.encode(&nonce);
    format!("{domain}/{epoch}/{kcv}/{nonce}")
}

/// The key of a destruction.
pub fn destruction_key(domain: &str, epoch: EpochId, kcv: Option<Kcv>) -> String {
    let kcv = kcv.map_or_else(|| NO_KCV.to_owned(), |kcv| kcv.to_string());
    format!("{domain}/{epoch}/{kcv}/{DESTROYED}")
}

/// The value of a claim.
pub fn claim_value(domain: &str, claim: &Claim) -> Vec<u8> {
    bytes(&Written {
        version: VERSION,
        entry: Kind::Claim,
        domain: domain.to_owned(),
        epoch: claim.epoch.to_string(),
        kcv: claim.kcv.to_string(),
        activate_at: Some(claim.activate_at.to_string()),
        ends_at: claim.ends_at.map(|end| end.to_string()),
        algorithm: Some(claim.algorithm.clone()),
        numbers: Some(claim.numbers.clone()),
        group: Some(claim.group.clone()),
        instance: claim.made.instance.clone(),
        time: claim.made.time.to_string(),
    })
}

/// The value of a destruction.
pub fn destruction_value(domain: &str, epoch: EpochId, kcv: Option<Kcv>, made: &Made) -> Vec<u8> {
    bytes(&Written {
        version: VERSION,
        entry: Kind::Destroyed,
        domain: domain.to_owned(),
        epoch: epoch.to_string(),
        kcv: kcv.map_or_else(|| NO_KCV.to_owned(), |kcv| kcv.to_string()),
        activate_at: None,
        ends_at: None,
        algorithm: None,
        numbers: None,
        group: None,
        instance: made.instance.clone(),
        time: made.time.to_string(),
    })
}

/// What a record says to `domain`.
pub fn read(domain: &str, key: &[u8], value: Option<&[u8]>) -> Entry {
    let Some(place) = place(key) else {
        // Not one of ours by its form, but it may have been meant to be.
        let ours = key.starts_with(domain.as_bytes()) && key.get(domain.len()) == Some(&b'/');
        return match value {
            None => Entry::Withdrawn,
            Some(_) if ours => Entry::Unreadable,
            Some(_) => Entry::Nothing,
        };
    };
    if place.domain != domain {
        return match value {
            None => Entry::Withdrawn,
            Some(value) => claim(&place, value).map_or(Entry::Nothing, |claim| {
                Entry::Foreign(place.domain.to_owned(), claim.into())
            }),
        };
    }
    match (place.destroyed, value) {
        (true, Some(value)) => Entry::Destroyed(Destruction {
            epoch: place.epoch,
            kcv: place.kcv,
            made: written(value).and_then(made),
        }),
        (_, None) => Entry::Withdrawn,
        (false, Some(value)) => {
            claim(&place, value).map_or(Entry::Unreadable, |claim| Entry::Claim(claim.into()))
        }
    }
}

/// A record's key, taken apart. Neither ids nor check values hold a slash, so the domain may.
struct Place<'a> {
    domain: &'a str,
    epoch: EpochId,
    kcv: Option<Kcv>,
    destroyed: bool,
}

fn place(key: &[u8]) -> Option<Place<'_>> {
    let mut parts = std::str::from_utf8(key).ok()?.rsplitn(4, '/');
    let (last, kcv, epoch, domain) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let destroyed = last == DESTROYED;
    let kcv = match kcv {
        NO_KCV if destroyed => None,
        kcv => Some(kcv.parse().ok()?),
    };
    Some(Place {
        domain,
        epoch: epoch.parse().ok()?,
        kcv,
        destroyed,
    })
}

/// The claim in a value that agrees with its key.
fn claim(place: &Place<'_>, value: &[u8]) -> Option<Claim> {
    let written = written(value)?;
    let agrees = written.entry == Kind::Claim
        && written.domain == place.domain
        && written.epoch == place.epoch.as_str()
        && place.kcv.is_some_and(|kcv| written.kcv == kcv.to_string());
    if !agrees {
        return None;
    }
    let ends_at = written.ends_at.as_deref().map(moment);
    Some(Claim {
        epoch: place.epoch,
        kcv: place.kcv?,
        activate_at: moment(written.activate_at.as_deref()?)?,
        ends_at: match ends_at {
            None => None,
            Some(end) => Some(end?),
        },
        algorithm: written.algorithm.clone()?,
        numbers: written.numbers.clone()?,
        group: written.group.clone()?,
        made: made(written)?,
    })
}

fn moment(text: &str) -> Option<EventTime> {
    let time: Timestamp = text.parse().ok()?;
    Some(EventTime::from_millis(time.as_millisecond()))
}

fn made(written: Written) -> Option<Made> {
    Some(Made {
        time: written.time.parse().ok()?,
        instance: written.instance,
    })
}

/// A value as JSON.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    version: u32,
    entry: Kind,
    domain: String,
    epoch: String,
    kcv: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    activate_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ends_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    algorithm: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    numbers: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<String>,
    instance: String,
    time: String,
}

#[derive(PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Claim,
    Destroyed,
}

fn written(value: &[u8]) -> Option<Written> {
    let written: Written = serde_json::from_slice(value).ok()?;
    (written.version == VERSION).then_some(written)
}

fn bytes(written: &Written) -> Vec<u8> {
    serde_json::to_vec(written).expect("strings, numbers and times have a JSON form")
}

#[cfg(test)]
pub(super) mod tests;
