//! `[epochs] overlap` as the security team meets it: checked, and its edits told in words.

use jiff::{SignedDuration, Timestamp};

use crate::Place;
use crate::keys::{EPOCHS, days, diff, keyring, listed};

#[test]
fn diff_tells_what_another_overlap_means() {
    let place = Place::new();
    let with = |lines: &str| EPOCHS.replace("version = 1", &format!("version = 1\n[epochs]\n{lines}"));
    let week = with("overlap = \"7d\"");
    let cases: [(&str, &str, i32, &[&str]); 5] = [
        (
            &week,
            EPOCHS,
            1,
            &[
                "  [epochs]         overlap 168h instead of none: public records get a column <field>_prev for each token; who calls",
                "  calls from 2026-11-01T00:00:00Z to 2026-11-08T00:00:00Z: 2026-11.… under kcv 00000011, beside 2026-10.… under kcv 00000010 (before: 2026-11.… under kcv 00000011)\n",
                "  refused: new.toml:3:11: [epochs] overlap is turned on: public records would have other columns while their readers run",
                "stop all instances and start them with this file",
            ],
        ),
        (
            EPOCHS,
            &week,
            1,
            &[
                "  [epochs]         none instead of overlap 168h: public records lose their columns <field>_prev\n",
                "  refused: new.toml: [epochs] overlap is turned off",
            ],
        ),
        (
            &with("overlap = \"3d\""),
            &week,
            0,
            &[
                "  [epochs]         overlap 72h instead of overlap 168h: calls between the two lengths after a rotation come out otherwise",
                "  calls from 2026-11-04T00:00:00Z to 2026-11-08T00:00:00Z: 2026-11.… under kcv 00000011 (before: 2026-11.… under kcv 00000011, beside 2026-10.…",
            ],
        ),
        (
            &week.replace(
                "kcv = \"00000010\"",
                "kcv = \"00000010\"\nstatus = \"compromised\"",
            ),
            &week,
            0,
            &[
                "  2026-10          status compromised instead of enabled\n",
                "  calls from 2026-11-01T00:00:00Z to 2026-11-08T00:00:00Z: 2026-11.… under kcv 00000011 (before: 2026-11.… under kcv 00000011, beside 2026-10.…",
            ],
        ),
        (
            &with("overlap = \"7d\"\nseal_previous = true"),
            &week,
            1,
            &[
                "  [epochs]         overlap 168h, seal_previous instead of overlap 168h\n",
                "  [epochs]         sealed records get the tokens of both epochs\n",
                "  refused: new.toml:4:17: [epochs] seal_previous is turned on",
            ],
        ),
    ];
    for (new, old, code, said) in cases {
        let ran = diff(&place, old, new);
        assert_eq!((ran.code, ran.err.as_str()), (code, ""), "{}", ran.out);
        for said in said {
            assert!(ran.out.contains(said), "{said}\n{}", ran.out);
        }
    }
}

#[test]
fn check_tells_an_overlap_and_one_that_is_no_shorter_than_an_epoch() {
    let place = Place::new();
    let start = days(-15);
    keyring(
        &place,
        &[("old", &days(-45)), ("now", &start), ("next", &days(15))],
    );
    let set = |lines: &str| {
        let text = place.read("keyring.toml");
        let rest = text.split_once("[[key]]").unwrap().1;
        place.write(
            "keyring.toml",
            &format!("version = 1\n[epochs]\n{lines}\n[[key]]{rest}"),
        );
    };
    let check = || place.run("keys check --keyring keyring.toml --horizon 10d");
    set("overlap = \"7d\"");
    let ran = place.run("keys check --keyring keyring.toml --horizon 20d");
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{}", ran.out);
    assert!(ran.out.ends_with(", overlap 168h\n"), "{}", ran.out);
    // Its key is needed by late records of the overlap as well.
    let shown = listed(&place);
    let late: Timestamp = shown["keys"][0]["late_until"].as_str().unwrap().parse().unwrap();
    let end: Timestamp = start.parse().unwrap();
    assert_eq!(late.duration_since(end), SignedDuration::from_hours(24 * 97));

    set("overlap = \"30d\"");
    let told = "keyring.toml: [epochs] overlap 720h is no shorter than \"now\", which ends at";
    let ran = place.run("keys check --keyring keyring.toml --horizon 20d");
    assert_eq!(ran.code, 1, "{}", ran.out);
    assert!(ran.out.contains(told), "{}", ran.out);
    let ran = place.run("check --config cdrveil.toml --offline");
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(
        ran.out
            .contains("overlap    on  overlap 720h: public records carry <field>_prev"),
        "{}",
        ran.out
    );
    assert!(ran.out.contains(&format!("warning: {told}")), "{}", ran.out);

    set("overlap = \"0s\"");
    let ran = check();
    assert_eq!(ran.code, 78);
    assert!(
        ran.err.starts_with("keyring.toml:3:11: overlap is how long"),
        "{}",
        ran.err
    );
    set("overlap = \"7\"");
    assert!(
        check()
            .err
            .starts_with("keyring.toml:3:11: invalid value: string, expected a duration")
    );
    set("seal_previous = \"yes\"");
    assert!(
        check()
            .err
            .starts_with("keyring.toml:3:17: invalid type: string, expected a boolean")
    );
}
