//! The services of `docker-compose.yml` without an engine: their own commands and environment, on a broker of ours.
//!
//! What is not held here: the images, and how an engine wires networks and volumes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::PATIENCE;
use crate::support::deployment::{Daemon, PROGRAM, totals};
use crate::support::kafka::{Broker, Isolation, Reader};

/// The image's entry point stands before a service's command.
const IMAGE: &str = "cdrveil:local";

/// The file, with the places of a container turned into places here.
struct Compose {
    file: Value,
    folder: tempfile::TempDir,
    bootstrap: String,
}

impl Compose {
    fn read(bootstrap: &str) -> Self {
        let text = fs::read_to_string(house().join("docker-compose.yml")).unwrap();
        Self {
            file: serde_yaml_ng::from_str(&text).unwrap(),
            folder: tempfile::tempdir().unwrap(),
            bootstrap: bootstrap.to_owned(),
        }
    }

    fn service(&self, name: &str) -> &Value {
        let service = &self.file["services"][name];
        assert!(service.is_object(), "no service {name}");
        service
    }

    /// A string of the file as it means here.
    fn here(&self, text: &str) -> String {
        let root = self.folder.path().to_str().unwrap();
        text.replace("$$", "$")
            .replace("/etc/cdrveil", &format!("{root}/etc/cdrveil"))
            .replace("/var/lib/cdrveil", &format!("{root}/var/lib/cdrveil"))
            .replace("kafka:19092", &self.bootstrap)
            .replace("0.0.0.0:9464", "127.0.0.1:0")
    }

    fn words(&self, list: &Value) -> Vec<String> {
        let list = list.as_array().unwrap();
        list.iter()
            .map(|word| self.here(word.as_str().unwrap()))
            .collect()
    }

    fn environment(&self, service: &Value) -> BTreeMap<String, String> {
        let Some(pairs) = service["environment"].as_object() else {
            return BTreeMap::new();
        };
        let pair = |(name, value): (&String, &Value)| (name.clone(), self.here(value.as_str().unwrap()));
        pairs.iter().map(pair).collect()
    }

    /// A service of our image.
    fn command(&self, name: &str) -> Command {
        let service = self.service(name);
        assert_eq!(service["image"], IMAGE, "{name}");
        let mut command = Command::new(PROGRAM);
        command.args(self.words(&service["command"]));
        command.envs(self.environment(service));
        command
    }
}

fn house() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf()
}

pub fn the_compose_file_s_services_do_their_work() {
    let broker = Broker::start();
    let compose = Compose::read(broker.bootstrap());
    bind_mounts_are_there(&compose);

    make_topics(&compose, &broker);
    for folder in ["etc/cdrveil", "var/lib/cdrveil"] {
        fs::create_dir_all(compose.folder.path().join(folder)).unwrap();
    }
    for file in ["cdrveil.toml", "policy.toml"] {
        let to = compose.folder.path().join("etc/cdrveil").join(file);
        fs::copy(house().join("config").join(file), to).unwrap();
    }
    // As often as the whole is brought up: the key of the first time stays.
    make_key(&compose);
    let keyring = compose.folder.path().join("var/lib/cdrveil/keyring.toml");
    let first = fs::read_to_string(&keyring).unwrap();
    make_key(&compose);
    assert_eq!(fs::read_to_string(&keyring).unwrap(), first);

    let daemon = Daemon::spawn(&mut compose.command("cdrveil"));
    daemon.await_ready(PATIENCE);
    let mut generator = compose.command("generator").stdin(Stdio::null()).spawn().unwrap();
    let mut public = Vec::new();
    Reader::new(&broker, "cdr.billing", Isolation::Committed).read_until(500, PATIENCE, &mut public);
    stop(&mut generator);
    assert!(
        public.len() >= 500,
        "{} public records\n{}",
        public.len(),
        daemon.log()
    );
    let (status, log) = daemon.stop();
    assert!(status.success(), "{log}");
    let [read, public, rejected, skipped, restricted] = totals(&log);
    assert!(
        read == public + rejected + skipped && public == restricted && rejected > 0,
        "{log}"
    );
}

/// The `create` lines of the topics service, as its script would make them.
fn make_topics(compose: &Compose, broker: &Broker) {
    let words = compose.words(&compose.service("topics")["command"]);
    let mut made = 0;
    for line in words.last().unwrap().lines() {
        let Some(rest) = line.trim().strip_prefix("create ") else {
            continue;
        };
        let words: Vec<&str> = rest.split_whitespace().collect();
        let (partitions, name) = (words[0].parse().unwrap(), words[2]);
        assert_eq!(words[1], "--topic", "{line}");
        let mut config = Vec::new();
        for pair in words[3..].chunks(2) {
            assert_eq!(pair[0], "--config", "{line}");
            config.push(pair[1].split_once('=').unwrap());
        }
        broker.create_topic(name, partitions, &config);
        made += 1;
    }
    assert_eq!(made, 5, "topics");
}

/// The one service that needs a shell: it keeps what a verb prints.
fn make_key(compose: &Compose) {
    let service = compose.service("key");
    let words = [
        compose.words(&service["entrypoint"]),
        compose.words(&service["command"]),
    ]
    .concat();
    let program = Path::new(PROGRAM).parent().unwrap().to_str().unwrap();
    let output = Command::new(&words[0])
        .args(&words[1..])
        .env("PATH", format!("{program}:{}", std::env::var("PATH").unwrap()))
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
}

/// Everything that is mounted from the repository is there, and every port is on loopback.
fn bind_mounts_are_there(compose: &Compose) {
    let services = compose.file["services"].as_object().unwrap();
    let mut mounts = 0;
    for (name, service) in services {
        for volume in service["volumes"].as_array().into_iter().flatten() {
            let source = volume.as_str().unwrap().split(':').next().unwrap();
            if source.starts_with('.') {
                assert!(house().join(source).exists(), "{name}: {source}");
                mounts += 1;
            } else {
                assert!(compose.file["volumes"].get(source).is_some(), "{name}: {source}");
            }
        }
        for port in service["ports"].as_array().into_iter().flatten() {
            assert!(port.as_str().unwrap().starts_with("127.0.0.1:"), "{name}: {port}");
        }
    }
    assert!(mounts >= 2, "{mounts}");
}

/// As an engine stops a container.
fn stop(child: &mut std::process::Child) {
    let sent = Command::new("kill").arg(child.id().to_string()).status().unwrap();
    assert!(sent.success());
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success(), "{status}");
            return;
        }
        assert!(
            std::time::Instant::now() < deadline,
            "the generator does not hear TERM"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}
