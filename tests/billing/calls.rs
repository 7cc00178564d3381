//! Generated calls and customers, with what is true of each: which account pays, and whom it called.
//!
//! Numbers come from the ranges reserved for drama.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::LazyLock;

use fastrand::Rng;

pub const ACCOUNTS: usize = 120;
/// The first so many customers' numbers call, too: nobody calls from a freephone number.
const LINES: usize = 300;
/// The billing system's time zone, and the switch's.
pub const ZONE: &str = "Europe/London";
/// Epochs and when they begin: at the billing cut, in the billing zone.
pub const EPOCHS: [(&str, &str); 4] = [
    ("2025-03", "2025-03-01T00:00:00Z"),
    ("2025-04", "2025-04-01T00:00:00+01:00"),
    ("2025-10", "2025-10-01T00:00:00+01:00"),
    ("2025-11", "2025-11-01T00:00:00Z"),
];

/// What the network's own numbers are: those of customers, but for some that were ported out, and some of
/// another range that were ported in. Numbers that are priced one by one stay out of it.
pub static OWN: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    let home = (0..300).filter(|at| at % 11 != 0).map(mobile);
    let ported_in = (500..600).filter(|at| at % 3 == 0).map(mobile);
    let fixed = (0..60).map(london);
    home.chain(ported_in).chain(fixed).collect()
});

/// Numbers whose calls the called party pays: freephone ones, and lines of a service with a place's number.
/// Freephone numbers of another network are not among them.
pub static PAYERS: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    (0..30)
        .map(freephone)
        .chain((0..60).step_by(10).map(london))
        .collect()
});

pub fn account(at: usize) -> String {
    format!("A-{at:04}")
}

fn mobile(at: usize) -> String {
    format!("447700900{at:03}")
}

fn london(at: usize) -> String {
    format!("44207946{at:04}")
}

fn freephone(at: usize) -> String {
    format!("448081570{at:03}")
}

fn american(at: usize) -> String {
    format!("1415555{:04}", 100 + at)
}

/// The number and its account. Customers who were ported out still pay for calls of before.
pub fn customers() -> Vec<(String, usize)> {
    let numbers = (0..240).map(mobile).chain((0..60).map(london));
    let numbers = numbers.chain((0..30).map(freephone));
    numbers
        .enumerate()
        .map(|(at, number)| (number, at % ACCOUNTS))
        .collect()
}

/// One row of the switch, and the truth.
#[derive(Debug, Clone)]
pub struct Call {
    pub id: String,
    pub correction: bool,
    pub start: String,
    pub seconds: u32,
    /// Who pays.
    pub account: usize,
    /// Whether that is the called party.
    pub reversed: bool,
    /// E.164 with its plus, or a service code.
    pub called: String,
    /// Whether the record cannot be read and has to be rejected.
    pub junk: bool,
    /// As the switch wrote it.
    pub row: String,
}

/// Calls in the order they arrive: late ones, duplicates and corrections at the end.
pub fn calls(count: usize, rng: &mut Rng) -> Vec<Call> {
    let customers = customers();
    let mut calls: Vec<Call> = (0..count).map(|at| call(at, &customers, rng)).collect();
    calls.sort_by(|a, b| a.start.cmp(&b.start));
    let (late, mut arrived): (Vec<_>, Vec<_>) = calls.into_iter().partition(|_| rng.u32(..100) < 3);
    arrived.extend(late);
    let repeated: Vec<_> = arrived.iter().filter(|_| rng.u32(..100) < 2).cloned().collect();
    let corrected: Vec<_> = arrived
        .iter()
        .filter(|call| !call.junk && rng.u32(..100) < 2)
        .cloned()
        .collect();
    arrived.extend(repeated);
    arrived.extend(corrected.into_iter().map(|call| {
        let seconds = call.seconds / 2 + 7;
        let old = format!(",{},{}", call.start, call.seconds);
        let row = call.row.replace(&old, &format!(",{},{seconds}", call.start));
        Call {
            row: row.replace(",call,", ",correction,"),
            correction: true,
            seconds,
            ..call
        }
    }));
    arrived
}

fn call(at: usize, customers: &[(String, usize)], rng: &mut Rng) -> Call {
    let (charged, callers) = customers[rng.usize(..LINES)].clone();
    let target = called(rng);
    let payer = customers
        .iter()
        .find(|(number, _)| target[1..] == **number && PAYERS.contains(number));
    let id = format!("sw1-{at:06}");
    let mut start = start(rng);
    let seconds = *rng
        .choice(&[0, 1, 29, 30, 31, 59, 60, 61, 89, 90, 119, 120, 121])
        .unwrap();
    let seconds = if rng.bool() { seconds } else { rng.u32(1..4_000) };
    let mut charge = spelt(&charged, rng);
    let mut dialled = dialled(&target, rng);
    let caller = match rng.u32(..20) {
        0 => (*rng.choice(&["anonymous", "restricted", "unavailable"]).unwrap()).to_owned(),
        _ => spelt(&charged, rng),
    };
    let junk = rng.u32(..100) < 2;
    if junk {
        match rng.u32(..4) {
            0 => "7700900123".clone_into(&mut charge), // national or international? nobody knows
            1 => "+44 7700".clone_into(&mut charge),
            2 => "2079460123".clone_into(&mut dialled),
            _ => "yesterday".clone_into(&mut start),
        }
    }
    Call {
        row: format!(
            "{id},call,{},{},{},{start},{seconds}",
            csv(&caller),
            csv(&charge),
            csv(&dialled)
        ),
        id,
        correction: false,
        start,
        seconds,
        account: payer.map_or(callers, |(_, account)| *account),
        reversed: payer.is_some(),
        called: target,
        junk,
    }
}

fn called(rng: &mut Rng) -> String {
    match rng.u32(..22) {
        0..9 => format!("+{}", mobile(rng.usize(..1_000))),
        9..14 => format!("+{}", london(rng.usize(..1_000))),
        14..16 => format!("+{}", american(rng.usize(..100))),
        16 => "+442079460958".to_owned(),
        17 => "+447700900777".to_owned(),
        18 => format!("+{}", freephone(rng.usize(..40))),
        19 => format!("+{}", london(10 * rng.usize(..6))),
        _ => (*rng.choice(&["999", "101", "1571", "118118", "116123"]).unwrap()).to_owned(),
    }
}

/// Local time: about the edges of peak, of clock changes and of epochs, and anywhere between.
fn start(rng: &mut Rng) -> String {
    let days: Vec<String> = (24..=31)
        .map(|day| format!("2025-03-{day}"))
        .chain((1..=3).map(|day| format!("2025-04-{day:02}")))
        .chain((20..=31).map(|day| format!("2025-10-{day}")))
        .chain((1..=5).map(|day| format!("2025-11-{day:02}")))
        .collect();
    let (minute, second) = (rng.u32(..60), rng.u32(..60));
    let day = rng.choice(&days).unwrap();
    match rng.u32(..10) {
        0 => format!("{day} 07:{:02}:{second:02}", 58 + minute % 2),
        1 => format!("{day} 18:{:02}:{second:02}", 58 + minute % 2),
        // 01:00 to 02:00 does not exist on 30 March, and is there twice on 26 October
        2 => format!("2025-03-30 {:02}:{minute:02}:{second:02}", rng.u32(..3)),
        3 => format!("2025-10-26 {:02}:{minute:02}:{second:02}", rng.u32(..3)),
        4 => {
            let (cut, hour) = *rng
                .choice(&[
                    ("2025-03-31", 23),
                    ("2025-04-01", 0),
                    ("2025-10-31", 23),
                    ("2025-11-01", 0),
                ])
                .unwrap();
            format!(
                "{cut} {hour:02}:{:02}:{second:02}",
                if hour == 0 { 0 } else { 59 }
            )
        }
        _ => format!("{day} {:02}:{minute:02}:{second:02}", rng.u32(..24)),
    }
}

/// E.164 digits as some switch or other writes them.
fn spelt(digits: &str, rng: &mut Rng) -> String {
    let national = digits.strip_prefix("44");
    match (rng.u32(..8), national) {
        (0, _) => format!("00{digits}"),
        (1, _) => format!("<sip:+{digits}@sbc.example;user=phone>"),
        (2, _) => format!("tel:+{digits}"),
        (3, _) => format!("\"Smith, J\" <+{digits}>"),
        (4, Some(national)) => format!("0{national}"),
        (5, Some(national)) => format!("0{} {}", &national[..4], &national[4..]),
        (6, Some(_)) => digits.to_owned(),
        _ => format!("+{digits}"),
    }
}

fn dialled(called: &str, rng: &mut Rng) -> String {
    match called.strip_prefix('+') {
        None => called.to_owned(),
        Some(digits) => match (rng.u32(..10), digits.strip_prefix("44")) {
            (0, Some(national)) => format!("1410{national}"), // withholding the caller's number
            _ => spelt(digits, rng),
        },
    }
}

fn csv(value: &str) -> String {
    if value.contains([',', '"']) {
        format!("\"{}\"", value.replace('"', "\"\""))
    } else {
        value.to_owned()
    }
}

/// The customer list of the billing system's owner, with its own habits of spelling.
pub fn customer_file(rng: &mut Rng) -> String {
    let mut file = "account,number,since\n".to_owned();
    for (number, at) in customers() {
        writeln!(file, "{},{},2019", account(at), csv(&spelt(&number, rng))).unwrap();
    }
    file
}
