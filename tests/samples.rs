//! Formats as real switches and carriers write them, each through `cdrveil apply` with a policy of its
//! own: the public bytes, what opens on the sealed side, and the counts. Invented calls, reserved numbers (their class is "unknown").
#![allow(clippy::unwrap_used)] // a test's unwrap is its assertion

#[path = "samples/hosted.rs"]
mod hosted;
#[path = "samples/presets.rs"]
mod presets;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

/// An identity and its recipient, known to everybody: the pair of `tests/data/seal_vectors.json`.
const IDENTITY: &str = "AGE-SECRET-KEY-1YCADEHERNT3ELW82E7D0VG5J35GTVAFXNMYJGWXU4VQJDQQ67F4QY3FVG8";
const RECIPIENT: &str = "age14um93hups7cmf3ul2cgq5ln5sjweuk69umq0g8l2yeqa8fwxcvlsz8a4q2";

/// The epoch's key: the SHA-256 of "cdrveil tests/samples.rs".
const KEY: &str = "babde77dbb3bb36b3ab0ad8654cad3b8622718bbb5d45be1dcb01df30b9b64d4";

/// What `{name}` stands for in expected lines: tokens computed with Python's hmac and hashlib from
/// `docs/formats.md`, domain "billing", by kind and canonical value.
const TOKENS: [(&str, &str); 18] = [
    ("{ada}", "2025-11.ikgb2zg2yyjkep5vp5osojyqke"), // phone 447700900001
    ("{bob}", "2025-11.ggtchpao6x35koe3ewy7oh5ea4"), // phone 447700900002
    ("{eve}", "2025-11.dvfurqmwi7xf5s6k7qmm3nqvta"), // phone 447700900003
    ("{joe}", "2025-11.3eq4mslsbuz7jnsz7vkooxzsgi"), // phone 14155550101
    ("{sue}", "2025-11.osaiwz3j7j2lvyamf4opz6sa2q"), // phone 14155550102
    ("{imsi}", "2025-11.26kjquyx3jh7vryhrb6iazgvk4"), // imsi 001010123456789
    ("{imei}", "2025-11.pe4i6ue6i47ypm6wgchwihxzau"), // imei 35000000000001
    ("{ip}", "2025-11.b5p4c4kpgferil2wprrpig5yl4"),  // ip 192.0.2.7
    ("{account}", "2025-11.buipritqqqhnm5ag5yjg7yd3nu"), // account 1001
    ("{call}", "2025-11.ghiajpxokegthdpxincoqxuo74"), // call c-1@192.0.2.7
    ("{login}", "2025-11.nhrc3gan77kqhwgnvix4ilj4v4"), // account ada
    ("{leg}", "2025-11.pfoldtm6ttq2xrffpyy5gjg7ai"), // call 202511-c-1@192.0.2.7
    ("{device}", "2025-11.kh46lxd54ww7yjbgz3cf4mbbqm"), // alpha user_x7k2
    ("{client}", "2025-11.kwy2mfscxur3vpzdv7naailjqu"), // alpha client:alice
    ("{extension}", "2025-11.haalwkk2utsr7kmbdoax2jpk5m"), // extension acme/10101
    ("{group}", "2025-11.eas4l4eidxahdb72pcwptpvqvq"), // account Ada, Inc.
    ("{desk}", "2025-11.4txvkysep4g6geye3opuuqul5q"), // alpha Ext.101
    ("{user}", "2025-11.272q3pl62uzjui52hml25var6u"), // alpha ada
];

/// A format: what comes in under which policy, and what must come out.
struct Sample {
    policy: &'static str,
    input: &'static str,
    public: &'static str,
    /// Opened restricted fields, one object a record.
    restricted: &'static [&'static str],
    /// Row and reason of each reject.
    rejected: &'static [(usize, &'static str)],
    /// The line `apply` ends with.
    counts: &'static str,
}

/// Runs the sample and compares every output.
fn holds(sample: &Sample) {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    write_configuration(folder.path(), sample.policy);
    fs::write(at("in"), sample.input).unwrap();
    let outputs = [
        "--public",
        "public",
        "--restricted",
        "restricted",
        "--rejected",
        "rejected",
    ];
    let applied = cdrveil(
        folder.path(),
        &[&["apply", "--config", "cdrveil.toml"], &outputs[..], &["in"]].concat(),
    );
    let told = String::from_utf8(applied.stderr).unwrap();
    assert_eq!(applied.status.code(), Some(0), "{told}");
    assert_eq!(
        told.lines().last().unwrap(),
        format!("cdrveil: {}", sample.counts),
        "{told}"
    );

    let mut expected = sample.public.to_owned();
    for (name, token) in TOKENS {
        expected = expected.replace(name, token);
    }
    assert_eq!(fs::read_to_string(at("public")).unwrap(), expected);

    let restricted: Vec<String> = opened(folder.path(), "restricted")
        .into_iter()
        .map(|line| line["fields"].to_string())
        .collect();
    assert_eq!(restricted, sample.restricted);

    let rows: Vec<&str> = sample.input.split(['\n', '\r']).collect();
    let rejected = opened(folder.path(), "rejected");
    let reasons: Vec<(usize, &str)> = rejected
        .iter()
        .map(|line| {
            let row = line["record_id"].as_str().unwrap().strip_prefix("in/").unwrap();
            (row.parse().unwrap(), line["reason"].as_str().unwrap())
        })
        .collect();
    assert_eq!(reasons, sample.rejected);
    for line in &rejected {
        let raw = line["raw"].as_str().unwrap();
        assert!(rows.contains(&raw), "a reject holds its row as it came");
    }
}

/// Whether `cdrveil learn` recognises the sample's preset in its records, those aside that are rejected rightly,
/// and shows nothing of them.
fn recognised(sample: &Sample) -> bool {
    let quoted = |key: &str| {
        let rest = sample.policy.split_once(key)?.1;
        rest.split('"').nth(1).map(str::to_owned)
    };
    let above: usize = sample
        .counts
        .split(' ')
        .find_map(|count| count.strip_prefix("skipped="))
        .unwrap()
        .parse()
        .unwrap();
    let rejected: Vec<usize> = sample.rejected.iter().map(|(row, _)| row + above).collect();
    let ending = if sample.input.contains('\n') { '\n' } else { '\r' };
    let lines = sample
        .input
        .split_terminator(ending)
        .enumerate()
        .filter(|(at, _)| !rejected.contains(at));
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("in"),
        lines.flat_map(|(_, line)| [line, "\n"]).collect::<String>(),
    )
    .unwrap();
    let mut arguments = vec!["learn".to_owned(), "in".to_owned()];
    arguments.extend(
        quoted("country = ")
            .into_iter()
            .flat_map(|country| ["--country".to_owned(), country]),
    );
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let learnt = cdrveil(folder.path(), &arguments);
    let (draft, told) = (
        String::from_utf8(learnt.stdout).unwrap(),
        String::from_utf8(learnt.stderr).unwrap(),
    );
    for raw in presets::RAW {
        assert!(
            !draft.contains(raw) && !told.contains(raw),
            "{raw}: {draft}{told}"
        );
    }
    // opensips is kamailio under another name.
    let preset = quoted("preset = ").unwrap().replace("opensips", "kamailio");
    if !draft.contains(&format!("preset = \"{preset}\"")) {
        eprintln!("{told}\n{draft}");
    }
    draft.contains(&format!("preset = \"{preset}\""))
}

fn write_configuration(folder: &Path, policy: &str) {
    fs::write(folder.join("key"), format!("{KEY}\n")).unwrap();
    fs::set_permissions(folder.join("key"), fs::Permissions::from_mode(0o400)).unwrap();
    let keyring = "version = 1\n[[key]]\nid = \"2025-11\"\nactivate_at = 2025-11-01T00:00:00Z\n\
                   material = { file = \"key\" }\nkcv = \"aa308501\"\n";
    fs::write(folder.join("keyring.toml"), keyring).unwrap();
    fs::write(folder.join("policy.toml"), policy).unwrap();
    fs::write(folder.join("identity"), format!("{IDENTITY}\n")).unwrap();
    let config = format!(
        "domain = \"billing\"\npolicy = \"policy.toml\"\nkeyring = \"keyring.toml\"\n\
         [kafka]\nbrokers = [\"localhost:9092\"]\ngroup = \"samples\"\n\
         [topics]\nraw = [\"cdr.raw\"]\npublic = \"cdr.billing\"\nrestricted = \"cdr.restricted\"\nrejected = \"cdr.rejected\"\n\
         [seal]\nrecipients = [\"{RECIPIENT}\"]\n"
    );
    fs::write(folder.join("cdrveil.toml"), config).unwrap();
}

fn opened(folder: &Path, file: &str) -> Vec<serde_json::Value> {
    let opened = cdrveil(folder, &["open", "--identity", "identity", file]);
    assert_eq!(
        opened.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&opened.stderr)
    );
    String::from_utf8(opened.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn cdrveil(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cdrveil"))
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap()
}

/// Asterisk's `cdr_custom` writes `"${CLID}"` without escaping, so that a quoted name gives a run of
/// quotes; unanswered calls have `""`, the last column has no quotes. Where a name has a quote in it, readers disagree
/// about where the field ends: the row is refused.
#[test]
fn asterisk_keeps_its_odd_quotes_and_gives_one_token_for_all_spellings() {
    holds(&Sample {
        policy: r#"
[input]
format = "csv"
columns = ["clid", "src", "dst", "channel", "lastapp", "start", "answer", "billsec", "disposition", "uniqueid", "sequence"]
time = { field = "start", format = "%Y-%m-%d %H:%M:%S", zone = "Europe/London" }
[numbers]
country = "GB"
[fields]
clid = "restrict"
src = { action = "pseudonymise", kind = "phone" }
dst = { action = "pseudonymise", kind = "phone" }
channel = "restrict"
lastapp = "keep"
start = "keep"
answer = "keep"
billsec = "keep"
disposition = "keep"
uniqueid = "keep"
sequence = "keep"
"#,
        input: concat!(
            r#""""""Ada"" <07700900001>","07700900001","+447700900002","PJSIP/ada-1","Dial","2025-11-05 09:15:00","2025-11-05 09:15:04","13","ANSWERED","1.2",2"#,
            "\n",
            r#"""""" <447700900001>","447700900001","00447700900002","PJSIP/ada-2","Dial","2025-11-05 09:16:00","","0","NO ANSWER","1.5",4"#,
            "\n",
            r#"""Bo" <x>","anonymous","s","PJSIP/x-3","Dial","2025-11-05 09:17:00","","0","NO ANSWER","1.8",6"#,
            "\n",
            r#"""Ada "Bee" <x>","07700900001","s","PJSIP/x-4","Dial","2025-11-05 09:18:00","","0","NO ANSWER","1.9",7"#,
            "\n",
        ),
        public: concat!(
            r#",{ada},{bob},,"Dial","2025-11-05 09:15:00","2025-11-05 09:15:04","13","ANSWERED","1.2",2,in/0"#,
            "\n",
            r#",{ada},{bob},,"Dial","2025-11-05 09:16:00","","0","NO ANSWER","1.5",4,in/1"#,
            "\n",
            r#",_withheld,_dialplan,,"Dial","2025-11-05 09:17:00","","0","NO ANSWER","1.8",6,in/2"#,
            "\n",
        ),
        restricted: &[
            r#"{"clid":"\"\"Ada\" <07700900001>","channel":"PJSIP/ada-1"}"#,
            r#"{"clid":"\"\" <447700900001>","channel":"PJSIP/ada-2"}"#,
            r#"{"clid":"Bo\" <x>\"","channel":"PJSIP/x-3"}"#,
        ],
        rejected: &[(3, "format")],
        counts: "in=4 public=3 rejected=1 skipped=0 restricted=3",
    });
}

/// FreeSWITCH's `mod_cdr_csv`, saved again by a spreadsheet: no quotes, no seconds, no zeros in front.
#[test]
fn freeswitch_template_saved_by_a_spreadsheet_is_read() {
    holds(&Sample {
        policy: r#"
[input]
format = "csv"
columns = ["name", "caller", "called", "start", "seconds", "cause", "account"]
time = { field = "start", format = "%Y/%m/%d %H:%M", zone = "Europe/London" }
[numbers]
country = "GB"
idd = ["00", "000"]
strip = ["141", "9,"]
[fields]
name = "drop"
caller = { action = "pseudonymise", kind = "phone" }
called = { action = "pseudonymise", kind = "phone", derive = ["class", "country", "length"] }
start = "keep"
seconds = "keep"
cause = "keep"
account = { action = "pseudonymise", kind = "account" }
"#,
        input: "Outbound Call,07700900001,000447700900002,2025/11/5 9:15,11,NORMAL_CLEARING,1001\n\
                ,14107700900001,\"9,07700900002\",2025/11/5 9:16,0,NO_USER_RESPONSE,\n\
                ,0,&,2025/11/5 9:17,2,NO_USER_RESPONSE,\n\
                ,,+44 7700 900-002,2025/11/5 9:18,2,NORMAL_CLEARING,1001\n",
        public: ",{ada},{bob},2025/11/5 9:15,11,NORMAL_CLEARING,{account},unknown,GB,12,in/0\n\
                 ,{ada},{bob},2025/11/5 9:16,0,NO_USER_RESPONSE,,unknown,GB,12,in/1\n\
                 ,,{bob},2025/11/5 9:18,2,NORMAL_CLEARING,{account},unknown,GB,12,in/3\n",
        restricted: &[],
        rejected: &[(2, "number")],
        counts: "in=4 public=3 rejected=1 skipped=0 restricted=0",
    });
}

/// Kamailio's `db_flatstore`: pipes, no quoting at all, seconds since 1970, and BYE rows without parties.
#[test]
fn kamailio_rows_without_parties_stay_without_and_quotes_are_bytes() {
    holds(&Sample {
        policy: r#"
[input]
format = "csv"
delimiter = "|"
quote = ""
columns = ["method", "callid", "code", "time", "caller", "called", "dialog", "tail"]
time = { field = "time", format = "unix" }
[numbers]
country = "GB"
[output]
key = "caller"
[fields]
method = "keep"
callid = { action = "pseudonymise", kind = "call" }
code = "keep"
time = "keep"
caller = { action = "pseudonymise", kind = "phone" }
called = { action = "pseudonymise", kind = "phone" }
dialog = "keep"
tail = "keep"
"#,
        input: "INVITE|c-1@192.0.2.7|200|1762333200|sip:+447700900001@192.0.2.7:5060;transport=UDP|tel:07700900002|3401:2069|flatstore\"1.0\n\
                BYE|c-1@192.0.2.7|200|1762333260|||3401:2069|flatstore\"1.0\n\
                INVITE|c-1@192.0.2.7|200||+447700900001|+447700900002|3401:2069|flatstore\"1.0\n\
                BYE|c-1@192.0.2.7|200|1762333260|||3401:2069\n",
        public: "INVITE|{call}|200|1762333200|{ada}|{bob}|3401:2069|flatstore\"1.0|in/0\n\
                 BYE|{call}|200|1762333260|||3401:2069|flatstore\"1.0|in/1\n",
        restricted: &[],
        rejected: &[(2, "time"), (3, "columns")],
        counts: "in=4 public=2 rejected=2 skipped=0 restricted=0",
    });
}

/// CGRateS exports: semicolons, `#` in front of rows that do not count, Go's way to write a time.
#[test]
fn cgrates_comment_rows_are_skipped_and_go_times_read() {
    holds(&Sample {
        policy: r##"
[input]
format = "csv"
delimiter = ";"
comment = "#"
columns = ["id", "tor", "account", "destination", "setup", "usage", "cost", "extra"]
time = { field = "setup", format = "%Y-%m-%d %H:%M:%S %z UTC" }
[numbers]
country = "GB"
[fields]
id = "keep"
tor = "keep"
account = { action = "pseudonymise", kind = "account" }
destination = { action = "pseudonymise", kind = "phone", derive = ["class"] }
setup = "keep"
usage = "keep"
cost = "keep"
extra = "keep"
"##,
        input: "a1;*voice;1001;07700900001;2025-11-05 08:42:25 +0000 UTC;10s;1.0100;\"\"\n\
                #a2;*voice;1001;07700900001;2025-11-05 08:42:25 +0000 UTC;10s;1.0100;\"\"\n\
                a3;*voice;1001;+447700900001;2025-11-05 08:42:25 +0000 UTC;10s;1.0100;\"x;y\"\n\
                a4;*voice;1001;+447700900001;2025-10-31 23:59:59 +0000 UTC;10s;1.0100;\n",
        public: "a1;*voice;{account};{ada};2025-11-05 08:42:25 +0000 UTC;10s;1.0100;\"\";unknown;in/0\n\
                 a3;*voice;{account};{ada};2025-11-05 08:42:25 +0000 UTC;10s;1.0100;\"x;y\";unknown;in/1\n",
        restricted: &[],
        rejected: &[(2, "epoch-too-old")],
        counts: "in=4 public=2 rejected=1 skipped=1 restricted=0",
    });
}

/// jBilling's Asterisk rows: compact times, a caller id with a name, the customer's login at the end.
#[test]
fn jbilling_caller_id_with_a_name_is_the_number_in_it() {
    holds(&Sample {
        policy: r#"
[input]
format = "csv"
columns = ["id", "src", "dst", "clid", "channel", "start", "seconds", "user"]
time = { field = "start", format = "%Y%m%d-%H%M%S", zone = "America/Vancouver" }
[numbers]
country = "US"
bare = "national"
[fields]
id = "keep"
src = { action = "pseudonymise", kind = "phone" }
dst = { action = "pseudonymise", kind = "phone", derive = ["country"] }
clid = { action = "pseudonymise", kind = "phone" }
channel = "restrict"
start = "keep"
seconds = "keep"
user = { action = "pseudonymise", kind = "account" }
"#,
        input: "01,4155550101,4155550102,Ada L <415-555-0101>,IAX2/0415-13,20251105-114011,300,ada\n\
                02,4155550101,011447700900001,\"L, Ada <14155550101>\",IAX2/0415-14,20251131-114011,300,ada\n\
                03,4155550101,011447700900001,\"L, Ada <14155550101>\",IAX2/0415-15,20251130-235959,300,ada\n",
        public: "01,{joe},{sue},{joe},,20251105-114011,300,{login},US,in/0\n\
                 03,{joe},{ada},{joe},,20251130-235959,300,{login},GB,in/2\n",
        restricted: &[r#"{"channel":"IAX2/0415-13"}"#, r#"{"channel":"IAX2/0415-15"}"#],
        rejected: &[(1, "time")],
        counts: "in=3 public=2 rejected=1 skipped=0 restricted=2",
    });
}

/// A mobile core's export: national numbers without the trunk 0, a subscriber's number twice, device and
/// cell. An IMEI has 14 digits that count; one of 13 is no IMEI.
#[test]
fn mobile_export_gives_one_token_for_every_imei_form_and_refuses_a_short_one() {
    holds(&Sample {
        policy: r#"
[input]
format = "csv"
header = "check"
columns = ["a_party", "b_party", "start", "seconds", "msisdn", "imsi", "imei", "cell", "lat"]
time = { field = "start", format = "%m/%d/%Y %H:%M", zone = "Europe/London" }
[numbers]
country = "GB"
bare = "national"
[fields]
a_party = { action = "pseudonymise", kind = "phone" }
b_party = { action = "pseudonymise", kind = "phone" }
start = "keep"
seconds = "keep"
msisdn = { action = "pseudonymise", kind = "phone" }
imsi = { action = "pseudonymise", kind = "imsi" }
imei = { action = "pseudonymise", kind = "imei" }
cell = "restrict"
lat = "restrict"
"#,
        input: "a_party,b_party,start,seconds,msisdn,imsi,imei,cell,lat\n\
                7700900001,7700900002,11/5/2025 0:05,252,7700900001,001010123456789,35-000000-000001-3,C1,51.5\n\
                7700900001,7700900003,11/5/2025 0:10,0,447700900001,001010123456789,3500000000000199,C1,51.5\n\
                7700900001,7700900003,11/5/2025 0:15,0,7700900001,001010123456789,3500000000000,C1,51.5\n",
        public: "a_party,b_party,start,seconds,msisdn,imsi,imei,cell,lat,record_id\n\
                 {ada},{bob},11/5/2025 0:05,252,{ada},{imsi},{imei},,,in/0\n\
                 {ada},{eve},11/5/2025 0:10,0,{ada},{imsi},{imei},,,in/1\n",
        restricted: &[r#"{"cell":"C1","lat":"51.5"}"#, r#"{"cell":"C1","lat":"51.5"}"#],
        rejected: &[(2, "number")],
        counts: "in=4 public=2 rejected=1 skipped=1 restricted=2",
    });
}

/// Two rows that a switch glued together: which bytes belong to which call cannot be known.
#[test]
fn rows_glued_together_are_rejected_as_one() {
    holds(&Sample {
        policy: r#"
[input]
format = "csv"
columns = ["src", "dst", "start", "cost", "flag"]
time = { field = "start", format = "%d.%m.%Y %H:%M:%S", zone = "Europe/London" }
[numbers]
country = "GB"
bare = "international"
[fields]
src = { action = "pseudonymise", kind = "phone" }
dst = { action = "pseudonymise", kind = "phone" }
start = "keep"
cost = "keep"
flag = "keep"
"#,
        input: "447700900001,00447700900002,05.11.2025 18:58:55,0.014560,complete\n\
                447700900001,00447700900002,05.11.2025 18:59:55,0.014560,partial447700900002,00447700900001,05.11.2025 19:00:55,0.0,partial\n",
        public: "{ada},{bob},05.11.2025 18:58:55,0.014560,complete,in/0\n",
        restricted: &[],
        rejected: &[(1, "columns")],
        counts: "in=2 public=1 rejected=1 skipped=0 restricted=0",
    });
}

/// Twilio's call resource: the number twice, once as people write it; words and keypad words for a
/// withheld one; e-mail dates. Everything around changed members keeps its bytes.
#[test]
fn twilio_formatted_numbers_and_keypad_words_are_numbers_too() {
    holds(&Sample {
        policy: r#"
[input]
format = "json"
time = { field = "start_time", format = "rfc2822" }
[numbers]
country = "US"
bare = "national"
[output]
key = "from"
[fields]
sid = "keep"
from = { action = "pseudonymise", kind = "phone", escrow = true }
from_formatted = { action = "pseudonymise", kind = "phone" }
to = { action = "pseudonymise", kind = "phone", derive = ["country", "length"] }
forwarded_from = { action = "pseudonymise", kind = "phone" }
caller_name = "restrict"
duration = "keep"
price = "keep"
start_time = "keep"
uri = "drop"
"#,
        input: r#"{
 "sid": "CA1",
 "from": "+14155550101",
 "from_formatted": "(415) 555-0101",
 "to": "+14155550102",
 "forwarded_from": "calledvia",
 "caller_name": "ADA \u00e9",
 "duration": "4",
 "price": -0.200,
 "start_time": "Wed, 05 Nov 2025 17:02:00 +0000",
 "uri": "/2010-04-01/Accounts/AC1"
}
{"sid":"CA2","from":"+266696687","from_formatted":"Anonymous","to":"+1 (415) 555-0102","forwarded_from":null,"duration":"4","start_time":"Wed, 05 Nov 2025 17:02:00 +0000"}
"#,
        public: r#"{
 "sid": "CA1",
 "from": "{joe}",
 "from_formatted": "{joe}",
 "to": "{sue}",
 "forwarded_from": "_alpha",
 "duration": "4",
 "price": -0.200,
 "start_time": "Wed, 05 Nov 2025 17:02:00 +0000","to_country":"US","to_length":"11","record_id":"in/0"
}
{"sid":"CA2","from":"_withheld","from_formatted":"_withheld","to":"{sue}","forwarded_from":null,"duration":"4","start_time":"Wed, 05 Nov 2025 17:02:00 +0000","to_country":"US","to_length":"11","record_id":"in/1"}
"#,
        restricted: &[
            r#"{"from":"+14155550101","caller_name":"ADA é"}"#,
            r#"{"from":"+266696687"}"#,
        ],
        rejected: &[],
        counts: "in=2 public=2 rejected=0 skipped=0 restricted=2",
    });
}

/// Plivo's list, its calls taken out of the wrapping: `+` on one side only, local time with an offset.
#[test]
fn plivo_list_with_and_without_plus_gives_one_token() {
    holds(&Sample {
        policy: r#"
[input]
format = "json"
unlisted = "drop"
time = { field = "initiation_time", format = ["%Y-%m-%d %H:%M:%S%:z", "rfc3339"] }
[numbers]
country = "US"
bare = "international"
[fields]
call_uuid = "keep"
from_number = { action = "pseudonymise", kind = "phone" }
to_number = { action = "pseudonymise", kind = "phone" }
billed_duration = "keep"
initiation_time = "keep"
answer_time = "keep"
"#,
        input: r#"[{"call_uuid":"u1","from_number":"+14155550101","to_number":"14155550102","billed_duration":960,"initiation_time":"2025-11-05 15:44:49+05:30","answer_time":null,"resource_uri":"/v1/Account/MA1/"},
  {"call_uuid":"u2","from_number":"14155550102","to_number":"+14155550101","billed_duration":0,"initiation_time":"2025-11-05T10:14:49Z"}]
"#,
        public: r#"{"call_uuid":"u1","from_number":"{joe}","to_number":"{sue}","billed_duration":960,"initiation_time":"2025-11-05 15:44:49+05:30","answer_time":null,"record_id":"in/0"}
{"call_uuid":"u2","from_number":"{sue}","to_number":"{joe}","billed_duration":0,"initiation_time":"2025-11-05T10:14:49Z","record_id":"in/1"}
"#,
        restricted: &[],
        rejected: &[],
        counts: "in=2 public=2 rejected=0 skipped=0 restricted=0",
    });
}

/// FreeSWITCH's `mod_json_cdr`: hundreds of variables, a caller in each of them; only what is named passes.
#[test]
fn freeswitch_json_passes_only_what_is_named_down_to_lists_in_lists() {
    holds(&Sample {
        policy: r#"
[input]
format = "json"
unlisted = "restrict"
time = { field = "variables.start_uepoch", format = "unix_us" }
[numbers]
country = "GB"
[output]
key = "variables.sip_from_user"
[fields]
core-uuid = "keep"
"variables.sip_from_user" = { action = "pseudonymise", kind = "phone", derive = ["class"] }
"variables.sip_full_from" = { action = "pseudonymise", kind = "phone" }
"variables.sip_network_ip" = { action = "pseudonymise", kind = "ip" }
"variables.start_uepoch" = "keep"
"variables.billsec" = "keep"
"callflow[].times.created_time" = "keep"
"callflow[].caller_profile.destination_number" = { action = "pseudonymise", kind = "phone" }
"callflow[].caller_profile.originatee.profiles[].destination_number" = { action = "pseudonymise", kind = "phone" }
"#,
        input: r#"{"core-uuid":"e1",
	"variables": {"sip_from_user": "07700900001", "sip_full_from": "\"Ada\" <sip:+447700900001@192.0.2.7:5060>;tag=f2",
		"sip_network_ip": "::ffff:192.0.2.7", "switch_m_sdp": "o=ada 0 0 IN IP4 192.0.2.7\r\n", "start_uepoch": "1762333200534355", "billsec": "68"},
	"callflow": [{"caller_profile": {"ani": "07700900001", "destination_number": "07700900002", "originatee": {"profiles": [{"destination_number": "00447700900002"}, {"destination_number": "112"}]}}, "times": {"created_time": "1762333200534355"}},
		{"caller_profile": {"destination_number": "+447700900003"}, "times": {}}]
}
"#,
        public: r#"{"core-uuid":"e1",
	"variables": {"sip_from_user": "{ada}","sip_from_user_class":"unknown", "sip_full_from": "{ada}",
		"sip_network_ip": "{ip}", "start_uepoch": "1762333200534355", "billsec": "68"},
	"callflow": [{"caller_profile": { "destination_number": "{bob}", "originatee": {"profiles": [{"destination_number": "{bob}"}, {"destination_number": "_emergency"}]}}, "times": {"created_time": "1762333200534355"}},
		{"caller_profile": {"destination_number": "{eve}"}, "times": {}}],"record_id":"in/0"
}
"#,
        restricted: &[
            r#"{"variables.switch_m_sdp":"o=ada 0 0 IN IP4 192.0.2.7\r\n","callflow[].caller_profile.ani":"07700900001"}"#,
        ],
        rejected: &[],
        counts: "in=1 public=1 rejected=0 skipped=0 restricted=1",
    });
}

/// Teams' call log: direct routing masks numbers itself, the call id holds a gateway's address, seconds
/// have seven decimals.
#[test]
fn teams_masked_numbers_become_a_label_and_nobodys_token() {
    holds(&Sample {
        policy: r#"
[input]
format = "json"
unlisted = "drop"
time = { field = "startDateTime", format = "rfc3339" }
[numbers]
country = "GB"
[fields]
id = "keep"
callId = { action = "pseudonymise", kind = "call" }
userPrincipalName = "restrict"
startDateTime = "keep"
duration = "keep"
charge = "keep"
calleeNumber = { action = "pseudonymise", kind = "phone", derive = ["class"] }
callerNumber = { action = "pseudonymise", kind = "phone" }
"#,
        input: r#"{"id":"t1","callId":"c-1@192.0.2.7","userPrincipalName":"ada@example.com","userDisplayName":"Ada","startDateTime":"2025-11-05T00:00:08.2589935Z","duration":219,"charge":0.00,"calleeNumber":"+44770090****","callerNumber":"+447700900001"}
{"id":"t2","callId":"c-1@192.0.2.7","userPrincipalName":"ada@example.com","startDateTime":"2025-11-05T00:00:08.2589935Z","duration":219,"charge":0.00,"calleeNumber":"+012345","callerNumber":"+447700900001"}
{"id":"t3","callId":"c-1@192.0.2.7","callId":"c-2","startDateTime":"2025-11-05T00:00:08Z"}
"#,
        public: r#"{"id":"t1","callId":"{call}","startDateTime":"2025-11-05T00:00:08.2589935Z","duration":219,"charge":0.00,"calleeNumber":"_masked","callerNumber":"{ada}","calleeNumber_class":"masked","record_id":"in/0"}
"#,
        restricted: &[r#"{"userPrincipalName":"ada@example.com"}"#],
        rejected: &[(1, "number"), (2, "format")],
        counts: "in=3 public=1 rejected=2 skipped=0 restricted=1",
    });
}

/// `apply` says what it refused and where, and starts nothing that would end badly.
#[test]
fn apply_names_reasons_and_refuses_files_that_cannot_go_together() {
    let folder = tempfile::tempdir().unwrap();
    let policy = "[input]\nformat = \"csv\"\ncolumns = [\"start\", \"imei\"]\n\
                  time = { field = \"start\", format = \"unix\" }\n\
                  [fields]\nstart = \"keep\"\nimei = { action = \"pseudonymise\", kind = \"imei\" }\n";
    write_configuration(folder.path(), policy);
    let input = "1762333200,350000000000013\n1762333200,3500\n1762333200,3501\n,350000000000013\n";
    fs::write(folder.path().join("in"), input).unwrap();
    fs::create_dir(folder.path().join("b")).unwrap();
    fs::write(folder.path().join("b/in"), input).unwrap();
    let apply = |public: &str, rest: &[&str]| {
        let base = [
            "apply",
            "--config",
            "cdrveil.toml",
            "--restricted",
            "restricted",
            "--rejected",
            "rejected",
            "--public",
            public,
        ];
        let done = cdrveil(folder.path(), &[&base[..], rest].concat());
        (done.status.code(), String::from_utf8(done.stderr).unwrap())
    };
    for (public, rest, code, message) in [
        ("public", &["in", "b/in"][..], 64, "have the same base name"),
        (
            "rejected",
            &["in"],
            64,
            "--public and --rejected are the same file",
        ),
        ("in", &["--force", "b/../in"], 64, "is an input file"),
        ("public", &["none"], 70, "none: No such file"),
    ] {
        let (exit, told) = apply(public, rest);
        assert_eq!(exit, Some(code), "{told}");
        assert!(told.contains(message), "{told}");
        assert!(!folder.path().join("public").exists(), "nothing was begun");
    }
    assert_eq!(fs::read_to_string(folder.path().join("in")).unwrap(), input);
    let (exit, told) = apply("public", &["in"]);
    assert_eq!(exit, Some(0), "{told}");
    assert_eq!(
        told,
        "cdrveil: rejected 2: number at field \"imei\"\ncdrveil: rejected 1: time at field \"start\"\n\
         cdrveil: in=4 public=1 rejected=3 skipped=0 restricted=0\n"
    );
    let (exit, told) = apply("public", &["in"]);
    assert_eq!(exit, Some(70), "{told}");
    assert!(
        told.contains("public exists: name another file, or --force"),
        "{told}"
    );
}
