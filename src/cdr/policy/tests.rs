//! Every fault of a policy: what is said, and at which text.

use super::*;

mod columns;

const CSV: &str = r#"[input]
format = "csv"
columns = ["id", "caller", "called", "start", "seconds"]
time = { field = "start", format = "%Y-%m-%d %H:%M:%S", zone = "UTC" }
[numbers]
country = "GB"
[output]
key = "caller"
[fields]
id = "keep"
caller = { action = "pseudonymise", kind = "phone" }
called = { action = "pseudonymise", kind = "phone", scope = "pairwise", with = "caller", derive = ["class"], escrow = true }
start = "keep"
seconds = "drop"
"#;

const JSON: &str = r#"[input]
format = "json"
time = { field = "start", format = "unix" }
[numbers]
country = "GB"
[fields]
start = "keep"
"a.b[].c" = { action = "pseudonymise", kind = "phone" }
"a.n" = { action = "pseudonymise", kind = "account" }
"#;

fn load(text: &str) -> Result<Policy, Vec<String>> {
    let source = Source {
        path: "policy.toml".into(),
        text: text.to_owned(),
    };
    Policy::load(&source).map_err(|faults| faults.iter().map(ToString::to_string).collect())
}

/// `policy.toml:line:column` of the first place of a text.
fn place(text: &str, at: &str) -> String {
    let start = text.find(at).unwrap_or_else(|| panic!("no {at} in\n{text}"));
    let line = text[..start].matches('\n').count() + 1;
    let column = start - text[..start].rfind('\n').map_or(0, |newline| newline + 1) + 1;
    format!("policy.toml:{line}:{column}: ")
}

/// Replaces `old` by `new`; the first fault must stand at `at` and say `expected`.
fn refused(base: &str, cases: &[(&str, &str, &str, &str)]) {
    let mut wrong = Vec::new();
    for (old, new, at, expected) in cases {
        assert!(base.contains(old), "{old}");
        let text = base.replacen(old, new, 1);
        let place = place(&text, at);
        match load(&text) {
            Ok(_) => wrong.push(format!("{new}: taken")),
            Err(faults) if faults[0].starts_with(&place) && faults[0].contains(expected) => {}
            Err(faults) => wrong.push(format!("{new}: {place}{expected}: {faults:?}")),
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn what_is_wrong_with_a_csv_policy_is_told_at_its_place() {
    refused(
        CSV,
        &[
            (
                "id = \"keep\"",
                "id = \"hash\"",
                "\"hash\"",
                "fields.id: action \"hash\" is unknown (keep, pseudonymise, restrict, coarsen, drop)",
            ),
            (
                "{ action = \"pseudonymise\", kind = \"phone\" }",
                "{ action = \"pseudonymize\", kind = \"phone\" }",
                "\"pseudonymize\"",
                "is unknown (keep, pseudonymise, restrict, coarsen, drop); did you mean \"pseudonymise\"?",
            ),
            ("id = \"keep\"", "id = {}", "{}", "fields.id: no action"),
            (
                "id = \"keep\"",
                "id = 3",
                "3",
                "an action (keep, pseudonymise, restrict, coarsen, drop) or a table",
            ),
            (
                "id = \"keep\"",
                "",
                "\"id\"",
                "column \"id\" has no line under [fields]",
            ),
            (
                "id = \"keep\"",
                "id = \"keep\"\nextra = \"drop\"",
                "extra",
                "field \"extra\" is not among [input] columns",
            ),
            (
                "[\"id\"",
                "[\"id\", \"id\"",
                "\"id\", \"caller\"",
                "column \"id\" is named twice",
            ),
            (
                "id = \"keep\"",
                "id = { action = \"keep\", kind = \"phone\" }",
                "\"phone\" }",
                "\"kind\" means nothing for action \"keep\": remove it",
            ),
            (
                "id = \"keep\"",
                "id = { action = \"restrict\", escrow = true }",
                "\"restrict\"",
                "\"escrow\" means nothing for action \"restrict\"",
            ),
            (
                "id = \"keep\"",
                "id = { action = \"coarsen\", to = \"minute\", zone = \"UTC\" }",
                "zone = \"UTC\" }\ncaller",
                "unknown field `zone`",
            ),
            (
                "kind = \"phone\" }",
                "kind = \"fone\" }",
                "\"fone\"",
                "kind \"fone\" is unknown (phone, imsi, imei, ip, account, call, text)",
            ),
            (
                "{ action = \"pseudonymise\", kind = \"phone\" }",
                "\"pseudonymise\"",
                "\"pseudonymise\"",
                "pseudonymise needs kind = \"..\"",
            ),
            (
                "\"pairwise\"",
                "\"global\"",
                "\"caller\", derive",
                "\"with\" goes with scope = \"pairwise\" only",
            ),
            (
                "scope = \"pairwise\", with = \"caller\"",
                "scope = \"global\"",
                "\"global\"",
                "scope \"global\" is unknown (domain, pairwise, record)",
            ),
            (
                ", with = \"caller\"",
                "",
                "{ action = \"pseudonymise\", kind = \"phone\", scope",
                "scope \"pairwise\" needs with",
            ),
            (
                "with = \"caller\"",
                "with = \"caler\"",
                "\"caler\"",
                "\"caler\" is not a field of this policy",
            ),
            (
                "with = \"caller\"",
                "with = \"called\"",
                "\"called\", derive",
                "with names the field itself",
            ),
            (
                "with = \"caller\"",
                "with = \"id\"",
                "\"id\", derive",
                "the served party \"id\" must itself be pseudonymised",
            ),
            (
                "[\"class\"]",
                "[\"region\"]",
                "\"region\"]",
                "derive \"region\" is unknown (class, country, length, prefix, zone, destination, onnet, payer, network)",
            ),
            (
                "[\"class\"]",
                "[\"class\", \"zone\"]",
                "\"zone\"]",
                "derive \"zone\" is looked up in a file: name it, as [numbers] deck = \"deck.csv\"",
            ),
            (
                "[\"class\"]",
                "[\"onnet\"]",
                "\"onnet\"]",
                "[numbers] own = \"own.csv\"",
            ),
            (
                "country = \"GB\"",
                "country = \"GB\"\nmin_block = 0",
                "0\n[output]",
                "[numbers] min_block: write how many numbers must share a prefix",
            ),
            (
                "[\"class\"]",
                "[\"class\", \"class\"]",
                "\"class\"]",
                "derive names \"class\" twice",
            ),
            (
                "kind = \"phone\", scope",
                "kind = \"imsi\", scope",
                "\"class\"",
                "derive \"class\" is no map: what is no phone number derives by one",
            ),
            (
                "id = \"keep\"",
                "id = { action = \"keep\", derive = [\"zone\"] }",
                "\"zone\"",
                "\"derive\" means nothing for action \"keep\"",
            ),
            (
                "\"drop\"",
                "{ action = \"drop\", derive = [\"zone\"] }",
                "\"zone\"",
                "derive \"zone\" is no map: what is no phone number derives by one, as [maps.zone]",
            ),
            (
                "\"drop\"",
                "{ action = \"drop\", derive = [\"zone\", \"zone\"] }\n[maps.zone]\nfile = \"cells.csv\"",
                "\"zone\"] }",
                "derive names \"zone\" twice",
            ),
            (
                "\"drop\"",
                "\"drop\"\n[maps.zone]\nfile = \"cells.csv\"",
                "\"cells.csv\"",
                "[maps.zone]: no field derives it",
            ),
            (
                "\"drop\"",
                "\"drop\"\n[maps.Zone]\nfile = \"cells.csv\"",
                "Zone",
                "[maps.Zone]: the name stands behind the field's",
            ),
            (
                "\"drop\"",
                "{ action = \"drop\", derive = [\"zone\"] }\n[maps.zone]\nfile = \"cells.csv\"\nmin_keys = 0",
                "0\n",
                "[maps.zone] min_keys: how many keys",
            ),
            (
                "\"drop\"",
                "\"drop\"\n[maps.zone]\nfile = \"cells.csv\"\nkeys = 1",
                "keys = 1",
                "unknown field `keys`",
            ),
            (
                "\"drop\"",
                "\"coarsen\"",
                "\"coarsen\"",
                "coarsen needs to = \"minute\"",
            ),
            (
                "\"drop\"",
                "{ action = \"coarsen\", to = \"week\" }",
                "\"week\"",
                "(minute, hour, day)",
            ),
            (
                "\"drop\"",
                "{ action = \"coarsen\", step = 1 }",
                "1 }",
                "step must be 2 or more",
            ),
            (
                "\"drop\"",
                "{ action = \"coarsen\", prefix = 33 }",
                "33",
                "0 to 31 bits",
            ),
            (
                "\"drop\"",
                "{ action = \"coarsen\", to = \"day\", step = 60 }",
                "60",
                "coarsen by \"to\" or by \"step\", not both",
            ),
            (
                "\"drop\"",
                "{ action = \"coarsen\", step = 60, prefix6 = 48 }",
                "48",
                "\"prefix6\" goes with \"prefix\" only",
            ),
            (
                "key = \"caller\"",
                "key = \"id\"",
                "\"id\"\n[fields]",
                "\"id\" is not pseudonymised, and a Kafka key is as public as the record",
            ),
            (
                "key = \"caller\"",
                "key = \"nobody\"",
                "\"nobody\"",
                "[output] key: \"nobody\" is not a field",
            ),
            (
                "key = \"caller\"",
                "record_id = \"\"",
                "\"\"",
                "a name, or false for none",
            ),
            (
                "key = \"caller\"",
                "record_id = \"id\"",
                "\"id\"\n[fields]",
                "the appended name \"id\" is also a field",
            ),
            (
                "key = \"caller\"",
                "headers = [\"x-msisdn\"]",
                "\"x-msisdn\"",
                "only traceparent and tracestate are known to hold no identifier",
            ),
            (
                "zone = \"UTC\"",
                "zone = \"Europe/Londn\"",
                "\"Europe/Londn\"",
                "use an IANA name",
            ),
            (
                "field = \"start\"",
                "field = \"begin\"",
                "\"begin\"",
                "[input] time: \"begin\" is not a field",
            ),
            (
                "field = \"start\"",
                "first = \"begin\", field = \"start\"",
                "\"begin\"",
                "[input] time first: \"begin\" is not a field",
            ),
            (", zone = \"UTC\"", "", "{ field = \"start\"", "[input] time"),
            (
                "format = \"%Y-%m-%d %H:%M:%S\"",
                "format = []",
                "[], zone",
                "[input] time needs a format",
            ),
            (
                "format = \"csv\"",
                "format = \"xml\"",
                "\"xml\"",
                "unknown word, expected `csv` or `json`",
            ),
            (
                "format = \"csv\"",
                "format = \"csv\"\nheader = \"check\"\nunlisted = \"drop\"",
                "\"csv\"",
                "header = \"check\" knows no other columns",
            ),
            (
                "format = \"csv\"",
                "format = \"csv\"\ndelimiter = \"||\"",
                "\"||\"",
                "delimiter must be one ASCII character",
            ),
            (
                "format = \"csv\"",
                "format = \"csv\"\nquote = \",\"",
                "\"csv\"",
                "delimiter, quote, comment and escape must differ",
            ),
            (
                "format = \"csv\"",
                "format = \"csv\"\nmax_record = \"9MiB\"",
                "\"9MiB\"",
                "at most \"8MiB\"",
            ),
            (
                "format = \"csv\"",
                "format = \"csv\"\nmax_future = \"1 week\"",
                "\"1 week\"",
                "expected a duration in quotes",
            ),
            (
                "[numbers]\ncountry = \"GB\"\n",
                "",
                "[input]",
                "the policy needs [numbers] with country",
            ),
            ("\"GB\"", "\"XX\"", "[numbers]", "[numbers]: "),
            ("[output]", "[outputs]", "outputs", "unknown field `outputs`"),
        ],
    );
}

#[test]
fn what_is_wrong_with_a_json_policy_is_told_at_its_place() {
    refused(
        JSON,
        &[
            (
                "format = \"json\"",
                "format = \"json\"\ncolumns = [\"a\"]",
                "[\"a\"]",
                "[input] columns is for CSV",
            ),
            (
                "format = \"json\"",
                "format = \"json\"\nunlisted = \"keep\"",
                "\"keep\"",
                "unknown word, expected one of `reject`, `restrict`, `drop`",
            ),
            (
                "field = \"start\"",
                "field = \"a.b[].c\"",
                "\"a.b[].c\"",
                "is a list, and a record has one value here",
            ),
            ("\"a.n\"", "\"a..n\"", "\"a..n\"", "[fields]"),
            (
                "kind = \"account\"",
                "kind = \"account\", scope = \"pairwise\", with = \"a.b[].c\"",
                "\"a.b[].c\" }",
                "is a list",
            ),
        ],
    );
}

#[test]
fn record_types_have_their_faults_told_too() {
    let record = "[[input.record]]\nwhen = { column = 1, value = \"S\" }\ncolumns = [\"id\", \"caller\", \"called\", \"start\", \"seconds\"]\n";
    let base = CSV
        .replace(
            "columns = [\"id\", \"caller\", \"called\", \"start\", \"seconds\"]\n",
            "",
        )
        .replace("[numbers]", &format!("{record}[numbers]"));
    assert!(load(&base).is_ok());
    refused(
        &base,
        &[
            ("column = 1,", "column = 0,", "0, value", "columns count from 1"),
            (", value = \"S\"", "", "{ column = 1", "when needs value"),
            (
                "[\"id\"",
                "[\"id\", \"id\"",
                "\"id\", \"caller\"",
                "column \"id\" is named twice",
            ),
            (
                "format = \"csv\"",
                "format = \"csv\"\nheader = \"skip\"",
                "\"skip\"",
                "header means nothing beside [[input.record]]",
            ),
            (
                "format = \"csv\"",
                "format = \"csv\"\ncolumns = [\"id\"]",
                "[\"id\"]",
                "columns means nothing beside",
            ),
        ],
    );
}

#[test]
fn all_faults_are_told_at_once() {
    let text = CSV
        .replace("\"drop\"", "\"hash\"")
        .replace("\"UTC\"", "\"Nowhere\"");
    assert_eq!(load(&text).unwrap_err().len(), 2);
}

#[test]
fn a_policy_knows_what_it_appends_and_restricts() {
    let policy = load(CSV).unwrap();
    assert_eq!(policy.appended(), ["called_class", "record_id"]);
    assert!(policy.has_restricted());
    let open = load(
        &CSV.replace(", escrow = true", "")
            .replace("[output]", "[output]\nrecord_id = false"),
    )
    .unwrap();
    assert_eq!(open.appended(), ["called_class"]);
    assert!(!open.has_restricted());
    assert!(!load(JSON).unwrap().has_restricted());
    let restricting = JSON.replace("\"json\"", "\"json\"\nunlisted = \"restrict\"");
    assert!(load(&restricting).unwrap().has_restricted());
}

#[test]
fn fields_come_in_the_order_of_the_columns() {
    let mixed = CSV.replace("id = \"keep\"\n", "") + "id = \"keep\"\n";
    let policy = load(&mixed).unwrap();
    let names: Vec<_> = policy.fields.iter().map(|field| field.name.as_str()).collect();
    assert_eq!(names, ["id", "caller", "called", "start", "seconds"]);
    assert_eq!(policy.time, CallTime::Field(3));
    assert_eq!(policy.key, Some(1));
}
