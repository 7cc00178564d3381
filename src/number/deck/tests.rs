//! Longest matches, what a prefix may tell, windows, refused rows; the slow way as oracle.

use std::fmt::Write;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;

const DAY: i64 = 86_400_000;

fn row<'a>(key: &'a str, zone: &'a str) -> DeckRow<'a> {
    DeckRow {
        key,
        zone,
        class: None,
        from: None,
        to: None,
    }
}

fn deck(rows: &[DeckRow<'_>]) -> Result<Deck, Vec<(usize, DeckFault)>> {
    let mut builder = DeckBuilder::new(1_000);
    for row in rows {
        builder.add(row).unwrap();
    }
    builder.finish()
}

fn number(digits: &str) -> E164 {
    E164::from_digits([digits.as_bytes(), b""]).unwrap()
}

/// `prefix zone`, or nothing.
fn said(deck: &Deck, digits: &str, at: i64) -> String {
    deck.number(&number(digits), at)
        .map_or_else(String::new, |priced| {
            format!("{} {}", &digits[..priced.prefix()], deck.zone(priced))
        })
}

#[test]
fn the_longest_key_gives_the_zone_and_a_shorter_one_the_prefix_where_it_would_tell_too_much() {
    let rows = [
        row("+44", "UK"),
        row("+447", "UK-MOBILE"),
        row("+44770090", "DRAMA"),
        row("+4477009001", "BLOCK"),
        row("+447700900123", "VIP"),
        row("+1415555", "SF"),
        row("+14155550100", "LONE"),
        row("+1571", "VIRGINIA"),
        row("1571", "VOICEMAIL"),
    ];
    let deck = deck(&rows).unwrap();
    for (digits, expected) in [
        ("442079460000", "44 UK"),
        ("447911123456", "447 UK-MOBILE"),
        ("447700900000", "44770090 DRAMA"),
        // Only a hundred numbers begin so: the zone is exact, the prefix is not.
        ("447700900199", "44770090 BLOCK"),
        ("447700900123", "44770090 VIP"),
        ("14155550101", "1415555 SF"),
        ("14155550100", "1415555 LONE"),
        ("15715550100", "1571 VIRGINIA"),
        ("4930123456", ""),
        ("441", ""),
    ] {
        let expected = if digits == "441" { " UK" } else { expected };
        assert_eq!(said(&deck, digits, 0), expected, "{digits}");
    }
}

#[test]
fn a_number_priced_alone_has_a_zone_and_no_digits() {
    let deck = deck(&[row("+447700900123", "VIP")]).unwrap();
    assert_eq!(said(&deck, "447700900123", 0), " VIP");
    assert_eq!(said(&deck, "447700900124", 0), "");
}

#[test]
fn min_block_says_how_many_digits_stay_open() {
    for (min_block, prefix) in [
        (0, "44770090012"),
        (1, "44770090012"),
        (10, "44770090012"),
        (11, "4477009001"),
        (100, "4477009001"),
        (1_000, "447700900"),
        (1_001, "44770090"),
        (u64::MAX, ""),
    ] {
        let mut builder = DeckBuilder::new(min_block);
        let whole = "447700900123";
        for depth in 1..=whole.len() {
            let key = format!("+{}", &whole[..depth]);
            builder.add(&row(&key, "Z")).unwrap();
        }
        let deck = builder.finish().unwrap();
        assert_eq!(said(&deck, whole, 0), format!("{prefix} Z"), "{min_block}");
    }
}

#[test]
fn a_service_code_is_its_own_prefix_but_for_helplines() {
    let deck = deck(&[
        row("118", "DIRECTORY"),
        row("118118", "DIRECTORY-118"),
        row("116123", "HELP"),
        row("+118", "NOWHERE"),
    ])
    .unwrap();
    let said = |dialled: &str| {
        let code = ServiceCode::new(dialled.as_bytes(), "GB").unwrap();
        deck.service(&code, 0).map(|priced| {
            let prefix = &dialled[..priced.prefix()];
            format!("{prefix} {}", deck.zone(priced))
        })
    };
    assert_eq!(said("118118").as_deref(), Some("118118 DIRECTORY-118"));
    assert_eq!(said("118500").as_deref(), Some("118 DIRECTORY"));
    assert_eq!(said("116123").as_deref(), Some(" HELP"));
    assert_eq!(said("999"), None);
}

#[test]
fn the_row_that_holds_at_the_calls_time_is_taken() {
    let window = |key, zone, from, to| DeckRow {
        from,
        to,
        ..row(key, zone)
    };
    let deck = deck(&[
        window("+447", "NEW", Some(20 * DAY), None),
        window("+447", "OLD", None, Some(10 * DAY)),
        window("+447", "MIDDLE", Some(10 * DAY), Some(18 * DAY)),
        row("+44", "UK"),
        DeckRow {
            class: Some(Class::Premium),
            ..window("+4479", "EVENT", Some(5 * DAY), Some(6 * DAY))
        },
    ])
    .unwrap();
    for (at, expected) in [
        (0, "447 OLD"),
        (5 * DAY - 1, "447 OLD"),
        (5 * DAY, "4479 EVENT"),
        (6 * DAY, "447 OLD"),
        (10 * DAY - 1, "447 OLD"),
        (10 * DAY, "447 MIDDLE"),
        (18 * DAY, "44 UK"),
        (20 * DAY, "447 NEW"),
        (i64::MAX - 1, "447 NEW"),
    ] {
        assert_eq!(said(&deck, "447911123456", at), expected, "{at}");
    }
    let event = deck.number(&number("447911123456"), 5 * DAY).unwrap();
    assert_eq!(deck.class(event), Some(Class::Premium));
}

#[test]
fn a_row_that_makes_no_sense_is_refused() {
    for (key, zone, fault) in [
        ("", "Z", DeckFault::Key),
        ("+", "Z", DeckFault::Key),
        ("+44 7", "Z", DeckFault::Key),
        ("*43", "Z", DeckFault::Key),
        ("+4477009001234567", "Z", DeckFault::Key),
        ("+044", "Z", DeckFault::Zero),
        ("4477009", "Z", DeckFault::LongService),
        ("+44", "", DeckFault::Zone),
        ("+44", "A~B", DeckFault::Zone),
        ("+44", "A\u{7}B", DeckFault::Zone),
        ("+44", "VIP 07700900123", DeckFault::ZoneDigits),
    ] {
        let mut builder = DeckBuilder::new(1_000);
        assert_eq!(builder.add(&row(key, zone)), Err(fault), "{key} {zone}");
        assert!(!fault.to_string().contains("900123"));
    }
    let mut builder = DeckBuilder::new(1_000);
    let backwards = DeckRow {
        from: Some(5),
        to: Some(5),
        ..row("+44", "Z")
    };
    assert_eq!(builder.add(&backwards), Err(DeckFault::Window));
}

#[test]
fn rows_of_one_key_follow_each_other() {
    let window = |from, to| DeckRow {
        from,
        to,
        ..row("+447", "Z")
    };
    let others = || row("+44", "Z");
    for (rows, expected) in [
        (
            vec![row("+447", "A"), others(), row("+447", "B")],
            vec![(2, DeckFault::Overlap { other: 0 })],
        ),
        (
            vec![window(Some(5), None), window(None, Some(6))],
            vec![(1, DeckFault::Overlap { other: 0 })],
        ),
        // valid_to meant as the last day, or the last second.
        (
            vec![window(Some(DAY), None), others(), window(None, Some(0))],
            vec![(0, DeckFault::Gap { other: 2 })],
        ),
        (
            vec![window(None, Some(DAY - 1_000)), window(Some(DAY), None)],
            vec![(1, DeckFault::Gap { other: 0 })],
        ),
        (
            vec![
                window(None, Some(0)),
                window(Some(DAY), None),
                window(Some(0), Some(DAY)),
            ],
            vec![],
        ),
        (vec![window(None, Some(0)), window(Some(2 * DAY), None)], vec![]),
    ] {
        assert_eq!(deck(&rows).map(|_| ()).err().unwrap_or_default(), expected);
    }
}

proptest! {
    #[test]
    fn the_trie_finds_what_looking_at_every_row_finds(
        keys in prop::collection::vec(("[1-3]{1,8}", -3_i64..3, 0_i64..3), 0..40),
        dialled in "[1-3]{1,10}",
        at in -4_i64..5,
    ) {
        const STEP: i64 = 2 * DAY;
        let text: Vec<_> = keys.iter().map(|(key, from, long)| (format!("+{key}"), from * STEP, (from + long + 1) * STEP)).collect();
        let mut builder = DeckBuilder::new(1_000);
        let mut taken: Vec<(&str, i64, i64, String)> = Vec::new();
        for (at, (key, from, to)) in text.iter().enumerate() {
            let clash = taken.iter().any(|(known, begin, end, _)| known == key && from < end && begin < to);
            if !clash {
                let zone = format!("Z{at}");
                let row = DeckRow { key, zone: &zone, class: None, from: Some(*from), to: Some(*to) };
                builder.add(&row).unwrap();
                taken.push((key, *from, *to, zone));
            }
        }
        let deck = builder.finish().unwrap();
        let at = at * STEP + 7;
        let longest = |most: usize| {
            taken
                .iter()
                .filter(|(key, from, to, _)| {
                    dialled.starts_with(&key[1..]) && key.len() - 1 <= most && *from <= at && at < *to
                })
                .max_by_key(|(key, ..)| key.len())
        };
        let expected = longest(15).map_or_else(String::new, |(.., zone)| {
            let prefix = longest(dialled.len().saturating_sub(3)).map_or("", |(key, ..)| &key[1..]);
            format!("{prefix} {zone}")
        });
        prop_assert_eq!(said(&deck, &dialled, at), expected);
    }
}

/// About what geocoding and carrier metadata of the world come to.
const MANY: u64 = 300_000;

#[test]
fn a_deck_of_300_000_prefixes_is_built_and_found_again() {
    let mut random = 7_u64;
    let mut keys = std::collections::BTreeSet::new();
    let mut key = String::new();
    while keys.len() < MANY as usize {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        key.clear();
        let digits = 10 + (random >> 60) as u32 % 10;
        let value = 1_000_000 + (random >> 20) % (10_u64.pow(digits.min(9)) - 1_000_000);
        write!(key, "+{value}").unwrap();
        keys.insert(key.clone());
    }
    let began = Instant::now();
    let mut builder = DeckBuilder::new(1_000);
    for (at, key) in keys.iter().enumerate() {
        let zone = ["A", "B", "C", "D"][at % 4];
        builder.add(&row(key, zone)).unwrap();
    }
    let deck = builder.finish().unwrap();
    // A second in a release build; the bound leaves room for this one on a busy machine.
    assert!(began.elapsed() < Duration::from_secs(10));
    assert_eq!(deck.rows(), MANY as usize);
    for (at, key) in keys.iter().enumerate() {
        let digits = format!("{}000", &key[1..]);
        let priced = deck.number(&number(&digits), 0).unwrap();
        let inner = keys.contains(&format!("{key}0")) || keys.contains(&format!("{key}00"));
        if !inner {
            assert_eq!(priced.prefix(), key.len() - 1);
            assert_eq!(deck.zone(priced), ["A", "B", "C", "D"][at % 4]);
        }
    }
}

#[test]
fn nothing_of_a_key_is_shown() {
    let deck = deck(&[row("+447700900123", "VIP")]).unwrap();
    assert_eq!(format!("{deck:?}"), "Deck(1 rows)");
}

#[test]
fn a_zone_of_one_whole_number_is_lone() {
    let rows = [
        row("+44", "UK"),
        row("+447700900123", "VIP"),
        row("+447700900124", "EVENT"),
        row("+447700900125", "EVENT"),
        row("+4420794600", "BLOCK"),
        row("118118", "DIRECTORY"),
        row("+14155550100", "UK"),
        // The longest of its plan, though short; and prefixes where numbers have many lengths.
        row("+29012345", "HELENA"),
        row("+491511", "DE-MOBILE"),
        row("+4930123", "DE-BERLIN"),
    ];
    let mut builder = DeckBuilder::new(1_000);
    for row in &rows {
        builder.add(row).unwrap();
    }
    for from in [0, DAY * 2] {
        let windows = DeckRow {
            from: Some(from),
            to: (from == 0).then_some(DAY * 2),
            ..row("+14155550101", "LONE")
        };
        builder.add(&windows).unwrap();
    }
    assert_eq!(builder.lone_numbers(), [1, 7, 10]);
}

#[test]
fn prefixes_that_a_new_deck_lacks_are_counted() {
    let former = [
        row("+44", "UK"),
        row("+447", "M"),
        row("+447700900123", "VIP"),
        row("+1", "US"),
        row("+1415", "SF"),
        row("118", "D"),
        row("118118", "D"),
    ];
    let new = [
        row("+447", "M"),
        row("+1", "US"),
        row("118118", "D"),
        row("+33", "FR"),
    ];
    let (former, new) = (deck(&former).unwrap(), deck(&new).unwrap());
    let expected = Lost {
        prefixes: 4,
        unpriced: 2,
    };
    assert_eq!(new.lost(&former), expected);
    assert_eq!(former.lost(&former), Lost::default());
    for (prefix, kept) in [
        ("+447", Kept::Yes),
        ("+4477", Kept::Shorter),
        ("+44", Kept::No),
        ("118", Kept::No),
        ("118118", Kept::Yes),
        ("1181", Kept::No),
    ] {
        assert_eq!(new.keeps(prefix), kept, "{prefix}");
    }
}
