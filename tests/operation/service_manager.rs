//! sd_notify(3) from its other end: a datagram socket in place of systemd.

use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::PATIENCE;
use crate::support::deployment::Deployment;
use crate::support::kafka::shared;

/// What a service manager would hear.
struct Manager {
    _folder: tempfile::TempDir,
    path: PathBuf,
    socket: UnixDatagram,
    heard: Vec<String>,
}

impl Manager {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        Self {
            _folder: folder,
            path,
            socket,
            heard: Vec::new(),
        }
    }

    /// What was said by a process that has ended.
    fn hear_the_rest(&mut self) {
        let mut buffer = [0; 4096];
        while let Ok(length) = self.socket.recv(&mut buffer) {
            self.heard
                .push(String::from_utf8(buffer[..length].to_vec()).unwrap());
        }
    }

    fn path(&self) -> &str {
        self.path.to_str().unwrap()
    }

    /// Listens until a message has a line that begins so; the whole message.
    fn hear(&mut self, line: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        let mut buffer = [0; 4096];
        while Instant::now() < deadline {
            let Ok(length) = self.socket.recv(&mut buffer) else {
                continue; // nothing yet
            };
            let message = String::from_utf8(buffer[..length].to_vec()).unwrap();
            self.heard.push(message.clone());
            if message.lines().any(|said| said.starts_with(line)) {
                return message;
            }
        }
        panic!("no {line} in {PATIENCE:?}; heard {:#?}", self.heard);
    }

    /// Whether a line was ever heard.
    fn has_heard(&self, line: &str) -> bool {
        self.heard
            .iter()
            .any(|message| message.lines().any(|said| said == line))
    }
}

pub fn the_service_manager_hears_of_every_step() {
    let broker = shared();
    let deployment = Deployment::new(broker, 1);
    let mut manager = Manager::new();
    let path = manager.path().to_owned();
    let environment = [("NOTIFY_SOCKET", path.as_str()), ("WATCHDOG_USEC", "1000000")];
    let mut daemon = deployment.start_in("cdrveil.toml", &[], &environment);
    manager.hear("READY=1");
    assert!(!manager.has_heard("WATCHDOG=1"), "{:?}", manager.heard);
    manager.hear("STATUS=ready");
    let began = Instant::now();
    for _ in 0..4 {
        manager.hear("WATCHDOG=1");
    }
    // Fed twice within its second: four times need no longer than a few.
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());

    daemon.signal(1);
    let reloading = manager.hear("RELOADING=1");
    let stamp = reloading
        .lines()
        .find_map(|line| line.strip_prefix("MONOTONIC_USEC="));
    assert!(stamp.unwrap().parse::<u64>().unwrap() > 0, "{reloading}");
    manager.hear("READY=1");
    // Ready again once it was obeyed, not before.
    let reloads = daemon.metric("cdrveil_keyring_reloads_total{outcome=\"applied\"}");
    assert_eq!(reloads, Some(1.0), "{}", daemon.log());

    daemon.signal(15);
    let stopping = manager.hear("STOPPING=1");
    // The drain's 45 s, and five more: systemd must not cut it short.
    assert!(stopping.contains("EXTEND_TIMEOUT_USEC=50000000"), "{stopping}");
    let status = daemon.wait(PATIENCE);
    assert!(status.success(), "{}", daemon.log());
    let before = manager.heard.len();
    manager.hear_the_rest();
    let late = &manager.heard[before..];
    assert!(
        late.iter().all(|message| !message.contains("READY=1")),
        "{late:?}"
    );
}

pub fn a_start_without_a_broker_is_told_and_may_take_its_time() {
    let broker = shared();
    let deployment = Deployment::new(broker, 1);
    deployment.edit("cdrveil.toml", broker.bootstrap(), "127.0.0.1:1");
    deployment.edit("cdrveil.toml", "[kafka]\n", "[kafka]\nstart_timeout = \"2s\"\n");
    let mut manager = Manager::new();
    let path = manager.path().to_owned();
    let mut daemon = deployment.start_in("cdrveil.toml", &[], &[("NOTIFY_SOCKET", &path)]);
    let waiting = manager.hear("STATUS=waiting for a broker at 127.0.0.1:1");
    assert!(waiting.contains("EXTEND_TIMEOUT_USEC=30000000"), "{waiting}");
    assert_eq!(daemon.wait(PATIENCE).code(), Some(69), "{}", daemon.log());
    assert!(!manager.has_heard("READY=1"), "{:?}", manager.heard);
}
