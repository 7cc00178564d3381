//! Entries as bytes and back, and what is not one.

use super::*;

pub(crate) fn a_claim(epoch: &str, kcv: u32, activate_at: i64) -> Claim {
    Claim {
        epoch: epoch.parse().unwrap(),
        kcv: format!("{kcv:08x}").parse().unwrap(),
        activate_at: EventTime::from_millis(activate_at),
        ends_at: None,
        algorithm: "a/1".to_owned(),
        numbers: "n/1".to_owned(),
        group: "g".to_owned(),
        made: Made {
            instance: format!("of-{kcv:x}"),
            time: Timestamp::UNIX_EPOCH,
        },
    }
}

const KEY: &str = "billing/2026-11/9fc082d4/0102030405060708";

#[test]
fn entries_come_back_as_they_were_written() {
    let mut claim = a_claim("2026-11", 0x9fc0_82d4, 1_793_491_200_000);
    let key = claim_key("billing", claim.epoch, claim.kcv, [1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(key, KEY);
    let value = claim_value("billing", &claim);
    assert_eq!(
        String::from_utf8(value.clone()).unwrap(),
        "{\"version\":1,\"entry\":\"claim\",\"domain\":\"billing\",\"epoch\":\"2026-11\",\"kcv\":\"9fc082d4\",\
         \"activate_at\":\"2026-11-01T00:00:00Z\",\"algorithm\":\"a/1\",\"numbers\":\"n/1\",\"group\":\"g\",\
         \"instance\":\"of-9fc082d4\",\"time\":\"1970-01-01T00:00:00Z\"}"
    );
    assert_eq!(
        read("billing", key.as_bytes(), Some(&value)),
        Entry::Claim(claim.clone().into())
    );
    claim.ends_at = Some(EventTime::from_millis(1_796_083_200_000));
    let value = claim_value("billing", &claim);
    assert_eq!(
        read("billing", key.as_bytes(), Some(&value)),
        Entry::Claim(claim.clone().into())
    );
    for kcv in [Some(claim.kcv), None] {
        let key = destruction_key("billing", claim.epoch, kcv);
        let value = destruction_value("billing", claim.epoch, kcv, &claim.made);
        let gone = Destruction {
            epoch: claim.epoch,
            kcv,
            made: Some(claim.made.clone()),
        };
        assert_eq!(
            read("billing", key.as_bytes(), Some(&value)),
            Entry::Destroyed(gone)
        );
    }
}

#[test]
fn what_is_not_ours_is_ignored_and_what_may_be_is_not() {
    let value = claim_value("billing", &a_claim("2026-11", 0x9fc0_82d4, 0));
    let ok = String::from_utf8(value).unwrap();
    let other = |from: &str, to: &str| Some(ok.replace(from, to));
    let cases: [(&str, Option<String>, Entry); 17] = [
        (KEY, None, Entry::Withdrawn),
        (
            "fraud/2026-11/9fc082d4/0102030405060708",
            Some(ok.clone()),
            Entry::Nothing,
        ),
        ("billing/x/2026-11/9fc082d4/01", Some(ok.clone()), Entry::Nothing),
        ("billings", Some(ok.clone()), Entry::Nothing),
        ("", Some(ok.clone()), Entry::Nothing),
        ("billing/", Some(ok.clone()), Entry::Unreadable),
        ("billing/2026-11/9fc082d4", Some(ok.clone()), Entry::Unreadable),
        ("billing/2026_11/9fc082d4/01", Some(ok.clone()), Entry::Unreadable),
        ("billing/2026-11/-/01", Some(ok.clone()), Entry::Unreadable),
        ("billing/2026-12/9fc082d4/01", Some(ok.clone()), Entry::Unreadable),
        ("billing/2026-11/00000000/01", Some(ok.clone()), Entry::Unreadable),
        (KEY, Some(String::new()), Entry::Unreadable),
        (KEY, other("\"version\":1", "\"version\":2"), Entry::Unreadable),
        (KEY, other("\"claim\"", "\"destroyed\""), Entry::Unreadable),
        (KEY, other("\"billing\"", "\"fraud\""), Entry::Unreadable),
        (
            KEY,
            other("1970-01-01T00:00:00Z\",\"al", "soon\",\"al"),
            Entry::Unreadable,
        ),
        (
            KEY,
            other("\"version\":1", "\"version\":1,\"more\":1"),
            Entry::Unreadable,
        ),
    ];
    for (key, value, expected) in cases {
        let found = read("billing", key.as_bytes(), value.as_deref().map(str::as_bytes));
        assert_eq!(found, expected, "{key} {value:?}");
    }
}

#[test]
fn a_destruction_needs_no_readable_value() {
    let key = destruction_key("billing", "2026-11".parse().unwrap(), None);
    let Entry::Destroyed(gone) = read("billing", key.as_bytes(), Some(b"\xff")) else {
        panic!("read as something else");
    };
    assert_eq!((gone.epoch.as_str(), gone.made), ("2026-11", None));
}

#[test]
fn a_domain_may_hold_slashes() {
    let claim = a_claim("a", 1, 0);
    let key = claim_key("x/y", claim.epoch, claim.kcv, [0; 8]);
    let value = claim_value("x/y", &claim);
    assert_eq!(
        read("x/y", key.as_bytes(), Some(&value)),
        Entry::Claim(claim.into())
    );
    let foreign = Entry::Foreign("x/y".to_owned(), a_claim("a", 1, 0).into());
    assert_eq!(read("x", key.as_bytes(), Some(&value)), foreign);
}
