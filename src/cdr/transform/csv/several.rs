//! Values that hold several identifiers between separators, such as `Chain: Ext.101;07700900001;`.
//!
//! The separators are the policy's own words and stay. All else is read as identifiers of the field's kind, and
//! replaced: what is none of that kind rejects the record, as it would alone.

use std::ops::Range;

use crate::cdr::csv;
use crate::cdr::csv::Dialect;
use crate::cdr::policy::Pseudonymise;
use crate::cdr::transform::Step;
use crate::cdr::transform::csv::CsvScratch;
use crate::cdr::{Reason, Refusal};

/// A stretch of a value.
#[derive(Debug, PartialEq, Eq)]
enum Stretch {
    Separator(Range<usize>),
    Element(Range<usize>),
}

impl CsvScratch {
    /// Writes the value of a field with separators.
    pub(super) fn several(
        &mut self,
        step: &mut Step<'_>,
        dialect: Dialect,
        how: &Pseudonymise,
        at: usize,
    ) -> Result<(), Refusal> {
        let served = self.served(how);
        let value = csv::value(dialect, step.record, self.cells[at], &mut self.unquoted);
        self.written.clear();
        for stretch in stretches(&how.separators, value) {
            match stretch {
                Stretch::Separator(range) => self.written.extend_from_slice(&value[range]),
                Stretch::Element(range) => {
                    let refused = |reason: Reason| Refusal::at(reason, at);
                    let identity = step
                        .pseudonyms
                        .read(how, &value[range.clone()])
                        .map_err(refused)?;
                    self.elements.push((at, identity, range));
                    step.pseudonyms
                        .write(how, identity, served, step.origin.record_id, &mut self.written)
                        .map_err(refused)?;
                }
            }
        }
        self.place(step, dialect, at)
    }

    /// Tells the guard what stood between separators.
    pub(super) fn elements(&mut self, step: &mut Step<'_>, dialect: Dialect) {
        let policy = step.policy;
        for (at, identity, range) in &self.elements {
            let value = csv::value(dialect, step.record, self.cells[*at], &mut self.unquoted);
            step.taken_out(&policy.fields[*at].action, *identity, &value[range.clone()]);
        }
    }
}

/// Cuts a value at the separators, the first that fits at each place.
fn stretches<'a>(separators: &'a [Vec<u8>], value: &'a [u8]) -> impl Iterator<Item = Stretch> + 'a {
    let separator = |at: usize| {
        let here = |separator: &&Vec<u8>| value[at..].starts_with(separator);
        separators.iter().find(here).map(Vec::len)
    };
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at;
        if start == value.len() {
            return None;
        }
        if let Some(length) = separator(start) {
            at += length;
            return Some(Stretch::Separator(start..at));
        }
        while at < value.len() && separator(at).is_none() {
            at += 1;
        }
        Some(Stretch::Element(start..at))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cdr::transform::layout_tests::{load, pass};
    use crate::cdr::transform::tests::START;

    #[test]
    fn parties_between_separators_have_the_tokens_they_have_alone() {
        let policy = |chain: &str| {
            load(format!(
                "[input]\nformat = \"csv\"\ncolumns = [\"t\", \"a\", \"chain\", \"k\"]\n\
                 time = {{ field = \"t\", format = \"unix\" }}\n\
                 [numbers]\ncountry = \"GB\"\n[output]\nrecord_id = false\n[fields]\nt = \"keep\"\nk = \"keep\"\n\
                 a = {{ action = \"pseudonymise\", kind = \"phone\" }}\n\
                 chain = {{ action = \"pseudonymise\", kind = \"phone\", {chain} }}\n"
            ))
        };
        let chain = "separators = [\"Chain: \", \";\"]";
        for (chain, row, expected) in [
            (
                chain,
                "Chain: +447700900001;07700900002; 999;",
                "@,*,Chain: *;*;_emergency;, | ",
            ),
            (chain, "", "@,*,, | "),
            (chain, ";;", "@,*,;;, | "),
            (chain, "07700900001", "@,*,*, | "),
            (chain, "Chain: 07700900001;nobody 7700900002", "!number"),
            // Quoted where a separator makes it so, sealed whole where it is asked for.
            (
                "separators = \",\", escrow = true",
                "\"07700900001,07700900002\"",
                "@,*,\"*,*\", | chain=07700900001,07700900002",
            ),
        ] {
            let told = pass(policy(chain), &format!("{START},07700900001,{row},\n"));
            assert_eq!(told, [expected.replace('@', &START.to_string())], "{row}");
        }
        // The guard knows all of them.
        for (kept, told) in [("x447700900002x", "!leak"), ("447700900009", "")] {
            let row = format!("{START},07700900001,07700900003;07700900002,{kept}\n");
            let found = pass(policy(chain), &row);
            assert!(
                found[0].starts_with(told) && (told.is_empty() != (found[0] == "!leak")),
                "{found:?}"
            );
        }
        let two = pass(
            policy(chain),
            &format!("{START},07700900001,,\n{START},,07700900001;,\n"),
        );
        assert_eq!(two, [format!("{START},*,, | "), format!("{START},,*;, | ")]);
    }

    #[test]
    fn every_byte_is_a_separators_or_an_elements() {
        let separators = [b"Chain: ".to_vec(), b";".to_vec()];
        for (value, expected) in [
            ("", vec![]),
            (";", vec![";"]),
            ("a", vec!["(a)"]),
            ("Chain: a;b;", vec!["Chain: ", "(a)", ";", "(b)", ";"]),
            ("Chain:a;;b", vec!["(Chain:a)", ";", ";", "(b)"]),
            ("Chain: Chain: ", vec!["Chain: ", "Chain: "]),
        ] {
            let found: Vec<String> = stretches(&separators, value.as_bytes())
                .map(|stretch| match stretch {
                    Stretch::Separator(range) => value[range].to_owned(),
                    Stretch::Element(range) => format!("({})", &value[range]),
                })
                .collect();
            assert_eq!(found, expected, "{value}");
        }
    }
}
