//! What is derived from a number, by deck and lists: CSV columns and JSON members.

use super::*;
use crate::cdr::rating::Lists;
use crate::number::Class;
use crate::number::deck::{Deck, DeckBuilder, DeckRow};
use crate::pseudonym::keyring::{KeyEntry, Status};
use crate::pseudonym::list::{ListKey, NumberSet, NumberWords};
use crate::pseudonym::mac::EpochKey;
use crate::settings::Source;

/// 447700900123 in the domain "billing" (`tests/data/vectors.json`).
const TOKEN: &str = "2026-11.qrqzktkvbnqulweyqa722njdt4";
/// 2026-11-05T00:33:20Z.
const START: i64 = 1_793_838_800;

fn deck() -> Deck {
    let mut builder = DeckBuilder::new(1_000);
    let rows = [
        ("+44", "UK", None, None),
        ("+447", "UK-MOBILE", None, None),
        ("+44770090", "DRAMA-OLD", None, Some((START - 10) * 1_000)),
        ("+44770090", "DRAMA", Some((START - 10) * 1_000), None),
        ("+447700900200", "VIP", None, None),
        ("+14155550100", "LONE", None, None),
        ("118", "DIRECTORY", None, None),
        ("118118", "DIRECTORY-118", None, None),
        ("116123", "FREE", None, None),
        ("999", "FREE", None, None),
        ("1571", "VOICEMAIL", None, None),
    ];
    for (key, zone, from, to) in rows {
        let class = (zone == "VIP").then_some(Class::Premium);
        let row = DeckRow {
            key,
            zone,
            class,
            from,
            to,
        };
        builder.add(&row).unwrap();
    }
    builder.finish().unwrap()
}

pub(super) fn rating() -> Arc<Rating> {
    let key = ListKey::new(vec![9; 32]).unwrap();
    let (mut own, mut payers, mut ports) =
        (NumberSet::default(), NumberSet::default(), NumberWords::default());
    own.add(key.tag(b"447700900123"));
    payers.add(key.tag(b"447700900123"));
    ports.add(key.tag(b"447700900124"), "23415");
    Arc::new(Rating {
        deck: Some(deck()),
        lists: Some(Lists {
            key,
            own: Some(own),
            payers: Some(payers),
            ports: Some(ports),
        }),
        listed: None,
        ..Rating::default()
    })
}

fn transformer(input: &str, fields: &str) -> Transformer {
    let text = format!(
        "[input]\n{input}\ntime = {{ field = \"t\", format = \"unix\" }}\n\
         [numbers]\ncountry = \"GB\"\nvoicemail = [\"1571\"]\ndeck = \"d\"\nown = \"o\"\npayers = \"y\"\nports = \"p\"\n\
         [output]\nrecord_id = false\n[fields]\nt = \"drop\"\n{fields}\n"
    );
    let source = Source {
        path: "policy.toml".into(),
        text,
    };
    let mut policy = Policy::load(&source).unwrap_or_else(|faults| panic!("{faults:?}"));
    policy.rating = rating();
    let entry = KeyEntry {
        id: "2026-11".parse().unwrap(),
        activate_at: EventTime::from_millis(1_793_491_200_000),
        status: Status::Enabled,
        kcv: None,
        key: EpochKey::new((0..32).collect()).ok(),
    };
    let keyring = Arc::new(Keyring::new(vec![entry]).unwrap());
    Transformer::new(Arc::new(policy), keyring, "billing")
}

fn public(transformer: &mut Transformer, record: &str) -> String {
    let origin = Origin {
        record_id: b"cdr.raw/3/18293",
        timestamp: START * 1_000,
        header: None,
    };
    let mut out = Outputs::default();
    transformer
        .record(record.as_bytes(), origin, &mut out)
        .unwrap_or_else(|refusal| panic!("{record}: {refusal:?}"));
    String::from_utf8(out.public).unwrap()
}

#[test]
fn derived_values_of_every_sort_of_value() {
    let derive = "derive = [\"prefix\", \"zone\", \"destination\", \"class\", \"onnet\", \"network\"]";
    let mut transformer = transformer(
        "format = \"csv\"\ncolumns = [\"a\", \"t\"]",
        &format!("a = {{ action = \"pseudonymise\", kind = \"phone\", scope = \"record\", {derive} }}"),
    );
    for (value, expected) in [
        ("07700900123", "+44770090,DRAMA,+44770090~DRAMA~ONNET,unknown,1,"),
        ("+447700900124", "+44770090,DRAMA,+44770090~DRAMA,unknown,0,23415"),
        (
            "tel:+447700900124;npdi",
            "+44770090,DRAMA,+44770090~DRAMA,unknown,0,",
        ),
        (
            "tel:+447700900124;npdi;rn=51044",
            "+44770090,DRAMA,+44770090~DRAMA,unknown,0,51044",
        ),
        // Zone and class are the row's, digits are not.
        ("07700900200", "+44770090,VIP,+44770090~VIP,premium,0,"),
        ("+14155550100", ",LONE,+1~LONE,fixed-or-mobile,0,"),
        ("+14155550101", ",,,fixed-or-mobile,0,"),
        ("02079460958", "+44,UK,+44~UK,fixed,0,"),
        ("118118", "118118,DIRECTORY-118,118118~DIRECTORY-118,short,,"),
        ("118500", "118,DIRECTORY,118~DIRECTORY,short,,"),
        ("116123", ",FREE,1~FREE,helpline,,"),
        ("116000", ",,,helpline,,"),
        ("999", "999,FREE,999~FREE,emergency,,"),
        ("112", ",,,emergency,,"),
        ("1571", "1571,VOICEMAIL,1571~VOICEMAIL,voicemail,,"),
        ("anonymous", ",,,withheld,,"),
        ("", ",,,,,"),
    ] {
        let written = public(&mut transformer, &format!("{value},{START}"));
        let derived = written.splitn(3, ',').nth(2).unwrap();
        assert_eq!(derived, expected, "{value}");
    }
}

#[test]
fn a_late_record_is_priced_as_of_its_own_time() {
    let mut transformer = transformer(
        "format = \"csv\"\ncolumns = [\"a\", \"t\"]",
        "a = { action = \"pseudonymise\", kind = \"phone\", derive = [\"zone\"] }",
    );
    for (start, zone) in [(START, "DRAMA"), (START - 60, "DRAMA-OLD"), (START, "DRAMA")] {
        let written = public(&mut transformer, &format!("07700900123,{start}"));
        assert_eq!(written, format!("{TOKEN},,{zone}"));
    }
}

#[test]
fn a_payer_is_named_by_the_token_it_has_as_a_caller() {
    let mut transformer = transformer(
        "format = \"csv\"\ncolumns = [\"a\", \"b\", \"t\"]",
        "a = { action = \"pseudonymise\", kind = \"phone\" }\n\
         b = { action = \"pseudonymise\", kind = \"phone\", scope = \"pairwise\", with = \"a\", derive = [\"payer\"] }",
    );
    let written = public(&mut transformer, &format!("07700900124,07700900123,{START}"));
    assert!(written.ends_with(&format!(",,{TOKEN}")), "{written}");
    let written = public(&mut transformer, &format!("07700900123,07700900124,{START}"));
    assert!(
        written.starts_with(&format!("{TOKEN},")) && written.ends_with(",,"),
        "{written}"
    );
}

#[test]
fn json_members_get_theirs_beside_them_or_at_the_end() {
    let mut transformer = transformer(
        "format = \"json\"",
        "a = { action = \"pseudonymise\", kind = \"phone\", derive = [\"destination\"] }\n\
         \"b[].c\" = { action = \"pseudonymise\", kind = \"phone\", derive = [\"zone\", \"onnet\"] }",
    );
    let record = format!(
        "{{\"a\":\"07700900123\",\"b\":[{{\"c\":\"07700900123\"}},{{\"c\":\"118118\"}}],\"t\":{START}}}"
    );
    assert_eq!(
        public(&mut transformer, &record),
        format!(
            "{{\"a\":\"{TOKEN}\",\"b\":[{{\"c\":\"{TOKEN}\",\"c_zone\":\"DRAMA\",\"c_onnet\":\"1\"}},\
             {{\"c\":\"_short\",\"c_zone\":\"DIRECTORY-118\",\"c_onnet\":\"\"}}],\
             \"a_destination\":\"+44770090~DRAMA~ONNET\"}}"
        )
    );
}

#[test]
fn a_swapped_deck_counts_from_the_next_record() {
    let mut transformer = transformer(
        "format = \"csv\"\ncolumns = [\"a\", \"t\"]",
        "a = { action = \"pseudonymise\", kind = \"phone\", derive = [\"zone\", \"onnet\"] }",
    );
    let record = format!("07700900123,{START}");
    assert_eq!(public(&mut transformer, &record), format!("{TOKEN},,DRAMA,1"));
    transformer.rerate(Arc::default());
    assert_eq!(public(&mut transformer, &record), format!("{TOKEN},,,0"));
}
