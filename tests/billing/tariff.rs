//! One rate deck, three tariff plans of different depth, and what an engine loads for them: for raw numbers,
//! and for the public topic as `docs/billing.md` says.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::calls::{self, OWN};

/// The union of all plans' decks: prefix and zone. No zone's name begins with another's.
pub const DECK: &[(&str, &str)] = &[
    ("+44", "UK-FIX"),
    ("+447", "UK-MOBILE"),
    ("+447700900", "MOBILE-A"),
    ("+4477009001", "MOBILE-B"),  // 100 numbers: deeper than may be told
    ("+44770090055", "MOBILE-C"), // 10 numbers
    ("+442079460", "LONDON"),
    ("+4420794609", "CITY"),
    ("+442079460958", "SHOW"),    // one number
    ("+447700900777", "LOTTERY"), // one number
    ("+44808", "FREEPHONE"),
    ("+1", "NORTH-AMERICA"),
    ("+1415", "FRISCO"),
    ("+14155550", "BAY"),
    ("+141555501", "DRAMA"),
    ("999", "EMERGENCY"),
    ("101", "POLICE"),
    ("1571", "MAILBOX"),
    ("118118", "DIRECTORY"),
    ("116123", "HELPLINE"),
];

/// What a plan prices: a zone of the deck, on-net calls, or a prefix of its own.
#[derive(Clone, Copy)]
enum Priced {
    Zone(&'static str),
    OnNet,
    Prefix(&'static str),
}

/// Connect fee, price a minute, first and further increments in seconds; peak, then all other times.
type Rate = [(&'static str, &'static str, u32, u32); 2];

const CODES: [Priced; 5] = [
    Priced::Zone("EMERGENCY"),
    Priced::Zone("POLICE"),
    Priced::Zone("MAILBOX"),
    Priced::Zone("DIRECTORY"),
    Priced::Zone("HELPLINE"),
];

/// Every zone of the deck, and on-net.
fn retail() -> Vec<Priced> {
    let zones = DECK.iter().map(|&(_, zone)| Priced::Zone(zone));
    zones.chain([Priced::OnNet]).collect()
}

/// Prefixes of its own, one zone of the deck, and on-net.
fn business() -> Vec<Priced> {
    let mut priced = CODES.to_vec();
    priced.extend(["+44", "+4420", "+447700900", "+1415"].map(Priced::Prefix));
    priced.extend([Priced::Zone("MOBILE-B"), Priced::OnNet]);
    priced
}

/// A few shallow prefixes.
fn flat() -> Vec<Priced> {
    let mut priced = CODES.to_vec();
    priced.extend(["+44", "+447", "+1"].map(Priced::Prefix));
    priced
}

/// Which destinations a folder of tariff files holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destinations {
    /// Raw numbers: on-net by each own number in full.
    Raw,
    /// `<prefix>~<zone>[~ONNET]`.
    Public,
}

/// Writes the CSV files of one engine.
pub fn write(folder: &Path, destinations: Destinations) {
    fs::create_dir_all(folder).unwrap();
    let file = |name: &str, rows: String| fs::write(folder.join(name), rows).unwrap();
    file(
        "Timings.csv",
        "PEAK,*any,*any,*any,1;2;3;4;5,08:00:00\nNIGHT,*any,*any,*any,1;2;3;4;5,00:00:00\n\
         EVENING,*any,*any,*any,1;2;3;4;5,19:00:00\nWEEKEND,*any,*any,*any,6;7,00:00:00\n"
            .to_owned(),
    );
    let [mut targets, mut rates, mut charged, mut plans, mut profiles] = [const { String::new() }; 5];
    destination_rows(destinations, &mut targets);
    for (nth, (plan, priced)) in [("RETAIL", retail()), ("BUSINESS", business()), ("FLAT", flat())]
        .into_iter()
        .enumerate()
    {
        plan_rows(nth, plan, &priced, &mut rates, &mut charged);
        for (timing, when) in [("PEAK", "P"), ("NIGHT", "O"), ("EVENING", "O"), ("WEEKEND", "O")] {
            writeln!(plans, "{plan},{plan}-{when},{timing},10").unwrap();
        }
    }
    for account in 0..calls::ACCOUNTS {
        let plan = ["RETAIL", "BUSINESS", "FLAT"][account % 3];
        writeln!(
            profiles,
            "cgrates.org,call,{},2020-01-01T00:00:00Z,{plan},",
            calls::account(account)
        )
        .unwrap();
    }
    file("Destinations.csv", targets);
    file("Rates.csv", rates);
    file("DestinationRates.csv", charged);
    file("RatingPlans.csv", plans);
    file("RatingProfiles.csv", profiles);
}

fn destination_rows(destinations: Destinations, rows: &mut String) {
    for prefix in ["+44", "+4420", "+447", "+447700900", "+1", "+1415"] {
        writeln!(rows, "P{},{prefix}", &prefix[1..]).unwrap();
    }
    for &(prefix, zone) in DECK {
        match destinations {
            Destinations::Raw => writeln!(rows, "{zone},{prefix}").unwrap(),
            Destinations::Public => public_rows(prefix, zone, rows),
        }
    }
    if destinations == Destinations::Raw {
        for number in OWN.iter() {
            writeln!(rows, "ONNET,+{number}").unwrap();
        }
    }
}

/// The zone under the row's own prefix and every shorter one: how much of it comes out depends on how many
/// numbers share it.
fn public_rows(prefix: &str, zone: &str, rows: &mut String) {
    let shortest = prefix.len() - prefix.trim_start_matches('+').len() + 1;
    for length in shortest..=prefix.len() {
        let prefix = &prefix[..length];
        writeln!(rows, "{zone},{prefix}~{zone}\nONNET,{prefix}~{zone}~ONNET").unwrap();
    }
}

fn plan_rows(nth: usize, plan: &str, priced: &[Priced], rates: &mut String, charged: &mut String) {
    for (at, priced) in priced.iter().enumerate() {
        let target = match priced {
            Priced::Zone(zone) => (*zone).to_owned(),
            Priced::OnNet => "ONNET".to_owned(),
            Priced::Prefix(prefix) => format!("P{}", &prefix[1..]),
        };
        for (when, (fee, minute, first, further)) in ["P", "O"].iter().zip(rate(nth, at)) {
            let name = format!("{plan}-{target}-{when}");
            writeln!(rates, "{name},{fee},{minute},60s,{first}s,0s").unwrap();
            if further != first {
                writeln!(rates, "{name},0,{minute},60s,{further}s,{first}s").unwrap();
            }
            writeln!(charged, "{plan}-{when},{target},{name},*up,4,0,").unwrap();
        }
    }
}

/// Different for every plan and target, so that a wrong destination shows in the price.
fn rate(plan: usize, at: usize) -> Rate {
    const FEES: [&str; 4] = ["0", "0.05", "0.13", "0.21"];
    const MINUTES: [&str; 23] = [
        "0.0113", "0.0231", "0.0347", "0.0459", "0.0573", "0.0687", "0.0791", "0.0903", "0.1019", "0.1133",
        "0.1247", "0.1361", "0.1471", "0.1583", "0.1697", "0.1811", "0.1927", "0.2039", "0.2153", "0.2267",
        "0.2381", "0.2503", "0.2617",
    ];
    const STEPS: [(u32, u32); 5] = [(60, 60), (60, 30), (60, 1), (30, 30), (1, 1)];
    let pick = |shift: usize| {
        let (first, further) = STEPS[(at + plan + shift) % STEPS.len()];
        let minute = MINUTES[(at + 7 * plan + 11 * shift) % MINUTES.len()];
        (FEES[(at + shift) % FEES.len()], minute, first, further)
    };
    [pick(0), pick(1)]
}
