//! Case after case of a surface.

use std::{
    cell::RefCell,
    fmt::Display,
    ops::Range,
    panic::{self, AssertUnwindSafe, PanicHookInfo, catch_unwind},
    process::Command,
    sync::Once,
    thread,
};

use super::{
    Damage,
    memory::{Held, Memory},
    watch::Watched,
};

/// Cases of the quick test of a surface.
pub const QUICK: u64 = 300;

/// Failures that are shown together.
const SHOWN: usize = 6;

/// How often a case that takes too much memory is tried again.
const RETRIES: u32 = 3;

/// No error is longer: one that is repeats its input.
const LONGEST_ERROR: usize = 2000;

/// What a reader said to an input.
#[derive(Debug)]
pub enum Verdict {
    /// It can be used.
    Taken,
    /// It cannot, for this reason.
    Refused(String),
}

impl<T, E: Display> From<Result<T, E>> for Verdict {
    fn from(read: Result<T, E>) -> Self {
        read.map_or_else(|error| Self::Refused(error.to_string()), |_| Self::Taken)
    }
}

/// A reader of something.
pub struct Surface {
    name: &'static str,
    most_bytes: u64,
    only: Option<(String, u64)>,
}

impl Surface {
    /// A case of which may take 64 MB.
    pub fn new(name: &'static str) -> Self {
        let only = std::env::var("FUZZ_CASE").ok();
        let only = only.map(|text| {
            let case = text
                .rsplit_once(' ')
                .and_then(|(name, case)| Some((name.to_owned(), case.parse().ok()?)));
            case.unwrap_or_else(|| {
                panic!("FUZZ_CASE is {text:?}, expected a surface and a number, such as \"idx 17\"")
            })
        });
        Self { name, most_bytes: 64_000_000, only }
    }

    /// The same, of which a case may take so many bytes.
    pub fn with_most_bytes(self, most_bytes: u64) -> Self {
        Self { most_bytes, ..self }
    }

    /// Hands these cases to the reader, or the one that `FUZZ_CASE` names.
    ///
    /// # Panics
    /// If one of them panics, takes too much memory, or is refused with what is no error for people.
    pub fn check(&self, cases: Range<u64>, mut reader: impl FnMut(&mut Damage) -> Verdict) {
        let cases = match &self.only {
            Some((name, case)) if name == self.name => *case..case + 1,
            Some(_) => 0..0,
            None => cases,
        };
        notice_panics();
        let watched = Watched::new(self.name);
        let (mut taken, mut failures) = (0u64, Vec::<String>::new());
        for case in cases.clone() {
            watched.begin(case);
            match self.one(case, &mut reader) {
                Ok(is_taken) => taken += u64::from(is_taken),
                Err(failure) if failures.iter().any(|known| known.ends_with(&failure)) => {}
                Err(failure) => {
                    failures.push(format!("FUZZ_CASE=\"{} {case}\": {failure}", self.name));
                }
            }
            watched.end();
            if failures.len() >= SHOWN {
                break;
            }
        }
        let all = cases.end - cases.start;
        eprintln!("{}: {all} cases, {taken} of them taken", self.name);
        assert!(
            failures.is_empty(),
            "damaged input of surface `{}`:\n{}",
            self.name,
            failures.join("\n")
        );
    }

    fn one(
        &self,
        case: u64,
        reader: &mut impl FnMut(&mut Damage) -> Verdict,
    ) -> Result<bool, String> {
        let mut run = || self.run(case, reader);
        let (mut verdict, mut held) = run()?;
        // What the process takes may be other tests' that run beside this one: not every time, and not in a process
        // of its own.
        for _ in 0..RETRIES {
            if held.grown > self.most_bytes {
                (verdict, held) = run()?;
            }
        }
        let mut most = held.asked_for;
        if held.grown > self.most_bytes && !self.is_frugal_alone(case) {
            most = most.max(held.grown);
        }
        if most > self.most_bytes {
            return Err(format!("took more than {} bytes of memory ({most})", self.most_bytes));
        }
        match verdict {
            Verdict::Taken => Ok(true),
            Verdict::Refused(error) => judge(&error).map(|()| false),
        }
    }

    /// True if the case passes in a process in which no other test runs; in such a process, false.
    fn is_frugal_alone(&self, case: u64) -> bool {
        // The harness names threads by their tests; if it runs one at a time, on its main thread, none is beside it.
        let thread = thread::current();
        let test = thread.name().filter(|name| *name != "main");
        let (Some(test), None, Ok(tests)) = (test, &self.only, std::env::current_exe()) else {
            return false;
        };
        let mut alone = Command::new(tests);
        alone.args(["--exact", test, "--include-ignored"]);
        let ran = alone.env("FUZZ_CASE", format!("{} {case}", self.name)).output();
        let has_passed = |out: &[u8]| String::from_utf8_lossy(out).contains("1 passed");
        ran.is_ok_and(|ran| ran.status.success() && has_passed(&ran.stdout))
    }

    /// What the reader says, and how much memory it takes.
    fn run(
        &self,
        case: u64,
        reader: &mut impl FnMut(&mut Damage) -> Verdict,
    ) -> Result<(Verdict, Held), String> {
        PANICS.take();
        let memory = Memory::begin(self.most_bytes);
        let verdict = catch_unwind(AssertUnwindSafe(|| reader(&mut Damage::of(self.name, case))));
        let held = memory.held();
        match (PANICS.take().into_iter().next(), verdict) {
            (None, Ok(verdict)) => Ok((verdict, held)),
            (text, _) => Err(text.unwrap_or_else(|| "panicked in silence".to_owned())),
        }
    }
}

/// An error says something, and not too much.
fn judge(error: &str) -> Result<(), String> {
    if error.trim().is_empty() {
        return Err("refused without a reason".to_owned());
    }
    if error.chars().count() > LONGEST_ERROR {
        return Err(format!(
            "refused in {} bytes that begin with: {}",
            error.len(),
            error.chars().take(200).collect::<String>()
        ));
    }
    let is_unprintable = |letter: char| letter.is_control() && letter != '\n';
    if error.contains("panicked") || error.contains(is_unprintable) {
        return Err(format!("refused with `{error}`"));
    }
    Ok(())
}

thread_local! {
    /// Panics of this thread's present case, caught or not.
    static PANICS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Has panics of cases kept rather than printed.
fn notice_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !is_kept(info) {
                usual(info);
            }
        }));
    });
}

fn is_kept(info: &PanicHookInfo<'_>) -> bool {
    if !super::watch::is_in_case() {
        return false;
    }
    let (payload, none) = (info.payload(), "without a message");
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or(none);
    let first: String =
        text.lines().take(2).collect::<Vec<_>>().join(" ").chars().take(400).collect();
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    PANICS.with_borrow_mut(|panics| panics.push(format!("panicked at {place}: {first}")));
    true
}

/// Makes two tests of each surface, a function of the range of its cases: a few in `quick`, in every run of the
/// tests, and those up to the number given in `many`, a slow test.
#[macro_export]
macro_rules! surfaces {
    ($($surface:ident: $cases:literal),+ $(,)?) => {
        mod quick {
            $(#[test]
            fn $surface() {
                super::$surface(0..$crate::QUICK);
            })+
        }

        mod many {
            $(#[test]
            #[ignore = "slow: thousands of damaged inputs"]
            fn $surface() {
                super::$surface($crate::QUICK..$crate::QUICK + $cases);
            })+
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::tests::one_at_a_time;

    fn failure(name: &'static str, reader: impl FnMut(&mut Damage) -> Verdict) -> String {
        let checked = catch_unwind(AssertUnwindSafe(|| Surface::new(name).check(0..20, reader)));
        *checked.expect_err("a failure").downcast::<String>().expect("a text")
    }

    #[test]
    fn a_panic_is_told_with_surface_and_case_even_if_it_is_caught() {
        let text = failure("caught", |_| {
            let _ = catch_unwind(|| panic!("boom"));
            Verdict::Taken
        });
        assert!(text.contains("FUZZ_CASE=\"caught 0\": panicked at "), "{text}");
        assert_eq!(text.matches("boom").count(), 1, "the same failure is told once: {text}");
    }

    #[test]
    fn memory_beyond_the_bound_is_told() {
        let text = failure("greedy", |_| {
            drop(Vec::<u8>::with_capacity(100_000_000));
            Verdict::Taken
        });
        assert!(text.contains("more than 64000000 bytes"), "{text}");
    }

    /// Has another thread take main memory.
    fn grow() -> Verdict {
        let taken = thread::spawn(|| drop(std::hint::black_box(vec![1u8; 200_000_000]))).join();
        taken.expect("it ends");
        Verdict::Taken
    }

    #[test]
    fn memory_that_a_case_takes_in_a_process_of_its_own_too_is_told() {
        let _growing = one_at_a_time();
        let check = || Surface::new("growing").check(3..4, |_| grow());
        if std::env::var("FUZZ_CASE").is_ok() {
            return check(); // that process
        }
        let text = *catch_unwind(check).expect_err("a failure").downcast::<String>().expect("text");
        assert!(text.contains("more than 64000000 bytes"), "{text}");
    }

    #[test]
    fn memory_that_is_taken_beside_a_case_is_not_its_own() {
        let _growing = one_at_a_time();
        let is_alone = std::env::var("FUZZ_CASE").is_ok();
        let read = |_: &mut Damage| if is_alone { Verdict::Taken } else { grow() };
        Surface::new("beside").check(3..4, read);
    }

    #[test]
    fn errors_for_nobody_are_told() {
        let refused = |error: &str| failure("mute", |_| Verdict::Refused(error.to_owned()));
        assert!(refused(" ").contains("without a reason"));
        assert!(refused(&"x".repeat(5000)).contains("refused in 5000 bytes"));
        assert!(refused("a plug-in panicked: y").contains("panicked"));
    }

    #[test]
    fn what_is_taken_or_refused_with_an_error_is_right() {
        Surface::new("right").check(0..50, |damage| {
            if damage.once_in(2) {
                Verdict::Taken
            } else {
                Verdict::from(Err::<(), _>("too short"))
            }
        });
    }
}
