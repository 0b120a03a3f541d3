//! Running other programs, step by step, with a line for each.

use std::{
    ffi::{OsStr, OsString},
    fmt::Display,
    path::PathBuf,
    process::ExitStatus,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use testkit::{child::Signal, paths};
use tokio::{
    process::{Child, Command},
    signal::unix::{SignalKind, signal},
};

/// A program at the root of the source tree.
pub(crate) fn program(path: impl Into<OsString>, args: &[&str]) -> Command {
    let mut command = Command::new(path.into());
    command.args(args).current_dir(paths::workspace_root()).stdin(std::process::Stdio::null());
    for name in std::env::vars_os().map(|(name, _)| name).filter(|name| is_of_this_run(name)) {
        command.env_remove(name);
    }
    // A group of its own, so that it can be stopped together with what it starts.
    command.process_group(0);
    command
}

/// What `cargo run` told this program about itself. Build scripts of dependencies look at these variables: with them
/// here and without them in a terminal, half of the tree would be compiled again at each turn.
fn is_of_this_run(variable: &OsStr) -> bool {
    let of_this_run = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"];
    variable.to_str().is_some_and(|name| of_this_run.iter().any(|start| name.starts_with(start)))
}

/// The cargo that runs this program, of the same toolchain.
pub(crate) fn cargo(args: &[&str]) -> Command {
    program(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()), args)
}

/// Runs a program to its end; fails when it does.
pub(crate) async fn succeed(mut command: Command) -> anyhow::Result<()> {
    let name = PathBuf::from(command.as_std().get_program());
    let child = command.spawn().with_context(|| format!("{} can't be started", name.display()))?;
    let status = Group(child).wait().await?;
    ensure!(status.success(), "{} ended with {status}", name.file_name().unwrap_or_default().display());
    Ok(())
}

/// A child and all that it started; asked to end when dropped before it has.
struct Group(Child);

impl Group {
    async fn wait(mut self) -> anyhow::Result<ExitStatus> {
        Ok(self.0.wait().await?)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let id = self.0.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
        if let Some(id) = id {
            // It may have ended in this moment.
            rustix::process::kill_process_group(id, Signal::TERM).ok();
        }
    }
}

/// Ctrl-C, or a request to end.
pub(crate) async fn interrupted() {
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

/// The steps of a chore: each is announced, timed and counted; a failed one doesn't hinder the next.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    done: Vec<Step>,
}

#[derive(Debug)]
struct Step {
    name: String,
    took: Duration,
    error: Option<String>,
}

impl Steps {
    /// Performs a step and notes how it went; `true` when it went well.
    pub(crate) async fn step(
        &mut self,
        name: impl Display,
        work: impl Future<Output = anyhow::Result<()>>,
    ) -> bool {
        let name = name.to_string();
        eprintln!("\n── {name}");
        let started = now();
        let error = work.await.err().map(|error| format!("{error:#}"));
        self.done.push(Step { name, took: started.elapsed(), error });
        self.done.last().is_some_and(|step| step.error.is_none())
    }

    /// Prints a line for each step and the count; fails when one has.
    pub(crate) fn close(self) -> anyhow::Result<()> {
        eprintln!();
        for step in &self.done {
            let mark = if step.error.is_none() { "ok    " } else { "FAILED" };
            eprintln!("{mark} {:>7.1} s  {}", step.took.as_secs_f64(), step.name);
            for line in step.error.iter().flat_map(|error| error.lines()) {
                eprintln!("       {line}");
            }
        }
        let failed = self.done.iter().filter(|step| step.error.is_some()).count();
        println!("{} passed, {failed} failed", self.done.len() - failed);
        ensure!(failed == 0, "{failed} of {} steps failed", self.done.len());
        Ok(())
    }
}

#[expect(clippy::disallowed_methods, reason = "a stopwatch for people")]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_program_is_told_nothing_of_this_one() {
        let command = program("true", &[]);
        let removed: Vec<_> = command.as_std().get_envs().filter(|(_, value)| value.is_none()).collect();
        assert!(removed.iter().any(|(name, _)| *name == "CARGO_MANIFEST_DIR"), "{removed:?}");
        assert!(!is_of_this_run(OsStr::new("CARGO_TARGET_DIR")) && !is_of_this_run(OsStr::new("CARGO_HOME")));
    }

    #[tokio::test]
    async fn a_failed_step_is_counted_and_the_next_still_runs() {
        let mut steps = Steps::default();
        assert!(!steps.step("false", succeed(program("false", &[]))).await);
        assert!(steps.step("true", succeed(program("true", &[]))).await);
        assert_eq!(steps.close().unwrap_err().to_string(), "1 of 2 steps failed");
    }

    #[tokio::test]
    async fn what_a_program_started_ends_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let pid_file = dir.path().join("pid");
        let script = format!("sleep 60 & echo $! > {0}.new; mv {0}.new {0}; wait", pid_file.display());
        let running = tokio::spawn(succeed(program("sh", &["-c", &script])));
        let limit = Duration::from_secs(10);
        let pid =
            testkit::eventually("the pid", limit, async || std::fs::read_to_string(&pid_file).ok()).await;
        running.abort();
        assert!(running.await.unwrap_err().is_cancelled());
        let process = PathBuf::from(format!("/proc/{}/stat", pid.unwrap().trim()));
        let gone = async || {
            let stat = std::fs::read_to_string(&process).unwrap_or_default();
            (stat.is_empty() || stat.contains(") Z ")).then_some(())
        };
        testkit::eventually("the grandchild's end", limit, gone).await.unwrap();
    }
}
