//! CSV: every action, and payloads of many rows.

use serde_json::json;

use crate::support::deployment::Deployment;
use crate::support::kafka::{Input, Rec, shared};
use crate::support::oracle::Scope;
use crate::{ALICE, BOB, EPOCH, now, opened, run};

const CSV_POLICY: &str = r#"
[input]
format = "csv"
columns = ["id", "caller", "called", "account", "session", "imsi", "imei", "ip", "start", "seconds", "cell", "note"]
time = { field = "start", format = "rfc3339" }
[numbers]
country = "GB"
voicemail = ["1571"]
[output]
key = "caller"
headers = ["traceparent"]
[fields]
id = "keep"
caller = { action = "pseudonymise", kind = "phone" }
called = { action = "pseudonymise", kind = "phone", scope = "pairwise", with = "caller", derive = ["class", "country", "length"], escrow = true }
account = { action = "pseudonymise", kind = "account", scope = "record" }
session = { action = "pseudonymise", kind = "call" }
imsi = "restrict"
imei = { action = "pseudonymise", kind = "imei" }
ip = { action = "coarsen", prefix = 24, escrow = true }
start = { action = "coarsen", to = "hour" }
seconds = { action = "coarsen", step = 60 }
cell = "drop"
note = "keep"
"#;

pub fn csv_with_every_action() {
    let broker = shared();
    let deployment = Deployment::new(broker, 1);
    deployment.policy(CSV_POLICY);
    let rows: [&[u8]; 4] = [
        b"c-1,+447700900001,020 7946 0123,acc-9,s-77,234150000000001,35-209900-176148-1,192.0.2.77,2026-11-05T09:15:30Z,125,cell-1,hello",
        b"\"c,2\",\"+44 7700 900001\",anonymous,\"ac\"\"c\",s-1,\"23,4\",352099001761481,::ffff:192.0.2.77,2026-11-05T10:59:59+01:00,59,\"x\",\"say \"\"hi\"\",\nthen more\"",
        b"c-3,unknown,07700900001,\xff\xfe,,2\xff,,,2026-11-05T09:15:30Z,,,n\xfft\xe9",
        b"c-4,,,,,,,,2026-11-05T09:15:30Z,,,",
    ];
    let sent = now();
    let inputs = rows.map(|row| Input {
        value: Some(row.to_vec()),
        key: Some(b"raw key".to_vec()),
        timestamp: Some(sent),
        headers: vec![
            ("traceparent", b"00-aa-bb-01".to_vec()),
            ("x-caller", b"+447700900001".to_vec()),
        ],
        ..Input::default()
    });
    let ran = run(broker, &deployment, inputs, 4);

    let id = |row: usize| format!("{}/0/{row}", deployment.raw);
    let alice = EPOCH.token("phone", Scope::Domain, ALICE);
    let imei = EPOCH.token("imei", Scope::Domain, "35209900176148");
    // The exact bytes of an account need not be UTF-8; tokens of this one are looked at in the row's place.
    let public: Vec<Vec<u8>> = vec![
        [
            "c-1",
            &alice,
            &EPOCH.token("phone", Scope::Pairwise(ALICE), BOB),
            &EPOCH.token("account", Scope::Record(&id(0)), "acc-9"),
            &EPOCH.token("call", Scope::Domain, "s-77"),
            "",
            &imei,
            "192.0.2.0",
            "2026-11-05T09:00:00Z",
            "120",
            "",
            "hello",
            "fixed",
            "GB",
            "12",
            &id(0),
        ]
        .join(",")
        .into_bytes(),
        [
            "\"c,2\"",
            &alice,
            "_withheld",
            &EPOCH.token("account", Scope::Record(&id(1)), "ac\"c"),
            &EPOCH.token("call", Scope::Domain, "s-1"),
            "",
            &imei,
            "192.0.2.0",
            "2026-11-05T10:00:00+01:00",
            "0",
            "",
            "\"say \"\"hi\"\",\nthen more\"",
            "withheld",
            "",
            "",
            &id(1),
        ]
        .join(",")
        .into_bytes(),
    ];
    assert_eq!(ran.public.len(), 4);
    for (record, expected) in ran.public.iter().zip(&public) {
        assert_eq!(record.text(), String::from_utf8_lossy(expected));
        assert_eq!(record.key.as_deref(), Some(alice.as_bytes()));
    }
    // Nobody served: no pair, so the token joins nothing.
    let cells: Vec<&[u8]> = ran.public[2]
        .value
        .as_ref()
        .unwrap()
        .split(|&byte| byte == b',')
        .collect();
    assert_eq!(cells[1], b"_withheld");
    assert_eq!(
        cells[2],
        EPOCH.token("phone", Scope::Record(&id(2)), ALICE).as_bytes()
    );
    assert_eq!(
        cells[11], b"n\xfft\xe9",
        "bytes that are no UTF-8 stay as they are"
    );
    assert_eq!(ran.public[2].key.as_deref(), Some(&b"_withheld"[..]));
    let blank = format!("c-4,,,,,,,,2026-11-05T09:00:00Z,,,,,,,{}", id(3));
    assert_eq!(ran.public[3].text(), blank);
    assert_eq!(ran.public[3].key, None);
    let copied = vec![("traceparent".to_owned(), b"00-aa-bb-01".to_vec())];
    assert!(ran.public.iter().all(|record| record.headers == copied));

    let fields = |row: usize| {
        let record = &ran.restricted[row];
        assert_eq!(record.key, Some(id(row).into_bytes()));
        assert_eq!(record.headers, []);
        let opened = opened(&deployment, &deployment.restricted, record);
        assert_eq!(
            (opened.domain.as_str(), opened.epoch.as_str()),
            ("billing", "2026-11")
        );
        opened.fields()
    };
    let field = |name: &str, value: &[u8]| (name.to_owned(), value.to_vec());
    assert_eq!(
        fields(0),
        [
            field("called", b"020 7946 0123"),
            field("imsi", b"234150000000001"),
            field("ip", b"192.0.2.77")
        ]
    );
    assert_eq!(
        fields(1),
        [
            field("called", b"anonymous"),
            field("imsi", b"23,4"),
            field("ip", b"::ffff:192.0.2.77")
        ]
    );
    assert_eq!(
        fields(2),
        [field("called", b"07700900001"), field("imsi", b"2\xff")]
    );
    assert_eq!(fields(3), []);
    let lines = deployment.open(&deployment.restricted);
    assert_eq!(
        lines[0],
        json!({"record_id": id(0), "epoch": "2026-11",
            "fields": {"called": "020 7946 0123", "imsi": "234150000000001", "ip": "192.0.2.77"}})
    );
    assert_eq!(lines[2]["fields_base64"], json!({"imsi": "Mv8="}));
    assert_eq!(ran.books, [4, 4, 0, 0, 4]);
    for record in ran.public.iter().chain(&ran.restricted) {
        assert_eq!(record.timestamp, Some(sent), "outputs keep the raw record's time");
    }
}

pub fn csv_payloads_of_many_rows() {
    let broker = shared();
    let deployment = Deployment::new(broker, 1);
    deployment.policy(
        "[input]\nformat = \"csv\"\nheader = \"check\"\ncomment = \"#\"\ndelimiter = \";\"\n\
         columns = [\"id\", \"caller\", \"start\"]\ntime = { field = \"start\", format = \"unix\" }\n\
         [numbers]\ncountry = \"GB\"\n[fields]\nid = \"keep\"\nstart = \"keep\"\n\
         caller = { action = \"pseudonymise\", kind = \"phone\" }\n",
    );
    let payloads: [Option<&str>; 6] = [
        Some(
            "id;caller;start\r\n# made by a switch\r\na;07700900001;1793870000\r\nb;07700900001\r\n\r\nc;\"07700900001\";1793870000\r\n",
        ),
        Some("id;\"caller\";start\nd;07700900001;1793870000"),
        Some("id;called;start\ne;07700900001;1793870000\n"),
        None,
        Some("id;caller;start\n"),
        Some(""),
    ];
    let inputs = payloads.map(|payload| Input {
        value: payload.map(|text| text.as_bytes().to_vec()),
        ..Input::default()
    });
    let ran = run(broker, &deployment, inputs, 12);
    let alice = EPOCH.token("phone", Scope::Domain, ALICE);
    let raw = &deployment.raw;
    let public: Vec<String> = ran.public.iter().map(Rec::text).collect();
    assert_eq!(
        public,
        [
            format!("a;{alice};1793870000;{raw}/0/0/0"),
            format!("c;{alice};1793870000;{raw}/0/0/2"),
            format!("d;{alice};1793870000;{raw}/0/1"),
        ]
    );
    assert_eq!(
        ran.rejects(&deployment),
        [
            (
                format!("{raw}/0/0/1"),
                "columns".to_owned(),
                b"b;07700900001".to_vec()
            ),
            // Another header row: row by row.
            (
                format!("{raw}/0/2/0"),
                "columns".to_owned(),
                b"id;called;start".to_vec()
            ),
            (
                format!("{raw}/0/2/1"),
                "columns".to_owned(),
                b"e;07700900001;1793870000".to_vec()
            ),
            (format!("{raw}/0/5"), "format".to_owned(), Vec::new()),
        ]
    );
    // Six messages: ten rows, one tombstone, and one payload without any row.
    assert_eq!(ran.books, [12, 3, 4, 5, 0]);
    for (reason, count) in [("header", 3.0), ("comment", 1.0), ("tombstone", 1.0)] {
        let series = format!("cdrveil_records_skipped_total{{reason=\"{reason}\",partition=\"0\"}} {count}");
        assert!(ran.page.contains(&series), "{series}\n{}", ran.page);
    }
}
