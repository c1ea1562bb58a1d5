//! Tables: a number of each run, by conditions, with intervals and what may be said of differences.

use std::{fmt::Write as _, path::Path};

use pliant_statistics::{
    bootstrap::Bootstrap,
    error::Error,
    estimate::Estimate,
    paired::{PairedDifference, paired_difference},
    seeded::{Seeded, Summary},
};

use super::{
    Section, escaped,
    figure::quoted,
    file_name, seeds, titled,
    words::{found, lost_of, of_intervals, of_member, said, said_of, shown},
};
use crate::{
    failure::{Failure, Outcome},
    run_dir::write_whole,
    sinks::console::numbers::short,
    study::{Group, Member, Results, TableSpec},
};

mod columns;

/// A condition's row.
struct Row {
    name: String,
    label: String,
    /// `None` if no run of it has the number.
    summary: Option<Summary>,
    /// As [`seeds`] has them.
    seeds: String,
    /// Seeds that failed or have no finite number.
    lost: usize,
    planned: usize,
    difference: Option<PairedDifference>,
    /// Of the difference: none where seeds of either side are lost, as those that are left need not be like them.
    verdict: Option<String>,
}

/// A table for each group along the axis that is rows.
pub fn sections(spec: &TableSpec, results: &Results<'_>, folder: &Path) -> Outcome<Vec<Section>> {
    if let Some(columns) = &spec.columns {
        let grids = results.across(Some(&spec.rows), columns);
        return grids.iter().map(|grid| columns::section(spec, grid, folder)).collect();
    }
    results.along(Some(&spec.rows)).iter().map(|group| section(spec, group, folder)).collect()
}

fn section(spec: &TableSpec, group: &Group<'_>, folder: &Path) -> Outcome<Section> {
    let rows =
        rows(spec, group).map_err(|error| Failure::Run(format!("table {}: {error}", spec.name)))?;
    let name = file_name(&spec.name, &group.common);
    write_whole(&folder.join(format!("{name}.csv")), csv(&rows).as_bytes())?;
    let is_missing = |name: &&String| group.members.iter().all(|it| it.name() != **name);
    let missing = spec.against.as_ref().filter(is_missing);
    let missing =
        missing.map(|name| format!("Nothing to compare with: {} is not run. ", escaped(name)));
    let missing = missing.unwrap_or_default();
    let body = format!(
        "{}<p class=\"note\">{missing}<a href=\"{name}.csv\">CSV</a></p>",
        html(spec, &rows)
    );
    Ok(Section { title: titled(&spec.title, &group.common), body })
}

fn rows(spec: &TableSpec, group: &Group<'_>) -> Result<Vec<Row>, Error> {
    let numbers: Vec<Option<Seeded>> = group
        .members
        .iter()
        .map(|member| of_member(member, &spec.tag, spec.take))
        .collect::<Result<_, Error>>()?;
    let rows = group.members.iter().zip(&numbers);
    let control = rows.clone().find(|(member, _)| Some(member.name()) == spec.against.as_deref());
    let compared = group.members.len().saturating_sub(1);
    let bootstrap = Bootstrap::new(0);
    let row = |(member, seeded): (&Member<'_>, &Option<Seeded>)| {
        let against = control.filter(|(control, _)| control.name() != member.name());
        let difference = match (against, seeded) {
            (Some((_, Some(control))), Some(treated)) => {
                paired_difference(control, treated, &bootstrap.among(compared)).ok()
            }
            _ => None,
        };
        let is_lost = against.is_some_and(|(member, seeded)| lost_of(member, seeded.as_ref()) > 0);
        let lost = lost_of(member, seeded.as_ref());
        let verdict = difference.as_ref().map(|difference| match is_lost || lost > 0 {
            true => "none, as seeds are lost".to_owned(),
            false => said(difference.effect.verdict()),
        });
        Ok(Row {
            name: member.name().to_owned(),
            label: member.label().to_owned(),
            summary: seeded.as_ref().map(|seeded| seeded.summary(&bootstrap)).transpose()?,
            seeds: seeds(found(seeded.as_ref()), member),
            lost,
            planned: member.planned,
            difference,
            verdict,
        })
    };
    rows.map(row).collect()
}

fn html(spec: &TableSpec, rows: &[Row]) -> String {
    let take = said_of(spec.take);
    let is_compared = rows.iter().any(|row| row.difference.is_some());
    let mut text = format!(
        "<p class=\"note\">The {take} value of <code>{}</code>, mean over seeds; {}{}.</p>\
         <table><thead><tr><th></th><th>mean and interval</th><th>standard deviation</th><th>seeds</th>",
        escaped(&spec.tag),
        of_intervals(
            rows.iter().filter_map(|row| Some(row.summary.as_ref()?.mean.n)).max().unwrap_or(0)
        ),
        if is_compared {
            ", differences seed by seed with intervals that hold for all rows together (Bonferroni)"
        } else {
            ""
        }
    );
    if is_compared {
        let control = rows.iter().find(|row| Some(&row.name) == spec.against.as_ref());
        let against = escaped(control.map_or("", |row| &row.label));
        write!(text, "<th>less {against}</th><th>verdict</th>").expect("a String");
    }
    text += "</tr></thead><tbody>";
    for row in rows {
        text += &format!("<tr><th>{}</th>", escaped(&row.label));
        for cell in cells(row, is_compared) {
            text += &format!("<td>{}</td>", escaped(&cell));
        }
        text += "</tr>";
    }
    text + "</tbody></table>"
}

fn cells(row: &Row, is_compared: bool) -> Vec<String> {
    let Some(summary) = &row.summary else {
        return vec!["not measured".to_owned(), String::new(), row.seeds.clone()];
    };
    let mut cells = vec![
        shown(&summary.mean),
        summary.standard_deviation.map(short).unwrap_or_default(),
        row.seeds.clone(),
    ];
    if let Some(difference) = row.difference.as_ref().filter(|_| is_compared) {
        cells.push(shown(&difference.effect.estimate));
        cells.push(row.verdict.clone().unwrap_or_default());
    }
    cells
}

fn csv(rows: &[Row]) -> String {
    let mut text = String::from(
        "condition,mean,low,high,standard_deviation,least,most,seeds,planned,lost,difference,difference_low,difference_high,p_value,verdict\n",
    );
    let shown = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
    for row in rows {
        let name = quoted(&row.label);
        let summary = row.summary.as_ref();
        let mean = summary.map(|summary| &summary.mean);
        let effect = row.difference.as_ref().map(|difference| &difference.effect);
        let fields = [
            shown(mean.map(|mean| mean.estimate)),
            shown(mean.and_then(Estimate::low)),
            shown(mean.and_then(Estimate::high)),
            shown(summary.and_then(|summary| summary.standard_deviation)),
            shown(summary.map(|summary| summary.least)),
            shown(summary.map(|summary| summary.most)),
            mean.map_or(0, |mean| mean.n).to_string(),
            row.planned.to_string(),
            row.lost.to_string(),
            shown(effect.map(|effect| effect.estimate.estimate)),
            shown(effect.and_then(|effect| effect.estimate.low())),
            shown(effect.and_then(|effect| effect.estimate.high())),
            shown(effect.map(|effect| effect.p_value)),
            row.verdict.as_deref().map(quoted).unwrap_or_default(),
        ];
        text += &format!("{name},{}\n", fields.join(","));
    }
    text
}
