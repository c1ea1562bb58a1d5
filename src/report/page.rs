//! The page: one file that needs nothing else.

use pulldown_cmark::{Event, Parser, html::push_html};

use super::{Section, escaped};
use crate::study::{Results, StudyFile};

/// By which a page of ours is known.
pub(super) const GENERATOR: &str = "pliant report";

const STYLE: &str = include_str!("page.css");

/// The whole page.
pub fn html(file: &StudyFile, scale: &str, results: &Results<'_>, sections: &[Section]) -> String {
    let title = escaped(&file.study.title);
    let size = file.scales.get(scale).map(|scale| escaped(&scale.about)).unwrap_or_default();
    let runs = results.runs().len();
    let missing: String = results
        .left_out()
        .iter()
        .map(|(what, runs)| {
            let (what, runs) = (escaped(what), escaped(&runs.join("; ")));
            format!("<p class=\"note\"><strong>{what}, left out</strong>: {runs}.</p>")
        })
        .collect();
    let about = markdown(&file.study.about);
    let body: String = sections
        .iter()
        .map(|section| {
            format!("<section><h2>{}</h2>{}</section>", escaped(&section.title), section.body)
        })
        .collect();
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"generator\" content=\"{GENERATOR}\"><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>{title}</title><style>{STYLE}</style></head><body><main>\
         <h1>{title}</h1><p class=\"note\">Scale {}: {size}. {runs} runs. pliant {}, commit {}.</p>{missing}\
         {about}{body}</main></body></html>\n",
        escaped(scale),
        env!("CARGO_PKG_VERSION"),
        env!("PLIANT_COMMIT"),
    )
}

/// HTML in a study's text is shown as text.
fn markdown(text: &str) -> String {
    let events = Parser::new(text).map(|event| match event {
        Event::Html(html) | Event::InlineHtml(html) => Event::Text(html),
        other => other,
    });
    let mut html = String::new();
    push_html(&mut html, events);
    html
}
