//! Look-alike call records, and an engine for them: what benches and the allocation test share.
//!
//! Numbers are from the ranges kept for drama (Ofcom's +44 7700 900xxx and 020 7946 0xxx, 555-01xx of
//! North America) and test networks (MCC 001); nobody has them.

#![allow(dead_code)] // every user has its own part of this
#![allow(clippy::unwrap_used)] // known-good constants

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use cdrveil::cdr::policy::Policy;
use cdrveil::cdr::rating::{Lists, Rating};
use cdrveil::engine::{Destinations, Engine};
use cdrveil::number::deck::{DeckBuilder, DeckRow};
use cdrveil::pseudonym::epoch::EventTime;
use cdrveil::pseudonym::keyring::{KeyEntry, Keyring, Status};
use cdrveil::pseudonym::list::{ListKey, NumberSet, NumberWords};
use cdrveil::pseudonym::mac::EpochKey;
use cdrveil::seal::opener::Opener;
use cdrveil::seal::recipient::Recipients;
use cdrveil::settings::Source;

/// Two pseudonyms, one of them pairwise; three fields restricted; record id and key written.
pub const CSV_POLICY: &str = r#"
[input]
format = "csv"
columns = ["id", "type", "caller", "called", "imsi", "imei", "cell", "start", "seconds", "cause", "trunk"]
time = { field = "start", format = "%Y-%m-%d %H:%M:%S", zone = "Europe/London" }
[numbers]
country = "GB"
[output]
key = "caller"
[fields]
id = "keep"
type = "keep"
caller = { action = "pseudonymise", kind = "phone", scope = "domain" }
called = { action = "pseudonymise", kind = "phone", scope = "pairwise", with = "caller" }
imsi = "restrict"
imei = "restrict"
cell = "restrict"
start = "keep"
seconds = "keep"
cause = "keep"
trunk = "keep"
"#;

/// The same for nested JSON.
pub const JSON_POLICY: &str = r#"
[input]
format = "json"
time = { field = "start", format = "rfc3339" }
[numbers]
country = "GB"
[output]
key = "caller.number"
[fields]
id = "keep"
type = "keep"
"caller.number" = { action = "pseudonymise", kind = "phone", scope = "domain" }
"caller.imsi" = "restrict"
"caller.imei" = "restrict"
"called.number" = { action = "pseudonymise", kind = "phone", scope = "pairwise", with = "caller.number" }
"legs[].cell" = "restrict"
"legs[].seconds" = "keep"
start = "keep"
seconds = "keep"
cause = "keep"
"#;

/// [`CSV_POLICY`] with everything derived from the called number.
pub fn rated_policy() -> Arc<Policy> {
    let derive = "derive = [\"destination\", \"prefix\", \"zone\", \"class\", \"country\", \"length\", \"onnet\", \"payer\", \"network\"]";
    let text = CSV_POLICY
        .replace("with = \"caller\"", &format!("with = \"caller\", {derive}"))
        .replace(
            "country = \"GB\"",
            "country = \"GB\"\ndeck = \"d\"\nown = \"o\"\npayers = \"y\"\nports = \"p\"",
        );
    let mut policy = parsed(&text);
    policy.rating = Arc::new(rating(&deck_keys(1_000)));
    Arc::new(policy)
}

/// A deck of these keys and a few service codes, and lists with every third number of the records.
pub fn rating(keys: &[String]) -> Rating {
    let mut builder = DeckBuilder::new(1_000);
    let services = ["999", "118118"].map(str::to_owned);
    for (at, key) in keys.iter().chain(&services).enumerate() {
        let zone = format!("ZONE-{}", at % 100);
        let row = DeckRow {
            key,
            zone: &zone,
            class: None,
            from: None,
            to: None,
        };
        builder.add(&row).unwrap();
    }
    let key = ListKey::new(vec![3; 32]).unwrap();
    let (mut own, mut payers, mut ports) =
        (NumberSet::default(), NumberSet::default(), NumberWords::default());
    for at in (0..1_000).step_by(3) {
        let tag = key.tag(format!("447700900{at:03}").as_bytes());
        own.add(tag);
        payers.add(tag);
        ports.add(tag, "23415");
    }
    Rating {
        deck: Some(builder.finish().unwrap()),
        lists: Some(Lists {
            key,
            own: Some(own),
            payers: Some(payers),
            ports: Some(ports),
        }),
        listed: None,
        ..Rating::default()
    }
}

/// So many different keys of 1 to 9 digits, and those that the records' numbers begin with.
pub fn deck_keys(count: usize) -> Vec<String> {
    let ours = ["+44", "+447", "+44770090", "+4420", "+1", "+1415", "+1415555"];
    let mut keys: BTreeSet<String> = ours.map(str::to_owned).into();
    let mut random = 7_u64;
    while keys.len() < count {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let digits = 5 + (random >> 60) as u32 % 5;
        let lowest = 10_u64.pow(digits - 1);
        keys.insert(format!("+{}", lowest + (random >> 20) % (9 * lowest)));
    }
    keys.into_iter().collect()
}

/// 2026-11-30T00:00:00Z: no record below begins later.
pub const TIMESTAMP: i64 = 1_795_996_800_000;
/// `<topic>/<partition>/<offset>`, as a lane names a record.
pub const RECORD_ID: &[u8] = b"cdr.raw/3/18293104";

/// A CSV record of about 150 bytes.
pub fn csv(at: usize) -> Vec<u8> {
    let (caller, dialled) = numbers(at);
    let (day, hour, minute, second) = when(at);
    format!(
        "{},voice,{caller},{dialled},00101{:010},35209900{:06}0,001-01-2041-{:05},\
         2026-11-{day:02} {hour:02}:{minute:02}:{second:02},{},16,LON{}",
        id(at),
        at % 10_000_000,
        at % 1_000_000,
        at % 65_536,
        at % 3_600,
        at % 9,
    )
    .into_bytes()
}

/// The same call as a JSON object of about 300 bytes.
pub fn json(at: usize) -> Vec<u8> {
    let (caller, dialled) = numbers(at);
    let (day, hour, minute, second) = when(at);
    format!(
        r#"{{"id":"{}","type":"voice","caller":{{"number":"{caller}","imsi":"00101{:010}","imei":"35209900{:06}0"}},"called":{{"number":"{dialled}"}},"legs":[{{"cell":"001-01-2041-{:05}","seconds":{}}}],"start":"2026-11-{day:02}T{hour:02}:{minute:02}:{second:02}Z","seconds":{},"cause":16}}"#,
        id(at),
        at % 10_000_000,
        at % 1_000_000,
        at % 65_536,
        at % 3_600,
        at % 3_600,
    )
    .into_bytes()
}

/// An Asterisk `cdr_csv` row of about 300 bytes, for the preset.
pub fn asterisk(at: usize) -> Vec<u8> {
    let (caller, dialled) = numbers(at);
    let (day, hour, minute, second) = when(at);
    let time = |later: usize| {
        format!(
            "2026-11-{day:02} {hour:02}:{minute:02}:{:02}",
            (second + later).min(59)
        )
    };
    let (start, answer, end) = (time(0), time(4), time(17));
    let call = format!("{}.{}", 1_794_000_000 + at, at % 97);
    format!(
        r#""acme-{:02}","{caller}","{dialled}","from-internal","""Desk {:03}"" <{caller}>","PJSIP/{caller}-{:08x}","PJSIP/trunk-{:08x}","Dial","PJSIP/{dialled}@trunk,60","{start}","{answer}","{end}",17,13,"ANSWERED","DOCUMENTATION","{call}","","","{call}",{at}"#,
        at % 50,
        at % 1_000,
        at,
        at + 1,
    )
    .into_bytes()
}

pub const ASTERISK_POLICY: &str = r#"
preset = "asterisk"
[input]
time.zone = "Europe/London"
[numbers]
country = "GB"
"#;

/// A `mod_json_cdr` object of some 4 KB: numbers in many variables, in the application log and in the call flow.
pub fn freeswitch_json(at: usize) -> Vec<u8> {
    let (caller, dialled) = (numbers(at).0, numbers(at).1.replace(' ', ""));
    let start = TIMESTAMP / 1_000 - 86_400 + (at as i64 % 80_000);
    let uuid = id(at);
    let header = |name| {
        let (edge, port) = (at % 17, 5060 + name);
        format!(r#","sip_h_X-Trunk-{name}":"edge-{edge:02}.example.com:{port}""#)
    };
    let more: String = (0..60).map(header).collect();
    let profile = format!(
        r#"{{"username":"{caller}","dialplan":"XML","caller_id_name":"Desk {:03}","caller_id_number":"{caller}","network_addr":"192.0.2.{}","destination_number":"{dialled}","uuid":"{uuid}","source":"mod_sofia","context":"public","chan_name":"sofia/internal/{caller}@192.0.2.7"}}"#,
        at % 1_000,
        at % 250,
    );
    format!(
        r#"{{"core-uuid":"{uuid}","switchname":"sw1","channel_data":{{"state":"CS_REPORTING","direction":"inbound","state_number":"11"}},"variables":{{"direction":"inbound","uuid":"{uuid}","sip_from_user":"{caller}","sip_from_uri":"{caller}@192.0.2.7","sip_to_user":"{dialled}","sip_req_user":"{dialled}","sip_req_uri":"{dialled}@192.0.2.1:5060","user_name":"acme{:02}","accountcode":"acme{:02}","channel_name":"sofia/internal/{caller}@192.0.2.7","hangup_cause":"NORMAL_CLEARING","start_epoch":"{start}","answer_epoch":"{}","end_epoch":"{}","duration":"17","billsec":"13","billmsec":"13020","mduration":"17040"{more}}},"app_log":{{"applications":[{{"app_name":"set","app_data":"hangup_after_bridge=true","app_stamp":"{start}000000"}},{{"app_name":"bridge","app_data":"sofia/gateway/trunk/{dialled}","app_stamp":"{start}000001"}}]}},"callflow":[{{"dialplan":"XML","profile_index":"1","caller_profile":{profile}}},{{"dialplan":"XML","profile_index":"2","caller_profile":{profile}}}]}}"#,
        at % 50,
        at % 50,
        start + 4,
        start + 17,
    )
    .into_bytes()
}

pub const FREESWITCH_JSON_POLICY: &str = r#"
preset = "freeswitch-json"
[numbers]
country = "GB"
"#;

/// A call id as switches draw them: no two alike, and no zeros in a row but by chance.
fn id(at: usize) -> String {
    let drawn = (at as u128 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    let hex = format!("{:032x}", drawn ^ drawn >> 61);
    let parts = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
    parts.join("-")
}

/// Day, hour, minute, second: calls come in about in order, some of them hours late.
fn when(at: usize) -> (usize, usize, usize, usize) {
    let second = at / 4 + if at % 50 == 49 { 0 } else { 7_200 };
    (
        14 + second / 86_400 % 14,
        second / 3_600 % 24,
        second / 60 % 60,
        second % 60,
    )
}

/// Caller and called party, in the spellings that stand side by side in real files.
fn numbers(at: usize) -> (String, String) {
    let mobile = at * 37 % 1_000;
    let caller = match at % 3 {
        0 => format!("+447700900{mobile:03}"),
        1 => format!("07700900{mobile:03}"),
        _ => format!("00447700900{mobile:03}"),
    };
    let dialled = match at % 4 {
        0 => format!("+44207946{:04}", at * 11 % 1_000),
        1 => format!("0207946{:04}", at * 11 % 1_000),
        2 => format!("+1415555{:04}", 100 + at * 13 % 100),
        _ => format!("07700 900{:03}", at * 53 % 1_000),
    };
    (caller, dialled)
}

/// One key, from November 2026 on.
pub fn keyring() -> Arc<Keyring> {
    let entry = KeyEntry {
        id: "2026-11".parse().unwrap(),
        activate_at: EventTime::from_millis(1_793_491_200_000),
        status: Status::Enabled,
        kcv: None,
        key: Some(EpochKey::new((0..32).collect()).unwrap()),
    };
    Arc::new(Keyring::new(vec![entry]).unwrap())
}

pub fn policy(text: &str) -> Arc<Policy> {
    Arc::new(parsed(text))
}

fn parsed(text: &str) -> Policy {
    let source = Source {
        path: PathBuf::from("policy.toml"),
        text: text.to_owned(),
    };
    Policy::load(&source).unwrap_or_else(|faults| panic!("{faults:?}"))
}

/// Somebody who may open what is sealed.
pub fn recipients() -> Recipients {
    let (_, recipient) = Opener::new_identity();
    Recipients::parse(&[recipient]).unwrap()
}

pub fn engine(policy_text: &str) -> Engine {
    engine_of(policy(policy_text))
}

pub fn engine_of(policy: Arc<Policy>) -> Engine {
    let destinations = Destinations {
        domain: "billing".to_owned(),
        restricted: "cdr.restricted".to_owned(),
        rejected: "cdr.rejected".to_owned(),
    };
    Engine::new(policy, keyring(), &destinations, &recipients()).unwrap()
}
