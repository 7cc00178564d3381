//! Values that maps give, in place: behind a row, and beside a JSON member that goes.

use std::sync::Arc;

use super::*;
use crate::cdr::mapping::{KeyKind, Map, MapBuilder};
use crate::cdr::transform::tests::{START, keyring};
use crate::settings::Source;

fn map(kind: KeyKind, rows: &[(&str, &str)]) -> Map {
    let mut builder = MapBuilder::new(kind, 1);
    for (key, value) in rows {
        builder.add(key, value).unwrap();
    }
    builder.finish().unwrap()
}

/// What becomes of the record; tokens are `*`.
fn public(input: &str, fields: &str, record: &str) -> String {
    let text = format!(
        "[input]\n{input}\ntime = {{ field = \"t\", format = \"unix\" }}\n\
         [maps.zone]\nfile = \"cells.csv\"\n[maps.peer]\nfile = \"peers.csv\"\nkind = \"ip\"\n\
         [output]\nrecord_id = false\n[fields]\nt = \"drop\"\n{fields}\n"
    );
    let source = Source {
        path: "policy.toml".into(),
        text,
    };
    let mut policy = Policy::load(&source).unwrap_or_else(|faults| panic!("{faults:?}"));
    policy.rating = Arc::new(Rating {
        maps: vec![
            map(
                KeyKind::Text,
                &[("C1", "NORTH, \"old\""), ("C2", "SOUTH"), ("77", "SOUTH")],
            ),
            map(KeyKind::Ip, &[("192.0.2.0/24", "carrier a")]),
        ],
        ..Rating::default()
    });
    let mut transformer = Transformer::new(Arc::new(policy), keyring(), "billing");
    let origin = Origin {
        record_id: b"r",
        timestamp: START * 1_000,
        header: None,
    };
    let mut out = Outputs::default();
    let record = record.replace('@', &START.to_string());
    transformer
        .record(record.as_bytes(), origin, &mut out)
        .unwrap_or_else(|refusal| panic!("{record}: {refusal:?}"));
    let mut public = String::from_utf8(out.public).unwrap();
    while let Some(at) = public.find("2026-11.") {
        public.replace_range(at..at + "2026-11.".len() + 26, "*");
    }
    public
}

#[test]
fn a_rows_maps_stand_behind_its_columns_whatever_becomes_of_the_field() {
    let input = "format = \"csv\"\ncolumns = [\"t\", \"cell\", \"ip\", \"imsi\"]";
    let fields = "cell = { action = \"restrict\", derive = [\"zone\"] }\n\
                  ip = { action = \"coarsen\", prefix = 16, derive = [\"peer\"] }\n\
                  imsi = { action = \"pseudonymise\", kind = \"imsi\", derive = [\"zone\", \"peer\"] }";
    for (record, expected) in [
        (
            "@,C2,192.0.2.7,234150000000001",
            ",,192.0.0.0,*,SOUTH,carrier a,,",
        ),
        (
            "@,\"C1\",192.0.2.7,",
            ",,192.0.0.0,,\"NORTH, \"\"old\"\"\",carrier a,,",
        ),
        ("@,C9,198.51.100.7,", ",,198.51.0.0,,,,,"),
        ("@,,,", ",,,,,,,"),
    ] {
        assert_eq!(public(input, fields, record), expected, "{record}");
    }
    let dropped = "cell = { action = \"drop\", derive = [\"zone\"] }\n\
                   ip = { action = \"drop\", derive = [\"peer\"] }\nimsi = \"drop\"";
    assert_eq!(public(input, dropped, "@,C2,192.0.2.7,1"), ",,,,SOUTH,carrier a");
}

#[test]
fn a_members_maps_stand_where_it_stood_or_at_the_end() {
    let input = "format = \"json\"\nunlisted = \"drop\"";
    let fields = "cell = { action = \"restrict\", derive = [\"zone\"] }\n\
                  \"net.ip\" = { action = \"drop\", derive = [\"peer\", \"zone\"] }\n\
                  \"legs[].cell\" = { action = \"restrict\", derive = [\"zone\"] }\n\
                  \"legs[].sim\" = { action = \"pseudonymise\", kind = \"imsi\", derive = [\"zone\"] }\n\
                  \"legs[].n\" = \"keep\"";
    for (record, expected) in [
        (
            r#"{"t":@,"cell":"C2","net":{"ip":"192.0.2.7"}}"#,
            r#"{"net":{"ip_peer":"carrier a","ip_zone":""},"cell_zone":"SOUTH"}"#,
        ),
        (
            r#"{"cell":77,"t":@,"legs":[{"cell":"C1","n":1},{"n":2,"cell":"C9"},{"x":3,"cell":"C2"}]}"#,
            r#"{"legs":[{"cell_zone":"NORTH, \"old\"","n":1},{"n":2,"cell_zone":""},{"cell_zone":"SOUTH"}],"cell_zone":"SOUTH"}"#,
        ),
        (
            r#"{"t":@,"legs":[{"x":1,"cell":"C2","y":2,"n":3,"sim":"234150000000001"}]}"#,
            r#"{"legs":[{"cell_zone":"SOUTH","n":3,"sim":"*","sim_zone":""}]}"#,
        ),
        (r#"{"t":@,"cell":null}"#, r#"{"cell_zone":""}"#),
        (
            r#"{"t":@,"net":{"ip":{"v4":"192.0.2.7"}}}"#,
            r#"{"net":{"ip_peer":"","ip_zone":""}}"#,
        ),
        (r#"{"t":@}"#, "{}"),
    ] {
        assert_eq!(public(input, fields, record), expected, "{record}");
    }
}
