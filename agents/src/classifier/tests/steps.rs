//! What happens when, and what is kept.

use super::*;

#[test]
fn every_step_but_the_first_is_an_update_once_learning_starts() {
    for (learning_starts, steps, updates) in
        [(0, 1, 0), (0, 2, 1), (0, 10, 9), (16, 10, 9), (17, 10, 8), (160, 10, 0), (160, 11, 1)]
    {
        let config = ClassifierConfig { learning_starts, ..ClassifierConfig::default() };
        let mut run = Run::new(agent(config), Pictures::new(50, 1, 1));
        run.run(steps);
        assert_eq!(run.clock.updates, updates, "{learning_starts} {steps}");
        assert_eq!(run.agent.most_updates(run.clock.agent_steps), updates);
        assert_eq!(run.agent.learner.updates, updates);
    }
}

/// Notes when it is called, and which labels the last batch of a target update had.
struct Recorder(std::sync::mpsc::Sender<(u64, bool)>);

pliant_core::stateless!(Recorder);

impl Intervention for Recorder {
    fn after_update(&mut self, _learner: &mut Learner, hook: &mut Hook<'_>) -> Result<()> {
        self.0.send((hook.clock.updates, hook.ends_in_target_update)).expect("somebody listens");
        Ok(())
    }
}

#[test]
fn a_target_period_of_a_tasks_length_ends_with_the_tasks_last_minibatch() {
    let config = ClassifierConfig { target_period_updates: 5, ..ClassifierConfig::default() };
    let mut run = Run::new(agent(config), Pictures::new(50, 3, 5));
    let (sender, calls) = std::sync::mpsc::channel();
    let parts: Vec<(String, Box<dyn Intervention>)> =
        vec![("recorder".to_owned(), Box::new(Recorder(sender)))];
    run.interventions = Interventions::new(parts, &Seeds::new(0));
    let mut tasks = Vec::new();
    for _ in 0..12 {
        // What is learned in this step was shown in the one before.
        let learned = run.pictures.step.checked_sub(1);
        tasks.extend(learned.map(|step| step / 5));
        run.step();
    }
    let ends: Vec<_> = calls.try_iter().collect();
    assert_eq!(
        ends.iter().map(|(updates, _)| *updates).collect::<Vec<_>>(),
        (1..=11).collect::<Vec<_>>()
    );
    let last: Vec<usize> = (0..10).filter(|at| tasks[*at] != tasks[at + 1]).collect();
    let ending: Vec<usize> = (0..11).filter(|at| ends[*at].1).collect();
    assert_eq!((last, ending), (vec![4, 9], vec![4, 9]));
}

#[test]
fn a_resumed_agent_goes_on_to_the_bit_in_its_second_task() {
    let pictures = || Pictures::new(50, 3, 20);
    let mut run = Run::new(agent(ClassifierConfig::default()), pictures());
    run.run(33);
    let mut state = StateDict::default();
    run.agent.save(&mut state);
    let mut memory = Vec::new();
    run.agent.save_replay(&mut memory).expect("bytes in memory");

    let other =
        built(ClassifierConfig::default(), NetworkPlan::default(), adam(), Precision::F32, 7);
    let mut resumed = Run::new(other.expect("a scalar head"), pictures());
    resumed.agent.load(&state).expect("saved above");
    resumed.agent.load_replay(&mut memory.as_slice()).expect("saved above");
    let mut again = StateDict::default();
    resumed.agent.save(&mut again);
    assert_eq!(again.values(), state.values());
    for (name, tensor) in state.tensors() {
        assert!(again.tensor(name).is_ok_and(|loaded| loaded.equal(tensor)), "{name}");
    }
    resumed.clock = run.clock;
    resumed.pictures = run.pictures.clone();
    resumed.run(40);
    run.run(40);
    assert_eq!(bits(&resumed.agent.learner), bits(&run.agent.learner));
    let drawn = |agent: &Classifier| {
        let mut stream = Seeds::new(0).stream("probe");
        let drawn = agent.data().transitions(30, &mut stream).expect("as many are there");
        (Vec::<i64>::try_from(&drawn.a_tm1).expect("labels"), drawn.s_tm1)
    };
    let ((labels, images), (expected, others)) = (drawn(&resumed.agent), drawn(&run.agent));
    assert!(labels == expected && images.equal(&others), "probes go on with the same data");
}

#[test]
fn drawing_for_a_probe_changes_no_number() {
    let run = || Run::new(agent(ClassifierConfig::default()), Pictures::new(50, 2, 15));
    let (mut plain, mut probed) = (run(), run());
    let mut stream = Seeds::new(0).stream("probes/0_any");
    for _ in 0..30 {
        plain.step();
        probed.step();
        if let Some(batch) = probed.agent.data().transitions(8, &mut stream) {
            let _losses = probed.agent.data().losses(&probed.agent.learner, &batch, None);
        }
    }
    assert_eq!(bits(&probed.agent.learner), bits(&plain.agent.learner));
}

/// Probes see the present task: what it showed, under the labels that it told.
#[test]
fn a_probes_data_are_the_present_tasks_different_images_and_labels() {
    let mut run = Run::new(agent(ClassifierConfig::default()), Pictures::new(50, 2, 40));
    let mut stream = Seeds::new(0).stream("probe");
    for (steps, task) in [(40, 0), (40, 1)] {
        run.run(steps);
        let count = run.agent.data().len() as usize;
        assert!((45..=50).contains(&count), "40 steps of 16 show nearly all of 50: {count}");
        let drawn = run.agent.data().transitions(count, &mut stream).expect("all that are there");
        let labels = Vec::<i64>::try_from(&drawn.a_tm1).expect("labels");
        let images = Vec::<u8>::try_from(&drawn.s_tm1.reshape([-1])).expect("images");
        let mut places: Vec<usize> = Vec::new();
        for (image, label) in images.chunks_exact(FRAME.len()).zip(labels) {
            let place = (0..50).find(|place| run.pictures.image(*place) == image).expect("one");
            assert_eq!(i64::from(run.pictures.labels[task][place]), label);
            places.push(place);
        }
        places.sort_unstable();
        places.dedup();
        assert_eq!(places.len(), count, "each is there once");
        assert!(run.agent.data().transitions(count + 1, &mut stream).is_none());
    }
    run.pictures.labels.push(vec![0; 50]);
    (run.pictures.step, run.pictures.steps_per_task) = (2, 1);
    run.step();
    assert!(run.agent.data().len() <= BATCH as u64, "another task begins with nothing");
}

#[test]
fn outputs_that_are_no_classes_are_refused() {
    let support = Support::new(-1.0, 1.0, 5).expect("valid");
    let head = Head::Categorical(Categorical { support, encoding: Encoding::TwoHot });
    let plan = NetworkPlan { head, ..NetworkPlan::default() };
    let refused = built(ClassifierConfig::default(), plan, adam(), Precision::F32, 0);
    let message = refused.err().expect("a distribution per class").to_string();
    assert!(message.contains("one output per class") && message.contains("two-hot"), "{message}");
}

#[test]
fn settings_out_of_range_are_refused_by_name() {
    let refused = |change: fn(&mut ClassifierConfig), expected: &str| {
        let mut config = ClassifierConfig::default();
        change(&mut config);
        let message = Factory::build(config).expect_err("out of range").to_string();
        assert_eq!(message, expected);
    };
    refused(
        |config| config.target_period_updates = 0,
        "`target_period_updates` is 0, expected at least 1",
    );
    refused(|config| config.memory_images = 0, "`memory_images` is 0, expected at least 1");
    refused(
        |config| config.memory_images = 1 << 21,
        "`memory_images` is 2097152, expected at most 1048576",
    );
}
