//! The Atari games in `pliant list envs`.

use pliant_envs::{
    ale::{GameDescription, WITHOUT_RULES, benchmark_games, games, reference_scores},
    env::ReferenceScores,
};
use serde_json::{Value, json};

use crate::table;

/// Why the emulator's other cartridges are no games.
const REASON: &str =
    "a cartridge for two players; the ALE has no rules (score, end of the game) for it";

/// Prints what `env.game` can be.
pub fn print_all() {
    let rows = benchmark_games().map(|(name, scores)| {
        vec![name.to_owned(), scores.random.to_string(), scores.human.to_string()]
    });
    say!("\nThe {} games that publications compare agents on:", benchmark_games().count());
    say!("{}", table::render(&["game", "random policy", "human"], rows));
    let others: Vec<&str> = games().filter(|name| reference_scores(name).is_none()).collect();
    say!("\n{} more games: {}", others.len(), others.join(", "));
    say!("\nNo games: {} (each {REASON})", WITHOUT_RULES.join(", "));
    say!("\nModes, difficulties and actions: pliant list envs GAME");
}

/// The same as sections of a JSON object.
pub fn all_as_json() -> Vec<(&'static str, Value)> {
    let game = |name| {
        let scores = reference_scores(name);
        json!({
            "name": name,
            "random": scores.map(|scores| scores.random),
            "human": scores.map(|scores| scores.human),
        })
    };
    let no_game = |name| json!({ "name": name, "reason": REASON });
    vec![
        ("games", games().map(game).collect()),
        ("no_games", WITHOUT_RULES.into_iter().map(no_game).collect()),
    ]
}

/// The game that `name` means.
pub fn find(name: &str) -> Result<GameDescription, String> {
    GameDescription::load(name).map_err(|error| error.to_string())
}

/// Prints one game.
pub fn print(game: &GameDescription) {
    let score = |of: fn(&ReferenceScores) -> f64| {
        game.scores.as_ref().map_or_else(|| "none published".to_owned(), |s| of(s).to_string())
    };
    let rows = [
        ("modes", numbers(&game.modes)),
        ("default mode", game.default_mode.to_string()),
        ("difficulties", numbers(&game.difficulties)),
        ("default difficulty", game.default_difficulty.to_string()),
        ("minimal actions", game.minimal_actions.join(", ")),
        ("all its actions", game.legal_actions.join(", ")),
        ("score of a random policy", score(|scores| scores.random)),
        ("score of a human", score(|scores| scores.human)),
    ];
    let rows = rows.into_iter().map(|(what, value)| vec![what.to_owned(), value]);
    say!("{}", table::render(&[game.name, ""], rows));
}

/// One game as an object.
pub fn as_json(game: &GameDescription) -> Value {
    json!({
        "name": game.name,
        "modes": game.modes,
        "default_mode": game.default_mode,
        "difficulties": game.difficulties,
        "default_difficulty": game.default_difficulty,
        "minimal_actions": game.minimal_actions,
        "legal_actions": game.legal_actions,
        "random": game.scores.map(|scores| scores.random),
        "human": game.scores.map(|scores| scores.human),
    })
}

fn numbers(numbers: &[u32]) -> String {
    numbers.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")
}
