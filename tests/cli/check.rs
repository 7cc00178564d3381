//! `check`: content with what ships, every fault at its place, warnings of what invoices would show.

use crate::{KCV, Place, place_of};

#[test]
fn check_is_content_with_what_is_shipped() {
    let place = Place::new();
    let ran = place.run("check --config cdrveil.toml --offline");
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{}", ran.out);
    for part in [
        "config     ok",
        "policy     ok  9 fields",
        "keyring    ok  1 epoch,",
        "recipients ok  1",
        "read_committed",
    ] {
        assert!(ran.out.contains(part), "{part}: {}", ran.out);
    }
}

#[test]
fn check_tells_every_fault_at_its_place_with_what_to_do() {
    // File, what is replaced, by what, the text to blame, what is said.
    let cases: &[(&str, &str, &str, &str, &str)] = &[
        (
            "cdrveil.toml",
            "domain =",
            "domian =",
            "domian",
            "unknown field `domian`",
        ),
        (
            "cdrveil.toml",
            "domain = \"billing\"",
            "domain = \"bill ing\"",
            "\"bill ing\"",
            "without spaces",
        ),
        (
            "cdrveil.toml",
            "\"cdr.billing\"",
            "\"cdr.restricted\"",
            "\"cdr.restricted\"  # sealed",
            "is the public topic \"cdr.restricted\" again",
        ),
        (
            "cdrveil.toml",
            "raw = [\"cdr.raw\"]",
            "raw = []",
            "[]              # one",
            "raw is empty: name the topic to read",
        ),
        (
            "cdrveil.toml",
            "recipients = [\"",
            "recipients = [\"nobody\", \"",
            "\"nobody\"",
            "[seal] recipients",
        ),
        (
            "cdrveil.toml",
            "# commit_interval = \"100ms\"",
            "commit_interval = \"100\"",
            "\"100\"",
            "a whole number with a unit",
        ),
        (
            "cdrveil.toml",
            "# commit_interval = \"100ms\"",
            "commit_interval = \"10s\"",
            "\"10s\"",
            "must be between 1ms and 7500ms",
        ),
        (
            "cdrveil.toml",
            "# lanes = 3",
            "lanes = 0",
            "0\n\n# \"input\"",
            "lanes must be between 1 and 256",
        ),
        (
            "cdrveil.toml",
            "[kafka.properties]",
            "[kafka.properties]\n\"sesion.timeout.ms\" = 6000",
            "\"sesion.timeout.ms\"",
            "sesion.timeout.ms",
        ),
        (
            "cdrveil.toml",
            "[kafka.properties]",
            "[kafka.properties]\n\"enable.auto.commit\" = true",
            "\"enable.auto.commit\"",
            "enable.auto.commit",
        ),
        (
            "cdrveil.toml",
            "# listen = \"127.0.0.1:9464\"",
            "listen = \"localhost\"",
            "\"localhost\"\n\n[log]",
            "[admin] listen is an IP address and a port, such as \"127.0.0.1:9464\"",
        ),
        (
            "cdrveil.toml",
            "[seal]",
            "[seal",
            "\n# Public keys",
            "unclosed table",
        ),
        (
            "cdrveil.toml",
            "policy = \"policy.toml\"",
            "policy = \"nowhere.toml\"",
            "\"nowhere.toml\"",
            "nowhere.toml cannot be read",
        ),
        (
            "policy.toml",
            "note    = \"drop\"",
            "note    = \"hash\"",
            "\"hash\"",
            "action \"hash\" is unknown (keep, pseudonymise, restrict, coarsen, drop)",
        ),
        (
            "policy.toml",
            "kind = \"phone\", scope = \"domain\"",
            "kind = \"fone\", scope = \"domain\"",
            "\"fone\"",
            "kind \"fone\" is unknown",
        ),
        (
            "policy.toml",
            "cell    = \"restrict\"\n",
            "",
            "\"cell\"",
            "column \"cell\" has no line under [fields]",
        ),
        (
            "policy.toml",
            "zone = \"Europe/London\"",
            "zone = \"Europe/Londn\"",
            "\"Europe/Londn\"",
            "use an IANA name",
        ),
        (
            "policy.toml",
            "with = \"caller\"",
            "with = \"cell\"",
            "\"cell\", derive",
            "must itself be pseudonymised",
        ),
        (
            "policy.toml",
            "key = \"caller\"",
            "key = \"imsi\"",
            "\"imsi\"\n\n# Name",
            "a Kafka key is as public as the record",
        ),
        (
            "keyring.toml",
            KCV,
            "00000001",
            "\"00000001\"",
            "these are the wrong bytes for this id",
        ),
        (
            "keyring.toml",
            "activate_at = 2026-11-01T00:00:00Z",
            "activate_at = 2026-11-01T00:00:00",
            "2026-11-01T00:00:00\n",
            "has no offset, so it names no moment",
        ),
        (
            "keyring.toml",
            "{ file = \"2026-11.key\" }",
            "{ file = \"2026-12.key\" }",
            "{ file = \"2026-12.key\"",
            "2026-12.key",
        ),
        (
            "keyring.toml",
            "id = \"2026-11\"",
            "id = \"Nov 2026\"",
            "\"Nov 2026\"",
            "id",
        ),
    ];
    for (file, old, new, at, said) in cases {
        let broken = Place::new();
        broken.edit(file, old, new);
        let ran = broken.run("check --config cdrveil.toml --offline");
        let blamed = place_of(file, &broken.read(file), at);
        assert_eq!(ran.code, 78, "{new}: {}{}", ran.out, ran.err);
        let line = ran.err.lines().find(|line| line.starts_with(&blamed));
        assert!(
            line.is_some_and(|line| line.contains(said)),
            "{new}: {blamed}{said}\n{}",
            ran.err
        );
        assert!(
            ran.err.ends_with("fault found\n") || ran.err.ends_with("faults found\n"),
            "{}",
            ran.err
        );
        assert_eq!(ran.out, "");
        // `run` refuses the same, before it looks for a broker.
        let ran = broken.run("run --config cdrveil.toml");
        assert_eq!(ran.code, 78, "{}", ran.err);
        assert!(ran.err.contains(&blamed), "{}", ran.err);
    }
}

#[test]
fn check_tells_faults_of_all_files_at_once_and_shows_no_key() {
    let place = Place::new();
    place.edit("cdrveil.toml", "\"cdr.billing\"", "\"cdr raw\"");
    place.edit("policy.toml", "note    = \"drop\"", "note = \"hash\"");
    place.write("short.key", "6d1f0be2a4937c58\n");
    place.mode("short.key", 0o400);
    place.edit("keyring.toml", "2026-11.key", "short.key");
    let ran = place.run("check --config cdrveil.toml --offline");
    assert_eq!(ran.code, 78);
    assert!(ran.err.contains("cdrveil: 3 faults found"), "{}", ran.err);
    assert!(!ran.err.contains("6d1f0be2"), "{}", ran.err);
    let open = Place::new();
    open.mode("2026-11.key", 0o644);
    let ran = open.run("check --config cdrveil.toml --offline");
    assert_eq!(ran.code, 78);
    assert!(
        ran.err.contains("keyring.toml:") && ran.err.contains("2026-11.key"),
        "{}",
        ran.err
    );
    let missing = open.run("check --config nowhere/cdrveil.toml --offline");
    assert_eq!(missing.code, 78);
    assert!(
        missing.err.starts_with("nowhere/cdrveil.toml: cannot be read"),
        "{}",
        missing.err
    );
}

#[test]
fn check_warns_of_what_invoices_would_show() {
    let place = Place::new();
    place.edit("policy.toml", "id      = \"keep\"", "id = \"drop\"");
    place.edit(
        "policy.toml",
        "seconds = \"keep\"",
        "seconds = { action = \"coarsen\", step = 6 }",
    );
    // Midnight in Paris; the calls' zone is London's.
    let key =
        place.run("keys new --keyring keyring.toml --id second --activate-at 2026-12-01T00:00:00+01:00");
    place.write("keyring.toml", &(place.read("keyring.toml") + &key.out));
    let ran = place.run("check --config cdrveil.toml --offline");
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{}", ran.out);
    let (policy, keyring) = (place.read("policy.toml"), place.read("keyring.toml"));
    for expected in [
        place_of("policy.toml", &policy, "seconds = {") + "fields.seconds: a coarsened duration",
        place_of("policy.toml", &policy, "[\"id\", \"type\"") + "[fields] no call id is kept",
        place_of("keyring.toml", &keyring, "2026-11-30T23:00:00Z")
            + "key \"second\" begins at 23:00:00 in Europe/London",
        "midnight is 2026-11-30T00:00:00+00:00".to_owned(),
    ] {
        assert!(ran.out.contains(&expected), "{expected}: {}", ran.out);
    }
    assert_eq!(ran.out.matches("warning: ").count(), 3, "{}", ran.out);
}

#[test]
fn check_without_a_broker_ends_with_69() {
    let place = Place::new();
    place.edit("cdrveil.toml", "localhost:9092", "127.0.0.1:9");
    place.edit(
        "cdrveil.toml",
        "# start_timeout = \"30s\"",
        "start_timeout = \"1s\"",
    );
    let ran = place.run("check --config cdrveil.toml");
    assert_eq!(ran.code, 69, "{}", ran.err);
    assert!(
        ran.err.contains("no broker answered within 1s at 127.0.0.1:9"),
        "{}",
        ran.err
    );
    let ran = place.run("run --config cdrveil.toml");
    assert_eq!(ran.code, 69, "{}", ran.err);
    assert!(ran.err.contains("no broker answered within 1s"), "{}", ran.err);
}
