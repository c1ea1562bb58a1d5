//! What is learned.

use super::*;

/// Probabilities 1/4 and 3/4: losses ln 4 and ln 4/3, gradients p minus one at the label.
#[test]
fn cross_entropy_by_hand() {
    let third = 3f32.ln();
    let logits = Tensor::from_slice(&[0.0, third, 5.0, 5.0 + third]).reshape([2, 2]);
    let logits = logits.set_requires_grad(true);
    let losses = cross_entropy(&logits, &Tensor::from_slice(&[0i64, 1]));
    let expected = Tensor::from_slice(&[4f32.ln(), (4f32 / 3.0).ln()]);
    assert!(losses.allclose(&expected, 1e-6, 1e-6, false), "{losses:?}");
    losses.sum(Kind::Float).backward();
    let expected = Tensor::from_slice(&[-0.75f32, 0.75, 0.25, -0.25]).reshape([2, 2]);
    assert!(logits.grad().allclose(&expected, 1e-6, 1e-6, false));
}

/// The same perceptron, loss and Adam written in libtorch's plain operations.
struct Plain {
    names: Vec<String>,
    parameters: Vec<Tensor>,
    moments: Vec<[Tensor; 2]>,
    adam: AdamConfig,
    updates: i32,
}

impl Plain {
    fn of(model: &Model, adam: AdamConfig) -> Self {
        let layers = model.hidden().iter().map(|layer| layer.name.clone());
        let pair = |name: String| ["weight", "bias"].map(|part| format!("{name}/{part}"));
        let names: Vec<String> = layers.chain(["output".to_owned()]).flat_map(pair).collect();
        let copied = |name: &String| {
            let tensor = model.variables().get(name).expect("every layer's");
            tensor.detach().copy().set_requires_grad(true)
        };
        let parameters: Vec<Tensor> = names.iter().map(copied).collect();
        let moments = parameters.iter().map(|p| [p.zeros_like(), p.zeros_like()]).collect();
        Self { names, parameters, moments, adam, updates: 0 }
    }

    /// One update on images u8 `[batch, 1, 6, 6]` and labels i64 `[batch]`; the loss.
    fn update(&mut self, images: &Tensor, labels: &Tensor) -> f64 {
        let mut x = (images.to_kind(Kind::Float) / 255.0).flatten(1, -1);
        for (index, pair) in self.parameters.chunks(2).enumerate() {
            x = if index == 0 { x } else { x.relu() };
            x = x.matmul(&pair[0].tr()) + &pair[1];
        }
        let of_label = x.gather(1, &labels.unsqueeze(1), false).squeeze_dim(1);
        let loss = (x.exp().sum_dim_intlist([1i64].as_slice(), false, Kind::Float).log()
            - of_label)
            .mean(Kind::Float);
        loss.backward();
        no_grad(|| self.step());
        loss.double_value(&[])
    }

    fn step(&mut self) {
        self.updates += 1;
        let AdamConfig { learning_rate, beta1, beta2, eps, eps_root, .. } = self.adam;
        let correction = |beta: f64| 1.0 - beta.powi(self.updates);
        for (parameter, [first, second]) in self.parameters.iter_mut().zip(&mut self.moments) {
            let mut gradient = parameter.grad();
            *first = &*first * beta1 + &gradient * (1.0 - beta1);
            *second = &*second * beta2 + gradient.square() * (1.0 - beta2);
            let mean = &*first / correction(beta1);
            let square = &*second / correction(beta2);
            *parameter -= mean * learning_rate / ((square + eps_root).sqrt() + eps);
            let _ = gradient.zero_();
        }
    }
}

#[test]
fn three_hundred_updates_are_those_of_plain_operations() {
    let tuned = AdamConfig { beta2: 0.9, eps_root: 1e-3, ..adam() };
    for adam in [adam(), tuned] {
        let agent = built(
            ClassifierConfig::default(),
            NetworkPlan::default(),
            adam.clone(),
            Precision::F32,
            0,
        );
        let mut run = Run::new(agent.expect("a scalar head"), Pictures::new(64, 2, 150));
        let mut plain = Plain::of(&run.agent.learner.online, adam);
        let mut losses = Vec::new();
        for step in 0..=300 {
            let images = run.agent.stacks.observations();
            let labels: Vec<_> =
                run.pictures.shown.iter().map(|at| run.pictures.label(*at)).collect();
            run.step();
            if step < 300 {
                let labels: Vec<i64> = labels.into_iter().map(i64::from).collect();
                losses.push(plain.update(&images, &Tensor::from_slice(&labels)));
            }
        }
        assert_eq!((run.clock.updates, plain.updates), (300, 300));
        let mut metrics = Metrics::default();
        run.agent.drain_metrics(&mut metrics);
        let loss = metrics.get_scalar("train/loss").expect("updates were made");
        let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
        let expected = mean(&losses);
        assert!((loss - expected).abs() < 1e-5, "{loss}, expected {expected}");
        let [before, after] = [mean(&losses[..20]), mean(&losses[130..150])];
        assert!(after < before - 0.1, "something is learned: {before} to {after}");
        let variables = run.agent.learner.online.variables();
        for (name, expected) in plain.names.iter().zip(&plain.parameters) {
            let ours = variables.get(name).expect("the same network");
            let apart = (ours - expected).abs().max().double_value(&[]);
            assert!(apart < 1e-4, "{name}: {apart}");
        }
    }
}

#[test]
fn noise_is_memorised_and_learned_anew_in_the_next_task() {
    let mut run = Run::new(agent(ClassifierConfig::default()), Pictures::new(100, 2, 600));
    let before = run.accuracy();
    assert!(before < 0.3, "{before}: chance is 0.1");
    run.run(600);
    run.pictures.step = 599;
    let first = run.accuracy();
    run.pictures.step = 600;
    assert!(first > 0.95, "{first}");
    let second = run.accuracy();
    assert!(second < 0.3, "{second}: other labels");
    run.run(600);
    let second = run.accuracy();
    assert!(second > 0.95, "{second}");
    let mut metrics = Metrics::default();
    run.agent.drain_metrics(&mut metrics);
    let accuracy = metrics.get_scalar("train/accuracy").expect("updates were made");
    assert!((0.3..1.0).contains(&accuracy), "{accuracy}: the mean over both tasks");
    assert_eq!(metrics.get_scalar("train/memory_images"), Some(100.0));
    let mut nothing_since = Metrics::default();
    run.agent.drain_metrics(&mut nothing_since);
    assert_eq!(nothing_since.get_scalar("train/loss"), None);
}

#[test]
fn updates_in_bfloat16_keep_f32_parameters_and_learn_too() {
    let agent = |precision| {
        let plan = NetworkPlan::default();
        built(ClassifierConfig::default(), plan, adam(), precision, 0).expect("a scalar head")
    };
    let mut exact = Run::new(agent(Precision::F32), Pictures::new(50, 1, 1));
    let mut run = Run::new(agent(Precision::Bf16), Pictures::new(50, 1, 1));
    exact.run(3);
    run.run(3);
    assert_ne!(bits(&run.agent.learner), bits(&exact.agent.learner), "computed in f32");
    run.run(500);
    assert!(run.accuracy() > 0.9, "{}", run.accuracy());
}
