//! Records in, public bytes out: one line per case, with known tokens of `tests/data/vectors.json`.

use super::subscribers::{Subscribers, Unmapped, Unpredictable};
use super::*;
use crate::pseudonym::keyring::{KeyEntry, Status};
use crate::pseudonym::mac::EpochKey;
use crate::settings::Source;

const NUMBER: &str = "447700900123";
const TOKEN: &str = "2026-11.qrqzktkvbnqulweyqa722njdt4";
const NEXT_EPOCH: &str = "2026-12.5mz2645kj4yyr2234zuzmatuda";
const AS_IMSI: &str = "2026-11.ikatzxxcokiwvmn4fyktdq2pna";
/// 442079460958, seen by 447700900123.
const PAIRED: &str = "2026-11.vgyfpcxhlueqr5b7fw72rjiflq";
const RECORD_ID: &str = "cdr.raw/3/18293";
/// 447700900123 in that record.
const ONCE: &str = "2026-11.usvydjkbya35eogdoyfd4qdvby";
/// 5 November 2026.
pub(super) const START: i64 = 1_793_870_000;

pub(super) fn keyring() -> Arc<Keyring> {
    let entry = |id: &str, from: i64, first: u8| KeyEntry {
        id: id.parse().unwrap(),
        activate_at: EventTime::from_millis(from),
        status: Status::Enabled,
        kcv: None,
        key: EpochKey::new((first..first + 32).collect()).ok(),
    };
    let entries = vec![
        entry("2026-11", 1_793_491_200_000, 0),
        entry("2026-12", 1_796_083_200_000, 32),
    ];
    Arc::new(Keyring::new(entries).unwrap())
}

fn transformer(policy: &str) -> Transformer {
    let source = Source {
        path: "policy.toml".into(),
        text: policy.to_owned(),
    };
    let policy = Policy::load(&source).unwrap_or_else(|faults| panic!("{faults:?}"));
    Transformer::new(Arc::new(policy), keyring(), "billing")
}

/// The public record, or `reason field`.
fn public(transformer: &mut Transformer, record: &[u8]) -> String {
    let origin = Origin {
        record_id: RECORD_ID.as_bytes(),
        timestamp: (START + 60 * 86_400) * 1_000,
        header: None,
    };
    let mut out = Outputs::default();
    match transformer.record(record, origin, &mut out) {
        Ok(_) => String::from_utf8_lossy(&out.public).into_owned(),
        Err(Refusal { reason, field }) => {
            let name = field.map_or("", |at| transformer.policy().fields[at].name.as_str());
            format!("{} {name}", reason.as_str())
        }
    }
}

/// A CSV policy of the columns `a`, `b` and the start `t`.
fn csv(input: &str, a: &str, b: &str) -> Transformer {
    transformer(&format!(
        "[input]\nformat = \"csv\"\ncolumns = [\"a\", \"b\", \"t\"]\ntime = {{ field = \"t\", format = \"unix\" }}\n{input}\n\
         [numbers]\ncountry = \"GB\"\n[output]\nrecord_id = false\n[fields]\na = {a}\nb = {b}\nt = \"keep\"\n"
    ))
}

const PHONE: &str = "{ action = \"pseudonymise\", kind = \"phone\" }";
const PAIR: &str = "{ action = \"pseudonymise\", kind = \"phone\", scope = \"pairwise\", with = \"a\" }";

#[test]
fn csv_fields_by_action() {
    let imsi = "{ action = \"pseudonymise\", kind = \"imsi\" }";
    let once = "{ action = \"pseudonymise\", kind = \"phone\", scope = \"record\" }";
    let rich =
        "{ action = \"pseudonymise\", kind = \"phone\", derive = [\"length\", \"class\", \"country\"] }";
    let steps = "{ action = \"coarsen\", step = 60 }";
    let prefix = "{ action = \"coarsen\", prefix = 24, prefix6 = 32 }";
    let cases: &[(&str, &str, &str, &str)] = &[
        ("\"keep\"", "\"drop\"", "x,y", "x,"),
        (
            "\"keep\"",
            "\"restrict\"",
            "\"x, \"\"y\"\"\",z",
            "\"x, \"\"y\"\"\",",
        ),
        ("\"keep\"", "\"keep\"", " x , \"y\"", " x , \"y\""),
        (
            PHONE,
            PAIR,
            "07700900123,020 7946 0958",
            &format!("{TOKEN},{PAIRED}"),
        ),
        (
            PHONE,
            PAIR,
            "\"07700 900123\",\"+442079460958\"",
            &format!("{TOKEN},{PAIRED}"),
        ),
        (PHONE, once, "anonymous,07700900123", &format!("_withheld,{ONCE}")),
        (PHONE, PAIR, "anonymous,07700900123", &format!("_withheld,{ONCE}")),
        (PHONE, PAIR, ",07700900123", &format!(",{ONCE}")),
        (PHONE, PAIR, " ,\" \"", ","),
        (PHONE, PAIR, "999,1571", "_emergency,_short"),
        (PHONE, "\"keep\"", "7700900123,x", "number a"),
        (PHONE, "\"keep\"", "+44770090012300000000,x", "number a"),
        ("\"drop\"", imsi, &format!("x,{NUMBER}"), &format!(",{AS_IMSI}")),
        ("\"drop\"", imsi, "x,12345", "number b"),
        (
            rich,
            "\"keep\"",
            "07700900123,y",
            &format!("{TOKEN},y,START,12,unknown,GB"),
        ),
        (rich, "\"keep\"", "anonymous,y", "_withheld,y,START,,withheld,"),
        (rich, "\"keep\"", ",y", ",y,START,,,"),
        (steps, prefix, "119,192.0.2.77", "60,192.0.2.0"),
        (steps, prefix, ",2001:db8:1:2::3", ",2001:db8::"),
        (steps, prefix, "1m,", "number a"),
        (steps, prefix, "-1,", "number a"),
        (steps, prefix, "1,example.net", "number b"),
        ("\"keep\"", "\"keep\"", "x", "columns "),
        ("\"keep\"", "\"keep\"", "x,y,z", "columns "),
        ("\"keep\"", "\"keep\"", "x,\"y", "format b"),
        ("\"drop\"", "\"keep\"", "\"x\"1,y", "format a"),
        ("\"drop\"", "\"keep\"", "\"\"x\" <1>\",y", ",y"),
    ];
    let mut wrong = Vec::new();
    for (a, b, fields, expected) in cases {
        let shown = public(&mut csv("", a, b), format!("{fields},{START}").as_bytes());
        let start = START.to_string();
        let refused = !expected.contains(',') && expected.ends_with(['a', 'b', ' ']);
        let expected = match expected.contains("START") {
            true => expected.replace("START", &start),
            false if refused => (*expected).to_owned(),
            false => format!("{expected},{start}"),
        };
        if shown != expected {
            wrong.push(format!("{a} {b} {fields}: {shown} is not {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_call_s_time_chooses_the_key_or_refuses() {
    let mut transformer = csv("max_future = \"1d\"", PHONE, "\"drop\"");
    let second = 1_796_083_200;
    let latest = START + 61 * 86_400;
    for (start, expected) in [
        (START.to_string(), format!("{TOKEN},,{START}")),
        ((second - 1).to_string(), format!("{TOKEN},,{}", second - 1)),
        (second.to_string(), format!("{NEXT_EPOCH},,{second}")),
        (latest.to_string(), format!("{NEXT_EPOCH},,{latest}")),
        ((latest + 1).to_string(), "epoch-too-new t".to_owned()),
        ("1793491199".to_owned(), "epoch-too-old t".to_owned()),
        ("1793491200".to_owned(), format!("{TOKEN},,1793491200")),
        (String::new(), "time t".to_owned()),
        ("yesterday".to_owned(), "time t".to_owned()),
    ] {
        assert_eq!(
            public(&mut transformer, format!("07700900123,,{start}").as_bytes()),
            expected
        );
    }
}

/// November's call, its second part in December.
#[test]
fn the_first_segment_s_time_decides_where_there_is_one() {
    let second = 1_796_083_260;
    let mut csv = transformer(&format!(
        "[input]\nformat = \"csv\"\ncolumns = [\"a\", \"f\", \"t\"]\n\
         time = {{ field = \"t\", format = \"unix\", first = \"f\" }}\n[numbers]\ncountry = \"GB\"\n\
         [output]\nrecord_id = false\n[fields]\na = {PHONE}\nf = \"drop\"\nt = \"keep\"\n"
    ));
    let mut json = transformer(&format!(
        "[input]\nformat = \"json\"\ntime = {{ field = \"t\", format = \"unix\", first = \"c.f\" }}\n[numbers]\ncountry = \"GB\"\n\
         [output]\nrecord_id = false\n[fields]\na = {PHONE}\n\"c.f\" = \"drop\"\nt = \"keep\"\n"
    ));
    let (early, late) = (format!("{TOKEN},,{second}"), format!("{NEXT_EPOCH},,{second}"));
    for (first, member, expected) in [
        (START.to_string(), START.to_string(), early.as_str()),
        (String::new(), "\"\"".to_owned(), &late),
        (" ".to_owned(), "null".to_owned(), &late),
        ("0".to_owned(), "0".to_owned(), "epoch-too-old f"),
        ("soon".to_owned(), "\"soon\"".to_owned(), "time f"),
    ] {
        assert_eq!(
            public(&mut csv, format!("07700900123,{first},{second}").as_bytes()),
            expected
        );
        let record = format!(r#"{{"a":"07700900123","c":{{"f":{member}}},"t":{second}}}"#);
        let expected = match expected.split_once(",,") {
            Some((token, _)) => format!(r#"{{"a":"{token}","c":{{}},"t":{second}}}"#),
            None => expected.replace(" f", " c.f"),
        };
        assert_eq!(public(&mut json, record.as_bytes()), expected);
    }
    let without = format!(r#"{{"a":"07700900123","t":{second}}}"#);
    let expected = format!(r#"{{"a":"{NEXT_EPOCH}","t":{second}}}"#);
    assert_eq!(public(&mut json, without.as_bytes()), expected);
    assert_eq!(public(&mut json, br#"{"a":"07700900123"}"#), "time t");
}

#[test]
fn what_follows_a_refused_record_is_untouched_by_it() {
    let mut transformer = csv("max_record = \"64B\"", PHONE, PAIR);
    let good = format!("07700900123,02079460958,{START}");
    let expected = format!("{TOKEN},{PAIRED},{START}");
    for bad in [
        "",
        "x",
        "07700900123,junk,1793870000",
        "07700900123,02079460958,never",
    ] {
        assert_ne!(public(&mut transformer, bad.as_bytes()), expected);
        assert_eq!(public(&mut transformer, good.as_bytes()), expected, "after {bad}");
    }
    assert_eq!(public(&mut transformer, &[b'x'; 65]), "too-large ");
}

/// `KEPT` in a field that is kept, beside the number, an IMSI and the call's time.
#[test]
fn a_kept_copy_of_what_is_taken_out_rejects_the_record() {
    let line = |kept: &str| format!("07700900123,{kept},{START}");
    let json =
        |kept: &str| format!(r#"{{"t":{START},"a":"07700900123","i":"001010000000123","k":{kept},"s":7}}"#);
    let mut csv = csv("", PHONE, "\"keep\"");
    let mut members = transformer(&format!(
        "[input]\nformat = \"json\"\nunlisted = \"drop\"\ntime = {{ field = \"t\", format = \"unix\" }}\n[numbers]\ncountry = \"GB\"\n\
         [output]\nrecord_id = false\n[fields]\nt = \"keep\"\na = {PHONE}\ni = \"restrict\"\nk = \"keep\"\n\
         s = {{ action = \"coarsen\", step = 7 }}\n"
    ));
    for (kept, leaks) in [
        ("PJSIP/447700900123-0000002f", true),
        ("+44 (0)7700 900123", true),
        ("7700900123", true),
        ("%2B44%37700900123", true),
        ("4477009001", true),
        ("07700900199", false),
        ("77009", false),
        ("1793870000", false),
    ] {
        assert_eq!(
            public(&mut csv, line(kept).as_bytes()) == "leak b",
            leaks,
            "{kept}"
        );
        assert_eq!(
            public(&mut csv, line(&format!("\"{kept}\"")).as_bytes()) == "leak b",
            leaks,
            "{kept}"
        );
        let member = public(&mut members, json(&format!("\"{kept}\"")).as_bytes());
        assert_eq!(member == "leak k", leaks, "{kept}: {member}");
    }
    for kept in [
        r#""\u00300447700900123""#,
        r#""447700\/900123""#,
        r#""\u0037\u00370090012\u0033""#,
        "447700900123",
        "4.47700900123e11",
        r#""001010000000123""#,
        r#""1010000000123.wav""#,
    ] {
        assert_eq!(public(&mut members, json(kept).as_bytes()), "leak k", "{kept}");
    }
    let coarse = json("0").replace("\"s\":7", "\"s\":7700900123");
    assert_eq!(public(&mut members, coarse.as_bytes()), "leak s");
    assert!(public(&mut members, json("0").as_bytes()).starts_with('{'));
}

#[test]
fn json_members_by_action() {
    let policy = |unlisted: &str| {
        format!(
            "[input]\nformat = \"json\"\nunlisted = \"{unlisted}\"\ntime = {{ field = \"t\", format = \"unix\" }}\n\
             [numbers]\ncountry = \"GB\"\n[output]\nrecord_id = false\n[fields]\nt = \"keep\"\na = {PHONE}\nb = {PAIR}\n\
             \"l[].n\" = {{ action = \"pseudonymise\", kind = \"phone\", derive = [\"country\"] }}\n\
             x = \"drop\"\nk = \"keep\"\ns = {{ action = \"coarsen\", step = 60 }}\n"
        )
    };
    let cases = [
        ("reject", r#"{"t":T,"a":"07700900123"}"#, r#"{"t":T,"a":"TOKEN"}"#),
        (
            "reject",
            r#"{ "a" : "\u002b447700900123" , "t":"T" }"#,
            r#"{ "a" : "TOKEN" , "t":"T" }"#,
        ),
        (
            "reject",
            r#"{"b":"02079460958","t":T,"a":"07700900123"}"#,
            r#"{"b":"PAIRED","t":T,"a":"TOKEN"}"#,
        ),
        ("reject", r#"{"b":"07700900123","t":T}"#, r#"{"b":"ONCE","t":T}"#),
        ("reject", r#"{"x":{"deep":[1]},"t":T}"#, r#"{"t":T}"#),
        ("reject", r#"{"t":T,"x":1}"#, r#"{"t":T}"#),
        (
            "reject",
            r#"{"t":T,"l":[{"n":"07700900123"},{"n":null},{}]}"#,
            r#"{"t":T,"l":[{"n":"TOKEN","n_country":"GB"},{"n":null},{}]}"#,
        ),
        ("reject", r#"{"t":T,"s":119.5}"#, r#"{"t":T,"s":60}"#),
        ("reject", r#"{"t":T,"s":"119"}"#, r#"{"t":T,"s":"60"}"#),
        ("reject", r#"{"t":T,"s":[1]}"#, "number s"),
        ("reject", r#"{"t":T,"a":["07700900123"]}"#, "number a"),
        ("reject", r#"{"t":T,"z":1}"#, "unknown-field "),
        // What is in a kept object has no action of its own.
        (
            "reject",
            r#"{"t":T,"k":{"caller":"+447700900123"}}"#,
            "unknown-field k",
        ),
        ("reject", r#"{"t":T,"k":["07700900123"]}"#, "unknown-field k"),
        ("reject", r#"{"t":T,"k":[ ]}"#, r#"{"t":T,"k":[ ]}"#),
        ("drop", r#"{"t":T,"k":["07700900123"]}"#, r#"{"t":T}"#),
        ("restrict", r#"{"k":{"a":"07700900123"},"t":T}"#, r#"{"t":T}"#),
        ("reject", r#"{"t":T,"k":"x"}"#, r#"{"t":T,"k":"x"}"#),
        // Read as nothing, these once stayed as they were.
        ("reject", r#"{"t":T,"a":"<> +447700900123"}"#, "number a"),
        ("reject", r#"{"t":T,"a":"\"\" <>;tag=07700900123"}"#, "number a"),
        ("reject", r#"{"t":T,"a":"\"\" <>"}"#, r#"{"t":T,"a":""}"#),
        ("reject", r#"{"t":T,"a":" "}"#, r#"{"t":T,"a":" "}"#),
        ("reject", r#"{"t":T,"l":[{"m":1}]}"#, "unknown-field "),
        ("drop", r#"{"z":1,"t":T,"l":[{"m":1}]}"#, r#"{"t":T,"l":[{}]}"#),
        ("restrict", r#"{"z":1,"t":T}"#, r#"{"t":T}"#),
        ("reject", r#"{"a":"07700900123"}"#, "time t"),
        ("reject", r#"{"t":null}"#, "time t"),
        ("reject", r#"{"t":T,"a":false}"#, "number a"),
        ("reject", r#"{"t":T,"a":"x","\u0061":"y"}"#, "format "),
        ("reject", r#"[{"t":T}]"#, "format "),
        ("reject", r#"{"t":T"#, "format "),
    ];
    let mut wrong = Vec::new();
    for (unlisted, record, expected) in cases {
        let with = |text: &str| {
            let text = text.replace('T', &START.to_string());
            let start = START.to_string();
            text.replace(&format!("{start}OKEN"), TOKEN)
        };
        let record = with(record);
        let expected = with(expected).replace("PAIRED", PAIRED).replace("ONCE", ONCE);
        let shown = public(&mut transformer(&policy(unlisted)), record.as_bytes());
        if shown != expected {
            wrong.push(format!("{unlisted} {record}: {shown} is not {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn customer_data_gets_the_tokens_of_the_public_topic() {
    let policy = |a, b| Arc::clone(csv("", a, b).policy());
    let subscribers =
        |policy: &Arc<Policy>, field| Subscribers::new(Arc::clone(policy), keyring(), "billing", field);
    let token = |subscribers: &mut Subscribers, epoch| {
        let mut out = Vec::new();
        subscribers.write(EpochIndex(epoch), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    };
    let pair = policy(PHONE, PAIR);
    let mut callers = subscribers(&pair, 0).unwrap();
    callers.read(b"07700 900123", b"").unwrap();
    assert_eq!(token(&mut callers, 0), TOKEN);
    assert_eq!(token(&mut callers, 1), NEXT_EPOCH);
    let mut called = subscribers(&pair, 1).unwrap();
    assert_eq!(called.served_by(), Some(0));
    called.read(b"020 7946 0958", b"+447700900123").unwrap();
    assert_eq!(token(&mut called, 0), PAIRED);
    let cases: &[(&[u8], &[u8], Unmapped)] = &[
        (b" ", NUMBER.as_bytes(), Unmapped::Blank),
        (b"anonymous", NUMBER.as_bytes(), Unmapped::Label),
        (b"999", NUMBER.as_bytes(), Unmapped::Label),
        (b"7700900123", NUMBER.as_bytes(), Unmapped::Unreadable),
        (NUMBER.as_bytes(), b"", Unmapped::NobodyServed),
        (NUMBER.as_bytes(), b"anonymous", Unmapped::NobodyServed),
        (NUMBER.as_bytes(), b"x1", Unmapped::NobodyServed),
    ];
    for (value, served, why) in cases {
        assert_eq!(called.read(value, served), Err(*why));
    }
    let once = policy(
        "{ action = \"pseudonymise\", kind = \"phone\", scope = \"record\" }",
        "\"keep\"",
    );
    assert_eq!(subscribers(&once, 0).err(), Some(Unpredictable::Record));
    assert_eq!(subscribers(&once, 1).err(), Some(Unpredictable::NoToken));
    assert_eq!(subscribers(&once, 9).err(), Some(Unpredictable::NoToken));
}
