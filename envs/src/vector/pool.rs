//! Threads that give every environment its job.
//!
//! Each thread has environments of its own, which it takes in their order, so that they stay in its
//! processor's cache; one that is done takes over those that a slower thread has not come to. A job
//! is done when all environments have theirs, whether or not every thread has woken up for it.
//! Which thread did what changes no number.

use std::{
    hint,
    ops::Range,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering, fence},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crossbeam::channel::{Receiver, Sender, TryRecvError, TrySendError, bounded};

use super::{
    rows::Rows,
    slot::{Job, Slot},
};
use crate::env::EnvError;

/// How long a thread that waits for its next job stays awake: about as long as waking up takes. It does
/// not yield meanwhile, since on a busy machine others would keep its processor for much longer.
const AWAKE: Duration = Duration::from_micros(50);

/// What the threads share.
struct Shared {
    slots: Vec<Mutex<Slot>>,
    /// Whether somebody has taken this environment's present job.
    taken: Vec<AtomicBool>,
    /// Environments whose present job is not done.
    left: AtomicUsize,
    rows: Rows,
    shares: Vec<Range<usize>>,
}

/// The threads and their environments.
pub(super) struct Pool {
    shared: Arc<Shared>,
    bells: Vec<Sender<()>>,
    done: Receiver<()>,
    threads: Vec<JoinHandle<()>>,
}

impl Pool {
    /// Starts `threads` threads for `slots`, whose results go to `rows`.
    pub(super) fn start(slots: Vec<Slot>, rows: Rows, threads: usize) -> Result<Self, EnvError> {
        let count = slots.len();
        let share = |thread| count * thread / threads..count * (thread + 1) / threads;
        let (finished, done) = bounded(1);
        let shared = Arc::new(Shared {
            slots: slots.into_iter().map(Mutex::new).collect(),
            taken: (0..count).map(|_| AtomicBool::new(true)).collect(),
            left: AtomicUsize::new(0),
            rows,
            shares: (0..threads).map(share).collect(),
        });
        let mut pool = Self { shared, bells: Vec::new(), done, threads: Vec::new() };
        for thread in 0..threads {
            pool.add_thread(thread, finished.clone())?;
        }
        Ok(pool)
    }

    fn add_thread(&mut self, thread: usize, finished: Sender<()>) -> Result<(), EnvError> {
        let (bell, ring) = bounded(1);
        let shared = Arc::clone(&self.shared);
        let handle = thread::Builder::new()
            .name(format!("envs {thread}"))
            .spawn(move || {
                while patiently(&ring).is_some() {
                    shared.work(thread, &finished);
                }
            })
            .map_err(|error| {
                EnvError::Failed(format!("no thread for the environments: {error}"))
            })?;
        self.bells.push(bell);
        self.threads.push(handle);
        Ok(())
    }

    /// How many threads there are.
    pub(super) fn threads(&self) -> usize {
        self.threads.len()
    }

    /// An environment, for the caller; none may be at work.
    pub(super) fn slot(&self, index: usize) -> MutexGuard<'_, Slot> {
        self.shared.lock(index)
    }

    /// Has every environment do the job that `order` puts into its slot, and returns at once.
    pub(super) fn send(&mut self, order: impl Fn(usize) -> Job) -> Result<(), EnvError> {
        for index in 0..self.shared.slots.len() {
            self.slot(index).job = order(index);
        }
        self.shared.left.store(self.shared.slots.len(), Ordering::Release);
        for taken in &self.shared.taken {
            taken.store(false, Ordering::Release);
        }
        // A thread whose bell still rings from the last job answers it after this, and sees it.
        fence(Ordering::SeqCst);
        for bell in &self.bells {
            if let Err(TrySendError::Disconnected(())) = bell.try_send(()) {
                return Err(gone());
            }
        }
        Ok(())
    }

    /// Waits until all are done; the error is that of the first environment that has one.
    pub(super) fn wait(&mut self) -> Result<(), EnvError> {
        self.done.recv().map_err(|_| gone())?;
        let mut first = None;
        for index in 0..self.shared.slots.len() {
            let error = self.slot(index).error.take();
            first = first.or(error);
        }
        first.map_or(Ok(()), Err)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.bells.clear(); // ends the threads' loops
        for thread in self.threads.drain(..) {
            drop(thread.join()); // panics of environments were caught and reported
        }
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{} environments on {} threads", self.shared.slots.len(), self.threads.len())
    }
}

impl Shared {
    fn lock(&self, index: usize) -> MutexGuard<'_, Slot> {
        // A slot catches its panics: what is behind a poisoned lock is as good as any.
        self.slots[index].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A thread's own share in order, then what the others have left, from their ends.
    fn work(&self, thread: usize, finished: &Sender<()>) {
        fence(Ordering::SeqCst);
        let others = (1..self.shares.len()).map(|step| (thread + step) % self.shares.len());
        let left = others.flat_map(|other| self.shares[other].clone().rev());
        for index in self.shares[thread].clone().chain(left) {
            if !self.taken[index].swap(true, Ordering::AcqRel) {
                self.work_on(index, finished);
            }
        }
    }

    fn work_on(&self, index: usize, finished: &Sender<()>) {
        // SAFETY: whoever took the index has its row alone; the batch belongs to the threads from
        // `send` until `left` is 0.
        let row = unsafe { self.rows.row(index) };
        self.lock(index).work(row);
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            let _ = finished.send(()); // nobody takes it if the pool is being dropped
        }
    }
}

/// Waits for a message, awake at first and then asleep; `None` if none will come.
fn patiently(receiver: &Receiver<()>) -> Option<()> {
    let started = Instant::now();
    while started.elapsed() < AWAKE {
        match receiver.try_recv() {
            Ok(()) => return Some(()),
            Err(TryRecvError::Disconnected) => return None,
            Err(TryRecvError::Empty) => hint::spin_loop(),
        }
    }
    receiver.recv().ok()
}

fn gone() -> EnvError {
    EnvError::Failed("the threads of the environments are gone".to_owned())
}
