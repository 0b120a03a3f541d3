//! A wall clock of its own for a process, which a test steps while the process runs.
//!
//! A small library that the C compiler makes is loaded before the program's own (`LD_PRELOAD`) and answers what asks
//! for the time. Timers are not moved: they run on the monotonic clock. Linux only.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, ensure};

const SOURCE: &str = include_str!("../assets/clock.c");

/// The library, compiled once into a folder.
#[derive(Debug, Clone)]
pub struct ClockLibrary {
    folder: PathBuf,
}

/// The clock of one process, or of several that share it.
#[derive(Debug, Clone)]
pub struct SteppedClock {
    library: PathBuf,
    offset: PathBuf,
}

impl ClockLibrary {
    /// Compiles it; none where programs take no such library.
    pub fn compile(folder: &Path) -> anyhow::Result<Option<Self>> {
        if !cfg!(target_os = "linux") {
            return Ok(None);
        }
        fs::create_dir_all(folder)?;
        let source = folder.join("clock.c");
        fs::write(&source, SOURCE)?;
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O2", "-o"]).arg(library(folder)).arg(&source);
        let output = compiler.output().context("cc can't be run; Rust's linker needs it too")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "the clock's library can't be compiled:\n{}", said.trim());
        Ok(Some(Self { folder: folder.to_path_buf() }))
    }

    /// A clock that goes right until it is stepped.
    pub fn clock(&self, name: &str) -> anyhow::Result<SteppedClock> {
        let clock = SteppedClock {
            library: library(&self.folder),
            offset: self.folder.join(format!("{name}.offset")),
        };
        clock.write(0)?;
        Ok(clock)
    }
}

impl SteppedClock {
    /// By which a process that is started takes this clock.
    #[must_use]
    pub fn vars(&self) -> [(String, String); 2] {
        let text = |path: &Path| path.display().to_string();
        [("LD_PRELOAD".to_owned(), text(&self.library)), ("MERCATO_CLOCK".to_owned(), text(&self.offset))]
    }

    /// From now on it is so much fast.
    pub fn fast_by(&self, ahead: Duration) -> anyhow::Result<()> {
        self.write(i64::try_from(ahead.as_millis())?)
    }

    /// From now on it is so much slow.
    pub fn slow_by(&self, behind: Duration) -> anyhow::Result<()> {
        self.write(-i64::try_from(behind.as_millis())?)
    }

    /// From now on it goes right.
    pub fn right(&self) -> anyhow::Result<()> {
        self.write(0)
    }

    /// In place: the processes have the file mapped. Eight bytes at once are never seen half.
    fn write(&self, offset_ms: i64) -> anyhow::Result<()> {
        use std::os::unix::fs::FileExt as _;

        let file = fs::File::options().create(true).truncate(false).write(true).open(&self.offset)?;
        Ok(file.write_all_at(&offset_ms.to_ne_bytes(), 0)?)
    }
}

fn library(folder: &Path) -> PathBuf {
    folder.join("libmercato_clock.so")
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn asked(clock: &SteppedClock) -> i64 {
        let mut date = Command::new("date");
        let output = date.arg("+%s").envs(clock.vars()).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
    }

    #[test]
    fn a_process_believes_its_own_clock_alone() {
        let folder = tempfile::tempdir().unwrap();
        let library = ClockLibrary::compile(folder.path()).unwrap().unwrap();
        let (stepped, other) = (library.clock("a").unwrap(), library.clock("b").unwrap());
        stepped.fast_by(Duration::from_hours(10)).unwrap();
        let ahead = asked(&stepped) - asked(&other);
        assert!((35_990..=36_010).contains(&ahead), "{ahead}");
        stepped.slow_by(Duration::from_hours(10)).unwrap();
        let behind = asked(&other) - asked(&stepped);
        assert!((35_990..=36_010).contains(&behind), "{behind}");
        stepped.right().unwrap();
        assert!((asked(&stepped) - asked(&other)).abs() <= 10);
    }
}
