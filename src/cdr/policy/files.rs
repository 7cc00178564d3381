//! `[numbers] deck, own, payers, ports, emergency, voicemail`: which files the policy names, and which it lacks.

use std::ops::Range;
use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use toml::Spanned;

use crate::cdr::policy::Derived;
use crate::cdr::policy::check::Checker;
use crate::cdr::policy::settings::{FieldSettings, InputSettings};
use crate::cdr::rating::{ListName, NamedFile, RatingFiles};
use crate::number::{Dialling, NumberSettings};

impl Checker<'_> {
    /// The files, by their paths relative to the policy.
    pub(super) fn rating_files(
        &mut self,
        numbers: Option<&NumberSettings>,
        input: &InputSettings,
    ) -> RatingFiles {
        let folder = self.source.path.parent().unwrap_or(Path::new(""));
        let named = |list: ListName| {
            let numbers = numbers?;
            let (path, span) = match list {
                ListName::Deck => whole(numbers.deck.as_ref()?),
                ListName::Own => whole(numbers.own.as_ref()?),
                ListName::Payers => whole(numbers.payers.as_ref()?),
                ListName::Ports => whole(numbers.ports.as_ref()?),
                ListName::Emergency => of_dialling(numbers.emergency.as_ref()?)?,
                ListName::Voicemail => of_dialling(numbers.voicemail.as_ref()?)?,
            };
            Some(NamedFile {
                list,
                path: folder.join(path),
                span,
            })
        };
        let named: Vec<_> = ListName::ALL.into_iter().filter_map(named).collect();
        let min_block = numbers.and_then(|numbers| numbers.min_block.as_ref());
        if let Some(zero) = min_block.filter(|min_block| *min_block.get_ref() == 0) {
            self.fault(
                zero.span(),
                "[numbers] min_block: write how many numbers must share a prefix for it to be public, such as 1000",
            );
        }
        RatingFiles {
            source: self.source.clone(),
            named,
            min_block: min_block.map_or(RatingFiles::MIN_BLOCK, |min_block| *min_block.get_ref()),
            // A wrong name is told where the zone is read.
            zone: input
                .time
                .get_ref()
                .zone
                .as_ref()
                .and_then(|zone| TimeZone::get(zone.get_ref()).ok())
                .unwrap_or(TimeZone::UTC),
        }
    }

    /// A value that is looked up in a file that is not there would be blank in every record.
    pub(super) fn missing_files(
        &mut self,
        typed: &[(Spanned<String>, Spanned<FieldSettings>)],
        files: &RatingFiles,
    ) {
        for (name, field) in typed {
            for word in &field.get_ref().0.derive {
                let derived = Derived::ALL
                    .into_iter()
                    .find(|derived| derived.as_str() == word.get_ref());
                let Some(list) = derived.and_then(Derived::file) else {
                    continue;
                };
                if files.named.iter().all(|named| named.list != list) {
                    let list = list.as_str();
                    self.fault(
                        word.span(),
                        format!(
                            "fields.{}: derive \"{}\" is looked up in a file: name it, as [numbers] {list} = \"{list}.csv\" (docs/numbers.md)",
                            name.get_ref(),
                            word.get_ref()
                        ),
                    );
                }
            }
        }
    }
}

fn whole(setting: &Spanned<PathBuf>) -> (&Path, Range<usize>) {
    (setting.get_ref(), setting.span())
}

fn of_dialling(setting: &Spanned<Dialling>) -> Option<(&Path, Range<usize>)> {
    match setting.get_ref() {
        Dialling::File(path) => Some((path, setting.span())),
        Dialling::Here(_) => None,
    }
}
