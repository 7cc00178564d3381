//! The rate deck's file: `prefix,zone[,class][,valid_from][,valid_to]`, by the names in its header row.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::cdr::rating::RatingFiles;
use crate::deckstore::Text;
use crate::deckstore::table::Table;
use crate::number::Class;
use crate::number::deck::{Deck, DeckBuilder, DeckFault, DeckRow, Kept};
use crate::settings::Fault;

const COLUMNS: [&str; 5] = ["prefix", "zone", "class", "valid_from", "valid_to"];

/// The most warnings told of one sort.
const MOST_TOLD: usize = 20;

/// Places of the columns in the file.
struct Columns {
    prefix: usize,
    zone: usize,
    class: Option<usize>,
    from: Option<usize>,
    to: Option<usize>,
}

/// A row's fault, told already.
struct Told;

/// Reads a deck; with warnings, each at its line.
///
/// # Errors
///
/// Every fault, each at its line and column.
pub(super) fn read(file: &Text, files: &RatingFiles) -> Result<(Deck, Vec<Fault>), Vec<Fault>> {
    let mut table = Table::new(file);
    let Some(columns) = header(&mut table) else {
        return table.finish(()).and_then(|()| {
            Err(vec![file.fault(
                0,
                "the deck is empty: write prefix,zone in its first row, and the prefixes below",
            )])
        });
    };
    let width = table.width();
    let mut builder = DeckBuilder::new(files.min_block);
    let mut starts = Vec::new();
    while table.advance() {
        if table.width() != width {
            table.fault_at_row(format!(
                "the row has {} values, the header row names {}",
                table.width(),
                width
            ));
            continue;
        }
        let start = table.start();
        if row(&mut table, &columns, &files.zone, &mut builder).is_ok() {
            starts.push(start);
        }
    }
    if !table.is_faulty() && !builder.has_numbers() {
        table.fault(
            0,
            "no prefix begins with +, so no number would have a zone: write +44 for numbers, digits alone for service codes",
        );
    }
    let lone = warnings(file, &starts, &builder.lone_numbers());
    match builder.finish() {
        Ok(deck) => table.finish((deck, lone)),
        Err(clashes) => {
            for (at, fault) in clashes {
                let start = starts.get(at).copied().unwrap_or_default();
                let message = match fault {
                    DeckFault::Overlap { other } | DeckFault::Gap { other } => {
                        format!(
                            "{fault} (line {})",
                            file.line(starts.get(other).copied().unwrap_or_default())
                        )
                    }
                    _ => fault.to_string(),
                };
                table.fault(start, message);
            }
            table.finish(()).and(Err(Vec::new()))
        }
    }
}

/// The zones that hold one number.
fn warnings(file: &Text, starts: &[usize], lone: &[usize]) -> Vec<Fault> {
    let warn = |&row: &usize| {
        file.fault(
            starts[row],
            "no other number has this row's zone, so whoever reads the zone knows the number: give it a zone that others share",
        )
    };
    let mut told: Vec<Fault> = lone.iter().take(MOST_TOLD).map(warn).collect();
    if lone.len() > MOST_TOLD {
        let more = format!("{} more zones hold a single number", lone.len() - MOST_TOLD);
        told.push(Fault::whole(file.path(), more));
    }
    told
}

/// The rows of a former deck whose prefixes the new one lacks.
///
/// # Errors
///
/// As [`read`].
pub(super) fn lacking(former: &Text, files: &RatingFiles, deck: &Deck) -> Result<Vec<Fault>, Vec<Fault>> {
    read(former, files)?;
    let mut table = Table::new(former);
    let columns = header(&mut table);
    let (mut told, mut count) = (Vec::new(), 0);
    while let (Some(columns), true) = (&columns, table.advance()) {
        let start = table.start();
        let message = match deck.keeps(table.cell(columns.prefix)) {
            Kept::Yes => continue,
            Kept::Shorter => "the new deck lacks this prefix: a shorter one prices its numbers now",
            Kept::No => "the new deck lacks this prefix: its numbers have no zone now",
        };
        count += 1;
        if count <= MOST_TOLD {
            told.push(former.fault(start, message));
        }
    }
    if count > MOST_TOLD {
        let more = format!("{} more prefixes are not in the new deck", count - MOST_TOLD);
        told.push(Fault::whole(former.path(), more));
    }
    Ok(told)
}

/// The columns that the header row names.
fn header(table: &mut Table<'_>) -> Option<Columns> {
    if !table.advance() {
        return None;
    }
    let mut places = [None; COLUMNS.len()];
    let mut unknown = false;
    for at in 0..table.width() {
        let name = table.cell(at).to_ascii_lowercase();
        match COLUMNS.iter().position(|known| *known == name) {
            Some(known) if places[known].is_none() => places[known] = Some(at),
            Some(_) => {
                table.fault_at(at, format!("the column \"{name}\" is named twice"));
                unknown = true;
            }
            // Not shown: without a header row it is a prefix.
            None => {
                table.fault_at(
                    at,
                    format!(
                        "the first row names the columns, and this is none of a deck's ({})",
                        COLUMNS.join(", ")
                    ),
                );
                unknown = true;
            }
        }
    }
    let [Some(prefix), Some(zone), class, from, to] = places else {
        if !unknown {
            table.fault_at_row("the header row must name prefix and zone");
        }
        return None;
    };
    (!unknown).then_some(Columns {
        prefix,
        zone,
        class,
        from,
        to,
    })
}

/// Adds the row at hand.
fn row(
    table: &mut Table<'_>,
    columns: &Columns,
    zone: &TimeZone,
    builder: &mut DeckBuilder,
) -> Result<(), Told> {
    let class = columns.class.map_or(Ok(None), |at| class_of(table, at))?;
    let from = columns.from.map_or(Ok(None), |at| moment(table, at, zone))?;
    let to = columns.to.map_or(Ok(None), |at| moment(table, at, zone))?;
    let key = table.cell(columns.prefix).to_owned();
    let added = builder.add(&DeckRow {
        key: &key,
        zone: table.cell(columns.zone),
        class,
        from,
        to,
    });
    added.map_err(|fault| {
        let at = match fault {
            DeckFault::Zone | DeckFault::ZoneDigits => columns.zone,
            DeckFault::Window => columns.to.unwrap_or(columns.prefix),
            _ => columns.prefix,
        };
        table.fault_at(at, fault.to_string());
        Told
    })
}

/// Blank is no class.
fn class_of(table: &mut Table<'_>, at: usize) -> Result<Option<Class>, Told> {
    let word = table.cell(at);
    if word.is_empty() {
        return Ok(None);
    }
    let class = Class::named(word);
    if class.is_none() {
        let known = Class::ALL.map(Class::as_str).join(", ");
        table.fault_at(at, format!("the class is unknown ({known})"));
    }
    class.map(Some).ok_or(Told)
}

/// A date is its first moment in the zone of `[input] time`, or in UTC. Blank is no bound.
fn moment(table: &mut Table<'_>, at: usize, zone: &TimeZone) -> Result<Option<i64>, Told> {
    let text = table.cell(at);
    if text.is_empty() {
        return Ok(None);
    }
    let read = match text.parse::<Date>() {
        Ok(date) if text.len() == "2026-12-01".len() => {
            date.to_zoned(zone.clone()).ok().map(|moment| moment.timestamp())
        }
        _ => text.parse::<Timestamp>().ok(),
    };
    let Some(moment) = read else {
        let cure =
            "not a date or a moment: write 2026-12-01 or 2026-12-01T00:00:00Z (RFC 3339, with its offset)";
        table.fault_at(at, cure);
        return Err(Told);
    };
    Ok(Some(moment.as_millisecond()))
}
