//! `pliant list envs` without the Atari feature: there are no games.

use serde_json::Value;

pub enum NoGame {}

pub fn print_all() {}

pub fn all_as_json() -> Vec<(&'static str, Value)> {
    Vec::new()
}

pub fn find(_name: &str) -> Result<NoGame, String> {
    Err("this program was built without Atari".to_owned())
}

pub fn print(game: &NoGame) {
    match *game {}
}

pub fn as_json(game: &NoGame) -> Value {
    match *game {}
}
