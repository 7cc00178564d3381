//! Columns with fields inside: cut and transformed as the lane does it.

use super::layout_tests::{load, pass};
use crate::cdr::transform::tests::START;

/// Rows of `k` (kept), `v` (fields inside: `p` kept, `n` a phone number, `c` a call's id, `x` restricted), `t` (kept).
fn policy(input: &str, nested: &str) -> String {
    format!(
        "[input]\nformat = \"csv\"\ntime = {{ field = \"t\", format = \"unix\" }}\ncolumns = [\"k\", \"v\", \"t\"]\n\
         {input}\n[[input.nested]]\ncolumn = \"v\"\ncolumns = [\"p\", \"n\", \"c\", \"x\"]\n{nested}\n\
         [numbers]\ncountry = \"GB\"\n[output]\nrecord_id = \"id\"\n[fields]\nk = \"keep\"\nt = \"keep\"\n\
         \"v.p\" = \"keep\"\n\
         \"v.n\" = {{ action = \"pseudonymise\", kind = \"phone\", derive = [\"country\"] }}\n\
         \"v.c\" = {{ action = \"pseudonymise\", kind = \"call\", escrow = true }}\n\"v.x\" = \"restrict\"\n"
    )
}

/// In rows and in what comes of them `@` is the call's start; in rows `#` is an at sign.
fn holds(input: &str, nested: &str, rows: &[(&str, &str)]) {
    for (row, expected) in rows {
        let row = row.replace('@', &START.to_string()).replace('#', "@");
        let told = pass(load(policy(input, nested)), &row);
        let told = told.join("\n").replace(&START.to_string(), "@");
        assert_eq!(told, *expected, "{row}");
    }
}

#[test]
fn fields_inside_a_column_have_actions_of_their_own() {
    holds(
        "",
        "",
        &[
            (
                r#"1,"SIP,sip:+447700900123#h,c-1,secret",@"#,
                "1,\"SIP,*,*,\",@,GB,r | v.c=c-1 v.x=secret",
            ),
            // Quotes and fields stay as many as there were.
            (r#"1,"SIP,07700900123",@"#, "1,\"SIP,*\",@,GB,r | "),
            (r#"1,"SIP,,,",@"#, "1,\"SIP,,,\",@,,r | "),
            (r#"1,"SIP",@"#, "1,\"SIP\",@,,r | "),
            ("1,SIP,@", "1,SIP,@,,r | "),
            ("1,,@", "1,,@,,r | "),
            (r#"1,"",@"#, "1,\"\",@,,r | "),
            // More of them than the policy names, numbers that are none, quotes inside quotes.
            (r#"1,"SIP,,,,5",@"#, "!columns"),
            (r#"1,"SIP,not a number 77009001234",@"#, "!number"),
            (r#"1,"SIP,""Ada"" <07700900123>",@"#, "!format"),
            (r#"1,"SIP,07700900123"x,@"#, "!format"),
            (r#"1,"SIP",@,2"#, "!columns"),
        ],
    );
}

#[test]
fn what_is_not_named_inside_is_sealed_or_left_out() {
    let row = r#"1,"SIP,,,,5,,7",@,8"#;
    holds(
        "unlisted = \"restrict\"",
        "",
        &[(row, "1,\"SIP,,,\",@,,r | v.5=5 v.7=7 column_4=8")],
    );
    holds("unlisted = \"drop\"", "", &[(row, "1,\"SIP,,,\",@,,r | ")]);
}

#[test]
fn another_delimiter_needs_no_quotes() {
    holds(
        "",
        "delimiter = \";\"",
        &[
            ("1,SIP;07700900123;c-1,@", "1,SIP;*;*,@,GB,r | v.c=c-1"),
            (r#"1,"SIP, 2;07700900123",@"#, "1,\"SIP, 2;*\",@,GB,r | "),
            // A quote that opens nothing is a byte, also where the field before it is blanked.
            (r#"1,"a;;;x";y,@"#, "!format"),
            (r#"1,a";;c-1;"x",@"#, "1,a\";;*;,@,,r | v.c=c-1 v.x=\"x\""),
        ],
    );
    holds(
        "delimiter = \"|\"\nquote = \"\"",
        "delimiter = \",\"",
        &[("1|SIP,07700900123,c-1|@", "1|SIP,*,*|@|GB|r | v.c=c-1")],
    );
}

#[test]
fn the_guard_searches_fields_inside_and_for_them() {
    holds(
        "unlisted = \"drop\"",
        "",
        &[
            // A kept field inside shows a number from outside of it, a kept column one from inside.
            (r#"1,"x07700900123,07700900123",@"#, "!leak"),
            (r#"07700900123,"SIP,+447700900123",@"#, "!leak"),
            (r#"07700900123,"SIP,,,sip:+447700900123#192.0.2.7",@"#, "!leak"),
            (r#"07700900123,"SIP,,,,sip:+447700900123#192.0.2.7",@"#, "!leak"),
            (
                r#"07700900124,"SIP,07700900123",@"#,
                "07700900124,\"SIP,*\",@,GB,r | ",
            ),
        ],
    );
}

#[test]
fn the_call_may_begin_inside_a_column() {
    let text = policy("", "").replace("field = \"t\"", "field = \"v.p\"");
    let told = pass(load(text), &format!("1,\"{START},07700900123\",\n"));
    assert_eq!(told, [format!("1,\"{START},*\",,GB,r | ")]);
}
