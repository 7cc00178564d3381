//! Keys that a PKCS#11 token derives, with SoftHSM in place of the hardware and the real program around it.
//!
//! Needs SoftHSM and OpenSC (`softhsm2`, `opensc`): without them the tests show as ignored, and fail where `CI` is set.
#![allow(clippy::unwrap_used)] // a test's unwrap is its assertion
#![allow(clippy::print_stdout)] // why tests are ignored

#[path = "pkcs11/hsm.rs"]
mod hsm;
#[path = "pkcs11/place.rs"]
mod place;
#[path = "pkcs11/refusals.rs"]
mod refusals;
mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::{Duration, Instant};

use cryptoki::object::KeyType;
use hmac::{Hmac, Mac};
use libtest_mimic::{Arguments, Trial};
use serde_json::Value;
use sha2::Sha256;
use support::deployment::{Daemon, Deployment};
use support::kafka::{self, Isolation, shared};
use support::oracle::{Epoch, Scope};

use hsm::{PIN, Token, calls};
use place::{Place, block};

const PATIENCE: Duration = Duration::from_secs(60);

fn main() {
    let there = hsm::all_there();
    if !there {
        println!("SoftHSM or OpenSC is missing: apt-get install softhsm2 opensc to run these tests");
    } else if let Some(status) = hsm::run_apart() {
        std::process::exit(status.code().unwrap_or(1));
    }
    // In CI a run that leaves this out proves nothing: without a token it fails there.
    let wanted = there || std::env::var_os("CI").is_some();
    let trial = |name: &str, test: fn()| {
        let test = move || {
            test();
            Ok(())
        };
        Trial::test(name, test).with_ignored_flag(!wanted)
    };
    let with_kafka = |trial: Trial| trial.with_ignored_flag(!wanted || !support::kafka_wanted());
    let trials = vec![
        trial(
            "a_token_derives_the_keys_and_every_load_and_instance_agrees",
            a_token_derives_the_keys_and_every_load_and_instance_agrees,
        ),
        trial(
            "a_root_gives_the_keys_that_hmac_gives",
            a_root_gives_the_keys_that_hmac_gives,
        ),
        trial("a_wrong_pin_is_tried_once", refusals::a_wrong_pin_is_tried_once),
        trial(
            "a_pin_is_read_from_where_secrets_are",
            refusals::a_pin_is_read_from_where_secrets_are,
        ),
        trial(
            "what_may_not_be_a_root_is_refused_with_its_place",
            refusals::what_may_not_be_a_root_is_refused_with_its_place,
        ),
        trial(
            "a_module_or_token_that_is_not_there_is_told_with_its_place",
            refusals::a_module_or_token_that_is_not_there_is_told_with_its_place,
        ),
        trial(
            "a_module_that_hangs_is_given_up_and_not_called_again",
            refusals::a_module_that_hangs_is_given_up_and_not_called_again,
        ),
        trial(
            "an_edit_is_compared_without_the_token",
            an_edit_is_compared_without_the_token,
        ),
        trial(
            "destroying_a_derived_key_says_what_it_means",
            destroying_a_derived_key_says_what_it_means,
        ),
        trial("the_page_s_commands_make_a_root", the_page_s_commands_make_a_root),
        with_kafka(trial(
            "a_derived_epoch_is_added_while_records_flow_and_a_token_that_is_gone_changes_nothing",
            a_derived_epoch_is_added_while_records_flow_and_a_token_that_is_gone_changes_nothing,
        )),
    ];
    let mut arguments = Arguments::from_args();
    // SoftHSM's tokens lie in one folder, where one that is being made disturbs who lists them.
    arguments.test_threads = Some(1);
    let conclusion = libtest_mimic::run(&arguments, trials);
    kafka::stop_shared();
    conclusion.exit();
}

const OCTOBER: (&str, &str) = ("2026-10", "2026-10-01T00:00:00+01:00");
const NOVEMBER: (&str, &str) = ("2026-11", "2026-11-01T00:00:00Z");

fn a_token_derives_the_keys_and_every_load_and_instance_agrees() {
    let token = Token::new("agreeing");
    token.root("cdrveil-root");
    let place = Place::new("agreeing", "cdrveil-root");
    place.derived(OCTOBER.0, OCTOBER.1);
    place.derived(NOVEMBER.0, NOVEMBER.1);
    fs::remove_file(place.path("spy.log")).unwrap();
    let listed = place.listed();
    let log = place.path("spy.log");
    let asked = ["C_Initialize", "C_Login", "C_SignInit", "C_Finalize"].map(|name| calls(&log, name));
    assert_eq!(asked, [1, 1, 2, 1], "one visit, one call for each epoch");
    let [first, second] = [0, 1].map(|at| listed["keys"][at].clone());
    assert_eq!(first["source"], "pkcs11:agreeing/cdrveil-root");
    assert!(first["fault"].is_null() && second["fault"].is_null(), "{listed}");
    assert_ne!(first["kcv"], second["kcv"], "every epoch has a key of its own");

    let checked = place.run("check --config cdrveil.toml --offline");
    let said =
        "root       ok  \"hsm-root\" at pkcs11:agreeing/cdrveil-root, which derives the keys of 2 epochs\n";
    assert!(
        checked.code == 0 && checked.out.contains(said),
        "{}{}",
        checked.out,
        checked.err
    );

    let public = place.applied();
    assert!(
        public.contains(",2026-10.") && public.contains(",2026-11."),
        "{public}"
    );
    assert_eq!(place.applied(), public, "another load");
    let other = Place::new("agreeing", "cdrveil-root");
    other.write("keyring.toml", &place.read("keyring.toml"));
    assert_eq!(other.applied(), public, "another instance");
    // Another root under the same label is another key, and noticed by its check value.
    token.destroyed("cdrveil-root");
    token.root("cdrveil-root");
    let refused = place.refusals();
    assert!(
        refused.len() == 2
            && refused
                .iter()
                .all(|fault| fault.contains("these are the wrong bytes for this id")),
        "{refused:?}"
    );
}

fn a_root_gives_the_keys_that_hmac_gives() {
    let token = Token::new("known");
    let secret: Vec<u8> = (0..32).collect();
    token.imported("imported", KeyType::GENERIC_SECRET, &secret);
    let place = Place::new("known", "imported");
    place.derived(OCTOBER.0, OCTOBER.1);
    place.derived(NOVEMBER.0, NOVEMBER.1);
    // As docs/formats.md has it.
    assert_eq!(place.listed()["keys"][1]["kcv"], "c1d2c2d1");
    let mut mac = Hmac::<Sha256>::new_from_slice(&secret).unwrap();
    mac.update(b"cdrveil/v1/epoch\x072026-11");
    let epoch = Epoch {
        id: "2026-11",
        key_hex: &data_encoding::HEXLOWER.encode(&mac.finalize().into_bytes()),
        domain: "billing",
    };
    let public = place.applied();
    let token = epoch.token("phone", Scope::Domain, "447700900001");
    assert!(public.lines().nth(1).unwrap().contains(&token), "{public}");
    assert!(!public.contains(epoch.key_hex));
}

/// What nobody has looked at yet names a library, and it is not loaded.
fn an_edit_is_compared_without_the_token() {
    let token = Token::new("compared");
    token.root("cdrveil-root");
    let place = Place::new("compared", "cdrveil-root");
    place.derived(NOVEMBER.0, NOVEMBER.1);
    place.write("new.toml", &place.read("keyring.toml"));
    place.edit("new.toml", "\"compared\"", "\"elsewhere\"");
    fs::remove_file(place.path("hsm-pin")).unwrap();
    fs::remove_file(place.path("spy.log")).unwrap();
    let diff = place.run("keys diff keyring.toml new.toml --at 2026-11-22T00:00:00Z");
    assert_eq!(diff.code, 0, "{}{}", diff.out, diff.err);
    let said = "material from pkcs11:elsewhere/cdrveil-root instead of pkcs11:compared/cdrveil-root";
    assert!(diff.out.contains(said), "{}", diff.out);
    assert!(!place.path("spy.log").exists(), "the module was not loaded");
    place.edit("new.toml", "name = \"hsm-root\"", "name = \"lost\"");
    let refused = place.run("keys diff keyring.toml new.toml");
    assert_eq!(refused.code, 78, "{}", refused.out);
    assert!(
        refused.err.contains("new.toml:9:12: no [[root]] has the name"),
        "{}",
        refused.err
    );
}

fn destroying_a_derived_key_says_what_it_means() {
    let token = Token::new("ending");
    token.root("cdrveil-root");
    let place = Place::new("ending", "cdrveil-root");
    place.derived("old", "2020-01-01T00:00:00Z");
    place.derived("older", "2020-02-01T00:00:00Z");
    place.derived("now", "2020-03-01T00:00:00Z");
    let kcv = place.listed()["keys"][0]["kcv"].clone();
    fs::remove_file(place.path("spy.log")).unwrap();
    let ran = place.run("keys destroy old --keyring keyring.toml --yes --json");
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(!place.path("spy.log").exists(), "no token is opened for it");
    let certificate: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(certificate["kcv"], kcv);
    assert_eq!(certificate["source"], "pkcs11:ending/cdrveil-root");
    assert_eq!(certificate["can_be_derived_again"], true);
    assert!(ran.err.contains("that need it: older, now"), "{}", ran.err);
    let keyring = place.read("keyring.toml");
    assert!(
        keyring.contains("id = \"old\"\n") && keyring.contains("status = \"destroyed\""),
        "{keyring}"
    );
    assert_eq!(keyring.matches("derive = ").count(), 2, "{keyring}");
    assert_eq!(place.listed()["keys"][0]["state"], "destroyed");
    let text = place
        .run("keys destroy older --keyring keyring.toml --yes --force")
        .out;
    assert!(
        text.contains("the key can be derived again until this root is destroyed"),
        "{text}"
    );
    let last = place.run("keys destroy now --keyring keyring.toml --yes --force");
    assert!(
        last.err
            .contains("only then is\n    this key gone. No other key of this keyring needs it"),
        "{}",
        last.err
    );
    // A tombstone needs no root; a key that comes back under the same id is another matter of the register.
    token.destroyed("cdrveil-root");
    assert_eq!(place.listed()["keys"][2]["state"], "destroyed");
}

/// `docs/keys.md`, word for word.
fn the_page_s_commands_make_a_root() {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/keys.md")).unwrap();
    let shown = |begins: &str| {
        let (_, rest) = page.split_once(&format!("```{begins}")).unwrap();
        begins.split_once('\n').unwrap().1.to_owned() + rest.split("```").next().unwrap()
    };
    let place = Place::new("cdrveil", "cdrveil-root");
    fs::remove_file(place.path("hsm-pin")).unwrap();
    let ran = Command::new("sh")
        .args(["-ec", &shown("sh root\n")])
        .current_dir(place.folder.path())
        .envs([("PIN", PIN), ("SO_PIN", "so-pin-1618")])
        .env("MODULE", hsm::softhsm().unwrap())
        .output()
        .unwrap();
    let (out, err) = (
        String::from_utf8_lossy(&ran.stdout),
        String::from_utf8_lossy(&ran.stderr),
    );
    assert!(ran.status.success(), "{out}{err}");
    assert!(
        out.contains("sensitive, always sensitive, never extractable, local"),
        "{out}"
    );
    let root = shown("toml\n[[root]]").replace(
        "/usr/lib/softhsm/libsofthsm2.so",
        hsm::softhsm().unwrap().to_str().unwrap(),
    );
    place.keyring(&root);
    place.derived(NOVEMBER.0, NOVEMBER.1);
    let key = shown("toml\nmaterial = { derive");
    assert!(place.read("keyring.toml").contains(key.trim()), "{key}");
    assert!(place.listed()["keys"][0]["fault"].is_null());
}

fn a_derived_epoch_is_added_while_records_flow_and_a_token_that_is_gone_changes_nothing() {
    let broker = shared();
    let token = Token::new("flowing");
    let secret: Vec<u8> = (32..64).collect();
    token.imported("cdrveil-root", KeyType::GENERIC_SECRET, &secret);
    let deployment = Deployment::new(broker, 1);
    deployment.policy(
        "[input]\nformat = \"csv\"\ncolumns = [\"id\", \"caller\", \"start\"]\nmax_future = \"1s\"\n\
         time = { field = \"start\", format = \"unix\" }\n[numbers]\ncountry = \"GB\"\n[fields]\nid = \"keep\"\n\
         start = \"keep\"\ncaller = { action = \"pseudonymise\", kind = \"phone\" }\n",
    );
    fs::write(deployment.path("hsm-pin"), PIN).unwrap();
    fs::set_permissions(deployment.path("hsm-pin"), fs::Permissions::from_mode(0o400)).unwrap();
    let now = jiff::Timestamp::now().as_second();
    let starts = [now - 86_400, now + 60];
    let hex = |id: &str| {
        let mut mac = Hmac::<Sha256>::new_from_slice(&secret).unwrap();
        mac.update(b"cdrveil/v1/epoch");
        mac.update(&[id.len() as u8]);
        mac.update(id.as_bytes());
        data_encoding::HEXLOWER.encode(&mac.finalize().into_bytes())
    };
    let root = block("hsm-root", "flowing", "cdrveil-root");
    fs::write(deployment.path("keyring.toml"), format!("version = 1\n{root}")).unwrap();
    let add = |id: &str, start: i64| {
        let start = jiff::Timestamp::from_second(start).unwrap().to_string();
        let made = deployment.verb(&[
            "keys",
            "new",
            "--keyring",
            "keyring.toml",
            "--derive",
            "hsm-root",
            "--id",
            id,
            "--activate-at",
            &start,
        ]);
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let text = fs::read_to_string(deployment.path("keyring.toml")).unwrap();
        let block = String::from_utf8(made.stdout).unwrap();
        fs::write(deployment.path("keyring.toml"), text + &block).unwrap();
    };
    add("first", starts[0]);
    let daemon = deployment.start();
    daemon.await_ready(PATIENCE);
    let call = |id: usize, start: i64| format!("{id},+44770090000{id},{start}").into_bytes();
    deployment.produce(broker, 1, [call(1, starts[0])]);
    deployment.await_public(broker, 1, PATIENCE);

    // The token is gone: the running keyring stays, and says why the new one is not taken.
    let good = fs::read_to_string(deployment.path("keyring.toml")).unwrap();
    fs::write(
        deployment.path("keyring.toml"),
        good.replace("\"flowing\"", "\"unplugged\""),
    )
    .unwrap();
    await_reloads(&daemon, "refused", 1.0);
    daemon.await_log("there is no token \\\"unplugged\\\"", PATIENCE);
    deployment.produce(broker, 1, [call(2, starts[0])]);
    deployment.await_public(broker, 2, PATIENCE);

    fs::write(deployment.path("keyring.toml"), &good).unwrap();
    await_reloads(&daemon, "applied", 1.0);
    add("second", starts[1]);
    await_reloads(&daemon, "applied", 2.0);
    let late = kafka::Input {
        value: Some(call(3, starts[1])),
        timestamp: Some(starts[1] * 1_000),
        ..kafka::Input::default()
    };
    broker.produce_all(&deployment.raw, [late]);
    deployment.await_public(broker, 3, PATIENCE);
    let (status, log) = daemon.stop();
    assert!(status.success(), "{log}");
    assert!(!log.contains(PIN) && !log.contains(&hex("first")[..16]), "{log}");
    let records = broker.read_all(&deployment.public, Isolation::Committed);
    for (at, id) in ["first", "first", "second"].into_iter().enumerate() {
        let epoch = Epoch {
            id,
            key_hex: &hex(id),
            domain: "billing",
        };
        let token = epoch.token("phone", Scope::Domain, &format!("44770090000{}", at + 1));
        assert!(records[at].text().contains(&token), "{}", records[at].text());
    }
}

fn await_reloads(daemon: &Daemon, outcome: &str, count: f64) {
    let series = format!("cdrveil_keyring_reloads_total{{outcome=\"{outcome}\"}}");
    let deadline = Instant::now() + PATIENCE;
    while daemon.metric(&series).is_none_or(|value| value < count) {
        assert!(
            Instant::now() < deadline,
            "no {outcome} reload {count}: {}",
            daemon.log()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}
