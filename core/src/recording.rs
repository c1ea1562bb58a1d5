//! Work of a GPU that is the same at each update: written down once, then launched at once.

use pliant_torch_ext::{
    graph::{self, Graph},
    places,
};
use tch::{Device, Tensor};

use crate::{optimizer::Moments, variables::Variables};

/// What a recording depends on beside the values in tensors: where tensors lie, and numbers that were
/// built in. Work of an equal signature is the same work.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signature(Vec<u64>);

impl Signature {
    /// Tensors that are read or written.
    #[must_use]
    pub fn tensors<'a>(mut self, tensors: impl IntoIterator<Item = &'a Tensor>) -> Self {
        places(tensors.into_iter(), false, &mut self.0);
        self
    }

    /// A number that is built in.
    #[must_use]
    pub fn number(mut self, number: f64) -> Self {
        self.0.push(number.to_bits());
        self
    }

    /// A thing whose settings are built in: another one lies elsewhere.
    #[must_use]
    pub fn thing<T: ?Sized>(mut self, thing: &T) -> Self {
        self.0.push(std::ptr::from_ref(thing).addr() as u64);
        self
    }

    /// The variables of a network.
    #[must_use]
    pub fn variables(self, variables: &Variables) -> Self {
        self.tensors(variables.iter().map(|(_, variable)| variable))
    }

    /// The variables of a network with their gradients, where there are some.
    #[must_use]
    pub fn with_gradients(mut self, variables: &Variables) -> Self {
        places(variables.iter().map(|(_, variable)| variable), true, &mut self.0);
        self
    }

    /// What an optimiser remembers.
    #[must_use]
    pub fn moments(self, moments: &Moments) -> Self {
        self.tensors(moments.tensors())
    }
}

/// What comes of work: tensors that can be handed out again after each launch.
pub trait Made {
    /// The same tensors, not copies.
    fn share(&self) -> Self;
}

impl Made for () {
    fn share(&self) -> Self {}
}

impl Made for Tensor {
    fn share(&self) -> Self {
        self.shallow_clone()
    }
}

impl<T: Made> Made for Option<T> {
    fn share(&self) -> Self {
        self.as_ref().map(Made::share)
    }
}

impl<T: Made> Made for Vec<T> {
    fn share(&self) -> Self {
        self.iter().map(Made::share).collect()
    }
}

/// Times in a row that work must have been the same before it is recorded: a recording takes as long as dozens of
/// launches.
const SAME_BEFORE: u32 = 10;

/// Kinds of the same work that are told apart: a GPU computes on one batch while the next is brought.
const KEPT: usize = 2;

/// Does work: as it comes, and once it has been the same for a while, from a recording.
///
/// On the CPU, or switched off, it is always done as it comes.
#[derive(Debug)]
pub struct Recorder<T> {
    device: Device,
    is_on: bool,
    /// The latest first.
    known: Vec<Known<T>>,
}

/// Work that was done before.
#[derive(Debug)]
struct Known<T> {
    signature: Signature,
    times: u32,
    recorded: Option<(Graph, T)>,
}

impl<T: Made> Recorder<T> {
    /// One for this device, with nothing recorded.
    pub fn new(device: Device, is_on: bool) -> Self {
        Self { device, is_on, known: Vec::new() }
    }

    /// A new one with the same settings.
    #[must_use]
    pub fn fresh(&self) -> Self {
        Self::new(self.device, self.is_on)
    }

    /// True if work may come from a recording, where there is a GPU.
    pub fn is_on(&self) -> bool {
        self.is_on
    }

    /// True if the latest work came from a recording.
    pub fn has_recorded(&self) -> bool {
        self.known.first().is_some_and(|known| known.recorded.is_some())
    }

    /// From here on, all work is done as it comes.
    pub fn switch_off(&mut self) {
        *self = Self::new(self.device, false);
    }

    /// Does `work` on a subject. It must be the same whenever the signature `of` the subject is, and do nothing that
    /// a launch would not do again but change values in tensors: work that leaves its subject with another
    /// signature (an optimiser's first step makes its moments) is done as it comes and not recorded. What was made
    /// of earlier times may be overwritten. Where nothing can be recorded all is done as it comes, now and ever after.
    pub fn run<S>(
        &mut self,
        mut subject: S,
        of: impl Fn(&S) -> Signature,
        mut work: impl FnMut(&mut S) -> T,
    ) -> T {
        let device = self.device;
        if graph::has_failed() {
            self.switch_off();
        }
        if !self.is_on || !device.is_cuda() {
            return work(&mut subject);
        }
        let signature = of(&subject);
        let known = self.know(signature.clone());
        if known.recorded.is_none() {
            if known.times < SAME_BEFORE {
                known.times += 1;
                let made = work(&mut subject);
                if of(&subject) != signature {
                    known.times = 0;
                }
                return made;
            }
            match Graph::record(device, || work(&mut subject)) {
                Ok(recorded) => known.recorded = Some(recorded),
                Err(error) => {
                    tracing::warn!(
                        "nothing is recorded as a CUDA graph from here on, which is slower: {error}"
                    );
                    self.switch_off();
                    return work(&mut subject);
                }
            }
        }
        let (graph, made) = known.recorded.as_mut().expect("recorded before or just now");
        graph.launch();
        made.share()
    }

    /// What is known of work of this signature.
    fn know(&mut self, signature: Signature) -> &mut Known<T> {
        let at = self.known.iter().position(|known| known.signature == signature);
        let known = match at {
            Some(at) => self.known.remove(at),
            None => Known { signature, times: 0, recorded: None },
        };
        self.known.truncate(KEPT - 1);
        self.known.insert(0, known);
        &mut self.known[0]
    }
}

#[cfg(test)]
mod tests {
    use tch::Kind;

    use super::*;
    use crate::{
        optimizer::{Adam, AdamConfig, Optimizer},
        seeds::Seeds,
        variables::{Init, VariableSource},
    };

    #[test]
    fn a_signature_tells_where_tensors_lie_and_what_was_built_in() {
        let (one, other) = (Tensor::zeros([4], (Kind::Float, Device::Cpu)), Tensor::from(1.0));
        let of = |tensor: &Tensor, rate| Signature::default().tensors([tensor]).number(rate);
        assert_eq!(of(&one, 0.1), of(&one.shallow_clone(), 0.1));
        for different in [of(&other, 0.1), of(&one, 0.2), of(&one.narrow(0, 0, 2), 0.1)] {
            assert_ne!(of(&one, 0.1), different);
        }
    }

    #[test]
    fn gradients_and_moments_that_come_or_are_replaced_change_a_signature() {
        let mut stream = Seeds::new(0).stream("parameters");
        let mut source = VariableSource::draw(&mut stream, Device::Cpu);
        let weight = source.variable("w", &[3], Init::Ones);
        let variables = source.finish();
        let mut adam = Adam::build(AdamConfig::default()).expect("valid");
        let of = |adam: &dyn Optimizer| {
            Signature::default().with_gradients(&variables).moments(adam.moments())
        };
        let before = of(adam.as_ref());
        weight.square().sum(Kind::Float).backward();
        let with_gradient = of(adam.as_ref());
        adam.step(&variables);
        let stepped = of(adam.as_ref());
        assert!(before != with_gradient && with_gradient != stepped);
        adam.step(&variables);
        assert_eq!(stepped, of(adam.as_ref()), "another step changes values alone");
        adam.moments_mut().reset_units("w", 0, &Tensor::from_slice(&[1i64]));
        assert_ne!(stepped, of(adam.as_ref()), "counters of units are another tensor");
    }

    #[test]
    fn the_two_latest_kinds_of_work_are_known() {
        let mut recorder = Recorder::<()>::new(Device::Cpu, true);
        let of = |number: f64| Signature::default().number(number);
        for number in [1.0, 2.0, 1.0, 2.0, 1.0] {
            recorder.know(of(number)).times += 1;
        }
        assert_eq!([1.0, 2.0].map(|number| recorder.know(of(number)).times), [3, 2]);
        assert_eq!(recorder.know(of(3.0)).times, 0);
        assert_eq!(recorder.know(of(2.0)).times, 2, "the one before");
        assert_eq!(recorder.know(of(1.0)).times, 0, "forgotten");
    }

    #[test]
    fn without_a_gpu_work_is_done_as_it_comes() {
        let mut recorder = Recorder::new(Device::Cpu, true);
        let mut times = 0;
        for _ in 0..3 * SAME_BEFORE {
            recorder.run((), |()| panic!("nobody asks"), |()| times += 1);
        }
        assert_eq!(times, 3 * SAME_BEFORE);
    }

    /// Nothing is recorded here, so that no GPU is needed.
    #[test]
    fn work_that_changes_its_own_signature_is_not_what_is_recorded() {
        let mut recorder = Recorder::new(Device::Cuda(0), true);
        let of = |value: &&mut f64| Signature::default().number(**value);
        let (mut value, mut done) = (0.0, 0);
        for round in 0..10 * SAME_BEFORE {
            // One changes 0 to 1, the next leaves 1 as it is; then all begins again.
            if round % 2 == 0 {
                value = 0.0;
            }
            if recorder.known.iter().any(|known| known.times == SAME_BEFORE) {
                break; // the next would be recorded
            }
            recorder.run(&mut value, of, |value| {
                **value = 1.0;
                done += 1;
            });
        }
        let times = |number: f64| {
            let known =
                recorder.known.iter().find(|k| k.signature == Signature::default().number(number));
            known.expect("seen").times
        };
        assert_eq!((times(0.0), times(1.0)), (0, SAME_BEFORE));
        assert_eq!(done, 2 * SAME_BEFORE);
    }
}
