//! Dashboards and rules as files: what promtool says of them, and that every metric they name is
//! one that the programs have. `tests/lab/prometheus.rs` has a Prometheus evaluate them.
//!
//! Needs promtool (Debian's `prometheus`), or says loudly that it was skipped; with `CI` set it
//! never skips.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

#[test]
fn promtool_finds_nothing_wrong_with_rules_and_configuration() {
    for args in [
        ["check", "rules", "dashboards/rules.yml"],
        ["check", "config", "dashboards/prometheus.yml"],
        ["test", "rules", "tests/prometheus/rules.yml"],
    ] {
        let Some(output) = promtool(&args) else { return };
        assert!(output.0, "promtool {args:?}: {}", output.1);
    }
}

#[test]
fn every_rule_has_a_test_of_its_own() {
    let (rules, tests) = (read("dashboards/rules.yml"), read("tests/prometheus/rules.yml"));
    let named = |line: &str, key: &str| line.trim().strip_prefix(key).map(str::to_owned);
    let rules: Vec<String> = rules
        .lines()
        .filter_map(|line| named(line, "- record: ").or_else(|| named(line, "- alert: ")))
        .collect();
    assert!(rules.len() >= 17, "{rules:?}");
    for rule in rules {
        let tested = tests.contains(&format!("expr: \"{rule}\""))
            || tests.contains(&format!("alertname: {rule}\n"));
        assert!(tested, "{rule} has no test");
    }
}

#[test]
fn dashboards_and_rules_name_metrics_that_are_documented() {
    let documented = documented();
    let recorded: BTreeSet<String> = read("dashboards/rules.yml")
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- record: ").map(str::to_owned))
        .collect();
    let mut texts = vec![read("dashboards/rules.yml")];
    for dashboard in ["operators", "subscriber"] {
        texts.extend(expressions(&dashboard_of(dashboard)));
    }
    let mut named = BTreeSet::new();
    for text in &texts {
        named.extend(words(text).filter(|word| word.starts_with("onecast")).map(str::to_owned));
    }
    for name in &named {
        if name.contains(':') {
            assert!(recorded.contains(name), "{name} is recorded by no rule");
        } else if let Some(metric) = name.strip_prefix("onecast_") {
            let metric = metric.strip_suffix("_bucket").unwrap_or(metric);
            assert!(documented.contains(metric), "{name} is not in OPERATIONS.md");
        }
    }
    assert!(named.len() > 30, "{named:?}");
}

#[test]
fn panels_of_a_dashboard_have_names_and_places_of_their_own() {
    for name in ["operators", "subscriber"] {
        let dashboard = dashboard_of(name);
        let panels = dashboard["panels"].as_array().unwrap();
        let (mut ids, mut titles, mut taken) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for panel in panels {
            let title = panel["title"].as_str().unwrap();
            assert!(ids.insert(panel["id"].as_u64().unwrap()), "{name}: {title}: same id");
            assert!(titles.insert(title), "{name}: two panels are called {title}");
            let of = |field: &str| panel["gridPos"][field].as_u64().unwrap();
            for x in of("x")..of("x") + of("w") {
                for y in of("y")..of("y") + of("h") {
                    assert!(x < 24 && taken.insert((x, y)), "{name}: {title} lies on another");
                }
            }
            if panel["type"] != "row" {
                assert!(!panel["description"].as_str().unwrap().is_empty(), "{name}: {title}");
            }
        }
    }
}

fn promtool(args: &[&str]) -> Option<(bool, String)> {
    let Ok(output) = Command::new("promtool").args(args).current_dir(root()).output() else {
        assert!(env::var_os("CI").is_none(), "no promtool: apt-get install prometheus");
        eprintln!("SKIPPED: no promtool here (apt-get install prometheus)");
        return None;
    };
    let said = [output.stdout, output.stderr].concat();
    Some((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn read(path: &str) -> String {
    let path: PathBuf = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn dashboard_of(name: &str) -> Value {
    serde_json::from_str(&read(&format!("dashboards/{name}.json"))).unwrap()
}

/// What panels and variables ask for.
fn expressions(dashboard: &Value) -> Vec<String> {
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    let asked = targets.map(|target| target["expr"].as_str().unwrap().to_owned());
    let variables = dashboard["templating"]["list"].as_array().unwrap().iter();
    asked.chain(variables.map(|it| it["definition"].as_str().unwrap().to_owned())).collect()
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    let is_of_word = |letter: char| letter.is_ascii_alphanumeric() || "_:".contains(letter);
    text.split(move |letter| !is_of_word(letter)).filter(|word| !word.is_empty())
}

/// Names in the tables of metrics, without the prefix.
fn documented() -> BTreeSet<String> {
    let text = read("docs/OPERATIONS.md");
    let (_, metrics) = text.split_once("\n## Metrics\n").unwrap();
    let rows = metrics.lines().filter_map(|line| line.strip_prefix("| `"));
    let cells = rows.filter_map(|row| row.split_once(" |")).map(|(cell, _)| cell);
    cells.flat_map(|cell| words(cell).map(str::to_owned).collect::<Vec<_>>()).collect()
}
