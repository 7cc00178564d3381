//! What `docs/billing.md` shows is what happens: its commands run, and its files are theirs. Links lead somewhere.
#![allow(clippy::unwrap_used)] // a test's unwrap is its assertion

use std::fs;
use std::path::Path;
use std::process::Command;

/// The fenced blocks of a page: what stands behind the opening fence, and the text.
fn blocks(page: &str) -> Vec<(&str, String)> {
    let mut blocks = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if let Some(word) = line.strip_prefix("```") {
            let text = lines.by_ref().take_while(|line| *line != "```");
            blocks.push((word, text.flat_map(|line| [line, "\n"]).collect()));
        }
    }
    blocks
}

#[test]
fn the_worked_example_of_billing_works() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let place = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(docs.join("billing")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), place.path().join(entry.file_name())).unwrap();
    }
    let page = fs::read_to_string(docs.join("billing.md")).unwrap();
    let blocks = blocks(&page);
    let program = Path::new(env!("CARGO_BIN_EXE_cdrveil")).parent().unwrap();
    let path = std::env::var("PATH").unwrap();
    let (_, commands) = blocks.iter().find(|(word, _)| *word == "sh").unwrap();
    let ran = Command::new("sh")
        .args(["-ec", commands])
        .current_dir(place.path())
        .env("PATH", format!("{}:{path}", program.display()))
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{told}");
    assert!(told.contains("rejected 1: number"), "{told}");

    let mut shown = 0;
    for (word, text) in &blocks {
        if let Some((_, file)) = word.split_once(' ') {
            let made = fs::read_to_string(place.path().join(file)).unwrap();
            assert_eq!(*text, made, "{file}");
            shown += 1;
        }
    }
    assert_eq!(shown, 8, "files shown");
}

#[test]
fn every_link_leads_somewhere() {
    let house = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut links = 0;
    for folder in [house.to_path_buf(), house.join("docs")] {
        for entry in fs::read_dir(&folder).unwrap() {
            let page = entry.unwrap().path();
            if page.extension().is_none_or(|extension| extension != "md") {
                continue;
            }
            let text = fs::read_to_string(&page).unwrap();
            for rest in text.split("](").skip(1) {
                let target = rest.split(')').next().unwrap().split('#').next().unwrap();
                if target.is_empty() || target.contains("://") {
                    continue;
                }
                assert!(folder.join(target).exists(), "{}: {target}", page.display());
                links += 1;
            }
        }
    }
    assert!(links > 10, "{links}");
}
