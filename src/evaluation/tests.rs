use super::*;
use crate::{
    experiment::Experiment,
    fakes::{EPISODE, RETURNS, experiment},
    film::GifFilm,
};

fn evaluator(experiment: &Experiment) -> Evaluator {
    let Experiment { factory, config, .. } = experiment;
    Evaluator::new(factory, &config.eval, 1, Arc::default()).expect("environments")
}

fn evaluate(set: &[&str], present: u32) -> Evaluated {
    let experiment = experiment(set);
    let agent = experiment.agent.as_ref();
    evaluator(&experiment).evaluate(agent, &Seeds::new(1), present, None).expect("evaluated")
}

#[test]
fn the_task_that_training_is_on_is_evaluated() {
    let Evaluated { present, tasks } = evaluate(&[], 0);
    assert_eq!((present.returns, tasks.len()), (vec![RETURNS[0]; 2], 0));
    assert_eq!(evaluate(&[], 1).present.returns, [RETURNS[1]; 2]);
}

#[test]
fn all_tasks_are_evaluated_where_that_is_asked_for() {
    let evaluated = evaluate(&["eval.all_tasks=true"], 1);
    let scores: Vec<_> =
        evaluated.tasks.iter().map(|(name, e)| (name.as_str(), e.score())).collect();
    assert_eq!(scores, [("Low", RETURNS[0]), ("high:x=1", RETURNS[1])]);
    assert_eq!(evaluated.present, evaluated.tasks[1].1);
}

#[test]
fn a_task_that_is_not_there_is_refused_rather_than_all_be_evaluated() {
    let experiment = experiment(&[]);
    let agent = experiment.agent.as_ref();
    let evaluated = evaluator(&experiment).evaluate(agent, &Seeds::new(1), 2, None);
    let error = evaluated.expect_err("there are two tasks").to_string();
    assert_eq!(error, "there is no task 2 (the first is 0) of 2");
}

#[test]
fn a_task_that_comes_again_is_evaluated_once() {
    let evaluated = evaluate(&["eval.all_tasks=true", "env.again=true"], 2);
    let names: Vec<_> = evaluated.tasks.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["Low", "high:x=1"]);
    assert_eq!(evaluated.present, evaluated.tasks[0].1, "not twice");
}

#[test]
fn a_task_is_measured_by_its_own_human() {
    let normalised = |present| evaluate(&[], present).present.human_normalised();
    assert_eq!(normalised(0), Some(RETURNS[0] / 4.0));
    assert_eq!(normalised(1), None);
}

#[test]
fn an_evaluator_goes_from_task_to_task_and_back() {
    let experiment = experiment(&[]);
    let mut evaluator = evaluator(&experiment);
    let mut score = |present| {
        let agent = experiment.agent.as_ref();
        let evaluated = evaluator.evaluate(agent, &Seeds::new(1), present, None);
        evaluated.expect("evaluated").present.score()
    };
    assert_eq!([score(0), score(1), score(0)], [RETURNS[0], RETURNS[1], RETURNS[0]]);
}

#[test]
fn the_film_is_of_the_first_episode_and_changes_no_number() {
    let experiment = experiment(&["eval.epsilon=0.5", "eval.episodes=3"]);
    let agent = experiment.agent.as_ref();
    let mut evaluator = evaluator(&experiment);
    let unseen = evaluator.evaluate(agent, &Seeds::new(7), 0, None).expect("evaluated");
    let mut film = GifFilm::default();
    let mut camera = Camera::new(&mut film, u64::MAX, false);
    let filmed = evaluator.evaluate(agent, &Seeds::new(7), 0, Some(&mut camera));
    assert_eq!(filmed.expect("evaluated"), unseen);
    let file = film.finish().expect("a film");
    let mut decoder = gif::DecodeOptions::new().read_info(&file[..]).expect("a GIF");
    let mut pictures = 0;
    while decoder.read_next_frame().expect("a frame").is_some() {
        pictures += 1; // no two pictures of an episode are alike
    }
    assert_eq!(pictures, EPISODE);
}
