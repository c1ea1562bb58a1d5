//! `pliant list`: families, one kind, one game.

use serde_json::Value;

use crate::common::{Ran, pliant};

fn list(args: &[&str]) -> Ran {
    let folder = tempfile::tempdir().expect("a temporary folder");
    pliant(folder.path(), &[&["list"], args].concat())
}

fn shown(args: &[&str]) -> String {
    let ran = list(args);
    assert_eq!(ran.code, Some(0), "{args:?}\n{}", ran.err);
    ran.out
}

fn json(args: &[&str]) -> Value {
    serde_json::from_str(&shown(&[args, &["--json"]].concat())).expect("one JSON object")
}

#[test]
fn the_games_are_listed_with_their_scores_and_the_four_that_are_none() {
    let text = shown(&["envs"]);
    for word in ["zaxxon", "9173.3", "-4336.9", "lost_luggage", "maze_craze", "two players"] {
        assert!(text.contains(word), "{word}:\n{text}");
    }
    let all = json(&["envs"]);
    let games = all["games"].as_array().expect("a list");
    let scored = games.iter().filter(|game| game["human"].is_number()).count();
    assert_eq!((games.len(), scored), (104, 57));
    let names = |key: &str| -> Vec<&str> {
        let rows = all[key].as_array().expect("a list");
        rows.iter().filter_map(|row| row["name"].as_str()).collect()
    };
    assert_eq!(names("no_games"), ["combat", "joust", "maze_craze", "warlords"]);
    assert!(names("envs").contains(&"continual_atari"));
}

#[test]
fn one_game_is_shown_with_its_variants_and_actions() {
    let text = shown(&["envs", "breakout"]);
    for word in ["0, 4, 8", "default mode", "NOOP, FIRE, RIGHT, LEFT", "DOWNLEFTFIRE", "30.5"] {
        assert!(text.contains(word), "{word}:\n{text}");
    }
    let game = &json(&["envs", "ALE/Pong-v5"])["games"][0];
    assert_eq!(game["name"], "pong");
    assert_eq!(game["modes"], serde_json::json!([0, 1]));
    assert_eq!(game["default_difficulty"], 0);
    assert_eq!(game["random"], -20.7);
}

#[test]
fn one_kind_of_any_family_is_shown_alone() {
    let cases = [
        ("envs", "atari"),
        ("envs", "continual_atari"),
        ("envs", "random_labels"),
        ("envs", "permuted_inputs"),
        ("envs", "class_incremental"),
        ("envs", "warm_start"),
        ("networks", "nature"),
        ("agents", "classifier"),
        ("agents", "double_dqn"),
        ("optimizers", "adam"),
        ("interventions", "layer_norm"),
        ("probes", "units"),
        ("presets", "env_machado"),
        ("settings", "run"),
    ];
    for (family, name) in cases {
        let text = shown(&[family, name]);
        assert!(text.trim_start().starts_with(&format!("{name}: ")), "{family} {name}:\n{text}");
        let object = json(&[family, name]);
        let rows = object[family].as_array().expect("a list");
        assert_eq!((rows.len(), &rows[0]["name"]), (1, &Value::from(name)));
    }
}

#[test]
fn settings_are_shown_with_their_types() {
    let text = shown(&["probes", "units"]);
    for word in ["type", "batch_size", "integer", "taus", "list"] {
        assert!(text.contains(word), "{word}:\n{text}");
    }
    let object = json(&["settings", "run"]);
    let parameters = object["settings"][0]["parameters"].as_array().expect("a list");
    let kind_of = |name| parameters.iter().find(|p| p["name"] == name).map(|p| &p["kind"]);
    assert_eq!(kind_of("device"), Some(&Value::from("text")));
    assert_eq!(kind_of("budget_frames"), Some(&Value::from("integer")));
    assert_eq!(parameters[0]["default"], "run");
}

#[test]
fn unknown_names_are_answered_with_the_known_ones() {
    let refused = |args: &[&str], words: &[&str]| {
        let ran = list(args);
        assert_eq!(ran.code, Some(2), "{args:?}\n{}", ran.out);
        for word in words {
            assert!(ran.err.contains(word), "{args:?} should say {word:?}:\n{}", ran.err);
        }
    };
    refused(&["probes", "dormant"], &["`dormant`", "`units`"]);
    refused(&["presets", "env_machada"], &["`env_machado`"]);
    refused(&["envs", "braekout"], &["`atari`", "did you mean breakout"]);
    refused(&["envs", "joust"], &["two players"]);
    refused(&["probes", "breakout", "--json"], &["`units`"]);
}
