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

/// What this thread asks for from here on is counted from 0.
pub(crate) fn begin() {
    HELD.with(|held| held.set(0));
    MOST.with(|most| most.set(0));
}

/// The most bytes this thread held at once since [`begin`]; 0 where [`Counted`] is not declared.
pub(crate) fn most() -> u64 {
    MOST.with(|most| most.get().max(0) as u64)
}

/// The most bytes of main memory the whole process ever had, libtorch's and the emulator's among them.
pub(crate) fn most_resident() -> u64 {
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
mod tests {
    use super::*;

    #[global_allocator]
    static ALLOCATOR: Counted = Counted;

    #[test]
    fn what_is_asked_for_is_counted_touched_or_not() {
        begin();
        drop(Vec::<u8>::with_capacity(10_000_000));
        assert!((10_000_000..10_100_000).contains(&most()), "{}", most());
        begin();
        assert!(most() < 1000, "{}", most());
    }

    #[test]
    fn the_process_has_memory() {
        assert!(resident() > 100_000 && most_resident() >= resident() / 2);
    }
}
