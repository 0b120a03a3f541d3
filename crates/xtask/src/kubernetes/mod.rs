//! What a cluster is given: built, held against the schemas of Kubernetes, and against rules of our own.

mod object;
mod rules;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context as _, bail, ensure};
use object::Object;
use serde::Deserialize as _;
use testkit::paths;

use crate::{
    python,
    run::{Steps, program, succeed},
    tools,
};

/// The version whose schemas hold: the oldest that has what the manifests use (`preStop.sleep` is on since 1.30).
const KUBERNETES: &str = "1.32";
const FOLDER: &str = "deploy/kubernetes";

/// The programs of the check.
struct Programs {
    kubectl: PathBuf,
    python: PathBuf,
}

/// A step for each overlay.
pub(crate) async fn check(steps: &mut Steps) -> anyhow::Result<()> {
    let root = paths::workspace_root();
    let dir = paths::target_dir()?.join("kubernetes");
    fs::create_dir_all(&dir)?;
    let mut found = None;
    steps
        .step("kubectl, Kubernetes' schemas", async { programs(&dir).await.map(|it| found = Some(it)) })
        .await;
    let Some(programs) = found else { return Ok(()) };
    for overlay in overlays(&root.join(FOLDER).join("overlays"))? {
        let name = format!("{FOLDER}/overlays/{overlay}");
        let built = dir.join(format!("{overlay}.yaml"));
        steps.step(&name, check_overlay(&programs, &overlay, &root.join(&name), &built)).await;
    }
    Ok(())
}

async fn programs(dir: &Path) -> anyhow::Result<Programs> {
    let kubectl = tools::kubectl().await?;
    let requirements = paths::workspace_root().join(FOLDER).join("requirements.txt");
    Ok(Programs { kubectl, python: python::environment(dir, &[requirements]).await? })
}

/// The names of the folders in `folder`.
fn overlays(folder: &Path) -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("{} can't be read", folder.display()))? {
        let entry = entry?;
        if entry.path().join("kustomization.yaml").is_file() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    ensure!(!names.is_empty(), "{} has no overlay", folder.display());
    names.sort();
    Ok(names)
}

async fn check_overlay(programs: &Programs, name: &str, overlay: &Path, built: &Path) -> anyhow::Result<()> {
    let text = build(&programs.kubectl, overlay).await?;
    fs::write(built, &text)?;
    let mut validate = program(&programs.python, &["-m", "kubernetes_validate", "--quiet", "--strict"]);
    validate.args(["--kubernetes-version", KUBERNETES]).arg(built);
    let schemas = succeed(validate).await.context("not what the schemas of Kubernetes allow");
    let findings = rules::check(name, &objects(&text)?);
    for finding in &findings {
        eprintln!("{finding}");
    }
    schemas?;
    match findings.len() {
        0 => Ok(()),
        count => bail!("{count} findings"),
    }
}

async fn build(kubectl: &Path, overlay: &Path) -> anyhow::Result<String> {
    let mut kustomize = program(kubectl, &["kustomize"]);
    let built = kustomize.arg(overlay).stdout(Stdio::piped()).output().await?;
    // Kustomize warns there of what it will no longer read some day.
    let said = String::from_utf8_lossy(&built.stderr);
    ensure!(built.status.success() && said.is_empty(), "kubectl kustomize: {}", said.trim());
    Ok(String::from_utf8(built.stdout)?)
}

fn objects(text: &str) -> anyhow::Result<Vec<Object>> {
    let read = |document| serde_json::Value::deserialize(document).map(Object::new);
    Ok(serde_norway::Deserializer::from_str(text).map(read).collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn overlays_are_found_by_their_kustomization() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["prod", "dev", "notes"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        assert!(overlays(dir.path()).is_err());
        for name in ["prod", "dev"] {
            fs::write(dir.path().join(name).join("kustomization.yaml"), "").unwrap();
        }
        assert_eq!(overlays(dir.path()).unwrap(), ["dev", "prod"]);
    }

    #[test]
    fn a_file_holds_many_objects() {
        let found =
            objects("kind: Service\nmetadata: {name: a}\n---\nkind: Job\nmetadata: {name: b}\n").unwrap();
        let names: Vec<_> = found.iter().map(Object::title).collect();
        assert_eq!(names, ["Service/a", "Job/b"]);
        assert!(objects("kind: [").is_err());
    }
}
