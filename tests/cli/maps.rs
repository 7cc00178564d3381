//! Mapping files and decks through `check`, `apply` and `explain`.

use crate::{APPLY, Place, ROW};

fn place(cells: &str) -> Place {
    let place = Place::new();
    place.edit(
        "policy.toml",
        "cell    = \"restrict\"",
        "cell    = { action = \"restrict\", derive = [\"zone\"] }",
    );
    place.edit("policy.toml", "# maps.zone =", "maps.zone =");
    place.write("cells.csv", cells);
    place
}

#[test]
fn a_cells_zone_stays_when_the_cell_is_sealed() {
    let place = place("key,value\n1234,NORTH\n1235,NORTH\n");
    let ran = place.run("check --config cdrveil.toml --offline");
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(
        ran.out.contains("maps.zone  ok  2 rows, fingerprint "),
        "{}",
        ran.out
    );
    let ran = place.run("explain --config cdrveil.toml");
    assert!(ran.out.contains("blank or absent, and its zone"), "{}", ran.out);
    let rows = format!("{ROW}\n{}\n", ROW.replace(",1234,", ",1299,"));
    let ran = place.feed(&format!("{APPLY} --name one"), &rows);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let public = place.read("p.csv");
    let rows: Vec<&str> = public.lines().collect();
    assert!(
        rows[0].ends_with(",NORTH,one/0") && rows[1].ends_with(",,one/1"),
        "{public}"
    );
    assert!(!public.contains("1234") && !public.contains("1299"), "{public}");
    let opened = place.run("open --identity id.txt r.jsonl");
    assert!(opened.out.contains("\"cell\":\"1234\""), "{}", opened.out);
}

#[test]
fn a_zone_of_one_cell_is_refused() {
    let place = place("1234,NORTH\n1235,NORTH\n1299,SOUTH\n");
    let ran = place.run("check --config cdrveil.toml --offline");
    assert_eq!(ran.code, 78);
    assert!(
        ran.err
            .contains("cells.csv:3:1: the value stands for 1 of the 2 keys that min_keys wants"),
        "{}",
        ran.err
    );
    assert!(
        !ran.err.contains("1299") && !ran.err.contains("SOUTH"),
        "{}",
        ran.err
    );
}

#[test]
fn check_tells_what_the_deck_lacks_and_which_zones_are_one_numbers() {
    let place = Place::new();
    place.edit("policy.toml", "# deck   =", "deck =");
    place.write("deck.csv", "prefix,zone\n+44,UK\n+447700900123,VIP\n");
    place.write(
        "old.csv",
        "prefix,zone\n+44,UK\n+4479,M\n+1,US\n+447700900124,VIP\n",
    );
    let ran = place.run("check --config cdrveil.toml --offline --against old.csv");
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    for part in [
        "warning: deck.csv:3:1: no other number has this row's zone",
        "warning: old.csv:3:1: the new deck lacks this prefix: a shorter one prices its numbers now",
        "warning: old.csv:4:1: the new deck lacks this prefix: its numbers have no zone now",
        "warning: old.csv:5:1: the new deck lacks this prefix: a shorter one",
    ] {
        assert!(ran.out.contains(part), "{part}: {}", ran.out);
    }
    assert!(
        !ran.out.contains("90012") && !ran.out.contains("old.csv:2:"),
        "{}",
        ran.out
    );
    place.write("old.csv", "prefix,zone\n+44\n");
    let ran = place.run("check --config cdrveil.toml --offline --against old.csv");
    assert_eq!(ran.code, 78);
    assert!(
        ran.err.contains("old.csv:2:1: the row has 1 values"),
        "{}",
        ran.err
    );
    place.edit("policy.toml", "deck =", "# deck   =");
    let ran = place.run("check --config cdrveil.toml --offline --against none.csv");
    assert_eq!(ran.code, 78);
    assert!(ran.err.contains("the policy names no deck"), "{}", ran.err);
}
