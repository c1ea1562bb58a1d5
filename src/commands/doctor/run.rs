//! Whether a run directory is whole, and how its run stands.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use pliant_core::registry::Plugins;

use super::{events, finding::Finding, machine::SLACK, table};
use crate::{
    checkpoint,
    commands::resume::stored_config,
    config::Options,
    disk,
    experiment::amount,
    failed_update,
    failure::{Failure, Outcome},
    run_dir::{RunDirectory, State, Status},
    sinks::csv,
};

/// Everything that is looked at in a run directory.
pub(super) fn findings(path: &Path, options: &Options, plugins: &Plugins) -> Outcome<Vec<Finding>> {
    let run = RunDirectory::open(path)?;
    if !options.set.is_empty() || options.device.is_some() {
        let text =
            "--set and --device go with a preset or a file: a run has the settings that it has";
        return Err(Failure::Input(text.to_owned()));
    }
    let config = stored_config(&run, Options::as_stored(), plugins);
    let has_csv = config.as_ref().is_ok_and(|config| config.log.csv);
    let config = config.map(|_| "can be read".to_owned());
    let mut all = vec![Finding::of("config.toml", config.map_err(|error| error.to_string()))];
    let is_live = run.is_held();
    all.push(status(&run, is_live));
    all.push(clock(&run, SystemTime::now()));
    all.extend(checkpoints(&run));
    let mut of_tables = tables(&run, is_live);
    if !of_tables.iter().any(Finding::has_failed)
        && let Some(incomplete) = incomplete(&run, has_csv)
    {
        of_tables.retain(|finding| finding.what != incomplete.what);
        of_tables.push(incomplete);
    }
    all.extend(of_tables);
    all.push(event_files(&run, is_live));
    all.push(pictures(&run));
    all.extend(failures(&run));
    all.extend(leftovers(&run, is_live));
    all.push(space(&run));
    Ok(all)
}

fn status(run: &RunDirectory, is_live: bool) -> Finding {
    let path = run.path().display();
    let Some(status) = run.status() else {
        let text = "cannot be read: the run ended before its first frame, or the file is damaged";
        let what = format!("{text}; pliant resume {path}, or start the run anew");
        return if is_live {
            Finding::note("status.json", "is not there yet")
        } else {
            Finding::failed("status.json", what)
        };
    };
    let Status { state, clock, budget_frames, error, .. } = status;
    let at = format!("at frame {} of {budget_frames}", clock.frames);
    match state {
        State::Running if is_live => Finding::ok("status.json", format!("running, {at}")),
        State::Running => Finding::failed(
            "status.json",
            format!(
                "says running, {at}, but no process holds the run: it was killed; pliant resume {path}"
            ),
        ),
        State::Finished => Finding::ok("status.json", format!("finished, {at}")),
        State::Stopped => {
            Finding::note("status.json", format!("stopped in order, {at}; pliant resume {path}"))
        }
        State::Failed => {
            let error =
                error.unwrap_or_else(|| "for a reason that was not written down".to_owned());
            Finding::failed("status.json", format!("failed, {at}: {error}"))
        }
    }
}

/// Files that are later than now: the order of checkpoints and event files can then mislead.
fn clock(run: &RunDirectory, now: SystemTime) -> Finding {
    let written =
        run.status().map(|status| UNIX_EPOCH + Duration::from_secs(status.updated_unix_s));
    let names = ["status.json", "metrics.csv", "provenance.json", "config.toml"];
    let files = names.iter().filter_map(|name| modified(&run.path().join(name)));
    let checkpoints = checkpoint::list(&run.checkpoints());
    let all = files.chain(checkpoints.iter().filter_map(|path| modified(path))).chain(written);
    let Some(latest) = all.max().filter(|latest| *latest > now + SLACK) else {
        return Finding::ok("clock", "is later than all of the run's files");
    };
    let ahead = latest.duration_since(now).unwrap_or_default().as_secs();
    let text =
        format!("the run was written to {ahead} s from now: the clock was set back since; set it");
    Finding::failed("clock", text)
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).ok()?.modified().ok()
}

/// Reads every one to its end.
fn checkpoints(run: &RunDirectory) -> Vec<Finding> {
    let all = checkpoint::list(&run.checkpoints());
    if all.is_empty() {
        let text = "there is none yet: a run that ends now starts anew (checkpoint.every_frames)";
        return std::iter::once(Finding::note("checkpoints", text)).chain(damaged(run)).collect();
    }
    let looked: Vec<Result<String, String>> = all.iter().map(|path| whole(path)).collect();
    let is_any_foreign = all.iter().any(|path| checkpoint::is_of_another_version(path));
    let is_any_whole = looked.iter().any(Result::is_ok) && !is_any_foreign;
    let advised = |path: &Path, error: String| match checkpoint::is_of_another_version(path) {
        true => error,
        false if is_any_whole => format!("{error}; pliant resume goes on from one that is whole"),
        false => format!(
            "{error}; none is whole: put one back from a copy, or train anew in another folder from config.toml"
        ),
    };
    let of = |(path, looked): (&PathBuf, Result<String, String>)| {
        Finding::of("checkpoint", looked.map_err(|error| advised(path, error)))
    };
    all.iter().zip(looked).map(of).chain(damaged(run)).collect()
}

/// Those that `pliant resume` has set aside.
fn damaged(run: &RunDirectory) -> Option<Finding> {
    let all = checkpoint::list_damaged(&run.checkpoints());
    let names: Vec<String> = all.iter().map(|path| path.display().to_string()).collect();
    let bytes = all.iter().map(|path| disk::used(path)).sum();
    let text = format!("damaged and set aside: {} ({})", names.join(", "), amount(bytes));
    (!all.is_empty())
        .then(|| Finding::note("checkpoint", format!("{text}; remove what is of no use")))
}

fn whole(path: &Path) -> Result<String, String> {
    let loaded = checkpoint::read(path)?;
    let replay = match checkpoint::replay(path)? {
        None => "without a replay".to_owned(),
        Some(mut replay) => {
            let read = io::copy(&mut replay, &mut io::sink());
            let failed = |error| format!("checkpoint {}: replay.zst: {error}", path.display());
            format!("with a replay of {}", amount(read.map_err(failed)?))
        }
    };
    let (updates, frames) = (loaded.clock.updates, loaded.clock.frames);
    Ok(format!("whole, at update {updates} and frame {frames}, {replay}"))
}

fn tables(run: &RunDirectory, is_live: bool) -> Vec<Finding> {
    type Check = fn(&Path) -> Result<table::Table, String>;
    let kinds: [(&'static str, Check); 2] =
        [("metrics.csv", table::check_csv), ("metrics.jsonl", table::check_jsonl)];
    let there = kinds.into_iter().filter(|(name, _)| run.path().join(name).exists());
    let finding = |(name, check): (&'static str, Check)| match check(&run.path().join(name)) {
        Ok(table) if table.is_torn && !is_live => {
            let text = format!("{} rows, then half of one: pliant resume drops it", table.rows);
            Finding::note(name, text)
        }
        Ok(table) => Finding::ok(name, format!("{} rows", table.rows)),
        Err(error) => {
            let text = "the rows before it can be read; remove the line, or the file to do without its rows";
            Finding::failed(name, format!("{error}: {text}"))
        }
    };
    there.map(finding).collect()
}

/// Metrics that do not reach to where a run came to its end.
fn incomplete(run: &RunDirectory, has_csv: bool) -> Option<Finding> {
    let status = run.status().filter(|status| has_csv && status.state == State::Finished)?;
    let error = csv::read_to_the_end(&run.path().join("metrics.csv"), status.clock.frames).err()?;
    let text = format!(
        "{error}: put it back from a copy, or train anew in another folder from config.toml"
    );
    Some(Finding::failed("metrics.csv", text))
}

fn named(folder: &Path, is_wanted: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_wanted =
        |path: &PathBuf| path.file_name().and_then(|name| name.to_str()).is_some_and(&is_wanted);
    let mut found: Vec<PathBuf> = entries.filter(is_wanted).collect();
    found.sort();
    found
}

fn event_files(run: &RunDirectory, is_live: bool) -> Finding {
    let files = named(run.path(), |name| name.starts_with("events.out.tfevents."));
    let mut count = 0;
    for file in &files {
        match events::check(file) {
            Ok(events) => count += events,
            Err(_) if is_live => {}
            Err(error) => {
                let (name, text) = (file.display(), "TensorBoard shows what stands before");
                let text =
                    format!("{name} {error}: {text}, and a resumed run writes a file of its own");
                return Finding::note("event files", text);
            }
        }
    }
    Finding::ok("event files", format!("{count} events in {} files", files.len()))
}

/// Figures and films, which are written aside and renamed: one that is not whole was damaged later.
fn pictures(run: &RunDirectory) -> Finding {
    let folders = ["figures", "media"].map(|name| run.path().join(name));
    let all: Vec<PathBuf> =
        folders.iter().flat_map(|folder| named(folder, |name| !name.starts_with('.'))).collect();
    let bad: Vec<String> = all
        .iter()
        .filter(|path| !is_whole_picture(path))
        .map(|path| path.display().to_string())
        .collect();
    if bad.is_empty() {
        return Finding::ok("pictures", format!("{} files in figures/ and media/", all.len()));
    }
    Finding::failed("pictures", format!("not whole: {}; remove them", bad.join(", ")))
}

/// True if it begins and ends as files of its kind do; of other kinds, if it is not empty.
fn is_whole_picture(path: &Path) -> bool {
    if path.is_dir() {
        return true;
    }
    let Ok(bytes) = fs::read(path) else { return false };
    let is = |begin: &[u8], end: &[u8]| {
        bytes.starts_with(begin) && bytes.trim_ascii_end().ends_with(end)
    };
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("png") => is(b"\x89PNG\r\n\x1a\n", b"IEND\xae\x42\x60\x82"),
        Some("gif") => is(b"GIF8", b";"),
        Some("svg") => is(b"<", b"</svg>"),
        _ => !bytes.is_empty(),
    }
}

/// Updates that went wrong.
fn failures(run: &RunDirectory) -> Vec<Finding> {
    let path = run.path().display();
    let told = run.status().and_then(|status| status.error).unwrap_or_default();
    let finding = |dump: &PathBuf| match failed_update::found(dump) {
        Ok(found) => {
            let again = format!("pliant retry {path} --update {}", found.update);
            let what = match told.contains(&found.to_string()) {
                true => format!("update {}, as status.json says", found.update),
                false => found.to_string(),
            };
            Finding::note("failures", format!("{what} ({again} makes it once more)"))
        }
        Err(error) => Finding::failed("failures", format!("{error}; remove {}", dump.display())),
    };
    failed_update::list(run).iter().map(finding).collect()
}

/// What writers that were killed left behind.
fn leftovers(run: &RunDirectory, is_live: bool) -> Option<Finding> {
    let is_left =
        |name: &str| name.starts_with('.') && (name.ends_with(".new") || name.ends_with(".old"));
    let folders =
        ["", "checkpoints", "figures", "media", "reprobe"].map(|name| run.path().join(name));
    let all: Vec<PathBuf> = folders.iter().flat_map(|folder| named(folder, is_left)).collect();
    if all.is_empty() || is_live {
        return None;
    }
    let (bytes, names) = (all.iter().map(|path| disk::used(path)).sum(), all.iter());
    let names: Vec<String> = names.map(|path| path.display().to_string()).collect();
    let text = format!("{} of writers that were killed: {}", amount(bytes), names.join(", "));
    Some(Finding::note(
        "leftovers",
        format!("{text}; remove them, or let the next checkpoint do it"),
    ))
}

/// Room for the next checkpoint, which is written before an old one goes.
fn space(run: &RunDirectory) -> Finding {
    let newest = checkpoint::list(&run.checkpoints()).first().map_or(0, |path| disk::used(path));
    match disk::free(run.path()) {
        Err(error) => Finding::failed("disk", error),
        Ok(free) => enough(newest, free),
    }
}

fn enough(newest: u64, free: u64) -> Finding {
    let text = format!("{} free, the newest checkpoint takes {}", amount(free), amount(newest));
    if free < newest {
        let advice = "free some, lower checkpoint.keep, or go on with checkpoint.replay=false";
        return Finding::failed(
            "disk",
            format!("{text}, and the next is written before one goes: {advice}"),
        );
    }
    Finding::ok("disk", text)
}

#[cfg(test)]
mod tests;
