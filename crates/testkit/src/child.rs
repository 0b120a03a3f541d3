//! Child processes that never outlive their parent.
//!
//! On Linux the kernel sends the child a signal when the thread that started it ends, however it ends. Children are
//! therefore started by one thread that lives as long as the process. Elsewhere a child ends with its handle.

use std::{
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{LazyLock, mpsc},
    thread,
};

use anyhow::{Context as _, anyhow};
pub use rustix::process::Signal;
use rustix::{
    io::Errno,
    process::{Pid, kill_process},
};

/// What to start, and how.
#[derive(Debug, Clone)]
pub struct Program {
    path: PathBuf,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    clear_env: bool,
    dir: Option<PathBuf>,
    log: Option<PathBuf>,
    user: Option<(u32, u32)>,
}

impl Program {
    /// A program without arguments, in this process's folder and environment.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            args: Vec::new(),
            env: Vec::new(),
            clear_env: false,
            dir: None,
            log: None,
            user: None,
        }
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<I: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = I>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_os_string()));
        self
    }

    /// Sets variables of the environment.
    #[must_use]
    pub fn envs<K: AsRef<OsStr>, V: AsRef<OsStr>>(mut self, vars: impl IntoIterator<Item = (K, V)>) -> Self {
        let owned =
            vars.into_iter().map(|(key, value)| (key.as_ref().to_os_string(), value.as_ref().to_os_string()));
        self.env.extend(owned);
        self
    }

    /// Starts from an empty environment.
    #[must_use]
    pub fn clear_env(mut self) -> Self {
        self.clear_env = true;
        self
    }

    /// Sets the working folder.
    #[must_use]
    pub fn dir(mut self, dir: &Path) -> Self {
        self.dir = Some(dir.to_path_buf());
        self
    }

    /// Appends output and errors to a file instead of inheriting them.
    #[must_use]
    pub fn log(mut self, file: &Path) -> Self {
        self.log = Some(file.to_path_buf());
        self
    }

    /// Runs as another user and group; only root may.
    #[must_use]
    pub fn user(mut self, user: Option<(u32, u32)>) -> Self {
        self.user = user;
        self
    }

    /// Starts it in a process group of its own, so that Ctrl-C in a terminal reaches the parent alone.
    pub fn spawn(&self) -> anyhow::Result<Running> {
        let child = starter_thread_spawns(self.command()?)
            .with_context(|| format!("{} can't be started", self.path.display()))?;
        Ok(Running { child, ended: None })
    }

    fn command(&self) -> anyhow::Result<Command> {
        let mut command = self.wrapped();
        command.args(&self.args).stdin(Stdio::null());
        if self.clear_env {
            command.env_clear();
        }
        command.envs(self.env.iter().map(|(key, value)| (key, value)));
        if let Some(dir) = &self.dir {
            command.current_dir(dir);
        }
        if let Some(path) = &self.log {
            let log = std::fs::OpenOptions::new().create(true).append(true).open(path);
            let log = log.with_context(|| format!("{} can't be written", path.display()))?;
            command.stdout(log.try_clone()?).stderr(log);
        }
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        Ok(command)
    }

    /// `setpriv` asks the kernel for the signal at the parent's death, drops privileges, and becomes the program.
    fn wrapped(&self) -> Command {
        if !*HAS_SETPRIV {
            return Command::new(&self.path);
        }
        let mut command = Command::new("setpriv");
        command.arg("--pdeathsig=KILL");
        if let Some((uid, gid)) = self.user {
            command.arg(format!("--reuid={uid}")).arg(format!("--regid={gid}")).arg("--clear-groups");
        }
        command.arg("--").arg(&self.path);
        command
    }
}

/// A child process; dropping it kills it.
#[derive(Debug)]
pub struct Running {
    child: Child,
    ended: Option<ExitStatus>,
}

impl Running {
    /// How it ended, if it has.
    pub fn ended(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait()?;
        }
        Ok(self.ended)
    }

    /// The process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal, unless it has ended.
    pub fn signal(&mut self, signal: Signal) -> anyhow::Result<()> {
        if self.ended()?.is_some() {
            return Ok(());
        }
        let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).context("not a process id")?;
        Ok(kill_process(id, signal)?)
    }

    /// `kill -9`, and waits until the kernel has taken it.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        if self.ended()?.is_none() {
            self.child.kill()?;
            self.ended = Some(self.child.wait()?);
        }
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // At worst it was gone already.
        drop(self.kill());
    }
}

/// Whether `setpriv` of util-linux is here; that of busybox knows no `--pdeathsig`.
static HAS_SETPRIV: LazyLock<bool> = LazyLock::new(|| {
    let asked =
        Command::new("setpriv").args(["--pdeathsig=KILL", "--", "true"]).stderr(Stdio::null()).status();
    asked.is_ok_and(|status| status.success())
});

type Order = (Command, mpsc::Sender<std::io::Result<Child>>);

static STARTER: LazyLock<mpsc::Sender<Order>> = LazyLock::new(|| {
    let (orders, inbox) = mpsc::channel::<Order>();
    thread::spawn(move || {
        for (mut command, answer) in inbox {
            // Who ordered it may be gone; then the child is dropped, and dies with this process.
            drop(answer.send(command.spawn()));
        }
    });
    orders
});

fn starter_thread_spawns(command: Command) -> anyhow::Result<Child> {
    let (answer, child) = mpsc::channel();
    STARTER.send((command, answer)).map_err(|_| anyhow!("the thread that starts children has ended"))?;
    Ok(child.recv().context("the thread that starts children has ended")??)
}

/// The processes that a process has started and that run, as Linux tells them; none where it is not asked.
pub(crate) fn children_of(parent: u32) -> anyhow::Result<Vec<Pid>> {
    let Ok(processes) = std::fs::read_dir("/proc") else { return Ok(Vec::new()) };
    let mut children = Vec::new();
    for process in processes {
        let name = process?.file_name();
        let Some(id) = name.to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw) else {
            continue;
        };
        // It may be gone by now.
        let status = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        children.extend((parent_in(&status) == Some(parent)).then_some(id));
    }
    Ok(children)
}

/// The fourth field of `/proc/<id>/stat` (proc(5)); the second is a name in parentheses, which may hold anything.
fn parent_in(status: &str) -> Option<u32> {
    status.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// A signal to a process that may have ended by itself.
pub(crate) fn signal_if_there(id: Pid, signal: Signal) -> anyhow::Result<()> {
    match kill_process(id, signal) {
        Err(Errno::SRCH) => Ok(()),
        sent => Ok(sent?),
    }
}

/// `true` when privileges can be dropped before a program starts.
#[must_use]
pub fn can_change_user() -> bool {
    *HAS_SETPRIV
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use super::*;
    use crate::eventually;

    #[tokio::test]
    async fn output_goes_to_the_log() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let mut child = Program::new("sh")
            .args(["-c", "echo $GREETING"])
            .envs([("GREETING", "ciao")])
            .log(&log)
            .spawn()
            .unwrap();
        let ended = eventually("the shell's end", Duration::from_secs(10), || {
            std::future::ready(child.ended().unwrap())
        });
        assert!(ended.await.unwrap().success());
        assert_eq!(std::fs::read_to_string(log).unwrap(), "ciao\n");
    }

    #[test]
    fn a_child_outlives_the_thread_that_ordered_it_but_not_its_handle() {
        let mut child = thread::spawn(|| Program::new("sleep").args(["60"]).spawn().unwrap()).join().unwrap();
        assert!(child.ended().unwrap().is_none());
        let id = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        drop(child);
        assert!(rustix::process::test_kill_process(id).is_err());
    }

    #[test]
    fn the_parent_stands_behind_a_name_that_may_hold_anything() {
        assert_eq!(parent_in("42 (a b) R 7) S 12 42 42 0 -1 4194304"), Some(12));
        assert_eq!(parent_in(""), None);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn what_a_process_has_started_is_known_while_it_runs() {
        let shell = Program::new("sh").args(["-c", "sleep 60 & wait"]).spawn().unwrap();
        let started = eventually("the shell's child", Duration::from_secs(10), || {
            std::future::ready(children_of(shell.id()).unwrap().first().copied())
        });
        let child = started.await.unwrap();
        signal_if_there(child, Signal::KILL).unwrap();
        let ended = eventually("its end", Duration::from_secs(10), || {
            std::future::ready(children_of(shell.id()).unwrap().is_empty().then_some(()))
        });
        ended.await.unwrap();
        signal_if_there(child, Signal::KILL).unwrap();
    }

    #[test]
    fn killing_twice_is_harmless() {
        let mut child = Program::new("sleep").args(["60"]).spawn().unwrap();
        child.kill().unwrap();
        child.kill().unwrap();
        child.signal(Signal::TERM).unwrap();
        assert!(!child.ended().unwrap().unwrap().success());
    }
}
