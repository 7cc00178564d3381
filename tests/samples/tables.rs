//! CSV, in every dialect that was seen.

use crate::{Sample, holds};

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
