//! Both ends of sealing against each other, and against the fixed vectors.

use std::collections::HashSet;
use std::sync::LazyLock;
use std::time::Duration;

use age::secrecy::ExposeSecret;
use age::x25519::Identity;
use proptest::prelude::*;

use super::envelope;
use super::fields::{FieldKind, fields};
use super::opener::{IdentityError, OpenError, Opened, Opener};
use super::recipient::Recipients;
use super::sealer::{SESSION_RECORDS, SESSION_TIME, SealError, Sealer};

const TOPIC: &str = "cdr.restricted";
const ID: &[u8] = b"cdr.raw/3/18293";
const NOW: Duration = Duration::from_secs(50);

struct Pair {
    recipient: String,
    file: String,
}

fn pair() -> Pair {
    let identity = Identity::generate();
    Pair {
        recipient: identity.to_public().to_string(),
        file: format!("# made for a test\n\n{}\n", identity.to_string().expose_secret()),
    }
}

fn sealer(recipients: &[&Pair]) -> Sealer {
    let texts: Vec<_> = recipients.iter().map(|pair| pair.recipient.clone()).collect();
    Sealer::new("billing", TOPIC, Recipients::parse(&texts).unwrap()).unwrap()
}

fn opener(pair: &Pair) -> Opener {
    Opener::from_identity_file(&pair.file).unwrap()
}

fn seal(sealer: &mut Sealer, now: Duration, epoch: &str, plaintext: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    sealer.seal(now, epoch, ID, plaintext, &mut out).unwrap();
    out
}

fn wrapped(sealed: &[u8]) -> Vec<u8> {
    envelope::parse(sealed).ok().unwrap().wrapped.to_vec()
}

#[test]
fn what_was_sealed_opens() {
    let pair = pair();
    let mut out = b"before".to_vec();
    sealer(&[&pair])
        .seal(NOW, "2026-11", ID, b"secret", &mut out)
        .unwrap();
    assert_eq!(&out[..6], b"before");
    let opened = opener(&pair).open(TOPIC, ID, &out[6..], Some("billing")).unwrap();
    let expected = Opened {
        domain: "billing".into(),
        epoch: "2026-11".into(),
        plaintext: b"secret".to_vec(),
    };
    assert_eq!(opened, expected);
    assert!(!out.windows(6).any(|bytes| bytes == b"secret"));
    assert_eq!(format!("{opened:?}"), "Opened(\"billing\", \"2026-11\", 6 bytes)");
}

#[test]
fn every_flipped_bit_fails() {
    let pair = pair();
    let sealed = seal(&mut sealer(&[&pair]), NOW, "2026-11", b"secret");
    for at in 0..sealed.len() {
        for bit in [0x01, 0x20, 0x80] {
            let mut changed = sealed.clone();
            changed[at] ^= bit;
            assert!(
                opener(&pair).open(TOPIC, ID, &changed, None).is_err(),
                "byte {at}, bit {bit:#x}"
            );
        }
    }
}

#[test]
fn every_cut_fails() {
    let pair = pair();
    let sealed = seal(&mut sealer(&[&pair]), NOW, "2026-11", b"secret");
    let mut opener = opener(&pair);
    for end in 0..sealed.len() {
        assert!(
            opener.open(TOPIC, ID, &sealed[..end], None).is_err(),
            "first {end} bytes"
        );
    }
    let longer = [&sealed[..], b"x"].concat();
    assert_eq!(opener.open(TOPIC, ID, &longer, None), Err(OpenError::Tampered));
}

#[test]
fn a_record_moved_or_renamed_does_not_open() {
    let pair = pair();
    let sealed = seal(&mut sealer(&[&pair]), NOW, "2026-11", b"secret");
    let mut opener = opener(&pair);
    assert_eq!(
        opener.open("cdr.rejected", ID, &sealed, None),
        Err(OpenError::Tampered)
    );
    assert_eq!(
        opener.open(TOPIC, b"cdr.raw/3/18294", &sealed, None),
        Err(OpenError::Tampered)
    );
    assert_eq!(
        opener.open(TOPIC, &vec![b'x'; 70_000], &sealed, None),
        Err(OpenError::Tampered)
    );
    assert_eq!(
        opener.open(TOPIC, ID, &sealed, Some("fraud")),
        Err(OpenError::Domain("billing".into()))
    );
    let parts = envelope::parse(&sealed).ok().unwrap();
    let tail = [parts.nonce, parts.ciphertext, parts.tag].concat();
    for (domain, epoch) in [
        ("fraud", "2026-11"),
        ("billing", "2026-12"),
        ("billing2", "026-11"),
        ("billing", ""),
    ] {
        let relabelled = [envelope::header(parts.wrapped, domain, epoch), tail.clone()].concat();
        assert_eq!(
            opener.open(TOPIC, ID, &relabelled, None),
            Err(OpenError::Tampered),
            "{domain} {epoch}"
        );
    }
    assert!(opener.open(TOPIC, ID, &sealed, None).is_ok());
}

#[test]
fn each_recipient_opens_and_nobody_else() {
    let (one, two, other) = (pair(), pair(), pair());
    let sealed = seal(&mut sealer(&[&one, &two]), NOW, "", b"secret");
    assert_eq!(opener(&one).open(TOPIC, ID, &sealed, None).unwrap().epoch, "");
    assert_eq!(
        opener(&two).open(TOPIC, ID, &sealed, None).unwrap().plaintext,
        b"secret"
    );
    assert_eq!(
        opener(&other).open(TOPIC, ID, &sealed, None),
        Err(OpenError::NotARecipient)
    );
    let both = Opener::from_identity_file(&[other.file, two.file].concat());
    assert!(both.unwrap().open(TOPIC, ID, &sealed, None).is_ok());
}

#[test]
fn another_version_is_named() {
    assert_eq!(
        opener(&pair()).open(TOPIC, ID, &[2, 0, 0], None),
        Err(OpenError::Version(2))
    );
}

#[test]
fn no_nonce_comes_twice_and_a_key_ends_after_its_records() {
    let pair = pair();
    let mut sealer = sealer(&[&pair]);
    let mut out = Vec::new();
    let mut seen = HashSet::new();
    let mut first = Vec::new();
    for count in 0..SESSION_RECORDS {
        out.clear();
        sealer.seal(NOW, "2026-11", ID, b"", &mut out).unwrap();
        if count == 0 {
            first = wrapped(&out);
        }
        let parts = envelope::parse(&out).ok().unwrap();
        assert_eq!(parts.wrapped, first);
        assert!(seen.insert(*parts.nonce));
    }
    let next = seal(&mut sealer, NOW, "2026-11", b"");
    assert_ne!(wrapped(&next), first);
    assert_eq!(envelope::parse(&next).ok().unwrap().nonce, &[0; 12]);
    assert!(opener(&pair).open(TOPIC, ID, &next, None).is_ok());
}

#[test]
fn a_key_ends_after_its_hour_and_its_epoch() {
    let pair = pair();
    let mut sealer = sealer(&[&pair]);
    let first = wrapped(&seal(&mut sealer, NOW, "2026-11", b""));
    let last_moment = Duration::from_millis(50_000 + 3_600_000 - 1);
    assert_eq!(wrapped(&seal(&mut sealer, last_moment, "2026-11", b"")), first);
    assert_ne!(wrapped(&seal(&mut sealer, last_moment, "2026-12", b"")), first);
    assert_eq!(wrapped(&seal(&mut sealer, last_moment, "2026-11", b"")), first);
    assert_ne!(
        wrapped(&seal(&mut sealer, NOW + SESSION_TIME, "2026-11", b"")),
        first
    );
}

#[test]
fn the_least_recently_used_epoch_gives_way() {
    let pair = pair();
    let mut sealer = sealer(&[&pair]);
    let keys: Vec<_> = ["a", "b", "c", "d"]
        .map(|epoch| wrapped(&seal(&mut sealer, NOW, epoch, b"")))
        .into();
    assert_eq!(wrapped(&seal(&mut sealer, NOW, "a", b"")), keys[0]);
    seal(&mut sealer, NOW, "e", b"");
    assert_eq!(wrapped(&seal(&mut sealer, NOW, "a", b"")), keys[0]);
    assert_eq!(wrapped(&seal(&mut sealer, NOW, "c", b"")), keys[2]);
    assert_ne!(wrapped(&seal(&mut sealer, NOW, "b", b"")), keys[1]);
}

#[test]
fn what_does_not_fit_is_refused_and_leaves_the_buffer_alone() {
    let pair = pair();
    let mut sealer = sealer(&[&pair]);
    let mut out = b"x".to_vec();
    let refused = sealer.seal(NOW, "2026-11", &vec![b'i'; 65_536], b"", &mut out);
    assert_eq!((refused, out.as_slice()), (Err(SealError::TooLong), &b"x"[..]));
    let refused = sealer.seal(NOW, &"e".repeat(256), ID, b"", &mut out);
    assert_eq!((refused, out.as_slice()), (Err(SealError::TooLong), &b"x"[..]));
    let recipients = Recipients::parse(&[pair.recipient]).unwrap();
    assert_eq!(
        Sealer::new(&"d".repeat(256), TOPIC, recipients).unwrap_err(),
        SealError::TooLong
    );
}

#[test]
fn more_keys_than_are_cached_still_open() {
    let pair = pair();
    let mut sealer = sealer(&[&pair]);
    let mut opener = opener(&pair);
    let epochs: Vec<_> = (0..70).map(|n| n.to_string()).collect();
    let values: Vec<_> = epochs
        .iter()
        .map(|epoch| seal(&mut sealer, NOW, epoch, b"s"))
        .collect();
    for value in values.iter().chain(&values) {
        assert_eq!(opener.open(TOPIC, ID, value, None).unwrap().plaintext, b"s");
    }
}

#[test]
fn a_bad_identity_file_is_refused_without_showing_it() {
    for (text, error) in [
        ("", IdentityError::None),
        ("# only a comment\n", IdentityError::None),
        ("# c\n\nage1notasecret\n", IdentityError::Line(3)),
    ] {
        assert_eq!(Opener::from_identity_file(text).unwrap_err(), error);
    }
    assert_eq!(format!("{:?}", opener(&pair())), "Opener(1 identities)");
}

static SHARED: LazyLock<Pair> = LazyLock::new(pair);

proptest! {
    #[test]
    fn any_plaintext_and_record_id_come_back(
        plaintext in prop::collection::vec(any::<u8>(), 0..5000),
        id in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let mut sealer = sealer(&[&SHARED]);
        let mut out = Vec::new();
        sealer.seal(NOW, "2026-11", &id, &plaintext, &mut out).unwrap();
        sealer.seal(NOW, "2026-11", &id, b"next", &mut Vec::new()).unwrap();
        prop_assert_eq!(opener(&SHARED).open(TOPIC, &id, &out, None).unwrap().plaintext, plaintext);
    }
}

#[test]
fn the_fixed_vectors_open() {
    let vectors: serde_json::Value =
        serde_json::from_str(include_str!("../../tests/data/seal_vectors.json")).unwrap();
    let hex = |value: &serde_json::Value| {
        data_encoding::HEXLOWER
            .decode(value.as_str().unwrap().as_bytes())
            .unwrap()
    };
    let mut opener = Opener::from_identity_file(vectors["identity"].as_str().unwrap()).unwrap();
    let cases = vectors["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 3);
    for case in cases {
        let text = |name: &str| case[name].as_str().unwrap();
        let content = opener.open(
            text("topic"),
            text("record_id").as_bytes(),
            &hex(&case["sealed_hex"]),
            None,
        );
        let expected = Opened {
            domain: text("domain").into(),
            epoch: text("epoch").into(),
            plaintext: hex(&case["plaintext_hex"]),
        };
        assert_eq!(content.as_ref(), Ok(&expected), "{}", text("name"));
        let Some(listed) = case["fields"].as_array() else {
            continue;
        };
        let read = fields(&expected.plaintext).map(Result::unwrap);
        for (field, listed) in read.zip(listed) {
            let kind = match field.kind {
                FieldKind::Csv => 0,
                FieldKind::Json => 1,
            };
            let value = std::str::from_utf8(field.value).unwrap();
            assert_eq!(
                (kind, field.name, value),
                (
                    listed[0].as_i64().unwrap(),
                    listed[1].as_str().unwrap(),
                    listed[2].as_str().unwrap()
                )
            );
        }
        assert_eq!(fields(&expected.plaintext).count(), listed.len());
    }
}
