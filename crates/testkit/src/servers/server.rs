//! One server process: started, asked until it answers, killed, restarted on the same port and data.

use std::{path::PathBuf, time::Duration};

use anyhow::Context as _;
use tempfile::TempDir;

use crate::{
    child::{Program, Running, Signal, children_of, signal_if_there},
    eventually, free_port,
    probe::{Question, answers},
};

const START_LIMIT: Duration = Duration::from_mins(1);
const STOP_LIMIT: Duration = Duration::from_secs(20);
/// How often another port is tried, when somebody took the one that was free.
const PORTS: usize = 5;

/// A running server with its data.
#[derive(Debug)]
pub struct Server {
    name: &'static str,
    program: Program,
    running: Running,
    question: Question,
    stop_by: Signal,
    port: u16,
    dir: TempDir,
}

/// What the three kinds of server have to say about themselves.
pub(super) struct Kind {
    pub(super) name: &'static str,
    pub(super) question: Question,
    pub(super) stop_by: Signal,
}

impl Server {
    /// Starts `program(port)`, whose data lies in `dir`, on a free port.
    pub(super) async fn start(
        kind: Kind,
        dir: TempDir,
        program: impl Fn(u16) -> anyhow::Result<Program>,
    ) -> anyhow::Result<Self> {
        let log = dir.path().join("log");
        let mut refused = None;
        for _ in 0..PORTS {
            let port = free_port()?;
            let program = program(port)?.log(&log);
            let mut running = program.spawn()?;
            match answers(kind.name, kind.question, port, &mut running, START_LIMIT).await {
                Ok(()) => {
                    let Kind { name, question, stop_by } = kind;
                    return Ok(Self { name, program, running, question, stop_by, port, dir });
                }
                Err(error) => refused = Some(error),
            }
        }
        let said = std::fs::read_to_string(&log).unwrap_or_default();
        Err(refused.context("no port was tried")?.context(format!("{} said:\n{}", kind.name, said.trim())))
    }

    /// The port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.running.id()
    }

    /// `kill -9`.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.running.kill()
    }

    /// Sends it a signal: `STOP` freezes it, `CONT` thaws it.
    pub fn signal(&mut self, signal: Signal) -> anyhow::Result<()> {
        self.running.signal(signal)
    }

    /// Sends a signal to it and to every process that it has started, such as those of PostgreSQL's connections.
    pub fn signal_all(&mut self, signal: Signal) -> anyhow::Result<()> {
        // While it stands still it starts no other.
        self.running.signal(Signal::STOP)?;
        for child in children_of(self.id())? {
            signal_if_there(child, signal)?;
        }
        self.running.signal(signal)
    }

    /// `kill -9` of it and of every process that it has started, at once: what a machine that loses its power does.
    pub fn kill_all(&mut self) -> anyhow::Result<()> {
        self.signal_all(Signal::KILL)?;
        self.kill()
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> anyhow::Result<Option<std::process::ExitStatus>> {
        self.running.ended()
    }

    /// Starts it again on the same port and data, and waits until it answers.
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        self.kill()?;
        let program = &self.program;
        let (running, name, question, port) = (&mut self.running, self.name, self.question, self.port);
        let restarted = async {
            loop {
                *running = program.spawn()?;
                // A killed server's own children may hold its memory or port for a moment more: then it ends at once.
                if answers(name, question, port, running, START_LIMIT).await.is_ok() {
                    return anyhow::Ok(());
                }
            }
        };
        let restarted = tokio::time::timeout(START_LIMIT, restarted).await;
        restarted
            .with_context(|| format!("{} did not come back; its log: {}", self.name, self.log().display()))?
    }

    /// Asks it to end, waits until it has.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        self.stop_by(self.stop_by).await
    }

    /// The same by another signal than the one that is quickest.
    pub async fn stop_by(&mut self, signal: Signal) -> anyhow::Result<()> {
        self.running.signal(signal)?;
        let what = format!("the end of {}", self.name);
        let running = &mut self.running;
        eventually(&what, STOP_LIMIT, || std::future::ready(running.ended().transpose())).await??;
        Ok(())
    }

    /// What the server wrote.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.dir.path().join("log")
    }
}
