//! Which field says when a call began, and how it is written.

use crate::cdr::learn::draft::{Line, quoted};
use crate::cdr::learn::names::Says;
use crate::cdr::learn::times;
use crate::cdr::learn::verdict::{Does, Field};
use crate::cdr::time::TimeFormat;

/// Where the call's start stands and how it is written.
pub(super) struct Start {
    /// Indices of fields.
    pub(super) fields: Vec<usize>,
    joined: bool,
    formats: Vec<String>,
    comments: Vec<String>,
}

/// The start of the call: by name, then by being there in every record, then by place.
pub(super) fn start(fields: &[Field], records: u64, country: &str) -> Option<Start> {
    let filled = |field: &Field| u64::from(field.profile.values) * 20 >= records * 19;
    let mut candidates: Vec<(usize, usize)> = fields
        .iter()
        .enumerate()
        .filter(|(_, field)| field.verdict.does == Does::Time && !field.name.contains("[]"))
        .filter_map(|(at, field)| Some((at, field.profile.time()?)))
        .collect();
    candidates.sort_by_key(|(at, spelling)| {
        let field = &fields[*at];
        let unix = times::is_count(times::WHOLE[*spelling]) && field.says == Says::Nothing;
        let named = match field.says {
            Says::Start => 0,
            Says::Nothing => 1,
            _ => 2,
        };
        (!filled(field) || field.profile.zeros > 0, unix, named, *at)
    });
    let mut found = Start {
        fields: Vec::new(),
        joined: false,
        formats: Vec::new(),
        comments: Vec::new(),
    };
    if let Some(&(first, _)) = candidates.first() {
        let enough = filled(&fields[first]);
        for (at, spelling) in candidates.into_iter().take(if enough { 1 } else { 4 }) {
            found.add(
                at,
                times::WHOLE[spelling],
                fields[at].profile.whole[spelling],
                country,
            );
        }
        if !enough {
            found
                .comments
                .push("No field has a time in every record: the first that is not blank counts.".to_owned());
        }
        return Some(found);
    }
    let day = fields
        .iter()
        .position(|field| field.profile.day().is_some() && may_be_time(field))?;
    let clock = fields
        .iter()
        .position(|field| field.profile.clock().is_some() && may_be_time(field))?;
    let (day_at, clock_at) = (fields[day].profile.day()?, fields[clock].profile.clock()?);
    found.add(
        day,
        times::DAYS[day_at],
        fields[day].profile.days[day_at],
        country,
    );
    let format = format!("{} {}", found.formats.pop()?, times::CLOCKS[clock_at]);
    found.formats.push(format);
    found.fields.push(clock);
    found.joined = true;
    Some(found)
}

fn may_be_time(field: &Field) -> bool {
    let by_name = matches!(field.says, Says::Start | Says::Time | Says::Nothing);
    by_name && !field.name.contains("[]")
}

impl Start {
    fn add(&mut self, field: usize, spelling: &str, reads: times::Reads, country: &str) {
        let (format, comment) = day_and_month(spelling, reads, country);
        self.fields.push(field);
        if !self.formats.contains(&format) {
            self.formats.push(format);
        }
        self.comments
            .extend(comment.filter(|comment| !self.comments.contains(comment)));
    }

    /// `time = ..` of `[input]`.
    pub(super) fn line(&self, fields: &[Field], zone: Option<&str>) -> Line {
        let list = |texts: Vec<String>| match texts.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let names = self.fields.iter().map(|at| quoted(&fields[*at].name)).collect();
        let formats: Vec<String> = self.formats.iter().map(|format| quoted(format)).collect();
        let key = if self.joined { "join" } else { "field" };
        let mut line = Line::new(format!(
            "time = {{ {key} = {}, format = {}",
            list(names),
            list(formats)
        ));
        line.comments.clone_from(&self.comments);
        let local =
            |format: &String| TimeFormat::parse_format(format).is_ok_and(|format| format.needs_zone());
        if self.joined || self.formats.iter().any(local) {
            let (zone, comment) = zone_or_placeholder(zone);
            line.text = format!("{}, zone = {}", line.text, quoted(zone));
            line.comments.push(comment);
        }
        line.text.push_str(" }");
        line
    }
}

/// The zone to write, and what to say of it.
pub(super) fn zone_or_placeholder(zone: Option<&str>) -> (&str, String) {
    match zone {
        Some(zone) => (zone, "As you said: where the switch's clock stands.".to_owned()),
        None => (
            "UTC",
            "NOT KNOWN, a placeholder: times have no offset. Say where the switch's clock stands, such as \"Europe/London\": epochs and peak hours hang on it.".to_owned(),
        ),
    }
}

/// Which of day and month comes first, where that can be told; else the country's habit, marked as such.
pub(super) fn day_and_month(spelling: &str, reads: times::Reads, country: &str) -> (String, Option<String>) {
    let Some(other) = times::swapped(spelling) else {
        return (spelling.to_owned(), None);
    };
    if reads.swapped != reads.as_written {
        let month_first = reads.swapped > reads.as_written;
        return (if month_first { other } else { spelling.to_owned() }, None);
    }
    let (first, second) = if country == "US" {
        (other, spelling.to_owned())
    } else {
        (spelling.to_owned(), other)
    };
    let comment = format!(
        "AMBIGUOUS: no day above 12 in the sample, so day and month may be the other way round ({second}). Make sure."
    );
    (first, Some(comment))
}
