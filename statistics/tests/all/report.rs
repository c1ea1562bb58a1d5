//! What a report reads.

use pliant_statistics::{
    aggregate::Aggregate, bootstrap::Bootstrap, effect::Effect, estimate::Estimate,
    paired::paired_difference, scores::Scores, seeded::Seeded,
};

#[test]
fn an_estimate_is_plain_json_with_what_its_interval_means() {
    let scores = Scores::new("dqn", [("pong", vec![0.5, 0.5])]).expect("good scores");
    let iqm = Aggregate::Iqm.estimate(&scores, &Bootstrap::new(0)).expect("good settings");
    let json = serde_json::to_string(&iqm).expect("plain data");
    assert_eq!(
        json,
        r#"{"name":"dqn: IQM","estimate":0.5,"interval":{"low":0.5,"high":0.5,"band":{"bootstrap":{"confidence":0.95}}},"n":2}"#
    );
    assert_eq!(serde_json::from_str::<Estimate>(&json).expect("what was just written"), iqm);
}

#[test]
fn a_verdict_survives_being_written_down() {
    let seeded = |name, value: f64| Seeded::new(name, [(0, value), (1, 2.0 * value)]);
    let (none, redo) = (seeded("none", 1.0).expect("good"), seeded("redo", 0.1).expect("good"));
    let found = paired_difference(&none, &redo, &Bootstrap::new(0)).expect("both seeds").effect;
    let json = serde_json::to_string(&found).expect("plain data");
    let read: Effect = serde_json::from_str(&json).expect("what was just written");
    assert_eq!(read.verdict(), found.verdict());
    assert_eq!(read.verdict().to_string(), "too few (2 of 6)");
    let json = serde_json::to_string(&read.verdict()).expect("plain data");
    assert_eq!(json, r#"{"too_few":{"found":2,"needed":6}}"#);
}
