//! Points of several groups.

use kuva::{
    plot::ScatterPlot,
    prelude::{Layout, Plot},
};
use pliant_core::metrics::Axis;

use super::{COLOURS, has_place, layout};

/// What is held against what.
#[derive(Clone, Debug)]
pub struct Scatter {
    /// The horizontal axis.
    pub x: Axis,
    /// The vertical axis.
    pub y: Axis,
    /// In the order of the legend.
    pub clouds: Vec<Cloud>,
}

/// The points of a group.
#[derive(Clone, Debug)]
pub struct Cloud {
    /// In the legend.
    pub name: String,
    /// x and y.
    pub points: Vec<(f64, f64)>,
}

pub(super) fn drawn(title: &str, scatter: &Scatter) -> Option<(Vec<Plot>, Layout)> {
    let plot = |(cloud, colour): (&Cloud, &&str)| {
        let is_shown =
            |(x, y): &&(f64, f64)| has_place(&scatter.x, *x) && has_place(&scatter.y, *y);
        let points: Vec<(f64, f64)> = cloud.points.iter().filter(is_shown).copied().collect();
        let plot = ScatterPlot::new().with_data(points.iter().copied());
        let plot = plot.with_color(*colour).with_size(4.0).with_legend(&cloud.name);
        (!points.is_empty()).then(|| plot.into())
    };
    let coloured = scatter.clouds.iter().zip(COLOURS.iter().cycle());
    let plots: Vec<Plot> = coloured.filter_map(plot).collect();
    if plots.is_empty() {
        return None;
    }
    let layout = layout(&plots, title, &scatter.x, &scatter.y);
    Some((plots, layout))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::Figure;

    #[test]
    fn points_are_drawn_with_their_groups_and_those_without_a_place_are_not() {
        let cloud = |name: &str, points: &[(f64, f64)]| Cloud {
            name: name.to_owned(),
            points: points.to_vec(),
        };
        let figure = |x: Axis, clouds: Vec<Cloud>| {
            Figure::Scatter(Scatter { x, y: Axis::linear("loss"), clouds }).svg("title")
        };
        let clouds = vec![cloud("mnist", &[(1.0, 2.0), (2.0, 3.0)]), cloud("nobody", &[])];
        let svg = figure(Axis::linear("norm"), clouds.clone()).expect("points");
        assert!(svg.contains("mnist") && svg.contains("norm") && !svg.contains("nobody"), "{svg}");
        let none = figure(Axis::log("norm"), vec![cloud("a", &[(-1.0, 2.0), (1.0, f64::NAN)])]);
        assert!(none.is_none());
    }
}
