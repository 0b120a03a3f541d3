//! A built binary as a process of its own: ready, killed, frozen, restarted, stopped.

use std::{
    path::{Path, PathBuf},
    process::ExitStatus,
    time::Duration,
};

use anyhow::Context as _;
use tempfile::TempDir;

pub use crate::child::Signal;
use crate::{
    child::{Program, Running},
    eventually, paths,
    probe::{Question, answers},
};

const START_LIMIT: Duration = Duration::from_secs(30);

const READINESS: Question = Question {
    ask: b"GET /readyz HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n",
    ready: b"HTTP/1.1 200",
};

/// A service that runs with the environment it was given and no other, save `PATH`.
#[derive(Debug)]
pub struct Process {
    name: String,
    program: Program,
    running: Running,
    admin_port: u16,
    log: PathBuf,
    /// Holds the log, where nobody named another place.
    dir: Option<TempDir>,
}

impl Process {
    /// Starts the workspace's binary `name` and waits until `/readyz` on its admin port says 200.
    pub async fn start<K: AsRef<str>, V: AsRef<str>>(
        name: &str,
        args: &[&str],
        env: impl IntoIterator<Item = (K, V)>,
        admin_port: u16,
    ) -> anyhow::Result<Self> {
        let env = env.into_iter().map(|(key, value)| (key.as_ref().to_owned(), value.as_ref().to_owned()));
        Self::start_program(&paths::binary(name)?, args, env, admin_port).await
    }

    /// The same for any program that answers `/readyz`.
    pub async fn start_program(
        path: &Path,
        args: &[&str],
        env: impl IntoIterator<Item = (String, String)>,
        admin_port: u16,
    ) -> anyhow::Result<Self> {
        let dir = tempfile::Builder::new().prefix("mercato-process-").tempdir()?;
        let mut process = Self::start_logging_to(dir.path().join("log"), path, args, env, admin_port).await?;
        process.dir = Some(dir);
        Ok(process)
    }

    /// The same, appending what it writes to a file that outlives it.
    pub async fn start_logging_to(
        log: PathBuf,
        path: &Path,
        args: &[&str],
        env: impl IntoIterator<Item = (String, String)>,
        admin_port: u16,
    ) -> anyhow::Result<Self> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let inherited = std::env::var("PATH").ok().map(|path| ("PATH".to_owned(), path));
        let program = Program::new(path).args(args).clear_env().envs(inherited).envs(env).log(&log);
        let running = program.spawn()?;
        let mut process = Self { name, program, running, admin_port, log, dir: None };
        process.ready().await?;
        Ok(process)
    }

    async fn ready(&mut self) -> anyhow::Result<()> {
        let ready = answers(&self.name, READINESS, self.admin_port, &mut self.running, START_LIMIT).await;
        ready.with_context(|| format!("{} is not ready; it wrote:\n{}", self.name, self.output()))
    }

    /// The process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.running.id()
    }

    /// The base of the URLs of its health and metrics.
    #[must_use]
    pub fn admin_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.admin_port)
    }

    /// Everything it has written so far, restarts included.
    #[must_use]
    pub fn output(&self) -> String {
        std::fs::read(&self.log)
            .map(|written| String::from_utf8_lossy(&written).into_owned())
            .unwrap_or_default()
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        self.running.ended()
    }

    /// `kill -9`.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.running.kill()
    }

    /// Sends a signal: `STOP` freezes it, `CONT` thaws it.
    pub fn signal(&mut self, signal: Signal) -> anyhow::Result<()> {
        self.running.signal(signal)
    }

    /// Kills it if it runs, starts it again with the same arguments and environment, waits until it is ready.
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        self.running.kill()?;
        self.running = self.program.spawn()?;
        self.ready().await
    }

    /// `SIGTERM`, and waits for the end within `limit`.
    pub async fn stop(&mut self, limit: Duration) -> anyhow::Result<ExitStatus> {
        self.running.signal(Signal::TERM)?;
        self.wait(limit).await
    }

    /// Waits until the process has ended, of whatever cause.
    pub async fn wait(&mut self, limit: Duration) -> anyhow::Result<ExitStatus> {
        let what = format!("{} to stop", self.name);
        let running = &mut self.running;
        eventually(&what, limit, || std::future::ready(running.ended().transpose())).await?
    }

    /// Resident memory in KiB, as the kernel counts it; Linux only.
    pub fn resident_kib(&self) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::free_port;

    /// Answers /readyz and writes what it was given; ends on SIGTERM with status 3.
    const SERVICE: &str = r#"
import http.server, os, signal, sys
signal.signal(signal.SIGTERM, lambda *_: os._exit(3))
print("greeting", os.environ.get("GREETING"), "home", os.environ.get("HOME"), flush=True)
class Ready(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.send_response(200 if self.path == "/readyz" else 404)
        self.send_header("content-length", "0")
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Ready).serve_forever()
"#;

    async fn service(port: u16) -> anyhow::Result<Process> {
        let port_text = port.to_string();
        let env = [("GREETING".to_owned(), "ciao".to_owned())];
        Process::start_program(Path::new("python3"), &["-c", SERVICE, &port_text], env, port).await
    }

    #[tokio::test]
    async fn it_lives_dies_and_lives_again() {
        let mut process = service(free_port().unwrap()).await.unwrap();
        let first = process.id();
        assert!(process.resident_kib().unwrap() > 1000);
        process.kill().unwrap();
        assert!(!process.ended().unwrap().unwrap().success());
        process.restart().await.unwrap();
        assert_ne!(process.id(), first);
        let ended = process.stop(Duration::from_secs(10)).await.unwrap();
        assert_eq!(ended.code(), Some(3));
        assert_eq!(process.output().matches("greeting ciao home None").count(), 2, "{}", process.output());
    }

    #[tokio::test]
    async fn what_ends_at_once_shows_what_it_wrote() {
        let args = ["-c", "echo no configuration >&2; exit 2"];
        let ended =
            Process::start_program(Path::new("sh"), &args, [], free_port().unwrap()).await.unwrap_err();
        assert!(format!("{ended:#}").contains("no configuration"), "{ended:#}");
    }
}
