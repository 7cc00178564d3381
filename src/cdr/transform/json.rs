//! The transform of one JSON object: members changed in place, removed or
//! appended; every other byte as it came.

mod previous;

use std::ops::Range;

use crate::cdr::json::{self, Edit, Member, Paths, Place, Scalar, Scanner, Spelling, Splicer};
use crate::cdr::policy::{Action, CallTime, Pseudonymise, Unlisted};
use crate::cdr::transform::Step;
use crate::cdr::transform::pseudonyms::Identity;
use crate::cdr::{Reason, Refusal};
use crate::pseudonym::keyring::EpochIndex;
use crate::seal::fields::{self, FieldKind};

/// Buffers kept from record to record.
#[derive(Default)]
pub(super) struct JsonScratch {
    scanner: Scanner,
    splicer: Splicer,
    spelling: Spelling,
    members: Vec<Member>,
    identities: Vec<Identity>,
    edits: Vec<Edit>,
    /// New bytes of this record, for the edits to point into.
    arena: Vec<u8>,
    text: Vec<u8>,
    written: Vec<u8>,
    name: String,
}

impl JsonScratch {
    pub(super) fn record(
        &mut self,
        mut step: Step<'_>,
        paths: &Paths,
        unlisted: Unlisted,
    ) -> Result<EpochIndex, Refusal> {
        self.scanner
            .scan(step.record, paths, &mut self.members)
            .map_err(|_| Reason::Format)?;
        if unlisted == Unlisted::Reject && self.members.iter().any(|member| member.path.is_none()) {
            return Err(Reason::UnknownField.into());
        }
        self.begin(&mut step)?;
        self.identify(&mut step)?;
        self.spelling.restart();
        self.edits.clear();
        self.arena.clear();
        for at in 0..self.members.len() {
            self.member(&mut step, unlisted, at)?;
        }
        self.appended(&mut step);
        if step.policy.previous.any() {
            self.previous(&mut step)?;
        }
        self.guard(&mut step)?;
        self.splicer
            .splice(step.record, &self.edits, &self.arena, &mut step.out.public);
        Ok(step.pseudonyms.epoch())
    }

    /// By the first segment's start where the record has one, else by its own.
    fn begin(&mut self, step: &mut Step<'_>) -> Result<(), Refusal> {
        let policy = step.policy;
        if let Some(first) = policy.first_time_field {
            let member = self.members.iter().find(|member| index(member) == Some(first));
            match member.map(|member| json::scalar(&step.record[member.value()], &mut self.text)) {
                None | Some(Scalar::Null) => {}
                Some(Scalar::Text(start) | Scalar::Number(start)) if start.trim_ascii().is_empty() => {}
                Some(Scalar::Text(start) | Scalar::Number(start)) => return step.begin(start, first),
                Some(Scalar::Bool | Scalar::Container) => return Err(Refusal::at(Reason::Time, first)),
            }
        }
        let joined = matches!(policy.time, CallTime::Joined(_));
        let fields = policy.time.fields();
        self.written.clear();
        for &field in fields {
            let found = self.members.iter().find(|member| index(member) == Some(field));
            let value = match found.map(|found| json::scalar(&step.record[found.value()], &mut self.text)) {
                Some(Scalar::Text(value) | Scalar::Number(value)) => value.trim_ascii(),
                None | Some(Scalar::Null) => b"",
                Some(Scalar::Bool | Scalar::Container) => return Err(Refusal::at(Reason::Time, field)),
            };
            if joined {
                self.written.extend_from_slice(value);
                self.written.push(b' ');
            } else if !value.is_empty() {
                return step.begin(value, field);
            }
        }
        step.begin(&self.written, fields[0])
    }

    /// Reads every identifier first: a pair's token needs its served party, wherever that stands.
    fn identify(&mut self, step: &mut Step<'_>) -> Result<(), Refusal> {
        self.identities.clear();
        for member in &self.members {
            let field = index(member).unwrap_or(usize::MAX);
            let identity = match step.policy.fields.get(field).map(|field| &field.action) {
                Some(Action::Pseudonymise(how)) => {
                    match json::scalar(&step.record[member.value()], &mut self.text) {
                        Scalar::Text(value) | Scalar::Number(value) => step
                            .pseudonyms
                            .read(how, value)
                            .map_err(|reason| Refusal::at(reason, field))?,
                        Scalar::Null => Identity::Empty,
                        Scalar::Bool | Scalar::Container => return Err(Refusal::at(Reason::Number, field)),
                    }
                }
                _ => Identity::Empty,
            };
            self.identities.push(identity);
        }
        Ok(())
    }

    fn member(&mut self, step: &mut Step<'_>, unlisted: Unlisted, at: usize) -> Result<(), Refusal> {
        let member = self.members[at];
        let policy = step.policy;
        let Some(field) = index(&member) else {
            return self.unlisted(step, unlisted, &member, None);
        };
        let refused = |reason| Refusal::at(reason, field);
        match &policy.fields[field].action {
            // What is in an object or a list has names and values that nobody decided to keep.
            Action::Keep if holds_members(&step.record[member.value()]) => {
                return self.unlisted(step, unlisted, &member, Some(field));
            }
            Action::Keep if policy.is_read_as_time(field) => {}
            Action::Keep => {
                let token = &step.record[member.value()];
                step.guard.look(field, json::unescaped(token, &mut self.text));
            }
            Action::Restrict | Action::Drop => self.removed(step, field, member),
            Action::Coarsen { how, .. } => {
                self.written.clear();
                let quoted = match json::scalar(&step.record[member.value()], &mut self.text) {
                    Scalar::Null => return Self::escrow(step, field, &member).map_err(refused),
                    Scalar::Text(value) if value.trim_ascii().is_empty() => {
                        return Self::escrow(step, field, &member).map_err(refused);
                    }
                    Scalar::Text(value) => how.apply(value, &mut self.written).then_some(Quotes::Yes),
                    Scalar::Number(value) => how.apply(value, &mut self.written).then_some(Quotes::No),
                    Scalar::Bool | Scalar::Container => None,
                };
                let quoted = quoted.ok_or(refused(Reason::Number))?;
                step.guard.look(field, &self.written);
                let mut text = self.keep_written(quoted);
                self.mapped_siblings(step, field, &member);
                text.end = self.arena.len();
                self.edits.push(Edit::Replace(member, text));
            }
            Action::Pseudonymise(how) => self.pseudonym(step, how, field, at).map_err(refused)?,
        }
        Self::escrow(step, field, &member).map_err(refused)
    }

    /// A member that no path names.
    fn unlisted(
        &mut self,
        step: &mut Step<'_>,
        unlisted: Unlisted,
        member: &Member,
        field: Option<usize>,
    ) -> Result<(), Refusal> {
        let refused = |reason| Refusal { reason, field };
        match unlisted {
            Unlisted::Reject => return Err(refused(Reason::UnknownField)),
            Unlisted::Restrict => {
                let path = self.spelling.of(step.record, member);
                Self::restrict(step, path, member).map_err(refused)?;
            }
            Unlisted::Drop => {}
        }
        self.edits.push(Edit::Remove(*member));
        Ok(())
    }

    fn pseudonym(
        &mut self,
        step: &mut Step<'_>,
        how: &Pseudonymise,
        field: usize,
        at: usize,
    ) -> Result<(), Reason> {
        let (member, identity) = (self.members[at], self.identities[at]);
        if matches!(identity, Identity::Empty) {
            self.blank(step, member);
            return Ok(());
        }
        let served = self.served(how);
        self.written.clear();
        step.pseudonyms
            .write(how, identity, served, step.origin.record_id, &mut self.written)?;
        if step.policy.key == Some(field) {
            step.out.key.clear();
            step.out.key.extend_from_slice(&self.written);
        }
        let mut text = self.keep_written(Quotes::Yes);
        if step.policy.fields[field].nested && member.place == Place::Member {
            self.siblings(step, how, field, &member, identity);
            self.previous_siblings(step, how, field, at, served)?;
        }
        self.mapped_siblings(step, field, &member);
        text.end = self.arena.len();
        self.edits.push(Edit::Replace(member, text));
        Ok(())
    }

    /// Nothing in, nothing out: but for `null` and blanks, whatever spelt it goes.
    fn blank(&mut self, step: &Step<'_>, member: Member) {
        if let Scalar::Text(text) = json::scalar(&step.record[member.value()], &mut self.text)
            && !text.trim_ascii().is_empty()
        {
            self.written.clear();
            let empty = self.keep_written(Quotes::Yes);
            self.edits.push(Edit::Replace(member, empty));
        }
    }

    /// Derived values of a nested member stand right behind it, in its own object.
    fn siblings(
        &mut self,
        step: &mut Step<'_>,
        how: &Pseudonymise,
        field: usize,
        member: &Member,
        identity: Identity,
    ) {
        for derived in &how.derive {
            self.written.clear();
            step.pseudonyms.derive(identity, *derived, &mut self.written);
            self.sibling(step, field, member, derived.as_str());
        }
    }

    /// The same by maps.
    fn mapped_siblings(&mut self, step: &mut Step<'_>, field: usize, member: &Member) {
        let (policy, of) = (step.policy, &step.policy.fields[field]);
        if of.nested && member.place == Place::Member {
            for &map in &of.maps {
                self.map(step, map, member);
                self.sibling(step, field, member, policy.map_name(map));
            }
        }
    }

    /// What was written, behind a comma and a name of its own.
    fn sibling(&mut self, step: &mut Step<'_>, field: usize, member: &Member, word: &str) {
        step.guard.look(field, &self.written);
        self.keep_sibling(step, member, word);
    }

    fn keep_sibling(&mut self, step: &Step<'_>, member: &Member, word: &str) {
        let name = &step.record[member.name()];
        self.arena.push(b',');
        self.arena.extend_from_slice(&name[..name.len() - 1]);
        self.arena.push(b'_');
        self.arena.extend_from_slice(word.as_bytes());
        self.arena.extend_from_slice(b"\":");
        self.keep_written(Quotes::Yes);
    }

    /// Writes what a map says of the member's value.
    fn map(&mut self, step: &Step<'_>, map: usize, member: &Member) {
        self.written.clear();
        if let Scalar::Text(value) | Scalar::Number(value) =
            json::scalar(&step.record[member.value()], &mut self.text)
        {
            step.pseudonyms.map(map, value, &mut self.written);
        }
    }

    /// The member goes; what maps say of it stays in its place.
    fn removed(&mut self, step: &mut Step<'_>, field: usize, member: Member) {
        let start = self.arena.len();
        self.mapped_siblings(step, field, &member);
        self.edits.push(if self.arena.len() == start {
            Edit::Remove(member)
        } else {
            // Without the comma in front.
            Edit::Instead(member, start + 1..self.arena.len())
        });
    }

    /// Derived values of the record's own members, in the policy's order, then the record id.
    fn appended(&mut self, step: &mut Step<'_>) {
        let policy = step.policy;
        for (at, field) in policy.fields.iter().enumerate() {
            let derive = match &field.action {
                Action::Pseudonymise(how) => &how.derive[..],
                _ => &[],
            };
            if field.nested || (derive.is_empty() && field.maps.is_empty()) {
                continue;
            }
            let Some(place) = self.members.iter().position(|member| index(member) == Some(at)) else {
                continue;
            };
            for derived in derive {
                self.written.clear();
                step.pseudonyms
                    .derive(self.identities[place], *derived, &mut self.written);
                self.append(step, at, derived.as_str());
            }
            for &map in &field.maps {
                let member = self.members[place];
                self.map(step, map, &member);
                self.append(step, at, policy.map_name(map));
            }
        }
        if let Some(name) = &policy.record_id {
            let name = self.keep(&[name.as_bytes()]);
            self.written.clear();
            self.written.extend_from_slice(step.origin.record_id);
            let value = self.keep_written(Quotes::Yes);
            self.edits.push(Edit::Append { name, value });
        }
    }

    /// What was written, as a last member.
    fn append(&mut self, step: &mut Step<'_>, field: usize, word: &str) {
        step.guard.look(field, &self.written);
        self.keep_appended(step, field, word);
    }

    fn keep_appended(&mut self, step: &Step<'_>, field: usize, word: &str) {
        let plain = step.policy.fields[field].plain.as_bytes();
        let name = self.keep(&[plain, b"_", word.as_bytes()]);
        let value = self.keep_written(Quotes::Yes);
        self.edits.push(Edit::Append { name, value });
    }

    fn guard(&mut self, step: &mut Step<'_>) -> Result<(), Refusal> {
        if !step.guard.is_suspicious() {
            return Ok(());
        }
        let policy = step.policy;
        for (member, &identity) in self.members.iter().zip(&self.identities) {
            let token = &step.record[member.value()];
            let value = match token.first() {
                // Some writers escape every + as \u002B.
                Some(b'{' | b'[') => json::unescaped(token, &mut self.text),
                _ => match json::scalar(token, &mut self.text) {
                    Scalar::Text(value) | Scalar::Number(value) => value,
                    Scalar::Bool | Scalar::Null | Scalar::Container => continue,
                },
            };
            let action = index(member).map_or(&Action::Drop, |field| &policy.fields[field].action);
            step.taken_out(action, identity, value);
        }
        step.release()
    }

    fn escrow(step: &mut Step<'_>, field: usize, member: &Member) -> Result<(), Reason> {
        let policy = step.policy;
        if policy.fields[field].action.restricts() {
            Self::restrict(step, &policy.fields[field].name, member)
        } else {
            Ok(())
        }
    }

    fn restrict(step: &mut Step<'_>, path: &str, member: &Member) -> Result<(), Reason> {
        let value = &step.record[member.value()];
        fields::write_field(&mut step.out.restricted, FieldKind::Json, path, value)
            .map_err(|_| Reason::TooLarge)
    }

    /// The identity of a field that stands once in the record; blank where it is absent.
    fn identity_of(&self, field: usize) -> Identity {
        let at = self
            .members
            .iter()
            .position(|member| index(member) == Some(field));
        at.map_or(Identity::Empty, |at| self.identities[at])
    }

    fn keep(&mut self, parts: &[&[u8]]) -> Range<usize> {
        let start = self.arena.len();
        for part in parts {
            self.arena.extend_from_slice(part);
        }
        start..self.arena.len()
    }

    /// What was written, as JSON text in the arena.
    fn keep_written(&mut self, quotes: Quotes) -> Range<usize> {
        let start = self.arena.len();
        match quotes {
            Quotes::Yes => json::write_string(&mut self.arena, &self.written),
            Quotes::No => self.arena.extend_from_slice(&self.written),
        }
        start..self.arena.len()
    }
}

/// Whether a new value is a JSON string.
#[derive(Clone, Copy)]
enum Quotes {
    Yes,
    No,
}

/// Whether a value is an object or a list with something in it.
fn holds_members(value: &[u8]) -> bool {
    match value {
        [b'{' | b'[', inner @ .., _] => !inner.trim_ascii().is_empty(),
        _ => false,
    }
}

fn index(member: &Member) -> Option<usize> {
    member.path.map(json::PathId::index)
}
