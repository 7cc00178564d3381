//! The keyring of a running daemon: re-read when it changes, admitted by the register, then given to the lanes.
//!
//! Invariant: whatever is wrong with a new one, the running one stays.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::mpsc;

use super::decks::Reload;
use super::register::{Guard, Refusal, Said};
use super::{facts, now_millis};
use crate::cdr::policy::Policy;
use crate::cdr::transform::keyed::Keyed;
use crate::keystore::{self, ContentHash, LoadedKeyring};
use crate::pseudonym::epoch::EventTime;
use crate::pseudonym::keyring::Keyring;
use crate::telemetry::{Now, Telemetry};

/// How often the keyring's content is compared with what is loaded, and the register asked for what is due.
const KEYRING_POLL: Duration = Duration::from_secs(3);

/// What every keyring is keyed for.
pub(super) struct Keyer {
    pub(super) policy: Arc<Policy>,
    pub(super) domain: String,
}

impl Keyer {
    /// On a thread of its own: neither lanes nor timers wait for it.
    pub(super) async fn keyed(&self, keyring: Arc<Keyring>) -> Arc<Keyed> {
        let (policy, domain) = (Arc::clone(&self.policy), self.domain.clone());
        let keyed = tokio::task::spawn_blocking(move || Keyed::new(&policy, keyring, &domain));
        Arc::new(keyed.await.expect("keying is arithmetic and cannot fail"))
    }
}

/// What re-reads the keyring, and keeps from the lanes what the register speaks against.
pub(super) struct KeyringWatch {
    pub(super) path: PathBuf,
    /// The keyring in use, whole.
    pub(super) keyring: Arc<Keyring>,
    /// As much of it as the lanes may have.
    pub(super) lanes: Arc<ArcSwap<Keyed>>,
    pub(super) keyer: Keyer,
    pub(super) guard: Guard,
    pub(super) telemetry: Telemetry,
    pub(super) max_future: Duration,
}

impl KeyringWatch {
    /// For ever: re-reads the keyring when told, or when its content changed; a bad one changes nothing.
    pub(super) async fn run(
        mut self,
        loaded: ContentHash,
        mut orders: mpsc::Receiver<Reload>,
        mut news: mpsc::Receiver<()>,
    ) {
        let mut seen = loaded;
        let (mut refused, mut said, mut taken) = (None, Said::default(), false);
        // Why an epoch that begins soon could not be claimed.
        let mut unclaimed = None;
        let mut ticks = tokio::time::interval(KEYRING_POLL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let (why, _until_obeyed) = tokio::select! {
                order = orders.recv() => match order {
                    Some(reload) => (Why::Ordered, Some(reload)),
                    None => std::future::pending().await,
                },
                Some(()) = news.recv() => (Why::News, None),
                _ = ticks.tick() => (Why::Time, None),
            };
            let changed = content_hash(&self.path).await;
            let asked_for = why == Why::Ordered || changed != Some(seen);
            // What was looked at once is not looked at again until it changes, or what the register says of it.
            let again = match &refused {
                Some(Refusal::NotYet(_)) => true,
                Some(Refusal::ByRegister(_)) => why == Why::News,
                Some(Refusal::For(_)) | None => false,
            };
            if asked_for || again {
                seen = changed.unwrap_or(seen);
                let former = refused.take().filter(|_| !asked_for);
                refused = self.reload(former.as_ref()).await.err();
                taken |= refused.is_none();
            } else if why == Why::Time && std::mem::take(&mut taken) {
                // A look later: `keys destroy` tells the register last.
                self.guard.warn_of_untold(&self.keyring);
            }
            if why == Why::Time {
                unclaimed = self.claim_what_is_due().await.err();
            }
            if let Some(mut facts) = self.guard.facts(&self.keyring) {
                self.keep_from_lanes().await;
                // Contradictions are told already, and brokers that are away elsewhere.
                if let (Some(Refusal::ByRegister(error)), true) = (&unclaimed, facts.faults.is_empty()) {
                    facts.faults.push(error.clone());
                }
                said.say(&facts.faults);
                self.telemetry.register(facts);
            }
        }
    }

    /// `former`: why the same file was refused before; that is not told again.
    async fn reload(&mut self, former: Option<&Refusal>) -> Result<(), Refusal> {
        let next = match self.acceptable().await {
            Ok(next) => next,
            Err(refusal) => {
                if former != Some(&refusal) {
                    let error = refusal.as_str();
                    tracing::error!(error, "keyring refused; the running one stays in use");
                    self.telemetry.keyring_refused(error);
                }
                return Err(refusal);
            }
        };
        for warning in &next.warnings {
            tracing::warn!("{warning}");
        }
        tracing::info!(
            before = self.keyring.fingerprint(),
            after = next.keyring.fingerprint(),
            "keyring reloaded"
        );
        self.give(self.guard.served(&next.keyring)).await;
        // Told once it is so: what comes in after that has its key by this keyring.
        self.telemetry.keyring_loaded(facts(&next.keyring), Now::read());
        self.keyring = next.keyring;
        Ok(())
    }

    /// Claims epochs that begin soon, and reads the register from its start where something is wrong with it.
    async fn claim_what_is_due(&self) -> Result<(), Refusal> {
        if !self.guard.has_to_ask(&self.keyring, self.max_future).await {
            return Ok(());
        }
        let claimed = self.guard.admit(&self.keyring, self.max_future).await;
        if let Err(Refusal::NotYet(error)) = &claimed {
            // Tried again in a moment.
            tracing::debug!(error, "the register could not be asked");
        }
        claimed
    }

    async fn keep_from_lanes(&self) {
        let served = self.guard.served(&self.keyring);
        if served.fingerprint() != self.lanes.load().keyring().fingerprint() {
            self.give(served).await;
        }
    }

    /// Lanes find it keyed: all they do is to take it up.
    async fn give(&self, served: Arc<Keyring>) {
        let keyed = self.keyer.keyed(served).await;
        self.lanes.store(keyed);
    }

    /// The keyring on disk, if it may replace the one in use.
    async fn acceptable(&self) -> Result<LoadedKeyring, Refusal> {
        let path = self.path.clone();
        let loaded = tokio::task::spawn_blocking(move || keystore::load(&path)).await;
        let next = match loaded {
            Ok(Ok(next)) => next,
            Ok(Err(faults)) => {
                let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
                return Err(Refusal::For(faults.join("; ")));
            }
            Err(_) => return Err(Refusal::For("reading it failed".to_owned())),
        };
        // Records may already have event times as far ahead as the policy lets them.
        let reach = now_millis().saturating_add(self.max_future.as_millis() as i64);
        let allowed = self
            .keyring
            .allows_edit(&next.keyring, EventTime::from_millis(reach));
        allowed.map_err(|error| Refusal::For(next.refusal(&self.path, &error).to_string()))?;
        self.guard.admit(&next.keyring, self.max_future).await?;
        Ok(next)
    }
}

/// What made it look.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Why {
    /// A signal.
    Ordered,
    /// Something new in the register.
    News,
    /// Time has passed.
    Time,
}

async fn content_hash(path: &Path) -> Option<ContentHash> {
    let path = path.to_path_buf();
    tokio::task::spawn_blocking(move || keystore::content_hash(&path))
        .await
        .ok()
}
