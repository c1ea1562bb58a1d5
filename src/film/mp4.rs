//! Films as MP4 files, by the program `ffmpeg`.

use std::{
    env, fs,
    io::{Read, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    thread::{self, JoinHandle},
};

use pliant_core::{
    envs::env::Picture,
    error::{Error, Result},
};

use super::{Film, FrameRate, check_size, size};

/// x264's quality, 0 (lossless) to 51; the edges of large pixels stay clear.
const QUALITY: &str = "18";

/// `ffmpeg` in the folders of PATH.
pub(super) fn find_ffmpeg() -> Option<PathBuf> {
    let folders = env::var_os("PATH")?;
    let is_program = |path: &PathBuf| {
        fs::metadata(path)
            .is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
    };
    env::split_paths(&folders)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join("ffmpeg"))
        .find(is_program)
}

/// A film that `ffmpeg` writes as it comes. H.264 in the form that every player reads, which halves
/// the colours' resolution and needs even sides: an odd side gets a black line.
pub(super) struct Mp4Film {
    program: PathBuf,
    path: PathBuf,
    encoder: Option<Encoder>,
}

/// `ffmpeg` at work.
struct Encoder {
    process: Child,
    /// Raw RGB; closed at the film's end.
    pixels: Option<ChildStdin>,
    /// Collects what it complains of, so that it never waits for someone to listen.
    complaints: Option<JoinHandle<String>>,
    size: (u16, u16),
}

impl Mp4Film {
    /// A film into this file, which is replaced.
    pub(super) fn new(program: PathBuf, path: PathBuf) -> Self {
        Self { program, path, encoder: None }
    }

    /// Waits until the file is complete.
    pub(super) fn finish(mut self) -> Result<()> {
        let mut encoder =
            self.encoder.take().ok_or_else(|| Error::Invalid("a film needs a picture".into()))?;
        encoder.finish()
    }
}

impl Film for Mp4Film {
    fn add(&mut self, picture: &Picture, rate: FrameRate) -> Result<()> {
        let encoder = match &mut self.encoder {
            Some(encoder) => encoder,
            none => none.insert(Encoder::start(&self.program, &self.path, size(picture)?, rate)?),
        };
        check_size(picture, encoder.size)?;
        encoder.write(picture)
    }
}

impl Encoder {
    fn start(program: &Path, path: &Path, size: (u16, u16), rate: FrameRate) -> Result<Self> {
        let failed = |error| Error::Invalid(format!("ffmpeg: cannot be started: {error}"));
        let mut process = Command::new(program)
            .args(["-hide_banner", "-loglevel", "error", "-nostdin", "-y"])
            .args(["-f", "rawvideo", "-pixel_format", "rgb24"])
            .args(["-video_size", &format!("{}x{}", size.0, size.1)])
            .args(["-framerate", &format!("{}/{}", rate.pictures, rate.seconds)])
            .args(["-i", "pipe:0", "-an", "-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2"])
            .args(["-c:v", "libx264", "-crf", QUALITY, "-pix_fmt", "yuv420p"])
            .args(["-movflags", "+faststart", "-f", "mp4"])
            .arg(path)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let complaints = process.stderr.take().map(|mut stderr| {
            thread::spawn(move || {
                let mut bytes = Vec::new();
                let _ = stderr.read_to_end(&mut bytes); // what was read until then is told
                String::from_utf8_lossy(&bytes).into_owned()
            })
        });
        Ok(Self { pixels: process.stdin.take(), complaints, process, size })
    }

    fn write(&mut self, picture: &Picture) -> Result<()> {
        let written = self.pixels.as_mut().map(|pixels| pixels.write_all(&picture.rgb));
        match written {
            Some(Ok(())) => Ok(()),
            // It went away: its own words say why.
            _ => self.finish().and_then(|()| Err(Error::Invalid("ffmpeg: ended early".into()))),
        }
    }

    fn finish(&mut self) -> Result<()> {
        self.pixels = None;
        let status = self.process.wait()?;
        let complaints = self.complaints.take().and_then(|thread| thread.join().ok());
        if status.success() {
            return Ok(());
        }
        let complaints = complaints.unwrap_or_default();
        let lines: Vec<&str> = complaints.lines().map(str::trim).collect();
        let words = if lines.is_empty() { status.to_string() } else { lines.join("; ") };
        Err(Error::Invalid(format!("ffmpeg: {words}")))
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        self.pixels = None;
        let _ = self.process.kill(); // does nothing to one that has ended
        let _ = self.process.wait();
    }
}
