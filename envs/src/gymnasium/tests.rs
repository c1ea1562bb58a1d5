use gymnasium_rs::wrappers::timelimit::TimeLimitWrapper;

use super::*;
use crate::{
    classification::{ClassificationConfig, ClassificationFactory, DatasetName},
    env::{EnvFactory, FrameShape, Role},
};

/// Frames of one byte that count the steps; the third step ends the episode.
struct Counter {
    spec: EnvSpec,
    steps: u8,
}

impl Counter {
    fn boxed(frame_stack: usize, stack_padding: StackPadding) -> Box<dyn Env> {
        let spec = EnvSpec {
            frame: FrameShape { channels: 1, height: 1, width: 1 },
            frame_stack,
            stack_padding,
            actions: vec!["stay".to_owned(), "go".to_owned()],
            tasks: vec!["counter".to_owned()],
            continuing: false,
            reward_per_step_name: None,
            supervised: false,
        };
        Box::new(Self { spec, steps: 0 })
    }
}

impl Env for Counter {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn reset(&mut self, seed: Option<u64>, frame: &mut [u8]) -> Result<(), EnvError> {
        self.steps = 10 + seed.unwrap_or(0) as u8;
        frame[0] = self.steps;
        Ok(())
    }

    fn step(&mut self, action: usize, frame: &mut [u8]) -> Result<Step, EnvError> {
        if action > 1 {
            return Err(EnvError::Action { action, count: 2 });
        }
        self.steps += 1;
        frame[0] = self.steps;
        let terminated = self.steps >= 13;
        Ok(Step {
            reward: 0.5,
            raw_reward: 7.0,
            terminated,
            discount: 1.0,
            frames: 4,
            lives: 3,
            ..Step::default()
        })
    }

    fn render(&mut self) -> Picture {
        Picture { height: 1, width: 2, rgb: vec![self.steps; 6] }
    }

    fn save_state(&self) -> Result<Vec<u8>, EnvError> {
        Ok(vec![self.steps])
    }

    fn load_state(&mut self, state: &[u8]) -> Result<(), EnvError> {
        self.steps = state[0];
        Ok(())
    }
}

fn stacked(observation: &Array3<u8>) -> Vec<u8> {
    observation.iter().copied().collect()
}

#[test]
fn observations_are_stacks_with_the_newest_frame_last() {
    for (padding, first) in
        [(StackPadding::Repeat, [10, 10, 10]), (StackPadding::Zeros, [0, 0, 10])]
    {
        let mut env = GymnasiumEnv::new(Counter::boxed(3, padding));
        let (observation, info) = env.reset_default();
        assert_eq!((observation.dim(), stacked(&observation)), ((3, 1, 1), first.to_vec()));
        assert!(info.is_empty());
        let (observation, reward, terminated, truncated, info) = env.step(1);
        assert_eq!(stacked(&observation), [first[1], 10, 11]);
        assert_eq!((reward, terminated, truncated), (0.5, false, false));
        assert_eq!((&info["raw_reward"], &info["discount"]), (&7.0.into(), &1.0.into()));
        assert_eq!((&info["lives"], &info["frames"]), (&3.into(), &4.into()));
        assert!(
            ["reward", "terminated", "truncated", "error"].iter().all(|&n| !info.contains_key(n))
        );
        env.step(0);
        assert!(env.step(0).2, "terminated");
        assert_eq!(stacked(&env.reset_seed(1).0)[2], 11);
    }
}

#[test]
fn spaces_are_the_actions_and_the_observations_bytes() {
    let env = GymnasiumEnv::new(Counter::boxed(3, StackPadding::Repeat));
    assert_eq!(env.action_space(), Space::Discrete(2));
    let (low, high) = (Array1::zeros(3), Array1::from_elem(3, 255.0));
    assert_eq!(env.observation_space(), Space::Box { low, high });
}

#[test]
fn what_fails_ends_the_episode_and_says_why() {
    let mut env = GymnasiumEnv::new(Counter::boxed(1, StackPadding::Repeat));
    let (observation, _) = env.reset_default();
    for (action, reason) in [(2, "action 2 is out of range"), (-1, "action -1 is negative")] {
        let (shown, reward, terminated, truncated, info) = env.step(action);
        assert_eq!((shown, reward, terminated, truncated), (observation.clone(), 0.0, false, true));
        let said = info["error"].as_str().expect("a text");
        assert!(said.contains(reason), "{said}");
    }
    assert!(matches!(env.try_step(2), Err(EnvError::Action { action: 2, count: 2 })));
    assert_eq!(env.reset_seed(-5).1["error"], "seed -5 is negative: it begins at 0");
    let options = Options::from([("speed".to_owned(), Value::from(2))]);
    assert_eq!(
        env.reset_options(options).1["error"],
        "unknown reset option `speed`: there are none"
    );
    assert_eq!(stacked(&env.step(0).0), [11], "the episode of before goes on");
}

#[test]
fn a_closed_environment_answers_with_errors() {
    let mut env = GymnasiumEnv::new(Counter::boxed(1, StackPadding::Repeat));
    env.reset_default();
    assert_eq!(env.render().expect("a picture").dim(), (1, 2, 3));
    env.close();
    env.close();
    assert!(env.render().is_none());
    assert_eq!(env.step(0).4["error"], "the environment is closed");
    assert_eq!(env.reset_default().1["error"], "the environment is closed");
    assert!(env.try_reset(None).is_err());
}

#[test]
fn the_crates_own_wrappers_take_it() {
    let mut env = GymnasiumEnv::new(Counter::boxed(2, StackPadding::Repeat));
    let mut limited = TimeLimitWrapper::new(&mut env, 2);
    let (observation, _) = Gymnasium::reset(&mut limited, Some(0), Options::new());
    assert_eq!(observation.dim(), (2, 1, 1));
    let ends = [0, 0].map(|action| Gymnasium::step(&mut limited, action).3);
    assert_eq!(ends, [false, true]);
}

/// Plays the same actions through the adapter and by hand, through several episodes.
fn plays_alike(factory: &dyn EnvFactory, steps: usize) -> usize {
    let make = || factory.make(Role::Training, 1).expect("an instance");
    let (mut adapted, mut own) = (GymnasiumEnv::new(make()), make());
    let len = factory.spec().frame.len();
    let newest = |observation: &Array3<u8>| {
        let bytes = stacked(observation);
        bytes[bytes.len() - len..].to_vec()
    };
    let mut frame = vec![0; len];
    let mut episodes = 0;
    own.reset(Some(7), &mut frame).expect("a reset");
    assert_eq!(newest(&adapted.reset_seed(7).0), frame);
    for t in 0..steps {
        let action = t * t % factory.spec().actions.len();
        let expected = own.step(action, &mut frame).expect("a step");
        let (observation, reward, terminated, truncated, info) = adapted.step(action as i32);
        assert_eq!(newest(&observation), frame, "at {t}");
        assert_eq!(
            (reward, terminated, truncated),
            (expected.reward, expected.terminated, expected.truncated)
        );
        assert_eq!(info["lives"], expected.lives);
        assert_eq!(info["frames"], expected.frames);
        assert_eq!(info["raw_reward"], f64::from(expected.raw_reward));
        if t % 100 == 0 {
            let picture = adapted.render().expect("a picture");
            assert_eq!(picture.into_raw_vec(), own.render().rgb);
        }
        if expected.is_last() {
            episodes += 1;
            own.reset(None, &mut frame).expect("a reset");
            assert_eq!(newest(&adapted.reset_default().0), frame);
        }
    }
    episodes
}

#[test]
fn classification_plays_as_by_its_own_interface() {
    for dataset in [DatasetName::Mnist, DatasetName::Cifar10] {
        let config =
            ClassificationConfig { dataset, episode_steps: Some(150), ..Default::default() };
        let factory = ClassificationFactory::build(config)
            .unwrap_or_else(|error| panic!("run `pliant fetch {}` first: {error}", dataset.name()));
        assert_eq!(plays_alike(&*factory, 500), 3);
    }
}

#[cfg(feature = "atari")]
#[test]
fn atari_plays_as_by_its_own_interface() {
    use crate::ale::{AtariConfig, AtariFactory};
    let config = AtariConfig { game: "breakout".to_owned(), ..AtariConfig::default() };
    let factory = AtariFactory::build(config).expect("a factory");
    let env = GymnasiumEnv::new(factory.make(Role::Training, 1).expect("an instance"));
    assert_eq!(env.observation().dim(), (4, 84, 84));
    assert!(plays_alike(&*factory, 1500) > 1, "several episodes");
}
