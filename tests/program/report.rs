//! What reports show, held against what the runs wrote.

use std::{
    fs,
    path::{Path, PathBuf},
};

use pliant_statistics::{bootstrap::Bootstrap, improvement::improvement, scores::Scores};

use crate::common::{pliant, short_mnist, succeeds};

/// Three tasks by three widths, three seeds, with every part of a report.
const STUDY: &str = r#"
[study]
name = "parts"
title = "Every part"
[base]
preset = "mnist_true_label"
probes = [
    { kind = "plasticity", every_updates = 100, targets = 2, steps = 10, observations = 128 },
    { kind = "gradient_covariance", every_updates = 100, batch_size = 16 },
    { kind = "norms", every_updates = 100, batch_size = 32 },
]
[base.run]
device = "cpu"
[base.agent]
learning_starts = 150
update_every_agent_steps = 1
[base.eval]
steps = 100
every_frames = 0
video_steps = 20
[[axes]]
name = "reward"
conditions = [
    { name = "true_label" },
    { name = "random_label", set = { env = { reward = "random_label" } } },
    { name = "myopic", set = { agent = { discount = 0.5 } } },
]
[[axes]]
name = "width"
setting = "network.width"
values = [4, 8, 16]
[scales.smoke]
about = "seconds"
seeds = "0..2"
set = { run = { budget_frames = 400 }, log = { every_frames = 100 } }
[[scores]]
name = "score"
title = "Score"
tag = "eval/accuracy"
tasks = "reward"
algorithms = "width"
against = "4"
[scores.published]
true_label = 12.5
[[curves]]
name = "curve"
title = "Loss"
tag = "train/loss"
lines = "width"
[[trends]]
name = "trend"
title = "Trend"
tag = "eval/accuracy"
x = "width"
lines = "reward"
[[scatters]]
name = "scatter"
title = "Scatter"
x = { tag = "norms/weight" }
y = { tag = "plasticity/final_loss", take = "change" }
groups = "width"
[[snapshots]]
name = "times"
title = "Times"
tag = "plasticity/curves"
x_label = "step"
[[snapshots]]
name = "widths"
title = "Widths"
tag = "plasticity/curves"
x_label = "step"
lines = "width"
at = "first"
[[matrices]]
name = "matrix"
title = "Matrix"
tag = "gradient_covariance/probe/cosine"
[[tables]]
name = "both"
title = "Both"
tag = "eval/accuracy"
rows = "reward"
columns = "width"
"#;

const REWARDS: [&str; 3] = ["true_label", "random_label", "myopic"];

fn made() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::write(folder.path().join("parts.toml"), STUDY).expect("writable");
    succeeds(folder.path(), &["study", "run", "parts.toml", "--out", "out"]);
    let out = folder.path().join("out");
    (folder, out)
}

/// A CSV file's rows, without quotes and without its header.
fn rows(path: &Path) -> Vec<Vec<String>> {
    let text =
        fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let fields = |line: &str| line.split(',').map(|field| field.replace('"', "")).collect();
    text.lines().skip(1).map(fields).collect()
}

fn number(text: &str) -> f64 {
    text.parse().unwrap_or_else(|_| panic!("`{text}` is no number"))
}

/// The values of a tag of a run, in the order in which they were written.
fn values(run: &Path, tag: &str) -> Vec<f64> {
    let all = rows(&run.join("metrics.csv")).into_iter();
    all.filter(|row| row[4] == tag).map(|row| number(&row[5])).collect()
}

struct Study(PathBuf);

impl Study {
    fn run(&self, reward: &str, width: &str, seed: u64) -> PathBuf {
        self.0.join(format!("runs/{reward}/{width}/seed{seed}"))
    }

    fn last(&self, reward: &str, width: &str, seed: u64, tag: &str) -> f64 {
        *values(&self.run(reward, width, seed), tag).last().expect("measured")
    }

    fn mean(&self, reward: &str, width: &str, tag: &str) -> f64 {
        (0..3).map(|seed| self.last(reward, width, seed, tag)).sum::<f64>() / 3.0
    }

    fn report(&self, name: &str) -> PathBuf {
        self.0.join("report").join(name)
    }
}

fn close(a: f64, b: f64) {
    assert!((a - b).abs() < 1e-9 * (1.0 + b.abs()), "{a} and {b}");
}

fn ranks(values: &[f64]) -> Vec<f64> {
    let below = |x: f64| values.iter().filter(|y| **y < x).count() as f64;
    values.iter().map(|x| below(*x)).collect()
}

/// Without ties.
fn spearman(points: &[(f64, f64)]) -> f64 {
    let (x, y): (Vec<f64>, Vec<f64>) = points.iter().copied().unzip();
    let squares: f64 = ranks(&x).iter().zip(ranks(&y)).map(|(x, y)| (x - y).powi(2)).sum();
    let n = points.len() as f64;
    1.0 - 6.0 * squares / (n * (n * n - 1.0))
}

#[test]
fn every_part_shows_what_the_runs_measured() {
    let (folder, out) = made();
    succeeds(folder.path(), &["report", "out"]);
    let study = Study(out);
    let tag = "eval/accuracy";

    for row in rows(&study.report("trend.csv")) {
        close(number(&row[2]), study.mean(&row[0], &row[1], tag));
        assert_eq!(row[5], "3");
    }
    assert_eq!(rows(&study.report("trend.csv")).len(), 9);
    for row in rows(&study.report("both.csv")) {
        close(number(&row[2]), study.mean(&row[0], &row[1], tag));
    }

    let aggregates = rows(&study.report("score~~aggregates.csv"));
    let aggregate = |width: &str, what: &str| {
        let mut found = aggregates.iter().filter(|row| row[0] == width && row[1] == what);
        found.next().unwrap_or_else(|| panic!("{what} of {width}"))
    };
    let scores = |width: &str| {
        let of_task = |reward: &str| {
            let runs = (0..3).map(|seed| study.last(reward, width, seed, tag));
            (reward.to_owned(), runs.collect::<Vec<f64>>())
        };
        Scores::new(width, REWARDS.map(of_task)).expect("good scores")
    };
    let base = scores("4");
    for width in ["8", "16"] {
        let gains = rows(&study.report(&format!("score~{width}.csv")));
        assert_eq!(gains.len(), 3);
        for row in &gains {
            let [base, treated] = ["4", width].map(|width| study.mean(&row[0], width, tag));
            close(number(&row[1]), base);
            close(number(&row[2]), treated);
            close(number(&row[3]), (treated - base) / base);
            assert_eq!(row[7], if row[0] == "true_label" { "12.5" } else { "" });
        }
        let rewards = REWARDS.map(|reward| study.mean(reward, width, tag));
        close(number(&aggregate(width, "mean")[2]), rewards.iter().sum::<f64>() / 3.0);

        // Two algorithms are compared with the base: each interval is one of 97.5 %, for both to hold together.
        let better = aggregate(width, "probability of improvement");
        let bootstrap = Bootstrap { confidence: 0.975, ..Bootstrap::new(0).with_replicates(2000) };
        let alone = improvement(&scores(width), &base, &bootstrap).expect("good scores").estimate;
        close(number(&better[2]), alone.estimate);
        close(number(&better[3]), alone.low().expect("an interval"));
        close(number(&better[4]), alone.high().expect("an interval"));
    }
    assert!(aggregates.iter().all(|row| row[0] != "4" || !row[1].starts_with("probability")));

    let points = rows(&study.report("scatter.csv"));
    assert_eq!(points.len(), 27);
    for row in &points {
        let run = study.0.join("runs").join(&row[0]);
        let loss = values(&run, "plasticity/final_loss");
        close(number(&row[2]), *values(&run, "norms/weight").last().expect("measured"));
        close(number(&row[3]), loss[loss.len() - 1] - loss[0]);
    }
    // Runs that differ in their seeds count as one: their mean.
    let correlations = rows(&study.report("scatter~~correlations.csv"));
    assert_eq!(correlations.len(), 3);
    for row in correlations {
        let mean = |reward: &str| {
            let begin = format!("{reward}/{}/", row[0]);
            let of_cell = points.iter().filter(|point| point[0].starts_with(&begin));
            let sum = of_cell
                .fold((0.0, 0.0), |sum, it| (sum.0 + number(&it[2]), sum.1 + number(&it[3])));
            (sum.0 / 3.0, sum.1 / 3.0)
        };
        close(number(&row[1]), spearman(&REWARDS.map(mean)));
        assert_eq!(row[4], "3");
    }

    // A seed of one task is lost: the others of all tasks are compared, and nothing is claimed.
    let mean_of_all = |rewards: &[&str], seeds: u64| {
        let of_task = |reward: &&str| -> f64 {
            (0..seeds).map(|seed| study.last(reward, "8", seed, tag)).sum::<f64>() / seeds as f64
        };
        rewards.iter().map(of_task).sum::<f64>() / rewards.len() as f64
    };
    let compared = |lost: u64| {
        let run = study.run("true_label", "8", lost).join("metrics.csv");
        let text = fs::read_to_string(&run).expect("written");
        let kept = text.lines().filter(|line| !line.contains(tag)).map(|line| format!("{line}\n"));
        fs::write(&run, kept.collect::<String>()).expect("writable");
        succeeds(folder.path(), &["report", "out"]);
        let all = rows(&study.report("score~~aggregates.csv"));
        let mean = all.into_iter().find(|row| row[0] == "8" && row[1] == "mean").expect("a mean");
        let page = fs::read_to_string(study.report("index.html")).expect("a page");
        (number(&mean[2]), page)
    };
    let (mean, page) = compared(2);
    close(mean, mean_of_all(&REWARDS, 2));
    assert!(page.contains("scores of 3 tasks, seeds 0, 1;"), "seeds of all");
    assert!(page.contains("no verdict, as seeds are lost"));
    // With another lost, more runs can be compared without that task.
    let (mean, page) = compared(1);
    close(mean, mean_of_all(&REWARDS[1..], 3));
    assert!(page.contains("scores of 2 tasks, seeds 0, 1, 2;"), "tasks of all");
    assert!(page.contains("Left out, as not all have these seeds of them: true_label."));
    assert!(page.contains("no verdict, as seeds are lost"), "of what is left out");
    // A run of a group is without a number.
    let page = || {
        succeeds(folder.path(), &["report", "out"]);
        fs::read_to_string(study.report("index.html")).expect("a page")
    };
    assert!(!page().contains("as runs are lost"), "nothing of the scatter is");
    let run = study.run("myopic", "8", 0).join("metrics.csv");
    let text = fs::read_to_string(&run).expect("written");
    let kept =
        text.lines().filter(|line| !line.contains("norms/weight")).map(|line| format!("{line}\n"));
    fs::write(&run, kept.collect::<String>()).expect("writable");
    let page = page();
    assert!(page.contains("Of flips of the sign nothing can be claimed, as runs are lost."));
    let verdicts = rows(&study.report("scatter~~correlations.csv"));
    let verdict = |row: &Vec<String>| row[6..].concat();
    assert_eq!(verdict(&verdicts[1]), "none as runs are lost", "{verdicts:?}");
    assert_ne!(verdict(&verdicts[0]), verdict(&verdicts[1]), "of the group alone");
}

#[test]
fn figures_that_probes_made_are_averaged_or_shown_and_tensorboard_gets_its_own() {
    let (folder, out) = made();
    succeeds(folder.path(), &["study", "report", "out"]);
    let study = Study(out);
    let curve = |seed: u64, place: usize| {
        let folder = study.run("true_label", "4", seed).join("figures/plasticity/curves");
        let mut files: Vec<PathBuf> =
            fs::read_dir(&folder).expect("figures").flatten().map(|entry| entry.path()).collect();
        files.retain(|path| path.extension().is_some_and(|end| end == "csv"));
        files.sort();
        let first: Vec<Vec<String>> = rows(&files[place]);
        let name = first[0][0].clone();
        first.into_iter().filter(|row| row[0] == name).collect::<Vec<_>>()
    };
    for (file, line, place) in
        [("times~true_label~4.csv", "update 0", 0), ("widths~true_label.csv", "4", 0)]
    {
        let shown = rows(&study.report(file));
        let shown: Vec<_> = shown.iter().filter(|row| row[0] == line).collect();
        assert_eq!(shown.len(), curve(0, place).len(), "{file}");
        for (index, row) in shown.iter().enumerate() {
            let of_seeds = (0..3).map(|seed| number(&curve(seed, place)[index][2]));
            close(number(&row[2]), of_seeds.sum::<f64>() / 3.0);
        }
    }
    let figures =
        study.run("random_label", "8", 0).join("figures/gradient_covariance/probe/cosine");
    let mut pictures: Vec<PathBuf> =
        fs::read_dir(figures).expect("figures").flatten().map(|entry| entry.path()).collect();
    pictures.retain(|path| path.extension().is_some_and(|end| end == "npy"));
    pictures.sort();
    for (when, path) in [("first", pictures.first()), ("last", pictures.last())] {
        let shown = study.report(&format!("matrix~~{when}~random_label~8.npy"));
        assert!(fs::read(shown).expect("shown") == fs::read(path.expect("some")).expect("made"));
    }
    assert!(study.report("~~video~true_label~4.gif").exists());
    let page = fs::read_to_string(study.report("index.html")).expect("a page");
    for words in ["data:image/png;base64,", "data:image/gif;base64,", "Videos", "P(better than 4)"]
    {
        assert!(page.contains(words), "{words}");
    }
    assert!(!page.contains("src=\"http"), "it needs nothing else");
    let events = |folder: &str| fs::read_dir(study.report(folder)).expect(folder).count();
    assert_eq!(events("tensorboard/means"), 1);
    assert_eq!(events("tensorboard/runs/true_label/8/seed2"), 1);
    succeeds(folder.path(), &["study", "report", "out"]);
    assert_eq!(events("tensorboard/means"), 1, "a new report takes the place of the old one");
}

#[test]
fn runs_that_belong_to_no_study_have_a_page_too() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (out, seed, width) in [("a", "0", "8"), ("b", "1", "8"), ("c", "0", "16")] {
        let width = format!("network.width={width}");
        let extra =
            ["--seed", seed, "--set", &width, "--probe", "units:every_updates=20,batch_size=32"];
        succeeds(folder.path(), &short_mnist(out, &extra));
    }
    succeeds(folder.path(), &["report", "a", "b", "c", "--out", "page"]);
    let table = rows(&folder.path().join("page/table-eval-accuracy.csv"));
    let last =
        |run: &str| *values(&folder.path().join(run), "eval/accuracy").last().expect("there");
    close(number(&table[0][1]), f64::midpoint(last("a"), last("b")));
    assert_eq!(&*table[0][0], "network.width = 8");
    assert_eq!((&*table[1][0], number(&table[1][1])), ("network.width = 16", last("c")));
    let page = fs::read_to_string(folder.path().join("page/index.html")).expect("a page");
    assert!(page.contains("units/dead") && page.contains("network.width"), "{page}");
    for (paths, words) in [
        (&["report", "nothing"][..], "does not exist"),
        (&["report", "a", "--out", "b"], "holds no report"),
    ] {
        let ran = pliant(folder.path(), paths);
        assert!(ran.code == Some(2) && ran.err.contains(words), "{}", ran.err);
    }
}

#[test]
fn faults_in_a_reports_parts_are_told_before_anything_runs() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (from, to, words) in [
        ("lines = \"reward\"", "lines = \"width\"", "trends trend, its axes"),
        ("x = \"width\"\nlines = \"reward\"", "x = \"reward\"", "has no value"),
        ("against = \"4\"", "against = \"5\"", "unknown condition `5`"),
        ("true_label = 12.5", "pong = 12.5", "unknown condition `pong`"),
        ("name = \"times\"", "name = \"widths\"", "`widths` stands there twice"),
        ("title = \"Matrix\"", "title = \"Matrix\"\nat = []", "empty list"),
        ("title = \"Matrix\"", "title = \"Matrix\"\nat = [\"then\"]", "`first` or `last`"),
        (
            "setting = \"network.width\"\nvalues = [4, 8, 16]",
            "conditions = [{ name = \"4\", label = \"w\" }, { name = \"8\", label = \"w\" }]",
            "its labels: the name `w`",
        ),
        ("groups = \"width\"", "groups = \"task\"", "unknown axis `task`"),
        ("columns = \"width\"", "columns = \"reward\"", "twice"),
    ] {
        assert!(STUDY.contains(from), "{from}");
        let text = STUDY.replacen(from, to, 1);
        fs::write(folder.path().join("s.toml"), text).expect("writable");
        let ran = pliant(folder.path(), &["study", "run", "s.toml"]);
        assert!(ran.code == Some(2) && ran.err.contains(words), "{to}: {}", ran.err);
        assert!(!folder.path().join("studies").exists());
    }
}
