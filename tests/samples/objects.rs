//! JSON: resources, lists of them, trees of variables.

use crate::{Sample, holds};

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
