//! One field's line: its action with the settings that belong to it, and no others.

use std::ops::Range;

use toml::Spanned;

use crate::cdr::coarsen::Coarsen;
use crate::cdr::identifier::Kind;
use crate::cdr::mapping::MapRule;
use crate::cdr::policy::check::Checker;
use crate::cdr::policy::settings::{FieldSettings, FieldTable, FormatSettings, Formats, InputSettings};
use crate::cdr::policy::{Action, Derived, Field, Pseudonymise, Scope};

const ACTIONS: [&str; 5] = ["keep", "pseudonymise", "restrict", "coarsen", "drop"];

/// The action a near spelling means: `pseudonymize`, `Keep`, `restricted`.
fn meant(word: &str) -> Option<&'static str> {
    let word = word.to_ascii_lowercase().replace("ize", "ise");
    ACTIONS
        .into_iter()
        .find(|action| word.starts_with(action) || (word.len() > 3 && action.starts_with(&word)))
}

impl Checker<'_> {
    pub(super) fn action(
        &mut self,
        name: &str,
        field: &Spanned<FieldSettings>,
        names: &[&str],
        kinds: &mut Vec<&'static str>,
        input: &InputSettings,
    ) -> Option<Action> {
        let table = &field.get_ref().0;
        let (word, span) = match (&table.word, &table.action) {
            (Some(word), _) => (word.as_str(), field.span()),
            (None, Some(action)) => (action.get_ref().as_str(), action.span()),
            (None, None) => {
                self.fault(
                    field.span(),
                    format!("fields.{name}: no action (keep, pseudonymise, restrict, coarsen, drop)"),
                );
                return None;
            }
        };
        if ACTIONS.contains(&word) {
            self.misplaced(name, word, table);
        }
        match word {
            "keep" => Some(Action::Keep),
            "restrict" => Some(Action::Restrict),
            "drop" => Some(Action::Drop),
            "pseudonymise" => self.pseudonymise(name, field.span(), table, names, kinds, input),
            "coarsen" => self.coarsen(name, field.span(), table, input),
            _ => {
                let meant =
                    meant(word).map_or_else(String::new, |action| format!("; did you mean \"{action}\"?"));
                self.fault(span, format!("fields.{name}: action \"{word}\" is unknown (keep, pseudonymise, restrict, coarsen, drop){meant}"));
                None
            }
        }
    }

    /// A setting that its action does not read is a misunderstanding: refused.
    fn misplaced(&mut self, name: &str, word: &str, table: &FieldTable) {
        let only = |action: &str| word != action;
        let mut wrong: Vec<(&str, Range<usize>)> = Vec::new();
        let mut note = |setting: &'static str, span: Option<Range<usize>>, misplaced: bool| {
            if let (Some(span), true) = (span, misplaced) {
                wrong.push((setting, span));
            }
        };
        note(
            "kind",
            table.kind.as_ref().map(Spanned::span),
            only("pseudonymise"),
        );
        note(
            "scope",
            table.scope.as_ref().map(Spanned::span),
            only("pseudonymise"),
        );
        note(
            "with",
            table.with.as_ref().map(Spanned::span),
            only("pseudonymise"),
        );
        note("derive", table.derive.first().map(Spanned::span), word == "keep");
        note(
            "separators",
            table.separators.as_ref().map(Spanned::span),
            only("pseudonymise"),
        );
        note("to", table.to.as_ref().map(Spanned::span), only("coarsen"));
        note("step", table.step.as_ref().map(Spanned::span), only("coarsen"));
        note(
            "prefix",
            table.prefix.as_ref().map(Spanned::span),
            only("coarsen"),
        );
        note(
            "prefix6",
            table.prefix6.as_ref().map(Spanned::span),
            only("coarsen"),
        );
        note(
            "format",
            table.format.as_ref().map(Spanned::span),
            only("coarsen"),
        );
        let escrow = table.action.as_ref().map(Spanned::span);
        note(
            "escrow",
            escrow,
            table.escrow && only("pseudonymise") && only("coarsen"),
        );
        for (setting, span) in wrong {
            self.fault(
                span,
                format!("fields.{name}: \"{setting}\" means nothing for action \"{word}\": remove it"),
            );
        }
    }

    fn pseudonymise(
        &mut self,
        name: &str,
        span: Range<usize>,
        table: &FieldTable,
        names: &[&str],
        kinds: &mut Vec<&'static str>,
        input: &InputSettings,
    ) -> Option<Action> {
        let known = Kind::ALL.map(Kind::as_str).join(", ");
        let kind = match &table.kind {
            None => {
                self.fault(
                    span,
                    format!("fields.{name}: pseudonymise needs kind = \"..\" ({known})"),
                );
                return None;
            }
            Some(word) => {
                let Some(kind) = Kind::named(word.get_ref()) else {
                    self.fault(
                        word.span(),
                        format!("fields.{name}: kind \"{}\" is unknown ({known})", word.get_ref()),
                    );
                    return None;
                };
                kind
            }
        };
        let scope = self.scope(name, &span, table, names)?;
        let derive = match kind {
            Kind::Phone => self.derived(name, table, input),
            _ => Vec::new(),
        };
        let separators = self.separators(name, table, input);
        let mac = kinds
            .iter()
            .position(|&known| known == kind.as_str())
            .unwrap_or_else(|| {
                kinds.push(kind.as_str());
                kinds.len() - 1
            });
        Some(Action::Pseudonymise(Pseudonymise {
            kind,
            scope,
            derive,
            escrow: table.escrow,
            mac,
            separators,
        }))
    }

    fn separators(&mut self, name: &str, table: &FieldTable, input: &InputSettings) -> Vec<Vec<u8>> {
        let Some(setting) = &table.separators else {
            return Vec::new();
        };
        let separators = setting.get_ref().as_slice();
        let mut wrong =
            |fault: &str| self.fault(setting.span(), format!("fields.{name}: separators {fault}"));
        if separators.is_empty() || separators.iter().any(String::is_empty) {
            wrong("is what stands between the identifiers of one value, such as [\"Chain: \", \";\"]");
        }
        if *input.format.get_ref() == FormatSettings::Json {
            wrong("is for CSV: a JSON value holds one identifier");
        }
        if !table.derive.is_empty() {
            wrong("and derive do not go together: several numbers have no one value");
        }
        separators
            .iter()
            .map(|separator| separator.as_bytes().to_vec())
            .collect()
    }

    fn scope(
        &mut self,
        name: &str,
        span: &Range<usize>,
        table: &FieldTable,
        names: &[&str],
    ) -> Option<Scope> {
        let word = table
            .scope
            .as_ref()
            .map_or("domain", |scope| scope.get_ref().as_str());
        match (word, &table.with) {
            ("pairwise", None) => {
                self.fault(
                    span.clone(),
                    format!(
                        "fields.{name}: scope \"pairwise\" needs with = \"..\": the field of the served party"
                    ),
                );
                None
            }
            ("pairwise", Some(with)) if with.get_ref() == name => {
                self.fault(
                    with.span(),
                    format!("fields.{name}: with names the field itself; name the served party's field"),
                );
                None
            }
            ("pairwise", Some(with)) => self
                .named(with, names, &format!("fields.{name}: with"))
                .map(|with| Scope::Pairwise { with }),
            (_, Some(with)) => {
                self.fault(
                    with.span(),
                    format!("fields.{name}: \"with\" goes with scope = \"pairwise\" only"),
                );
                None
            }
            ("domain", None) => Some(Scope::Domain),
            ("record", None) => Some(Scope::Record),
            (other, None) => {
                let at = table.scope.as_ref().map_or(span.clone(), Spanned::span);
                self.fault(
                    at,
                    format!("fields.{name}: scope \"{other}\" is unknown (domain, pairwise, record)"),
                );
                None
            }
        }
    }

    fn derived(&mut self, name: &str, table: &FieldTable, input: &InputSettings) -> Vec<Derived> {
        let mut derived = Vec::new();
        for word in &table.derive {
            match Derived::ALL
                .into_iter()
                .find(|derived| derived.as_str() == word.get_ref())
            {
                Some(found) if derived.contains(&found) => self.fault(
                    word.span(),
                    format!("fields.{name}: derive names \"{}\" twice", word.get_ref()),
                ),
                Some(found) => derived.push(found),
                None => {
                    let known = Derived::ALL.map(Derived::as_str).join(", ");
                    let message = format!(
                        "fields.{name}: derive \"{}\" is unknown ({known})",
                        word.get_ref()
                    );
                    self.fault(word.span(), message);
                }
            }
        }
        self.place_for_derived(name, table, input);
        derived
    }

    fn place_for_derived(&mut self, name: &str, table: &FieldTable, input: &InputSettings) {
        if let Some(first) = table.derive.first()
            && *input.format.get_ref() == FormatSettings::Json
            && name.ends_with("[]")
        {
            self.fault(
                first.span(),
                format!("fields.{name}: elements of a list have no place beside them for derived values"),
            );
        }
    }

    /// What a field that is no phone number derives: by maps, their places.
    pub(super) fn maps_of(
        &mut self,
        name: &str,
        action: &Action,
        field: &FieldSettings,
        maps: &[MapRule],
        input: &InputSettings,
    ) -> Vec<usize> {
        if matches!(action, Action::Keep)
            || matches!(action, Action::Pseudonymise(how) if how.kind == Kind::Phone)
        {
            return Vec::new();
        }
        let mut found = Vec::new();
        for word in &field.0.derive {
            match maps.iter().position(|map| map.name == *word.get_ref()) {
                Some(map) if found.contains(&map) => self.fault(
                    word.span(),
                    format!("fields.{name}: derive names \"{}\" twice", word.get_ref()),
                ),
                Some(map) => found.push(map),
                None => self.fault(
                    word.span(),
                    format!(
                        "fields.{name}: derive \"{0}\" is no map: what is no phone number derives by one, as [maps.{0}] file = \"{0}.csv\" (docs/numbers.md)",
                        word.get_ref()
                    ),
                ),
            }
        }
        self.place_for_derived(name, &field.0, input);
        found
    }

    fn coarsen(
        &mut self,
        name: &str,
        span: Range<usize>,
        table: &FieldTable,
        input: &InputSettings,
    ) -> Option<Action> {
        self.one_way_to_coarsen(name, table);
        let how = if let Some(to) = &table.to {
            let time = input.time.get_ref();
            if table.format.is_none() && time.join.is_some() {
                self.fault(
                    to.span(),
                    format!("fields.{name}: the call's start time is joined of several fields: say how this one is written, format = \"..\""),
                );
            }
            let format = match &table.format {
                Some(format) => vec![format.get_ref().clone()],
                None => match time.format.get_ref() {
                    Formats::One(one) => vec![one.clone()],
                    Formats::Many(many) => many.clone(),
                },
            };
            Coarsen::time(to.get_ref(), &format).map_err(|error| (to.span(), error))
        } else if let Some(step) = &table.step {
            Coarsen::step(*step.get_ref()).map_err(|error| (step.span(), error))
        } else if let Some(prefix) = &table.prefix {
            let v6 = table.prefix6.as_ref().map_or(48, |prefix| *prefix.get_ref());
            Coarsen::prefix(*prefix.get_ref(), v6).map_err(|error| (prefix.span(), error))
        } else {
            Err((span, "coarsen needs to = \"minute\" | \"hour\" | \"day\" (a time), step = n (a duration or count) or prefix = 24 (an IP address)".to_owned()))
        };
        match how {
            Ok(how) => Some(Action::Coarsen {
                how,
                escrow: table.escrow,
            }),
            Err((span, error)) => {
                self.fault(span, format!("fields.{name}: {error}"));
                None
            }
        }
    }

    /// `to`, `step` and `prefix` are three ways; a setting of one beside another would be ignored.
    fn one_way_to_coarsen(&mut self, name: &str, table: &FieldTable) {
        let ways = [
            ("to", table.to.as_ref().map(Spanned::span)),
            ("step", table.step.as_ref().map(Spanned::span)),
            ("prefix", table.prefix.as_ref().map(Spanned::span)),
        ];
        let mut given = ways.into_iter().filter_map(|(way, span)| Some((way, span?)));
        let Some((first, _)) = given.next() else { return };
        for (other, span) in given {
            self.fault(
                span,
                format!("fields.{name}: coarsen by \"{first}\" or by \"{other}\", not both: remove one"),
            );
        }
        let strays = [
            ("format", "to", table.format.as_ref().map(Spanned::span)),
            ("prefix6", "prefix", table.prefix6.as_ref().map(Spanned::span)),
        ];
        for (setting, way, span) in strays {
            if let Some(span) = span.filter(|_| first != way) {
                self.fault(
                    span,
                    format!("fields.{name}: \"{setting}\" goes with \"{way}\" only"),
                );
            }
        }
    }

    /// `with` must be a pseudonymised single value: its canonical form is what the pair is made of.
    pub(super) fn served_parties(
        &mut self,
        typed: &[(Spanned<String>, Spanned<FieldSettings>)],
        order: &[usize],
        checked: &[Field],
    ) {
        if checked.len() != order.len() {
            return;
        }
        for (field, &at) in checked.iter().zip(order) {
            let Action::Pseudonymise(Pseudonymise {
                scope: Scope::Pairwise { with },
                ..
            }) = &field.action
            else {
                continue;
            };
            let served = &checked[*with];
            let span = typed[at]
                .1
                .get_ref()
                .0
                .with
                .as_ref()
                .map_or(typed[at].1.span(), Spanned::span);
            if !matches!(served.action, Action::Pseudonymise(_)) {
                self.fault(
                    span,
                    format!(
                        "fields.{}: the served party \"{}\" must itself be pseudonymised",
                        field.name, served.name
                    ),
                );
            } else if served.name.contains("[]") || served.action.is_several() {
                self.fault(
                    span,
                    format!(
                        "fields.{}: the served party \"{}\" is a list; a pair needs one value",
                        field.name, served.name
                    ),
                );
            }
        }
    }
}
