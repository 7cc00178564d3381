//! A deployment under test: configuration files of its own, topics of its own, and the real daemon
//! as a process, driven through its public door.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use cdrveil::seal::opener::Opener;
use serde_json::Value;

use super::kafka::{Broker, Input, Isolation, Rec, unique};

/// The program under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_cdrveil");

/// A key as `openssl rand -hex 32` prints it, and its check value (`cdrveil keys new` would print it).
pub const KEYS: [(&str, &str); 3] = [
    (
        "6d1f0be2a4937c58d2e90f4b7a61c38e15f7a0bc92d4637881efcd5a06b3924e",
        "e5c5b4f0",
    ),
    (
        "c0a7715e93dd4b2f8866fa13e9047b25b1d8329c6e5f40a3772d91c8e46b0fd7",
        "57ec797b",
    ),
    (
        "3b94e7d1068fa25cc7530e91bd64f82a9e1f76c3d05b48a2ef317c6950d8ba24",
        "e08b0c9a",
    ),
];

/// Files and topics of one deployment.
pub struct Deployment {
    folder: tempfile::TempDir,
    bootstrap: String,
    pub raw: String,
    pub public: String,
    pub restricted: String,
    pub rejected: String,
    pub register: String,
    pub group: String,
    pub identity: String,
    recipient: String,
}

impl Deployment {
    /// Topics of so many partitions on the broker, and the files of `config/` adapted to them.
    pub fn new(broker: &Broker, partitions: i32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (identity, recipient) = Opener::new_identity();
        let made = Self {
            folder,
            bootstrap: broker.bootstrap().to_owned(),
            raw: unique("raw"),
            public: unique("public"),
            restricted: unique("restricted"),
            rejected: unique("rejected"),
            register: unique("register"),
            group: unique("group"),
            identity: identity.expose().clone(),
            recipient,
        };
        for topic in [&made.raw, &made.public, &made.restricted, &made.rejected] {
            broker.create_topic(topic, partitions, &[]);
        }
        fs::write(made.path("identity.txt"), &made.identity).unwrap();
        made.policy(&sample("policy.toml"));
        made.keyring(&[("2026-11", "2026-11-01T00:00:00Z", 0)]);
        made.config("");
        made
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// Replaces the policy.
    pub fn policy(&self, text: &str) {
        fs::write(self.path("policy.toml"), text).unwrap();
    }

    /// Replaces the keyring: id, activate_at, index into [`KEYS`].
    pub fn keyring(&self, epochs: &[(&str, &str, usize)]) {
        let mut text = "version = 1\n".to_owned();
        for (id, activate_at, key) in epochs {
            let file = format!("{id}.key");
            let path = self.path(&file);
            if !path.exists() {
                fs::write(&path, format!("{}\n", KEYS[*key].0)).unwrap();
                fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
            }
            let kcv = kcv(KEYS[*key].0);
            let entry = format!(
                "[[key]]\nid = \"{id}\"\nactivate_at = {activate_at}\nmaterial = {{ file = \"{file}\" }}\nkcv = \"{kcv}\"\n"
            );
            text += &entry;
        }
        // Written whole and renamed, as deployment tools do.
        fs::write(self.path("keyring.new"), text).unwrap();
        fs::rename(self.path("keyring.new"), self.path("keyring.toml")).unwrap();
    }

    /// Replaces the configuration; `more` is appended (sections not written here).
    pub fn config(&self, more: &str) {
        self.config_as("cdrveil.toml", "0", "lanes = 1", more);
    }

    /// A configuration of its own for one more instance of the group.
    pub fn config_as(&self, file: &str, instance: &str, delivery: &str, more: &str) {
        let Self {
            bootstrap,
            group,
            raw,
            public,
            restricted,
            rejected,
            register,
            recipient,
            ..
        } = self;
        let text = format!(
            "domain = \"billing\"\npolicy = \"policy.toml\"\nkeyring = \"keyring.toml\"\n\
             [kafka]\nbrokers = [\"{bootstrap}\"]\ngroup = \"{group}\"\ninstance = \"{instance}\"\n\
             [kafka.properties]\n\"session.timeout.ms\" = 6000\n\"heartbeat.interval.ms\" = 1000\n\
             [topics]\nraw = [\"{raw}\"]\npublic = \"{public}\"\nrestricted = \"{restricted}\"\nrejected = \"{rejected}\"\n\
             register = \"{register}\"\n\
             [delivery]\n{delivery}\n[seal]\nrecipients = [\"{recipient}\"]\n\
             [admin]\nlisten = \"127.0.0.1:0\"\n{more}\n"
        );
        fs::write(self.path(file), text).unwrap();
    }

    /// Changes a configuration file in place; the text to be changed must be there.
    pub fn edit(&self, file: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.path(file)).unwrap();
        assert!(text.contains(from), "{file} has no {from}");
        fs::write(self.path(file), text.replace(from, to)).unwrap();
    }

    /// Starts `cdrveil run` with `cdrveil.toml`.
    pub fn start(&self) -> Daemon {
        self.start_as("cdrveil.toml", &[])
    }

    /// Starts `cdrveil run` with that file and more arguments.
    pub fn start_as(&self, file: &str, arguments: &[&str]) -> Daemon {
        self.start_in(file, arguments, &[])
    }

    /// As [`start_as`](Self::start_as), with more in its environment.
    pub fn start_in(&self, file: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Daemon {
        let mut command = Command::new(PROGRAM);
        command.arg("run").arg("--config").arg(self.path(file));
        command.args(arguments).envs(environment.iter().copied());
        Daemon::spawn(&mut command)
    }

    /// Runs another verb to its end.
    pub fn verb(&self, arguments: &[&str]) -> Output {
        Command::new(PROGRAM)
            .args(arguments)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// Makes the register from the keyring, as a group needs it that has committed offsets already.
    pub fn rebuild_register(&self) {
        let output = self.verb(&[
            "keys",
            "register",
            "--config",
            "cdrveil.toml",
            "--rebuild",
            "--yes",
        ]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
    }

    /// `cdrveil open` over a topic, line by line.
    pub fn open(&self, topic: &str) -> Vec<Value> {
        let identity = self.path("identity.txt");
        let output = self.verb(&[
            "open",
            "--identity",
            identity.to_str().unwrap(),
            "--brokers",
            &self.bootstrap,
            "--topic",
            topic,
        ]);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// Produces raw values, round robin over the partitions.
    pub fn produce(&self, broker: &Broker, partitions: i32, values: impl IntoIterator<Item = Vec<u8>>) {
        let now = jiff::Timestamp::now().as_millisecond();
        let inputs = values.into_iter().enumerate().map(|(at, value)| Input {
            partition: at as i32 % partitions,
            value: Some(value),
            timestamp: Some(now),
            ..Input::default()
        });
        broker.produce_all(&self.raw, inputs);
    }

    /// Waits until so many committed records are public, and returns them.
    pub fn await_public(&self, broker: &Broker, count: usize, within: Duration) -> Vec<Rec> {
        let deadline = Instant::now() + within;
        loop {
            let records = broker.read_all(&self.public, Isolation::Committed);
            if records.len() >= count || Instant::now() > deadline {
                assert!(
                    records.len() >= count,
                    "{} of {count} public records within {within:?}",
                    records.len()
                );
                return records;
            }
            thread::sleep(Duration::from_millis(200));
        }
    }
}

/// A file of `config/`, as shipped.
pub fn sample(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(name)).unwrap()
}

/// The check value of a key.
pub fn kcv(hex: &str) -> String {
    let bytes = data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap();
    cdrveil::pseudonym::mac::EpochKey::new(bytes)
        .unwrap()
        .kcv()
        .to_string()
}

/// A running daemon process; killed when dropped.
pub struct Daemon {
    child: Child,
    log: Arc<Mutex<String>>,
    reader: Option<thread::JoinHandle<()>>,
}

impl Daemon {
    /// Starts `cdrveil run`, however it is told to.
    pub fn spawn(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let stderr = child.stderr.take().unwrap();
        let sink = Arc::clone(&log);
        let reader = thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let mut log = sink.lock().unwrap();
                log.push_str(&line);
                log.push('\n');
            }
        });
        Self {
            child,
            log,
            reader: Some(reader),
        }
    }

    /// Everything it said so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// Sends a signal by its number.
    pub fn signal(&self, signal: i32) {
        let sent = Command::new("kill")
            .arg(format!("-{signal}"))
            .arg(self.pid().to_string())
            .status()
            .unwrap();
        assert!(sent.success());
    }

    /// `kill -9`, and waits for the end.
    pub fn kill(mut self) -> String {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.log()
    }

    /// SIGTERM, waits for the end; status and the whole log.
    pub fn stop(mut self) -> (ExitStatus, String) {
        self.signal(15);
        let status = self.wait(Duration::from_secs(60));
        (status, self.log())
    }

    /// Whether it has ended by itself.
    pub fn ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits for an end that comes by itself.
    pub fn wait(&mut self, within: Duration) -> ExitStatus {
        let deadline = Instant::now() + within;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                if let Some(reader) = self.reader.take() {
                    reader.join().unwrap();
                }
                return status;
            }
            assert!(
                Instant::now() < deadline,
                "still running after {within:?}:\n{}",
                self.log()
            );
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until the log holds a text.
    pub fn await_log(&self, text: &str, within: Duration) {
        let deadline = Instant::now() + within;
        while !self.log().contains(text) {
            assert!(
                Instant::now() < deadline,
                "no \"{text}\" within {within:?}:\n{}",
                self.log()
            );
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// The address of its HTTP listener.
    pub fn address(&self) -> String {
        self.await_log("\"admin\":\"", Duration::from_secs(60));
        let log = self.log();
        let rest = log.split("\"admin\":\"").nth(1).unwrap();
        rest.split('"').next().unwrap().to_owned()
    }

    /// GET: status code and body.
    pub fn get(&self, path: &str) -> (u16, String) {
        let address = self.address();
        assert!(
            TcpStream::connect(&address).is_ok(),
            "it has stopped:\n{}",
            self.log()
        );
        get(&address, path)
    }

    /// Waits until `/readyz` says so.
    pub fn await_ready(&self, within: Duration) {
        self.await_readyz(200, within);
    }

    /// Waits until `/readyz` answers with this code.
    pub fn await_readyz(&self, wanted: u16, within: Duration) {
        let deadline = Instant::now() + within;
        loop {
            let (code, body) = self.get("/readyz?verbose");
            if code == wanted {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "/readyz is {code}, not {wanted} within {within:?}: {body}\n{}",
                self.log()
            );
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// The value of a metric's series; series are named as on the page.
    pub fn metric(&self, series: &str) -> Option<f64> {
        let (_, page) = self.get("/metrics");
        let line = page.lines().find(|line| {
            line.strip_prefix(series)
                .is_some_and(|rest| rest.starts_with(' '))
        })?;
        line.rsplit(' ').next()?.parse().ok()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A small HTTP/1.1 GET over a socket: status code and body.
pub fn get(address: &str, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let code = head.split(' ').nth(1).unwrap().parse().unwrap();
    (code, body.to_owned())
}

/// `in=.. public=.. rejected=.. skipped=.. restricted=..` of a clean stop's last line.
pub fn totals(log: &str) -> [u64; 5] {
    let line = log
        .lines()
        .rev()
        .find(|line| line.contains("in="))
        .expect("a clean stop tells its totals");
    ["in=", " public=", " rejected=", " skipped=", " restricted="].map(|name| {
        let rest = line.split(name).nth(1).unwrap();
        rest.chars()
            .take_while(char::is_ascii_digit)
            .collect::<String>()
            .parse()
            .unwrap()
    })
}
