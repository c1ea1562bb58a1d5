//! Progress on the terminal: a bar, or plain lines where there is no terminal.

use std::{
    cell::RefCell,
    collections::VecDeque,
    fmt::Write as _,
    io::{self, IsTerminal as _},
    time::Instant,
};

use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};
use pliant_core::clock::Clock;

mod beside;
pub mod numbers;

use beside::Beside;
use numbers::{duration, short};

/// How often the clock is looked at for a bar.
const BAR_PERIOD_S: f64 = 0.1;
/// Plain lines are at least this far apart.
const LINE_PERIOD_S: f64 = 10.0;
/// A plain line is due after this long, however little has been done.
const LINE_LONGEST_S: f64 = 60.0;
/// A plain line is due after this part of the budget.
const LINE_PART: f64 = 0.01;
/// How far back the frame rate looks.
const RATE_WINDOW_S: f64 = 30.0;

/// What to show beside the progress; what is not known is left out.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Status {
    /// Mean return of the last episodes.
    pub mean_return: Option<f64>,
    /// Mean reward per step, where there are no episodes.
    pub mean_reward: Option<f64>,
    /// The latest loss.
    pub loss: Option<f64>,
    /// The behaviour policy's share of random actions.
    pub epsilon: Option<f64>,
}

/// Progress on standard error. Nothing that goes wrong with writing it stops what goes on.
pub struct Progress {
    total: u64,
    output: Output,
    began: Instant,
    rate: Rate,
    last: Option<Shown>,
    /// What holds it up.
    beside: RefCell<Option<Beside>>,
}

enum Output {
    Quiet,
    Bar(ProgressBar),
    Lines,
}

/// What was shown last, and when.
#[derive(Clone, Copy)]
struct Shown {
    at_s: f64,
    frames: u64,
}

impl Progress {
    /// A run's progress towards `total_frames`: a bar on a terminal, plain lines elsewhere. The first
    /// `update` says where the run starts, or goes on from.
    pub fn new(total_frames: u64) -> Self {
        Self::over(total_frames, "frames")
    }

    /// The same of other things than frames.
    pub fn over(total: u64, unit: &str) -> Self {
        let is_terminal = io::stderr().is_terminal();
        Self::to(total, if is_terminal { Output::Bar(bar(total, unit)) } else { Output::Lines })
    }

    /// Shows nothing.
    pub fn quiet() -> Self {
        Self::to(0, Output::Quiet)
    }

    fn to(total: u64, output: Output) -> Self {
        let (began, rate) = (Instant::now(), Rate::default());
        Self { total, output, began, rate, last: None, beside: RefCell::default() }
    }

    /// Takes in how far the run is; shows it now and then. Cheap enough for every step.
    pub fn update(&mut self, clock: &Clock, status: &Status) {
        let now_s = self.began.elapsed().as_secs_f64();
        *self.beside.get_mut() = None;
        if self.is_due(now_s, clock.frames) {
            self.show(now_s, clock.frames, status);
        }
    }

    /// Writes a line without breaking the bar; nothing if quiet.
    pub fn println(&self, line: &str) {
        match &self.output {
            Output::Quiet => {}
            Output::Bar(bar) if !bar.is_finished() => bar.suspend(|| tell!("{line}")),
            Output::Bar(_) | Output::Lines => tell!("{line}"),
        }
    }

    /// Writes a line where there is no bar to show the same.
    pub fn line(&self, text: &str) {
        if let Output::Lines = self.output {
            tell!("{text}");
        }
    }

    /// Removes the bar.
    pub fn close(&self) {
        if let Output::Bar(bar) = &self.output {
            bar.finish_and_clear();
        }
    }

    /// Takes in how many are done, where they are no frames; a bar alone shows it.
    pub fn advance(&self, done: u64) {
        if let Output::Bar(bar) = &self.output {
            bar.set_message("");
            bar.set_position(done);
        }
    }

    /// Shows that `done` of `total` steps of something are done that holds it up: on the bar until the next
    /// update, in lines now and then.
    pub fn beside(&self, name: &str, done: u64, total: u64) {
        let now_s = self.began.elapsed().as_secs_f64();
        let mut beside = self.beside.borrow_mut();
        let text = Beside::tell(&mut beside, now_s, (name, done, total));
        match &self.output {
            Output::Quiet => {}
            Output::Bar(bar) => {
                bar.set_message(format!("  {text}"));
                bar.tick();
            }
            Output::Lines => {
                if beside.as_mut().is_some_and(|beside| beside.is_line_due(now_s)) {
                    tell!("{text}");
                }
            }
        }
    }

    /// Shows the last state, whether it is due or not, and leaves it on the screen.
    pub fn finish(&mut self, clock: &Clock, status: &Status) {
        self.show(self.began.elapsed().as_secs_f64(), clock.frames, status);
        if let Output::Bar(bar) = &self.output {
            bar.abandon();
        }
    }

    fn is_due(&self, now_s: f64, frames: u64) -> bool {
        let Some(last) = self.last else { return true };
        let waited_s = now_s - last.at_s;
        match self.output {
            Output::Quiet => false,
            Output::Bar(_) => waited_s >= BAR_PERIOD_S,
            Output::Lines => {
                let part = frames.saturating_sub(last.frames) as f64 / self.total as f64;
                waited_s >= LINE_LONGEST_S || (waited_s >= LINE_PERIOD_S && part >= LINE_PART)
            }
        }
    }

    fn show(&mut self, now_s: f64, frames: u64, status: &Status) {
        self.last = Some(Shown { at_s: now_s, frames });
        self.rate.add(now_s, frames);
        let numbers = numbers(self.rate.per_second(), self.total, frames, status);
        match &self.output {
            Output::Quiet => {}
            Output::Bar(bar) => {
                bar.set_message(numbers);
                bar.set_position(frames);
            }
            Output::Lines => {
                tell!("{}{numbers}", position(frames, self.total));
            }
        }
    }
}

fn bar(total: u64, unit: &str) -> ProgressBar {
    let position = format!("{{percent:>3}} %  {{human_pos}} of {{human_len}} {unit}");
    let template = format!("{{bar:12.cyan/dim}} {position}{{wide_msg}}");
    let style = ProgressStyle::with_template(&template).expect("the template is well-formed");
    let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
    bar.with_style(style.progress_chars("━╸─"))
}

fn position(frames: u64, total_frames: u64) -> String {
    let percent = 100.0 * frames as f64 / total_frames.max(1) as f64;
    format!("{percent:.1} %  {} of {} frames", HumanCount(frames), HumanCount(total_frames))
}

/// What follows the position: rate, time left, and the status.
fn numbers(rate: Option<f64>, total_frames: u64, frames: u64, status: &Status) -> String {
    let mut text = String::new();
    if let Some(rate) = rate {
        let _ = write!(text, "  {}/s", HumanCount(rate.round() as u64));
        let left = total_frames.saturating_sub(frames);
        if rate > 0.0 && left > 0 {
            let _ = write!(text, "  {} left", duration(left as f64 / rate));
        }
    }
    for (name, value) in [
        ("return", status.mean_return),
        ("reward", status.mean_reward),
        ("loss", status.loss),
        ("epsilon", status.epsilon),
    ] {
        if let Some(value) = value {
            let _ = write!(text, "  {name} {}", short(value));
        }
    }
    text
}

/// Frames per second over the last while.
#[derive(Debug, Default)]
struct Rate {
    /// `(seconds, frames)`, oldest first.
    samples: VecDeque<(f64, u64)>,
}

impl Rate {
    fn add(&mut self, now_s: f64, frames: u64) {
        self.samples.push_back((now_s, frames));
        // The oldest sample is the last one from before the window, so that there is always one
        // to compare with.
        while self.samples.get(1).is_some_and(|second| second.0 <= now_s - RATE_WINDOW_S) {
            self.samples.pop_front();
        }
    }

    /// `None` before there are two samples.
    fn per_second(&self) -> Option<f64> {
        let (first, last) = (self.samples.front()?, self.samples.back()?);
        let seconds = last.0 - first.0;
        (seconds > 0.0).then(|| last.1.saturating_sub(first.1) as f64 / seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_window_and_starts_at_the_resumed_clock() {
        let mut rate = Rate::default();
        rate.add(0.0, 1_000_000);
        assert_eq!(rate.per_second(), None);
        rate.add(10.0, 1_001_000);
        assert_eq!(rate.per_second(), Some(100.0));
        for second in 11..=100 {
            rate.add(f64::from(second), 1_001_000 + 50 * (second - 10) as u64);
        }
        assert_eq!(rate.per_second(), Some(50.0));
        assert_eq!(rate.samples.len(), 31);
    }

    #[test]
    fn a_line_says_where_the_run_is_and_leaves_out_what_is_not_known() {
        let status = Status { mean_return: Some(21.5), loss: Some(0.012), ..Status::default() };
        let line = numbers(Some(5000.0), 50_000_000, 14_000_000, &status);
        assert_eq!(line, "  5,000/s  2h 00m left  return 21.50  loss 0.0120");
        assert_eq!(numbers(None, 10, 0, &Status::default()), "");
        assert_eq!(position(14_000_000, 50_000_000), "28.0 %  14,000,000 of 50,000,000 frames");
    }

    #[test]
    fn a_bars_template_is_well_formed() {
        assert_eq!(bar(10, "frames").length(), Some(10));
    }

    #[test]
    fn plain_lines_come_with_progress_but_not_too_often() {
        let mut progress = Progress::to(1000, Output::Lines);
        assert!(progress.is_due(0.0, 0));
        progress.last = Some(Shown { at_s: 100.0, frames: 500 });
        assert!(!progress.is_due(109.0, 900));
        assert!(progress.is_due(110.0, 510));
        assert!(!progress.is_due(110.0, 509));
        assert!(progress.is_due(160.0, 500));
    }
}
