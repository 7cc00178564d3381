//! The built-in presets, tried over a sample.
//!
//! To accept the records is not enough: columns of another order may do that too. What a preset keeps as a time
//! or a duration must look like one, and its parties must be there.

use std::sync::Arc;

use crate::cdr::Reason;
use crate::cdr::identifier::Kind;
use crate::cdr::learn::draft::{Draft, Line, quoted};
use crate::cdr::learn::looks::Look;
use crate::cdr::learn::names::{self, Says};
use crate::cdr::learn::profile::{self, Profile, Profiles};
use crate::cdr::learn::propose::{Country, PLACEHOLDER};
use crate::cdr::learn::start::{day_and_month, zone_or_placeholder};
use crate::cdr::learn::trial::Outcome;
use crate::cdr::learn::{Examples, FITS, Known, OTHER_FORM, Sample, Tried, table, times, tree, trial, tune};
use crate::cdr::policy::{Action, CallTime, Format, Policy, preset_names};

/// Records that presets are tried on.
const TRIED_ON: u64 = 500;
/// The same columns in the order of Asterisk's cdr_custom.conf as it ships.
const CDR_CUSTOM: &str = r#"columns = ["clid", "src", "dst", "dcontext", "channel", "dstchannel", "lastapp", "lastdata", "start", "answer", "end", "duration", "billsec", "disposition", "amaflags", "accountcode", "uniqueid", "userfield", "sequence"]"#;

/// Presets that are read by a header row: title rows above it have to be named.
const NAMED: [&str; 6] = ["cucm", "cucm-cmr", "fcs-uk", "gamma", "kazoo-csv", "mobile"];

/// A preset with lines of the site's own.
struct Candidate {
    told: String,
    draft: Draft,
    outcome: Outcome,
    /// Fields of the preset that hold something.
    filled: usize,
    /// Whether times had to be read in another way than the preset's.
    bent: bool,
}

/// Tries all presets; the one that fits best, as a draft.
pub(super) fn recognise(
    sample: &Sample<'_>,
    known: &Known<'_>,
) -> (Vec<Tried>, Option<(Draft, &'static str)>) {
    let mut told = Vec::new();
    let mut best: Option<Candidate> = None;
    // opensips is kamailio under another name.
    for name in preset_names().filter(|name| *name != "opensips") {
        for (variant, lines) in variants(sample, name) {
            let label = if variant.is_empty() {
                name.to_owned()
            } else {
                format!("{name} ({variant})")
            };
            let (tried, candidate) = attempt(sample, known, name, label, lines);
            // A variant that is nothing is not worth a line.
            if variant.is_empty() || candidate.is_some() {
                told.push(tried);
            }
            if let Some(candidate) = candidate
                && best
                    .as_ref()
                    .is_none_or(|known: &Candidate| candidate.rank() > known.rank())
            {
                best = Some(candidate);
            }
        }
    }
    let found = best.and_then(|best| {
        let mut draft = best.draft;
        draft.notes.insert(
            0,
            format!(
                "Recognised as {}; `cdrveil explain` shows what becomes of every field.",
                best.told
            ),
        );
        let preset = draft.preset?;
        Some((draft, preset))
    });
    (told, found)
}

impl Candidate {
    fn rank(&self) -> (bool, u64, usize) {
        (
            !self.bent,
            self.outcome.accepted * 1_000 / self.outcome.records.max(1),
            self.filled,
        )
    }
}

/// Lines to lay over a preset where sites are known to differ: none, another order, another delimiter.
fn variants(sample: &Sample<'_>, name: &str) -> Vec<(&'static str, Vec<Line>)> {
    let mut found = vec![("", Vec::new())];
    if tree::is_json(sample.bytes) {
        return found;
    }
    if name == "asterisk" {
        let line = Line::with(CDR_CUSTOM, "cdr_custom: the caller's id first, the account 16th.");
        found.push(("cdr_custom", vec![line]));
    }
    if NAMED.contains(&name)
        && let Some((line, _)) = table::titles(sample.bytes)
    {
        found.push(("behind title rows", vec![line]));
    }
    if let Ok(table) = table::table(sample) {
        let delimiter = quoted(&char::from(table.dialect.delimiter).to_string());
        let line = Line::with(
            format!("delimiter = {delimiter}"),
            "Another delimiter than the preset's.",
        );
        let own = if name == "kamailio" { b'|' } else { b',' };
        if table.dialect.delimiter != own {
            found.push(("another delimiter", vec![line]));
        }
    }
    found
}

fn attempt(
    sample: &Sample<'_>,
    known: &Known<'_>,
    name: &'static str,
    label: String,
    lines: Vec<Line>,
) -> (Tried, Option<Candidate>) {
    let mut tried = Tried {
        name: label.clone(),
        records: 0,
        accepted: 0,
        verdict: String::new(),
    };
    let result = fit(sample, known, name, lines, &mut tried);
    match result {
        Ok((draft, outcome, filled, bent)) => {
            "fits".clone_into(&mut tried.verdict);
            let candidate = Candidate {
                told: label,
                draft,
                outcome,
                filled,
                bent,
            };
            (tried, Some(candidate))
        }
        Err(why) => {
            tried.verdict = why;
            (tried, None)
        }
    }
}

type Fit = (Draft, Outcome, usize, bool);

/// The preset as a draft for this sample, or why it is none.
fn fit(
    sample: &Sample<'_>,
    known: &Known<'_>,
    name: &'static str,
    lines: Vec<Line>,
    tried: &mut Tried,
) -> Result<Fit, String> {
    let mut draft = Draft {
        preset: Some(name),
        input: lines,
        ..Draft::default()
    };
    let mut policy = with_needs(&mut draft, known).ok_or("its settings do not go together")?;
    if matches!(policy.format, Format::Json { .. }) != tree::is_json(sample.bytes) {
        return Err(OTHER_FORM.to_owned());
    }
    let mut outcome = trial::run(&policy, sample, TRIED_ON);
    tell(tried, &outcome);
    if outcome.refused.keys().all(|(reason, _)| no_such_record(*reason)) && outcome.accepted == 0 {
        return Err(OTHER_FORM.to_owned());
    }
    let country = known.country.unwrap_or(PLACEHOLDER);
    let looked = |policy: &Policy, country: &str| {
        profile::profiles(policy, sample, country, Examples::Hidden, TRIED_ON).ok_or("unknown country")
    };
    let profiles = looked(&policy, country)?;
    if draft.numbers.iter().any(|line| line.text.starts_with("country")) {
        let country = Country::of(known, &profiles);
        draft.set_number(Line::with(
            format!("country = {}", quoted(&country.name)),
            country.comment,
        ));
    }
    let filled = plausible(&policy, &profiles)?;
    let mut bent = false;
    if outcome
        .refused
        .iter()
        .any(|((reason, _), count)| *reason == Reason::Time && count * 2 > outcome.records)
    {
        let line = other_time(&policy, &profiles, country).ok_or("the call's time is not where it stands")?;
        draft.input.push(line);
        bent = true;
        policy = with_needs(&mut draft, known).ok_or("its time is written in another way")?;
    }
    // Only spellings of numbers may differ from site to site; everything else is another format.
    draft = tune::tuned(sample, draft);
    if let Ok(tuned) = trial::load(&draft.text()) {
        policy = Arc::new(tuned);
    }
    outcome = trial::run(&policy, sample, TRIED_ON);
    tell(tried, &outcome);
    // A record without a time is rejected under any policy: it says nothing against this one.
    let blank = match policy.time {
        CallTime::Field(at) => u64::from(profiles.fields[at].blank),
        _ => 0,
    };
    let readable = outcome.records.saturating_sub(blank);
    if outcome.accepted * 100 < readable * FITS
        || outcome.accepted * 2 < outcome.records
        || outcome.accepted == 0
    {
        let worst = outcome.told().into_iter().next().unwrap_or_default();
        return Err(format!("too many are rejected: {worst}"));
    }
    Ok((draft, outcome, filled, bent))
}

fn tell(tried: &mut Tried, outcome: &Outcome) {
    tried.records = outcome.records;
    tried.accepted = outcome.accepted;
}

fn no_such_record(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::Format | Reason::Columns | Reason::UnknownField | Reason::TooLarge
    )
}

/// Adds the zone and the country where the preset cannot do without, or where they were said.
fn with_needs(draft: &mut Draft, known: &Known<'_>) -> Option<Arc<Policy>> {
    let has_zone = |draft: &Draft| draft.input.iter().any(|line| line.text.starts_with("time.zone"));
    let with_zone = |draft: &mut Draft| {
        let (zone, comment) = zone_or_placeholder(known.zone);
        draft
            .input
            .push(Line::with(format!("time.zone = {}", quoted(zone)), comment));
    };
    let load = |draft: &Draft| trial::load(&draft.text()).ok();
    for (zone, country) in [(false, false), (false, true), (true, false), (true, true)] {
        let mut attempt = draft.clone();
        if (country || known.country.is_some()) && !attempt.has_number("country") {
            let name = known.country.unwrap_or(PLACEHOLDER);
            attempt.set_number(Line::new(format!("country = {}", quoted(name))));
        }
        if zone && !has_zone(&attempt) {
            with_zone(&mut attempt);
        }
        let Some(mut policy) = load(&attempt) else {
            continue;
        };
        if known.zone.is_some() && policy.zone.is_some() && !has_zone(&attempt) {
            with_zone(&mut attempt);
            policy = load(&attempt)?;
        }
        *draft = attempt;
        return Some(Arc::new(policy));
    }
    None
}

/// Whether what the preset says of its fields holds; how many of them hold something.
fn plausible(policy: &Policy, profiles: &Profiles) -> Result<usize, String> {
    let fields = || policy.fields.iter().zip(&profiles.fields);
    let joined = matches!(policy.time, CallTime::Joined(_));
    let starts = |profile: &Profile| joined || profile.is_times();
    if !policy
        .time
        .fields()
        .iter()
        .any(|at| starts(&profiles.fields[*at]) && profiles.fields[*at].values > 0)
    {
        return Err("the call's time is not where it stands".to_owned());
    }
    for (field, profile) in fields() {
        let kept = matches!(field.action, Action::Keep);
        if kept && !keeps_its_word(&field.name, profile, joined) {
            return Err(format!("its field \"{}\" holds something else", field.name));
        }
    }
    let is_phone = |action: &Action| matches!(action, Action::Pseudonymise(how) if how.kind == Kind::Phone);
    let parties: Vec<_> = fields()
        .filter(|(field, profile)| is_phone(&field.action) && profile.values > 0)
        .collect();
    if parties.is_empty() {
        return Err("none of its parties' numbers is there".to_owned());
    }
    // Words and codes alone are another column, or parties that no billing could tell apart.
    let digits = |profile: &Profile| (profile.phones.numbers() + profile.phones.short) * 10 >= profile.values;
    if let Some((field, _)) = parties
        .iter()
        .find(|(_, profile)| !digits(profile) && profile.values >= 3)
        && !parties.iter().any(|(_, profile)| digits(profile))
    {
        return Err(format!("its field \"{}\" holds no numbers", field.name));
    }
    let durations: Vec<_> = fields()
        .filter(|(field, _)| names::says(&field.name) == Says::Duration)
        .collect();
    if !durations.is_empty() && durations.iter().all(|(_, profile)| profile.values == 0) {
        return Err("there is no duration: other events than calls".to_owned());
    }
    let filled = fields().filter(|(_, profile)| profile.values > 0).count();
    if filled * 5 < policy.fields.len() {
        return Err("few of its fields are there".to_owned());
    }
    Ok(filled)
}

/// Whether a kept field that is called a time or a duration is one.
fn keeps_its_word(name: &str, profile: &Profile, joined: bool) -> bool {
    let lower = name.to_ascii_lowercase();
    if profile.values == 0
        || profile.values == profile.zeros
        || ["zone", "band"].iter().any(|word| lower.contains(word))
    {
        return true;
    }
    match names::says(name) {
        Says::Start | Says::Time => {
            profile.is_times() || (joined && (profile.day().is_some() || profile.clock().is_some()))
        }
        Says::Duration => profile.mostly(&[Look::Whole, Look::Decimal, Look::Span, Look::Code]),
        _ => true,
    }
}

/// `time.format` as the sample has it, where that is not the preset's.
fn other_time(policy: &Policy, profiles: &Profiles, country: &str) -> Option<Line> {
    let CallTime::Field(at) = policy.time else {
        return None;
    };
    let profile = &profiles.fields[at];
    let spelling = profile.time()?;
    let (format, comment) = day_and_month(times::WHOLE[spelling], profile.whole[spelling], country);
    let mut line = Line::with(
        format!("time.format = {}", quoted(&format)),
        "Times are written in another way than the preset's (a spreadsheet's, perhaps).",
    );
    line.comments.extend(comment);
    let csv = matches!(policy.format, Format::Csv(_));
    csv.then_some(line)
}
