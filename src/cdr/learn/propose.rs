//! A policy for records of no known system: shape, time, and an action for every field.

use crate::cdr::csv::Dialect;
use crate::cdr::learn::draft::{Draft, FieldLine, Line, RESTRICT, quoted};
use crate::cdr::learn::names::{self, Says};
use crate::cdr::learn::profile::{self, LOOKED_AT, Profile, Profiles};
use crate::cdr::learn::start::{self, Start};
use crate::cdr::learn::table::{self, Table};
use crate::cdr::learn::tree::{self, Tree};
use crate::cdr::learn::verdict::{Does, Field, verdict};
use crate::cdr::learn::{Known, LearnError, Sample, trial};

/// Where no number says otherwise.
pub(super) const PLACEHOLDER: &str = "GB";
/// More paths than these are told only where they are not restricted: `unlisted` seals the others.
const MOST_PATHS: usize = 150;

enum Shape {
    Csv(Table),
    Json(Tree),
}

/// A draft for records of no known system.
///
/// # Errors
///
/// No columns, no objects, or no time in them.
pub(super) fn proposal(sample: &Sample<'_>, known: &Known<'_>) -> Result<Draft, LearnError> {
    let shape = if tree::is_json(sample.bytes) {
        Shape::Json(tree::tree(sample)?)
    } else {
        Shape::Csv(table::table(sample)?)
    };
    let profiles = look(sample, known, &shape)?;
    let country = Country::of(known, &profiles);
    let records = profiles.records;
    let mut fields = shape.fields(profiles);
    let time = start::start(&fields, records, &country.name).ok_or_else(|| {
        LearnError::new(
            1,
            format!(
                "none of its {} fields reads as the time of a call in a format that is tried (rfc3339, unix, 2026-11-05 09:15:00, 05/11/2025 09:15 and the like): write the policy by hand, or give a sample with calls",
                fields.len()
            ),
        )
    })?;
    name_the_nameless(&mut fields, &time);
    Ok(draft(&shape, fields, &time, &country, known))
}

/// Reads the fields under a policy that restricts all of them: it finds them, and shows nothing.
fn look(sample: &Sample<'_>, known: &Known<'_>, shape: &Shape) -> Result<Profiles, LearnError> {
    let names = shape.names();
    let single = names.iter().find(|name| !name.contains("[]"));
    let no_records = || LearnError::new(1, "its records have no fields: give a sample with some calls");
    let first = single.ok_or_else(no_records)?;
    let mut probe = Draft {
        input: shape.input(&names),
        ..Draft::default()
    };
    probe.input.push(Line::new(format!(
        "time = {{ field = {}, format = \"unix\" }}",
        quoted(first)
    )));
    probe.fields.extend(names.iter().map(|name| FieldLine {
        name: name.clone(),
        action: RESTRICT.to_owned(),
        reason: String::new(),
        examples: Vec::new(),
    }));
    let policy = trial::load(&probe.text()).map_err(|_| no_records())?;
    let profiles = |country: &str| profile::profiles(&policy, sample, country, known.examples, LOOKED_AT);
    let mut found = profiles(known.country.unwrap_or(PLACEHOLDER)).ok_or_else(no_records)?;
    if let (None, Some((country, ..))) = (known.country, found.country()) {
        found = profiles(country).unwrap_or(found);
    }
    if found.records == 0 {
        return Err(LearnError::new(
            2,
            "no record stands in what is read (a header row alone, or one that does not end): give a sample with some calls",
        ));
    }
    Ok(found)
}

/// The country of national numbers, and how it is known.
pub(super) struct Country {
    pub(super) name: String,
    pub(super) comment: String,
}

impl Country {
    pub(super) fn of(known: &Known<'_>, profiles: &Profiles) -> Self {
        match (known.country, profiles.country()) {
            (Some(name), _) => Self {
                name: name.to_owned(),
                comment: "As you said: what a national number means.".to_owned(),
            },
            (None, Some((name, count, all))) => Self {
                name: name.to_owned(),
                comment: format!(
                    "A GUESS: {count} of {all} numbers with a country code are of it. Say what a national number means here."
                ),
            },
            (None, None) => Self {
                name: PLACEHOLDER.to_owned(),
                comment: "NOT KNOWN, a placeholder: say what a national number means here (ISO 3166)."
                    .to_owned(),
            },
        }
    }
}

impl Shape {
    fn names(&self) -> Vec<String> {
        match self {
            Self::Json(tree) => tree.paths.clone(),
            Self::Csv(table) => {
                let name = |(at, name): (usize, &Option<String>)| {
                    name.clone().unwrap_or_else(|| format!("c{}", at + 1))
                };
                table.names.iter().enumerate().map(name).collect()
            }
        }
    }

    fn fields(&self, profiles: Profiles) -> Vec<Field> {
        let has_name = |at: usize| match self {
            Self::Json(_) => true,
            Self::Csv(table) => table.names.get(at).is_some_and(Option::is_some),
        };
        let field = |(at, (name, profile)): (usize, (String, Profile))| {
            let says = if has_name(at) {
                names::says(&name)
            } else {
                Says::Nothing
            };
            Field {
                verdict: verdict(says, &profile),
                name: if has_name(at) { name } else { String::new() },
                says,
                profile,
            }
        };
        self.names()
            .into_iter()
            .zip(profiles.fields)
            .enumerate()
            .map(field)
            .collect()
    }

    /// `[input]` without the time.
    fn input(&self, names: &[String]) -> Vec<Line> {
        match self {
            Self::Json(tree) => json_input(tree),
            Self::Csv(table) => csv_input(table, names),
        }
    }
}

fn json_input(tree: &Tree) -> Vec<Line> {
    let mut lines = vec![Line::new("format = \"json\"")];
    if let Some(records) = &tree.records {
        lines.push(Line::with(
            format!("records = {}", quoted(records)),
            "The list that wraps the calls: each element is a record.",
        ));
        if tree.largest > 1 << 20 {
            lines.push(Line::new("max_record = \"8MiB\""));
        }
    }
    lines.push(Line::with(
        "unlisted = \"restrict\"",
        "Members without a line below are sealed.",
    ));
    lines
}

fn csv_input(table: &Table, names: &[String]) -> Vec<Line> {
    let mut lines = vec![Line::new("format = \"csv\"")];
    let Dialect {
        delimiter,
        quote,
        comment,
        escape,
    } = table.dialect;
    let byte = |byte: u8| quoted(&char::from(byte).to_string());
    if delimiter != b',' {
        lines.push(Line::new(format!("delimiter = {}", byte(delimiter))));
    }
    if quote != Some(b'"') {
        let quote = quote.map_or_else(|| quoted(""), byte);
        lines.push(Line::new(format!("quote = {quote}")));
    }
    lines.extend(comment.map(|comment| Line::new(format!("comment = {}", byte(comment)))));
    lines.extend(escape.map(|escape| Line::new(format!("escape = {}", byte(escape)))));
    if table.is_named() {
        let comment = "Columns are found by the header row, in any order; without one in every payload: header = \"none\".";
        lines.push(Line::with("header = \"name\"", comment));
    } else if table.header {
        let comment = "A header row with blank, repeated or hidden names, or rows of several lengths: columns go by their place.";
        lines.push(Line::with("header = \"skip\"", comment));
    }
    lines.extend(table.titles.clone());
    let list: Vec<String> = names.iter().map(|name| quoted(name)).collect();
    lines.push(Line::new(format!("columns = [{}]", list.join(", "))));
    if table.least < table.columns {
        let comment = "Shorter rows were seen: the last columns may be missing.";
        lines.push(Line::with(format!("min_columns = {}", table.least), comment));
    }
    lines
}

/// Columns without a name get one by what they hold.
fn name_the_nameless(fields: &mut [Field], time: &Start) {
    let mut phones = 0;
    let only_phone = fields
        .iter()
        .filter(|field| field.verdict.does == Does::Phone)
        .count()
        == 1;
    for at in 0..fields.len() {
        if !fields[at].name.is_empty() {
            phones += usize::from(fields[at].verdict.does == Does::Phone);
            continue;
        }
        let wanted = match fields[at].verdict.does {
            _ if time.fields.first() == Some(&at) => "start".to_owned(),
            Does::Phone => {
                phones += 1;
                if only_phone {
                    &["number"][..]
                } else {
                    &["caller", "called"]
                }
                .get(phones - 1)
                .copied()
                .unwrap_or("number")
                .to_owned()
            }
            _ if fields[at].verdict.name.is_empty() => format!("c{}", at + 1),
            _ => fields[at].verdict.name.to_owned(),
        };
        let taken = |name: &str| fields.iter().any(|field| field.name == name);
        let free = (2..=fields.len() + 1)
            .map(|n| format!("{wanted}_{n}"))
            .find(|name| !taken(name));
        fields[at].name = if taken(&wanted) {
            free.unwrap_or_default()
        } else {
            wanted
        };
    }
}

/// Of the parties, which one calls and which one is called.
struct Parties {
    caller: Option<usize>,
    called: Vec<usize>,
}

impl Parties {
    fn of(fields: &[Field]) -> Self {
        let phones: Vec<usize> = (0..fields.len())
            .filter(|at| fields[*at].verdict.does == Does::Phone)
            .collect();
        let says = |wanted: Says| {
            phones
                .iter()
                .copied()
                .filter(move |at| fields[*at].says == wanted)
        };
        let mut reached: Vec<usize> = says(Says::Called).collect();
        let caller = says(Says::Caller).next();
        // The only party may be the called one: rating reads it.
        if phones.len() == 1 && caller.is_none() {
            reached.clone_from(&phones);
        }
        let caller = caller.or_else(|| phones.iter().copied().find(|at| !reached.contains(at)));
        if reached.is_empty() {
            let other = |at: &usize| Some(*at) != caller && fields[*at].says != Says::Caller;
            reached.extend(phones.iter().copied().find(other));
        }
        Self {
            caller,
            called: reached,
        }
    }
}

fn draft(shape: &Shape, fields: Vec<Field>, time: &Start, country: &Country, known: &Known<'_>) -> Draft {
    let names: Vec<String> = fields.iter().map(|field| field.name.clone()).collect();
    let parties = Parties::of(&fields);
    let mut draft = Draft {
        input: shape.input(&names),
        ..Draft::default()
    };
    draft.input.push(time.line(&fields, known.zone));
    let phones: Vec<&Profile> = fields
        .iter()
        .filter(|field| field.verdict.does == Does::Phone)
        .map(|field| &field.profile)
        .collect();
    if phones.is_empty() {
        draft
            .notes
            .push("No field looks like a phone number: make sure that none is one.".to_owned());
    } else {
        draft.numbers = numbers(&phones, country);
    }
    draft.key = parties
        .caller
        .or(parties.called.first().copied())
        .map(|at| names[at].clone())
        .filter(|name| !name.contains("[]"));
    draft.record_id = names
        .iter()
        .any(|name| name == "record_id")
        .then_some("cdrveil_record_id");
    let many = matches!(shape, Shape::Json(_)) && fields.len() > MOST_PATHS;
    if many {
        draft.notes.push(format!(
            "{} members were seen; those that would be sealed have no line, but for \"unlisted\".",
            fields.len()
        ));
    }
    for (at, field) in fields.into_iter().enumerate() {
        let is_time = time.fields.contains(&at);
        if many && field.verdict.does == Does::Restrict && !is_time {
            continue;
        }
        let mut line = line(&field, at, &parties, &names);
        if field.verdict.does == Does::Time && !is_time && !field.profile.is_only_time() {
            RESTRICT.clone_into(&mut line.action);
            "times, but for some values that are none".clone_into(&mut line.reason);
        }
        if is_time {
            "when the call began: rating, and which key is used".clone_into(&mut line.reason);
            "\"keep\"".clone_into(&mut line.action);
        }
        draft.fields.push(line);
    }
    draft
}

fn line(field: &Field, at: usize, parties: &Parties, names: &[String]) -> FieldLine {
    let list = field.name.ends_with("[]");
    let token =
        |kind: &str, derive: &str| format!("{{ action = \"pseudonymise\", kind = \"{kind}\"{derive} }}");
    let action = match field.verdict.does {
        Does::Keep | Does::Time => "\"keep\"".to_owned(),
        Does::Restrict => RESTRICT.to_owned(),
        Does::Token(kind) => token(kind, ""),
        Does::Phone => {
            let free = |what: &str| !names.contains(&format!("{}_{what}", field.name));
            let derive = parties.called.contains(&at) && !list && free("class") && free("country");
            token(
                "phone",
                if derive {
                    ", derive = [\"class\", \"country\"]"
                } else {
                    ""
                },
            )
        }
    };
    let role = if parties.caller == Some(at) {
        "caller: "
    } else if parties.called.contains(&at) {
        "called: "
    } else {
        ""
    };
    FieldLine {
        name: field.name.clone(),
        action,
        reason: format!("{role}{}", field.verdict.reason),
        examples: field.profile.examples.clone(),
    }
}

/// `[numbers]` by how the sample's numbers are written.
fn numbers(phones: &[&Profile], country: &Country) -> Vec<Line> {
    let sum = |count: fn(&Profile) -> u32| phones.iter().map(|profile| count(profile)).sum::<u32>();
    let mut lines = vec![Line::with(
        format!("country = {}", quoted(&country.name)),
        country.comment.clone(),
    )];
    let national = (sum(|p| p.phones.national_valid), sum(|p| p.phones.national));
    let international = (
        sum(|p| p.phones.international_valid),
        sum(|p| p.phones.international),
    );
    if national.1.max(international.1) > 0 {
        let (meaning, count) = if international > national {
            ("international", international)
        } else {
            ("national", national)
        };
        let other = if meaning == "national" {
            international.1
        } else {
            national.1
        };
        lines.push(Line::with(
            format!("bare = \"{meaning}\""),
            format!(
                "A guess: {} values without +, 00 or 0 read as {meaning} numbers ({} in a range of the plan), {other} the other way. Make sure.",
                count.1, count.0
            ),
        ));
    }
    let short = sum(|p| p.phones.short);
    if short > 0 {
        lines.push(Line::with(
            "# extensions = { digits = [3, 5], tenant = \"site\" }",
            format!("{short} values have six digits or fewer and come out as _short, all alike: where they are extensions, say so:"),
        ));
    }
    lines
}
