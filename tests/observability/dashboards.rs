//! The dashboards, and what Grafana and its linter would say of them: variables, units, descriptions, selectors.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

const UNITS: [&str; 6] = ["short", "s", "cps", "Bps", "bytes", "percentunit"];

/// Where each query stands, and the query as it is asked here.
pub fn queries() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/dashboards");
    let mut queries = Vec::new();
    let mut ids = BTreeSet::new();
    for name in ["overview.json", "keys.json"] {
        let board: Value = serde_json::from_str(&fs::read_to_string(folder.join(name)).unwrap()).unwrap();
        assert!(
            ids.insert(board["uid"].as_str().unwrap().to_owned()),
            "{name}: uid twice"
        );
        assert_eq!(board["editable"], false, "{name}");
        let variables = board["templating"]["list"].as_array().unwrap();
        let variables: Vec<&str> = variables
            .iter()
            .map(|one| one["name"].as_str().unwrap())
            .collect();
        assert_eq!(variables, ["datasource", "job", "instance"], "{name}");
        let annotation = &board["annotations"]["list"][0];
        queries.push((
            format!("{name}: restarts"),
            asked(annotation["expr"].as_str().unwrap()),
        ));

        let panels = board["panels"].as_array().unwrap();
        assert!(panels.len() > 10, "{name}");
        let mut taken = BTreeSet::new();
        for panel in panels {
            assert!(
                taken.insert(panel["id"].as_i64().unwrap()),
                "{name}: {}",
                panel["title"]
            );
            let title = panel["title"].as_str().unwrap();
            assert!(!title.is_empty(), "{name}");
            if panel["type"] != "row" {
                let place = format!("{name}: {title}");
                panel_is_whole(&place, panel);
                for target in panel["targets"].as_array().unwrap() {
                    queries.push((place.clone(), asked(target["expr"].as_str().unwrap())));
                }
            }
        }
    }
    queries
}

fn panel_is_whole(place: &str, panel: &Value) {
    assert!(
        panel["description"].as_str().unwrap().len() > 10,
        "{place}: description"
    );
    let unit = panel["fieldConfig"]["defaults"]["unit"].as_str().unwrap();
    assert!(UNITS.contains(&unit), "{place}: unit {unit}");
    assert_eq!(panel["datasource"]["uid"], "${datasource}", "{place}");
    let grid = &panel["gridPos"];
    let right = grid["x"].as_i64().unwrap() + grid["w"].as_i64().unwrap();
    assert!(right <= 24, "{place}: wider than the page");
    let targets = panel["targets"].as_array().unwrap();
    assert!(!targets.is_empty(), "{place}");
    let mut letters = BTreeSet::new();
    for target in targets {
        assert!(
            letters.insert(target["refId"].as_str().unwrap()),
            "{place}: refId twice"
        );
        let query = target["expr"].as_str().unwrap();
        // Every selector is of the chosen job and instances; a counter is never shown as it is.
        assert_eq!(
            query.matches('{').count(),
            query.matches("{job=~\"$job\",instance=~\"$instance\"").count(),
            "{place}: {query}"
        );
        for counter in query.match_indices("_total{").map(|(at, _)| at) {
            let before = &query[..counter];
            let call = before.rfind('(').map_or("", |at| &before[..at]);
            assert!(
                call.ends_with("rate") || call.ends_with("increase"),
                "{place}: {query}"
            );
        }
    }
}

/// Variables as Grafana would put them in.
fn asked(query: &str) -> String {
    let query = query
        .replace("$job", "cdrveil")
        .replace("$instance", ".*")
        .replace("$__rate_interval", "10s");
    assert!(!query.contains('$'), "{query}");
    query
}
