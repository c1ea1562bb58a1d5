//! Damage to the text of configurations and of the options that change them.

use std::ops::Range;

use pliant_fuzzing::{Damage, Surface, Verdict};

use crate::{
    config::{Config, Layer, Options, PRESETS, layers, resolve},
    failure::legible,
    plugins,
};

pliant_fuzzing::surfaces! {
    damaged_configurations_are_refused_or_hold: 20_000,
    damaged_options_are_refused_or_hold: 20_000,
}

/// What resolves is written, read and resolved to the same again.
fn holds(resolved: Result<Config, String>) -> Verdict {
    let config = match resolved {
        Ok(config) => config,
        Err(error) => return Verdict::Refused(legible(&error)),
    };
    let again = Layer::parse("again", config.to_toml()).map(|layer| vec![layer]);
    let again = again.and_then(|layers| resolve(&layers, &plugins::builtin()));
    let again = again.unwrap_or_else(|error| panic!("resolved, but not again: {error}"));
    assert!(again.to_toml() == config.to_toml(), "another configuration when written and read");
    Verdict::Taken
}

fn damaged_configurations_are_refused_or_hold(cases: Range<u64>) {
    let plugins = plugins::builtin();
    let mut texts: Vec<String> = PRESETS.iter().map(|preset| preset.text.to_owned()).collect();
    texts.push(EVERYTHING.to_owned());
    texts.push(resolve(&[], &plugins).expect("the defaults").to_toml());
    Surface::new("configuration").check(cases, |damage| {
        let whole = damage.one_of(&texts).clone();
        let text = damage.text(&whole);
        let resolved = Layer::parse("my.toml", text).and_then(|mut layer| {
            layer.table.remove("preset"); // the layers below it are another reader's
            resolve(&[layer], &plugins)
        });
        holds(resolved)
    });
}

/// With lists, tables in tables, and a table that is given in one line.
const EVERYTHING: &str = r#"
run = { seed = 3, name = "x" }
[env]
kind = "continual_atari"
tasks = ["pong:mode=1", "breakout"]
atari.frame_skip = 4
[agent]
epsilon = { from = 1.0, to = 0.1 }
optimizer = { kind = "adam", learning_rate = 1e-3 }
[[interventions]]
kind = "redo"
tau = 0.1
[[interventions]]
kind = "trac"
betas = [0.9, 0.99]
[[probes]]
kind = "units"
every_frames = 1000
"#;

fn damaged_options_are_refused_or_hold(cases: Range<u64>) {
    let plugins = plugins::builtin();
    Surface::new("options").check(cases, |damage| {
        let options = damaged_options(damage);
        holds(layers(&options).and_then(|layers| resolve(&layers, &plugins)))
    });
}

fn damaged_options(damage: &mut Damage) -> Options {
    let mut some = |all: &[&str]| -> Vec<String> {
        let whole: Vec<&str> = (0..damage.below(3)).map(|_| *damage.one_of(all)).collect();
        whole.into_iter().map(|text| damage.text(text)).collect()
    };
    let set = some(&[
        "run.seed=3",
        "agent.epsilon.to=0.5",
        "env={kind=\"atari\", game=\"pong\"}",
        "env.tasks=[\"a\"]",
    ]);
    let with =
        some(&["redo:tau=0.1,every_updates=100", "layer_norm", "trac:betas=[0.9, 0.99],eps=1e-8"]);
    let probe = some(&["units", "hessian:losses=[\"probe\"],steps=8", "rank:every_frames=1000"]);
    let mut base = some(&["quickstart", "mnist_true_label+env_machado", "no/such/file.toml"]);
    let device = damage.once_in(4).then(|| damage.text("cuda:0"));
    Options {
        base: base.pop().filter(|name| !name.starts_with('/')),
        set,
        with,
        probe,
        device,
        ..Options::default()
    }
}

/// A device that never ends, in a file's place.
#[test]
fn a_configuration_without_an_end_is_refused() {
    let error = Layer::file(std::path::Path::new("/dev/zero")).expect_err("no end");
    assert!(error.contains("/dev/zero") && error.contains("more than"), "{error}");
}

/// Where tables lie in tables a hundred thousand deep, whatever walks over them runs out of stack.
#[test]
fn a_setting_too_deep_to_be_one_is_refused() {
    let deep = format!("run{}=1", ".a".repeat(60_000));
    let error = Layer::assignment("--set", &deep).expect_err("deep");
    assert!(error.contains("at most 16") && error.len() < 200, "{error}");
}
