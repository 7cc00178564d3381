//! The files that packages, images and clusters start the program with: their commands and settings are ones it takes.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::{KCV, KEY, Place};

fn house(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
}

fn cdrveil(words: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cdrveil"));
    command
        .args(words)
        .envs(environment.iter().copied())
        .output()
        .unwrap()
}

fn strings(list: &Value) -> Vec<String> {
    let words = list.as_array().unwrap().iter();
    words.map(|word| word.as_str().unwrap().to_owned()).collect()
}

/// All commands that start our program: the unit's, the image's, the compose file's, the manifests'.
fn commands() -> Vec<Vec<String>> {
    let unit = house("config/systemd/cdrveil.service");
    let lines = unit.lines().filter_map(|line| line.strip_prefix("Exec"));
    let ours = lines.filter_map(|line| line.split_once("=/usr/bin/cdrveil "));
    let mut found: Vec<Vec<String>> = ours
        .map(|(_, words)| words.split(' ').map(str::to_owned).collect())
        .collect();
    let image = house("Dockerfile");
    let words = image.lines().find_map(|line| line.strip_prefix("CMD ")).unwrap();
    found.push(strings(&serde_json::from_str(words).unwrap()));
    let compose: Value = serde_yaml_ng::from_str(&house("docker-compose.yml")).unwrap();
    for service in compose["services"].as_object().unwrap().values() {
        if service["image"] == "cdrveil:local" {
            found.push(strings(&service["command"]));
        }
    }
    found.push(strings(&container()["args"]));
    found
}

fn stateful_set() -> Value {
    serde_yaml_ng::from_str(&house("config/kubernetes/base/statefulset.yaml")).unwrap()
}

fn container() -> Value {
    stateful_set()["spec"]["template"]["spec"]["containers"][0].clone()
}

#[test]
fn every_command_of_a_deployment_is_one_the_program_takes() {
    let commands = commands();
    assert_eq!(commands.len(), 6, "{commands:?}");
    for words in commands {
        // Behind words it does not know, no help is shown.
        let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
        words.push("--help");
        let ran = cdrveil(&words, &[]);
        assert!(
            ran.status.success(),
            "{words:?}: {}",
            String::from_utf8_lossy(&ran.stderr)
        );
    }
    assert_eq!(
        cdrveil(&["run", "--confg", "x", "--help"], &[]).status.code(),
        Some(64)
    );
}

#[test]
fn a_pod_that_is_not_root_reads_its_keys_from_a_secret() {
    let place = Place::new();
    for file in ["cdrveil.toml", "policy.toml"] {
        place.write(file, &house(&format!("config/kubernetes/base/{file}")));
    }
    // As the kubelet mounts it: a folder behind a symlink, and files that the pod's group may read.
    let keys = place.path("keys");
    let data = keys.join("..2026_11_27");
    fs::create_dir_all(&data).unwrap();
    symlink("..2026_11_27", keys.join("..data")).unwrap();
    let keyring = format!(
        "version = 1\n[[key]]\nid = \"2026-11\"\nactivate_at = 2026-11-01T00:00:00Z\n\
         material = {{ credential = \"2026-11.key\" }}\nkcv = \"{KCV}\"\n"
    );
    for (file, text) in [("keyring.toml", keyring.as_str()), ("2026-11.key", KEY)] {
        fs::write(data.join(file), text).unwrap();
        fs::set_permissions(data.join(file), fs::Permissions::from_mode(0o440)).unwrap();
        symlink(format!("..data/{file}"), keys.join(file)).unwrap();
    }
    let mount = "/run/cdrveil/keys";
    place.edit("cdrveil.toml", mount, keys.to_str().unwrap());
    let env = &container()["env"][0];
    assert_eq!(
        (&env["name"], &env["value"]),
        (&"CREDENTIALS_DIRECTORY".into(), &mount.into())
    );

    let config = place.path("cdrveil.toml");
    let words = ["check", "--config", config.to_str().unwrap(), "--offline"];
    let check = |environment: &[(&str, &str)]| cdrveil(&words, environment);
    let ran = check(&[("CREDENTIALS_DIRECTORY", keys.to_str().unwrap())]);
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    assert_eq!(
        check(&[]).status.code(),
        Some(78),
        "without the variable there are no credentials"
    );
    // As systemd starts a unit's ExecReload=; every other fault is told as ever.
    let reload = [&words[..], &["--without-credentials"]].concat();
    let ran = cdrveil(&reload, &[]);
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    place.edit("policy.toml", "country", "countri");
    let told = cdrveil(&reload, &[]);
    assert_eq!(told.status.code(), Some(78));
    let told = String::from_utf8(told.stderr).unwrap();
    assert!(told.contains("countri") && !told.contains("credential"), "{told}");
    place.edit("policy.toml", "countri", "country");
    // What the comment in the manifest says of files.
    let data = data.join("keyring.toml");
    fs::set_permissions(&data, fs::Permissions::from_mode(0o600)).unwrap();
    let named = keyring.replace("credential = \"", "file = \"..data/");
    fs::write(&data, named).unwrap();
    let told = String::from_utf8(check(&[]).stderr).unwrap();
    assert!(told.contains("is open to group or others (mode 0440)"), "{told}");
}

#[test]
fn the_manifest_s_times_and_ports_are_the_configuration_s() {
    let set = stateful_set();
    let pod = &set["spec"]["template"]["spec"];
    let config: toml::Table = house("config/kubernetes/base/cdrveil.toml").parse().unwrap();
    assert_eq!(config["delivery"]["drain_timeout"].as_str(), Some("45s"));
    assert!(pod["terminationGracePeriodSeconds"].as_u64().unwrap() >= 45 + 10);
    let listen = config["admin"]["listen"].as_str().unwrap();
    let port = container()["ports"][0]["containerPort"].as_u64().unwrap();
    assert!(listen.ends_with(&format!(":{port}")), "{listen}");
    for (probe, path) in [
        ("startupProbe", "/livez"),
        ("livenessProbe", "/livez"),
        ("readinessProbe", "/readyz"),
    ] {
        assert_eq!(container()[probe]["httpGet"]["path"], path, "{probe}");
    }
    let mounts = container()["volumeMounts"].as_array().unwrap().clone();
    assert_eq!(mounts.len(), 2);
    assert!(
        mounts.iter().all(|mount| mount.get("subPath").is_none()),
        "{mounts:?}"
    );
}
