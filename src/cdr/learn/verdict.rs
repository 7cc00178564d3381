//! What a draft does with a field, and why: its name and its values, the more dangerous meaning first.

use crate::cdr::learn::looks::Look;
use crate::cdr::learn::names::Says;
use crate::cdr::learn::profile::Profile;

/// A column or path, with what is known of it.
pub(super) struct Field {
    /// What the policy calls it.
    pub(super) name: String,
    pub(super) says: Says,
    pub(super) verdict: Verdict,
    pub(super) profile: Profile,
}

/// What a field is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Does {
    Keep,
    Restrict,
    /// A token of this kind.
    Token(&'static str),
    /// A phone number.
    Phone,
    /// A time: kept.
    Time,
}

/// An action with its reason, and a name for a column that has none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) does: Does,
    pub(super) reason: String,
    pub(super) name: &'static str,
}

impl Verdict {
    fn new(does: Does, name: &'static str, reason: impl Into<String>) -> Self {
        Self {
            does,
            reason: reason.into(),
            name,
        }
    }
}

/// Few values: a word of a list.
const FEW: usize = 12;
/// Fewer records would all be different by chance.
const UNIQUE: u32 = 3;
/// Longer than a week in seconds is no duration of a call; that in milliseconds and ticks is.
const LONGEST_CALL: u64 = 700_000_000;

/// What to do with a field of this meaning and these values.
pub(super) fn verdict(says: Says, profile: &Profile) -> Verdict {
    if profile.values == 0 {
        return Verdict::new(
            Does::Restrict,
            "",
            "always blank in the sample: nothing is known of it",
        );
    }
    by_danger(says, profile)
        .or_else(|| times(says, profile))
        .or_else(|| ids(says, profile))
        .or_else(|| amounts(says, profile))
        .or_else(|| parties(says, profile))
        .or_else(|| words(says, profile))
        .unwrap_or_else(|| unknown(profile))
}

/// What is sealed whatever else it may be.
fn by_danger(says: Says, profile: &Profile) -> Option<Verdict> {
    let sealed = |name, reason: &str| Some(Verdict::new(Does::Restrict, name, reason));
    let mostly = |look| profile.mostly(&[look]);
    match says {
        Says::Imsi => return sealed("imsi", "its name says IMSI: the SIM card"),
        Says::Imei => return sealed("imei", "its name says IMEI: the handset"),
        Says::Place => return sealed("place", "its name says where the caller was"),
        Says::Ip => return sealed("ip", "its name says a host or an IP address"),
        Says::Name => return sealed("name", "its name says a person's or company's name"),
        Says::Free => {
            return sealed(
                "text",
                "its name says text, an address or a channel: anything may be in it",
            );
        }
        _ => {}
    }
    let party = matches!(says, Says::Caller | Says::Called | Says::Number);
    if mostly(Look::Ip) {
        return sealed("ip", "IP addresses");
    }
    if mostly(Look::Mail) {
        return sealed("mail", "e-mail addresses, or user@host");
    }
    if mostly(Look::Url) {
        return sealed(
            "url",
            "addresses of the web, or paths: they name people and recordings",
        );
    }
    if mostly(Look::Imei) && profile.values > 1 && !party {
        return sealed("imei", "15 digits that end in an IMEI's check digit");
    }
    if profile.mostly(&[Look::Imsi, Look::Imei])
        && !party
        && profile.phones.prefixed == 0
        && profile.time().is_none()
    {
        return sealed("imsi", "14 or 15 digits: IMSIs, or IMEIs");
    }
    None
}

fn times(says: Says, profile: &Profile) -> Option<Verdict> {
    let named = matches!(says, Says::Start | Says::Time);
    let is_time = profile.time().is_some_and(|at| {
        let unix = super::times::is_count(super::times::WHOLE[at]);
        !unix || named || says == Says::Nothing && profile.phones.prefixed == 0
    });
    if is_time {
        return Some(Verdict::new(Does::Time, "time", "a time: rating"));
    }
    let zero = profile.zeros == profile.values;
    (named && (profile.day().is_some() || profile.clock().is_some() || zero))
        .then(|| Verdict::new(Does::Time, "time", "a part of a time, or nought: rating"))
}

fn ids(says: Says, profile: &Profile) -> Option<Verdict> {
    let token = |reason: &str| Some(Verdict::new(Does::Token("call"), "id", reason));
    if profile.entirely(&[Look::Uuid]) {
        return Some(match says {
            Says::Account => Verdict::new(
                Does::Token("account"),
                "account",
                "random ids of who pays, by its name",
            ),
            _ => Verdict::new(
                Does::Keep,
                "id",
                "random ids (UUID, hash): they tell nothing by themselves",
            ),
        });
    }
    if profile.mostly(&[Look::WithIp]) && says != Says::Account {
        return token("ids with an IP address in them, such as a call id: joins legs");
    }
    if says == Says::Nothing && profile.is_unique() && profile.values >= UNIQUE && is_code(profile) {
        return token("another value in every record, no time and no number: an id, perhaps; joins legs");
    }
    if says != Says::Id {
        return None;
    }
    let counter = profile.entirely(&[Look::Whole]) && profile.digit_runs == 0;
    if counter {
        return Some(Verdict::new(
            Does::Keep,
            "id",
            "its name says an id, its values are short counters",
        ));
    }
    token("its name says an id; its digits may mean something: joins legs")
}

/// Letters with digits, or many digits, that do not read as a number or time. Few digits may be seconds.
fn is_code(profile: &Profile) -> bool {
    let looks = [Look::Code, Look::Other, Look::Whole, Look::Uuid, Look::WithIp];
    let long = !profile.mostly(&[Look::Whole]) || profile.digit_runs * 10 >= profile.values * 9;
    profile.mostly(&looks)
        && long
        && profile.phones.numbers() * 10 < profile.values
        && profile.time().is_none()
}

fn amounts(says: Says, profile: &Profile) -> Option<Verdict> {
    let figures = profile.entirely(&[Look::Whole, Look::Decimal, Look::Span]);
    match says {
        Says::Duration if figures && profile.largest < LONGEST_CALL => Some(Verdict::new(
            Does::Keep,
            "duration",
            "its name says how long: rating",
        )),
        Says::Money if figures && profile.digit_runs == 0 => Some(Verdict::new(
            Does::Keep,
            "amount",
            "its name says an amount: exact decimals",
        )),
        Says::Nothing if profile.entirely(&[Look::Span]) => Some(Verdict::new(
            Does::Keep,
            "duration",
            "written as durations (or times of day): rating",
        )),
        _ => None,
    }
}

fn parties(says: Says, profile: &Profile) -> Option<Verdict> {
    let phones = &profile.phones;
    let numbers = profile.share(phones.numbers());
    let readable = profile.share(phones.numbers() + phones.labels + phones.short + phones.alpha);
    let party = matches!(says, Says::Caller | Says::Called | Says::Number);
    let percent = (numbers * 100.0).round();
    let is_number = match says {
        Says::Caller | Says::Called | Says::Number => numbers >= 0.3 && readable >= 0.8,
        Says::Nothing => numbers >= 0.6 && readable >= 0.95,
        Says::Account => numbers >= 0.9,
        _ => false,
    };
    if is_number {
        let named = if party { ", and its name says so" } else { "" };
        return Some(Verdict::new(
            Does::Phone,
            "number",
            format!("{percent} of 100 values are phone numbers{named}"),
        ));
    }
    if party && readable >= 0.9 && phones.alpha < phones.short + phones.labels + 1 {
        return Some(Verdict::new(
            Does::Phone,
            "number",
            "its name says a party, its values are short: extensions, or codes; they come out as labels unless [numbers] extensions says whose they are",
        ));
    }
    if party {
        return Some(Verdict::new(
            Does::Token("text"),
            "party",
            format!("its name says a party, but {percent} of 100 values are phone numbers: keyed as texts"),
        ));
    }
    (says == Says::Account).then(|| {
        Verdict::new(
            Does::Token("account"),
            "account",
            "its name says who pays: billing joins by token",
        )
    })
}

fn words(says: Says, profile: &Profile) -> Option<Verdict> {
    let distinct = profile.distinct();
    if profile.digit_runs > 0 || profile.longest > 32 {
        return None;
    }
    let all_trade = profile.trade_words == profile.values;
    if distinct <= FEW && all_trade {
        return Some(Verdict::new(
            Does::Keep,
            "word",
            format!("words that switches write: {}", different(distinct)),
        ));
    }
    // Words with spaces may be names, unless most are the trade's.
    let wordy = profile.entirely(&[Look::Word, Look::Whole, Look::Code])
        || (profile.entirely(&[Look::Word, Look::Words]) && profile.trade_words * 2 >= profile.values);
    // Codes of a list come again; those of a person do not.
    let again = distinct <= 3 || distinct * 3 <= profile.values as usize;
    (says == Says::Word && distinct <= 4 * FEW && wordy && again).then(|| {
        Verdict::new(
            Does::Keep,
            "word",
            format!(
                "its name says a word or code of the switch: {}",
                different(distinct)
            ),
        )
    })
}

fn different(distinct: usize) -> String {
    match distinct {
        1 => "always the same".to_owned(),
        _ => format!("{distinct} different ones"),
    }
}

/// Restricted, with what was seen, for whoever decides.
fn unknown(profile: &Profile) -> Verdict {
    let distinct = profile.distinct();
    let many = match distinct {
        1 => "always the same value".to_owned(),
        _ if profile.is_unique() => "another value in every record (an id?)".to_owned(),
        _ => format!("{distinct} different values"),
    };
    let what = if profile.mostly(&[Look::Whole]) {
        if profile.digit_runs > 0 {
            "whole numbers, long ones among them"
        } else {
            "whole numbers (seconds? counters? codes? PINs?)"
        }
    } else if profile.mostly(&[Look::Decimal, Look::Whole]) {
        "decimals (money? coordinates?)"
    } else if profile.mostly(&[Look::Words]) {
        "words with spaces (names? addresses?)"
    } else if profile.mostly(&[Look::Word]) {
        "words (names? codes?)"
    } else if profile.digit_runs > 0 {
        "texts with numbers in them"
    } else {
        "not known"
    };
    Verdict::new(
        Does::Restrict,
        "",
        format!("{what}, {many}: keep it only if you know it"),
    )
}
