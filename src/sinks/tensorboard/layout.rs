//! Charts of TensorBoard's CUSTOM SCALARS page.

use std::io;

use pliant_core::error::Result;
use protobuf::Message;
use tensorboard_proto::{
    layout::{self as proto, MarginChartContent_Series, MultilineChartContent},
    summary::Summary_Value,
};

use super::summary;

/// Charts under one heading.
#[derive(Clone, Debug, PartialEq)]
pub struct Category {
    /// The heading.
    pub title: String,
    /// The charts, in order.
    pub charts: Vec<Chart>,
}

/// One chart.
#[derive(Clone, Debug, PartialEq)]
pub struct Chart {
    /// What stands above it.
    pub title: String,
    /// What is drawn.
    pub lines: Lines,
}

/// What a chart draws.
#[derive(Clone, Debug, PartialEq)]
pub enum Lines {
    /// A line per tag that one of these regular expressions matches from its start on.
    Tags(Vec<String>),
    /// Lines with a coloured margin.
    Bands(Vec<Band>),
}

/// Three scalars' tags: a line and the edges of the margin around it.
#[derive(Clone, Debug, PartialEq)]
pub struct Band {
    /// The line.
    pub value: String,
    /// The margin's lower edge.
    pub lower: String,
    /// The margin's upper edge.
    pub upper: String,
}

pub(super) fn layout(categories: &[Category]) -> Result<Summary_Value> {
    let mut layout = proto::Layout::new();
    layout.set_category(categories.iter().map(category).collect());
    let bytes = layout.write_to_bytes().map_err(io::Error::other)?;
    let tensor = summary::string(bytes);
    Ok(summary::plugin("custom_scalars__config__", "custom_scalars", Vec::new(), tensor))
}

fn category(category: &Category) -> proto::Category {
    let mut proto = proto::Category::new();
    proto.set_title(category.title.clone());
    proto.set_chart(category.charts.iter().map(chart).collect());
    proto
}

fn chart(chart: &Chart) -> proto::Chart {
    let mut proto = proto::Chart::new();
    proto.set_title(chart.title.clone());
    match &chart.lines {
        Lines::Tags(tags) => {
            let mut content = MultilineChartContent::new();
            content.set_tag(tags.clone().into());
            proto.set_multiline(content);
        }
        Lines::Bands(bands) => {
            let mut content = proto::MarginChartContent::new();
            content.set_series(bands.iter().map(series).collect());
            proto.set_margin(content);
        }
    }
    proto
}

fn series(band: &Band) -> MarginChartContent_Series {
    let mut proto = MarginChartContent_Series::new();
    proto.set_value(band.value.clone());
    proto.set_lower(band.lower.clone());
    proto.set_upper(band.upper.clone());
    proto
}
