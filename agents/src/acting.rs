//! What an agent sees while it acts: the last frames of every environment, and how it chooses.

use pliant_core::{
    envs::{
        env::{EnvSpec, FrameShape, StackPadding},
        vector::Batch,
    },
    error::{Error, Result},
    network::Model,
    recording::{Recorder, Signature},
    seeds::Stream,
    state::{Checkpoint, StateDict},
};
use rand::Rng;
use tch::{Device, Kind, Tensor, no_grad};

use crate::place::Place;

/// The present observation of each environment: its last frames, newest last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameStacks {
    frame: FrameShape,
    stack: usize,
    padding: StackPadding,
    /// u8 `[envs, stack, channels, height, width]`.
    bytes: Vec<u8>,
}

impl FrameStacks {
    /// Black observations of `num_envs` environments.
    pub fn new(spec: &EnvSpec, num_envs: usize) -> Self {
        Self {
            frame: spec.frame,
            stack: spec.frame_stack,
            padding: spec.stack_padding,
            bytes: vec![0; num_envs * spec.frame_stack * spec.frame.len()],
        }
    }

    /// Takes in the first frames of all environments.
    pub fn begin(&mut self, frames: &[u8]) {
        for (env, frame) in frames.chunks_exact(self.frame.len()).enumerate() {
            self.reset(env, frame);
        }
    }

    /// Takes in the frames that followed a step.
    pub fn observe(&mut self, batch: &Batch) {
        let frames = batch.frames.chunks_exact(self.frame.len());
        for (env, (frame, step)) in frames.zip(&batch.steps).enumerate() {
            if step.is_last() {
                self.reset(env, frame);
            } else {
                self.push(env, frame);
            }
        }
    }

    /// Starts an environment's episode.
    pub fn reset(&mut self, env: usize, frame: &[u8]) {
        let padding = self.padding;
        let (older, newest) = self.split(env);
        newest.copy_from_slice(frame);
        match padding {
            StackPadding::Zeros => older.fill(0),
            StackPadding::Repeat => {
                older.chunks_exact_mut(frame.len()).for_each(|place| place.copy_from_slice(frame));
            }
        }
    }

    /// Adds an environment's next frame and forgets its oldest.
    pub fn push(&mut self, env: usize, frame: &[u8]) {
        let length = frame.len();
        self.of(env).copy_within(length.., 0);
        self.split(env).1.copy_from_slice(frame);
    }

    /// u8 `[envs, stack * channels, height, width]`.
    pub fn observations(&self) -> Tensor {
        let FrameShape { channels, height, width } = self.frame;
        let planes = (self.stack * channels) as i64;
        Tensor::from_slice(&self.bytes).reshape([-1, planes, height as i64, width as i64])
    }

    /// The observations as they lie in memory, u8 `[envs, stack, channels, height, width]`.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Bytes of one frame.
    pub fn frame_len(&self) -> usize {
        self.frame.len()
    }

    fn of(&mut self, env: usize) -> &mut [u8] {
        let length = self.stack * self.frame.len();
        &mut self.bytes[env * length..][..length]
    }

    fn split(&mut self, env: usize) -> (&mut [u8], &mut [u8]) {
        let older = (self.stack - 1) * self.frame.len();
        self.of(env).split_at_mut(older)
    }
}

impl Checkpoint for FrameStacks {
    fn save(&self, state: &mut StateDict) {
        state.put_tensor("frames", &Tensor::from_slice(&self.bytes));
    }

    fn load(&mut self, state: &StateDict) -> Result<()> {
        let mut stored = Tensor::zeros([self.bytes.len() as i64], (Kind::Uint8, Device::Cpu));
        state.copy_tensor("frames", &mut stored)?;
        let length = self.bytes.len();
        stored
            .f_copy_data_u8(&mut self.bytes, length)
            .map_err(|error| Error::State(format!("tensor `frames`: {error}")))
    }
}

/// Asks a network for the Q-values of what environments show, again and again: on a GPU the observations travel
/// through page-locked memory to the same place each time, and the pass is recorded.
pub struct Greedy {
    device: Device,
    place: Option<Place>,
    passes: Recorder<Tensor>,
}

impl Greedy {
    /// For networks on this device.
    pub fn new(device: Device, is_recorded: bool) -> Self {
        Self { device, place: None, passes: Recorder::new(device, is_recorded) }
    }

    /// f32 `[envs, actions]`; to be read before it is asked for again.
    pub fn q_values(&mut self, network: &Model, stacks: &FrameStacks) -> Tensor {
        if !self.device.is_cuda() {
            return no_grad(|| network.q_values(&stacks.observations()));
        }
        let device = self.device;
        let place = self.place.get_or_insert_with(|| Place::like(&stacks.observations(), device));
        place.put_bytes(stacks.bytes());
        let there = place.there();
        if !network.is_recordable() {
            return no_grad(|| network.q_values(there));
        }
        let of =
            |network: &&Model| Signature::default().variables(network.variables()).tensors([there]);
        self.passes.run(network, of, |network| no_grad(|| network.q_values(there)))
    }
}

/// Epsilon-greedy actions for `num_envs` environments. `q_values` (f32 `[envs, actions]`) is asked for only if
/// at least one of them is greedy; the random draws come first, in the order of the environments, and
/// do not depend on it. Of equal values the first action is taken.
pub fn epsilon_greedy(
    epsilon: f64,
    num_envs: usize,
    num_actions: usize,
    stream: &mut Stream,
    q_values: impl FnOnce() -> Tensor,
) -> Vec<usize> {
    let explored: Vec<Option<usize>> = (0..num_envs)
        .map(|_| {
            let explores = stream.random::<f64>() < epsilon;
            explores.then(|| stream.random_range(0..num_actions))
        })
        .collect();
    if explored.iter().all(Option::is_some) {
        return explored.into_iter().flatten().collect();
    }
    let greedy = greedy_actions(&q_values());
    explored.into_iter().zip(greedy).map(|(explored, greedy)| explored.unwrap_or(greedy)).collect()
}

/// The first of the best actions of each row of f32 `[n, actions]`.
fn greedy_actions(q_values: &Tensor) -> Vec<usize> {
    let actions = q_values.size()[1] as usize;
    let values = q_values.to_device(Device::Cpu).to_kind(Kind::Float).contiguous().reshape([-1]);
    let values = Vec::<f32>::try_from(&values).expect("a flat f32 tensor");
    values.chunks_exact(actions).map(first_argmax).collect()
}

fn first_argmax(values: &[f32]) -> usize {
    let best = |best: usize, index: usize| if values[index] > values[best] { index } else { best };
    (1..values.len()).fold(0, best)
}

#[cfg(test)]
mod tests {
    use pliant_core::{envs::env::Step, seeds::Seeds};
    use rand::RngCore;

    use super::*;

    fn stacks(stack_padding: StackPadding) -> FrameStacks {
        let frame = FrameShape { channels: 1, height: 1, width: 2 };
        let actions = vec!["noop".to_owned()];
        let spec = EnvSpec {
            frame,
            frame_stack: 3,
            stack_padding,
            actions,
            tasks: vec!["test".to_owned()],
            continuing: false,
            reward_per_step_name: None,
            supervised: false,
        };
        FrameStacks::new(&spec, 2)
    }

    fn bytes(stacks: &FrameStacks) -> Vec<u8> {
        let observations = stacks.observations();
        assert_eq!(observations.size(), [2, 3, 1, 2]);
        Vec::try_from(&observations.reshape([-1])).expect("u8")
    }

    #[test]
    fn stacks_are_padded_shifted_and_begun_anew() {
        let mut stacks = stacks(StackPadding::Repeat);
        stacks.begin(&[1, 2, 3, 4]);
        assert_eq!(bytes(&stacks), [1, 2, 1, 2, 1, 2, 3, 4, 3, 4, 3, 4]);
        let ends = Step { truncated: true, ..Step::default() };
        let steps = vec![Step::default(), ends];
        stacks.observe(&Batch { frames: vec![5, 6, 7, 8], final_frames: vec![0; 4], steps });
        assert_eq!(bytes(&stacks), [1, 2, 1, 2, 5, 6, 7, 8, 7, 8, 7, 8]);
        stacks.push(0, &[9, 9]);
        stacks.push(0, &[0, 1]);
        assert_eq!(bytes(&stacks)[..6], [5, 6, 9, 9, 0, 1]);
    }

    #[test]
    fn zeros_stand_before_an_episode_begins() {
        let mut stacks = stacks(StackPadding::Zeros);
        stacks.begin(&[1, 2, 3, 4]);
        stacks.push(0, &[5, 6]);
        assert_eq!(bytes(&stacks), [0, 0, 1, 2, 5, 6, 0, 0, 0, 0, 3, 4]);
        stacks.reset(0, &[7, 8]);
        assert_eq!(bytes(&stacks)[..6], [0, 0, 0, 0, 7, 8]);
    }

    #[test]
    fn saved_stacks_are_taken_up() {
        let mut saved = stacks(StackPadding::Repeat);
        saved.begin(&[1, 2, 3, 4]);
        saved.push(1, &[5, 6]);
        let mut state = StateDict::default();
        saved.save(&mut state);
        let mut loaded = stacks(StackPadding::Repeat);
        loaded.load(&state).expect("saved above");
        assert_eq!(loaded, saved);
    }

    #[test]
    fn the_first_of_equal_actions_is_greedy() {
        let q_values = Tensor::from_slice(&[1f32, 3.0, 3.0, 5.0, 5.0, 5.0, -2.0, -3.0, -1.0]);
        assert_eq!(greedy_actions(&q_values.reshape([3, 3])), [1, 0, 2]);
    }

    #[test]
    fn draws_do_not_depend_on_whether_the_network_was_asked() {
        let q_values = || Tensor::from_slice(&[0f32, 1.0]).reshape([1, 2]).repeat([64, 1]);
        let mut asked = Seeds::new(0).stream("exploration");
        let mut alike = asked.clone();
        let some = epsilon_greedy(0.5, 64, 2, &mut asked, q_values);
        let other = epsilon_greedy(0.5, 64, 2, &mut alike, || 1.0 - q_values());
        assert_eq!(asked.next_u64(), alike.next_u64());
        // Seed 0: of 64 about 32 explore; where they do, both agree, elsewhere they never do.
        let explored = some.iter().zip(&other).filter(|(a, b)| a == b).count();
        assert!((20..=44).contains(&explored), "{explored}");
    }

    #[test]
    fn the_network_is_not_asked_if_all_explore() {
        let mut stream = Seeds::new(0).stream("exploration");
        let never = || panic!("epsilon is 1");
        let actions = epsilon_greedy(1.0, 600, 3, &mut stream, never);
        // Seed 0: 200 of each expected, standard deviation 11.5.
        for action in 0..3 {
            let count = actions.iter().filter(|chosen| **chosen == action).count();
            assert!((140..=260).contains(&count), "action {action}: {count} times");
        }
    }
}
