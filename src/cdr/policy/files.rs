//! `[numbers] deck, own, payers, ports, emergency, voicemail` and `[maps]`: which files the policy names, and
//! which it lacks.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use toml::Spanned;

use crate::cdr::identifier::Kind;
use crate::cdr::mapping::{KeyKind, MapRule};
use crate::cdr::policy::check::Checker;
use crate::cdr::policy::settings::{FieldSettings, InputSettings, MapSettings};
use crate::cdr::policy::{Derived, Field};
use crate::cdr::rating::{FileName, ListName, NamedFile, RatingFiles};
use crate::number::{Dialling, NumberSettings};

impl Checker<'_> {
    /// The files, by their paths relative to the policy.
    pub(super) fn rating_files(
        &mut self,
        numbers: Option<&NumberSettings>,
        maps: BTreeMap<Spanned<String>, MapSettings>,
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
                file: FileName::List(list),
                path: folder.join(path),
                span,
            })
        };
        let mut named: Vec<_> = ListName::ALL.into_iter().filter_map(named).collect();
        let maps = self.maps(folder, maps, &mut named);
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
            maps,
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

    /// The maps in the policy's order; their files behind the `named` ones.
    fn maps(
        &mut self,
        folder: &Path,
        maps: BTreeMap<Spanned<String>, MapSettings>,
        named: &mut Vec<NamedFile>,
    ) -> Vec<MapRule> {
        let mut typed: Vec<_> = maps.into_iter().collect();
        typed.sort_by_key(|(name, _)| name.span().start);
        let mut rules = Vec::new();
        for (name, map) in typed {
            if !is_word(name.get_ref()) {
                self.fault(
                    name.span(),
                    format!(
                        "[maps.{}]: the name stands behind the field's in the appended column: small letters, digits and _, at most 32, a letter first",
                        name.get_ref()
                    ),
                );
            }
            if let Some(zero) = map.min_keys.as_ref().filter(|least| *least.get_ref() == 0) {
                self.fault(
                    zero.span(),
                    format!(
                        "[maps.{}] min_keys: how many keys a value stands for at least, from 1",
                        name.get_ref()
                    ),
                );
            }
            named.push(NamedFile {
                file: FileName::Map(rules.len()),
                path: folder.join(map.file.get_ref()),
                span: map.file.span(),
            });
            rules.push(MapRule {
                name: name.into_inner(),
                kind: map.kind.unwrap_or(KeyKind::Text),
                min_keys: map.min_keys.map_or(MapRule::MIN_KEYS, Spanned::into_inner),
            });
        }
        rules
    }

    /// A map that no field asks is a misunderstanding: refused.
    pub(super) fn unused_maps(&mut self, checked: &[Field], files: &RatingFiles) {
        for named in &files.named {
            if let FileName::Map(at) = named.file
                && checked.iter().all(|field| !field.maps.contains(&at))
            {
                let name = &files.maps[at].name;
                self.fault(
                    named.span.clone(),
                    format!("[maps.{name}]: no field derives it: write derive = [\"{name}\"] in a field's line, or remove the map"),
                );
            }
        }
    }

    /// A value that is looked up in a file that is not there would be blank in every record.
    pub(super) fn missing_files(
        &mut self,
        typed: &[(Spanned<String>, Spanned<FieldSettings>)],
        files: &RatingFiles,
    ) {
        let phones = typed.iter().filter(|(_, field)| is_phone(field.get_ref()));
        for (name, field) in phones {
            for word in &field.get_ref().0.derive {
                let derived = Derived::ALL
                    .into_iter()
                    .find(|derived| derived.as_str() == word.get_ref());
                let Some(list) = derived.and_then(Derived::file) else {
                    continue;
                };
                if files.named.iter().all(|named| named.file != FileName::List(list)) {
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

fn is_phone(field: &FieldSettings) -> bool {
    let kind = field.0.kind.as_ref();
    kind.is_some_and(|kind| kind.get_ref() == Kind::Phone.as_str())
}

/// Whether it can end a column's name.
fn is_word(name: &str) -> bool {
    let other = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    name.starts_with(|first: char| first.is_ascii_lowercase()) && name.len() <= 32 && name.bytes().all(other)
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
