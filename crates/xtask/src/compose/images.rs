//! The images: those that `.env` names, and those that are built.

use std::{collections::BTreeMap, fs};

use anyhow::Context as _;
use testkit::paths;

use super::engine::{Engine, output};
use crate::run::{cargo, program, succeed};

/// Which programs the services' images hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Programs {
    /// Compiled in a container, without optimisation
    Dev,
    /// Compiled in a container, as they are shipped
    Release,
    /// Those that cargo builds outside of Docker, in the profile `dev`
    Here,
}

/// Neither Debian nor PyPI has them, and their profile is left out.
const CONSOLES: [&str; 2] = ["JAEGER_IMAGE", "GRAFANA_IMAGE"];
/// The image that holds the programs built outside of Docker.
pub(super) const BINARIES: &str = "mercato/binaries:here";

const IN_IMAGES: [&str; 6] =
    ["gateway", "catalog-svc", "license-svc", "payments-svc", "webhook-dispatcher", "mercato"];

/// Pulls what the engine lacks, or makes it.
pub(super) async fn provide(engine: &Engine) -> anyhow::Result<()> {
    let env = fs::read_to_string(paths::workspace_root().join(".env")).context(".env can't be read")?;
    let named: Vec<String> = read_env(&env)
        .into_iter()
        .filter(|(name, _)| name.ends_with("_IMAGE") && !CONSOLES.contains(&name.as_str()))
        .map(|(_, image)| image)
        .collect();
    for image in &named {
        if !engine.has(image).await && output(engine.docker(&["pull", "--quiet", image])).await.is_err() {
            eprintln!("{image} can't be pulled: making stand-ins");
            return succeed(engine.tell(program("deploy/docker/local-images", &[]))).await;
        }
    }
    Ok(())
}

/// An image of the programs that cargo builds here.
pub(super) async fn from_here(engine: &Engine) -> anyhow::Result<()> {
    let mut build = cargo(&["build", "--workspace"]);
    build.args(IN_IMAGES.iter().flat_map(|name| ["--bin", name]));
    succeed(build).await?;
    let folder = paths::target_dir()?.join("compose/binaries");
    let out = folder.join("out");
    fs::create_dir_all(&out)?;
    for name in IN_IMAGES {
        let mut strip = program("strip", &["-o"]);
        strip.arg(out.join(name)).arg(paths::binary(name)?);
        succeed(strip).await?;
    }
    fs::write(folder.join("Dockerfile"), "FROM scratch\nCOPY out /out\n")?;
    let mut build = engine.docker(&["build", "--quiet", "--tag", BINARIES]);
    build.arg(&folder);
    succeed(build).await
}

/// The variables of a file such as `.env`.
pub(super) fn read_env(text: &str) -> BTreeMap<String, String> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_once('=')).map(|(name, value)| (name.into(), value.into())).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_file_of_variables_is_read_line_by_line() {
        let env = read_env("# A comment\nA_IMAGE=a/b:1\n\nURL=http://x?y=z\n");
        assert_eq!(env["A_IMAGE"], "a/b:1");
        assert_eq!(env["URL"], "http://x?y=z");
        assert_eq!(env.len(), 2);
    }

    #[test]
    fn each_variable_of_the_compose_file_has_a_value_and_each_value_is_used() {
        let root = paths::workspace_root();
        let env = read_env(&fs::read_to_string(root.join(".env")).unwrap());
        let compose = fs::read_to_string(root.join("docker-compose.yml")).unwrap();
        let asked = compose.split("${").skip(1).filter_map(|rest| rest.split_once('}'));
        let asked: std::collections::BTreeSet<&str> = asked.map(|(name, _)| name).collect();
        let given = env.keys().map(String::as_str).filter(|name| *name != "COMPOSE_PROFILES");
        assert_eq!(asked, given.collect());
    }
}
