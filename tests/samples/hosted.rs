//! The presets of hosted platforms and of what a switch writes beside its calls.
#![allow(clippy::needless_raw_string_hashes)] // one spelling for all the calls below

use super::Sample;
use super::presets::preset;

/// Telnyx: a page of detail records; the caller as shown has dashes, the called party of one is a SIP URI, that of
/// another a user.
#[test]
fn telnyx_numbers_are_one_subscriber_however_they_are_shown() {
    preset(&Sample {
        policy: r#"preset = "telnyx"
[numbers]
country = "US"
"#,
        input: r#"{"data":[{"record_type":"sip-trunking","id":"4b67-1","telnyx_session_id":"4b67-0","sip_call_id":"c-1@192.0.2.7","direction":"outbound","cli":"+14155550101","caller_number":"+1415-555-0101","caller_name":"Joe","cld":"+14155550102","dest_number":"sip:+14155550102@192.0.2.8:5060;user=phone","lrn":"4155550102","term_lrn_city":"TOWN","started_at":"2025-11-05T09:15:00Z","answered_at":"2025-11-05T09:15:04Z","finished_at":"2025-11-05T09:15:17Z","connected":1,"call_sec":13,"billed_sec":60,"rate":"0.002","cost":"0.002","currency":"USD","onnet":false,"hangup_code":16,"connection_id":"2500000000000000001","billing_group_id":1001,"auth_username":"ada"},{"record_type":"webrtc_detail_record","id":"4b67-2","cli":"+14155550101","cld":"sip:ada@example.com","started_at":"2025-11-05T09:16:00Z","answered_at":null,"call_sec":0,"billed_sec":0,"tags":""}],"meta":{"total_pages":1}}
"#,
        public: r#"{"record_type":"sip-trunking","id":"4b67-1","telnyx_session_id":"4b67-0","sip_call_id":"{call}","direction":"outbound","cli":"{joe}","caller_number":"{joe}","cld":"{sue}","dest_number":"{sue}","started_at":"2025-11-05T09:15:00Z","answered_at":"2025-11-05T09:15:04Z","finished_at":"2025-11-05T09:15:17Z","connected":1,"call_sec":13,"billed_sec":60,"rate":"0.002","cost":"0.002","currency":"USD","onnet":false,"hangup_code":16,"connection_id":"2500000000000000001","billing_group_id":"{account}","cld_class":"fixed-or-mobile","cld_country":"US","record_id":"in/0"}
{"record_type":"webrtc_detail_record","id":"4b67-2","cli":"{joe}","cld":"{user}","started_at":"2025-11-05T09:16:00Z","answered_at":null,"call_sec":0,"billed_sec":0,"cld_class":"alpha","cld_country":"","record_id":"in/1"}
"#,
        restricted: &[
            r#"{"caller_name":"Joe","lrn":"4155550102","term_lrn_city":"TOWN","billing_group_id":1001,"auth_username":"ada"}"#,
            r#"{"tags":""}"#,
        ],
        rejected: &[],
        counts: "in=2 public=2 rejected=0 skipped=0 restricted=2",
    });
}

/// Kazoo: a document of its database with nested variables, and a webhook; seconds since the year 0 as a number and
/// as a text, numbers bare and as users of a realm, and a device's name.
#[test]
fn kazoo_realms_and_years_since_zero_are_read() {
    preset(&Sample {
        policy: r#"preset = "kazoo"
[numbers]
country = "US"
bare = "national"
"#,
        input: r#"{"id":"202511-c-1@192.0.2.7","call_id":"c-1@192.0.2.7","call_direction":"inbound","caller_id_name":"Joe","caller_id_number":"4155550101","callee_id_number":"+14155550102","from":"4155550101@example.com","from_uri":"4155550101@example.com","to":"+14155550102@192.0.2.8","request":"14155550102@example.com","timestamp":63929553313,"channel_created_time":1762334100000000,"duration_seconds":13,"billing_seconds":"9","hangup_cause":"NORMAL_CLEARING","interaction_id":"63929553300-d1c8a0","custom_channel_vars":{"account_id":"1001","owner_id":"ada","realm":"example.com","username":"joe_2907","account_billing":"per_minute","rate":"100"}}
{"call_direction":"outbound","timestamp":"63929553312","account_id":"1001","request":"+14155550102@example.com","from":"user_x7k2@example.com","to":"user_x7k2@example.com","call_id":"c-1@192.0.2.7","other_leg_call_id":"c-1@192.0.2.7","caller_id_name":"Ada","callee_id_number":"4155550102","hook_event":"channel_destroy","hangup_cause":"ORIGINATOR_CANCEL","duration_seconds":"8","billing_seconds":"0"}
{"call_direction":"outbound","timestamp":"","caller_id_number":"4155550101"}
"#,
        public: r#"{"id":"{leg}","call_id":"{call}","call_direction":"inbound","caller_id_number":"{joe}","callee_id_number":"{sue}","from":"{joe}","to":"{sue}","request":"{sue}","timestamp":63929553313,"channel_created_time":1762334100000000,"duration_seconds":13,"billing_seconds":"9","hangup_cause":"NORMAL_CLEARING","interaction_id":"63929553300-d1c8a0","custom_channel_vars":{"account_id":"{account}","owner_id":"{login}","account_billing":"per_minute","rate":"100"},"request_class":"fixed-or-mobile","request_country":"US","record_id":"in/0"}
{"call_direction":"outbound","timestamp":"63929553312","account_id":"{account}","request":"{sue}","from":"{device}","to":"{device}","call_id":"{call}","other_leg_call_id":"{call}","callee_id_number":"{sue}","hangup_cause":"ORIGINATOR_CANCEL","duration_seconds":"8","billing_seconds":"0","request_class":"fixed-or-mobile","request_country":"US","record_id":"in/1"}
"#,
        restricted: &[
            r#"{"caller_id_name":"Joe","from_uri":"4155550101@example.com","custom_channel_vars.account_id":"1001","custom_channel_vars.owner_id":"ada","custom_channel_vars.realm":"example.com","custom_channel_vars.username":"joe_2907"}"#,
            r#"{"account_id":"1001","caller_id_name":"Ada","hook_event":"channel_destroy"}"#,
        ],
        rejected: &[(2, "time")],
        counts: "in=3 public=2 rejected=1 skipped=0 restricted=2",
    });
}

/// Kazoo's lists as CSV, of release 3: lines end with CR, and a name with a comma in it makes a row too long.
#[test]
fn kazoo_lists_end_their_lines_with_cr() {
    preset(&Sample {
        policy: r#"preset = "kazoo-csv"
[numbers]
country = "US"
bare = "national"
"#,
        input: "id,call_id,caller_id_number,caller_id_name,callee_id_number,callee_id_name,duration_seconds,billing_seconds,timestamp,hangup_cause,other_leg_call_id,owner_id,to,from,direction,request,authorizing_id,cost,dialed_number,calling_from,datetime,unix_timestamp,call_type,rate,rate_name\r\
                202511-c-1@192.0.2.7,c-1@192.0.2.7,4155550101,Joe,4155550102,Ada,13,9,63929553300,NORMAL_CLEARING,,ada,+14155550102@192.0.2.8,4155550101@example.com,inbound,14155550102@example.com,ada,0,4155550102,4155550101,2025-11-05 09:15:00,1762334100,,0.01,US\r\
                202511-c-1@192.0.2.7,c-1@192.0.2.7,4155550101,Lee, Joe,4155550102,Ada,13,9,63929553300,NORMAL_CLEARING,,ada,+14155550102@192.0.2.8,4155550101@example.com,inbound,14155550102@example.com,ada,0,4155550102,4155550101,2025-11-05 09:15:00,1762334100,,0.01,US\r",
        public: r#"id,call_id,caller_id_number,caller_id_name,callee_id_number,callee_id_name,duration_seconds,billing_seconds,timestamp,hangup_cause,other_leg_call_id,owner_id,to,from,direction,request,authorizing_id,cost,dialed_number,calling_from,datetime,unix_timestamp,rfc_1036,iso_8601,iso_8601_combined,call_type,rate,rate_name,bridge_id,recording_url,media_recordings,media_server,call_priority,interaction_id,reseller_cost,reseller_call_type,request_class,request_country,dialed_number_class,dialed_number_country,record_id
{leg},{call},{joe},,{sue},,13,9,63929553300,NORMAL_CLEARING,,{login},{sue},{joe},inbound,{sue},{login},0,{sue},{joe},2025-11-05 09:15:00,1762334100,,,,,0.01,US,,,,,,,,,fixed-or-mobile,US,fixed-or-mobile,US,in/0
"#,
        restricted: &[r#"{"caller_id_name":"Joe","callee_id_name":"Ada","owner_id":"ada"}"#],
        rejected: &[(1, "columns")],
        counts: "in=3 public=1 rejected=1 skipped=1 restricted=1",
    });
}

/// CUCM's CMR files: the quality of both ends of one call, joined by the global call id; devices and session ids are sealed.
#[test]
fn cucm_quality_records_are_found_by_name() {
    preset(&Sample {
        policy: r#"preset = "cucm-cmr"
[numbers]
country = "US"
bare = "national"
"#,
        input: r#""cdrRecordType","globalCallID_callManagerId","globalCallID_callId","nodeId","directoryNum","callIdentifier","dateTimeStamp","numberPacketsSent","jitter","latency","pkid","directoryNumPartition","globalCallId_ClusterID","deviceName","varVQMetrics","duration","localSessionID","headsetSN"
INTEGER,INTEGER,INTEGER,INTEGER,VARCHAR(50),INTEGER,INTEGER,INTEGER,INTEGER,INTEGER,UNIQUEIDENTIFIER,VARCHAR(50),VARCHAR(50),VARCHAR(129),VARCHAR(600),INTEGER,VARCHAR(128),VARCHAR(129)
2,1,4711,1,"+14155550101",34,1762334117,650,2,0,"96e4","Town","cl1","SEP4155550101","MLQK=4.21;MLQKav=4.20;CCR=0.0",13,"SEP1","SN=2907"
2,1,4711,1,"4155550102",35,1762334117,651,2,0,"96e5","","cl1","gw","",13,"",""
2,1,4711,1,"4155550102",35,0,651,2,0,"96e6","","cl1","gw","",13,"",""
"#,
        public: r#"cdrRecordType,globalCallID_callManagerId,globalCallID_callId,nodeId,directoryNum,callIdentifier,dateTimeStamp,numberPacketsSent,numberOctetsSent,numberPacketsReceived,numberOctetsReceived,numberPacketsLost,jitter,latency,pkid,globalCallId_ClusterID,varVQMetrics,duration,videoContentType,videoDuration,numberVideoPacketsSent,numberVideoOctetsSent,numberVideoPacketsReceived,numberVideoOctetsReceived,numberVideoPacketsLost,videoAverageJitter,videoRoundTripTime,videoOneWayDelay,record_id
2,1,4711,1,{joe},34,1762334117,650,,,,,2,0,"96e4","cl1","MLQK=4.21;MLQKav=4.20;CCR=0.0",13,,,,,,,,,,,in/0
2,1,4711,1,{sue},35,1762334117,651,,,,,2,0,"96e5","cl1","",13,,,,,,,,,,,in/1
"#,
        restricted: &[
            r#"{"directoryNumPartition":"Town","deviceName":"SEP4155550101","localSessionID":"SEP1","headsetSN":"SN=2907"}"#,
            r#"{"deviceName":"gw"}"#,
        ],
        rejected: &[(2, "epoch-too-old")],
        counts: "in=5 public=2 rejected=1 skipped=2 restricted=2",
    });
}

/// Gamma: the UK standard's columns under its own names, in quotes; an inbound call, whose other party is the caller.
#[test]
fn gamma_columns_have_names_of_their_own() {
    preset(&Sample {
        policy: r#"preset = "gamma"
"#,
        input: r#""Call Type","Customer Identifier","Non-Charged Party","Call Date","Call Time","Duration","Description","Salesprice","DDI","Record ID","Caller Line Identity","User ID"
"I","1001","07700900001","05/11/2025","09:15:00","13","Town","0.0123","07700900002","c-1@192.0.2.7","07700900001","ada"
"#,
        public: r#"Call Type,Call Cause Definition Required,Customer Identifier,Non-Charged Party,Call Date,Call Time,Duration,Bytes Transmitted,Bytes Received,Description,Chargecode,Time Band,Salesprice,Salesprice (Pre-Bundle),Extension,DDI,Grouping ID,Call Class (Feature),Carrier,Recording,VAT,Country of Origin,Network,Retail Tariff Code,Remote Network,APN,Diverted Number,Ring time,Record ID,Currency,Caller Line Identity,Network Access Reference,NGCS Access Charge,NGCS Service Charge,Total Bytes Transferred,User ID,Onward Billing Reference,Contract Name,Bundle Name,Bundle Allowance,Discount Reference,Routing Code,Non-Charged Party_class,Non-Charged Party_country,record_id
"I",,{account},{ada},"05/11/2025","09:15:00","13",,,,,,"0.0123",,,{bob},,,,,,,,,,,,,{call},,{ada},,,,,,,,,,,,unknown,GB,in/0
"#,
        restricted: &[r#"{"Description":"Town","User ID":"ada"}"#],
        rejected: &[],
        counts: "in=2 public=1 rejected=0 skipped=1 restricted=1",
    });
}
