//! The replay, with its frames in either memory, against a naive twin that keeps every transition whole.

use rand::Rng;

use super::*;
use pliant_core::{envs::env::FrameShape, seeds::Seeds};

const FRAME: FrameShape = FrameShape { channels: 2, height: 1, width: 3 };
const ACTIONS: usize = 5;
const GAMMA: f64 = 0.9;

fn spec(frame_stack: usize, stack_padding: StackPadding) -> EnvSpec {
    EnvSpec {
        frame: FRAME,
        frame_stack,
        stack_padding,
        actions: (0..ACTIONS).map(|action| action.to_string()).collect(),
        tasks: vec!["test".to_owned()],
        continuing: false,
        reward_per_step_name: None,
        supervised: false,
    }
}

fn small(spec: &EnvSpec, num_envs: usize, capacity: usize, memory: ReplayMemory) -> Replay {
    let memory = (memory, Device::Cpu);
    Replay::new(spec, num_envs, capacity, GAMMA, memory).expect("a small replay")
}

/// A transition as numbers, to be compared.
#[derive(Clone, Debug, PartialEq)]
struct Whole {
    s_tm1: Vec<u8>,
    a_tm1: i64,
    r_t: f32,
    discount_t: f32,
    s_t: Vec<u8>,
}

/// One environment's history with every transition written out.
#[derive(Default)]
struct TwinEnv {
    /// The frames of the running episode.
    episode: Vec<Vec<u8>>,
    /// Frames ever seen, of all episodes.
    frames: usize,
    /// With the number of the frame at which each begins.
    transitions: Vec<(usize, Whole)>,
}

struct Twin {
    spec: EnvSpec,
    /// Transitions per environment.
    capacity: usize,
    envs: Vec<TwinEnv>,
}

impl Twin {
    fn stack(&self, episode: &[Vec<u8>]) -> Vec<u8> {
        let missing = self.spec.frame_stack.saturating_sub(episode.len());
        let padding = match self.spec.stack_padding {
            StackPadding::Zeros => vec![0; FRAME.len()],
            StackPadding::Repeat => episode[0].clone(),
        };
        let latest = &episode[episode.len().saturating_sub(self.spec.frame_stack)..];
        [vec![padding; missing], latest.to_vec()].concat().concat()
    }

    fn begin(&mut self, env: usize, frame: &[u8]) {
        self.envs[env].episode = vec![frame.to_vec()];
        self.envs[env].frames += 1;
    }

    fn add(&mut self, env: usize, action: usize, step: &Step, frame: &[u8]) {
        let s_tm1 = self.stack(&self.envs[env].episode);
        self.envs[env].episode.push(frame.to_vec());
        let s_t = self.stack(&self.envs[env].episode);
        let discount_t = if step.discount == 0.0 { 0.0 } else { GAMMA as f32 };
        let whole = Whole { s_tm1, a_tm1: action as i64, r_t: step.reward, discount_t, s_t };
        let begins_at = self.envs[env].frames - 1;
        self.envs[env].transitions.push((begins_at, whole));
        self.envs[env].frames += 1;
    }

    /// Those that begin at one of the newest `capacity + 1` frames of their environment.
    fn alive(&self) -> Vec<Whole> {
        let alive = |env: &TwinEnv| {
            let kept = env.frames.saturating_sub(self.capacity + 1);
            let alive = env.transitions.iter().filter(move |(begins_at, _)| *begins_at >= kept);
            alive.map(|(_, whole)| whole.clone()).collect::<Vec<_>>()
        };
        self.envs.iter().flat_map(alive).collect()
    }
}

/// Feeds a replay and its twin with the same random episodes: short and long ones, terminated and
/// truncated, with lost lives.
struct Feed {
    replay: Replay,
    /// The same with its frames in a device's memory.
    on_device: Replay,
    twin: Twin,
    stream: Stream,
    ending: f64,
    events: Vec<Event>,
}

impl Feed {
    fn new(spec: &EnvSpec, num_envs: usize, capacity: usize, ending: f64, seed: u64) -> Self {
        let [replay, on_device] = [ReplayMemory::Main, ReplayMemory::Device]
            .map(|memory| small(spec, num_envs, capacity, memory));
        let envs = (0..num_envs).map(|_| TwinEnv::default()).collect();
        let twin = Twin { spec: spec.clone(), capacity: capacity / num_envs, envs };
        let stream = Seeds::new(seed).stream("feed");
        let mut feed = Self { replay, on_device, twin, stream, ending, events: Vec::new() };
        (0..num_envs).for_each(|env| feed.begin(env));
        feed
    }

    fn frame(&mut self) -> Vec<u8> {
        (0..FRAME.len()).map(|_| self.stream.random_range(1..=255)).collect()
    }

    fn event(&mut self, event: Event) {
        event.apply(&mut self.replay);
        event.apply(&mut self.on_device);
        match &event {
            Event::Begin(env, frame) => self.twin.begin(*env, frame),
            Event::Step(env, action, step, frame) => self.twin.add(*env, *action, step, frame),
        }
        self.events.push(event);
    }

    fn begin(&mut self, env: usize) {
        let frame = self.frame();
        self.event(Event::Begin(env, frame));
    }

    fn step(&mut self, env: usize) {
        let ends = self.stream.random_bool(self.ending);
        let terminated = ends && self.stream.random_bool(0.5);
        let lost_life = self.stream.random_bool(0.1);
        let step = Step {
            reward: self.stream.random_range(-1.0..1.0),
            terminated,
            truncated: ends && !terminated,
            discount: if terminated || lost_life { 0.0 } else { 1.0 },
            ..Step::default()
        };
        let action = self.stream.random_range(0..ACTIONS);
        let frame = self.frame();
        self.event(Event::Step(env, action, step, frame));
        if ends {
            self.begin(env);
        }
    }

    fn run(&mut self, steps: usize) {
        for _ in 0..steps {
            (0..self.twin.envs.len()).for_each(|env| self.step(env));
        }
    }
}

/// What a replay is told.
enum Event {
    Begin(usize, Vec<u8>),
    Step(usize, usize, Step, Vec<u8>),
}

impl Event {
    fn apply(&self, replay: &mut Replay) {
        match self {
            Self::Begin(env, frame) => replay.begin(*env, frame),
            Self::Step(env, action, step, frame) => replay.add(*env, *action, step, frame),
        }
    }
}

fn whole(batch: &Transitions) -> Vec<Whole> {
    let count = batch.a_tm1.size()[0] as usize;
    let rows = |observations: &Tensor| {
        let bytes = Vec::<u8>::try_from(&observations.reshape([-1])).expect("u8");
        bytes.chunks_exact(bytes.len() / count).map(<[u8]>::to_vec).collect::<Vec<_>>()
    };
    let (s_tm1, s_t) = (rows(&batch.s_tm1), rows(&batch.s_t));
    let a_tm1 = Vec::<i64>::try_from(&batch.a_tm1).expect("i64");
    let r_t = Vec::<f32>::try_from(&batch.r_t).expect("f32");
    let discount_t = Vec::<f32>::try_from(&batch.discount_t).expect("f32");
    let row = |i: usize| Whole {
        s_tm1: s_tm1[i].clone(),
        a_tm1: a_tm1[i],
        r_t: r_t[i],
        discount_t: discount_t[i],
        s_t: s_t[i].clone(),
    };
    (0..count).map(row).collect()
}

/// All that can be drawn, oldest first.
fn alive(replay: &Replay) -> Vec<Whole> {
    let begins: Vec<Begin<'_>> = replay
        .rings
        .iter()
        .flat_map(|ring| ring.window().map(move |index| Begin { ring, index }))
        .filter(|place| place.ring.begins_transition(place.index))
        .collect();
    if begins.is_empty() { Vec::new() } else { whole(&replay.gather(&begins)) }
}

fn saved(replay: &Replay) -> Vec<u8> {
    let mut bytes = Vec::new();
    replay.save(&mut bytes).expect("memory takes every byte");
    bytes
}

#[test]
fn holds_what_a_naive_twin_holds() {
    for padding in [StackPadding::Zeros, StackPadding::Repeat] {
        for (stack, num_envs, capacity, ending) in
            [(1, 1, 1, 0.3), (1, 2, 9, 0.1), (2, 1, 5, 0.5), (3, 3, 30, 0.2), (4, 2, 40, 0.02)]
        {
            let mut feed = Feed::new(&spec(stack, padding), num_envs, capacity, ending, 11);
            assert!(feed.replay.is_empty());
            for _ in 0..200 {
                feed.run(1);
                let held = alive(&feed.replay);
                assert_eq!(held, feed.twin.alive(), "stack {stack}, {num_envs} envs of {capacity}");
                assert_eq!(held, alive(&feed.on_device), "in a device's memory");
                assert_eq!(feed.replay.len(), held.len());
                assert!(held.len() <= capacity);
            }
            assert_eq!(feed.replay.added(), 200 * num_envs as u64);
        }
    }
}

#[test]
fn without_ends_the_capacity_is_used_to_the_last_transition() {
    let mut feed = Feed::new(&spec(4, StackPadding::Repeat), 2, 10, 0.0, 1);
    feed.run(50);
    assert_eq!(feed.replay.len(), 10);
}

#[test]
fn truncated_step_still_bootstraps_and_terminated_does_not() {
    let mut replay = small(&spec(1, StackPadding::Zeros), 1, 10, ReplayMemory::Auto);
    let frame = |value: u8| [value; 6];
    let step = Step { reward: 1.0, discount: 1.0, ..Step::default() };
    replay.begin(0, &frame(1));
    replay.add(0, 0, &Step { truncated: true, ..step }, &frame(2));
    replay.begin(0, &frame(3));
    replay.add(0, 0, &Step { terminated: true, discount: 0.0, ..step }, &frame(4));
    replay.begin(0, &frame(5));
    replay.add(0, 0, &Step { discount: 0.0, ..step }, &frame(6));
    let held = alive(&replay);
    let discounts: Vec<f32> = held.iter().map(|whole| whole.discount_t).collect();
    assert_eq!(discounts, [0.9, 0.0, 0.0]);
    let ends: Vec<u8> = held.iter().map(|whole| whole.s_t[0]).collect();
    assert_eq!(ends, [2, 4, 6], "an end is the final observation, not the next episode's first");
}

#[test]
fn a_staged_batch_is_the_one_that_is_drawn_without() {
    for padding in [StackPadding::Zeros, StackPadding::Repeat] {
        let mut feed = Feed::new(&spec(3, padding), 2, 20, 0.3, 7);
        let mut stagings = [&feed.replay, &feed.on_device]
            .map(|replay| Staging::new(replay, 6, Device::Cpu, true).expect("room"));
        let mut stream = Seeds::new(3).stream("draws");
        let empty = stagings[0].sample(&feed.replay, &mut stream);
        assert!(empty.is_none(), "nothing to draw");
        feed.run(50);
        for (staging, replay) in stagings.iter_mut().zip([&feed.replay, &feed.on_device]) {
            let mut alike = stream.clone();
            let mut stream = stream.clone();
            let mut before: Option<(Transitions, Vec<Whole>)> = None;
            for round in 0..5 {
                let drawn = staging.sample(replay, &mut stream).expect("not empty");
                assert_eq!(drawn.before, alike, "{padding:?} {round}");
                let staged = drawn.batch;
                let drawn_before = whole(&replay.sample(6, &mut alike).expect("not empty"));
                assert_eq!(whole(&staged), drawn_before, "{padding:?} {round}");
                if let Some((place, values)) = before.take() {
                    assert_eq!(whole(&place), values, "the one before is still there");
                }
                if round % 2 == 0 {
                    let drawn = stream.clone();
                    staging.bring_next(replay, &mut stream);
                    assert_ne!(drawn, stream);
                    assert_eq!(whole(&staged), drawn_before, "in another place");
                    if round == 2 {
                        stream = drawn;
                        staging.drop_next();
                    }
                }
                let values = whole(&staged);
                before = Some((staged, values));
            }
        }
    }
}

/// Seed 5. With 49 transitions, so 48 degrees of freedom, a uniform sampler is above 101.7 for one seed
/// in 1e5.
#[test]
fn draws_are_uniform() {
    let mut feed = Feed::new(&spec(2, StackPadding::Repeat), 3, 60, 0.2, 5);
    feed.run(100);
    let held = alive(&feed.replay);
    assert_eq!(held.len(), 49, "the bound above is for 49");
    let mut counts = vec![0usize; held.len()];
    let draws = 500 * held.len();
    let batch = feed.replay.sample(draws, &mut Seeds::new(5).stream("draws")).expect("not empty");
    for drawn in whole(&batch) {
        // Rewards are random f32: no two are equal.
        let index = held.iter().position(|whole| whole.r_t == drawn.r_t).expect("a held one");
        assert_eq!(held[index], drawn);
        counts[index] += 1;
    }
    let chi_square: f64 = counts.iter().map(|n| (*n as f64 - 500.0).powi(2) / 500.0).sum();
    assert!(chi_square < 101.7, "chi-square {chi_square}, counts {counts:?}");
}

#[test]
fn nothing_is_drawn_from_an_empty_replay() {
    let feed = Feed::new(&spec(2, StackPadding::Repeat), 2, 10, 0.2, 5);
    assert!(feed.replay.sample(1, &mut Seeds::new(0).stream("draws")).is_none());
}

#[test]
fn a_loaded_replay_draws_the_same_and_goes_on() {
    let memories = [ReplayMemory::Main, ReplayMemory::Device];
    for (steps, memory) in [0, 1, 3, 57].into_iter().flat_map(|n| memories.map(|it| (n, it))) {
        let spec = spec(3, StackPadding::Zeros);
        let mut feed = Feed::new(&spec, 2, 24, 0.2, 8);
        feed.run(steps);
        let mut loaded = small(&spec, 2, 24, memory);
        assert!(saved(&feed.replay) == saved(&feed.on_device), "the same file of either memory");
        loaded.load(&mut saved(&feed.replay).as_slice()).expect("saved above");
        for _ in 0..40 {
            assert_eq!(alive(&loaded), alive(&feed.replay));
            assert_eq!(loaded.added(), feed.replay.added());
            let draw = |replay: &Replay| {
                replay.sample(7, &mut Seeds::new(1).stream("draws")).map(|batch| whole(&batch))
            };
            assert_eq!(draw(&loaded), draw(&feed.replay));
            feed.events.clear();
            feed.run(1);
            feed.events.iter().for_each(|event| event.apply(&mut loaded));
        }
        assert_eq!(alive(&loaded), feed.twin.alive());
    }
}

#[test]
fn a_replay_of_another_configuration_is_refused_with_both_values() {
    let feed = Feed::new(&spec(3, StackPadding::Zeros), 2, 24, 0.2, 8);
    let bytes = saved(&feed.replay);
    let refused = |spec: &EnvSpec, num_envs, capacity, expected: &str| {
        let mut other = small(spec, num_envs, capacity, ReplayMemory::Main);
        let message = other.load(&mut bytes.as_slice()).expect_err("another one").to_string();
        assert!(message.contains(expected), "{message}");
    };
    refused(&spec(3, StackPadding::Zeros), 3, 24, "environments is 2, expected 3");
    refused(&spec(3, StackPadding::Zeros), 2, 26, "slots per environment is 15, expected 16");
    refused(&spec(3, StackPadding::Repeat), 2, 24, "padding");
    let fewer = EnvSpec { actions: vec!["noop".to_owned()], ..spec(3, StackPadding::Zeros) };
    refused(&fewer, 2, 24, "actions is 5, expected 1");
}

#[test]
fn a_cut_off_file_is_refused_wherever_it_was_cut() {
    let spec = spec(2, StackPadding::Repeat);
    let mut feed = Feed::new(&spec, 2, 8, 0.3, 2);
    feed.run(20);
    let bytes = saved(&feed.replay);
    for length in 0..bytes.len() {
        let message = feed.replay.load(&mut &bytes[..length]).expect_err("cut off").to_string();
        assert!(message.contains("ends early"), "{length} of {}: {message}", bytes.len());
        assert!(feed.replay.is_empty());
    }
    let longer = [bytes.as_slice(), &[0]].concat();
    let message = feed.replay.load(&mut longer.as_slice()).expect_err("too long").to_string();
    assert!(message.contains("after the end"), "{message}");
    feed.replay.load(&mut bytes.as_slice()).expect("a refusal does no harm");
}

#[test]
fn ages_that_form_no_episodes_are_refused() {
    let mut feed = Feed::new(&spec(3, StackPadding::Repeat), 1, 8, 0.0, 2);
    feed.run(4);
    let bytes = saved(&feed.replay);
    // Magic word, eight sizes, transitions added, stored slots: then come the ages.
    let ages = 88..93;
    assert_eq!(bytes[ages.clone()], [0, 1, 2, 3, 3]);
    let mut refused = |age: usize, value: u8, expected: &str| {
        let mut damaged = bytes.clone();
        damaged[ages.start + age] = value;
        let message = feed.replay.load(&mut damaged.as_slice()).expect_err("damaged").to_string();
        assert!(message.contains(expected), "{message}");
    };
    refused(1, 2, "do not form episodes");
    refused(4, 4, "do not form episodes");
    refused(0, 4, "do not form episodes");
    let mut begun = bytes.clone();
    begun[ages.clone()].copy_from_slice(&[1, 2, 3, 3, 3]);
    let message = feed.replay.load(&mut begun.as_slice()).expect_err("no beginning").to_string();
    assert!(message.contains("no beginning"), "{message}");
}

#[test]
fn no_damaged_byte_makes_it_panic() {
    let spec = spec(2, StackPadding::Repeat);
    let mut feed = Feed::new(&spec, 2, 8, 0.3, 2);
    feed.run(20);
    let bytes = saved(&feed.replay);
    let mut refused = 0;
    for position in 0..bytes.len() {
        for value in [0, 1, 2, 127, 255] {
            let mut damaged = bytes.clone();
            damaged[position] = value;
            if feed.replay.load(&mut damaged.as_slice()).is_err() {
                refused += 1;
                continue;
            }
            let batch = feed.replay.sample(8, &mut Seeds::new(0).stream("draws"));
            assert!(batch.is_some_and(|batch| batch.a_tm1.max().int64_value(&[]) < ACTIONS as i64));
        }
    }
    assert!(refused > 300, "header, counts and ages are checked: {refused}");
}

#[test]
fn impossible_sizes_are_refused_before_memory_is_taken() {
    let build = |num_envs, capacity, memory| {
        let (spec, memory) = (spec(4, StackPadding::Zeros), (memory, Device::Cpu));
        let built = Replay::new(&spec, num_envs, capacity, GAMMA, memory);
        built.err().expect("refused").to_string()
    };
    assert!(build(1, usize::MAX, ReplayMemory::Main).contains("more than this machine can give"));
    for capacity in [1 << 60, usize::MAX] {
        assert!(build(1, capacity, ReplayMemory::Device).contains("more than the memory of Cpu"));
    }
    assert!(build(4, 3, ReplayMemory::Auto).contains("3 transitions cannot serve 4 environments"));
}

#[test]
fn distinct_draws_have_no_transition_twice_and_reach_all() {
    let mut feed = Feed::new(&spec(2, StackPadding::Repeat), 3, 60, 0.2, 5);
    feed.run(100);
    let held = alive(&feed.replay);
    let mut stream = Seeds::new(5).stream("draws");
    let mut drawn = |count| feed.replay.sample_distinct(count, &mut stream).map(|all| whole(&all));
    let rewards = |mut all: Vec<Whole>| {
        all.sort_by(|a, b| a.r_t.total_cmp(&b.r_t));
        all.into_iter().map(|one| one.r_t).collect::<Vec<_>>()
    };
    // Rewards are random f32: no two are equal.
    let all = rewards(drawn(held.len()).expect("as many as there are"));
    assert_eq!(all, rewards(held.clone()));
    let mut some = rewards(drawn(20).expect("fewer than there are"));
    some.dedup();
    assert_eq!(some.len(), 20);
    assert!(drawn(held.len() + 1).is_none());
}
