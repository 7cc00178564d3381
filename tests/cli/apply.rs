//! What `apply` leaves behind when it is stopped, fails or is given what it cannot read.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::process::{Command, Stdio};

use crate::{APPLY, Place, ROW};

/// `cdrveil WORDS` there, with stdin left open.
fn begin(place: &Place, words: &str) -> std::process::Child {
    Command::new(env!("CARGO_BIN_EXE_cdrveil"))
        .args(words.split_whitespace())
        .current_dir(place.folder.path())
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn an_interrupted_run_does_not_look_finished() {
    for (signal, code) in [("-TERM", 143), ("-INT", 130)] {
        let place = Place::new();
        let mut child = begin(&place, &format!("{APPLY} --name one"));
        let mut stdin = child.stdin.take().unwrap();
        // More than one chunk, so that some of it is written; then it waits for the rest.
        let rows = format!("{ROW}\n").repeat(20_000);
        stdin.write_all(rows.as_bytes()).unwrap();
        while fs::metadata(place.path("p.csv.part")).map_or(0, |data| data.len()) == 0 {
            std::thread::yield_now();
        }
        assert!(
            Command::new("kill")
                .args([signal, &child.id().to_string()])
                .status()
                .unwrap()
                .success()
        );
        assert_eq!(child.wait().unwrap().code(), Some(code));
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert!(
            said.contains("interrupted: in=") && said.contains("ending in .part and is incomplete"),
            "{said}"
        );
        assert!(!said.contains("in=0 "), "{said}");
        for name in ["p.csv", "r.jsonl", "x.jsonl"] {
            assert!(!place.path(name).exists(), "{name}");
        }
        // A new run needs no --force for what the old one left.
        assert_eq!(place.feed(&format!("{APPLY} --name one"), ROW).code, 0);
        assert_eq!(place.read("p.csv").lines().count(), 1);
        assert!(!place.path("p.csv.part").exists());
    }
}

#[test]
fn a_full_disk_is_told_with_option_file_and_counts() {
    let place = Place::new();
    place.write("in.csv", &format!("{ROW}\n").repeat(200));
    let ran = place
        .run("apply --config cdrveil.toml --public p.csv --restricted /dev/full --rejected x.jsonl in.csv");
    assert_eq!(ran.code, 70);
    assert!(
        ran.err
            .contains("--restricted /dev/full: No space left on device"),
        "{}",
        ran.err
    );
    assert!(ran.err.contains("not finished: in="), "{}", ran.err);
    assert!(!place.path("p.csv").exists() && place.path("p.csv.part").exists());
}

#[test]
fn an_output_that_cannot_be_opened_leaves_nothing_behind() {
    let place = Place::new();
    place.write("in.csv", ROW);
    let ran = place
        .run("apply --config cdrveil.toml --public p.csv --restricted r.jsonl --rejected no/x.jsonl in.csv");
    assert_eq!(ran.code, 70);
    assert!(
        ran.err.contains("--rejected no/x.jsonl.part: No such file"),
        "{}",
        ran.err
    );
    assert!(!place.path("p.csv.part").exists() && !place.path("r.jsonl.part").exists());
}

#[test]
fn public_records_go_to_stdout_when_told() {
    let place = Place::new();
    place.write("in.csv", &format!("{ROW}\n"));
    let words = |public: &str| {
        format!(
            "apply --config cdrveil.toml --public {public} --restricted /dev/null --rejected /dev/null in.csv"
        )
    };
    for public in ["-", "/dev/stdout"] {
        let ran = place.run(&words(public));
        assert_eq!(ran.code, 0, "{}", ran.err);
        assert!(ran.out.starts_with("c-1,voice,2026-11."), "{}", ran.out);
        // Redirected into a file that has something already, as `>>` does.
        place.write("out.csv", "before\n");
        let file = File::options().append(true).open(place.path("out.csv")).unwrap();
        let status = Command::new(env!("CARGO_BIN_EXE_cdrveil"))
            .args(words(public).split_whitespace())
            .current_dir(place.folder.path())
            .stdout(file)
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success());
        assert_eq!(place.read("out.csv"), format!("before\n{}", ran.out));
    }
    let both =
        place.run("apply --config cdrveil.toml --public - --restricted /dev/stdout --rejected x in.csv");
    assert_eq!(both.code, 64, "{}", both.err);
    let part = place.run("apply --config cdrveil.toml --public p --restricted p.part --rejected x in.csv");
    assert_eq!(part.code, 64, "{}", part.err);
}

#[test]
fn a_link_stays_a_link() {
    let place = Place::new();
    place.write("in.csv", ROW);
    place.write("real.csv", "old");
    std::os::unix::fs::symlink("real.csv", place.path("p.csv")).unwrap();
    let ran = place.run(&format!("{APPLY} --force in.csv"));
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(place.path("p.csv").is_symlink());
    assert!(place.read("real.csv").starts_with("c-1,"));
}

#[test]
fn packed_input_is_told_with_how_to_unpack_it() {
    let place = Place::new();
    fs::write(place.path("in.csv.gz"), b"\x1f\x8b\x08\0\0\0\0\0").unwrap();
    let ran = place.run(&format!("{APPLY} in.csv.gz"));
    assert_eq!(ran.code, 64);
    assert_eq!(
        ran.err,
        "cdrveil: in.csv.gz is gzip, not plain text: zcat in.csv.gz | cdrveil apply ... --name ID -\n"
    );
    let ran = place.feed(APPLY, "BZh91AY&SY......");
    assert_eq!(ran.code, 64, "{}", ran.err);
    assert!(ran.err.contains("bzcat FILE | cdrveil apply"), "{}", ran.err);
    for name in ["p.csv", "p.csv.part", "r.jsonl.part", "x.jsonl.part"] {
        assert!(!place.path(name).exists(), "{name}");
    }
}

#[test]
fn record_ids_have_a_base_of_choice_and_never_a_phone_number() {
    let place = Place::new();
    let piped = place.feed(APPLY, ROW);
    assert_eq!(piped.code, 0);
    assert!(
        piped.err.contains("record ids begin with \"stdin/\"") && piped.err.contains("--name"),
        "{}",
        piped.err
    );
    let named = place.feed(&format!("{APPLY} --force --name 2026-11-05/export -"), ROW);
    assert_eq!((named.code, named.err.lines().count()), (0, 1), "{}", named.err);
    assert!(
        place.read("p.csv").trim_end().ends_with(",2026-11-05/export/0"),
        "{}",
        place.read("p.csv")
    );

    place.write("bill-447700900123.csv", ROW);
    place.write("cdr-20261105091500.csv", ROW);
    let refused = place.run(&format!(
        "{APPLY} --force cdr-20261105091500.csv bill-447700900123.csv"
    ));
    assert_eq!(refused.code, 64);
    assert!(
        refused.err.contains("the name of input 2 holds digits") && refused.err.contains("--name"),
        "{}",
        refused.err
    );
    assert!(!refused.err.contains("7700"), "{}", refused.err);
    for (words, code) in [
        ("cdr-20261105091500.csv", 0),
        ("--name bill bill-447700900123.csv", 0),
        ("--name 447700900123 cdr-20261105091500.csv", 64),
        ("--name a,b cdr-20261105091500.csv", 64),
        ("--name both cdr-20261105091500.csv bill-447700900123.csv", 64),
    ] {
        let ran = place.run(&format!("{APPLY} --force {words}"));
        assert_eq!(ran.code, code, "{words}: {}", ran.err);
    }
}

/// A first call with a stray quote was once told as a header row that is not the policy's.
#[test]
fn a_broken_call_below_its_header_row_is_a_reject_and_no_header() {
    let columns = "id,type,caller,called,imsi,cell,start,seconds,note";
    for header in ["check", "name"] {
        let place = Place::new();
        place.edit(
            "policy.toml",
            "# header = \"none\"",
            &format!("header = \"{header}\""),
        );
        let broken = "c-0,voice,\"+447700900001,07700 900002,234150000000001,1234\n,2026-11-05\",1";
        place.write("in.csv", &format!("{columns}\n{broken}\n{ROW}\n"));
        let ran = place.run(&format!("{APPLY} in.csv"));
        assert_eq!(ran.code, 0, "{header}: {}", ran.err);
        assert!(
            ran.err
                .ends_with("cdrveil: in=4 public=1 rejected=2 skipped=1 restricted=1\n"),
            "{header}: {}",
            ran.err
        );
        // Without its header row the same file cannot be read at all, whatever its first row looks like.
        place.write("in.csv", &format!("{broken}\n{ROW}\n"));
        let ran = place.run(&format!("{APPLY} --force in.csv"));
        assert_eq!(ran.code, 78, "{header}: {}", ran.err);
        assert!(ran.err.contains("header row"), "{header}: {}", ran.err);
        assert!(!ran.err.contains("7700"), "{header}: {}", ran.err);
    }
}
