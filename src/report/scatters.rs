//! Two numbers of each run against each other, with rank correlations.

use std::{collections::BTreeMap, fmt::Write as _, path::Path};

use pliant_statistics::{
    bootstrap::Bootstrap,
    correlation::RankCorrelation,
    effect::Effect,
    groups::{Groups, correlations_of_groups},
};

use super::{
    Section, escaped,
    figure::{self, Figure, quoted},
    lost,
    words::{said, said_of, shown},
};
use crate::{
    failure::{Failure, Outcome},
    plot::{self, Cloud, Scatter},
    run_dir::write_whole,
    study::{Measured, Member, Number, Points, Results, ScatterSpec},
};

const RESAMPLES: usize = 5000;

/// The figure and what is said of it.
pub fn section(spec: &ScatterSpec, results: &Results<'_>, folder: &Path) -> Outcome<Section> {
    let members = results.pooled(&spec.groups);
    let clouds: Vec<Cloud> = members.iter().map(|member| cloud(spec, member)).collect();
    let of_groups: Vec<Cloud> = members.iter().map(|member| points(spec, member)).collect();
    let found = correlations(&of_groups)
        .map_err(|error| Failure::Run(format!("scatter {}: {error}", spec.name)))?;
    let losses = Losses::of(&members, &clouds);
    write_whole(
        &folder.join(format!("{}~~correlations.csv", spec.name)),
        correlations_csv(&found, &losses).as_bytes(),
    )?;
    let (shown, runs) =
        (clouds.iter().map(|it| it.points.len()).sum::<usize>(), results.runs().len());
    let drawn = Scatter { x: axis(&spec.x), y: axis(&spec.y), clouds };
    let figure = Figure {
        name: spec.name.clone(),
        title: spec.title.clone(),
        csv: points_csv(spec, &members),
        drawn: plot::Figure::Scatter(drawn),
        caption: format!(
            "A point for each of {shown} runs, of {runs} that are finished.{}{}",
            losses.told(),
            table(spec, &found, &losses)
        ),
        of: format!("both {} and {}", spec.x.tag, spec.y.tag),
    };
    figure.write(folder)
}

fn axis(number: &Number) -> pliant_core::metrics::Axis {
    figure::axis(&format!("{}, {}", number.tag, said_of(number.take)), false)
}

fn point(spec: &ScatterSpec, measured: &Measured<'_>) -> Option<(f64, f64)> {
    measured.number(&spec.x).zip(measured.number(&spec.y))
}

fn cloud(spec: &ScatterSpec, member: &Member<'_>) -> Cloud {
    let points = member.runs.iter().filter_map(|measured| point(spec, measured)).collect();
    Cloud { name: member.label().to_owned(), points }
}

/// What the correlation of a group is of.
fn points(spec: &ScatterSpec, member: &Member<'_>) -> Cloud {
    match spec.points {
        Points::Combinations => means(spec, member),
        Points::Runs => cloud(spec, member),
    }
}

/// A point for each combination of conditions.
fn means(spec: &ScatterSpec, member: &Member<'_>) -> Cloud {
    let mut of_combinations: BTreeMap<&[String], Vec<(f64, f64)>> = BTreeMap::new();
    for measured in &member.runs {
        if let Some(point) = point(spec, measured) {
            of_combinations.entry(&measured.run.conditions).or_default().push(point);
        }
    }
    let mean = |points: &Vec<(f64, f64)>| {
        let n = points.len() as f64;
        let sum = points.iter().fold((0.0, 0.0), |sum, point| (sum.0 + point.0, sum.1 + point.1));
        (sum.0 / n, sum.1 / n)
    };
    Cloud { name: member.label().to_owned(), points: of_combinations.values().map(mean).collect() }
}

/// Of each group, with intervals that hold for all of them together.
fn correlations(clouds: &[Cloud]) -> Result<Groups, pliant_statistics::error::Error> {
    let bootstrap = Bootstrap::new(0).with_replicates(RESAMPLES).among(clouds.len());
    let groups = clouds.iter().map(|cloud| (cloud.name.clone(), cloud.points.clone()));
    correlations_of_groups(RankCorrelation::Spearman, groups, &bootstrap)
}

/// How many runs of each group failed or have no finite number, which may have to do with what is measured.
struct Losses<'a>(BTreeMap<&'a str, usize>);

impl<'a> Losses<'a> {
    fn of(members: &'a [Member<'a>], clouds: &[Cloud]) -> Self {
        let lost = |(member, cloud): (&'a Member<'a>, &Cloud)| {
            (member.label(), lost(cloud.points.len(), member))
        };
        Self(members.iter().zip(clouds).map(lost).collect())
    }

    fn all(&self) -> usize {
        self.0.values().sum()
    }

    /// In the caption.
    fn told(&self) -> String {
        match self.all() {
            0 => String::new(),
            lost => format!(
                " {lost} more failed or have no finite number, and the correlations are of those that are left."
            ),
        }
    }

    /// What may be said of a group: nothing, if it lost some.
    fn verdict(&self, effect: &Effect) -> String {
        match self.0.get(&*effect.estimate.name) {
            Some(lost) if *lost > 0 => "none, as runs are lost".to_owned(),
            _ => said(effect.verdict()).replace("higher", "rises").replace("lower", "falls"),
        }
    }
}

fn table(spec: &ScatterSpec, found: &Groups, losses: &Losses<'_>) -> String {
    let row = |effect: &Effect| {
        format!(
            "<tr><th>{}</th><td>{}</td><td>{}</td><td>{}</td></tr>",
            escaped(&effect.estimate.name),
            escaped(&shown(&effect.estimate)),
            effect.estimate.n,
            escaped(&losses.verdict(effect))
        )
    };
    let undefined = |(name, why): &(String, String)| {
        format!("<tr><th>{}</th><td colspan=\"3\">{}</td></tr>", escaped(name), escaped(why))
    };
    let rows: String =
        found.effects.iter().map(row).chain(found.undefined.iter().map(undefined)).collect();
    let flips = match found.signs.flip() {
        _ if losses.all() > 0 => "Of flips of the sign nothing can be claimed, as runs are lost.",
        true => "The sign flips between groups.",
        false => "No flip of the sign between groups can be claimed.",
    };
    let (of, points) = match spec.points {
        Points::Combinations => ("means over seeds", "combinations"),
        Points::Runs => ("runs", "runs"),
    };
    format!(
        "<table><thead><tr><th></th><th>Spearman's rho of {of}, intervals that hold for all groups together (Bonferroni)</th>\
         <th>{points}</th><th>verdict</th></tr></thead><tbody>{rows}</tbody></table> {flips}"
    )
}

fn correlations_csv(found: &Groups, losses: &Losses<'_>) -> String {
    let mut text = String::from("group,spearman,low,high,points,p_value,verdict\n");
    for effect in &found.effects {
        let estimate = &effect.estimate;
        let end = |end: Option<f64>| end.map(|end| end.to_string()).unwrap_or_default();
        let (low, high) = (end(estimate.low()), end(estimate.high()));
        let (group, rho, n) = (quoted(&estimate.name), estimate.estimate, estimate.n);
        let verdict = quoted(&losses.verdict(effect));
        writeln!(text, "{group},{rho},{low},{high},{n},{},{verdict}", effect.p_value)
            .expect("a String takes all");
    }
    text
}

fn points_csv(spec: &ScatterSpec, members: &[Member<'_>]) -> String {
    let mut text = String::from("run,group,x,y\n");
    for member in members {
        for measured in &member.runs {
            if let Some((x, y)) = point(spec, measured) {
                let (run, group) = (quoted(&measured.run.name()), quoted(member.label()));
                writeln!(text, "{run},{group},{x},{y}").expect("a String takes all");
            }
        }
    }
    text
}
