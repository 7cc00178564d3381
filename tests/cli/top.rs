//! `top` on a pseudo-terminal, over a listener that then goes away; and without a terminal.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use cdrveil::admin;
use cdrveil::telemetry::{
    EpochFacts, EpochStatus, KeyringFacts, LaneState, Now, Position, Setup, Telemetry, UnixMillis,
};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

/// A listener over a daemon's telemetry that is ready and idle; gone when the runtime is dropped.
fn listener(runtime: &Runtime, stopped: oneshot::Receiver<()>) -> admin::Serving {
    let now = Now::read();
    let telemetry = Telemetry::new(
        Setup {
            domain: "billing".to_owned(),
            guarantee: "exactly-once".to_owned(),
            lanes: 1,
            raw_topics: vec!["cdr.raw".to_owned()],
            rejection_reasons: &["number"],
            skip_reasons: &["header"],
        },
        now,
    );
    let epoch = EpochFacts {
        id: "2026-11".to_owned(),
        activate_at: UnixMillis(0),
        until: None,
        kcv: "9fc082d4".to_owned(),
        status: EpochStatus::Enabled,
    };
    let facts = KeyringFacts {
        fingerprint: "aa".to_owned(),
        epochs: vec![epoch],
    };
    telemetry.keyring_loaded(facts, now);
    telemetry.lane_state(0, LaneState::Running);
    telemetry.assigned(0, &[(0, 7)], now);
    let position = Position {
        topic: 0,
        partition: 7,
        committed: Some(3),
        read: Some(3),
        high_watermark: Some(3),
    };
    telemetry.positions(0, &[position], now);
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    runtime
        .block_on(admin::serve(any, telemetry, async move { drop(stopped.await) }))
        .unwrap()
}

/// `top` on a terminal of 80 by 24.
struct Screen {
    child: Child,
    said: Receiver<Vec<u8>>,
    seen: Vec<u8>,
}

impl Screen {
    fn top(url: &str) -> Self {
        let program = env!("CARGO_BIN_EXE_cdrveil");
        let mut child = Command::new("script")
            .args(["-q", "-e", "-c"])
            .arg(format!(
                "trap '' HUP; stty cols 80 rows 24; echo pid $$.; exec '{program}' top {url}"
            ))
            .arg("/dev/null")
            .env("TERM", "xterm-256color")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = child.stdout.take().unwrap();
        let (tell, said) = mpsc::channel();
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(read @ 1..) = out.read(&mut bytes) {
                if tell.send(bytes[..read].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self {
            child,
            said,
            seen: Vec::new(),
        }
    }

    /// Waits until the screen shows some words.
    fn awaits(&mut self, words: &str) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !shown(&self.seen).contains(words) {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.said.recv_timeout(left) {
                Ok(bytes) => self.seen.extend(bytes),
                Err(error) => panic!("no {words:?}: {error}:\n{}", shown(&self.seen)),
            }
        }
    }

    /// Presses q, waits for the end, and returns all that was sent to the terminal.
    fn quits(mut self) -> String {
        self.child.stdin.as_mut().unwrap().write_all(b"q").unwrap();
        let status = self.child.wait().unwrap();
        assert_eq!(status.code(), Some(0));
        self.seen.extend(self.said.iter().flatten());
        String::from_utf8_lossy(&self.seen).into_owned()
    }
}

/// What stands on the screen after these bytes: only what changes is sent, so words come in pieces.
fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut cells = vec![vec![' '; 80]; 24];
    let (mut row, mut column) = (0, 0);
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        if char != '\u{1b}' {
            if let Some(cell) = cells.get_mut(row).and_then(|cells| cells.get_mut(column)) {
                *cell = char;
            }
            column += 1;
        } else if chars.next() == Some('[') {
            let (mut parameters, mut end) = (String::new(), None);
            for char in chars.by_ref() {
                if char.is_ascii_alphabetic() {
                    end = Some(char);
                    break;
                }
                parameters.push(char);
            }
            if end == Some('H')
                && let Some((down, right)) = parameters.split_once(';')
            {
                row = down.parse::<usize>().unwrap() - 1;
                column = right.parse::<usize>().unwrap() - 1;
            }
        }
    }
    let lines: Vec<String> = cells
        .into_iter()
        .map(|cells| cells.into_iter().collect())
        .collect();
    lines.join("\n")
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn top_shows_a_daemon_and_says_when_it_is_gone() {
    let runtime = Runtime::new().unwrap();
    let (stop, stopped) = oneshot::channel();
    let serving = listener(&runtime, stopped);
    let mut screen = Screen::top(&format!("http://{}", serving.address()));
    for words in [
        " healthy ",
        "Healthy: no records",
        "key 2026-11",
        "0 cdr.raw/7",
        "kcv 9fc082d4",
        "q quits",
    ] {
        screen.awaits(words);
    }
    stop.send(()).unwrap();
    runtime
        .block_on(serving.finished(Duration::from_secs(10)))
        .unwrap();
    screen.awaits("it has stopped or cannot be reached");
    screen.awaits("It said: Healthy: no records");
    // The terminal is given back: the other screen is left.
    assert!(screen.quits().contains("\u{1b}[?1049l"));
}

#[test]
fn top_ends_with_its_terminal_even_where_hang_ups_are_ignored() {
    let mut screen = Screen::top("http://127.0.0.1:1");
    screen.awaits("No answer from");
    let seen = String::from_utf8_lossy(&screen.seen).into_owned();
    let pid = seen.split("pid ").nth(1).unwrap().split('.').next().unwrap();
    drop(screen);
    let process = Path::new("/proc").join(pid);
    let deadline = Instant::now() + Duration::from_secs(60);
    while process.exists() {
        assert!(Instant::now() < deadline, "{pid} still runs");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn top_without_a_terminal_names_what_scripts_use() {
    let refused = Command::new(env!("CARGO_BIN_EXE_cdrveil"))
        .args(["top", "127.0.0.1:1"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(64));
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("curl http://127.0.0.1:1/api/v1/status"), "{said}");
}
