//! What the name of a column or member says, and whether it is a name at all.

use crate::cdr::policy::words_of;

/// What a name may say of its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Says {
    /// The calling party.
    Caller,
    /// The called party.
    Called,
    /// Some party's number.
    Number,
    /// When the call began.
    Start,
    /// Another time.
    Time,
    /// How long.
    Duration,
    /// An amount of money.
    Money,
    /// Who pays.
    Account,
    /// A person or a company.
    Name,
    /// Where the caller was.
    Place,
    Imsi,
    Imei,
    Ip,
    /// Text, addresses, arguments: anything may be in it.
    Free,
    /// A record's or a call's own id.
    Id,
    /// A word of the switch.
    Word,
    Nothing,
}

/// Most digits of a name: with more it may be a number.
const MOST_DIGITS: usize = 4;

/// Whether a header cell or member name may be shown: it looks like a name, not like a value.
pub(super) fn is_name(text: &str) -> bool {
    let digits = text.chars().filter(char::is_ascii_digit).count();
    let allowed = |letter: char| letter.is_alphanumeric() || " _-./()#%:&?$'".contains(letter);
    let begins = text.starts_with(|letter: char| letter.is_alphabetic() || letter == '_' || letter == '#');
    let ip = text.parse::<std::net::IpAddr>().is_ok();
    (1..=64).contains(&text.len()) && begins && !ip && digits <= MOST_DIGITS && text.chars().all(allowed)
}

/// What the name says; the more dangerous meaning first.
pub(super) fn says(path: &str) -> Says {
    let words = words_of(path);
    let joined = words.concat();
    let any = |known| has(&words, known);
    let last = |known| has(&words[words.len().saturating_sub(1)..], known);
    let dangers = [
        (Says::Imsi, any("imsi")),
        (Says::Imei, any("imei imeisv")),
        (Says::Place, any(PLACE) && !any("ip mac")),
        (
            Says::Ip,
            any("ip mac host hostname") || part(&joined, "ipaddr networkaddr ipv4 ipv6"),
        ),
        (Says::Free, any(FREE)),
        (Says::Name, last(NAME) || any("cnam upn birth birthday dob")),
    ];
    if let Some((found, _)) = dangers.into_iter().find(|(_, holds)| *holds) {
        return found;
    }
    // answered_by, usageCountryCode, userTimeZone are no times and no amounts.
    let qualified = last("by id type code country zone band class reason kind unit currency indicator flag");
    if !qualified {
        let stretch = any("queue ring hold talk wait idle") && last("time");
        if stretch || any(DURATION) || part(&joined, "duration seconds") {
            return Says::Duration;
        }
        if any("cost price charge charged amount rate fee salesprice tax vat total revenue") && !any("number")
        {
            return Says::Money;
        }
        if let Some(found) = time(&words, &joined) {
            return found;
        }
    }
    let party = match party(&words, &joined) {
        // Whose number it is may stand in what holds it: callee.phone_number.
        Some(Says::Number) => path
            .rsplit_once('.')
            .map(|(holder, _)| words_of(holder))
            .and_then(|holder| party(&holder, &holder.concat()))
            .or(Some(Says::Number)),
        found => found,
    };
    if let Some(found) = party.filter(|_| !last("type code class country")) {
        return found;
    }
    // callee_id is somebody's, not a call's.
    let whose = last("id uuid") && (any(CALLER) || any(CALLED) || any("party correspondent agent"));
    if (any(ACCOUNT) && !last("type class status")) || whose {
        return Says::Account;
    }
    if last(ID) || part(&joined, "callid uniqueid") {
        return Says::Id;
    }
    if last(WORD) {
        return Says::Word;
    }
    Says::Nothing
}

const PLACE: &str = "lat latitude lon lng longitude cell cellid cgi ecgi lac tac tower antenna azimuth site location \
    address street city postcode zip";
const FREE: &str = "body text message note notes comment comments memo description uri url recording recordingfile \
    lastdata userfield extradata useragent agent channel dstchannel sdp pin password passcode secret access auth \
    authorization authorisation authcode email mail";
const NAME: &str = "name cnam firstname lastname displayname surname username display";
const DURATION: &str = "duration billsec seconds secs sec minutes usage ticks billmsec mduration dur holdtime ringtime \
    talktime";
const ACCOUNT: &str = "account accountcode acct acctcode customer contract tenant subscriber user userid login payer \
    subject client company";
const ID: &str =
    "id uuid guid sid pkid cgrid callid linkedid uniqueid recordid sequence seq reference ref tag key";
const WORD: &str = "type direction disposition status state cause reason method kind currency tor amaflags result code \
    flag flags class category technology codec lastapp service interaction event unit country by indicator";
const TIME: &str = "time date datetime timestamp stamp epoch calldate at start answer end setup begin connect answered \
    ended started created uepoch day";
const LATER: &str = "answer answered end ended stop release disconnect updated connect hangup";
const NUMBER: &str = "number phone msisdn ani clid cli callerid dnis tel telephone mobile digits dn";
const CALLED: &str = "called callee dst dest destination to dialled dialed dnis receiver callednumber bnumber bparty b \
    terminating recipient";
const CALLER: &str = "caller calling src source from ani cli clid callerid origin originating anumber aparty a sender \
    orig origination";
/// Numbers that are nobody's.
const OTHER_NUMBERS: &str =
    "state status sequence port serial invoice reference customer account acct index page row";

fn has(words: &[String], known: &str) -> bool {
    words
        .iter()
        .any(|word| known.split_ascii_whitespace().any(|known| known == word))
}

fn part(joined: &str, known: &str) -> bool {
    known.split(' ').any(|known| joined.contains(known))
}

fn time(words: &[String], joined: &str) -> Option<Says> {
    let ends = |known: &str| known.split(' ').any(|known| joined.ends_with(known));
    let begins = |known: &str| known.split(' ').any(|known| joined.starts_with(known));
    if !has(words, TIME) && !ends("time date stamp") {
        return None;
    }
    let later = has(words, LATER) || begins("answer end release disconnect hangup");
    Some(if later { Says::Time } else { Says::Start })
}

fn party(words: &[String], joined: &str) -> Option<Says> {
    let last = &words[words.len().saturating_sub(1)..];
    let number = has(words, NUMBER) || has(last, "num no") || part(joined, "number msisdn phone");
    let is_id = has(last, "id uuid sid tag") && !joined.contains("callerid");
    if is_id || (number && has(words, OTHER_NUMBERS)) {
        return None;
    }
    if has(words, CALLED) || part(joined, "called callee destination dialled dialed bparty bnumber") {
        return Some(Says::Called);
    }
    if has(words, CALLER) || part(joined, "caller calling aparty anumber") {
        return Some(Says::Caller);
    }
    let other = has(
        words,
        "did ddi extension party correspondent forwarded redirecting diverted",
    );
    (number || other).then_some(Says::Number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_they_hold() {
        for (name, expected) in [
            ("a_party_number", Says::Caller),
            ("callerNumber", Says::Caller),
            ("caller_id_number", Says::Caller),
            ("Telephone Number Dialled", Says::Called),
            ("finalCalledPartyNumber", Says::Called),
            ("msisdn", Says::Number),
            ("caller_id_name", Says::Name),
            ("subscriber_imsi", Says::Imsi),
            ("cell_id", Says::Place),
            ("sip_network_ip", Says::Ip),
            ("authorization code", Says::Free),
            ("Access Code", Says::Free),
            ("answerIndicator", Says::Word),
            ("date_of_birth", Says::Name),
            ("start_time", Says::Start),
            ("answer_stamp", Says::Time),
            ("answered_by", Says::Word),
            ("usageCountryCode", Says::Word),
            ("billsec", Says::Duration),
            ("queue_time", Says::Duration),
            ("call_duration", Says::Duration),
            ("total_cost", Says::Money),
            ("accountcode", Says::Account),
            ("account_number", Says::Account),
            ("state_number", Says::Nothing),
            ("linkedid", Says::Id),
            ("callee_id", Says::Account),
            ("callee.phone_number", Says::Called),
            ("num_media", Says::Nothing),
            ("phone_number_sid", Says::Id),
            ("callee_number_type", Says::Word),
            ("disposition", Says::Word),
            ("c12", Says::Nothing),
        ] {
            assert_eq!(says(name), expected, "{name}");
        }
    }

    #[test]
    fn what_looks_like_a_value_is_no_name() {
        for name in ["Call Type", "billsec", "_id", "start(unix)", "b0021", "Länge"] {
            assert!(is_name(name), "{name}");
        }
        for value in [
            "07700900001",
            "+447700900001",
            "192.0.2.7",
            "2026-11-05 09:15:00",
            "ada@example.com",
            "",
            "a07700900001",
            "\n",
        ] {
            assert!(!is_name(value), "{value}");
        }
    }
}
