//! The classification MDPs as the program runs them.

use std::{fs, process::Command};

use crate::common::{pliant, short_mnist};

#[test]
fn the_closing_line_names_the_images_that_were_shown() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let said = |out, extra: &[&str]| {
        let ran = pliant(folder.path(), &short_mnist(out, extra));
        assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
        ran.out
    };
    let text = said("true", &["--set", "env.dataset=fashion_mnist"]);
    assert!(text.contains("greedy accuracy on held-out images: "), "{text}");
    let text =
        said("random", &["--set", "env.dataset=cifar10", "--set", "env.reward=random_label"]);
    assert!(text.contains("greedy accuracy on training images: "), "{text}");
    let text = said("sparse", &["--set", "env.reward=sparse_reward"]);
    assert!(text.contains("evaluation reward_per_step") && !text.contains("accuracy"), "{text}");
}

#[test]
fn doctor_forgives_absent_data_sets_and_fails_for_damaged_ones() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let doctor = || {
        let mut doctor = Command::new(env!("CARGO_BIN_EXE_pliant"));
        let output = doctor.arg("doctor").env("PLIANT_DATA", folder.path()).output();
        let output = output.expect("the program starts");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (code, text) = doctor();
    assert_eq!((code, text.matches("not here (pliant fetch ").count()), (Some(0), 3), "{text}");
    fs::create_dir(folder.path().join("cifar10")).expect("writable");
    fs::write(folder.path().join("cifar10/data_batch_1.bin"), "torn").expect("writable");
    let (code, text) = doctor();
    assert_eq!((code, text.matches("not here (pliant fetch ").count()), (Some(1), 2), "{text}");
    assert!(text.contains("data_batch_1.bin has sha256"), "{text}");
}
