//! The presets, each on calls that look like its system's: the public bytes, and that no identifier is in them.
#![allow(clippy::needless_raw_string_hashes)] // one spelling for all the calls below

use super::{Sample, holds, recognised};

/// What the calls below hold of persons, places and machines: none of it may be public.
pub const RAW: [&str; 16] = [
    "7700900001",
    "7700900002",
    "7700900003",
    "4155550101",
    "4155550102",
    "192.0.2",
    "Joe",
    "Ada",
    "example.com",
    "2907",
    "001010123456789",
    "35000000000001",
    "CELL_1",
    "51.5",
    "SEP",
    "119668928",
];

pub(super) fn preset(sample: &Sample) {
    for raw in RAW {
        assert!(!sample.public.contains(raw), "{raw}");
    }
    holds(sample);
    assert!(
        recognised(sample),
        "learn does not see the preset in\n{}",
        sample.input
    );
}

/// Asterisk: an answered call of 21 columns, an unanswered one of 16, one with a name in the dialled number's place, and one too short.
#[test]
fn asterisk_rows_of_16_to_21_columns_append_at_one_place() {
    preset(&Sample {
        policy: r#"preset = "asterisk"
[input]
time.zone = "Europe/London"
[numbers]
country = "GB"
"#,
        input: r#""1001","07700900001","+447700900002","from-ada","""Ada"" <07700900001>","PJSIP/07700900001-01","SIP/t-02","Dial","PJSIP/447700900002@t,60","2025-11-05 09:15:00","2025-11-05 09:15:04","2025-11-05 09:15:17",17,13,"ANSWERED","DOCUMENTATION","c-1@192.0.2.7","call 07700900002 back","","c-1@192.0.2.7",2
"","anonymous","00447700900002","default","anonymous","SIP/x-3","","Dial","","2025-11-05 09:16:00",,"2025-11-05 09:16:09",9,0,"NO ANSWER","DOCUMENTATION"
"","07700900001","s","default","","SIP/x-3","","Dial","","2025-11-05 09:17:00",,"2025-11-05 09:17:09",9,0,"BUSY"
"#,
        public: r#"{account},{ada},{bob},,,,,"Dial",,"2025-11-05 09:15:00","2025-11-05 09:15:04","2025-11-05 09:15:17",17,13,"ANSWERED","DOCUMENTATION",{call},,,{call},2,unknown,GB,in/0
,_withheld,{bob},,,,,"Dial",,"2025-11-05 09:16:00",,"2025-11-05 09:16:09",9,0,"NO ANSWER","DOCUMENTATION",,,,,,unknown,GB,in/1
"#,
        restricted: &[
            r#"{"dcontext":"from-ada","clid":"\"Ada\" <07700900001>","channel":"PJSIP/07700900001-01","dstchannel":"SIP/t-02","lastdata":"PJSIP/447700900002@t,60","userfield":"call 07700900002 back"}"#,
            r#"{"dcontext":"default","clid":"anonymous","channel":"SIP/x-3"}"#,
        ],
        rejected: &[(2, "columns")],
        counts: "in=3 public=2 rejected=1 skipped=0 restricted=2",
    });
}

/// FreeSWITCH, `mod_cdr_csv`: the template's quotes stay on what is kept.
#[test]
fn freeswitch_rows_need_a_zone_and_a_country_only() {
    preset(&Sample {
        policy: r#"preset = "freeswitch"
[input]
time.zone = "Europe/London"
[numbers]
country = "GB"
"#,
        input: r#""Ada","07700900001","00447700900002","public","2025-11-05 09:15:00","","2025-11-05 09:15:09","9","0","NO_ANSWER","86cf-1","","1001","PCMU","PCMU"
"07700900003","+447700900003","07700900001","ada","2025-11-05 09:16:00","2025-11-05 09:16:01","2025-11-05 09:16:09","9","8","NORMAL_CLEARING","86cf-2","86cf-3","","",""
"#,
        public: r#",{ada},{bob},,"2025-11-05 09:15:00","","2025-11-05 09:15:09","9","0","NO_ANSWER","86cf-1","",{account},,,unknown,GB,in/0
,{eve},{ada},,"2025-11-05 09:16:00","2025-11-05 09:16:01","2025-11-05 09:16:09","9","8","NORMAL_CLEARING","86cf-2","86cf-3",,,,unknown,GB,in/1
"#,
        restricted: &[
            r#"{"caller_id_name":"Ada","context":"public"}"#,
            r#"{"caller_id_name":"07700900003","context":"ada"}"#,
        ],
        rejected: &[],
        counts: "in=2 public=2 rejected=0 skipped=0 restricted=2",
    });
}

/// FreeSWITCH, `mod_json_cdr`: URIs, channel names and dialplan steps go to the sealed side, with all that nobody named.
#[test]
fn freeswitch_json_lets_nothing_out_that_is_not_named() {
    preset(&Sample {
        policy: r#"preset = "freeswitch-json"
[numbers]
country = "GB"
"#,
        input: r#"{"core-uuid":"eb8b","switchname":"sw1","variables":{"uuid":"86cf-1","direction":"inbound","start_epoch":"1762333200","answer_epoch":"0","billsec":"0","hangup_cause":"NO_ANSWER","accountcode":"1001","sip_from_user":"07700900001","sip_from_uri":"07700900001@192.0.2.7","sip_req_user":"447700900002","channel_name":"sofia/in/07700900001@192.0.2.7"},"app_log":{"applications":[{"app_name":"bridge","app_data":"sofia/gw/447700900002"}]},"callflow":[{"caller_profile":{"username":"07700900001","caller_id_number":"07700900001","destination_number":"447700900002"}}]}
"#,
        public: r#"{"variables":{"uuid":"86cf-1","direction":"inbound","start_epoch":"1762333200","answer_epoch":"0","billsec":"0","hangup_cause":"NO_ANSWER","accountcode":"{account}","sip_from_user":"{ada}","sip_req_user":"{bob}","sip_req_user_class":"unknown","sip_req_user_country":"GB"},"callflow":[{"caller_profile":{"caller_id_number":"{ada}","destination_number":"{bob}","destination_number_class":"unknown","destination_number_country":"GB"}}],"record_id":"in/0"}
"#,
        restricted: &[
            r#"{"core-uuid":"eb8b","switchname":"sw1","variables.sip_from_uri":"07700900001@192.0.2.7","variables.channel_name":"sofia/in/07700900001@192.0.2.7","app_log":{"applications":[{"app_name":"bridge","app_data":"sofia/gw/447700900002"}]},"callflow[].caller_profile.username":"07700900001"}"#,
        ],
        rejected: &[],
        counts: "in=1 public=1 rejected=0 skipped=0 restricted=1",
    });
}

/// CUCM: header row, type row, columns in an order of the exporter's; devices, names and IP addresses are sealed.
#[test]
fn cucm_columns_are_found_by_name_and_the_type_row_is_none() {
    preset(&Sample {
        policy: r#"preset = "cucm"
[numbers]
country = "US"
bare = "national"
"#,
        input: r#""cdrRecordType","globalCallID_callId","duration","dateTimeOrigination","dateTimeConnect","callingPartyNumber","callingPartyUnicodeLoginUserID","finalCalledPartyNumber","origIpAddr","origDeviceName","authorizationCodeValue","clientMatterCode"
INTEGER,INTEGER,INTEGER,INTEGER,INTEGER,VARCHAR(50),VARCHAR(128),VARCHAR(50),INTEGER,VARCHAR(129),VARCHAR(32),VARCHAR(32)
1,4711,13,1762333200,1762333204,"4155550101","joe","+14155550102",119668928,"SEP4155550101","2907","1001"
1,4712,0,1762333260,0,"","","4155550102",119668928,"gw","",""
"#,
        public: r#"cdrRecordType,globalCallID_callManagerId,globalCallID_callId,origLegCallIdentifier,destLegIdentifier,pkid,globalCallId_ClusterID,dateTimeOrigination,dateTimeConnect,dateTimeDisconnect,duration,callingPartyNumber,originalCalledPartyNumber,finalCalledPartyNumber,lastRedirectDn,origCause_value,destCause_value,origCallTerminationOnBehalfOf,destCallTerminationOnBehalfOf,lastRedirectRedirectReason,calledPartyPatternUsage,clientMatterCode,outpulsedCallingPartyNumber,outpulsedCalledPartyNumber,huntPilotDN,finalCalledPartyNumber_class,finalCalledPartyNumber_country,outpulsedCalledPartyNumber_class,outpulsedCalledPartyNumber_country,record_id
1,,4711,,,,,1762333200,1762333204,,13,{joe},,{sue},,,,,,,,{account},,,,fixed-or-mobile,US,,,in/0
1,,4712,,,,,1762333260,0,,0,,,{sue},,,,,,,,,,,,fixed-or-mobile,US,,,in/1
"#,
        restricted: &[
            r#"{"clientMatterCode":"1001","callingPartyUnicodeLoginUserID":"joe","origIpAddr":"119668928","origDeviceName":"SEP4155550101","authorizationCodeValue":"2907"}"#,
            r#"{"origIpAddr":"119668928","origDeviceName":"gw"}"#,
        ],
        rejected: &[],
        counts: "in=4 public=2 rejected=0 skipped=2 restricted=2",
    });
}

/// BroadWorks: version line, Start and End rows, commas behind a backslash, modules behind the 48th column.
#[test]
fn broadworks_escapes_versions_and_start_rows_are_read() {
    preset(&Sample {
        policy: r#"preset = "broadworks"
[numbers]
country = "US"
bare = "national"
"#,
        input: r#"version=17.0 encoding=ISO-8859-1
0001host20251105,,Start
c-1@192.0.2.7,Acme\, North \\ Co,Normal,+14155550101,4155550101,Originating,4155550101,Public,4155550102,20251105091500.123,1-080000,Yes,20251105091504.000,20251105091517.456,016,VoIP,0288,4155550102,national,to,14155550102,,local,192.0.2.7:5060,c-1@192.0.2.7,PCMU/8000,192.0.2.7,c-1@192.0.2.7,,,,Ada\, Inc.,sales,1001,2907,,,,,,,y,public,,,,,,joe@example.com,4155550101
0003host20251105,,End
"#,
        public: r#"{call},Acme\, North \\ Co,Normal,{joe},{joe},Originating,{joe},Public,{sue},20251105091500.123,1-080000,Yes,20251105091504.000,20251105091517.456,016,VoIP,0288,{sue},national,to,{sue},,local,,{call},,,{call},,,,{group},,{account},,,,,,,,y,public,,,,,,fixed-or-mobile,US,in/0
"#,
        restricted: &[
            r#"{"route":"192.0.2.7:5060","accessDeviceAddress":"192.0.2.7","group":"Ada, Inc.","department":"sales","accountCode":"1001","authorizationCode":"2907","column_49":"joe@example.com","column_50":"4155550101"}"#,
        ],
        rejected: &[],
        counts: "in=4 public=1 rejected=0 skipped=3 restricted=1",
    });
}

/// Kamailio: INVITE with and BYE without the columns of `db_extra`.
#[test]
fn kamailio_pipes_join_by_tokens() {
    preset(&Sample {
        policy: r#"preset = "kamailio"
[numbers]
country = "GB"
"#,
        input: r#"INVITE|c-1@192.0.2.7|c-1@192.0.2.7|c-1@192.0.2.7|200|OK|1762333200|+447700900001|example.com|192.0.2.7|07700900002|+447700900002|192.0.2.8
BYE|c-1@192.0.2.7|c-1@192.0.2.7|c-1@192.0.2.7|200|OK|1762333260
"#,
        public: r#"INVITE|{call}|{call}|{call}|200|OK|1762333200|{ada}|||{bob}|{bob}||unknown|GB|in/0
BYE|{call}|{call}|{call}|200|OK|1762333260|||||||||in/1
"#,
        restricted: &[
            r#"{"src_domain":"example.com","src_ip":"192.0.2.7","dst_domain":"192.0.2.8"}"#,
            r#"{}"#,
        ],
        rejected: &[],
        counts: "in=2 public=2 rejected=0 skipped=0 restricted=2",
    });
}

/// OpenSIPS: the extra columns hold URIs instead of users; a number in one has the token of the number.
#[test]
fn opensips_uris_have_the_tokens_of_their_numbers() {
    preset(&Sample {
        policy: r#"preset = "opensips"
[numbers]
country = "GB"
"#,
        input: r#"INVITE|c-1@192.0.2.7|c-1@192.0.2.7|c-1@192.0.2.7|200|OK|1762333200|sip:+447700900001@192.0.2.7:5060;transport=UDP|example.com|192.0.2.7|<sip:07700900002@example.com;user=phone>;tag=1|00447700900002@192.0.2.8|192.0.2.8
INVITE|c-1@192.0.2.7||c-1@192.0.2.7|487|Terminated|1762333260|"Ada" <sip:anonymous@anonymous.invalid>|example.com|192.0.2.7|urn:service:sos|sip:112@192.0.2.8|192.0.2.8
"#,
        public: r#"INVITE|{call}|{call}|{call}|200|OK|1762333200|{ada}|||{bob}|{bob}||unknown|GB|in/0
INVITE|{call}||{call}|487|Terminated|1762333260|_withheld|||_emergency|_emergency||emergency||in/1
"#,
        restricted: &[
            r#"{"src_domain":"example.com","src_ip":"192.0.2.7","dst_domain":"192.0.2.8"}"#,
            r#"{"src_domain":"example.com","src_ip":"192.0.2.7","dst_domain":"192.0.2.8"}"#,
        ],
        rejected: &[],
        counts: "in=2 public=2 rejected=0 skipped=0 restricted=2",
    });
}

/// CGRateS: a `:` header, a comment, extra fields behind the last column.
#[test]
fn cgrates_headers_and_comments_are_none() {
    preset(&Sample {
        policy: r#"preset = "cgrates"
[numbers]
country = "GB"
"#,
        input: r#":CGRID,RunID,ToR,OriginID
f1,*default,*voice,c-1@192.0.2.7,*rated,cgrates.org,call,1001,1001,+447700900002,2025-11-05 09:15:00 +0000 UTC,2025-11-05 09:15:04 +0000 UTC,13s,0.0100,07700900001,
#f2,*default,*voice,c-2,*rated,cgrates.org,call,1001,1001,+447700900002,2025-11-05T09:15:00Z,,0s,0
f3,*default,*voice,c-1@192.0.2.7,*rated,cgrates.org,call,1001,1001,07700900002,,2025-11-05T09:15:04Z,0s,0
"#,
        public: r#"f1,*default,*voice,{call},*rated,cgrates.org,call,{account},{account},{bob},2025-11-05 09:15:00 +0000 UTC,2025-11-05 09:15:04 +0000 UTC,13s,0.0100,unknown,GB,in/0
f3,*default,*voice,{call},*rated,cgrates.org,call,{account},{account},{bob},,2025-11-05T09:15:04Z,0s,0,unknown,GB,in/1
"#,
        restricted: &[r#"{"column_15":"07700900001"}"#, r#"{}"#],
        rejected: &[],
        counts: "in=4 public=2 rejected=0 skipped=2 restricted=2",
    });
}

/// jBilling: compact local times, national numbers, a login at the end.
#[test]
fn jbilling_rows_carry_the_login_as_account() {
    preset(&Sample {
        policy: r#"preset = "jbilling"
[input]
time.zone = "America/Vancouver"
[numbers]
country = "US"
"#,
        input: r#"01,4155550101,4155550102,ctx,Joe <4155550101>,IAX2/4155550101-13,SIP/8315,Dial,4155550102,20251105-114011,20251105-114016,20251105-114511,300,295,ANSWERED,3,ada
"#,
        public: r#"01,{joe},{sue},,,,,Dial,,20251105-114011,20251105-114016,20251105-114511,300,295,ANSWERED,3,{login},US,fixed-or-mobile,US,in/0
"#,
        restricted: &[
            r#"{"dcontext":"ctx","clid":"Joe <4155550101>","channel":"IAX2/4155550101-13","dstchannel":"SIP/8315","lastdata":"4155550102","userfield":"ada"}"#,
        ],
        rejected: &[],
        counts: "in=1 public=1 rejected=0 skipped=0 restricted=1",
    });
}

/// A mobile network: SIM, handset, cell and coordinates are sealed, whatever the order of the columns.
#[test]
fn mobile_rows_lose_subscriber_and_place() {
    preset(&Sample {
        policy: r#"preset = "mobile"
[input]
time.zone = "Europe/London"
[numbers]
country = "GB"
"#,
        input: r#"start_time,duration_seconds,a_party_number,b_party_number,msisdn,imsi,imei,cell_id,latitude,longitude,call_type,roaming
2025-11-05 09:15:00,13,7700900001,7700900002,7700900001,001010123456789,350000000000017,CELL_1,51.5,-0.1,Voice,no
"#,
        public: r#"a_party_number,b_party_number,start_time,end_time,duration_seconds,msisdn,imsi,imei,call_type,direction,tower_id,cell_id,lac,latitude,longitude,technology,b_party_number_class,b_party_number_country,record_id
{ada},{bob},2025-11-05 09:15:00,,13,{ada},,,Voice,,,,,,,,unknown,GB,in/0
"#,
        restricted: &[
            r#"{"imsi":"001010123456789","imei":"350000000000017","cell_id":"CELL_1","latitude":"51.5","longitude":"-0.1","roaming":"no"}"#,
        ],
        rejected: &[],
        counts: "in=2 public=1 rejected=0 skipped=1 restricted=1",
    });
}

/// UK FCS: date and time in two columns, a title row, columns left out and one of the supplier's own.
#[test]
fn fcs_rows_of_one_supplier_lack_columns_and_hold_two_for_the_time() {
    preset(&Sample {
        policy: r#"preset = "fcs-uk"
[input]
markers = [{ prefix = "FCS Standard" }]
[numbers]
bare = "international"
"#,
        input: r#"FCS Standard CDR v3.01
Call Type,Customer Identifier,Telephone Number Dialled,Call Date,Call Time,Duration,Description,Salesprice,DDI,Diverted Number,Presentation Number,Onward Billing Reference,Supplier Note
V,1001,+447700900002,05/11/2025,09:15:00,13,07700900002,0.0123,447700900001,,07700900001,1001,spoke to 07700900002
V,1001,+447700900002,05/11/2025,,13,London,0.0123,447700900001,,,,
"#,
        public: r#"Call Type,Call Cause,Customer Identifier,Telephone Number Dialled,Call Date,Call Time,Duration,Bytes Transmitted,Bytes Received,Description,Chargecode,Time Band,Salesprice,Salesprice (pre-bundle),Extension,DDI,Grouping ID,Call Class,Carrier,Recording,VAT,Country of Origin,Network,Retail tariff code,Remote Network,APN,Diverted Number,Ring time,RecordID,Currency,Presentation Number,Network Access Reference,NGCS Access Charge,NGCS Service Charge,Total Bytes Transferred,User ID,Onward Billing Reference,Contract Name,Bundle Name,Bundle Allowance,Discount Reference,Routing Code,Telephone Number Dialled_class,Telephone Number Dialled_country,record_id
V,,{account},{bob},05/11/2025,09:15:00,13,,,,,,0.0123,,,{ada},,,,,,,,,,,,,,,{ada},,,,,,{account},,,,,,unknown,GB,in/0
"#,
        restricted: &[
            r#"{"Description":"07700900002","Onward Billing Reference":"1001","Supplier Note":"spoke to 07700900002"}"#,
        ],
        rejected: &[(1, "time")],
        counts: "in=4 public=1 rejected=1 skipped=2 restricted=1",
    });
}

/// Ribbon: a STOP row with protocol strings, which hold fields of their own, a short START row, an ATTEMPT row, and a type of no interest.
#[test]
fn ribbon_record_types_have_their_own_columns() {
    preset(&Sample {
        policy: r#"preset = "ribbon"
[input]
time.zone = "America/Los_Angeles"
[numbers]
country = "US"
bare = "national"
"#,
        input: r#"STOP,sbc1,0x0001,1234,GMT-08:00-Pacific(US),11/05/2025,09:15:00.1,3,5,400,11/05/2025,09:15:17.4,2,1306,16,1,IP-TO-IP,PSP,0000,4155550101,4155550102,,,4155550102,,,,+14155550101,RL,0,sbc1:tg2,192.0.2.7,192.0.2.8,tg1,,192.0.2.7:1/192.0.2.8:2,,,1,,,,,415555,,,,,,,,"SIP,c-1@192.0.2.7,%22Joe%22<sip:+14155550101@192.0.2.7>;tag=9,sip:4155550102@192.0.2.8,0,,Joe",,,,,,,,14155550102,,,,,,,,tg2,"SIP,c-1@192.0.2.7",4155550101,,,,,,4155550101,9,x
START,sbc1,0x0001,1234,GMT-08:00-Pacific(US),11/05/2025,09:15:00.1,3,5,400,1,IP-TO-IP,PSP,0000,4155550101,4155550102,,,,,,,,RL,0,sbc1:tg2,192.0.2.7,192.0.2.8,tg1
ATTEMPT,sbc1,0x0002,1235,GMT-08:00-Pacific(US),11/05/2025,09:16:00.0,3,5,09:16:04.4,2,17,1,IP-TO-IP,PSP,0000,,4155550102,,,,,,,,RL,0,sbc1:tg2,192.0.2.7,192.0.2.8,tg1,,,,,,,,,,,,,,"SIP,c-1@192.0.2.7,Unavailable"
REBOOT,sbc1,0x0003
"#,
        public: r#"STOP,sbc1,0x0001,1234,GMT-08:00-Pacific(US),11/05/2025,09:15:00.1,,5,400,11/05/2025,09:15:17.4,,1306,16,1,IP-TO-IP,PSP,0000,{joe},{sue},,,,,,,{joe},RL,0,sbc1:tg2,,,tg1,,,,,,,,,,415555,,,,,,,,"SIP,{call}",,,,,,,,,,,,,,,,tg2,"SIP,{call}",,,,,,,{joe},fixed-or-mobile,US,in/0
START,sbc1,0x0001,1234,GMT-08:00-Pacific(US),11/05/2025,09:15:00.1,,5,400,1,IP-TO-IP,PSP,0000,{joe},{sue},,,,,,,,RL,0,sbc1:tg2,,,tg1,,,,,,,,,,,,,,fixed-or-mobile,US,in/1
ATTEMPT,sbc1,0x0002,1235,GMT-08:00-Pacific(US),11/05/2025,09:16:00.0,,5,09:16:04.4,,17,1,IP-TO-IP,PSP,0000,,{sue},,,,,,,,RL,0,sbc1:tg2,,,tg1,,,,,,,,,,,,,,"SIP,{call}",fixed-or-mobile,US,in/2
"#,
        restricted: &[
            r#"{"called_before_1":"4155550102","egress_local":"192.0.2.7","egress_remote":"192.0.2.8","ingress_media":"192.0.2.7:1/192.0.2.8:2","dialed":"14155550102","incoming_calling":"4155550101","ingress_protocol.3":"%22Joe%22<sip:+14155550101@192.0.2.7>;tag=9","ingress_protocol.4":"sip:4155550102@192.0.2.8","ingress_protocol.5":"0","ingress_protocol.7":"Joe","column_77":"9","column_78":"x"}"#,
            r#"{"egress_local":"192.0.2.7","egress_remote":"192.0.2.8"}"#,
            r#"{"egress_local":"192.0.2.7","egress_remote":"192.0.2.8","ingress_protocol.3":"Unavailable"}"#,
        ],
        rejected: &[(3, "columns")],
        counts: "in=4 public=3 rejected=1 skipped=0 restricted=3",
    });
}

/// Twilio: a page of calls, a SIP user and a withheld caller that looks like a number.
#[test]
fn twilio_keypad_words_are_no_numbers() {
    preset(&Sample {
        policy: r#"preset = "twilio"
[numbers]
country = "US"
"#,
        input: r#"{"page":0,"calls":[{"sid":"CA1","from":"+14155550101","from_formatted":"(415) 555-0101","to":"sip:+14155550102@192.0.2.7","caller_name":"Joe","start_time":"Wed, 05 Nov 2025 09:15:00 +0000","duration":"4","price":"-0.200"}, {"sid":"CA2","from":"+266696687","to":"+14155550102","start_time":null,"date_created":"Wed, 05 Nov 2025 09:16:00 +0000","duration":"0","uri":"/Calls/CA2"},{"sid":"CA3","from":"client:alice","to":"+14155550102","start_time":"Wed, 05 Nov 2025 09:17:00 +0000","duration":"1"}]}
"#,
        public: r#"{"sid":"CA1","from":"{joe}","to":"{sue}","start_time":"Wed, 05 Nov 2025 09:15:00 +0000","duration":"4","price":"-0.200","to_class":"fixed-or-mobile","to_country":"US","record_id":"in/0"}
{"sid":"CA2","from":"_withheld","to":"{sue}","start_time":null,"date_created":"Wed, 05 Nov 2025 09:16:00 +0000","duration":"0","to_class":"fixed-or-mobile","to_country":"US","record_id":"in/1"}
{"sid":"CA3","from":"{client}","to":"{sue}","start_time":"Wed, 05 Nov 2025 09:17:00 +0000","duration":"1","to_class":"fixed-or-mobile","to_country":"US","record_id":"in/2"}
"#,
        restricted: &[
            r#"{"from_formatted":"(415) 555-0101","caller_name":"Joe"}"#,
            r#"{"uri":"/Calls/CA2"}"#,
            r#"{}"#,
        ],
        rejected: &[],
        counts: "in=3 public=3 rejected=0 skipped=0 restricted=3",
    });
}

/// Plivo: the list API's page; called numbers come without "+".
#[test]
fn plivo_pages_are_taken_apart() {
    preset(&Sample {
        policy: r#"preset = "plivo"
[numbers]
country = "US"
"#,
        input: r#"{"meta":{"limit":20},"objects":[{"call_uuid":"e1","from_number":"+14155550101","to_number":"14155550102","initiation_time":"2025-11-05 15:44:49+05:30","answer_time":null,"bill_duration":0,"resource_uri":"/v1/Account/MA1/Call/e1/","total_amount":"0.00000"},{"call_uuid":"e2","from_number":"+447700900001","to_number":"447700900002","initiation_time":"2025-11-05 15:45:49+05:30","bill_duration":13}]}
{"objects":[]}
"#,
        public: r#"{"call_uuid":"e1","from_number":"{joe}","to_number":"{sue}","initiation_time":"2025-11-05 15:44:49+05:30","answer_time":null,"bill_duration":0,"total_amount":"0.00000","to_number_class":"fixed-or-mobile","to_number_country":"US","record_id":"in/0"}
{"call_uuid":"e2","from_number":"{ada}","to_number":"{bob}","initiation_time":"2025-11-05 15:45:49+05:30","bill_duration":13,"to_number_class":"unknown","to_number_country":"GB","record_id":"in/1"}
"#,
        restricted: &[r#"{"resource_uri":"/v1/Account/MA1/Call/e1/"}"#, r#"{}"#],
        rejected: &[],
        counts: "in=3 public=2 rejected=0 skipped=1 restricted=2",
    });
}

/// Teams: the Graph API's page; a masked number stays a label.
#[test]
fn teams_rows_lose_names_and_keep_masked_numbers_masked() {
    preset(&Sample {
        policy: r#"preset = "teams"
[numbers]
country = "US"
"#,
        input: r#"{"@odata.count":2,"value":[{"id":"9c49","callId":"c-1@192.0.2.7","userId":"1001","userPrincipalName":"ada@example.com","userDisplayName":"Ada","startDateTime":"2025-11-05T09:15:00.2589935Z","duration":13,"charge":0.00,"callerNumber":"+14155550101","calleeNumber":"+14155550102","conferenceId":"2907"},{"id":"9c50","callId":"c-1@192.0.2.7","userId":"1001","inviteDateTime":"2025-11-05T09:16:00.2589935Z","startDateTime":"0001-01-01T00:00:00Z","successfulCall":false,"finalSipCode":487,"duration":0,"callerNumber":"+141555501***","calleeNumber":"+14155550102"}]}
"#,
        public: r#"{"id":"9c49","callId":"{call}","userId":"{account}","startDateTime":"2025-11-05T09:15:00.2589935Z","duration":13,"charge":0.00,"callerNumber":"{joe}","calleeNumber":"{sue}","calleeNumber_class":"fixed-or-mobile","calleeNumber_country":"US","record_id":"in/0"}
{"id":"9c50","callId":"{call}","userId":"{account}","inviteDateTime":"2025-11-05T09:16:00.2589935Z","startDateTime":"0001-01-01T00:00:00Z","successfulCall":false,"finalSipCode":487,"duration":0,"callerNumber":"_masked","calleeNumber":"{sue}","calleeNumber_class":"fixed-or-mobile","calleeNumber_country":"US","record_id":"in/1"}
"#,
        restricted: &[
            r#"{"userId":"1001","userPrincipalName":"ada@example.com","userDisplayName":"Ada","conferenceId":"2907"}"#,
            r#"{"userId":"1001"}"#,
        ],
        rejected: &[],
        counts: "in=2 public=2 rejected=0 skipped=0 restricted=2",
    });
}

/// Zoom Phone: a call log's page, an extension as a JSON number, and an entry of the call history that took its place.
#[test]
fn zoom_extensions_may_be_numbers() {
    preset(&Sample {
        policy: r#"preset = "zoom"
[numbers]
country = "US"
extensions = { digits = [5, 5], tenant = "acme" }
"#,
        input: r#"{"call_logs":[{"id":"6d-1","user_id":"ada","caller_name":"Joe","caller_number":"+14155550101","callee_number":"14155550102","callee_name":"Ada","date_time":"2025-11-05T09:15:00Z","duration":13,"path":"pstn"},{"id":"6d-2","call_path_id":"6d-0","connect_type":"external","direction":"outbound","caller_ext_id":"ada","caller_name":"Ada","caller_email":"ada@example.com","caller_did_number":"+14155550101","caller_ext_number":10101,"callee_did_number":"+14155550102","start_time":"2025-11-05T09:16:00Z","end_time":"2025-11-05T09:16:13Z","duration":13,"call_result":"connected","client_code":"1001","department":"sales"}]}
"#,
        public: r#"{"id":"6d-1","user_id":"{login}","caller_number":"{joe}","callee_number":"{sue}","date_time":"2025-11-05T09:15:00Z","duration":13,"callee_number_class":"fixed-or-mobile","callee_number_country":"US","record_id":"in/0"}
{"id":"6d-2","call_path_id":"6d-0","connect_type":"external","direction":"outbound","caller_ext_id":"{login}","caller_did_number":"{joe}","caller_ext_number":"{extension}","callee_did_number":"{sue}","start_time":"2025-11-05T09:16:00Z","end_time":"2025-11-05T09:16:13Z","duration":13,"call_result":"connected","client_code":"{account}","callee_did_number_class":"fixed-or-mobile","callee_did_number_country":"US","record_id":"in/1"}
"#,
        restricted: &[
            r#"{"user_id":"ada","caller_name":"Joe","callee_name":"Ada","path":"pstn"}"#,
            r#"{"caller_ext_id":"ada","caller_name":"Ada","caller_email":"ada@example.com","client_code":"1001","department":"sales"}"#,
        ],
        rejected: &[],
        counts: "in=2 public=2 rejected=0 skipped=0 restricted=2",
    });
}

/// 3CX: an extension calls out; number and extension come in six columns and in the chain.
#[test]
fn threecx_extensions_are_keyed_and_the_chain_is_sealed() {
    preset(&Sample {
        policy: r#"preset = "3cx"
[input]
time.zone = "Europe/London"
[numbers]
country = "GB"
"#,
        input: r#"Call 12,00000B1,00:00:13,2025/11/05 09:15:00,2025/11/05 09:15:04,2025/11/05 09:15:17,TerminatedByDst,+447700900003,+447700900001,,,07700900001,,07700900001,,1001,0.01,0.02,Town,Chain: Ext.101;07700900001;
"#,
        public: r#"Call 12,00000B1,00:00:13,2025/11/05 09:15:00,2025/11/05 09:15:04,2025/11/05 09:15:17,TerminatedByDst,{eve},{ada},,,{ada},,{ada},,{account},0.01,0.02,,,,,,,,,,unknown,GB,unknown,GB,in/0
"#,
        restricted: &[r#"{"bill-name":"Town","chain":"Chain: Ext.101;07700900001;"}"#],
        rejected: &[],
        counts: "in=1 public=1 rejected=0 skipped=0 restricted=1",
    });
}

/// 3CX, with the chain opened: each party in it has the token of its own column.
#[test]
fn threecx_chains_give_tokens_where_they_are_asked_for() {
    preset(&Sample {
        policy: r#"preset = "3cx"
[input]
time.zone = "Europe/London"
[numbers]
country = "GB"
[fields]
chain = { action = "pseudonymise", kind = "phone", separators = ["Chain: ", ";"] }
"#,
        input: r#"Call 12,00000B1,00:00:13,2025/11/05 09:15:00,2025/11/05 09:15:04,2025/11/05 09:15:17,TerminatedByDst,Ext.101,+447700900001,101,,07700900001,,07700900001,,,,,,Chain: Ext.101;07700900001;sip:+447700900003@192.0.2.7;
"#,
        public: r#"Call 12,00000B1,00:00:13,2025/11/05 09:15:00,2025/11/05 09:15:04,2025/11/05 09:15:17,TerminatedByDst,{desk},{ada},_short,,{ada},,{ada},,,,,,Chain: {desk};{ada};{eve};,,,,,,,,unknown,GB,unknown,GB,in/0
"#,
        restricted: &[r#"{}"#],
        rejected: &[],
        counts: "in=1 public=1 rejected=0 skipped=0 restricted=1",
    });
}

/// CGRateS, JSON: the origin's host and the extra fields go to the sealed side.
#[test]
fn cgrates_objects_seal_hosts_and_extra_fields() {
    preset(&Sample {
        policy: r#"preset = "cgrates-json"
[numbers]
country = "GB"
"#,
        input: r#"{"CGRID":"f1","RunID":"*default","OriginHost":"192.0.2.7","OriginID":"c-1@192.0.2.7","ToR":"*voice","Account":"1001","Destination":"07700900002","SetupTime":"2025-11-05T09:15:00Z","AnswerTime":"0001-01-01T00:00:00Z","Usage":"13s","ExtraFields":{"Caller":"07700900001"},"Cost":0.0100}
"#,
        public: r#"{"CGRID":"f1","RunID":"*default","OriginID":"{call}","ToR":"*voice","Account":"{account}","Destination":"{bob}","SetupTime":"2025-11-05T09:15:00Z","AnswerTime":"0001-01-01T00:00:00Z","Usage":"13s","Cost":0.0100,"Destination_class":"unknown","Destination_country":"GB","record_id":"in/0"}
"#,
        restricted: &[r#"{"OriginHost":"192.0.2.7","ExtraFields":{"Caller":"07700900001"}}"#],
        rejected: &[],
        counts: "in=1 public=1 rejected=0 skipped=0 restricted=1",
    });
}
