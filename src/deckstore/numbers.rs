//! Lists of numbers, one a line, and ported numbers with their network, `number,network`.
//!
//! Numbers may be spelt as in the source's records; each is hashed as soon as it is read.

use crate::deckstore::Text;
use crate::deckstore::table::Table;
use crate::number::{Canonicaliser, E164, Reading, ported};
use crate::pseudonym::list::{ListKey, NumberSet, NumberWords};
use crate::settings::Fault;

/// Bytes of the longest network.
const MAX_NETWORK: usize = 64;

/// Reads a list of numbers. A number written twice counts once.
///
/// # Errors
///
/// Every fault, each at its line and column.
pub(super) fn set(file: &Text, reader: &mut Canonicaliser, key: &ListKey) -> Result<NumberSet, Vec<Fault>> {
    let mut table = Table::new(file);
    let mut set = NumberSet::default();
    let mut first = true;
    while table.advance() {
        let header = std::mem::take(&mut first) && table.cell(0).eq_ignore_ascii_case("number");
        if table.width() != 1 {
            table.fault_at(1, "one number a line, and nothing behind it");
        } else if !header && let Some(number) = number(&mut table, reader) {
            set.add(key.tag(number.digits()));
        }
    }
    table.finish(set)
}

/// Reads the list of ported numbers.
///
/// # Errors
///
/// Every fault, each at its line and column; a number with two networks is one.
pub(super) fn words(
    file: &Text,
    reader: &mut Canonicaliser,
    key: &ListKey,
) -> Result<NumberWords, Vec<Fault>> {
    let mut table = Table::new(file);
    let mut words = NumberWords::default();
    let mut first = true;
    while table.advance() {
        if std::mem::take(&mut first) && table.cell(0).eq_ignore_ascii_case("number") {
            if !table.cell(1).eq_ignore_ascii_case("network") || table.width() != 2 {
                table.fault_at_row("the header row of ported numbers is number,network");
            }
            continue;
        }
        if table.width() != 2 {
            table.fault_at_row("a row of ported numbers is number,network");
            continue;
        }
        let Some(number) = number(&mut table, reader) else {
            continue;
        };
        let network = table.cell(1);
        if network.is_empty() || network.len() > MAX_NETWORK || network.chars().any(char::is_control) {
            table.fault_at(
                1,
                format!("the network is 1 to {MAX_NETWORK} characters without control characters"),
            );
        } else if ported::holds(network.as_bytes(), &number) {
            table.fault_at(
                1,
                "the network holds the number's own digits, and it is public: write the network's code alone",
            );
        } else if !words.add(key.tag(number.digits()), network) {
            table.fault_at(
                0,
                "the number has a network already, further up: keep one of the two rows",
            );
        }
    }
    table.finish(words)
}

/// Reads a list of what is dialled, with the place of each entry in the text.
///
/// # Errors
///
/// Rows of more than one value.
pub(super) fn dialled(file: &Text) -> Result<Vec<(usize, String)>, Vec<Fault>> {
    let mut table = Table::new(file);
    let mut list = Vec::new();
    while table.advance() {
        if table.width() == 1 {
            let at = table.start();
            list.push((at, table.cell(0).to_owned()));
        } else {
            table.fault_at(1, "one number a line, and nothing behind it");
        }
    }
    table.finish(list)
}

/// The number of the row at hand; told as a fault where there is none.
fn number(table: &mut Table<'_>, reader: &mut Canonicaliser) -> Option<E164> {
    let found = match reader.read(table.cell(0).as_bytes()) {
        Reading::Number(number) => Some(number),
        _ => None,
    };
    if found.is_none() {
        table.fault_at(
            0,
            "not a subscriber's number as [numbers] reads it: write it with + and its country code",
        );
    }
    found
}
