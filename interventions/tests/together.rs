//! Interventions together, and on networks with statistics, skip connections and divided weights.

use std::sync::Arc;

use pliant_agents::networks::{
    Cnn, CnnConfig, Impala, ImpalaConfig, Mlp, MlpConfig, ResNet18, ResNet18Config,
};
use pliant_core::{
    clock::Clock,
    intervention::{Intervention, Interventions, UpdateBatch},
    learner::Learner,
    metrics::Metrics,
    network::{Architecture, Model, NetworkSpec, SETTLED, Taps, spectral_buffer},
    optimizer::{Sgd, SgdConfig},
    schedule::{Scheduled, UpdateSchedule},
    seeds::Seeds,
    tch::{Device, Kind, Tensor, no_grad},
};
use pliant_interventions::{
    Infer, InferConfig, Parseval, ParsevalConfig, PlasticityInjection, PlasticityInjectionConfig,
    Redo, RedoConfig, ResetFull, ResetFullConfig, ResetHead, ResetHeadConfig, ShrinkAndPerturb,
    ShrinkAndPerturbConfig, SpectralNorm, SpectralNormConfig, SpectralRegularization,
    SpectralRegularizationConfig,
};

type Built = Result<Box<dyn Intervention>, String>;

/// A learner under some interventions that act after every update, after three updates on noise.
fn after_updates(architecture: Arc<dyn Architecture>, parts: Vec<Built>) -> Learner {
    let seeds = Seeds::new(0);
    let named = |part: Built| ("tested".to_owned(), part.expect("valid settings"));
    let mut interventions = Interventions::new(parts.into_iter().map(named).collect(), &seeds);
    let plan = interventions.plan().expect("nothing to collide with");
    let spec = NetworkSpec { observation: [1, 16, 16], actions: 3, plan };
    let model = Model::new(architecture, spec, &mut seeds.stream("network"), Device::Cpu);
    let sgd = Sgd::build(SgdConfig { learning_rate: 0.01, momentum: 0.9 }).expect("valid");
    let mut learner = Learner::new(model.expect("fits"), sgd);
    interventions.after_build(&mut learner).expect("nothing to collide with");
    let (mut clock, mut metrics) = (Clock::default(), Metrics::default());
    let mut stream = seeds.stream("observations");
    for _ in 0..3 {
        let noise = stream.uniform(&[4, 1, 16, 16], 127.0) + 128.0;
        let observations = noise.to_kind(Kind::Uint8);
        let mut taps = Taps::default();
        let mut dropout = seeds.stream("dropout");
        let outputs = learner.online.forward_training(&observations, &mut dropout, Some(&mut taps));
        let batch = UpdateBatch { observations: &observations, taps: &taps };
        let loss = outputs.square().mean(Kind::Float);
        learner
            .update(loss, &batch, 1000, &mut interventions, &mut clock, &mut metrics)
            .expect("a finite loss");
    }
    learner
}

fn every_update() -> UpdateSchedule {
    UpdateSchedule::every(1)
}

fn resnet() -> Arc<dyn Architecture> {
    ResNet18::build(ResNet18Config { width: 0.0625, ..ResNet18Config::default() }).expect("valid")
}

fn numbers(model: &Model, name: &str) -> Vec<f32> {
    let variable = model.variables().get(name).unwrap_or_else(|| panic!("no `{name}`"));
    Vec::try_from(&variable.detach().contiguous().reshape([-1])).expect("f32")
}

#[test]
fn a_full_reset_begins_running_statistics_anew() {
    let plain = after_updates(resnet(), Vec::new());
    assert!(numbers(&plain.online, "stem/running_mean").iter().any(|mean| *mean != 0.0));
    let config = ResetFullConfig {};
    let reset = ResetFull::build(Scheduled { config, schedule: every_update() });
    let learner = after_updates(resnet(), vec![reset]);
    for model in [&learner.online, &learner.target] {
        assert!(numbers(model, "stem/running_mean").iter().all(|mean| *mean == 0.0));
        assert!(numbers(model, "stem/running_variance").iter().all(|variance| *variance == 1.0));
    }
}

#[test]
fn a_recycled_unit_begins_its_running_statistics_anew() {
    // Every unit is dormant beside a tau that no activity exceeds.
    let config = RedoConfig { tau: 1e9 };
    let redo = Redo::build(Scheduled { config, schedule: every_update() });
    let learner = after_updates(resnet(), vec![redo]);
    let inner = "stage1/block1/conv1/running_mean";
    assert!(numbers(&learner.online, inner).iter().all(|mean| *mean == 0.0));
    let carried = numbers(&learner.online, "stem/running_mean");
    assert!(carried.iter().any(|mean| *mean != 0.0), "a skip connection's units are left alone");
}

#[test]
fn a_spectral_estimate_is_right_after_its_weight_was_drawn_anew_or_perturbed() {
    let spectral = || {
        let layers = vec!["all".to_owned()];
        SpectralNorm::build(SpectralNormConfig { layers, ..SpectralNormConfig::default() })
    };
    let schedule = every_update;
    let full = ResetFull::build(Scheduled { config: ResetFullConfig {}, schedule: schedule() });
    let perturb = ShrinkAndPerturbConfig { shrink: 0.1, perturb: 5.0, layers: Vec::new() };
    let perturb = ShrinkAndPerturb::build(Scheduled { config: perturb, schedule: schedule() });
    let redo = Redo::build(Scheduled { config: RedoConfig { tau: 0.5 }, schedule: schedule() });
    for (name, part) in [("reset_full", full), ("shrink_and_perturb", perturb), ("redo", redo)] {
        let mlp = Mlp::build(MlpConfig { width: 16, ..MlpConfig::default() }).expect("valid");
        let learner = after_updates(mlp, vec![spectral(), part]);
        for layer in ["dense1", "dense2"] {
            let variables = learner.online.variables();
            let weight = variables.get(&format!("{layer}/weight")).expect("a weight").detach();
            let u = variables.get(&spectral_buffer(layer)).expect("an estimate");
            // |W^T u| is the largest singular value if u is its left vector.
            let estimate = weight.transpose(0, 1).mv(u).square().sum(Kind::Double).sqrt();
            let (_, values, _) = no_grad(|| weight.svd(true, true));
            let ratio = estimate.double_value(&[]) / values.double_value(&[0]);
            assert!((ratio - 1.0).abs() < 1e-3, "{name}: {layer}: {ratio} of the largest");
        }
    }
}

/// Which layers of a network a reset of the last `count` draws anew, the last first.
fn redrawn(architecture: &Arc<dyn Architecture>, count: u32) -> Vec<String> {
    let config = ResetHeadConfig { last_layers: count };
    let reset = ResetHead::build(Scheduled { config, schedule: every_update() });
    let with = after_updates(Arc::clone(architecture), vec![reset]);
    let layers = with.online.layers();
    // A redraw reaches both networks alike; learning alone would leave the target as it was.
    let is_alike = |layer: &&String| {
        let name = format!("{layer}/weight");
        numbers(&with.online, &name) == numbers(&with.target, &name)
    };
    layers.iter().rev().filter(is_alike).cloned().collect()
}

#[test]
fn last_layers_count_every_layer_of_a_residual_network() {
    let impala = Impala::build(ImpalaConfig { width: 0.25, dense: 8, ..ImpalaConfig::default() });
    let impala = impala.expect("valid");
    let expected = ["output", "dense", "section3/block2/conv2", "section3/block2/conv1"];
    for count in [1, 2, 4] {
        assert_eq!(redrawn(&impala, count), expected[..count as usize]);
    }
    let expected = [
        "output",
        "stage4/block2/conv2",
        "stage4/block2/conv1",
        "stage4/block1/conv2",
        "stage4/block1/shortcut",
        "stage4/block1/conv1",
    ];
    assert_eq!(redrawn(&resnet(), 6), expected);
}

#[test]
fn a_weight_of_zero_is_neither_divided_nor_an_end_of_learning() {
    let mlp = Mlp::build(MlpConfig { width: 4, ..MlpConfig::default() }).expect("valid");
    let plan = {
        let layers = vec!["dense1".to_owned()];
        let norm = SpectralNormConfig { layers, ..SpectralNormConfig::default() };
        let parts = vec![("spectral".to_owned(), SpectralNorm::build(norm).expect("valid"))];
        Interventions::new(parts, &Seeds::new(0)).plan().expect("alone")
    };
    let spec = NetworkSpec { observation: [1, 1, 1], actions: 1, plan };
    let mut stream = Seeds::new(0).stream("network");
    let model = Model::new(mlp, spec, &mut stream, Device::Cpu).expect("fits");
    let weight = model.variables().get("dense1/weight").expect("a weight");
    let _ = no_grad(|| weight.shallow_clone().fill_(0.0));
    model.settle(SETTLED, |_| true);
    let pixel = Tensor::from_slice(&[255u8]).reshape([1, 1, 1, 1]);
    let output = model.forward(&pixel, None);
    assert!(output.double_value(&[0, 0]).is_finite());
    output.backward();
    let gradient = weight.grad();
    assert!(gradient.isfinite().all().int64_value(&[]) == 1, "{gradient}");
}

#[test]
fn a_targets_spectral_estimate_is_settled_with_its_weight() {
    let layers = vec!["all".to_owned()];
    let spectral =
        SpectralNorm::build(SpectralNormConfig { layers, ..SpectralNormConfig::default() });
    let schedule = every_update();
    let full = ResetFull::build(Scheduled { config: ResetFullConfig {}, schedule });
    let mlp = Mlp::build(MlpConfig { width: 16, ..MlpConfig::default() }).expect("valid");
    let learner = after_updates(mlp, vec![spectral, full]);
    for layer in ["dense1", "dense2"] {
        let [online, target] = [&learner.online, &learner.target].map(|model| {
            let u = model.variables().get(&spectral_buffer(layer)).expect("an estimate");
            let weight = model.variables().get(&format!("{layer}/weight")).expect("a weight");
            weight.detach().transpose(0, 1).mv(u).square().sum(Kind::Double).double_value(&[])
        });
        assert!((online / target - 1.0).abs() < 1e-3, "{layer}: {online} and {target}");
    }
}

#[test]
fn recycling_right_after_plasticity_was_injected_changes_no_output() {
    let injection = || {
        let mut table = Scheduled::from(PlasticityInjectionConfig {});
        table.schedule.at_updates = vec![3];
        PlasticityInjection::build(table)
    };
    let third = || UpdateSchedule { at_updates: vec![3], ..UpdateSchedule::default() };
    let redo = || Redo::build(Scheduled { config: RedoConfig { tau: 0.95 }, schedule: third() });
    let cnn = || Cnn::build(CnnConfig { width: 0.125, ..CnnConfig::default() }).expect("valid");
    let learner = after_updates(cnn(), vec![injection(), redo()]);
    let [learned, start] = ["injected/output/weight", "injected_start/output/weight"]
        .map(|name| numbers(&learner.online, name));
    assert_eq!(learned, start, "what was just made is not recycled");
}

/// What an intervention adds to the loss of a learner with a spectrally normalised first layer, which is
/// then made twice as large.
fn penalties_before_and_after(part: Built) -> (f64, f64) {
    let layers = vec!["dense1".to_owned()];
    let spectral =
        SpectralNorm::build(SpectralNormConfig { layers, ..SpectralNormConfig::default() });
    let named = |part: Built| ("tested".to_owned(), part.expect("valid settings"));
    let seeds = Seeds::new(0);
    let parts = [spectral, part].map(named).into_iter().collect();
    let mut interventions = Interventions::new(parts, &seeds);
    let plan = interventions.plan().expect("nothing to collide with");
    let spec = NetworkSpec { observation: [1, 2, 2], actions: 3, plan };
    let mlp = Mlp::build(MlpConfig { width: 4, ..MlpConfig::default() }).expect("valid");
    let model = Model::new(mlp, spec, &mut seeds.stream("network"), Device::Cpu).expect("fits");
    let sgd = Sgd::build(SgdConfig { learning_rate: 1e-12, momentum: 0.0 }).expect("valid");
    let mut learner = Learner::new(model, sgd);
    interventions.after_build(&mut learner).expect("nothing to collide with");
    let (mut clock, mut metrics) = (Clock::default(), Metrics::default());
    let observations = Tensor::full([1, 1, 2, 2], 200, (Kind::Uint8, Device::Cpu));
    let mut penalty = || {
        let mut taps = Taps::default();
        let loss = learner.online.forward(&observations, Some(&mut taps)).sum(Kind::Float);
        let batch = UpdateBatch { observations: &observations, taps: &taps };
        let losses =
            learner.update(loss, &batch, 1000, &mut interventions, &mut clock, &mut metrics);
        let weight = learner.online.variables().get("dense1/weight").expect("a weight");
        no_grad(|| weight.shallow_clone().copy_(&(weight * 2.0)));
        losses.expect("finite").penalties[0].1
    };
    (penalty(), penalty())
}

#[test]
fn weights_that_are_divided_by_their_norm_are_left_out_of_penalties_on_it() {
    let parseval = Parseval::build(ParsevalConfig::default().into());
    let spectral = SpectralRegularization::build(
        SpectralRegularizationConfig { biases: false, ..SpectralRegularizationConfig::default() }
            .into(),
    );
    for part in [parseval, spectral] {
        let (before, after) = penalties_before_and_after(part);
        assert!(before > 0.0 && (after / before - 1.0).abs() < 1e-4, "{before}, then {after}");
    }
}

#[test]
fn infer_compares_under_the_same_statistics() {
    // Nothing was learned yet, so the features are what they were: with a scale of 1 there is no distance.
    let config = InferConfig { scale: 1.0, ..InferConfig::default() };
    let named = ("infer".to_owned(), Infer::build(config.into()).expect("valid"));
    let seeds = Seeds::new(0);
    let mut interventions = Interventions::new(vec![named], &seeds);
    let plan = interventions.plan().expect("alone");
    let spec = NetworkSpec { observation: [1, 16, 16], actions: 3, plan };
    let model = Model::new(resnet(), spec, &mut seeds.stream("network"), Device::Cpu);
    let sgd = Sgd::build(SgdConfig { learning_rate: 1e-3, momentum: 0.0 }).expect("valid");
    let mut learner = Learner::new(model.expect("fits"), sgd);
    interventions.after_build(&mut learner).expect("alone");
    let noise = seeds.stream("observations").uniform(&[8, 1, 16, 16], 127.0) + 128.0;
    let observations = noise.to_kind(Kind::Uint8);
    let mut taps = Taps::default();
    let mut dropout = seeds.stream("dropout");
    let outputs = learner.online.forward_training(&observations, &mut dropout, Some(&mut taps));
    let batch = UpdateBatch { observations: &observations, taps: &taps };
    let (mut clock, mut metrics) = (Clock::default(), Metrics::default());
    let loss = outputs.square().mean(Kind::Float);
    let losses = learner
        .update(loss, &batch, 1000, &mut interventions, &mut clock, &mut metrics)
        .expect("finite");
    assert!(losses.penalties[0].1 < 1e-9, "{losses:?}");
}
