//! Every source of keys that `docs/keys.md` shows, word for word, with stand-ins for the programs it names.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::{KCV, KEY, Place};

/// `material = ...` of each block of the page, by the word behind its fence.
fn sources() -> Vec<(String, String)> {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/keys.md")).unwrap();
    let blocks = page.split("```toml ").skip(1).map(|block| {
        let (word, rest) = block.split_once('\n').unwrap();
        (
            word.to_owned(),
            rest.split("```").next().unwrap().trim().to_owned(),
        )
    });
    blocks.collect()
}

/// Puts a program into `bin/` that looks at its arguments and answers as the real one does.
fn stand_in(place: &Place, name: &str, script: &str) {
    fs::create_dir_all(place.path("bin")).unwrap();
    place.write(&format!("bin/{name}"), &format!("#!/bin/sh\n{script}\n"));
    place.mode(&format!("bin/{name}"), 0o755);
}

#[test]
fn every_source_of_the_page_gives_its_key() {
    let place = Place::new();
    let base64 = data_encoding::BASE64.encode(format!("{KEY}\n").as_bytes());
    place.write("2026-11.kms", "sealed");
    place.write("2026-11.sops.yaml", "key: sealed\n");
    stand_in(
        &place,
        "vault",
        &format!("[ \"$*\" = 'kv get -mount=secret -field=key cdrveil/2026-11' ] && printf {KEY}"),
    );
    stand_in(
        &place,
        "sops",
        &format!("[ \"$1 $2 $3\" = 'decrypt --extract [\"key\"]' ] && [ -f \"$4\" ] && printf {KEY}"),
    );
    stand_in(
        &place,
        "aws",
        &format!(
            "case \"$*\" in 'kms decrypt --ciphertext-blob fileb://2026-11.kms --query Plaintext --output text') \
             [ -f 2026-11.kms ] && echo {base64};; *) exit 2;; esac"
        ),
    );
    stand_in(
        &place,
        "gcloud",
        &format!("[ \"$1 $2\" = 'kms decrypt' ] && [ -f 2026-11.kms ] && echo {KEY}"),
    );
    fs::create_dir(place.path("credentials")).unwrap();
    place.write("credentials/cdr-2026-11", KEY);
    let sources = sources();
    let words: Vec<&str> = sources.iter().map(|(word, _)| word.as_str()).collect();
    assert_eq!(words, ["file", "credential", "vault", "sops", "aws", "gcloud"]);
    let check = |path: &str| {
        Command::new(env!("CARGO_BIN_EXE_cdrveil"))
            .args(["keys", "list", "--json", "--keyring", "keyring.toml"])
            .current_dir(place.folder.path())
            .env("PATH", path)
            .env("CREDENTIALS_DIRECTORY", place.path("credentials"))
            .output()
            .unwrap()
    };
    let here = format!("{}:/usr/bin:/bin", place.path("bin").display());
    for (word, material) in &sources {
        place.write(
            "keyring.toml",
            &format!("version = 1\n[[key]]\nid = \"2026-11\"\nactivate_at = 2026-11-01T00:00:00Z\n{material}\nkcv = \"{KCV}\"\n"),
        );
        let ran = check(&here);
        let out = String::from_utf8(ran.stdout).unwrap();
        assert_eq!(ran.status.code(), Some(0), "{word}: {out}");
        assert!(out.contains(KCV) && !out.contains(KEY), "{word}: {out}");
        // A keeper that says no: its words are shown, and nothing stands in for the key.
        if place.path("bin").join(word).exists() {
            let script = place.read(&format!("bin/{word}"));
            stand_in(&place, word, "echo permission denied by policy >&2; exit 2");
            let ran = check(&here);
            let out = String::from_utf8(ran.stdout).unwrap();
            assert_eq!(ran.status.code(), Some(1), "{word}: {out}");
            assert!(out.contains("permission denied by policy"), "{word}: {out}");
            place.write(&format!("bin/{word}"), &script);
        }
    }
}
