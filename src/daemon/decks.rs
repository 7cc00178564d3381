//! Re-reads the rate deck and the lists when told, or when a file changed and then stayed the same for one look.
//!
//! Invariant: only a whole set that was read without a fault is swapped in;
//! whatever else happens, the running one stays.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::mpsc;

use crate::cdr::policy::Policy;
use crate::cdr::rating::Rating;
use crate::cdr::transform::keyed::Keyed;
use crate::daemon::Order;
use crate::daemon::manager::Reloading;
use crate::deckstore::{self, Stamp};
use crate::pseudonym::keyring::Keyring;
use crate::telemetry::{DeckFacts, Now, Telemetry};

/// How often the files are looked at.
const POLL: Duration = Duration::from_secs(3);

/// An order as a watch gets it, held until it was obeyed.
pub(super) type Reload = Arc<Reloading>;

/// What the watch over deck and lists needs.
pub(super) struct Watch {
    pub(super) policy: Arc<Policy>,
    pub(super) domain: String,
    pub(super) current: Arc<ArcSwap<Rating>>,
    /// Fingerprints of lists are made under it.
    pub(super) keyring: Arc<ArcSwap<Keyed>>,
    pub(super) telemetry: Telemetry,
    /// The files as they were when last read.
    pub(super) seen: Stamp,
    /// As they were at the last look, where they had changed.
    pub(super) changing: Option<Stamp>,
}

/// Whether a look was asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// By a signal.
    Yes,
    /// It is only time to look.
    No,
}

/// Looks again and again; reads on a thread of its own, because a deck may be large.
pub(super) async fn run(mut watch: Watch, mut orders: mpsc::Receiver<Reload>) {
    let mut ticks = tokio::time::interval(POLL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let (asked, reload) = tokio::select! {
            Some(reload) = orders.recv() => (Asked::Yes, Some(reload)),
            _ = ticks.tick() => (Asked::No, None),
        };
        let looked = tokio::task::spawn_blocking(move || {
            watch.look(asked);
            watch
        });
        match looked.await {
            Ok(same) => watch = same,
            // It panicked, or the daemon stops.
            Err(_) => return,
        }
        drop(reload);
    }
}

impl Watch {
    /// One look at the files.
    pub(super) fn look(&mut self, asked: Asked) {
        let stamp = deckstore::stamp(&self.policy.rating_files);
        let settled = stamp != self.seen && self.changing.as_ref() == Some(&stamp);
        if asked == Asked::Yes || settled {
            self.reload();
        } else {
            // A file that is still being written is not read.
            self.changing = (stamp != self.seen).then_some(stamp);
            // The keyring they are shown under may be another one.
            self.telemetry.deck_facts(self.facts(&self.current.load()));
        }
    }

    fn reload(&mut self) {
        let loaded = deckstore::load(&self.policy);
        let stamp = deckstore::stamp(&self.policy.rating_files);
        self.changing = None;
        match loaded {
            Ok((_, before)) if before != stamp => self.changing = Some(stamp),
            Ok((rating, _)) => {
                self.seen = stamp;
                self.swap(rating);
            }
            Err(faults) => {
                // Looked at once, told once.
                self.seen = stamp;
                let text: Vec<_> = faults.iter().map(ToString::to_string).collect();
                let error = text.join("; ");
                tracing::error!(error, "rate deck or lists refused; the running ones stay in use");
                self.telemetry.deck_refused(error);
            }
        }
    }

    fn swap(&self, rating: Rating) {
        let facts = self.facts(&rating);
        let gone = self.compare(&rating);
        for facts in &facts {
            let DeckFacts {
                list,
                fingerprint,
                rows,
            } = facts;
            tracing::info!(list, fingerprint, rows, "rate deck or list reloaded");
        }
        // In force before it is told.
        self.current.store(Arc::new(rating));
        self.telemetry.deck_loaded(facts, gone, Now::read());
    }

    /// How many prefixes of the running deck the new one lacks; told with what else is missing.
    fn compare(&self, rating: &Rating) -> usize {
        let running = self.current.load();
        let before = running.contents.iter();
        for (before, after) in before.zip(&rating.contents).filter(|(_, after)| !after.is_deck()) {
            if after.rows < before.rows {
                let (list, before, after) = (&after.label, before.rows, after.rows);
                tracing::warn!(list, before, after, "fewer rows than before");
            }
        }
        if !rating.warnings.is_empty() {
            tracing::warn!("zones of the deck hold a single number: cdrveil check tells their lines");
        }
        let decks = running.deck.as_ref().zip(rating.deck.as_ref());
        let lost = decks
            .map(|(before, after)| after.lost(before))
            .unwrap_or_default();
        if lost.prefixes > 0 {
            let (prefixes, unpriced) = (lost.prefixes, lost.unpriced);
            tracing::warn!(
                prefixes,
                unpriced,
                "the new deck lacks prefixes of the one before: their numbers have a shorter prefix's zone now, or none (unpriced); cdrveil check --against OLD_DECK tells their lines"
            );
        }
        lost.prefixes
    }

    fn facts(&self, rating: &Rating) -> Vec<DeckFacts> {
        facts(rating, self.keyring.load().keyring(), &self.domain)
    }
}

/// What may be shown of deck and lists.
pub(super) fn facts(rating: &Rating, keyring: &Keyring, domain: &str) -> Vec<DeckFacts> {
    let prints = rating.fingerprints(keyring, domain);
    rating
        .contents
        .iter()
        .zip(prints)
        .map(|(content, fingerprint)| DeckFacts {
            list: content.label.clone(),
            fingerprint,
            rows: content.rows,
        })
        .collect()
}

/// Every order to both watches, as one reload. A watch that has one waiting needs no second.
pub(super) fn shared(
    mut orders: mpsc::Receiver<Order>,
    stop: &Arc<AtomicBool>,
) -> [mpsc::Receiver<Reload>; 2] {
    let stop = Arc::clone(stop);
    let (one, first) = mpsc::channel(1);
    let (other, second) = mpsc::channel(1);
    tokio::spawn(async move {
        while let Some(Order::Reload) = orders.recv().await {
            let reload = Reloading::begin(Arc::clone(&stop));
            for watch in [&one, &other] {
                let _ = watch.try_send(Arc::clone(&reload));
            }
        }
        // Without its sender a watch would take the silence for an order that never comes.
        std::future::pending::<()>().await;
    });
    [first, second]
}

#[cfg(test)]
#[path = "decks_tests.rs"]
mod tests;
