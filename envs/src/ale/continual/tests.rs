//! Tests of the sequence of Atari tasks.

use std::sync::Arc;

use rand::Rng;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

use super::{super::AtariConfig, *};
use crate::{
    env::{Env, EnvError, EnvFactory, Role, Step},
    vector::VectorEnv,
};

const LEN: usize = 84 * 84;

fn config(tasks: &[&str], period_frames: u64, repeat: bool) -> ContinualAtariConfig {
    let tasks = tasks.iter().map(|&task| task.to_owned()).collect();
    let atari = AtariConfig {
        repeat_action_probability: 0.25,
        terminal_on_life_loss: true,
        zero_discount_on_life_loss: false,
        ..AtariConfig::default()
    };
    ContinualAtariConfig { tasks, period_frames, repeat, atari: atari.into() }
}

fn factory(config: ContinualAtariConfig) -> Arc<dyn EnvFactory> {
    ContinualAtariFactory::build(config).expect("good tasks").into()
}

fn fresh(config: ContinualAtariConfig, seed: u64) -> Box<dyn Env> {
    let mut env = factory(config).make(Role::Training, 1).expect("an instance");
    env.reset(Some(seed), &mut [0; LEN]).expect("a reset");
    env
}

fn refused(tasks: &[&str]) -> String {
    ContinualAtariFactory::build(config(tasks, 100, false)).expect_err("a bad task").to_string()
}

/// Plays random actions, resetting where needed.
fn play(env: &mut dyn Env, steps: usize, draws: &mut ChaCha8Rng) -> Vec<(Vec<u8>, Step)> {
    let mut frame = vec![0; LEN];
    (0..steps)
        .map(|_| {
            let step = env.step(draws.random_range(0..18), &mut frame).expect("a step");
            let seen = (frame.clone(), step);
            if step.is_last() {
                env.reset(None, &mut frame).expect("a reset");
            }
            seen
        })
        .collect()
}

/// The tasks in the order they were played, with the frames from the beginning to the last step of each.
fn ends_of_tasks(steps: &[Step]) -> Vec<(u32, u64)> {
    let mut frames = 0;
    let mut ends: Vec<(u32, u64)> = Vec::new();
    for (at, step) in steps.iter().enumerate() {
        frames += u64::from(step.frames);
        if steps.get(at + 1).is_none_or(|next| next.task != step.task) {
            assert!(step.is_last() || at + 1 == steps.len(), "a change within an episode");
            ends.push((step.task, frames));
        }
    }
    ends
}

fn steps_of(config: ContinualAtariConfig, steps: usize) -> Vec<Step> {
    let seen = play(fresh(config, 3).as_mut(), steps, &mut ChaCha8Rng::seed_from_u64(6));
    seen.into_iter().map(|(_, step)| step).collect()
}

#[test]
fn tasks_follow_each_other_at_multiples_of_the_period() {
    // Pong loses no life in 300 steps of 4 frames: steps end at multiples of 4 within it.
    let tasks = ["pong", "pong:mode=1", "pong:mode=1,difficulty=1"];
    let once = steps_of(config(&tasks, 202, false), 300);
    assert_eq!(ends_of_tasks(&once), [(0, 204), (1, 404), (2, 1200)]);
    let again = steps_of(config(&tasks, 202, true), 300);
    assert_eq!(
        ends_of_tasks(&again),
        [(0, 204), (1, 404), (2, 608), (0, 808), (1, 1012), (2, 1200)]
    );
}

#[test]
fn a_change_truncates_the_episode_and_keeps_its_value() {
    let steps = steps_of(config(&["pong", "freeway"], 40, false), 12);
    let last = steps[9];
    assert_eq!((last.truncated, last.terminated, last.discount), (true, false, 1.0));
    assert!(last.ends_game() && !steps[8].is_last());
    assert_eq!(
        steps.iter().map(|step| step.task).collect::<Vec<_>>(),
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1]
    );
}

#[test]
fn an_episode_that_ends_by_itself_at_the_change_stays_terminated_and_ends_its_game() {
    let mut both = config(&["breakout", "pong"], u64::MAX, false);
    let atari = AtariConfig {
        terminal_on_life_loss: true,
        zero_discount_on_life_loss: false,
        continue_after_life_loss: true,
        ..AtariConfig::default()
    };
    both.atari = atari.into();
    let lost = |config: &ContinualAtariConfig| {
        let steps = steps_of(config.clone(), 200);
        let at = steps.iter().position(Step::is_last).expect("a lost life");
        (steps[at], steps[..=at].iter().map(|step| u64::from(step.frames)).sum::<u64>())
    };
    let (step, frames) = lost(&both);
    assert!(step.terminated && step.game_goes_on);
    let (step, _) = lost(&ContinualAtariConfig { period_frames: frames, ..both });
    assert_eq!((step.terminated, step.truncated, step.game_goes_on), (true, false, false));
    assert!(step.ends_game());
}

#[test]
fn a_step_is_refused_between_two_tasks() {
    let mut env = fresh(config(&["pong", "freeway"], 4, false), 1);
    assert!(env.step(0, &mut [0; LEN]).expect("a step").truncated);
    assert!(matches!(env.step(0, &mut [0; LEN]), Err(EnvError::NeedsReset)));
    let mut env = factory(config(&["pong"], 4, true)).make(Role::Training, 1).expect("made");
    assert!(matches!(env.step(0, &mut [0; LEN]), Err(EnvError::NeedsReset)), "before a reset");
}

#[test]
fn environments_share_the_period_and_threads_change_nothing() {
    let run = |threads| {
        let factory = factory(config(&["breakout", "pong:mode=1", "skiing"], 1200, true));
        let mut games = VectorEnv::new(factory, Role::Training, 3, threads).expect("a vector");
        let mut draws = ChaCha8Rng::seed_from_u64(8);
        let mut seen = vec![games.reset(&[1, 2, 3]).expect("a reset").clone()];
        for _ in 0..330 {
            let actions: Vec<usize> = (0..3).map(|_| draws.random_range(0..18)).collect();
            games.send(&actions).expect("sent");
            seen.push(games.recv().expect("received").clone());
        }
        seen
    };
    let alone = run(1);
    for env in 0..3 {
        let steps: Vec<Step> = alone[1..].iter().map(|batch| batch.steps[env]).collect();
        let ends = ends_of_tasks(&steps);
        let order: Vec<u32> = ends.iter().map(|end| end.0).collect();
        assert_eq!(order, [0, 1, 2, 0], "environment {env}");
        for (end, due) in ends.iter().zip([400, 800, 1200]) {
            assert!((due..due + 4).contains(&end.1), "environment {env}: {} for {due}", end.1);
        }
    }
    assert!(run(3) == alone);
}

#[test]
fn a_task_in_the_sequence_is_the_game_alone_with_a_seed_of_its_own() {
    let mut env = fresh(config(&["pong", "freeway", "pong"], 40, false), 3);
    let mut draws = ChaCha8Rng::seed_from_u64(5);
    let first = play(env.as_mut(), 10, &mut draws);
    let list = factory(config(&["pong", "freeway"], 40, false));
    let alone = list.task(0).expect("the first").make(Role::Training, 1);
    let mut alone = alone.expect("made");
    alone.reset(Some(3), &mut [0; LEN]).expect("a reset");
    let same = play(alone.as_mut(), 10, &mut ChaCha8Rng::seed_from_u64(5));
    assert!(first[..9] == same[..9], "the first task has the seed of the reset");
    assert_eq!((first[9].1.truncated, same[9].1.truncated), (true, false));
    play(env.as_mut(), 10, &mut draws);
    let again = play(env.as_mut(), 10, &mut ChaCha8Rng::seed_from_u64(5));
    assert!(again.iter().zip(&first).any(|(a, b)| a.0 != b.0), "the third task has another seed");
}

#[test]
fn the_same_seed_gives_the_same_sequence() {
    let tasks = ["seaquest", "breakout:mode=4", "seaquest"];
    let run = |seed| {
        let mut env = fresh(config(&tasks, 120, true), seed);
        play(env.as_mut(), 150, &mut ChaCha8Rng::seed_from_u64(5))
    };
    let first = run(1);
    assert!(run(1) == first && run(2) != first);
    let mut used = fresh(config(&tasks, 120, true), 7);
    play(used.as_mut(), 77, &mut ChaCha8Rng::seed_from_u64(1));
    used.reset(Some(1), &mut [0; LEN]).expect("a reset");
    let again = play(used.as_mut(), 150, &mut ChaCha8Rng::seed_from_u64(5));
    assert!(again == first, "a seeded reset starts from the first task");
}

#[test]
fn forty_saved_states_continue_bit_for_bit_in_new_instances() {
    let config = || config(&["breakout", "pong:mode=1", "skiing"], 260, true);
    let (mut env, mut draws) = (fresh(config(), 11), ChaCha8Rng::seed_from_u64(17));
    let (mut seen, mut saved) = (Vec::new(), Vec::new());
    for point in (1..=40).map(|point| point * 7 + point % 3) {
        seen.extend(play(env.as_mut(), point - seen.len(), &mut draws));
        saved.push((point, env.save_state().expect("saved"), draws.clone()));
    }
    seen.extend(play(env.as_mut(), 50, &mut draws));
    let factory = factory(config());
    for (point, state, mut draws) in saved {
        let mut twin = factory.make(Role::Training, 1).expect("a new instance");
        twin.load_state(&state).expect("loaded");
        assert!(twin.save_state().expect("saved") == state, "step {point}: the state");
        let follows = play(twin.as_mut(), 50, &mut draws);
        assert!(follows == seen[point..point + 50], "step {point}: what follows");
    }
}

#[test]
fn a_state_saved_when_a_change_is_due_changes_the_task() {
    let config = || config(&["pong", "freeway"], 40, false);
    let mut env = fresh(config(), 1);
    for _ in 0..10 {
        env.step(0, &mut [0; LEN]).expect("a step");
    }
    let mut twin = factory(config()).make(Role::Training, 1).expect("an instance");
    twin.load_state(&env.save_state().expect("saved")).expect("loaded");
    let first = [env, twin].map(|mut env| {
        let mut frame = vec![0; LEN];
        env.reset(None, &mut frame).expect("a reset");
        let step = env.step(0, &mut [0; LEN]).expect("a step");
        (frame, step.task)
    });
    assert!(first[0] == first[1] && first[0].1 == 1);
}

#[test]
fn a_state_of_another_list_is_refused_and_changes_nothing() {
    let state = fresh(config(&["pong", "freeway"], 40, false), 1).save_state().expect("saved");
    let mut env = fresh(config(&["freeway", "pong"], 40, false), 1);
    let before = env.save_state().expect("saved");
    let error = env.load_state(&state).expect_err("another list").to_string();
    assert_eq!(
        error,
        "saved environment state: it is in the task `pong`, where this list has `freeway`"
    );
    assert!(env.load_state(&before[..before.len() - 1]).is_err());
    assert!(env.save_state().expect("saved") == before);
}

#[test]
fn every_game_takes_all_eighteen_actions_and_skiing_plays_fire_as_its_direction() {
    let list = factory(config(&["breakout", "skiing"], 100, false));
    assert_eq!(list.spec().actions.len(), 18);
    assert_eq!(list.spec().actions[17], "DOWNLEFTFIRE");
    let run = |actions: &[usize]| {
        let mut env = list.task(1).expect("skiing").make(Role::Training, 1).expect("made");
        env.reset(Some(1), &mut [0; LEN]).expect("a reset");
        let mut frame = vec![0; LEN];
        (0..60)
            .map(|at| {
                env.step(actions[at / 6 % actions.len()], &mut frame).expect("a step");
                frame.clone()
            })
            .collect::<Vec<_>>()
    };
    let (right, left) = (3, 4);
    let (right_fire, left_fire) = (11, 12);
    assert!(run(&[left_fire, right_fire]) == run(&[left, right]));
    assert!(run(&[left, right]) != run(&[right, left]), "directions matter");
    assert!(run(&[1, left]) == run(&[0, left]), "FIRE alone is NOOP");
}

#[test]
fn tasks_are_named_as_given_and_measured_by_the_scores_of_their_games() {
    let list = factory(config(&["breakout", "pong:mode=1", "ALE/Pong-v5"], 100, false));
    assert_eq!(list.spec().tasks, ["breakout", "pong:mode=1", "ALE/Pong-v5"]);
    let human = |task| list.reference_scores(task).map(|scores| scores.human);
    assert_eq!([human(0), human(1), human(2), human(3)], [Some(30.5), None, Some(14.6), None]);
    let alone = list.task(1).expect("the second");
    assert_eq!(alone.spec().tasks, ["pong:mode=1"]);
    assert_eq!(
        (&alone.spec().actions, alone.spec().frame),
        (&list.spec().actions, list.spec().frame)
    );
    assert!(list.task(3).is_none());
    let what: Vec<String> = list.provenance().into_iter().map(|(what, _)| what).collect();
    assert_eq!(what, ["ale", "rom breakout md5", "rom pong md5"], "every ROM once");
}

#[test]
fn bad_tasks_are_refused_with_their_place_in_the_list() {
    let cases: [(&[&str], &str); 6] = [
        (&["pong", "braekout"], "tasks[1] `braekout`: there is no game `braekout`: did you mean"),
        (&["combat"], "tasks[0] `combat`: `combat` is a cartridge for two players"),
        (
            &["pong", "pong", "pong:mode=7"],
            "tasks[2] `pong:mode=7`: pong has no mode 7: it has 0, 1",
        ),
        (&["pong:difficulty=9"], "tasks[0] `pong:difficulty=9`: pong has no difficulty 9"),
        (&["pong:mod=1"], "tasks[0] `pong:mod=1`: unknown `mod`, expected GAME or GAME:mode=M"),
        (&[], "tasks is empty"),
    ];
    for (tasks, expected) in cases {
        let error = refused(tasks);
        assert!(error.starts_with(expected), "{error}");
    }
    let error = factory(config(&["pong"], 3, true)).make(Role::Training, 4).err().expect("refused");
    assert!(error.to_string().contains("it must be at least 4"), "{error}");
}

pliant_fuzzing::surfaces! { damaged_states_are_refused_or_played_on_from: 2_000 }

fn damaged_states_are_refused_or_played_on_from(cases: std::ops::Range<u64>) {
    use crate::state::testing::{loaded_and_played, sealed_anew};
    let mut env = fresh(config(&["breakout", "pong"], 100, true), 3);
    play(env.as_mut(), 30, &mut ChaCha8Rng::seed_from_u64(5));
    let whole = env.save_state().expect("saved");
    pliant_fuzzing::Surface::new("continual state").check(cases, |damage| {
        // What the game saved is another surface: here what stands before it is damaged.
        let (head, game) = whole.split_at(100);
        let (kind, progress) = head.split_at(8 + usize::from(whole[0]));
        let state = sealed_anew([kind, &damage.bytes(progress, &[]), game].concat());
        let verdict = loaded_and_played(env.as_mut(), &state, 8);
        env.load_state(&whole).expect("a whole state is taken after any");
        verdict
    });
}
