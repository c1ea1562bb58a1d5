//! The games ALE knows: their names, the md5 of their ROMs, the names of their actions.

use crate::AleError;

/// Every game as `(name, md5 of its ROM)`, sorted by name: those of the ALE's 108 ROMs for which it
/// has rules. The other four are [`WITHOUT_RULES`].
pub const GAMES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/games.rs"));

/// Cartridges whose ROMs come with the ALE, but that only two players can play: the ALE has no rules
/// for them (no score, no end) and would exit.
pub const WITHOUT_RULES: [&str; 4] = ["combat", "joust", "maze_craze", "warlords"];

/// The 18 actions by their numbers.
const ACTIONS: [&str; 18] = [
    "NOOP",
    "FIRE",
    "UP",
    "RIGHT",
    "LEFT",
    "DOWN",
    "UPRIGHT",
    "UPLEFT",
    "DOWNRIGHT",
    "DOWNLEFT",
    "UPFIRE",
    "RIGHTFIRE",
    "LEFTFIRE",
    "DOWNFIRE",
    "UPRIGHTFIRE",
    "UPLEFTFIRE",
    "DOWNRIGHTFIRE",
    "DOWNLEFTFIRE",
];

/// How Gymnasium names an action (`get_action_meanings`); `None` if there is no such action.
pub fn action_name(action: u32) -> Option<&'static str> {
    ACTIONS.get(action as usize).copied()
}

/// The md5 of a game's ROM, by the game's own name.
pub fn md5_of(game: &str) -> Option<&'static str> {
    let at = GAMES.binary_search_by_key(&game, |row| row.0).ok()?;
    Some(GAMES[at].1)
}

/// The game somebody means by `name`: `space_invaders`, `SpaceInvaders`, `ALE/SpaceInvaders-v5` and
/// `SpaceInvadersNoFrameskip-v4` are the same.
pub fn game_name(name: &str) -> Result<&'static str, AleError> {
    let wanted = squashed(stem(name));
    let is_meant = |game: &&'static str| squashed(game) == wanted;
    if let Some(name) = WITHOUT_RULES.into_iter().find(is_meant) {
        return Err(AleError::NoRules { name });
    }
    GAMES.iter().map(|row| row.0).find(is_meant).ok_or_else(|| AleError::UnknownGame {
        name: name.to_owned(),
        nearest: nearest(&wanted),
        count: GAMES.len(),
    })
}

/// The game in a Gymnasium identifier.
fn stem(name: &str) -> &str {
    let name = name.trim().trim_start_matches("ALE/").trim_end_matches(".bin");
    let name = name.rsplit_once("-v").map_or(name, |(stem, _)| stem);
    ["NoFrameskip", "Deterministic"].iter().fold(name, |name, ending| name.trim_end_matches(ending))
}

fn squashed(name: &str) -> String {
    let kept = name.chars().filter(|letter| !matches!(letter, '_' | '-' | ' '));
    kept.flat_map(char::to_lowercase).collect()
}

/// The three games whose names need the fewest edits.
fn nearest(wanted: &str) -> Vec<&'static str> {
    let mut games: Vec<_> =
        GAMES.iter().map(|row| (edits(&squashed(row.0), wanted), row.0)).collect();
    games.sort_unstable();
    games.iter().take(3).map(|row| row.1).collect()
}

/// Levenshtein's distance.
fn edits(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, letter) in from.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for j in 0..to.len() {
            let replaced = diagonal + usize::from(letter != to[j]);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_write_a_game_means_the_same_game() {
        for name in [
            "space_invaders",
            "SpaceInvaders",
            "ALE/SpaceInvaders-v5",
            "SpaceInvadersNoFrameskip-v4",
        ] {
            assert_eq!(game_name(name).expect(name), "space_invaders");
        }
        assert_eq!(game_name("tic_tac_toe_3d").expect("a game"), "tic_tac_toe_3d");
    }

    #[test]
    fn every_listed_game_is_found_by_its_own_name() {
        for (game, md5) in GAMES {
            assert_eq!(game_name(game).expect(game), *game);
            assert_eq!(md5_of(game), Some(*md5));
        }
    }

    #[test]
    fn roms_without_rules_are_known_by_name_and_refused_with_the_reason() {
        for name in ["combat", "Joust", "ALE/MazeCraze-v5", "warlords"] {
            let error = game_name(name).expect_err("it would make the emulator exit").to_string();
            assert!(error.contains("two players") && !error.contains("did you mean"), "{error}");
        }
        assert_eq!((GAMES.len(), WITHOUT_RULES.len()), (104, 4));
        assert!(WITHOUT_RULES.iter().all(|name| md5_of(name).is_none()));
    }

    #[test]
    fn an_unknown_game_is_answered_with_its_neighbours() {
        let error = game_name("braekout").expect_err("a typo").to_string();
        assert!(
            error.starts_with("there is no game `braekout`: did you mean breakout,"),
            "{error}"
        );
        assert!(game_name("").is_err() && game_name("-v5").is_err());
    }

    #[test]
    fn edits_counts_insertions_deletions_and_replacements() {
        assert_eq!(
            [edits("kitten", "sitting"), edits("", "abc"), edits("pong", "pong")],
            [3, 3, 0]
        );
    }
}
