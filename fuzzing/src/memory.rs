//! How much memory a case takes.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    fs,
};

thread_local! {
    /// Bytes this thread has asked for and not given back since its case began; may be below 0, where it frees
    /// what others asked for.
    static HELD: Cell<isize> = const { Cell::new(0) };
    static MOST: Cell<isize> = const { Cell::new(0) };
}

/// The system's allocator, which counts what each thread holds. A test binary that has surfaces declares it:
/// `#[global_allocator] static ALLOCATOR: Counted = Counted;`. What is asked for counts, touched or not.
pub struct Counted;

fn count(bytes: isize) {
    HELD.with(|held| {
        let now = held.get() + bytes;
        held.set(now);
        MOST.with(|most| most.set(most.get().max(now)));
    });
}

// SAFETY: hands everything on to the system's allocator; counting allocates nothing.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: as this function's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: as this function's.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: as this function's.
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size as isize - layout.size() as isize);
        // SAFETY: as this function's.
        unsafe { System.realloc(place, layout, size) }
    }
}

/// The memory that a case takes: what its thread asks of Rust's allocator, where [`Counted`] is declared, and by
/// how much the whole process grows, libtorch and the emulator among it.
pub(crate) struct Memory {
    most_resident: u64,
}

impl Memory {
    /// Counts from here on. The process's growth is seen where it is the greatest so far, or was asked to forget
    /// so: it is, where its former size is far above what it has now.
    pub(crate) fn begin(bound: u64) -> Self {
        HELD.set(0);
        MOST.set(0);
        if most_resident() > resident() + bound / 2 {
            let _ = fs::write("/proc/self/clear_refs", "5");
        }
        Self { most_resident: most_resident() }
    }

    /// The most bytes at once since then.
    pub(crate) fn held(&self) -> Held {
        let grown = most_resident().saturating_sub(self.most_resident);
        Held { asked_for: MOST.get().max(0) as u64, grown }
    }
}

/// The most bytes at once.
#[derive(Clone, Copy)]
pub(crate) struct Held {
    /// That the thread asked for.
    pub(crate) asked_for: u64,
    /// By which the process grew: other threads' among them.
    pub(crate) grown: u64,
}

/// The most bytes of main memory the process ever had.
fn most_resident() -> u64 {
    kibibytes("VmHWM:") * 1024
}

/// The bytes of main memory the process has now.
pub(crate) fn resident() -> u64 {
    kibibytes("VmRSS:") * 1024
}

fn kibibytes(line: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let number = status.lines().find_map(|text| text.strip_prefix(line));
    number.and_then(|text| text.trim().trim_end_matches("kB").trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::{Mutex, MutexGuard, PoisonError};

    use super::*;

    #[global_allocator]
    static ALLOCATOR: Counted = Counted;

    /// Held by tests under which the process grows, so that each sees its own growth.
    pub(crate) fn one_at_a_time() -> MutexGuard<'static, ()> {
        static GROWING: Mutex<()> = Mutex::new(());
        GROWING.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[test]
    fn what_is_asked_for_is_counted_touched_or_not() {
        let memory = Memory::begin(0);
        drop(Vec::<u8>::with_capacity(900_000_000));
        let held = memory.held().asked_for;
        assert!((900_000_000..901_000_000).contains(&held), "{held}");
    }

    #[test]
    fn what_the_process_takes_is_seen_time_and_again() {
        let _growing = one_at_a_time();
        for _ in 0..3 {
            let memory = Memory::begin(64_000_000);
            drop(std::hint::black_box(vec![1u8; 400_000_000]));
            let held = memory.held().grown;
            assert!((300_000_000..500_000_000).contains(&held), "{held}");
        }
    }

    #[test]
    fn the_process_has_memory() {
        assert!(resident() > 100_000 && most_resident() >= resident() / 2);
    }
}
