//! A film on its way into a file that a user named.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
};

use pliant_core::{envs::env::Picture, error::Result};

use super::{
    Film, FrameRate, GifFilm,
    mp4::{Mp4Film, find_ffmpeg},
};

/// A film that becomes a file when it is finished: until then a file of that name stays as it is,
/// and what was begun goes away if the film is dropped.
pub struct FilmFile {
    path: PathBuf,
    /// Above `aside`, so that it goes first: an encoder at work would write the file anew.
    film: Encoded,
    aside: Aside,
}

enum Encoded {
    Gif(GifFilm),
    Mp4(Mp4Film),
}

impl FilmFile {
    /// Checks all that can be wrong with a `.gif` or `.mp4` before there is a picture.
    pub fn create(path: &Path) -> Result<Self, String> {
        let refused = |reason: String| format!("film {}: {reason}", path.display());
        let extension = path.extension().map(|text| text.to_string_lossy().to_lowercase());
        let ffmpeg = match extension.as_deref() {
            Some("gif") => None,
            Some("mp4") => Some(find_ffmpeg().ok_or_else(|| {
                refused("ffmpeg, which writes .mp4, is not on PATH; .gif works without it".into())
            })?),
            _ => return Err(refused("expected a name that ends in .gif or .mp4".into())),
        };
        if path.is_dir() {
            return Err(refused("is a folder".into()));
        }
        let aside = Aside::create(path).map_err(refused)?;
        let film = match ffmpeg {
            Some(ffmpeg) => Encoded::Mp4(Mp4Film::new(ffmpeg, aside.0.clone())),
            None => Encoded::Gif(GifFilm::default()),
        };
        Ok(Self { path: path.to_owned(), aside, film })
    }

    /// What it becomes.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the file. One of the same name is replaced.
    pub fn finish(self) -> Result<()> {
        let Self { path, aside, film } = self;
        match film {
            Encoded::Mp4(film) => film.finish()?,
            Encoded::Gif(film) => File::create(&aside.0)?.write_all(&film.finish()?)?,
        }
        File::open(&aside.0)?.sync_all()?;
        Ok(fs::rename(&aside.0, path)?)
    }
}

impl Film for FilmFile {
    fn add(&mut self, picture: &Picture, rate: FrameRate) -> Result<()> {
        match &mut self.film {
            Encoded::Gif(film) => film.add(picture, rate),
            Encoded::Mp4(film) => film.add(picture, rate),
        }
    }
}

/// A file beside the one that is to be, removed unless it was renamed.
struct Aside(PathBuf);

impl Aside {
    fn create(path: &Path) -> Result<Self, String> {
        let mut name = OsString::from(".");
        name.push(path.file_name().unwrap_or_default());
        name.push(".new");
        let aside = path.with_file_name(name);
        File::create(&aside).map_err(|error| match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() && !folder.is_dir() => {
                format!("there is no folder {}", folder.display())
            }
            _ => format!("cannot be written: {error}"),
        })?;
        Ok(Self(aside))
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0); // after a rename there is none
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn white() -> Picture {
        Picture { height: 2, width: 3, rgb: vec![255; 18] }
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).expect("a folder").flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn a_file_is_replaced_when_the_film_is_finished_and_not_before() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("out.GIF");
        fs::write(&path, "an older film").expect("writable");
        let mut film = FilmFile::create(&path).expect("a film");
        film.add(&white(), FrameRate::per_second(1)).expect("a picture");
        drop(film);
        assert_eq!(fs::read(&path).expect("there"), b"an older film");
        assert_eq!(names(folder.path()), ["out.GIF"]);
        let mut film = FilmFile::create(&path).expect("a film");
        film.add(&white(), FrameRate::per_second(1)).expect("a picture");
        film.finish().expect("written");
        assert_eq!(fs::read(&path).expect("there")[..6], *b"GIF89a");
        assert_eq!(names(folder.path()), ["out.GIF"]);
    }

    /// An encoder that never stops writing, in place of ffmpeg. Luck could hide the fault a few times.
    #[test]
    fn a_film_that_is_dropped_leaves_no_file_though_its_encoder_is_at_work() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        let program = folder.path().join("ffmpeg");
        let script = "#!/bin/sh\nfor last; do :; done\n\
                      while :; do echo film > \"$last\"; done\n";
        fs::write(&program, script).expect("writable");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("ours");
        for _ in 0..30 {
            let path = folder.path().join("out.mp4");
            let aside = Aside::create(&path).expect("writable");
            let mut encoder = Mp4Film::new(program.clone(), aside.0.clone());
            encoder.add(&white(), FrameRate::per_second(1)).expect("a picture");
            let started = std::time::Instant::now();
            while fs::metadata(&aside.0).expect("there").len() == 0 {
                assert!(started.elapsed().as_secs() < 60, "it is at work by now");
            }
            drop(FilmFile { path, film: Encoded::Mp4(encoder), aside });
            assert_eq!(names(folder.path()), ["ffmpeg"]);
        }
    }

    #[test]
    fn what_cannot_become_a_film_is_refused_and_leaves_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let refused =
            |name: &str| FilmFile::create(&folder.path().join(name)).err().expect("refused");
        assert!(refused("out.avi").ends_with("out.avi: expected a name that ends in .gif or .mp4"));
        assert!(refused("gif").contains("ends in .gif or .mp4"));
        assert!(refused("no/out.gif").contains("there is no folder"));
        assert!(names(folder.path()).is_empty());
        fs::create_dir(folder.path().join("a.gif")).expect("writable");
        assert!(refused("a.gif").ends_with("is a folder"));
    }
}
