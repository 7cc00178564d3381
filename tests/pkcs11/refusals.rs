//! What is not taken: PINs, roots, modules and tokens, each told with its place.

use std::fs;
use std::process::Command;

use cryptoki::object::{Attribute, KeyType};

use crate::NOVEMBER;
use crate::hsm::{self, PIN, Token, calls};
use crate::place::{Place, block, key};
use crate::support::deployment::PROGRAM;

/// Tokens lock after a few wrong PINs, so one load must not use up several tries.
pub fn a_wrong_pin_is_tried_once() {
    let token = Token::new("guarded");
    token.root("cdrveil-root");
    let place = Place::new("guarded", "cdrveil-root");
    place.derived(NOVEMBER.0, NOVEMBER.1);
    // Two roots of one token have the same PIN.
    let second = key("second").replace("2026-11", "2026-12");
    let text = place.read("keyring.toml") + &block("second", "guarded", "cdrveil-root") + &second;
    place.write("keyring.toml", &text);
    place.write("hsm-pin", "pin-31415\n");
    place.mode("hsm-pin", 0o400);
    for (verb, code) in [("check", 78), ("list", 1)] {
        let _ = fs::remove_file(place.path("spy.log"));
        let ran = place.run(&format!("keys {verb} --keyring keyring.toml"));
        assert_eq!(ran.code, code, "{}{}", ran.out, ran.err);
        assert_eq!(calls(&place.path("spy.log"), "C_Login"), 1, "{verb}");
        assert_eq!(calls(&place.path("spy.log"), "C_SignInit"), 0, "{verb}");
        if verb == "check" {
            let faults: Vec<&str> = ran.err.lines().collect();
            let column = text.lines().nth(3).unwrap().find("{ file").unwrap() + 1;
            assert!(
                faults[0].starts_with(&format!("keyring.toml:4:{column}: root \"hsm-root\": token \"guarded\" refuses the PIN (C_Login: CKR_PIN_INCORRECT): it was tried once and is not tried again, because tokens lock")),
                "{faults:?}"
            );
            assert!(
                faults.len() == 2
                    && faults[1].contains("root \"second\": token \"guarded\" refused this PIN before"),
                "{faults:?}"
            );
        } else {
            assert!(
                ran.out
                    .contains("pkcs11:guarded/cdrveil-root  NOT USABLE: root \"hsm-root\": token"),
                "{}",
                ran.out
            );
        }
    }
    let applied = place.run(
        "apply --config cdrveil.toml --public p.csv --restricted r.jsonl --rejected x.jsonl policy.toml",
    );
    assert_eq!(applied.code, 78, "{}", applied.err);
}

pub fn a_pin_is_read_from_where_secrets_are() {
    let token = Token::new("pins");
    token.root("cdrveil-root");
    let place = Place::new("pins", "cdrveil-root");
    place.derived(NOVEMBER.0, NOVEMBER.1);
    let good = place.read("keyring.toml");
    let with = |pin: &str| place.write("keyring.toml", &good.replace("{ file = \"hsm-pin\" }", pin));
    for pin in [
        "{ credential = \"hsm-pin\" }",
        "{ exec = [\"cat\", \"hsm-pin\"] }",
    ] {
        with(pin);
        assert!(place.listed()["keys"][0]["fault"].is_null(), "{pin}");
    }
    place.write("empty", "\n");
    place.write("lines", "1234\n5678\n");
    for file in ["empty", "lines"] {
        place.mode(file, 0o400);
    }
    let column = good.lines().nth(3).unwrap().find("{ file").unwrap() + 1;
    for (pin, said) in [
        (
            format!("\"{PIN}\""),
            "pin is one of { file = \"...\" }, { credential = \"...\" } or { exec = [\"...\"] }; a PIN itself never stands in the keyring file",
        ),
        (
            "3141".to_owned(),
            "pin is one of { file = \"...\" }, { credential = \"...\" } or { exec = [\"...\"] }; a PIN itself",
        ),
        ("{ derive = \"hsm-root\" }".to_owned(), "pin is one of { file = "),
        (
            "{ file = \"none\" }".to_owned(),
            "root \"hsm-root\": PIN: file none cannot be read: No such file or directory (os error 2): put the token's user PIN there",
        ),
        (
            "{ file = \"policy.toml\" }".to_owned(),
            "root \"hsm-root\": PIN: file policy.toml is open to group or others (mode 0644): chmod 0400 it, and change the token's PIN",
        ),
        (
            "{ file = \"empty\" }".to_owned(),
            "root \"hsm-root\": PIN: file empty is empty",
        ),
        (
            "{ file = \"lines\" }".to_owned(),
            "root \"hsm-root\": PIN: file lines is not one line",
        ),
        (
            "{ exec = [\"sh\", \"-c\", \"echo sealed >&2; exit 1\"] }".to_owned(),
            "root \"hsm-root\": PIN: exec sh failed (exit status: 1): sealed",
        ),
    ] {
        with(&pin);
        place.mode("policy.toml", 0o644);
        let _ = fs::remove_file(place.path("spy.log"));
        let found = place.refusals();
        assert!(
            found.len() == 1 && found[0].starts_with(&format!("keyring.toml:4:{column}: {said}")),
            "{pin}: {found:?}"
        );
        assert!(!found[0].contains("3141"), "{found:?}");
        assert_eq!(calls(&place.path("spy.log"), "C_Login"), 0, "{pin}");
    }
}

pub fn what_may_not_be_a_root_is_refused_with_its_place() {
    let token = Token::new("roots");
    let bad = [
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Sensitive(false),
        Attribute::Extractable(true),
    ];
    let [sensitive, kept, readable, extractable] = bad;
    token.generated("readable", 32, &[readable, kept.clone()]);
    token.generated("extractable", 32, &[sensitive.clone(), extractable]);
    token.generated("short", 16, &[sensitive, kept]);
    token.imported("aes", KeyType::AES, &[7; 32]);
    token.root("twice");
    token.root("twice");
    for (label, said) in [
        (
            "readable",
            "key \"readable\" is not sensitive (CKA_SENSITIVE): whoever logs in can read it; make another",
        ),
        (
            "extractable",
            "key \"extractable\" is extractable (CKA_EXTRACTABLE): it can leave the token; make another",
        ),
        (
            "short",
            "key \"short\" has 16 bytes (CKA_VALUE_LEN): 32 or more are needed",
        ),
        (
            "aes",
            "key \"aes\" cannot be used for CKM_SHA256_HMAC (C_SignInit: CKR_KEY_TYPE_INCONSISTENT)",
        ),
        (
            "twice",
            "token \"roots\" has 2 secret keys \"twice\": give the one that is meant a label of its own",
        ),
        (
            "none",
            "token \"roots\" has no secret key \"none\": `pkcs11-tool --list-objects --login` shows",
        ),
    ] {
        let place = Place::new("roots", label);
        let root = place.read("keyring.toml");
        let column = root
            .lines()
            .nth(3)
            .unwrap()
            .find(&format!("\"{label}\""))
            .unwrap()
            + 1;
        place.keyring(&(block("hsm-root", "roots", label) + &key("hsm-root")));
        let expected = format!("keyring.toml:4:{column}: root \"hsm-root\": {said}");
        let found = place.refusals();
        assert!(
            found.len() == 1 && found[0].starts_with(&expected),
            "{label}: {found:?}"
        );
        // A key is not made of it either, and neither is a block.
        let new = place.run("keys new --keyring keyring.toml --derive hsm-root --id next");
        assert_eq!((new.code, new.out.as_str()), (78, ""), "{label}");
        assert!(new.err.starts_with(&expected), "{label}: {}", new.err);
    }
}

pub fn a_module_or_token_that_is_not_there_is_told_with_its_place() {
    let token = Token::new("present");
    token.root("cdrveil-root");
    let place = Place::new("present", "cdrveil-root");
    let good = block("hsm-root", "present", "cdrveil-root") + &key("hsm-root");
    let module = hsm::spy().unwrap().display().to_string();
    for (from, to, said) in [
        (
            module.as_str(),
            "none.so",
            "4:21: root \"hsm-root\": module none.so cannot be read: No such file or directory (os error 2): install",
        ),
        (module.as_str(), "policy.toml", "4:21: root \"hsm-root\": module "),
        (
            module.as_str(),
            "/dev/null",
            "4:21: root \"hsm-root\": module /dev/null is no file",
        ),
        (
            "\"present\"",
            "\"absent\"",
            "root \"hsm-root\": there is no token \"absent\" (the module has ",
        ),
        (
            "\"present\"",
            "\"\"",
            "a root's token is one line of text, and not empty",
        ),
        (
            "name = \"hsm-root\"",
            "name = \"other\"",
            "8:12: no [[root]] has the name \"hsm-root\" (there are \"other\"): add one",
        ),
        (
            "token =",
            "slot =",
            "unknown field `slot`, expected one of `module`, `token`, `label`, `pin`",
        ),
        ("label = \"cdrveil-root\", ", "", "missing field `label`"),
        ("pkcs11 =", "tpm =", "unknown field `tpm`"),
        (
            "[[key]]\n",
            "[[root]]\nname = \"hsm-root\"\npkcs11 = { module = \"x\", token = \"x\", label = \"x\", pin = { file = \"x\" } }\n[[key]]\n",
            "6:8: root \"hsm-root\" stands here twice",
        ),
    ] {
        place.keyring(&good.replacen(from, to, 1));
        let found = place.refusals();
        assert!(
            found
                .iter()
                .any(|fault| fault.starts_with("keyring.toml:") && fault.contains(said)),
            "{to}: {found:?}"
        );
    }
    place.keyring(&good.replacen(&module, "policy.toml", 1));
    assert!(
        place.refusals()[0].contains("cannot be loaded ("),
        "{:?}",
        place.refusals()
    );
    // A module that has no token store, in its own words.
    place.keyring(&good);
    let output = Command::new(PROGRAM)
        .args(["keys", "check", "--keyring", "keyring.toml"])
        .current_dir(place.folder.path())
        .env("SOFTHSM2_CONF", place.path("none.conf"))
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        output.status.code() == Some(78) && said.contains("does not start (C_Initialize: CKR_"),
        "{said}"
    );
}

/// `keys list` looks a second time at what does not load: the module is not called for that.
pub fn a_module_that_hangs_is_given_up_and_not_called_again() {
    let place = Place::new("hanging", "cdrveil-root");
    place.write(
        "hangs.c",
        "#include <unistd.h>\nunsigned long C_GetFunctionList(void **list) { for (;;) pause(); }\n",
    );
    let made = Command::new("cc")
        .args(["-shared", "-fPIC", "-o", "hangs.so", "hangs.c"])
        .current_dir(place.folder.path())
        .status();
    assert!(made.unwrap().success());
    let module = hsm::spy().unwrap().display().to_string();
    place.keyring(&(block("hsm-root", "hanging", "cdrveil-root") + &key("hsm-root")));
    place.edit("keyring.toml", &module, "hangs.so");
    let found = place.refusals();
    let given_up = "hangs.so did not answer within 10 s and was given up, with the thread that called it";
    assert!(
        found.len() == 1 && found[0].starts_with("keyring.toml:4:21: root \"hsm-root\": module "),
        "{found:?}"
    );
    assert!(found[0].contains(given_up), "{found:?}");
    let listed = place.run("keys list --keyring keyring.toml");
    assert_eq!(listed.code, 1, "{}", listed.err);
    assert!(
        listed
            .out
            .contains("hangs.so has not come back from a call that was given up"),
        "{}",
        listed.out
    );
}
