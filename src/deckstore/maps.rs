//! Mapping files: `key,value`, or `prefix,value` where keys are addresses.

use crate::cdr::mapping::{KeyKind, Map, MapBuilder, MapFault, MapRule};
use crate::deckstore::Text;
use crate::deckstore::table::Table;
use crate::settings::Fault;

/// Reads a map.
///
/// # Errors
///
/// Every fault, each at its line and column.
pub(super) fn read(file: &Text, rule: &MapRule) -> Result<Map, Vec<Fault>> {
    let mut table = Table::new(file);
    let mut builder = MapBuilder::new(rule.kind, rule.min_keys);
    let mut starts = Vec::new();
    let mut first = true;
    while table.advance() {
        if std::mem::take(&mut first) && is_header(&mut table, rule.kind) {
            continue;
        }
        if table.width() != 2 {
            table.fault_at_row("a row of a map is its key and its value, nothing behind it");
            continue;
        }
        let (start, key) = (table.start(), table.cell(0).to_owned());
        match builder.add(&key, table.cell(1)) {
            Ok(()) => starts.push(start),
            Err(fault) => table.fault_at(column(fault), told(file, &starts, fault)),
        }
    }
    if !table.is_faulty() && starts.is_empty() {
        table.fault(
            0,
            "the map is empty, so every value would be blank: write key,value in its rows",
        );
    }
    if table.is_faulty() {
        // Without the refused rows a value may seem to stand for too few keys.
        return table.finish(()).and(Err(Vec::new()));
    }
    match builder.finish() {
        Ok(map) => table.finish(map),
        Err(faults) => {
            for (row, fault) in faults {
                table.fault(starts[row], told(file, &starts, fault));
            }
            table.finish(()).and(Err(Vec::new()))
        }
    }
}

fn is_header(table: &mut Table<'_>, kind: KeyKind) -> bool {
    let key = table.cell(0);
    let named =
        key.eq_ignore_ascii_case("key") || (kind == KeyKind::Ip && key.eq_ignore_ascii_case("prefix"));
    named && table.cell(1).eq_ignore_ascii_case("value")
}

fn column(fault: MapFault) -> usize {
    match fault {
        MapFault::Key | MapFault::Address | MapFault::HostBits | MapFault::Taken { .. } => 0,
        MapFault::Value
        | MapFault::ValueDigits
        | MapFault::ValueHoldsKey
        | MapFault::ValueIsKey
        | MapFault::FewKeys { .. } => 1,
    }
}

fn told(file: &Text, starts: &[usize], fault: MapFault) -> String {
    match fault {
        MapFault::Taken { other } => format!("{fault} (line {})", file.line(starts[other])),
        _ => fault.to_string(),
    }
}
