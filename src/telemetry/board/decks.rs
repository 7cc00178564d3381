//! What is shown of the rate deck and the lists.

use metrics::Counter;

use crate::telemetry::names;
use crate::telemetry::series::{Lasting, Scrape};
use crate::telemetry::status::{DeckFacts, DeckStatus, Now, UnixMillis};

/// The deck and lists in use, and how the last load went.
#[derive(Debug)]
pub(in crate::telemetry) struct Decks {
    /// Absent before the start's load.
    facts: Option<Vec<DeckFacts>>,
    loaded: UnixMillis,
    /// Prefixes that the last load took away.
    lost: usize,
    error: Option<String>,
    applied: Counter,
    refused: Counter,
}

impl Decks {
    pub(super) fn new(series: &Lasting, now: Now) -> Self {
        let reloads = |outcome: &str| series.counter(&names::DECK_RELOADS, &[&outcome]);
        Self {
            facts: None,
            loaded: UnixMillis(now.unix_millis()),
            lost: 0,
            error: None,
            applied: reloads("applied"),
            refused: reloads("refused"),
        }
    }

    pub(in crate::telemetry) fn loaded(&mut self, facts: Vec<DeckFacts>, lost: usize, now: Now) {
        if self.facts.replace(facts).is_some() {
            self.applied.increment(1);
        }
        self.loaded = UnixMillis(now.unix_millis());
        self.lost = lost;
        self.error = None;
    }

    pub(in crate::telemetry) fn show(&mut self, facts: Vec<DeckFacts>) {
        self.facts = Some(facts);
    }

    pub(in crate::telemetry) fn refused(&mut self, error: String) {
        self.refused.increment(1);
        self.error = Some(error);
    }

    pub(super) fn gauges(&self, scrape: &Scrape) {
        for facts in self.facts.iter().flatten() {
            scrape.gauge(&names::DECK_INFO, &[&facts.list, &facts.fingerprint], 1.0);
            scrape.gauge(&names::DECK_ROWS, &[&facts.list], facts.rows as f64);
        }
        scrape.gauge(&names::DECK_LOST, &[], self.lost as f64);
        let ok = u8::from(self.error.is_none());
        scrape.gauge(&names::DECK_RELOAD_OK, &[], f64::from(ok));
        scrape.gauge(&names::DECK_RELOAD_TIME, &[], self.loaded.0 as f64 / 1000.0);
    }

    pub(super) fn status(&self) -> DeckStatus {
        DeckStatus {
            loaded: self.loaded,
            lost_prefixes: self.lost,
            last_reload_ok: self.error.is_none(),
            last_reload_error: self.error.clone(),
            lists: self.facts.clone().unwrap_or_default(),
        }
    }
}
