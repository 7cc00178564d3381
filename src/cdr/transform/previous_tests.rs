//! Tokens of the epoch before beside the record's own: CSV columns, JSON members and sealed fields.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::cdr::transform::derived_tests::rating;
use crate::cdr::transform::tests::keyring;
use crate::pseudonym::keyring::Overlap;
use crate::seal::fields;
use crate::settings::Source;

/// 2026-12-01, when the second epoch begins, and the end of its overlap.
const BOUNDARY: i64 = 1_796_083_200;
const END: i64 = BOUNDARY + 7 * 86_400;

const WEEK: Overlap = Overlap {
    public: Some(Duration::from_secs(7 * 86_400)),
    sealed: false,
};
const BOTH: Overlap = Overlap { sealed: true, ..WEEK };
const SEALED: Overlap = Overlap { public: None, ..BOTH };

/// Under a policy with the input's and the fields' lines.
fn transformer_by(input: &str, fields: &str, overlap: Overlap, keyring: Keyring) -> Transformer {
    let numbers = "country = \"GB\"\ndeck = \"d\"\nown = \"o\"\npayers = \"y\"\nports = \"p\"";
    let source = Source {
        path: "policy.toml".into(),
        text: format!(
            "[input]\n{input}\n[numbers]\n{numbers}\n[output]\nrecord_id = \"id\"\nkey = \"a\"\n[fields]\nt = \"keep\"\n{fields}\n"
        ),
    };
    let mut policy = Policy::load(&source).unwrap_or_else(|faults| panic!("{faults:?}"));
    policy.rating = rating();
    policy.carry(overlap.carriers()).unwrap();
    Transformer::new(
        Arc::new(policy),
        Arc::new(keyring.overlapping(overlap)),
        "billing",
    )
}

fn transformer(input: &str, fields: &str, overlap: Overlap) -> Transformer {
    let input = format!("{input}\ntime = {{ field = \"t\", format = \"unix\" }}");
    transformer_by(&input, fields, overlap, Keyring::clone(&keyring()))
}

/// `public`, or `public | sealed`, or `!reason field`.
fn made(transformer: &mut Transformer, record: &str) -> String {
    let origin = Origin {
        record_id: b"r",
        timestamp: (BOUNDARY + 60 * 86_400) * 1_000,
        header: None,
    };
    let mut out = Outputs::default();
    if let Err(refusal) = transformer.record(record.as_bytes(), origin, &mut out) {
        let field = refusal
            .field
            .map_or("", |at| &transformer.policy().fields[at].name);
        return format!("!{} {field}", refusal.reason.as_str());
    }
    let mut told = String::from_utf8(out.public).unwrap();
    for field in fields::fields(&out.restricted) {
        let field = field.unwrap();
        let value = std::str::from_utf8(field.value).unwrap();
        told.extend([" | ", field.name, "=", value]);
    }
    told
}

/// The same with `<` for the first epoch's tokens, `>` for the second's, and `@` for the time.
fn shown(transformer: &mut Transformer, record: &str, at: i64) -> String {
    let mut told = made(transformer, &record.replace('@', &at.to_string()));
    for (epoch, sign) in [("2026-11.", "<"), ("2026-12.", ">")] {
        while let Some(at) = told.find(epoch) {
            told.replace_range(at..at + epoch.len() + 26, sign);
        }
    }
    told.replace(&at.to_string(), "@")
}

const A: &str = "a = { action = \"pseudonymise\", kind = \"phone\", derive = [\"length\"] }\n";
const B: &str = "b = { action = \"pseudonymise\", kind = \"phone\", scope = \"pairwise\", with = \"a\", derive = [\"payer\"], escrow = true }\n";
const S: &str = "s = { action = \"pseudonymise\", kind = \"phone\", separators = [\"Chain: \", \";\"] }\n";
const COLUMNS: &str = "format = \"csv\"\ncolumns = [\"a\", \"b\", \"t\", \"s\"]";

fn rows(overlap: Overlap) -> Transformer {
    transformer(COLUMNS, &format!("{A}{B}{S}"), overlap)
}

#[test]
fn columns_stand_behind_all_others_and_are_blank_outside_the_overlap() {
    let whole = "07700900124,07700900123,@,Chain: 07700900125;999;";
    let own = ">,>,@,Chain: >;_emergency;,12,>,r";
    for (record, at, expected) in [
        (
            whole,
            BOUNDARY - 1,
            "<,<,@,Chain: <;_emergency;,12,<,r,,,,".to_owned(),
        ),
        (whole, BOUNDARY, format!("{own},<,<,<,Chain: <;;")),
        (whole, END - 1, format!("{own},<,<,<,Chain: <;;")),
        (whole, END, format!("{own},,,,")),
        // Labels and blanks are nobody's: there is nothing to double.
        (
            "999,07700900124,@,;999;",
            BOUNDARY,
            "_emergency,>,@,;_emergency;,,,r,,<,,".to_owned(),
        ),
        ("anonymous,,@,", BOUNDARY, "_withheld,,@,,,,r,,,,".to_owned()),
        (",,@,;", BOUNDARY, ",,@,;,,,r,,,,".to_owned()),
        ("\"07700 900124\",,@,", END - 1, ">,,@,,12,,r,<,,,".to_owned()),
    ] {
        let told = shown(&mut rows(WEEK), record, at);
        let (public, sealed) = told.split_once(" | ").unwrap_or((&told, ""));
        assert_eq!(public, expected, "{record} {at}");
        assert!(sealed.is_empty() || sealed.starts_with("b=0"), "{told}");
    }
    let names = [
        "a_length",
        "b_payer",
        "id",
        "a_prev",
        "b_prev",
        "b_payer_prev",
        "s_prev",
    ];
    assert_eq!(rows(WEEK).policy().appended(), names);
    assert_eq!(rows(SEALED).policy().appended(), names[..3]);
    assert_eq!(shown(&mut rows(Overlap::default()), ",,@,", BOUNDARY), ",,@,,,,r");
}

#[test]
fn sealed_records_carry_both_tokens_whenever_the_call_was() {
    let whole = "07700900124,07700900123,@,07700900125;999";
    let own = ">,>,@,>;_emergency,12,>,r";
    let old = "a_token=< | b_token=< | b_payer=< | s_token=<;";
    let new =
        "a_token=> | a_prev=< | b_token=> | b_prev=< | b_payer=> | b_payer_prev=< | s_token=>; | s_prev=<;";
    for (overlap, at, expected) in [
        (
            SEALED,
            BOUNDARY - 1,
            format!("<,<,@,<;_emergency,12,<,r | b=07700900123 | {old}"),
        ),
        (SEALED, BOUNDARY, format!("{own} | b=07700900123 | {new}")),
        (SEALED, END, format!("{own} | b=07700900123 | {new}")),
        (BOTH, BOUNDARY, format!("{own},<,<,<,<; | b=07700900123 | {new}")),
        (BOTH, END, format!("{own},,,, | b=07700900123 | {new}")),
    ] {
        assert_eq!(shown(&mut rows(overlap), whole, at), expected, "{overlap} {at}");
    }
    let blank = shown(&mut rows(BOTH), "999,,@,", BOUNDARY);
    assert_eq!(blank, "_emergency,,@,,,,r,,,,");
}

#[test]
fn json_members_stand_where_derived_ones_do() {
    let fields = format!(
        "{A}\"c.b\" = {}\"l[].n\" = {{ action = \"pseudonymise\", kind = \"phone\", derive = [\"country\"] }}\n",
        &B[4..]
    );
    let input = "format = \"json\"\nunlisted = \"drop\"";
    let record = r#"{"t":@,"a":"07700900124","c":{"b":"07700900123"},"l":[{"n":"07700900125"},{"n":null},{"n":"999"}]}"#;
    let member = |own: &str, prev: &str| {
        format!(
            r#"{{"t":@,"a":"{own}","c":{{"b":"{own}","b_payer":"{own}","b_prev":"{prev}","b_payer_prev":"{prev}"}},"l":[{{"n":"{own}","n_country":"GB","n_prev":"{prev}"}},{{"n":null}},{{"n":"_emergency","n_country":"","n_prev":""}}],"a_length":"12","id":"r","a_prev":"{prev}"}}"#
        )
    };
    let raw = r#"c.b="07700900123""#;
    for (at, expected) in [
        (BOUNDARY - 1, member("<", "")),
        (BOUNDARY, member(">", "<")),
        (END - 1, member(">", "<")),
        (END, member(">", "")),
    ] {
        let mut transformer = transformer(input, &fields, WEEK);
        assert_eq!(
            shown(&mut transformer, record, at),
            format!("{expected} | {raw}"),
            "{at}"
        );
    }
    let mut both = transformer(input, &fields, BOTH);
    let sealed = r#"a_token=">" | a_prev="<" | c.b_token=">" | c.b_prev="<" | c.b_payer=">" | c.b_payer_prev="<" | l[].n_token=">" | l[].n_prev="<""#;
    let expected = format!("{} | {raw} | {sealed}", member(">", ""));
    assert_eq!(shown(&mut both, record, END), expected);
    assert_eq!(
        shown(&mut both, r#"{"t":@,"a":"anonymous"}"#, BOUNDARY),
        r#"{"t":@,"a":"_withheld","a_length":"","id":"r","a_prev":""}"#
    );
    assert_eq!(shown(&mut both, r#"{"t":@}"#, BOUNDARY), r#"{"t":@,"id":"r"}"#);
}

#[test]
fn fields_inside_a_column_and_of_record_types_have_columns_too() {
    let inside = "format = \"csv\"\ncolumns = [\"v\", \"t\"]";
    let nested = "[[input.nested]]\ncolumn = \"v\"\ncolumns = [\"p\", \"n\"]";
    let time = "time = { field = \"t\", format = \"unix\" }";
    let fields = "\"v.p\" = \"keep\"\n\"v.n\" = { action = \"pseudonymise\", kind = \"phone\", derive = [\"length\"] }\n";
    let source = |input: &str| Source {
        path: "policy.toml".into(),
        text: format!(
            "[input]\n{input}\n[numbers]\ncountry = \"GB\"\n[output]\nrecord_id = \"id\"\n[fields]\nt = \"keep\"\n{fields}"
        ),
    };
    let by = |source: &Source| {
        let mut policy = Policy::load(source).unwrap_or_else(|faults| panic!("{faults:?}"));
        policy.carry(WEEK.carriers()).unwrap();
        let keyring = Keyring::clone(&keyring()).overlapping(WEEK);
        Transformer::new(Arc::new(policy), Arc::new(keyring), "billing")
    };
    let mut transformer = by(&source(&format!("{inside}\n{time}\n{nested}")));
    for (row, expected) in [
        ("\"x,07700900124\",@", "\"x,>\",@,12,r,<"),
        ("\"x,999\",@", "\"x,_emergency\",@,,r,"),
        ("x,@", "x,@,,r,"),
    ] {
        assert_eq!(shown(&mut transformer, row, BOUNDARY), expected);
    }
    let types = format!(
        "format = \"csv\"\n{time}\n\
         [[input.record]]\nwhen = {{ column = 1, value = \"1\" }}\ncolumns = [\"v.p\", \"v.n\", \"t\"]\n\
         [[input.record]]\nwhen = {{ column = 1, value = \"2\" }}\ncolumns = [\"v.p\", \"t\"]"
    );
    let mut transformer = by(&source(&types));
    assert_eq!(
        shown(&mut transformer, "1,07700900124,@", BOUNDARY),
        "1,>,@,12,r,<"
    );
    assert_eq!(shown(&mut transformer, "2,@", BOUNDARY), "2,@,r");
}

#[test]
fn an_epoch_before_that_the_register_withholds_rejects_what_would_show_it() {
    let less = |overlap: Overlap| {
        let input = format!("{COLUMNS}\ntime = {{ field = \"t\", format = \"unix\" }}");
        let keyring = keyring().withholding(|epoch| epoch.id().as_str() == "2026-11", &[]);
        transformer_by(&input, &format!("{A}{B}{S}"), overlap, keyring)
    };
    let row = "07700900124,,@,";
    for (overlap, at, expected) in [
        (WEEK, BOUNDARY - 1, "!epoch-too-old t"),
        (WEEK, BOUNDARY, "!epoch-too-old t"),
        (WEEK, END - 1, "!epoch-too-old t"),
        (WEEK, END, ">,,@,,12,,r,,,,"),
        (SEALED, END, "!epoch-too-old t"),
        (Overlap::default(), BOUNDARY, ">,,@,,12,,r"),
    ] {
        assert_eq!(shown(&mut less(overlap), row, at), expected, "{overlap} {at}");
    }
}

#[test]
fn the_record_s_key_is_its_own_epoch_s_token() {
    let mut out = Outputs::default();
    let origin = Origin {
        record_id: b"r",
        timestamp: BOUNDARY * 1_000,
        header: None,
    };
    let record = format!("07700900123,,{BOUNDARY},");
    rows(BOTH).record(record.as_bytes(), origin, &mut out).unwrap();
    assert_eq!(out.key, b"2026-12.5mz2645kj4yyr2234zuzmatuda");
    assert!(out.public.ends_with(b",r,2026-11.qrqzktkvbnqulweyqa722njdt4,,,"));
}

/// The guard looks at what is kept as it always does.
#[test]
fn a_kept_copy_in_the_overlap_rejects_the_record() {
    let input = "format = \"csv\"\ncolumns = [\"a\", \"k\", \"t\"]";
    let mut transformer = transformer(input, &format!("{A}k = \"keep\""), WEEK);
    assert_eq!(
        shown(&mut transformer, "07700900124,x7700900124,@", BOUNDARY),
        "!leak k"
    );
    assert_eq!(
        shown(&mut transformer, "07700900124,x,@", BOUNDARY),
        ">,x,@,12,r,<"
    );
}

proptest! {
    #[test]
    fn what_stands_beside_is_what_stood_there_an_instant_before_the_boundary(
        caller in 0..1_000_u32,
        called in 0..1_000_u32,
        other in 0..1_000_u32,
        late in -86_400..14 * 86_400_i64,
    ) {
        let row = |at: i64| format!("+447700900{caller:03},07700900{called:03},{at},07700 900{other:03};118118");
        let once = "a = { action = \"pseudonymise\", kind = \"phone\", scope = \"record\" }\n";
        for first in [A, once] {
            let mut transformer = transformer(COLUMNS, &format!("{first}{B}{S}"), WEEK);
            let cells = |transformer: &mut Transformer, at| -> Vec<String> {
                let told = made(transformer, &row(at));
                told.split_once(" | ").unwrap().0.split(',').map(str::to_owned).collect()
            };
            let before = cells(&mut transformer, BOUNDARY - 1);
            let after = cells(&mut transformer, BOUNDARY + late);
            let previous = &after[after.len() - 4..];
            if (0..7 * 86_400).contains(&late) {
                let payer = &before[before.len() - 6];
                let tokens = before[3].strip_suffix("_short").unwrap();
                prop_assert_eq!(previous, [&before[0], &before[1], payer, tokens]);
            } else {
                prop_assert_eq!(previous, ["", "", "", ""]);
            }
        }
        let fields = format!("{A}{B}");
        let mut members = transformer("format = \"json\"", &fields, WEEK);
        let mut member = |at, name: &str| {
            let record = format!(r#"{{"b":"07700900{called:03}","t":{at},"a":"+447700900{caller:03}"}}"#);
            let told = made(&mut members, &record);
            let parsed: serde_json::Value = serde_json::from_str(told.split_once(" | ").unwrap().0).unwrap();
            parsed[name].as_str().unwrap().to_owned()
        };
        let inside = (0..7 * 86_400).contains(&late);
        for (name, previous) in [("a", "a_prev"), ("b", "b_prev"), ("b_payer", "b_payer_prev")] {
            let before = if inside { member(BOUNDARY - 1, name) } else { String::new() };
            prop_assert_eq!(member(BOUNDARY + late, previous), before);
        }
    }
}
