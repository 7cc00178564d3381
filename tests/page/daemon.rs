//! The page beside a daemon on Apache Kafka whose keys rotate and whose broker is killed: what someone on call
//! sees before, meanwhile and after.

use std::time::Duration;

use serde_json::{Value, json};

use crate::browser::Tab;
use crate::support::deployment::{Daemon, Deployment, sample, totals};
use crate::support::kafka::Broker;
use crate::support::ledger::{Feeder, await_done, exactly_once};
use crate::{Screenshots, WIDTHS};

const PARTITIONS: i32 = 4;
/// From the edit to the next key's first call. It must be more than the policy's `max_future`.
const AHEAD: jiff::SignedDuration = jiff::SignedDuration::from_secs(30);
const PATIENCE: Duration = Duration::from_secs(60);

pub fn it_shows_keys_that_rotate_and_a_broker_that_is_killed() {
    let broker = Broker::start();
    let deployment = Deployment::new(&broker, PARTITIONS);
    deployment.policy(&sample("policy.toml").replace("# max_future = \"1d\"", "max_future = \"1s\""));
    let feeder = Feeder::start(&broker, &deployment.raw, PARTITIONS, 1_000);
    let daemon = deployment.start();
    let mut watch = Watch::start(&daemon);
    watch.keys_rotate(&deployment, &daemon);
    watch.the_broker_is_killed(&broker);
    assert_eq!(watch.tab.complaints(), Vec::<String>::new());
    let fed = feeder.finish();
    await_done(&broker, &deployment, &fed, &[&daemon]);
    watch.the_daemon_ends(daemon);
    exactly_once(&broker, &deployment, &fed);
    watch.shots.passed();
}

/// A tab with the page in it, and the pictures taken of it.
struct Watch {
    tab: Tab,
    shots: Screenshots,
}

impl Watch {
    fn start(daemon: &Daemon) -> Self {
        daemon.await_ready(PATIENCE);
        let mut tab = Tab::open();
        tab.go(&format!("http://{}/", daemon.address()));
        let shots = Screenshots::new();
        let mut watch = Self { tab, shots };
        watch.says("ok", "Healthy: ");
        watch.says("ok", ", key 2026-11, no next key yet");
        watch
    }

    /// A second key is announced, its window begins, and the first one is history: nobody restarts anything.
    fn keys_rotate(&mut self, deployment: &Deployment, daemon: &Daemon) {
        assert_eq!(self.key_rows(), json!([["2026-11", "active"]]));
        let begins = (jiff::Timestamp::now() + AHEAD).to_string();
        let first = ("2026-11", "2026-11-01T00:00:00Z", 0);
        deployment.keyring(&[first, ("2026-12", &begins, 1)]);
        daemon.signal(1);
        self.tab
            .until("timeline.innerText.includes('now 2026-11, next 2026-12 in ')");
        self.says("ok", ", key 2026-11, next in ");
        assert_eq!(
            self.key_rows(),
            json!([["2026-12", "pre-active"], ["2026-11", "active"]])
        );
        self.look("announced");
        self.tab
            .until("timeline.innerText.includes('now 2026-12, no next key')");
        self.says("ok", ", key 2026-12, no next key yet");
        assert_eq!(
            self.key_rows(),
            json!([["2026-12", "active"], ["2026-11", "deactivated"]])
        );
        self.look("rotated");
    }

    /// What was known stays to be seen, what waits is told, and it heals by itself.
    fn the_broker_is_killed(&mut self, broker: &Broker) {
        self.tab
            .until("document.querySelector('#rejections tbody').children.length > 0");
        broker.kill();
        self.says("fault", "Not ready: brokers: ");
        assert_eq!(self.tab.text("sign.textContent"), "✕");
        assert!(self.tab.text("document.title").starts_with("Not ready · billing"));
        assert!(
            self.tab
                .text("spoken.textContent")
                .starts_with("Not ready: brokers: ")
        );
        let failed = "document.querySelector('#checks .failed b').nextSibling.firstChild.textContent";
        assert_eq!(self.tab.text(failed), "brokers");
        let place = "document.querySelector('#rejections tbody td:nth-child(4)').textContent";
        assert!(self.tab.text(place).starts_with("raw-"), "places stay");
        let rows = "document.querySelectorAll('#partitions tbody tr').length";
        assert_eq!(self.tab.eval(rows), PARTITIONS);
        self.look("lost");
        broker.restart();
        // What waited meanwhile may be told first.
        self.says("ok", "Healthy: ");
        assert_eq!(
            self.tab
                .eval("document.querySelectorAll('#checks .failed').length"),
            0
        );
    }

    fn the_daemon_ends(&mut self, daemon: Daemon) {
        let (status, log) = daemon.stop();
        assert!(status.success(), "{log}");
        let [read, public, rejected, skipped, _] = totals(&log);
        assert_eq!(read, public + rejected + skipped, "{log}");
        self.says("gone", "No answer since ");
    }

    fn says(&mut self, level: &str, words: &str) {
        self.tab.until(&format!(
            "document.body.dataset.level === '{level}' && sentence.textContent.includes('{words}')"
        ));
    }

    /// Id and state of the keys, newest first.
    fn key_rows(&mut self) -> Value {
        self.tab.eval(
            "[...document.querySelectorAll('#keys tbody tr')].map((row) => [...row.children].slice(0, 2).map((cell) => cell.innerText))",
        )
    }

    fn look(&mut self, state: &str) {
        for scheme in ["light", "dark"] {
            for width in WIDTHS {
                self.tab.look(width, scheme);
                self.shots
                    .take(&mut self.tab, &format!("daemon-{state}-{width}-{scheme}"));
                let wide = self.tab.eval("document.documentElement.scrollWidth");
                assert!(
                    wide.as_u64().unwrap() <= u64::from(width),
                    "{state} {width}: {wide}"
                );
            }
        }
    }
}
