//! Saved states of every kind of part, with tensors and values that are missing, of another shape or type, or
//! no numbers: refused, or taken and worked with.

mod damage;

use std::{cell::OnceCell, ops::Range};

use damage::damaged_state;
use pliant_core::{
    clock::Clock,
    envs::{env::Step, vector::Batch},
    error::Result,
    metrics::Metrics,
    probe::Subject,
    registry::{Parameter, Registry},
    state::StateDict,
};
use pliant_fuzzing::{Surface, Verdict};

use crate::{
    config::{self, Options},
    episodes::Episodes,
    experiment::{self, Experiment},
    failure::legible,
    fakes,
    tasks::PresentTask,
};

pliant_fuzzing::surfaces! {
    damaged_states_of_optimizers_are_refused_or_worked_with: 4_000,
    damaged_states_of_interventions_are_refused_or_worked_with: 8_000,
    damaged_states_of_probes_are_refused_or_worked_with: 3_000,
    damaged_states_of_networks_are_refused_or_worked_with: 800,
    damaged_replays_are_refused_or_learned_from: 20_000,
}

/// Updates and whatever else happens soon.
const SOON: &[&str] = &[
    "network.kind=mlp",
    "network.width=4",
    "agent.batch_size=4",
    "agent.learning_starts=8",
    "agent.update_every_agent_steps=1",
    "agent.target_period_updates=3",
    "agent.replay_capacity=5000",
    "run.num_envs=2",
];

/// A run that is fed by hand.
struct Run {
    experiment: Experiment,
    episodes: Episodes,
    task: PresentTask,
    clock: Clock,
    frame: usize,
}

impl Run {
    fn new(set: &[String]) -> Self {
        let set = SOON.iter().map(|setting| (*setting).to_owned()).chain(set.to_vec()).collect();
        let mut layers = fakes::small_layers();
        layers.extend(config::layers(&Options { set, ..Options::default() }).expect("settings"));
        let plugins = fakes::plugins();
        let config = config::resolve(&layers, &plugins).unwrap_or_else(|error| panic!("{error}"));
        let experiment =
            experiment::build(config, &plugins).unwrap_or_else(|error| panic!("{error}"));
        let (episodes, task) =
            (Episodes::new(2), PresentTask::first_of(&experiment.factory.spec().tasks));
        let frame = experiment.factory.spec().frame.len();
        Self { experiment, episodes, task, clock: Clock::default(), frame }
    }

    /// The first frames, or those with which a run goes on without its replay.
    fn begin(&mut self) {
        let frames = vec![7; 2 * self.frame];
        let batch =
            Batch { frames: frames.clone(), final_frames: frames, steps: vec![Step::default(); 2] };
        self.experiment.agent.begin(&batch);
    }

    /// So many steps of both environments, with updates and measurements.
    fn feed(&mut self, steps: u64) -> Result<()> {
        let Experiment { agent, interventions, probes, .. } = &mut self.experiment;
        let mut metrics = Metrics::default();
        for _ in 0..steps {
            let before = self.clock;
            let actions = agent.act(&self.clock);
            agent.learn(&mut self.clock, interventions, &mut metrics)?;
            let tick = self.clock.agent_steps;
            let terminated = tick % 10 == 8;
            let step =
                Step { reward: 1.0, terminated, discount: 1.0, frames: 1, ..Step::default() };
            let batch = Batch {
                frames: vec![tick as u8; 2 * self.frame],
                final_frames: vec![tick as u8 ^ 255; 2 * self.frame],
                steps: vec![step; 2],
            };
            agent.observe(&actions, &batch);
            self.episodes.observe(&batch.steps);
            self.clock.agent_steps += 2;
            self.clock.frames += 2;
            let subject = Subject {
                learner: agent.learner(),
                data: agent.data(),
                states: None,
                clock: &self.clock,
                watch: &(),
            };
            probes.measure_due(&before, &subject, &mut metrics)?;
        }
        agent.drain_metrics(&mut metrics);
        self.episodes.drain(&[], &mut metrics);
        Ok(())
    }

    fn save(&self) -> StateDict {
        let mut state = StateDict::default();
        state.put_part("agent", self.experiment.agent.as_ref());
        state.put_part("interventions", &self.experiment.interventions);
        state.put_part("probes", &self.experiment.probes);
        state.put_part("train", &self.episodes);
        state.put_part("tasks", &self.task);
        state
    }

    /// As the runner restores.
    fn load(&mut self, state: &StateDict, clock: Clock) -> Result<()> {
        state.load_part("agent", self.experiment.agent.as_mut())?;
        state.load_part("interventions", &mut self.experiment.interventions)?;
        state.load_part("probes", &mut self.experiment.probes)?;
        state.load_part("train", &mut self.episodes)?;
        state.load_part("tasks", &mut self.task)?;
        self.clock = clock;
        Ok(())
    }
}

/// Settings of a run, and what it saved.
struct Saved {
    set: Vec<String>,
    state: OnceCell<(StateDict, Vec<u8>, Clock)>,
}

impl Saved {
    fn of(set: Vec<String>) -> Self {
        Self { set, state: OnceCell::new() }
    }

    fn get(&self) -> &(StateDict, Vec<u8>, Clock) {
        self.state.get_or_init(|| {
            let mut run = Run::new(&self.set);
            run.begin();
            run.feed(20).unwrap_or_else(|error| panic!("{:?}: {error}", self.set));
            let mut replay = Vec::new();
            run.experiment.agent.save_replay(&mut replay).expect("written");
            (run.save(), replay, run.clock)
        })
    }
}

/// Settings of a kind with which it acts soon and takes little time.
fn quick(parameters: &[Parameter]) -> String {
    let quick = [
        ("every_updates", "2"),
        ("at_updates", "[4, 17]"),
        ("maturity_updates", "3"),
        ("replacement_rate", "0.2"),
        ("batch_size", "8"),
        ("observations", "8"),
        ("targets", "1"),
        ("steps", "3"),
        ("learned", "8"),
        ("tau", "0.7"),
    ];
    let has = |name: &str| parameters.iter().any(|parameter| parameter.name == name);
    let has_times = has("at_updates");
    let fits = |(name, _): &&(&str, &str)| has(name) && !(has_times && *name == "every_updates");
    quick.iter().filter(fits).map(|(name, value)| format!(", {name} = {value}")).collect()
}

/// One run for each kind of a family.
fn of_family<T: 'static>(
    registry: &Registry<T>,
    set: impl Fn(&str, &str) -> Vec<String>,
) -> Vec<Saved> {
    registry.iter().map(|(kind, entry)| Saved::of(set(kind, &quick(&entry.parameters)))).collect()
}

fn check(surface: &'static str, cases: Range<u64>, runs: &[Saved]) {
    tch::set_num_threads(1);
    Surface::new(surface).with_most_bytes(128_000_000).check(cases, |damage| {
        let saved = damage.one_of(runs);
        let (state, _, clock) = saved.get();
        let mut run = Run::new(&saved.set);
        run.begin();
        let damaged = damaged_state(damage, state);
        let taken = run.load(&damaged, *clock).and_then(|()| run.feed(12));
        if taken.is_ok() {
            run.save();
        }
        taken
            .map_or_else(|error| Verdict::Refused(legible(&error.to_string())), |()| Verdict::Taken)
    });
}

fn damaged_states_of_optimizers_are_refused_or_worked_with(cases: Range<u64>) {
    let set = |kind: &str, _: &str| vec![format!("agent.optimizer={{kind = \"{kind}\"}}")];
    check("optimizer states", cases, &of_family(&fakes::plugins().optimizers, set));
}

fn damaged_states_of_interventions_are_refused_or_worked_with(cases: Range<u64>) {
    let set =
        |kind: &str, quick: &str| vec![format!("interventions=[{{kind = \"{kind}\"{quick}}}]")];
    check("intervention states", cases, &of_family(&fakes::plugins().interventions, set));
}

fn damaged_states_of_probes_are_refused_or_worked_with(cases: Range<u64>) {
    let mut plugins = fakes::plugins();
    let probes = std::mem::replace(&mut plugins.probes, Registry::new("probe"));
    let set = |kind: &str, quick: &str| vec![format!("probes=[{{kind = \"{kind}\"{quick}}}]")];
    let mut runs = of_family(&probes, set);
    runs.retain(|saved| !saved.set[0].contains("\"q_error\"")); // needs a task whose states are known
    check("probe states", cases, &runs);
}

fn damaged_states_of_networks_are_refused_or_worked_with(cases: Range<u64>) {
    let set = |kind: &str, _: &str| {
        let small = match kind {
            "mlp" => "width = 4",
            "vit" => "width = 8, feed_forward = 12, heads = 2",
            "impala" => "width = 0.25, dense = 8",
            _ => "width = 0.03125",
        };
        let [side, buffer] =
            ["env.side=36", "interventions=[{kind = \"spectral_norm\"}]"].map(str::to_owned);
        vec![side, format!("network={{kind = \"{kind}\", {small}}}"), buffer]
    };
    check("network states", cases, &of_family(&fakes::plugins().networks, set));
}

fn damaged_replays_are_refused_or_learned_from(cases: Range<u64>) {
    let saved = Saved::of(vec!["agent.replay_capacity=60".to_owned()]);
    let (state, replay, clock) = saved.get();
    Surface::new("replay").check(cases, |damage| {
        let mut run = Run::new(&saved.set);
        run.begin();
        let bytes = damage.bytes(replay, &[]);
        let loaded = run.load(state, *clock).and_then(|()| {
            if damage.once_in(2) {
                return run.experiment.agent.load_replay(&mut bytes.as_slice());
            }
            let packed = zstd::encode_all(bytes.as_slice(), 1)?;
            let packed = if damage.once_in(2) { damage.bytes(&packed, &[]) } else { packed };
            let mut reader = zstd::Decoder::new(packed.as_slice())?;
            run.experiment.agent.load_replay(&mut reader)
        });
        let taken = loaded.and_then(|()| run.feed(40));
        taken
            .map_or_else(|error| Verdict::Refused(legible(&error.to_string())), |()| Verdict::Taken)
    });
}

/// A learner whose clock is that of another run would make up for millions of updates, or learn nothing for as many.
#[test]
fn an_agent_that_last_learned_at_another_time_is_refused() {
    let saved = Saved::of(Vec::new());
    let (state, _, clock) = saved.get();
    for agent_steps in [0, clock.agent_steps - 4, clock.agent_steps + 40, 1 << 40] {
        let mut run = Run::new(&saved.set);
        run.begin();
        run.load(state, Clock { agent_steps, ..*clock }).expect("a whole state");
        let error = run.feed(1).expect_err("another time").to_string();
        assert!(error.contains("does not fit the run's"), "{agent_steps}: {error}");
    }
}

/// What is remembered of a variable has its shape, which is known when it is used.
#[test]
fn what_an_intervention_remembers_of_another_network_is_refused() {
    for kind in [
        "l2_init",
        "upgd",
        "trac",
        "continual_backprop",
        "spectral_regularization",
        "normalize_and_project",
    ] {
        let of_width = |width| {
            vec![format!("interventions=[{{kind = \"{kind}\"}}]"), format!("network.width={width}")]
        };
        let (saved, other) = (Saved::of(of_width(4)), Saved::of(of_width(6)));
        let theirs = |name: &&String| name.starts_with("interventions/");
        let (own, foreign) = (&saved.get().0, &other.get().0);
        let copy = |state: &StateDict, name: &String| (name.clone(), state.tensors()[name].copy());
        let mut tensors: std::collections::BTreeMap<_, _> =
            own.tensors().keys().map(|name| copy(own, name)).collect();
        tensors.extend(foreign.tensors().keys().filter(theirs).map(|name| copy(foreign, name)));
        let mixed = StateDict::from_parts(tensors, own.values().clone());
        let mut run = Run::new(&saved.set);
        run.begin();
        let refused = run.load(&mixed, saved.get().2).and_then(|()| run.feed(8));
        if kind == "normalize_and_project" {
            refused.expect("norms have no shape");
            continue;
        }
        let error = refused.err().unwrap_or_else(|| panic!("{kind} takes it")).to_string();
        assert!(error.contains(kind) && error.contains("remembered of"), "{kind}: {error}");
    }
}
