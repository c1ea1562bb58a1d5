//! A running game. Everything that makes the ALE exit or crash is checked here first.

use std::{
    ffi::{CStr, CString, c_void},
    fs,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    ptr::NonNull,
};

use md5::{Digest, Md5};

use crate::{
    AleError,
    ffi::{self, List, RawAle, RawStatus},
    games::md5_of,
};

/// The largest ROM there is; the ALE reads no more either.
const MAX_ROM_BYTES: u64 = 512 * 1024;

/// How a game is to run.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// A name from [`crate::GAMES`].
    pub game: &'static str,
    /// The game's ROM.
    pub rom: PathBuf,
    /// Probability, on every frame, that the previous frame's action is repeated.
    pub repeat_action_probability: f32,
    /// Frames after which an episode is truncated; 0 for never.
    pub max_num_frames_per_episode: u32,
    /// The game's mode; `None` for its default.
    pub mode: Option<u32>,
    /// The game's difficulty; `None` for its default.
    pub difficulty: Option<u32>,
}

/// Where the game stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Lives left; games without lives count 1 until they end.
    pub lives: u32,
    /// The game is over by its own rules.
    pub terminal: bool,
    /// The episode's frames are used up.
    pub truncated: bool,
}

/// A game that is loaded and ready.
#[derive(Debug)]
pub struct Emulator {
    raw: NonNull<RawAle>,
    settings: Settings,
    height: usize,
    width: usize,
    /// Bit `a` is set if the game takes action `a`.
    legal: u32,
}

// SAFETY: the ALE has no thread-local state and its static tables are filled once under a lock; one
// instance is only ever used by the thread that owns it.
unsafe impl Send for Emulator {}

impl Emulator {
    /// Checks the settings and the ROM, and loads it. `random_seed` drives sticky actions alone.
    pub fn load(settings: Settings, random_seed: i32) -> Result<Self, AleError> {
        // SAFETY: no preconditions.
        let raw = NonNull::new(unsafe { ffi::pliant_ale_new() })
            .ok_or_else(|| AleError::Failed(last_error()))?;
        let mut emulator = Self { raw, settings, height: 0, width: 0, legal: 0 };
        emulator.reload(random_seed)?;
        Ok(emulator)
    }

    /// Loads the ROM anew with another seed, as ale-py does on a seeded reset.
    pub fn reload(&mut self, random_seed: i32) -> Result<(), AleError> {
        let settings = &self.settings;
        check_probability(settings.repeat_action_probability)?;
        check_rom(settings.game, &settings.rom)?;
        let rom = CString::new(settings.rom.as_os_str().as_bytes())
            .map_err(|_| rom_error(&settings.rom, "has a NUL in its path"))?;
        let max_frames = i32::try_from(settings.max_num_frames_per_episode).unwrap_or(i32::MAX);
        // SAFETY: `raw` lives as long as `self`; the ROM is a known one, so the ALE does not exit.
        let answer = unsafe {
            ffi::pliant_ale_load(
                self.raw.as_ptr(),
                rom.as_ptr(),
                random_seed,
                settings.repeat_action_probability,
                max_frames,
            )
        };
        checked(answer)?;
        (self.height, self.width) = self.dimensions()?;
        self.legal = self.legal_actions()?.iter().fold(0, |bits, action| bits | 1 << action);
        self.apply_mode_and_difficulty()
    }

    fn apply_mode_and_difficulty(&mut self) -> Result<(), AleError> {
        if let Some(mode) = self.settings.mode {
            self.check_known("mode", mode, self.modes()?)?;
            // SAFETY: a ROM is loaded and the mode is one of its modes.
            checked(unsafe { ffi::pliant_ale_set_mode(self.raw.as_ptr(), mode) })?;
        }
        if let Some(difficulty) = self.settings.difficulty {
            self.check_known("difficulty", difficulty, self.difficulties()?)?;
            // SAFETY: a ROM is loaded and the difficulty is one of its difficulties.
            checked(unsafe { ffi::pliant_ale_set_difficulty(self.raw.as_ptr(), difficulty) })?;
        }
        Ok(())
    }

    fn check_known(&self, what: &'static str, value: u32, known: Vec<u32>) -> Result<(), AleError> {
        if known.contains(&value) {
            return Ok(());
        }
        Err(AleError::Setting { game: self.settings.game, what, value, known })
    }

    /// Starts the game anew; the generator behind sticky actions goes on.
    pub fn reset(&mut self) -> Result<(), AleError> {
        // SAFETY: a ROM is loaded.
        checked(unsafe { ffi::pliant_ale_reset(self.raw.as_ptr()) }).map(drop)
    }

    /// Plays one frame and answers its points. After the end of an episode nothing happens.
    pub fn act(&mut self, action: u32) -> Result<i32, AleError> {
        self.check_action(action)?;
        let mut reward = 0;
        // SAFETY: a ROM is loaded and the action is one of the first player's.
        checked(unsafe { ffi::pliant_ale_act(self.raw.as_ptr(), action as i32, &raw mut reward) })?;
        Ok(reward)
    }

    /// The ALE would play NOOP in an illegal action's place, and say nothing.
    fn check_action(&self, action: u32) -> Result<(), AleError> {
        if action > 17 {
            return Err(AleError::Action(action));
        }
        if self.legal & 1 << action != 0 {
            return Ok(());
        }
        let legal = self.legal_actions()?;
        Err(AleError::IllegalAction { game: self.settings.game, action, legal })
    }

    /// Where the game stands.
    pub fn status(&self) -> Result<Status, AleError> {
        let raw = self.raw_status()?;
        Ok(Status {
            lives: u32::try_from(raw.lives).unwrap_or(0),
            terminal: raw.terminal != 0,
            truncated: raw.truncated != 0,
        })
    }

    fn raw_status(&self) -> Result<RawStatus, AleError> {
        let mut status = RawStatus::default();
        // SAFETY: a ROM is loaded; `status` is writable.
        checked(unsafe { ffi::pliant_ale_status(self.raw.as_ptr(), &raw mut status) })?;
        Ok(status)
    }

    fn dimensions(&self) -> Result<(usize, usize), AleError> {
        let status = self.raw_status()?;
        match (usize::try_from(status.height), usize::try_from(status.width)) {
            (Ok(height), Ok(width)) => Ok((height, width)),
            _ => Err(AleError::Failed("the screen has no size".to_owned())),
        }
    }

    /// The game's name.
    pub fn game(&self) -> &'static str {
        self.settings.game
    }

    /// Rows of the screen: 210, for some games up to 250.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Columns of the screen: 160.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The screen as palette indices, `u8 [height, width]`.
    pub fn screen(&self) -> &[u8] {
        // SAFETY: a ROM is loaded, so there is a screen of this size; it changes with `act`, `reset`
        // and `restore` only, which need this emulator for themselves.
        unsafe {
            let pixels = ffi::pliant_ale_screen(self.raw.as_ptr());
            std::slice::from_raw_parts(pixels, self.height * self.width)
        }
    }

    /// The grey of every palette index.
    pub fn greys(&self) -> Result<[u8; 256], AleError> {
        let mut greys = [0; 256];
        // SAFETY: the shim writes 256 bytes.
        checked(unsafe { ffi::pliant_ale_greys(self.raw.as_ptr(), greys.as_mut_ptr()) })?;
        Ok(greys)
    }

    /// Writes the screen, `u8 [height, width, 3]`.
    pub fn screen_rgb(&self, out: &mut [u8]) -> Result<(), AleError> {
        assert_eq!(out.len(), self.height * self.width * 3, "three bytes per pixel");
        // SAFETY: a ROM is loaded; `out` has room for the whole screen.
        checked(unsafe { ffi::pliant_ale_screen_rgb(self.raw.as_ptr(), out.as_mut_ptr()) })
            .map(drop)
    }

    /// The actions that do something in this game.
    pub fn minimal_actions(&self) -> Result<Vec<u32>, AleError> {
        self.list(List::MinimalActions)
    }

    /// All actions the game takes: 18; in Skiing and Lost Luggage, which know no FIRE, 9.
    pub fn legal_actions(&self) -> Result<Vec<u32>, AleError> {
        self.list(List::LegalActions)
    }

    /// The game's modes.
    pub fn modes(&self) -> Result<Vec<u32>, AleError> {
        self.list(List::Modes)
    }

    /// The game's difficulties.
    pub fn difficulties(&self) -> Result<Vec<u32>, AleError> {
        self.list(List::Difficulties)
    }

    fn list(&self, which: List) -> Result<Vec<u32>, AleError> {
        let mut numbers = vec![0; 256]; // Space War, the richest game, has fewer than 40 modes
        // SAFETY: a ROM is loaded; the shim writes no more than the capacity it is told.
        let count = checked(unsafe {
            ffi::pliant_ale_list(
                self.raw.as_ptr(),
                which as i32,
                numbers.as_mut_ptr(),
                numbers.len() as u64,
            )
        })?;
        numbers.truncate(count as usize);
        Ok(numbers)
    }

    /// Everything that decides what comes next, screen included.
    pub fn save(&self) -> Result<Vec<u8>, AleError> {
        extern "C" fn collect(context: *mut c_void, bytes: *const u8, length: u64) {
            // SAFETY: the shim hands back the context below and `length` readable bytes.
            unsafe {
                let out = &mut *context.cast::<Vec<u8>>();
                out.extend_from_slice(std::slice::from_raw_parts(bytes, length as usize));
            }
        }
        let mut bytes = Vec::new();
        // SAFETY: a ROM is loaded; `bytes` outlives the call.
        checked(unsafe {
            ffi::pliant_ale_save(self.raw.as_ptr(), collect, (&raw mut bytes).cast())
        })?;
        Ok(bytes)
    }

    /// Takes up a state. The bytes must be whole and come from `save` of the same game; on an error
    /// the game goes on as before.
    pub fn restore(&mut self, bytes: &[u8]) -> Result<(), AleError> {
        let before = self.save()?;
        // SAFETY: a ROM is loaded; the shim reads `bytes.len()` bytes.
        let restore = |bytes: &[u8]| unsafe {
            ffi::pliant_ale_restore(self.raw.as_ptr(), bytes.as_ptr(), bytes.len() as u64)
        };
        // A state that was not taken up as it is was none.
        let restored = checked(restore(bytes)).and_then(|_| self.save());
        let reason = match restored {
            Ok(restored) if restored == bytes => return Ok(()),
            Ok(_) => "it holds what no game can be in".to_owned(),
            Err(error) => error.to_string(),
        };
        restore(&before);
        Err(AleError::State(reason))
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        // SAFETY: the pointer came from `pliant_ale_new` and is not used again.
        unsafe { ffi::pliant_ale_delete(self.raw.as_ptr()) }
    }
}

/// The ALE's own exit: an `i64` of -1 becomes the exception's text.
fn checked(answer: i64) -> Result<i64, AleError> {
    if answer < 0 { Err(AleError::Failed(last_error())) } else { Ok(answer) }
}

fn last_error() -> String {
    // SAFETY: the shim answers a NUL-terminated text that lives until this thread's next error.
    unsafe { CStr::from_ptr(ffi::pliant_ale_error()) }.to_string_lossy().into_owned()
}

fn check_probability(probability: f32) -> Result<(), AleError> {
    if (0.0..=1.0).contains(&probability) {
        Ok(())
    } else {
        Err(AleError::Probability(probability))
    }
}

/// A regular, readable file with the md5 that ALE expects of this game.
fn check_rom(game: &'static str, path: &Path) -> Result<(), AleError> {
    let meta = fs::metadata(path)
        .map_err(|error| rom_error(path, &format!("cannot be opened ({error})")))?;
    if !meta.is_file() {
        return Err(rom_error(path, "is not a regular file"));
    }
    if meta.len() > MAX_ROM_BYTES {
        return Err(rom_error(
            path,
            &format!("has {} bytes, more than any Atari 2600 cartridge", meta.len()),
        ));
    }
    let content =
        fs::read(path).map_err(|error| rom_error(path, &format!("cannot be read ({error})")))?;
    let md5: String = Md5::digest(&content).iter().map(|byte| format!("{byte:02x}")).collect();
    match md5_of(game) {
        Some(expected) if expected == md5 => Ok(()),
        Some(expected) => {
            Err(rom_error(path, &format!("has md5 {md5}, but {game}'s is {expected}")))
        }
        None => Err(rom_error(path, &format!("is for `{game}`, which is no game of the ALE"))),
    }
}

fn rom_error(path: &Path, reason: &str) -> AleError {
    AleError::Rom { path: path.to_owned(), reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rom(game: &str) -> PathBuf {
        let file = format!("{game}.bin");
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.deps/ale/src/ale/python/roms").join(file)
    }

    fn settings(game: &'static str) -> Settings {
        Settings {
            game,
            rom: rom(game),
            repeat_action_probability: 0.25,
            max_num_frames_per_episode: 0,
            mode: None,
            difficulty: None,
        }
    }

    fn refused(settings: Settings) -> String {
        Emulator::load(settings, 1).expect_err("a bad setting").to_string()
    }

    #[test]
    fn bad_roms_are_refused_before_the_emulator_sees_them() {
        let folder = tempfile::tempdir().expect("a folder");
        let truncated = folder.path().join("breakout.bin");
        fs::write(&truncated, &fs::read(rom("breakout")).expect("a ROM")[..1000]).expect("written");
        let with = |path: &Path| refused(Settings { rom: path.to_owned(), ..settings("breakout") });
        assert!(with(&truncated).contains("but breakout's is f34f08e5eb96e500e851a80be3277a56"));
        assert!(with(folder.path()).contains("is not a regular file"));
        assert!(with(Path::new("/nowhere/breakout.bin")).contains("cannot be opened"));
        assert!(with(&rom("pong")).contains("has md5"));
        assert!(with(Path::new("/dev/null")).contains("is not a regular file"));
    }

    #[test]
    fn unknown_modes_difficulties_and_actions_are_refused_with_what_there_is() {
        let error = refused(Settings { mode: Some(3), ..settings("breakout") });
        assert!(error.starts_with("breakout has no mode 3: it has 0, 4, 8,"), "{error}");
        let error = refused(Settings { difficulty: Some(7), ..settings("breakout") });
        assert_eq!(error, "breakout has no difficulty 7: it has 0, 1");
        assert!(
            refused(Settings { repeat_action_probability: f32::NAN, ..settings("pong") })
                .contains("between 0 and 1")
        );
    }

    #[test]
    fn actions_a_game_does_not_take_are_refused_with_joystick_and_with_paddle() {
        let load = |game| Emulator::load(settings(game), 1).expect("a game");
        for name in ["seaquest", "breakout"] {
            let mut game = load(name);
            game.reset().expect("reset");
            assert!(matches!(game.act(18), Err(AleError::Action(18))), "{name}");
            assert!(matches!(game.act(u32::MAX), Err(AleError::Action(u32::MAX))), "{name}");
            assert!((0..18).all(|action| game.act(action).is_ok()), "{name}");
        }
        let error = load("skiing").act(12).expect_err("no FIRE in Skiing").to_string();
        let expected =
            "skiing does not take action 12 (LEFTFIRE): it takes 0, 2, 3, 4, 5, 6, 7, 8, 9";
        assert_eq!(error, expected);
    }

    #[test]
    fn every_rom_that_setup_places_loads_and_plays() {
        for (name, _) in crate::GAMES {
            let mut game = Emulator::load(settings(name), 1).expect(name);
            game.reset().expect(name);
            game.act(0).expect(name);
            assert_eq!(game.screen().len(), game.height() * game.width());
            assert!(
                game.width() == 160 && (210..=250).contains(&game.height()),
                "{name}: {}",
                game.height()
            );
            let (minimal, legal) =
                (game.minimal_actions().expect(name), game.legal_actions().expect(name));
            assert!(
                !minimal.is_empty() && minimal.iter().all(|action| legal.contains(action)),
                "{name}"
            );
            assert!(legal.iter().all(|&action| action < 18), "{name}");
        }
    }

    #[test]
    fn a_broken_state_is_refused_and_the_game_goes_on() {
        let mut game = Emulator::load(settings("pong"), 1).expect("pong");
        game.reset().expect("reset");
        let state = game.save().expect("saved");
        for _ in 0..50 {
            game.act(2).expect("UP");
        }
        let now = game.save().expect("saved");
        for length in [0, 7, 100, state.len() / 2, state.len() - 1] {
            let cut = game.restore(&state[..length]);
            assert!(matches!(cut, Err(AleError::State(_))), "{length} bytes");
            assert!(game.save().expect("saved") == now, "after {length} bytes");
        }
        game.restore(&state).expect("whole");
        assert!(game.save().expect("saved") == state);
    }

    pliant_fuzzing::surfaces! { damaged_states_are_refused_or_played_on_from: 20_000 }

    /// Games of every kind of cartridge that there is among them. Nothing but the emulator's own reading stands
    /// between the damage and the game here.
    fn damaged_states_are_refused_or_played_on_from(cases: std::ops::Range<u64>) {
        let games = ["breakout", "montezuma_revenge", "pitfall2", "robotank", "crossbow", "gopher"];
        let mut games = games.map(|game| {
            let mut emulator = Emulator::load(settings(game), 1).expect("a game");
            emulator.reset().expect("reset");
            for _ in 0..60 {
                emulator.act(0).expect("a frame");
            }
            let state = emulator.save().expect("saved");
            (emulator, state)
        });
        pliant_fuzzing::Surface::new("emulator state").check(cases, |damage| {
            let (emulator, whole) = &mut games[damage.below(6)];
            let taken = emulator.restore(&damage.bytes(whole, &[]));
            if taken.is_ok() {
                for action in 0..8 {
                    emulator.act(action).expect("a frame");
                }
                emulator.save().expect("saved");
            } else {
                assert!(emulator.save().expect("saved") == *whole, "refused, but changed");
            }
            emulator.restore(whole).expect("a whole state is taken after any");
            taken.into()
        });
    }
}
