use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::*;
use crate::{
    classification::{Dataset, DatasetName, Split},
    env::{EnvError, EnvFactory, FrameShape, Role, Step},
    vector::VectorEnv,
};

/// Ten classes of twenty 1x2 images that show class and place; the held-out ones are marked.
fn images(split: Split) -> Result<Dataset, EnvError> {
    let mark = if split == Split::Train { 0 } else { 100 };
    let labels: Vec<u8> = (0..200).map(|place| place % 10).collect();
    let images = labels.iter().zip(0..).flat_map(|(&label, place)| [label + mark, place]).collect();
    Dataset::new(FrameShape { channels: 1, height: 1, width: 2 }, images, &labels, 10)
}

fn labels_config() -> RandomLabelsConfig {
    RandomLabelsConfig { images: 60, tasks: 3, steps_per_task: 500, ..Default::default() }
}

fn random_labels(config: RandomLabelsConfig) -> SupervisedFactory {
    let train_only = |split| match split {
        Split::Train => images(split),
        Split::Test => Err(EnvError::Failed("held-out images are not needed".to_owned())),
    };
    RandomLabels::factory(config, train_only).expect("a factory")
}

fn incremental(config: ClassIncrementalConfig) -> SupervisedFactory {
    ClassIncremental::factory(config, images).expect("a factory")
}

/// What an instance shows and tells over so many steps: image, label, step.
fn seen(
    factory: &dyn EnvFactory,
    role: Role,
    seed: u64,
    steps: usize,
) -> Vec<([u8; 2], u32, Step)> {
    let mut env = factory.make(role, 1).expect("an instance");
    let mut frame = [0; 2];
    env.reset(Some(seed), &mut frame).expect("a reset");
    let step = |at: usize| {
        let shown = frame;
        let step = env.step(at % 10, &mut frame).expect("a step");
        (shown, step.right_action.expect("supervised"), step)
    };
    (0..steps).map(step).collect()
}

/// The label of every image shown in a task. Fails if an image has two.
fn labels_of(seen: &[([u8; 2], u32, Step)], task: u32) -> BTreeMap<[u8; 2], u32> {
    let mut labels = BTreeMap::new();
    for (image, label, _) in seen.iter().filter(|(_, _, step)| step.task == task) {
        let before = labels.insert(*image, *label);
        assert!(before.is_none_or(|before| before == *label), "{image:?} has two labels");
    }
    labels
}

#[test]
fn labels_stay_within_a_task_and_are_drawn_anew_for_the_next() {
    let factory = random_labels(labels_config());
    let seen = seen(&factory, Role::Training, 1, 1500);
    let tasks: Vec<_> = (0..3).map(|task| labels_of(&seen, task)).collect();
    // 500 draws of 60 images leave one out with probability 0.013; seed 1 shows all.
    let images: Vec<BTreeSet<_>> = tasks.iter().map(|task| task.keys().collect()).collect();
    assert_eq!((images[0].len(), &images[0]), (60, &images[1]));
    for (one, other) in [(0, 1), (1, 2), (0, 2)] {
        let same = tasks[one].iter().filter(|(image, label)| tasks[other][*image] == **label);
        // 6 expected by chance, standard deviation 2.3.
        assert!(same.count() < 15, "tasks {one} and {other}");
    }
}

#[test]
fn permuted_labels_are_as_frequent_as_the_classes_and_uniform_ones_need_not_be() {
    let counts = |labels, task_seed| {
        let config = RandomLabelsConfig { labels, task_seed, images: 0, ..labels_config() };
        let factory = random_labels(config);
        let seen = seen(&factory, Role::Training, 1, 20_000);
        let mut counts = [0; 10];
        labels_of(&seen, 2).values().for_each(|label| counts[*label as usize] += 1);
        counts
    };
    assert_eq!(counts(Labels::Permuted, 0), [20; 10]);
    let uniform = counts(Labels::Uniform, 0);
    assert_ne!(uniform, [20; 10]);
    // Each is binomial with mean 20 and standard deviation 4.2.
    assert!(uniform.iter().all(|count| (4..36).contains(count)), "{uniform:?}");
    assert_ne!(counts(Labels::Uniform, 1), uniform);
}

#[test]
fn every_instance_and_role_has_the_same_labels() {
    let factory = random_labels(labels_config());
    let first = labels_of(&seen(&factory, Role::Training, 1, 500), 0);
    for (role, seed) in [(Role::Training, 2), (Role::Evaluation, 3)] {
        let other = labels_of(&seen(&factory, role, seed, 500), 0);
        assert!(other.iter().all(|(image, label)| first[image] == *label), "{role:?}");
    }
    assert_eq!(factory.evaluation_data(), Some("training images"));
    assert_eq!(factory.provenance().len(), 2);
}

/// The labels are the task: a new version of a generator must not change them unseen.
#[test]
fn the_first_labels_of_seed_zero_stay_what_they_are() {
    let factory = random_labels(labels_config());
    let labels = labels_of(&seen(&factory, Role::Training, 1, 500), 0);
    let first: Vec<_> = labels.into_iter().take(5).collect();
    assert_eq!(first, FIRST);
}

const FIRST: [([u8; 2], u32); 5] =
    [([0, 40], 6), ([0, 110], 6), ([0, 140], 5), ([1, 1], 8), ([1, 21], 9)];

#[test]
fn the_answer_pays_where_it_is_the_label() {
    for (_, label, step) in seen(&random_labels(labels_config()), Role::Training, 4, 300) {
        assert!(label < 10 && step.discount == 1.0 && step.frames == 1 && !step.is_last());
        assert_eq!(step.reward, step.raw_reward);
    }
    let factory = random_labels(labels_config());
    let rewards = seen(&factory, Role::Training, 4, 300).into_iter().enumerate();
    for (at, (_, label, step)) in rewards {
        assert_eq!(step.reward == 1.0, (at % 10) as u32 == label);
    }
}

#[test]
fn every_image_is_shown_as_often_as_another() {
    let config = RandomLabelsConfig { images: 0, steps_per_task: 20_000, ..labels_config() };
    let mut counts = BTreeMap::new();
    for (image, _, _) in seen(&random_labels(config), Role::Training, 5, 20_000) {
        *counts.entry(image).or_insert(0u32) += 1;
    }
    assert_eq!(counts.len(), 200);
    let term = |count: &u32| (f64::from(*count) - 100.0).powi(2) / 100.0;
    let chi_square: f64 = counts.values().map(term).sum();
    // 199 degrees of freedom: above 266 with probability 1e-3; the seed is fixed.
    assert!(chi_square < 266.0, "chi-square {chi_square}");
}

#[test]
fn all_environments_change_their_task_with_the_same_step_and_the_last_one_stays() {
    let config = RandomLabelsConfig { steps_per_task: 4, ..labels_config() };
    let factory: Arc<dyn EnvFactory> = Arc::new(random_labels(config));
    let mut envs = VectorEnv::new(factory, Role::Training, 3, 2).expect("environments");
    envs.reset(&[1, 2, 3]).expect("a reset");
    let mut tasks = Vec::new();
    for _ in 0..16 {
        envs.send(&[0; 3]).expect("sent");
        let steps = &envs.recv().expect("received").steps;
        assert!(steps.iter().all(|step| step.task == steps[0].task));
        tasks.push(steps[0].task);
    }
    assert_eq!(tasks, [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2]);
}

#[test]
fn one_task_alone_shows_what_it_shows_in_its_turn() {
    let factory = random_labels(labels_config());
    let second = labels_of(&seen(&factory, Role::Training, 1, 1500), 1);
    let alone = factory.task(1).expect("there are three");
    assert_eq!(alone.spec().tasks, ["mnist labels 1"]);
    let labels = labels_of(&seen(alone.as_ref(), Role::Evaluation, 7, 1500), 0);
    assert_eq!(labels, second);
    assert!(factory.task(3).is_none());
}

#[test]
fn pixels_of_a_task_change_places_alike_in_all_images() {
    let config = PermutedInputsConfig { tasks: 8, steps_per_task: 10, ..Default::default() };
    let factory = PermutedInputs::factory(config, images).expect("a factory");
    let mut orders = BTreeSet::new();
    for task in 0..8 {
        let alone = factory.task(task).expect("there are eight");
        let mut swaps = BTreeSet::new();
        for (role, mark) in [(Role::Training, 0), (Role::Evaluation, 100)] {
            for ([one, other], label, _) in seen(alone.as_ref(), role, 1, 300) {
                let label = label as u8;
                // Places of class c are c, c + 10, ..: the image is known from its pixels in either order.
                let is_plain = one == label + mark && other % 10 == label;
                let is_swapped = other == label + mark && one % 10 == label;
                assert!(is_plain || is_swapped, "{one} {other} is no image of {label}");
                if is_plain != is_swapped {
                    swaps.insert(is_swapped);
                }
            }
        }
        assert_eq!(swaps.len(), 1, "task {task} has two orders");
        orders.extend(swaps);
    }
    // Of two pixels there are two orders: all eight tasks have one with probability 1/128.
    assert_eq!(orders.len(), 2);
}

#[test]
fn channels_of_a_pixel_stay_together() {
    let shape = FrameShape { channels: 3, height: 2, width: 5 };
    let pixels = examples::shuffled_pixels(shape, &mut examples::Draw::Pixels.rng(3, 0));
    let planes: Vec<Vec<u32>> = pixels
        .chunks(10)
        .zip(0..)
        .map(|(plane, index)| plane.iter().map(|from| from - 10 * index).collect())
        .collect();
    assert_eq!((&planes[1], &planes[2]), (&planes[0], &planes[0]));
    let places: BTreeSet<u32> = planes[0].iter().copied().collect();
    assert_eq!(places, (0..10).collect());
    assert_ne!(planes[0], (0..10).collect::<Vec<_>>());
}

#[test]
fn tasks_show_images_of_their_classes_alone() {
    let shown = |keep_old, role: Role| -> Vec<Vec<u32>> {
        let config = ClassIncrementalConfig {
            classes_per_task: 4,
            keep_old,
            steps_per_task: 300,
            ..Default::default()
        };
        let seen = seen(&incremental(config), role, 2, 1000);
        let classes = |task| {
            let labels = seen.iter().filter(|(_, _, step)| step.task == task);
            let labels: BTreeSet<u32> = labels.map(|(_, label, _)| *label).collect();
            labels.into_iter().collect()
        };
        for (image, label, _) in &seen {
            let mark = if role == Role::Training { 0 } else { 100 };
            assert_eq!(u32::from(image[0]), label + mark, "the true class, of its own images");
        }
        (0..3).map(classes).collect()
    };
    for role in [Role::Training, Role::Evaluation] {
        let new_alone = shown(false, role);
        assert_eq!(new_alone, [vec![0, 1, 2, 3], vec![4, 5, 6, 7], vec![8, 9]]);
        let all = shown(true, role);
        assert_eq!(all, [(0..4).collect::<Vec<_>>(), (0..8).collect(), (0..10).collect()]);
    }
}

#[test]
fn classes_arrive_in_a_drawn_order_where_configured() {
    let names = |shuffle_classes, task_seed| {
        let config = ClassIncrementalConfig {
            classes_per_task: 5,
            shuffle_classes,
            task_seed,
            ..Default::default()
        };
        incremental(config).spec().tasks.clone()
    };
    assert_eq!(names(false, 0), ["mnist classes 0 1 2 3 4", "mnist classes 5 6 7 8 9"]);
    assert_ne!(names(true, 0), names(false, 0));
    assert_ne!(names(true, 0), names(true, 1));
}

#[test]
fn a_warm_start_begins_with_a_part_of_the_images_and_goes_on_with_all() {
    let config = WarmStartConfig { first_share: 0.25, first_steps: 3000, ..Default::default() };
    let factory = WarmStart::factory(config, images).expect("a factory");
    let seen = seen(&factory, Role::Training, 3, 6000);
    let (first, all) = (labels_of(&seen, 0), labels_of(&seen, 1));
    assert_eq!((first.len(), all.len()), (50, 200));
    assert!(all.iter().all(|(image, label)| u32::from(image[0]) == *label), "true classes");
    assert_eq!(factory.spec().tasks, ["mnist some images", "mnist all images"]);
    assert_eq!(factory.evaluation_data(), Some("held-out images"));
    assert_eq!(factory.provenance().len(), 4);
}

#[test]
fn a_saved_state_continues_exactly_in_the_second_task() {
    let factory = random_labels(RandomLabelsConfig { steps_per_task: 10, ..labels_config() });
    let mut env = factory.make(Role::Training, 1).expect("an instance");
    let mut frame = [0; 2];
    env.reset(Some(9), &mut frame).expect("a reset");
    for at in 0..30 {
        let state = env.save_state().expect("saved");
        let mut twin = factory.make(Role::Training, 1).expect("an instance");
        twin.load_state(&state).expect("loaded");
        assert_eq!((twin.render(), twin.task()), (env.render(), env.task()), "{at}");
        let mut other = [0; 2];
        let steps = [twin.step(3, &mut other), env.step(3, &mut frame)];
        let [one, two] = steps.map(|step| step.expect("a step"));
        assert_eq!((one, other), (two, frame), "{at}");
    }
}

#[test]
fn states_of_other_sequences_and_bad_actions_are_refused() {
    let factory = random_labels(RandomLabelsConfig { steps_per_task: 10, ..labels_config() });
    let mut env = factory.make(Role::Training, 1).expect("an instance");
    let mut frame = [0; 2];
    assert!(matches!(env.step(0, &mut frame), Err(EnvError::NeedsReset)));
    env.reset(Some(9), &mut frame).expect("a reset");
    assert!(matches!(env.step(10, &mut frame), Err(EnvError::Action { action: 10, count: 10 })));
    for _ in 0..15 {
        env.step(0, &mut frame).expect("a step");
    }
    let state = env.save_state().expect("saved");
    assert!(env.load_state(b"torn").is_err());
    let slower = random_labels(RandomLabelsConfig { steps_per_task: 100, ..labels_config() });
    let mut slower = slower.make(Role::Training, 1).expect("an instance");
    let error = slower.load_state(&state).expect_err("in its first task").to_string();
    assert!(
        error.contains("task `mnist labels 1`") && error.contains("`mnist labels 0`"),
        "{error}"
    );
    let few =
        random_labels(RandomLabelsConfig { images: 1, steps_per_task: 10, ..labels_config() });
    let mut few = few.make(Role::Training, 1).expect("an instance");
    let error = few.load_state(&state).expect_err("it has one image").to_string();
    assert!(error.contains("of 1"), "{error}");
}

#[test]
fn settings_out_of_range_are_refused_by_name() {
    let refused = |built: Result<SupervisedFactory, EnvError>, expected: &str| {
        let error = built.expect_err("out of range").to_string();
        assert!(error.contains(expected), "{error}");
    };
    let labels = |config| RandomLabels::factory(config, images);
    refused(labels(RandomLabelsConfig { tasks: 0, ..labels_config() }), "`tasks` is 0");
    refused(labels(RandomLabelsConfig { tasks: 1001, ..labels_config() }), "at most 1000");
    refused(labels(RandomLabelsConfig { steps_per_task: 0, ..labels_config() }), "is 0");
    refused(labels(RandomLabelsConfig { images: 201, ..labels_config() }), "at most the 200");
    let pixels = PermutedInputsConfig { tasks: 0, ..Default::default() };
    refused(PermutedInputs::factory(pixels, images), "`tasks` is 0");
    let classes = |config| ClassIncremental::factory(config, images);
    let config = ClassIncrementalConfig::default;
    refused(classes(ClassIncrementalConfig { classes_per_task: 0, ..config() }), "is 0");
    refused(classes(ClassIncrementalConfig { classes_per_task: 11, ..config() }), "10 classes");
    let few = ClassIncrementalConfig { images: 1, keep_old: false, ..config() };
    refused(classes(few), "none of them is of the classes");
    for first_share in [0.0, 1.5, f64::NAN] {
        let config = WarmStartConfig { first_share, ..Default::default() };
        refused(WarmStart::factory(config, images), "`first_share` is");
    }
    let config = WarmStartConfig { first_steps: 0, ..Default::default() };
    refused(WarmStart::factory(config, images), "`first_steps` is 0");
}

#[test]
fn every_sequence_shows_every_data_set() {
    for dataset in DatasetName::ALL {
        let missing = |error| panic!("run `pliant fetch {}` first: {error}", dataset.name());
        let built: [Result<Box<dyn EnvFactory>, EnvError>; 4] = [
            RandomLabels::build(RandomLabelsConfig { dataset, ..Default::default() }),
            PermutedInputs::build(PermutedInputsConfig { dataset, ..Default::default() }),
            ClassIncremental::build(ClassIncrementalConfig { dataset, ..Default::default() }),
            WarmStart::build(WarmStartConfig { dataset, ..Default::default() }),
        ];
        for factory in built.map(|built| built.unwrap_or_else(missing)) {
            let spec = factory.spec();
            let len = if dataset == DatasetName::Cifar10 { 3072 } else { 784 };
            assert_eq!((spec.frame.len(), spec.actions.len()), (len, 10));
            assert!(spec.supervised && spec.continuing && spec.tasks.len() > 1);
            for role in [Role::Training, Role::Evaluation] {
                let mut env = factory.make(role, 1).expect("an instance");
                let mut frame = vec![0; len];
                env.reset(Some(1), &mut frame).expect("a reset");
                env.step(9, &mut frame).expect("a step");
                assert!(frame.iter().any(|&pixel| pixel > 100), "a picture is shown");
            }
        }
    }
}
