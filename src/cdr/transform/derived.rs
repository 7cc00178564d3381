//! What rating needs to know of a number, looked up before the number is replaced.
//!
//! Invariant: of a subscriber's number no more digits come out than the deck's
//! prefix, which many numbers share; of a helpline's none but the first.

use std::sync::Arc;

use crate::cdr::policy::{Derived, Pseudonymise};
use crate::cdr::rating::Rating;
use crate::number::deck::Priced;
use crate::number::ported::{self, Ported};
use crate::number::{Class, E164, ServiceCode};
use crate::pseudonym::list::Tag;

/// The look-ups of the record at hand.
pub(super) struct Derivations {
    rating: Arc<Rating>,
    /// When the call began, in milliseconds since 1970.
    at: i64,
    found: Vec<Found>,
    /// Routing numbers that stood in the record.
    routing: Vec<u8>,
}

/// Place of what was found for an identifier.
#[derive(Clone, Copy)]
pub(super) struct Looked(u32);

impl Looked {
    /// Nothing was looked up.
    pub(super) const NOT: Self = Self(u32::MAX);
}

/// What was found for one identifier.
struct Found {
    called: Called,
    priced: Option<Priced>,
    tag: Option<Tag>,
    ported: Ported,
    /// Where its routing number begins and ends.
    routing: [usize; 2],
}

impl Found {
    /// The digits that may be told.
    fn prefix(&self) -> &[u8] {
        let told = self.priced.map_or(0, Priced::prefix);
        &self.called.digits()[..told]
    }
}

enum Called {
    Number(E164),
    Code(ServiceCode),
}

impl Called {
    fn digits(&self) -> &[u8] {
        match self {
            Self::Number(number) => number.digits(),
            Self::Code(code) => code.digits(),
        }
    }

    /// What stands before the digits, as in the deck's keys: `1571` is voicemail, `+1571` is Virginia.
    fn sign(&self) -> &'static [u8] {
        match self {
            Self::Number(_) => b"+",
            Self::Code(_) => b"",
        }
    }
}

/// What ends the destination of a call to one of the network's own numbers.
const ON_NET: &[u8] = b"~ONNET";

impl Derivations {
    pub(super) fn new(rating: Arc<Rating>) -> Self {
        Self {
            rating,
            at: 0,
            found: Vec::new(),
            routing: Vec::new(),
        }
    }

    pub(super) fn rating(&self) -> &Arc<Rating> {
        &self.rating
    }

    pub(super) fn restart(&mut self) {
        self.found.clear();
        self.routing.clear();
    }

    pub(super) fn enter(&mut self, at: i64) {
        self.at = at;
    }

    /// Looks up all that this field derives from a number; `raw` may say that it is ported.
    pub(super) fn number(&mut self, how: &Pseudonymise, number: &E164, raw: &[u8]) -> Looked {
        if how.derive.is_empty() {
            return Looked::NOT;
        }
        let derives = |wanted: Derived| how.derive.contains(&wanted);
        let deck = self.rating.deck.as_ref();
        let listed = [
            Derived::OnNet,
            Derived::Payer,
            Derived::Network,
            Derived::Destination,
        ];
        let lists = self
            .rating
            .lists
            .as_ref()
            .filter(|_| listed.into_iter().any(derives));
        let start = self.routing.len();
        let ported = if derives(Derived::Network) {
            ported::routing_number(raw, number, &mut self.routing)
        } else {
            Ported::Unknown
        };
        let found = Found {
            priced: deck.and_then(|deck| deck.number(number, self.at)),
            tag: lists.map(|lists| lists.tag(number.digits())),
            called: Called::Number(*number),
            ported,
            routing: [start, self.routing.len()],
        };
        self.keep(found)
    }

    /// Looks up a service code.
    pub(super) fn code(&mut self, how: &Pseudonymise, code: Option<ServiceCode>) -> Looked {
        let Some(code) = code.filter(|_| !how.derive.is_empty()) else {
            return Looked::NOT;
        };
        let deck = self.rating.deck.as_ref();
        let found = Found {
            priced: deck.and_then(|deck| deck.service(&code, self.at)),
            called: Called::Code(code),
            tag: None,
            ported: Ported::Unknown,
            routing: [0; 2],
        };
        self.keep(found)
    }

    fn keep(&mut self, found: Found) -> Looked {
        self.found.push(found);
        Looked(self.found.len() as u32 - 1)
    }

    fn found(&self, looked: Looked) -> Option<&Found> {
        self.found.get(looked.0 as usize)
    }

    /// The deck's class, or that the code is a helpline.
    pub(super) fn class(&self, looked: Looked) -> Option<Class> {
        let found = self.found(looked)?;
        let deck = self.rating.deck.as_ref();
        match &found.called {
            Called::Code(code) if code.is_helpline() => Some(Class::Helpline),
            _ => deck?.class(found.priced?),
        }
    }

    pub(super) fn is_payer(&self, looked: Looked) -> bool {
        let payers = self.rating.lists.as_ref().and_then(|lists| lists.payers.as_ref());
        let tag = self.found(looked).and_then(|found| found.tag);
        payers.zip(tag).is_some_and(|(payers, tag)| payers.holds(tag))
    }

    /// Appends a value that is no token and no class; blank where there is none.
    pub(super) fn write(&self, derived: Derived, looked: Looked, out: &mut Vec<u8>) {
        let Some(found) = self.found(looked) else { return };
        match derived {
            Derived::Prefix if found.prefix().is_empty() => {}
            Derived::Prefix => {
                out.extend_from_slice(found.called.sign());
                out.extend_from_slice(found.prefix());
            }
            Derived::Zone => out.extend_from_slice(self.zone(found).unwrap_or_default().as_bytes()),
            Derived::Destination => self.destination(found, out),
            Derived::OnNet => match found.called {
                Called::Number(_) => out.push(if self.is_own(found) { b'1' } else { b'0' }),
                Called::Code(_) => {}
            },
            Derived::Network => out.extend_from_slice(self.network(found)),
            Derived::Class | Derived::Country | Derived::Length | Derived::Payer => {}
        }
    }

    fn zone(&self, found: &Found) -> Option<&str> {
        Some(self.rating.deck.as_ref()?.zone(found.priced?))
    }

    /// Without a prefix that may be told it begins with the first digit: engines match a destination by
    /// the prefixes of its prefix, and CGRateS reads a value that begins with `~` as a path.
    fn destination(&self, found: &Found, out: &mut Vec<u8>) {
        let Some(zone) = self.zone(found) else { return };
        out.extend_from_slice(found.called.sign());
        match found.prefix() {
            [] => out.extend_from_slice(&found.called.digits()[..1]),
            prefix => out.extend_from_slice(prefix),
        }
        out.push(b'~');
        out.extend_from_slice(zone.as_bytes());
        if self.is_own(found) {
            out.extend_from_slice(ON_NET);
        }
    }

    fn is_own(&self, found: &Found) -> bool {
        let own = self.rating.lists.as_ref().and_then(|lists| lists.own.as_ref());
        own.zip(found.tag).is_some_and(|(own, tag)| own.holds(tag))
    }

    /// What the record says of this call counts before what the list says of the number today.
    fn network(&self, found: &Found) -> &[u8] {
        let ports = self.rating.lists.as_ref().and_then(|lists| lists.ports.as_ref());
        match found.ported {
            Ported::Yes => &self.routing[found.routing[0]..found.routing[1]],
            Ported::No => b"",
            Ported::Unknown => ports
                .zip(found.tag)
                .and_then(|(ports, tag)| ports.word(tag))
                .map_or(b"", str::as_bytes),
        }
    }
}
