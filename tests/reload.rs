//! A reload to a keyring of 400 epochs holds up no record by more than 50 ms.
//!
//! Measured from outside, on a real broker: from the moment at which a call is sent, which is its raw record's timestamp
//! and stands in the record, to the moment at which the broker appended its public record (`LogAppendTime`).
//!
//! Such a delay holds waits of the broker, of the producers and of a machine that does something else, too, so no single
//! delay proves anything of the reload. What a reload does it does every time: so the worst delay around a reload is
//! compared with the worst delay of equally long windows of the same run without one, each by its lower quartile over
//! many. A stall of the machine moves some windows, up to most of them where it is busy; a reload that holds records up
//! moves all of its own. That the comparison can tell is shown in the same run: the daemon is held (SIGSTOP) for a
//! moment, and those windows must stand out. (Lanes that slept for 90 ms at each reload gave 101 ms beside 16, on a
//! machine with eight busy threads for each core; by the median it would have been 101 beside 66.)
#![allow(clippy::unwrap_used)] // a test's unwrap is its assertion

mod support;

use std::fmt::Write;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use support::deployment::{Daemon, Deployment, kcv};
use support::kafka::{Broker, Input, Isolation, Rec, shared, unique};

const PATIENCE: Duration = Duration::from_secs(60);
const EPOCHS: usize = 400;
/// What a reload may add.
const LIMIT: i64 = 50;
const ROUNDS: usize = 9;
/// How often the daemon is held, and for how long.
const HELD: (usize, Duration) = (3, Duration::from_millis(250));
/// Around a reload, and without one.
const WINDOW: Duration = Duration::from_secs(1);
/// How long a window goes on after its reload was told.
const SETTLED: Duration = Duration::from_millis(400);
/// Between two records.
const PACE: Duration = Duration::from_millis(2);
const PARTITIONS: i32 = 2;

/// Five kinds, besides those that numbers may turn into: each is keyed under every epoch.
const POLICY: &str = "[input]\nformat = \"csv\"\n\
    columns = [\"id\", \"start\", \"caller\", \"imsi\", \"imei\", \"ip\", \"account\"]\nmax_future = \"1s\"\n\
    time = { field = \"start\", format = \"unix_ms\" }\n[numbers]\ncountry = \"GB\"\n[fields]\nid = \"keep\"\n\
    start = \"keep\"\ncaller = { action = \"pseudonymise\", kind = \"phone\" }\n\
    imsi = { action = \"pseudonymise\", kind = \"imsi\" }\nimei = { action = \"pseudonymise\", kind = \"imei\" }\n\
    ip = { action = \"pseudonymise\", kind = \"ip\" }\naccount = { action = \"pseudonymise\", kind = \"account\" }\n";

fn main() {
    tests![a_reload_of_400_epochs_holds_no_record_up_for_more_than_50_ms]
}

fn a_reload_of_400_epochs_holds_no_record_up_for_more_than_50_ms() {
    let broker = shared();
    let deployment = deployment(broker);
    let keyring = Keyrings::write(&deployment);
    keyring.swap_in(&deployment, 1);
    let daemon = deployment.start();
    daemon.await_ready(PATIENCE);
    let stopped = AtomicBool::new(false);
    let windows = thread::scope(|scope| {
        let running = Stopping(&stopped);
        scope.spawn(|| broker.produce_all(&deployment.raw, calls(&stopped)));
        deployment.await_public(broker, 500, PATIENCE);
        let windows = watch(&deployment, &daemon, &keyring);
        drop(running);
        windows
    });
    let public = settled(broker, &deployment);
    let (status, log) = daemon.stop();
    assert!(status.success(), "{log}");

    let delays: Vec<Delay> = public.iter().map(Delay::of).collect();
    let of = |what: What| Around::of(&windows, what, &delays);
    let (quiet, reload, held) = (of(What::Nothing), of(What::Reload), of(What::Hold));
    let report = format!("\nquiet   {quiet}\nreload  {reload}\nheld    {held}");
    eprintln!("{report}");
    assert_eq!(
        (quiet.worst.len(), reload.worst.len(), held.worst.len()),
        (ROUNDS, ROUNDS, HELD.0)
    );
    assert!(
        held.every_time() - quiet.every_time() > LIMIT,
        "a hold-up does not show: {report}"
    );
    assert!(
        reload.every_time() - quiet.every_time() <= LIMIT,
        "a reload holds records up: {report}"
    );
}

/// Public records are stamped when the broker takes them. Commits are rare: each holds its lane for a moment, reload or no.
fn deployment(broker: &Broker) -> Deployment {
    let mut deployment = Deployment::new(broker, PARTITIONS);
    deployment.public = unique("appended");
    let stamped = [("message.timestamp.type", "LogAppendTime")];
    broker.create_topic(&deployment.public, PARTITIONS, &stamped);
    deployment.policy(POLICY);
    deployment.config_as("cdrveil.toml", "0", "lanes = 2\ncommit_interval = \"5s\"", "");
    deployment.edit(
        "cdrveil.toml",
        "[kafka.properties]\n",
        "[kafka.properties]\n\"linger.ms\" = 1\n",
    );
    deployment
}

/// Rounds of a window without anything, one with a reload to all epochs, and the way back to one, which is not measured.
fn watch(deployment: &Deployment, daemon: &Daemon, keyring: &Keyrings) -> Vec<Window> {
    let mut windows = Vec::new();
    let mut reloads = 0.0;
    let mut swap = |epochs: usize| {
        keyring.swap_in(deployment, epochs);
        daemon.signal(1);
        reloads += 1.0;
        reloads
    };
    let applied = || {
        daemon
            .metric("cdrveil_keyring_reloads_total{outcome=\"applied\"}")
            .unwrap()
    };
    let pre_active = || daemon.metric("cdrveil_keyring_keys{state=\"pre-active\"}");
    for _ in 0..ROUNDS {
        windows.push(Window::open(What::Nothing).lasting(|| applied() >= 0.0));
        let window = Window::open(What::Reload);
        let count = swap(EPOCHS);
        windows.push(window.lasting(|| applied() >= count));
        assert_eq!(pre_active(), Some(EPOCHS as f64 - 1.0), "{}", daemon.log());
        let count = swap(1);
        Window::open(What::Nothing).lasting(|| applied() >= count);
        assert_eq!(pre_active(), Some(0.0), "{}", daemon.log());
    }
    for _ in 0..HELD.0 {
        let window = Window::open(What::Hold);
        daemon.signal(19);
        thread::sleep(HELD.1);
        daemon.signal(18);
        windows.push(window.lasting(|| applied() >= 0.0));
    }
    windows
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Nothing,
    Reload,
    Hold,
}

/// A stretch of time, in milliseconds since 1970.
struct Window {
    what: What,
    from: i64,
    until: i64,
}

impl Window {
    fn open(what: What) -> Self {
        Self {
            what,
            from: now(),
            until: i64::MAX,
        }
    }

    /// Closes it after its time, and when it has been so for a while: lanes take up a keyring after it was told. Asks all
    /// the while, so that asking weighs on all alike.
    fn lasting(self, done: impl Fn() -> bool) -> Self {
        let began = Instant::now();
        let mut since = None;
        loop {
            if done() {
                since.get_or_insert_with(Instant::now);
            }
            if since.is_some_and(|since| since.elapsed() >= SETTLED) && began.elapsed() >= WINDOW {
                let until = now();
                return Self { until, ..self };
            }
            assert!(began.elapsed() < PATIENCE, "no reload");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// From a call's sending to its public record's append.
struct Delay {
    sent: i64,
    appended: i64,
}

impl Delay {
    fn of(record: &Rec) -> Self {
        Self {
            sent: record.text().split(',').nth(1).unwrap().parse().unwrap(),
            appended: record.timestamp.unwrap(),
        }
    }

    fn millis(&self) -> i64 {
        self.appended - self.sent
    }
}

/// Delays of the records that were under way in windows of one sort.
struct Around {
    /// The longest of each window.
    worst: Vec<i64>,
    delays: Vec<i64>,
}

impl Around {
    fn of(windows: &[Window], what: What, delays: &[Delay]) -> Self {
        let mut around = Self {
            worst: Vec::new(),
            delays: Vec::new(),
        };
        for window in windows.iter().filter(|window| window.what == what) {
            let under_way = |delay: &&Delay| delay.sent <= window.until && delay.appended >= window.from;
            let within: Vec<i64> = delays.iter().filter(under_way).map(Delay::millis).collect();
            assert!(
                within.len() > 50,
                "there was no steady flow: {} records",
                within.len()
            );
            around.worst.extend(within.iter().max());
            around.delays.extend(within);
        }
        around.worst.sort_unstable();
        around.delays.sort_unstable();
        around
    }

    /// What even the better windows had.
    fn every_time(&self) -> i64 {
        self.worst[self.worst.len() / 4]
    }
}

impl std::fmt::Display for Around {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut histogram = String::new();
        let mut below = 0;
        for bound in [5, 10, 20, 50, 100, 200, 500, i64::MAX] {
            let up_to = self.delays.partition_point(|delay| *delay <= bound);
            let name = if bound == i64::MAX {
                "more".to_owned()
            } else {
                format!("<={bound}ms")
            };
            let _ = write!(histogram, " {name}:{}", up_to - below);
            below = up_to;
        }
        let (worst, every) = (&self.worst, self.every_time());
        write!(
            f,
            "worst of each window {worst:?} ms, lower quartile {every};{histogram}"
        )
    }
}

/// Key files, and keyrings of the first so many: one key in use, and a key for every day from tomorrow's morrow on. Those
/// are claimed later, so they may be taken away again.
struct Keyrings {
    blocks: Vec<String>,
}

impl Keyrings {
    fn write(deployment: &Deployment) -> Self {
        let block = |at: usize| {
            let days = if at == 0 { -1 } else { 2 + at as i64 };
            let from = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24 * days);
            let key = data_encoding::HEXLOWER.encode(&Sha256::digest(format!("epoch {at}")));
            let file = format!("e{at}.key");
            fs::write(deployment.path(&file), &key).unwrap();
            fs::set_permissions(deployment.path(&file), fs::Permissions::from_mode(0o400)).unwrap();
            let kcv = kcv(&key);
            format!(
                "[[key]]\nid = \"e{at}\"\nactivate_at = {from}\nmaterial = {{ file = \"{file}\" }}\nkcv = \"{kcv}\"\n"
            )
        };
        Self {
            blocks: (0..EPOCHS).map(block).collect(),
        }
    }

    fn swap_in(&self, deployment: &Deployment, epochs: usize) {
        let text = format!("version = 1\n{}", self.blocks[..epochs].concat());
        fs::write(deployment.path("keyring.new"), text).unwrap();
        fs::rename(deployment.path("keyring.new"), deployment.path("keyring.toml")).unwrap();
    }
}

/// Ends the load when dropped, also by a failed assertion: the scope waits for its thread.
struct Stopping<'a>(&'a AtomicBool);

impl Drop for Stopping<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn calls(stopped: &AtomicBool) -> impl Iterator<Item = Input> {
    (0..).map_while(|id| {
        if stopped.load(Ordering::Relaxed) {
            return None;
        }
        thread::sleep(PACE); // a steady flow
        let (sent, last) = (now(), id % 1_000);
        let call = format!(
            "{id},{sent},+447700900{last:03},234150000000{last:03},35693803564{last:03},10.0.0.{},a-{last}",
            id % 250
        );
        Some(Input {
            partition: id % PARTITIONS,
            value: Some(call.into_bytes()),
            timestamp: Some(sent),
            ..Input::default()
        })
    })
}

/// All public records, once as many are there as raw ones.
fn settled(broker: &Broker, deployment: &Deployment) -> Vec<Rec> {
    let raw = broker.read_all(&deployment.raw, Isolation::Committed).len();
    deployment.await_public(broker, raw, PATIENCE)
}

fn now() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}
