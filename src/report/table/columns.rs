//! Tables of two axes: means with standard deviations, as papers print them.

use std::path::Path;

use pliant_statistics::{bootstrap::Bootstrap, error::Error, seeded::Summary};

use super::super::{
    Section, escaped,
    figure::quoted,
    file_name, seeds, titled,
    words::{found, of_member, said_of},
};
use crate::{
    failure::{Failure, Outcome},
    run_dir::write_whole,
    sinks::console::numbers::short,
    study::{Grid, Member, TableSpec},
};

/// Cells need no interval, which small tables show.
const REPLICATES: usize = 1000;

struct Cell {
    column: String,
    /// `None` if no run has the number.
    summary: Option<Summary>,
    seeds: String,
}

/// One table.
pub(super) fn section(spec: &TableSpec, grid: &Grid<'_>, folder: &Path) -> Outcome<Section> {
    let rows: Vec<(&str, Vec<Cell>)> = grid
        .rows
        .iter()
        .map(|row| {
            let cells = row.members.iter().map(|member| cell(spec, member));
            Ok((row.label(), cells.collect::<Result<_, Error>>()?))
        })
        .collect::<Result<_, Error>>()
        .map_err(|error| Failure::Run(format!("table {}: {error}", spec.name)))?;
    let name = file_name(&spec.name, &grid.common);
    write_whole(&folder.join(format!("{name}.csv")), csv(&rows).as_bytes())?;
    let body = format!(
        "<p class=\"note\">The {} value of <code>{}</code>: mean ± standard deviation over seeds, and how many.</p>{}\
         <p class=\"note\"><a href=\"{name}.csv\">CSV</a></p>",
        said_of(spec.take),
        escaped(&spec.tag),
        html(&rows)
    );
    Ok(Section { title: titled(&spec.title, &grid.common), body })
}

fn cell(spec: &TableSpec, member: &Member<'_>) -> Result<Cell, Error> {
    let seeded = of_member(member, &spec.tag, spec.take)?;
    let bootstrap = Bootstrap::new(0).with_replicates(REPLICATES);
    Ok(Cell {
        column: member.label().to_owned(),
        summary: seeded.as_ref().map(|seeded| seeded.summary(&bootstrap)).transpose()?,
        seeds: seeds(found(seeded.as_ref()), member),
    })
}

fn html(rows: &[(&str, Vec<Cell>)]) -> String {
    let mut columns: Vec<&str> = Vec::new();
    for cell in rows.iter().flat_map(|(_, cells)| cells) {
        if !columns.contains(&cell.column.as_str()) {
            columns.push(&cell.column);
        }
    }
    let heads: String = columns.iter().map(|head| format!("<th>{}</th>", escaped(head))).collect();
    let row = |(label, cells): &(&str, Vec<Cell>)| {
        let of_column = |column: &&str| {
            let cell = cells.iter().find(|cell| cell.column == **column);
            format!("<td>{}</td>", cell.map(shown).unwrap_or_default())
        };
        let cells: String = columns.iter().map(of_column).collect();
        format!("<tr><th>{}</th>{cells}</tr>", escaped(label))
    };
    let rows: String = rows.iter().map(row).collect();
    format!("<table><thead><tr><th></th>{heads}</tr></thead><tbody>{rows}</tbody></table>")
}

/// `0.31 ± 0.06 (3)`.
fn shown(cell: &Cell) -> String {
    let Some(summary) = &cell.summary else { return "not measured".to_owned() };
    let spread = summary.standard_deviation.map(|it| format!(" ± {}", short(it)));
    format!("{}{} ({})", short(summary.mean.estimate), spread.unwrap_or_default(), cell.seeds)
}

fn csv(rows: &[(&str, Vec<Cell>)]) -> String {
    let mut text = String::from("row,column,mean,standard_deviation,seeds\n");
    for (label, cells) in rows {
        for cell in cells {
            let Some(summary) = &cell.summary else { continue };
            let spread = summary.standard_deviation.map(|it| it.to_string()).unwrap_or_default();
            let (row, column) = (quoted(label), quoted(&cell.column));
            let mean = &summary.mean;
            text += &format!("{row},{column},{},{spread},{}\n", mean.estimate, mean.n);
        }
    }
    text
}
