//! Faults of columns, markers, times and of values that hold several.

use super::{CSV, JSON, refused};

#[test]
fn what_is_wrong_with_separators_is_told_at_its_place() {
    refused(
        CSV,
        &[
            (
                "id = \"keep\"",
                "id = { action = \"keep\", separators = \";\" }",
                "\";\" }",
                "\"separators\" means nothing for action \"keep\"",
            ),
            (
                "kind = \"phone\" }",
                "kind = \"phone\", separators = [\";\", \"\"] }",
                "[\";\", \"\"]",
                "separators is what stands between the identifiers",
            ),
            (
                "derive = [\"class\"]",
                "derive = [\"class\"], separators = \";\"",
                "\";\", escrow",
                "separators and derive do not go together",
            ),
            (
                "kind = \"phone\" }",
                "kind = \"phone\", separators = \";\" }",
                "\"caller\", derive",
                "the served party \"caller\" is a list",
            ),
        ],
    );
    refused(
        JSON,
        &[(
            "kind = \"account\" }",
            "kind = \"account\", separators = \";\" }",
            "\";\" }",
            "separators is for CSV",
        )],
    );
}

#[test]
fn what_is_wrong_with_columns_markers_and_times_is_told_at_its_place() {
    let format = "format = \"csv\"";
    let with = |more: &str| format!("{format}\n{more}");
    let cases = [
        (
            "optional = [\"id\"]",
            "[\"id\"]\n",
            "optional goes with header = \"name\"",
        ),
        (
            "header = \"name\"\noptional = [\"no\"]",
            "[\"no\"]",
            "optional: \"no\" is not a field",
        ),
        (
            "header = \"name\"\noptional = [\"start\"]",
            "[\"start\"]",
            "a field with the call's start time must be there",
        ),
        (
            "header = \"name\"\nmin_columns = 2",
            "2\n",
            "say which columns may be missing",
        ),
        (
            "min_columns = 6",
            "6\n",
            "min_columns: from 1 to the number of columns, 5",
        ),
        ("min_columns = 0", "0\n", "min_columns: from 1"),
        (
            "markers = [{ prefix = \"\" }]",
            "{ prefix",
            "markers: { prefix = \"..\" }, or",
        ),
        ("markers = [{ column = 2 }]", "{ column = 2", "markers: { prefix"),
        (
            "markers = [{ column = 0, values = [\"x\"] }]",
            "0, values",
            "columns count from 1",
        ),
        (
            "markers = [{ column = \"no\", values = [\"x\"] }]",
            "\"no\"",
            "\"no\" is not among [input] columns",
        ),
        ("escape = \"a\"", "\"a\"", "escape stands in tokens"),
        ("escape = \",\"", "\"csv\"", "must differ"),
    ];
    let cases: Vec<(&str, String, &str, &str)> = cases
        .iter()
        .map(|(more, at, expected)| (format, with(more), *at, *expected))
        .collect();
    let cases: Vec<_> = cases
        .iter()
        .map(|(old, new, at, expected)| (*old, new.as_str(), *at, *expected))
        .collect();
    refused(CSV, &cases);
    refused(
        CSV,
        &[
            (
                "field = \"start\"",
                "field = [\"start\", \"no\"]",
                "[\"start\", \"no\"]",
                "[input] time: \"no\" is not a field",
            ),
            (
                "field = \"start\"",
                "field = \"start\", join = [\"start\", \"id\"]",
                "[\"start\", \"id\"]",
                "\"field\" or \"join\", not both",
            ),
            ("field = \"start\", ", "", "{ format", "[input] time needs field"),
            (
                "field = \"start\", ",
                "join = [], ",
                "{ join",
                "[input] time needs field",
            ),
        ],
    );
    refused(
        &CSV.replace("field = \"start\"", "join = [\"start\", \"id\"]"),
        &[(
            "seconds = \"drop\"",
            "seconds = { action = \"coarsen\", to = \"day\" }",
            "\"day\"",
            "say how this one is written",
        )],
    );
    refused(
        JSON,
        &[(
            "format = \"json\"",
            "format = \"json\"\nmarkers = []",
            "[]\ntime",
            "[input] markers is for CSV",
        )],
    );
}
