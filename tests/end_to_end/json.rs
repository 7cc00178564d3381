//! JSON: every action, and what the policy does not know.

use serde_json::{Value, json};

use crate::support::deployment::Deployment;
use crate::support::kafka::{Input, shared};
use crate::support::oracle::Scope;
use crate::{ALICE, BOB, EPOCH, opened, run};

const JSON_POLICY: &str = r#"
[input]
format = "json"
unlisted = "UNLISTED"
time = { field = "start", format = ["rfc3339", "unix_ms"] }
[numbers]
country = "GB"
[output]
key = "a.number"
record_id = "rid"
[fields]
id = "keep"
"a.number" = { action = "pseudonymise", kind = "phone", derive = ["class"] }
b = { action = "pseudonymise", kind = "phone", scope = "pairwise", with = "a.number", derive = ["country"], escrow = true }
"legs[].number" = { action = "pseudonymise", kind = "phone", scope = "record", derive = ["length"] }
"legs[].imsi" = "restrict"
"legs[].cell" = "drop"
ip = { action = "coarsen", prefix = 16 }
start = { action = "coarsen", to = "minute" }
seconds = { action = "coarsen", step = 60, escrow = true }
"tags[]" = "keep"
"#;

pub fn json_with_every_action() {
    let broker = shared();
    let deployment = Deployment::new(broker, 1);
    deployment.policy(&JSON_POLICY.replace("UNLISTED", "restrict"));
    let payloads = [
        concat!(
            r#"{ "id" : "j-\u0031", "a": {"number":"+447700900001"}, "b":"02079460123","#,
            r#" "legs":[{"number":"+447700900001","imsi":"234150000000001","cell":"c1"},{"number":"Anonymous","imsi":null,"cell":"c2"}],"#,
            r#" "ip":"192.0.2.77","start":"2026-11-05T09:15:30Z","seconds":125, "tags":["x", 1.0e2], "extra":{"msisdn":"+447700900009"}}"#
        ),
        // Two in one payload; the start as a number; members in another order, blank or absent.
        concat!(
            r#"{"start":1793870130000,"b":"02079460123","a":{"number":"07700 900001"},"id":"j-2"}"#,
            "\n",
            r#"{"start":"2026-11-05T09:15:30Z","a":{"number":null},"b":"","id":"j-3","seconds":"59"}"#
        ),
    ];
    let inputs = payloads.map(|payload| Input {
        value: Some(payload.into()),
        ..Input::default()
    });
    let ran = run(broker, &deployment, inputs, 3);
    let raw = &deployment.raw;
    let alice = EPOCH.token("phone", Scope::Domain, ALICE);
    let pair = EPOCH.token("phone", Scope::Pairwise(ALICE), BOB);
    let leg = EPOCH.token("phone", Scope::Record(&format!("{raw}/0/0")), ALICE);
    let expected = [
        format!(
            concat!(
                r#"{{ "id" : "j-\u0031", "a": {{"number":"{alice}","number_class":"unknown"}}, "b":"{pair}","#,
                r#" "legs":[{{"number":"{leg}","number_length":"12"}},{{"number":"_withheld","number_length":""}}],"#,
                r#" "ip":"192.0.0.0","start":"2026-11-05T09:15:00Z","seconds":120, "tags":["x", 1.0e2],"b_country":"GB","rid":"{raw}/0/0"}}"#
            ),
            alice = alice,
            pair = pair,
            leg = leg,
            raw = raw
        ),
        format!(
            r#"{{"start":1793870100000,"b":"{pair}","a":{{"number":"{alice}","number_class":"unknown"}},"id":"j-2","b_country":"GB","rid":"{raw}/0/1/0"}}"#
        ),
        format!(
            r#"{{"start":"2026-11-05T09:15:00Z","a":{{"number":null}},"b":"","id":"j-3","seconds":"0","b_country":"","rid":"{raw}/0/1/1"}}"#
        ),
    ];
    for (record, expected) in ran.public.iter().zip(&expected) {
        assert_eq!(&record.text(), expected);
        assert!(serde_json::from_str::<Value>(&record.text()).is_ok());
    }
    assert_eq!(ran.books, [3, 3, 0, 0, 3]);
    let keys: Vec<_> = ran.public.iter().map(|record| record.key.clone()).collect();
    assert_eq!(
        keys,
        [Some(alice.clone().into_bytes()), Some(alice.into_bytes()), None]
    );
    let fields = opened(&deployment, &deployment.restricted, &ran.restricted[0]).fields();
    let texts: Vec<_> = fields
        .iter()
        .map(|(name, value)| (name.as_str(), std::str::from_utf8(value).unwrap()))
        .collect();
    assert_eq!(
        texts,
        [
            ("b", "\"02079460123\""),
            ("legs[].imsi", "\"234150000000001\""),
            ("legs[].imsi", "null"),
            ("seconds", "125"),
            ("extra", "{\"msisdn\":\"+447700900009\"}"),
        ]
    );
    assert_eq!(
        deployment.open(&deployment.restricted)[0]["fields"],
        json!({"b": "02079460123", "legs[].imsi": ["234150000000001", null], "seconds": 125, "extra": {"msisdn": "+447700900009"}})
    );
}

pub fn json_that_the_policy_does_not_know_is_rejected() {
    let broker = shared();
    let deployment = Deployment::new(broker, 1);
    deployment.policy(&JSON_POLICY.replace("UNLISTED", "reject"));
    let payloads: [(&[u8], &str); 7] = [
        (br#"{"start":1793870130000,"extra":1}"#, "unknown-field"),
        (
            br#"{"start":1793870130000,"a":{"number":"","name":"x"}}"#,
            "unknown-field",
        ),
        (br#"{"start":1793870130000,"id":1,"\u0069d":2}"#, "format"),
        (b"{\"start\":1793870130000,\"id\":\"\xff\"}", "format"),
        (br#"{"start":1793870130000,"id":"cut"#, "format"),
        (br#"{"id":"no start"}"#, "time"),
        (br#"{"start":1793870130000,"a":{"number":true}}"#, "number"),
    ];
    let inputs = payloads.map(|(payload, _)| Input {
        value: Some(payload.to_vec()),
        ..Input::default()
    });
    let ran = run(broker, &deployment, inputs, 7);
    for ((_, reason, raw), (payload, expected)) in ran.rejects(&deployment).iter().zip(payloads) {
        assert_eq!((reason.as_str(), raw.as_slice()), (expected, payload));
    }
    assert_eq!(ran.books, [7, 0, 7, 0, 0]);
}

pub fn json_that_the_policy_does_not_know_is_dropped() {
    let broker = shared();
    let deployment = Deployment::new(broker, 1);
    deployment.policy(&JSON_POLICY.replace("UNLISTED", "drop"));
    let payload = r#"{"x":{"msisdn":"+447700900001"},"start":1793870130000,"legs":[{"who":"+447700900001"},7],"id":"j"}"#;
    let input = Input {
        value: Some(payload.into()),
        ..Input::default()
    };
    let ran = run(broker, &deployment, [input], 1);
    let raw = &deployment.raw;
    assert_eq!(
        ran.public[0].text(),
        format!(r#"{{"start":1793870100000,"legs":[{{}},null],"id":"j","rid":"{raw}/0/0"}}"#)
    );
    assert_eq!(
        opened(&deployment, &deployment.restricted, &ran.restricted[0]).fields(),
        []
    );
}
