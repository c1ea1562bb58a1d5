//! `pliant trace`: plays a list of actions and writes down everything that came back, so that anyone
//! can hold an environment against another implementation of it.
//!
//! ```text
//! observations.npy  u8   [steps + 1, stack, height, width]   row 0 follows the reset
//! rewards.npy       f32  [steps]                             unclipped
//! terminated.npy    bool [steps]
//! truncated.npy     bool [steps]
//! lives.npy         i32  [steps]
//! ```
//!
//! Where an episode ends, the next row of observations is the one after its reset.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Read, Write},
    path::{Path, PathBuf},
};

use pliant_agents::acting::FrameStacks;
use pliant_envs::env::{Env, EnvError, EnvFactory, EnvSpec, Role, Step};

/// Action files beyond this are taken for a mistake.
const MAX_ACTION_BYTES: u64 = 64 << 20;

/// What was played.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TraceSummary {
    /// Agent steps.
    pub steps: usize,
    /// Emulator frames of those steps.
    pub frames: u64,
    /// Episodes that ended.
    pub episodes: usize,
    /// Sum of the unclipped rewards.
    pub reward: f64,
}

/// Why there is no trace.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The actions or the folder cannot be used; nothing was played.
    #[error("{0}")]
    Input(String),
    /// The environment failed.
    #[error(transparent)]
    Env(#[from] EnvError),
    /// A file could not be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Reads one integer per line. An error names file, line and what would be right.
pub fn read_actions(path: &Path) -> Result<Vec<i64>, String> {
    let name = path.display();
    let file = File::open(path)
        .map_err(|error| format!("the action file {name} cannot be opened: {error}"))?;
    let mut bytes = Vec::new();
    let read = file.take(MAX_ACTION_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(|error| format!("the action file {name} cannot be read: {error}"))?;
    if bytes.len() as u64 > MAX_ACTION_BYTES {
        return Err(format!(
            "the action file {name} has more than {} MiB: one action per line is expected",
            MAX_ACTION_BYTES >> 20
        ));
    }
    parse_actions(&bytes).map_err(|reason| format!("{name}{reason}"))
}

/// The error continues after the file's name.
fn parse_actions(bytes: &[u8]) -> Result<Vec<i64>, String> {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    if bytes.is_empty() {
        return Err(" is empty: at least one action, an integer on a line of its own, is expected"
            .to_owned());
    }
    let action = |(index, line): (usize, &[u8])| {
        let number = std::str::from_utf8(line).ok().and_then(|text| text.trim().parse().ok());
        number.ok_or_else(|| {
            format!(
                ", line {}: `{}` is no action: one integer per line is expected, such as 0",
                index + 1,
                shown(line)
            )
        })
    };
    bytes.split(|&byte| byte == b'\n').enumerate().map(action).collect()
}

/// The beginning of a line, fit to print.
fn shown(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(&line[..line.len().min(40)]);
    let printable: String = text.trim().escape_default().collect();
    if line.len() > 40 { format!("{printable}...") } else { printable }
}

/// Plays `actions` (line `i + 1` of their file is `actions[i]`) in a training instance seeded with
/// `seed`, and writes the five arrays into the folder `out`. Actions the environment has not are
/// refused before anything is played.
pub fn write_trace(
    factory: &dyn EnvFactory,
    seed: u64,
    actions: &[i64],
    out: &Path,
) -> Result<TraceSummary, TraceError> {
    let actions = checked(actions, factory.spec())?;
    let mut player = Player::new(factory.make(Role::Training, 1)?);
    let mut files = TraceFiles::create(out, actions.len(), factory.spec())?;
    let mut summary = TraceSummary::default();
    player.reset(Some(seed))?;
    files.observations.write(player.stack.bytes())?;
    for action in actions {
        let step = player.step(action)?;
        files.push(&step, player.stack.bytes())?;
        summary.steps += 1;
        summary.frames += u64::from(step.frames);
        summary.episodes += usize::from(step.is_last());
        summary.reward += f64::from(step.raw_reward);
    }
    files.finish()?;
    Ok(summary)
}

fn checked(actions: &[i64], spec: &EnvSpec) -> Result<Vec<usize>, TraceError> {
    let count = spec.actions.len();
    let check = |(index, &action): (usize, &i64)| {
        let known = usize::try_from(action).ok().filter(|&action| action < count);
        known.ok_or_else(|| {
            let names = spec.actions.join(", ");
            TraceError::Input(format!("action {action} on line {} is out of range: there are {count} actions, 0 to {} ({names})", index + 1, count - 1))
        })
    };
    if actions.is_empty() {
        return Err(TraceError::Input(
            "there are no actions to play: at least one is needed".to_owned(),
        ));
    }
    actions.iter().enumerate().map(check).collect()
}

/// An environment and the stack an agent would see.
struct Player {
    env: Box<dyn Env>,
    frame: Vec<u8>,
    stack: FrameStacks,
}

impl Player {
    fn new(env: Box<dyn Env>) -> Self {
        let (frame, stack) = (vec![0; env.spec().frame.len()], FrameStacks::new(env.spec(), 1));
        Self { env, frame, stack }
    }

    fn reset(&mut self, seed: Option<u64>) -> Result<(), EnvError> {
        self.env.reset(seed, &mut self.frame)?;
        self.stack.reset(0, &self.frame);
        Ok(())
    }

    /// Afterwards the stack is the one the next action is chosen from.
    fn step(&mut self, action: usize) -> Result<Step, EnvError> {
        let step = self.env.step(action, &mut self.frame)?;
        if step.is_last() {
            self.reset(None)?;
        } else {
            self.stack.push(0, &self.frame);
        }
        Ok(step)
    }
}

/// The five arrays.
struct TraceFiles {
    observations: NpyWriter,
    rewards: NpyWriter,
    terminated: NpyWriter,
    truncated: NpyWriter,
    lives: NpyWriter,
}

impl TraceFiles {
    fn create(out: &Path, steps: usize, spec: &EnvSpec) -> Result<Self, TraceError> {
        if fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_some()) {
            let reason = format!("the folder {} exists and is not empty", out.display());
            return Err(TraceError::Input(format!("{reason}: choose another with --out")));
        }
        fs::create_dir_all(out).map_err(|error| {
            TraceError::Input(format!("the folder {} cannot be made: {error}", out.display()))
        })?;
        let of_steps = |name, kind| NpyWriter::create(out, name, kind, &[steps]);
        let frame = spec.frame;
        let shape = [steps + 1, spec.frame_stack * frame.channels, frame.height, frame.width];
        Ok(Self {
            observations: NpyWriter::create(out, "observations.npy", "|u1", &shape)?,
            rewards: of_steps("rewards.npy", "<f4")?,
            terminated: of_steps("terminated.npy", "|b1")?,
            truncated: of_steps("truncated.npy", "|b1")?,
            lives: of_steps("lives.npy", "<i4")?,
        })
    }

    fn push(&mut self, step: &Step, stack: &[u8]) -> Result<(), TraceError> {
        self.observations.write(stack)?;
        self.rewards.write(&step.raw_reward.to_le_bytes())?;
        self.terminated.write(&[u8::from(step.terminated)])?;
        self.truncated.write(&[u8::from(step.truncated)])?;
        self.lives.write(&(step.lives as i32).to_le_bytes())
    }

    fn finish(self) -> Result<(), TraceError> {
        let files = [self.observations, self.rewards, self.terminated, self.truncated, self.lives];
        files.into_iter().try_for_each(NpyWriter::finish)
    }
}

/// An array of NumPy's `.npy` format, written row by row (its size is known before) so that a long
/// trace needs no memory. It gets its name when it is whole.
struct NpyWriter {
    path: PathBuf,
    file: BufWriter<File>,
}

impl NpyWriter {
    fn create(folder: &Path, name: &str, kind: &str, shape: &[usize]) -> Result<Self, TraceError> {
        let path = folder.join(name);
        let file = File::create(path.with_extension("partial"))
            .map_err(|source| TraceError::Write { path: path.clone(), source })?;
        let mut writer = Self { path, file: BufWriter::new(file) };
        writer.write(&npy_header(kind, shape))?;
        Ok(writer)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), TraceError> {
        self.file
            .write_all(bytes)
            .map_err(|source| TraceError::Write { path: self.path.clone(), source })
    }

    fn finish(mut self) -> Result<(), TraceError> {
        let done = self
            .file
            .flush()
            .and_then(|()| fs::rename(self.path.with_extension("partial"), &self.path));
        done.map_err(|source| TraceError::Write { path: self.path, source })
    }
}

/// Version 1.0: magic, length, a Python dictionary padded to a multiple of 64 bytes.
fn npy_header(kind: &str, shape: &[usize]) -> Vec<u8> {
    let sizes: String = shape.iter().map(|size| format!("{size},")).collect();
    let mut text = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({sizes}), }}");
    let unpadded = 10 + text.len() + 1;
    text.extend(std::iter::repeat_n(' ', unpadded.next_multiple_of(64) - unpadded));
    text.push('\n');
    let mut header = b"\x93NUMPY\x01\x00".to_vec();
    header.extend_from_slice(&(text.len() as u16).to_le_bytes());
    header.extend_from_slice(text.as_bytes());
    header
}

#[cfg(test)]
mod tests {
    use ndarray::{Array1, Array4, s};
    use ndarray_npy::read_npy;
    use pliant_envs::env::{FrameShape, Picture, StackPadding};

    use super::*;

    /// Frames count 1, 2, ... within an episode of four steps; the reward is the action.
    #[derive(Debug)]
    struct Counting(EnvSpec, u8);

    #[derive(Debug)]
    struct Factory(EnvSpec);

    impl Env for Counting {
        fn spec(&self) -> &EnvSpec {
            &self.0
        }

        fn reset(&mut self, seed: Option<u64>, frame: &mut [u8]) -> Result<(), EnvError> {
            self.1 = seed.unwrap_or(100) as u8;
            frame.fill(self.1);
            Ok(())
        }

        fn step(&mut self, action: usize, frame: &mut [u8]) -> Result<Step, EnvError> {
            self.1 += 1;
            frame.fill(self.1);
            let truncated = self.1.is_multiple_of(4);
            Ok(Step {
                reward: 1.0,
                raw_reward: action as f32,
                truncated,
                frames: 4,
                lives: 3,
                ..Step::default()
            })
        }

        fn render(&mut self) -> Picture {
            Picture { height: 0, width: 0, rgb: Vec::new() }
        }

        fn save_state(&self) -> Result<Vec<u8>, EnvError> {
            Ok(Vec::new())
        }

        fn load_state(&mut self, _state: &[u8]) -> Result<(), EnvError> {
            Ok(())
        }
    }

    impl EnvFactory for Factory {
        fn spec(&self) -> &EnvSpec {
            &self.0
        }

        fn make(&self, _role: Role, _num_envs: usize) -> Result<Box<dyn Env>, EnvError> {
            Ok(Box::new(Counting(self.0.clone(), 0)))
        }

        fn provenance(&self) -> Vec<(String, String)> {
            Vec::new()
        }
    }

    fn factory(stack_padding: StackPadding) -> Factory {
        Factory(EnvSpec {
            frame: FrameShape { channels: 1, height: 1, width: 2 },
            frame_stack: 3,
            stack_padding,
            actions: vec!["LEFT".to_owned(), "RIGHT".to_owned()],
            tasks: vec!["test".to_owned()],
            continuing: false,
            reward_per_step_name: None,
            supervised: false,
        })
    }

    #[test]
    fn a_trace_holds_what_an_agent_would_have_seen() {
        let out = tempfile::tempdir().expect("a folder");
        let summary = write_trace(&factory(StackPadding::Zeros), 1, &[0, 1, 1, 1, 0], out.path())
            .expect("a trace");
        assert_eq!(summary, TraceSummary { steps: 5, frames: 20, episodes: 1, reward: 3.0 });
        let seen: Array4<u8> = read_npy(out.path().join("observations.npy")).expect("an array");
        assert_eq!(seen.shape(), [6, 3, 1, 2]);
        let newest_pixels: Vec<Vec<u8>> =
            seen.slice(s![.., .., 0, 1]).outer_iter().map(|row| row.to_vec()).collect();
        let after_reset = [[0, 0, 100], [0, 100, 101], [100, 101, 102]];
        assert_eq!(newest_pixels[..3], [[0, 0, 1], [0, 1, 2], [1, 2, 3]]);
        assert_eq!(newest_pixels[3..], after_reset);
        let rewards: Array1<f32> = read_npy(out.path().join("rewards.npy")).expect("an array");
        let truncated: Array1<bool> = read_npy(out.path().join("truncated.npy")).expect("an array");
        let lives: Array1<i32> = read_npy(out.path().join("lives.npy")).expect("an array");
        assert_eq!(rewards.to_vec(), [0.0, 1.0, 1.0, 1.0, 0.0]);
        assert_eq!(truncated.to_vec(), [false, false, true, false, false]);
        assert_eq!(lives.to_vec(), [3; 5]);
        assert_eq!(fs::read_dir(out.path()).expect("a folder").count(), 5, "nothing else is left");
    }

    #[test]
    fn stacks_begin_with_the_padding_of_the_specification() {
        let out = tempfile::tempdir().expect("a folder");
        write_trace(&factory(StackPadding::Repeat), 1, &[0], out.path()).expect("a trace");
        let seen: Array4<u8> = read_npy(out.path().join("observations.npy")).expect("an array");
        assert_eq!(seen.iter().copied().collect::<Vec<_>>(), [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2]);
    }

    #[test]
    fn actions_out_of_range_are_refused_before_anything_is_played() {
        let out = tempfile::tempdir().expect("a folder");
        for (action, line) in [(2, 2), (-1, 2), (i64::MAX, 2)] {
            let folder = out.path().join("trace");
            let error = write_trace(&factory(StackPadding::Zeros), 1, &[0, action], &folder)
                .expect_err("refused")
                .to_string();
            assert_eq!(
                error,
                format!(
                    "action {action} on line {line} is out of range: there are 2 actions, 0 to 1 (LEFT, RIGHT)"
                )
            );
            assert!(!folder.exists());
        }
        assert!(write_trace(&factory(StackPadding::Zeros), 1, &[], out.path()).is_err());
    }

    fn read(content: &[u8]) -> Result<Vec<i64>, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("actions.txt");
        fs::write(&path, content).expect("written");
        read_actions(&path).map_err(|error| error.replace(&folder.path().display().to_string(), ""))
    }

    #[test]
    fn actions_are_read_one_per_line() {
        assert_eq!(read(b"0\n3\r\n 2 \n"), Ok(vec![0, 3, 2]));
        assert_eq!(read(b"-1"), Ok(vec![-1]));
    }

    #[test]
    fn bad_action_files_are_answered_with_file_line_and_what_is_right() {
        let error = |content: &[u8]| read(content).expect_err("a bad file");
        assert_eq!(
            error(b"0\nleft\n"),
            "/actions.txt, line 2: `left` is no action: one integer per line is expected, such as 0"
        );
        assert!(error(b"0\n\n1\n").starts_with("/actions.txt, line 2: ``"));
        assert!(error(b"1.5").starts_with("/actions.txt, line 1: `1.5`"));
        assert!(error(b"").contains("is empty") && error(b"\n").contains("is empty"));
        assert!(error(&[0xff, 0x00, 0x1b, 0x9d]).starts_with("/actions.txt, line 1: `"));
        assert!(!error(&[b'\x1b'; 90]).contains('\x1b') && error(&[b'9'; 90]).contains("..."));
        assert!(
            read_actions(Path::new("/nowhere/actions"))
                .expect_err("missing")
                .contains("cannot be opened")
        );
        assert!(read_actions(Path::new("/")).expect_err("a folder").contains("cannot be read"));
        assert!(
            read_actions(Path::new("/dev/zero")).expect_err("endless").contains("more than 64 MiB")
        );
    }

    pliant_fuzzing::surfaces! { damaged_action_files_are_refused_by_their_line: 10_000 }

    fn damaged_action_files_are_refused_by_their_line(cases: std::ops::Range<u64>) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("actions");
        pliant_fuzzing::Surface::new("actions").check(cases, |damage| {
            let file = if damage.once_in(2) {
                damage.text("0\n1\n2\n17\n").into_bytes()
            } else {
                damage.bytes(b"0\n1\n2\n17\n", &[])
            };
            fs::write(&path, file).expect("written");
            let read = read_actions(&path);
            let is_placed =
                |error: &String| error.contains(", line ") || error.contains("is empty");
            assert!(read.as_ref().err().is_none_or(is_placed), "{read:?}");
            read.into()
        });
    }
}
