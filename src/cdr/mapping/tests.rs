//! What a map gives, and which maps are none.

use super::*;

fn build(kind: KeyKind, min_keys: usize, rows: &[(&str, &str)]) -> Result<Map, (usize, MapFault)> {
    let mut builder = MapBuilder::new(kind, min_keys);
    for (at, (key, value)) in rows.iter().enumerate() {
        builder.add(key, value).map_err(|fault| (at, fault))?;
    }
    builder.finish().map_err(|faults| faults[0])
}

#[test]
fn a_cell_gives_its_zone_and_an_unknown_one_nothing() {
    let rows = [
        ("CELL_1", "NORTH"),
        ("CELL_2", "NORTH"),
        ("7", "SOUTH"),
        ("8", "SOUTH"),
    ];
    let map = build(KeyKind::Text, 2, &rows).unwrap();
    for (value, expected) in [
        ("CELL_1", Some("NORTH")),
        (" CELL_2 ", Some("NORTH")),
        ("7", Some("SOUTH")),
        ("07", None),
        ("cell_1", None),
        ("CELL_11", None),
        ("", None),
        ("NORTH", None),
    ] {
        assert_eq!(map.look(value.as_bytes()), expected, "{value}");
    }
    assert_eq!(map.rows(), 4);
    assert_eq!(format!("{map:?}"), "Map(4 rows)");
}

#[test]
fn an_address_gives_the_peer_of_the_longest_prefix() {
    let rows = [
        ("192.0.2.0/24", "carrier a"),
        ("192.0.2.64/26", "carrier b"),
        ("192.0.2.65", "carrier c"),
        ("198.51.100.0/25", "carrier a"),
        ("2001:db8::/32", "carrier d"),
        ("2001:db8:1::/48", "carrier e"),
        ("::/0", "the rest"),
    ];
    let map = build(KeyKind::Ip, 1, &rows).unwrap();
    for (value, expected) in [
        ("192.0.2.1", Some("carrier a")),
        ("192.0.2.66", Some("carrier b")),
        ("192.0.2.65", Some("carrier c")),
        ("192.0.2.65:5060", Some("carrier c")),
        (" ::ffff:192.0.2.65 ", Some("carrier c")),
        ("[::ffff:192.0.2.65]:5060", Some("carrier c")),
        ("198.51.100.127", Some("carrier a")),
        ("198.51.100.128", None),
        ("2001:db8:0:1::7", Some("carrier d")),
        ("[2001:db8:1::7]", Some("carrier e")),
        ("[2001:db8:1::7]:5060", Some("carrier e")),
        ("2001:db9::1", Some("the rest")),
        ("192.0.2.300", None),
        ("trunk-1", None),
        ("", None),
    ] {
        assert_eq!(map.look(value.as_bytes()), expected, "{value}");
    }
    let everyone = build(KeyKind::Ip, 1, &[("0.0.0.0/0", "v4")]).unwrap();
    assert_eq!(everyone.look(b"203.0.113.9"), Some("v4"));
    assert_eq!(everyone.look(b"2001:db8::1"), None);
}

/// Rows, and the place and the fault of the one to blame.
type Case<'a> = (&'a [(&'a str, &'a str)], (usize, MapFault));

#[test]
fn maps_that_would_tell_the_key_are_refused() {
    use MapFault::{Address, FewKeys, HostBits, Key, Taken, Value, ValueDigits, ValueHoldsKey, ValueIsKey};
    let long = "x".repeat(65);
    let few = FewKeys { keys: 1, least: 2 };
    let text: [Case<'_>; 10] = [
        (&[("C1", "A"), ("C2", "B"), ("C3", "A")], (1, few)),
        (
            &[("C1", "A"), ("A", "B"), ("C2", "A"), ("C3", "B")],
            (0, ValueIsKey),
        ),
        (&[("C1", "C1"), ("C2", "C1")], (0, ValueIsKey)),
        (&[("CELL_1", "site of cell_1")], (0, ValueHoldsKey)),
        (&[("C1", "A"), ("C1", "A")], (1, Taken { other: 0 })),
        (&[("", "A")], (0, Key)),
        (&[("C1", "")], (0, Value)),
        (&[("C1", "a~b")], (0, Value)),
        (&[("C1", &long)], (0, Value)),
        (&[("C1", "7700 900-123")], (0, ValueDigits)),
    ];
    for (rows, expected) in text {
        assert_eq!(build(KeyKind::Text, 2, rows).unwrap_err(), expected, "{rows:?}");
    }
    let ip: [Case<'_>; 9] = [
        (&[("192.0.2.0/24", "A"), ("192.0.2.0/25", "B")], (0, few)),
        (&[("192.0.2.7/24", "A")], (0, HostBits)),
        (&[("192.0.2.0/33", "A")], (0, Address)),
        (&[("192.0.2", "A")], (0, Address)),
        (&[("C1", "A")], (0, Address)),
        (
            &[("192.0.2.0/24", "::1"), ("198.51.100.0/24", "::1")],
            (0, ValueIsKey),
        ),
        (
            &[("192.0.2.0/24", "10.1.0.0"), ("192.0.3.0/24", "10.1.0.0")],
            (0, ValueIsKey),
        ),
        (
            &[("192.0.2.1", "A"), ("::ffff:192.0.2.1", "A")],
            (1, Taken { other: 0 }),
        ),
        (&[("192.0.2.1", "10.100.10.10")], (0, ValueDigits)),
    ];
    for (rows, expected) in ip {
        assert_eq!(build(KeyKind::Ip, 2, rows).unwrap_err(), expected, "{rows:?}");
    }
    assert!(build(KeyKind::Text, 1, &[("C1", "A"), ("C2", "B")]).is_ok());
}
