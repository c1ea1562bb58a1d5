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
    words::{said, said_of, shown},
};
use crate::{
    failure::{Failure, Outcome},
    plot::{self, Cloud, Scatter},
    run_dir::write_whole,
    study::{Measured, Member, Number, Results, ScatterSpec},
};

const RESAMPLES: usize = 5000;

/// The figure and what is said of it.
pub fn section(spec: &ScatterSpec, results: &Results<'_>, folder: &Path) -> Outcome<Section> {
    let members = results.pooled(&spec.groups);
    let clouds: Vec<Cloud> = members.iter().map(|member| cloud(spec, member)).collect();
    let found = correlations(&members.iter().map(|member| means(spec, member)).collect::<Vec<_>>())
        .map_err(|error| Failure::Run(format!("scatter {}: {error}", spec.name)))?;
    write_whole(
        &folder.join(format!("{}~~correlations.csv", spec.name)),
        correlations_csv(&found).as_bytes(),
    )?;
    let (points, runs) =
        (clouds.iter().map(|it| it.points.len()).sum::<usize>(), results.runs().len());
    let drawn = Scatter { x: axis(&spec.x), y: axis(&spec.y), clouds };
    let figure = Figure {
        name: spec.name.clone(),
        title: spec.title.clone(),
        csv: points_csv(spec, &members),
        drawn: plot::Figure::Scatter(drawn),
        caption: format!(
            "A point for each of {points} runs, of {runs} that are finished.{}{}",
            lost(results, points),
            table(&found)
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

/// A point for each combination of conditions: runs that differ in their seeds alone are alike, and would count as so much
/// evidence.
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

/// Those that failed or have no finite number may have to do with what is measured.
fn lost(results: &Results<'_>, points: usize) -> String {
    let lost = results.failed.len() + results.runs().len() - points;
    let them = "and the correlations are of those that are left";
    if lost == 0 {
        String::new()
    } else {
        format!(" {lost} more failed or have no finite number, {them}.")
    }
}

fn table(found: &Groups) -> String {
    let row = |effect: &Effect| {
        format!(
            "<tr><th>{}</th><td>{}</td><td>{}</td><td>{}</td></tr>",
            escaped(&effect.estimate.name),
            escaped(&shown(&effect.estimate)),
            effect.estimate.n,
            escaped(&said(effect.verdict()).replace("higher", "rises").replace("lower", "falls"))
        )
    };
    let undefined = |(name, why): &(String, String)| {
        format!("<tr><th>{}</th><td colspan=\"3\">{}</td></tr>", escaped(name), escaped(why))
    };
    let rows: String =
        found.effects.iter().map(row).chain(found.undefined.iter().map(undefined)).collect();
    let flips = match found.signs.flip() {
        true => "The sign flips between groups.",
        false => "No flip of the sign between groups can be claimed.",
    };
    format!(
        "<table><thead><tr><th></th><th>Spearman's rho of means over seeds, intervals that hold for all groups together (Bonferroni)</th>\
         <th>combinations</th><th>verdict</th></tr></thead><tbody>{rows}</tbody></table> {flips}"
    )
}

fn correlations_csv(found: &Groups) -> String {
    let mut text = String::from("group,spearman,low,high,combinations,p_value,verdict\n");
    for effect in &found.effects {
        let estimate = &effect.estimate;
        let end = |end: Option<f64>| end.map(|end| end.to_string()).unwrap_or_default();
        let (low, high) = (end(estimate.low()), end(estimate.high()));
        let (group, rho, n) = (quoted(&estimate.name), estimate.estimate, estimate.n);
        let verdict = quoted(&said(effect.verdict()));
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
