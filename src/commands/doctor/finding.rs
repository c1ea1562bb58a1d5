//! What a check came to.

use serde::Serialize;
use serde_json::json;

/// What was looked at, what was seen, and what to do if it is not as it should be.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Finding {
    pub what: &'static str,
    pub verdict: Verdict,
    pub text: String,
}

/// How it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Verdict {
    /// As a run needs it.
    Ok,
    /// Worth knowing; a run works.
    Note,
    /// Something has to be done.
    Failed,
}

impl Finding {
    pub fn ok(what: &'static str, text: impl Into<String>) -> Self {
        Self { what, verdict: Verdict::Ok, text: text.into() }
    }

    pub fn note(what: &'static str, text: impl Into<String>) -> Self {
        Self { what, verdict: Verdict::Note, text: text.into() }
    }

    pub fn failed(what: &'static str, text: impl Into<String>) -> Self {
        Self { what, verdict: Verdict::Failed, text: text.into() }
    }

    /// Well if it is `Ok`.
    pub fn of(what: &'static str, result: Result<String, String>) -> Self {
        result.map_or_else(|error| Self::failed(what, error), |text| Self::ok(what, text))
    }

    pub fn has_failed(&self) -> bool {
        self.verdict == Verdict::Failed
    }
}

/// A line for each, or one JSON object.
pub(super) fn print(findings: &[Finding], as_json: bool) {
    if as_json {
        let all_well = !findings.iter().any(Finding::has_failed);
        return say!("{}", json!({ "all_well": all_well, "findings": findings }));
    }
    for Finding { what, verdict, text } in findings {
        let mark = match verdict {
            Verdict::Ok => "ok    ",
            Verdict::Note => "note  ",
            Verdict::Failed => "failed",
        };
        say!("{mark}  {what:<13} {text}");
    }
}
