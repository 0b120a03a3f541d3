//! A Docker engine, and the programs that speak to it.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use testkit::{
    child::{Program, Running, Signal},
    eventually, paths,
};
use tokio::process::Command;

use crate::{run::program, tools};

const BUILDKIT: &str = "DOCKER_BUILDKIT";
const START_LIMIT: Duration = Duration::from_mins(1);
/// It stops what containers are left, each within its own time.
const STOP_LIMIT: Duration = Duration::from_mins(2);

/// An engine that answers.
pub(super) struct Engine {
    docker: OsString,
    compose: Vec<OsString>,
    /// The variables by which both find it.
    vars: Vec<(&'static str, OsString)>,
    own: Option<Running>,
}

impl Engine {
    /// The one that the environment names or that listens where engines do; else one of our own.
    pub(super) async fn find_or_start() -> anyhow::Result<Self> {
        if let Some(docker) = tools::find("docker")
            && answers(docker.as_os_str(), &[]).await
        {
            return Self::with(docker.into(), Vec::new(), None).await;
        }
        tools::debian("dockerd", "docker.io").await.context("no Docker engine answers")?;
        tools::debian("iptables", "iptables").await?;
        let folder = paths::target_dir()?.join("compose");
        std::fs::create_dir_all(&folder)?;
        let socket = OsString::from(format!("unix://{}", folder.join("engine.sock").display()));
        eprintln!("starting dockerd; what it writes: {}", folder.join("engine.log").display());
        let own = start(&folder, &socket)?;
        // Debian's client, of the same version as the engine.
        let docker = Some(PathBuf::from("/usr/bin/docker")).filter(|path| path.is_file());
        let docker =
            docker.or_else(|| tools::find("docker")).context("there is no `docker`")?.into_os_string();
        let vars = vec![("DOCKER_HOST", socket)];
        let ready = async || answers(&docker, &vars).await.then_some(());
        eventually("the engine", START_LIMIT, ready).await?;
        Self::with(docker, vars, Some(own)).await
    }

    async fn with(
        docker: OsString,
        vars: Vec<(&'static str, OsString)>,
        own: Option<Running>,
    ) -> anyhow::Result<Self> {
        let compose = compose().await?;
        let mut vars = vars;
        if std::env::var_os(BUILDKIT).is_none() && !has_buildkit_unasked(&docker, &vars).await? {
            vars.push((BUILDKIT, "1".into()));
        }
        Ok(Self { docker, compose, vars, own })
    }

    /// `docker` with these arguments.
    pub(super) fn docker(&self, args: &[&str]) -> Command {
        self.tell(program(&self.docker, args))
    }

    /// Another program that finds `docker` and its engine.
    pub(super) fn tell(&self, mut command: Command) -> Command {
        command.envs(self.vars.iter().cloned()).env("DOCKER", &self.docker);
        // docker-compose 1.29 builds by calling `docker`: the one of this engine.
        if let (Some(folder), Some(path)) = (Path::new(&self.docker).parent(), std::env::var_os("PATH")) {
            let first = std::iter::once(folder.to_owned());
            let path = std::env::join_paths(first.chain(std::env::split_paths(&path)));
            command.envs(path.map(|path| ("PATH", path)));
        }
        command
    }

    /// docker-compose or `docker compose`, and what comes before its command.
    pub(super) fn compose(&self) -> &[OsString] {
        &self.compose
    }

    /// The variables by which programs find the engine.
    pub(super) fn vars(&self) -> &[(&'static str, OsString)] {
        &self.vars
    }

    /// Whether it has an image of this name.
    pub(super) async fn has(&self, image: &str) -> bool {
        output(self.docker(&["image", "inspect", image])).await.is_ok()
    }

    /// Ends the engine if it was started here.
    pub(super) async fn stop(self) -> anyhow::Result<()> {
        let Some(mut own) = self.own else { return Ok(()) };
        own.signal(Signal::TERM)?;
        let ended = || std::future::ready(own.ended().transpose());
        eventually("the engine's end", STOP_LIMIT, ended).await??;
        Ok(())
    }
}

fn start(folder: &Path, socket: &OsString) -> anyhow::Result<Running> {
    let dockerd = tools::find("dockerd").context("there is no `dockerd`")?;
    let option = |name: &str, at: &str| OsString::from(format!("--{name}={}", folder.join(at).display()));
    let args = [
        OsString::from("--host"),
        socket.clone(),
        option("data-root", "engine"),
        option("exec-root", "engine-run"),
        option("pidfile", "engine.pid"),
        OsString::from(format!("--mtu={}", mtu())),
    ];
    Program::new(dockerd).args(args).log(&folder.join("engine.log")).spawn()
}

/// What fits through the interface that leads out: containers that send more would wait for answers in vain.
fn mtu() -> u32 {
    let routes = std::fs::read_to_string("/proc/net/route").unwrap_or_default();
    let way_out = routes.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let way_out = way_out.into_iter().find(|fields| fields.get(1) == Some(&"00000000"));
    let interface = way_out.and_then(|fields| fields.first().map(|name| (*name).to_owned()));
    let mtu = interface.and_then(|name| std::fs::read_to_string(format!("/sys/class/net/{name}/mtu")).ok());
    mtu.and_then(|mtu| mtu.trim().parse().ok()).unwrap_or(1500)
}

async fn answers(docker: &std::ffi::OsStr, vars: &[(&'static str, OsString)]) -> bool {
    let mut ask = program(docker, &["version", "--format", "{{.Server.Version}}"]);
    ask.envs(vars.iter().cloned());
    output(ask).await.is_ok()
}

/// Clients older than 23 bring BuildKit, but build without it if nothing is said: every stage, needed or not.
async fn has_buildkit_unasked(docker: &OsString, vars: &[(&'static str, OsString)]) -> anyhow::Result<bool> {
    let mut ask = program(docker, &["version", "--format", "{{.Client.Version}}"]);
    ask.envs(vars.iter().cloned());
    let version = output(ask).await?;
    let major: u32 = version.split('.').next().and_then(|major| major.trim().parse().ok()).unwrap_or(0);
    Ok(major >= 23)
}

/// docker-compose, or what takes its place; Debian's is installed where there is neither.
pub(super) async fn compose() -> anyhow::Result<Vec<OsString>> {
    if let Some(found) = tools::find("docker-compose") {
        return Ok(vec![found.into()]);
    }
    if let Some(docker) = tools::find("docker")
        && output(program(&docker, &["compose", "version"])).await.is_ok()
    {
        return Ok(vec![docker.into(), "compose".into()]);
    }
    let installed = tools::debian("docker-compose", "docker-compose").await;
    Ok(vec![installed.context("neither docker-compose nor `docker compose` is there")?.into()])
}

/// What a program says on standard output; what it said on the other one, when it fails.
pub(super) async fn output(mut command: Command) -> anyhow::Result<String> {
    let name = PathBuf::from(command.as_std().get_program());
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await.with_context(|| format!("{} can't be run", name.display()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{} ended with {}: {}", name.display(), output.status, said.trim());
    }
    let said = String::from_utf8(output.stdout)?;
    ensure!(!said.contains('\0'), "{} answers no text", name.display());
    Ok(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_out_has_a_size() {
        assert!((576..=65_536).contains(&mtu()));
    }
}
