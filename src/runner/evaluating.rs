//! The runner's evaluations: measured, filmed, recorded.

use pliant_core::{
    metrics::{Metrics, Value},
    seeds::Seeds,
};

use super::Runner;
use crate::{
    evaluation::{Evaluated, Evaluation},
    failure::{Failure, Outcome},
    film::{Camera, GifFilm},
};

/// The tag under which TensorBoard shows the films.
const FILM: &str = "eval/film";

impl Runner {
    /// Evaluates the policy that chooses uniformly; nothing is recorded.
    pub(super) fn evaluate_random(&mut self) -> Outcome<Evaluation> {
        let (seeds, task) = (self.evaluation_seeds(), self.task.index());
        Ok(self.evaluator.evaluate_random(self.experiment.agent.as_ref(), &seeds, task)?)
    }

    /// Evaluates the agent on the present task, films it and records what came of it. A film that
    /// cannot be made is told in a line: the run goes on without it. `None` if a stop cut it short, which is no
    /// measurement: nothing is recorded.
    pub(super) fn evaluate(&mut self) -> Outcome<Option<Evaluated>> {
        let (seeds, task) = (self.evaluation_seeds(), self.task.index());
        let steps = self.experiment.config.eval.video_steps;
        let mut film = GifFilm::default();
        let mut camera = Camera::new(&mut film, steps, self.experiment.factory.spec().continuing);
        let agent = self.experiment.agent.as_ref();
        let evaluated = self.evaluator.evaluate(agent, &seeds, task, Some(&mut camera))?;
        let filmed = camera.finish();
        if self.is_stopped() {
            return Ok(None);
        }
        let mut metrics = Metrics::default();
        evaluated.record(self.evaluator.score_name(), &mut metrics);
        if let Err(error) =
            filmed.map_err(Failure::from).and_then(|()| self.keep_film(film, &mut metrics))
        {
            let frames = self.clock.frames;
            let line = format!("no film of the evaluation at {frames} frames: {error}");
            self.outputs.progress.println(&line);
        }
        self.write_metrics(&metrics)?;
        self.outputs.flush()?;
        Ok(Some(evaluated))
    }

    /// Puts a film into the run directory and among the metrics.
    fn keep_film(&self, film: GifFilm, metrics: &mut Metrics) -> Outcome {
        let Some((width, height)) = film.size() else { return Ok(()) };
        let gif = film.finish()?;
        self.directory.write_media(&format!("eval-{}.gif", self.clock.frames), &gif)?;
        metrics.add(FILM, Value::Film { gif, width, height });
        Ok(())
    }

    /// A function of the run's seed and the present frame, so that a resumed run draws the same.
    fn evaluation_seeds(&self) -> Seeds {
        let name = format!("evaluation/{}", self.clock.frames);
        Seeds::new(self.experiment.seeds.seed(&name))
    }
}
