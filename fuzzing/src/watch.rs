//! What ends the process is told with the case that did it, and a case that does not end is ended.

use std::{
    cell::Cell,
    io::{self, Write},
    os::fd::AsFd,
    sync::{
        Arc, Mutex, Once, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use super::memory;

/// A case that takes longer hangs, on however busy a machine.
const LONGEST: Duration = Duration::from_secs(60);

/// A process of tests that takes more main memory has run away.
const MOST_RESIDENT: u64 = 12_000_000_000;

/// Signals by which a process ends itself, or is ended.
const FATAL: [i32; 5] = [libc::SIGABRT, libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE];

thread_local! {
    /// The present case of this thread: plain data, so that a signal's handler can read it.
    static PRESENT: Cell<Option<(&'static str, u64)>> = const { Cell::new(None) };
}

/// True while this thread is in a case.
pub(crate) fn is_in_case() -> bool {
    PRESENT.get().is_some()
}

/// A surface under way.
pub(crate) struct Watched {
    surface: &'static str,
    running: Arc<Running>,
}

/// The case that is running, and since when in milliseconds of [`now_ms`]; 0 if none is.
struct Running {
    surface: &'static str,
    case: AtomicU64,
    since_ms: AtomicU64,
}

impl Watched {
    pub(crate) fn new(surface: &'static str) -> Self {
        watch();
        let running = Running { surface, case: AtomicU64::new(0), since_ms: AtomicU64::new(0) };
        let running = Arc::new(running);
        all().push(Arc::downgrade(&running));
        Self { surface, running }
    }

    pub(crate) fn begin(&self, case: u64) {
        PRESENT.set(Some((self.surface, case)));
        self.running.case.store(case, Ordering::Relaxed);
        self.running.since_ms.store(now_ms(), Ordering::Release);
    }

    pub(crate) fn end(&self) {
        self.running.since_ms.store(0, Ordering::Release);
        PRESENT.set(None);
    }
}

static ALL: Mutex<Vec<Weak<Running>>> = Mutex::new(Vec::new());

fn all() -> std::sync::MutexGuard<'static, Vec<Weak<Running>>> {
    ALL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From 1.
fn now_ms() -> u64 {
    static BEGUN: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    BEGUN.elapsed().as_millis() as u64 + 1
}

fn watch() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        now_ms();
        FATAL.into_iter().for_each(handle);
        thread::spawn(|| {
            loop {
                thread::sleep(Duration::from_millis(200));
                look();
            }
        });
    });
}

/// Has [`tell`] run at this signal, which then ends the process as it would have. (Of the crates that set handlers
/// none does it on the stack that is kept for them, which one has to who tells of a stack that is full.)
fn handle(signal: i32) {
    let handler: extern "C" fn(i32) = tell;
    // SAFETY: all fields that are read are set: the rest is zeros, which are an empty mask and no flag.
    let set = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as libc::sighandler_t;
        action.sa_flags = libc::SA_ONSTACK | libc::SA_RESETHAND;
        libc::sigaction(signal, &raw const action, std::ptr::null_mut())
    };
    assert_eq!(set, 0, "signal {signal} can be handled");
}

/// Ends the process if a case hangs or memory runs out.
fn look() {
    let resident = memory::resident();
    all().retain(|running| running.strong_count() > 0);
    for running in all().iter().filter_map(Weak::upgrade) {
        let since = running.since_ms.load(Ordering::Acquire);
        let is_late = since > 0 && now_ms().saturating_sub(since) > LONGEST.as_millis() as u64;
        if is_late || since > 0 && resident > MOST_RESIDENT {
            let what = if is_late { "does not end" } else { "runs out of memory" };
            let case = running.case.load(Ordering::Relaxed);
            let text = format!("\nFUZZ_CASE=\"{} {case}\" {what}\n", running.surface);
            drop(io::stderr().write_all(text.as_bytes()));
            std::process::abort();
        }
    }
}

/// Writes the thread's case to standard error, without anything that a signal's handler may not do.
extern "C" fn tell(_signal: i32) {
    let Some((surface, case)) = PRESENT.get() else { return };
    let mut digits = [b'0'; 20];
    let mut rest = case;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    let from = digits.iter().position(|digit| *digit != b'0').unwrap_or(19);
    let stderr = io::stderr();
    for part in [
        b"\nFUZZ_CASE=\"".as_slice(),
        surface.as_bytes(),
        b" ",
        &digits[from..],
        b"\" ended the process\n",
    ] {
        let _ = rustix::io::write(stderr.as_fd(), part);
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use crate::{Surface, Verdict};

    /// Ends the process in the way that the test below asks for.
    #[test]
    fn end_of_the_process() {
        let Ok(way) = std::env::var("FUZZING_END") else { return };
        Surface::new("deadly").check(41..43, |_| match way.as_str() {
            "abort" => std::process::abort(),
            "memory" => Verdict::Refused(vec![0u8; 1 << 60].len().to_string()),
            "stack" => Verdict::Refused(deep(0).to_string()),
            _ => {
                // SAFETY: none; the process ends here.
                unsafe { std::ptr::without_provenance_mut::<u8>(8).write_volatile(1) };
                Verdict::Taken
            }
        });
    }

    #[expect(unconditional_recursion, reason = "what is tried")]
    fn deep(depth: u64) -> u64 {
        std::hint::black_box([depth; 64])[3] + deep(depth + 1)
    }

    #[test]
    fn whatever_ends_the_process_is_told_with_the_case() {
        for way in ["abort", "memory", "stack", "segment"] {
            let mut child = Command::new(std::env::current_exe().expect("this test"));
            let child =
                child.args(["--exact", "watch::tests::end_of_the_process"]).env("FUZZING_END", way);
            let output = child.output().expect("it starts");
            let text = String::from_utf8_lossy(&output.stderr);
            assert!(
                !output.status.success()
                    && text.contains("FUZZ_CASE=\"deadly 41\" ended the process"),
                "{way}: {text}"
            );
        }
    }
}
