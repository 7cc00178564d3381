//! Tokens of the epoch before: what they are called, and whether the policy's records have a place for them.
//!
//! Whether they are written at all is the keyring's word (`[epochs] overlap`); it is told to the policy at the load,
//! because it is the shape of what the policy makes, and stays for as long as a process runs.

use crate::cdr::policy::{Action, Derived, Field, Format, Policy};
use crate::pseudonym::keyring::Carriers;

/// A token of a record, which the epoch before may be asked for as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carried {
    /// The one in the field's place.
    Value,
    /// The one of [`Derived::Payer`].
    Payer,
}

impl Carried {
    /// The word behind the field's name in that of its token under the epoch before.
    pub const fn previous(self) -> &'static str {
        match self {
            Self::Value => "prev",
            Self::Payer => "payer_prev",
        }
    }

    /// The word in the sealed record for the token itself.
    pub const fn own(self) -> &'static str {
        match self {
            Self::Value => "token",
            Self::Payer => Derived::Payer.as_str(),
        }
    }
}

/// Why a policy's records cannot carry tokens of the epoch before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Misfit {
    /// The public ones: `[epochs] overlap`.
    Public(String),
    /// The sealed ones: `[epochs] seal_previous`.
    Sealed(String),
}

impl Policy {
    /// Lets records carry the tokens of the epoch before.
    ///
    /// # Errors
    ///
    /// Every reason why they cannot.
    pub fn carry(&mut self, carriers: Carriers) -> Result<(), Vec<Misfit>> {
        self.previous = carriers;
        let mut found = Vec::new();
        if carriers.public {
            found.extend(self.without_place().map(Misfit::Public));
            let taken = self.taken(&self.previous_names(), &self.appended_by_policy());
            found.extend(taken.into_iter().map(Misfit::Public));
        }
        if carriers.sealed {
            if !self.has_restricted() {
                let message = "the policy restricts nothing, so there are no sealed records that could carry tokens: leave seal_previous out, or let a field be sealed (restrict, escrow = true)";
                found.push(Misfit::Sealed(message.to_owned()));
            }
            let taken = self.taken(&self.sealed_names(), &[]);
            found.extend(taken.into_iter().map(Misfit::Sealed));
        }
        if found.is_empty() { Ok(()) } else { Err(found) }
    }

    /// The tokens that this field's records have, in order.
    pub fn carried(field: &Field) -> impl Iterator<Item = Carried> {
        let how = match &field.action {
            Action::Pseudonymise(how) => Some(how),
            _ => None,
        };
        let payer = how.is_some_and(|how| how.derive.contains(&Derived::Payer));
        let value = how.map(|_| Carried::Value);
        value.into_iter().chain(payer.then_some(Carried::Payer))
    }

    /// What is appended for the tokens of the epoch before, in order; nothing, where public records carry none.
    pub(super) fn previous_names(&self) -> Vec<String> {
        let fields = self.fields.iter().filter(|_| self.previous.public);
        let names = |field| Self::carried(field).map(|carried| named(field, carried.previous()));
        fields.flat_map(names).collect()
    }

    fn sealed_names(&self) -> Vec<String> {
        let both = |carried: Carried| [carried.own(), carried.previous()];
        let names = |field| Self::carried(field).flat_map(both).map(|word| named(field, word));
        self.fields.iter().flat_map(names).collect()
    }

    /// Elements of a list: a value beside one would have no name.
    fn without_place(&self) -> impl Iterator<Item = String> {
        let json = matches!(self.format, Format::Json { .. });
        let element = move |field: &&Field| {
            json && field.name.ends_with("[]") && matches!(field.action, Action::Pseudonymise(_))
        };
        self.fields.iter().filter(element).map(|field| {
            let name = &field.name;
            format!("\"{name}\" is pseudonymised, and elements of a list have no place beside them for a second token: restrict or drop that field, or leave overlap out")
        })
    }

    /// Those of the made names that are a field's, another appended one's, or made twice.
    fn taken(&self, made: &[String], appended: &[String]) -> Vec<String> {
        let mut found = Vec::new();
        for (at, name) in made.iter().enumerate() {
            let a_field = self.fields.iter().any(|field| field.plain == *name);
            if a_field || appended.contains(name) || made[..at].contains(name) {
                found.push(format!("the name \"{name}\" is made for a token and is also a field or an appended name of the policy: rename that one there ([input], [maps] or [output] record_id)"));
            }
        }
        found
    }
}

fn named(field: &Field, word: &str) -> String {
    format!("{}_{word}", field.plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Source;

    const PUBLIC: Carriers = Carriers {
        public: true,
        sealed: false,
    };
    const SEALED: Carriers = Carriers {
        public: false,
        sealed: true,
    };

    fn load(input: &str, output: &str, fields: &str) -> Policy {
        let text = format!(
            "[input]\n{input}\ntime = {{ field = \"t\", format = \"unix\" }}\n[numbers]\ncountry = \"GB\"\npayers = \"p.csv\"\n\
             [maps.prev]\nfile = \"m.csv\"\n[output]\n{output}\n[fields]\nt = \"keep\"\n{fields}\n"
        );
        let source = Source {
            path: "policy.toml".into(),
            text,
        };
        Policy::load(&source).unwrap_or_else(|faults| panic!("{faults:?}"))
    }

    const A: &str = "a = { action = \"pseudonymise\", kind = \"account\" }\n";
    /// Every map and list of a policy is used.
    const USED: &str = "m = { action = \"restrict\", derive = [\"prev\"] }\n\
        n = { action = \"pseudonymise\", kind = \"phone\", scope = \"record\", derive = [\"payer\", \"class\"] }\n";

    #[test]
    fn every_token_has_a_name_behind_all_others() {
        let columns = "format = \"csv\"\ncolumns = [\"t\", \"n\", \"a\", \"m\"]";
        let mut policy = load(columns, "", &format!("{A}{USED}"));
        let before = policy.appended();
        assert_eq!(before, ["n_payer", "n_class", "m_prev", "record_id"]);
        policy.carry(SEALED).unwrap();
        assert_eq!(policy.appended(), before);
        assert_eq!(
            policy.sealed_names(),
            [
                "n_token",
                "n_prev",
                "n_payer",
                "n_payer_prev",
                "a_token",
                "a_prev"
            ]
        );
        policy.carry(PUBLIC).unwrap();
        assert_eq!(policy.appended()[..4], before);
        assert_eq!(policy.appended()[4..], ["n_prev", "n_payer_prev", "a_prev"]);
        assert_eq!(policy.carry(Carriers::default()), Ok(()));
        assert_eq!(policy.appended(), before);
    }

    #[test]
    fn names_and_places_that_are_taken_are_told() {
        let csv = |more: &str| format!("format = \"csv\"\ncolumns = [\"t\", \"n\", \"m\", \"a\"{more}]");
        let json = "format = \"json\"\nunlisted = \"drop\"";
        let text = |misfits: Vec<Misfit>| -> Vec<String> {
            let told = misfits.into_iter().map(|misfit| match misfit {
                Misfit::Public(told) => format!("public: {told}"),
                Misfit::Sealed(told) => format!("sealed: {told}"),
            });
            told.collect()
        };
        let both = Carriers {
            public: true,
            sealed: true,
        };
        for (mut policy, expected) in [
            (load(&csv(""), "", &format!("{A}{USED}")), &[][..]),
            (
                load(&csv(", \"a_prev\""), "", &format!("{A}{USED}a_prev = \"drop\"")),
                &[
                    "public: the name \"a_prev\" is made",
                    "sealed: the name \"a_prev\" is made",
                ],
            ),
            (
                load(&csv(", \"n_token\""), "", &format!("{A}{USED}n_token = \"drop\"")),
                &["sealed: the name \"n_token\" is made"],
            ),
            (
                load(&csv(""), "record_id = \"n_payer_prev\"", &format!("{A}{USED}")),
                &["public: the name \"n_payer_prev\" is made"],
            ),
            (
                load(
                    &csv(""),
                    "",
                    &format!(
                        "{A}{}",
                        USED.replace("\"restrict\"", "\"pseudonymise\", kind = \"text\", escrow = true")
                    ),
                ),
                &["public: the name \"m_prev\" is made"],
            ),
            (
                load(json, "", &format!("\"l[]\" = {}{USED}", &A[4..])),
                &["public: \"l[]\" is pseudonymised, and elements of a list"],
            ),
            (load(json, "", &format!("\"l[].a\" = {}{USED}", &A[4..])), &[]),
            (
                load(
                    json,
                    "",
                    &format!("\"l[].a\" = {}\"l[].a_prev\" = \"drop\"\n{USED}", &A[4..]),
                ),
                &[
                    "public: the name \"l[].a_prev\" is made",
                    "sealed: the name \"l[].a_prev\" is made",
                ],
            ),
            (
                load(&csv(""), "", &format!("{A}{}", USED.replace("restrict", "drop"))),
                &["sealed: the policy restricts nothing"],
            ),
        ] {
            let told = text(policy.carry(both).err().unwrap_or_default());
            assert_eq!(told.len(), expected.len(), "{told:?}");
            for (told, expected) in told.iter().zip(expected) {
                assert!(told.starts_with(expected), "{told}");
            }
        }
    }
}
