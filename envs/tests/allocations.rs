//! A step allocates nothing: memory stays flat, and threads do not meet at the allocator.

#![cfg(feature = "atari")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use pliant_envs::{
    ale::{AtariConfig, AtariFactory},
    env::Role,
    vector::VectorEnv,
};

/// The system's allocator, and how often it was asked.
struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: hands everything to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promises are those that the system's allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

#[test]
fn steps_and_resets_of_many_games_allocate_nothing() {
    // An episode of 400 frames: resets are among the steps.
    let config = AtariConfig { max_num_frames_per_episode: 400, ..AtariConfig::default() };
    let factory = AtariFactory::build(config).expect("breakout");
    let mut games = VectorEnv::new(Arc::from(factory), Role::Training, 4, 2).expect("a vector");
    games.reset(&[1, 2, 3, 4]).expect("a reset");
    let mut ended = 0;
    let mut step = |action| {
        games.send(&[action; 4]).expect("sent");
        let steps = &games.recv().expect("received").steps;
        ended += steps.iter().filter(|step| step.is_last()).count();
    };
    // A thread sets up a few things once, when it first has to wait: on a busy machine that may be in
    // any round, but not in all of them.
    let mut allocations_of_round = || {
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        (0..500).for_each(|t| step(t % 4));
        ALLOCATIONS.load(Ordering::Relaxed) - before
    };
    let rounds = [(); 4].map(|()| allocations_of_round());
    assert!(ended > 20, "{ended} episodes ended");
    assert!(rounds.contains(&0), "allocations by round: {rounds:?}");
}
