//! Programs of the machine: found, or installed where that is allowed.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context as _, bail, ensure};
use testkit::paths;

use crate::run::{cargo, program, succeed};

/// The cargo-deny whose configuration `deny.toml` is.
const CARGO_DENY: &str = "0.20.2";

/// Since kubectl 1.27.
const KUSTOMIZE_MAJOR: u32 = 5;
const KUBECTL: &str = "kubectl 1.27 or newer is needed: Debian 13 has it (`apt-get install kubernetes-client`), \
    elsewhere see https://kubernetes.io/docs/tasks/tools/";

/// Whether `cargo <name>` exists.
pub(crate) async fn has_cargo_command(name: &str) -> bool {
    let mut asked = cargo(&[name, "--version"]);
    asked.stdout(Stdio::null()).stderr(Stdio::null());
    asked.status().await.is_ok_and(|status| status.success())
}

/// cargo-deny.
pub(crate) async fn cargo_deny() -> anyhow::Result<PathBuf> {
    cargo_tool("cargo-deny", CARGO_DENY).await
}

/// A tool of cargo's: that of the machine, or one built into the target directory.
pub(crate) async fn cargo_tool(name: &str, version: &str) -> anyhow::Result<PathBuf> {
    if let Some(found) = find(name) {
        return Ok(found);
    }
    let root = paths::target_dir()?.join("tools").join(format!("{name}-{version}"));
    let installed = root.join("bin").join(name);
    if !installed.is_file() {
        eprintln!("installing {name} {version} (once; some minutes) …");
        let mut install = cargo(&["install", "--locked", "--debug", "--version", version, name]);
        install.arg("--root").arg(&root).arg("--target-dir").arg(root.join("build"));
        succeed(install).await?;
        std::fs::remove_dir_all(root.join("build"))?;
    }
    Ok(installed)
}

/// A program, installed from Debian's package if it is missing and this machine allows that.
pub(crate) async fn debian(name: &str, package: &str) -> anyhow::Result<PathBuf> {
    if let Some(found) = find(name) {
        return Ok(found);
    }
    install_debian(package).await.with_context(|| format!("`{name}` is missing"))?;
    find(name).with_context(|| format!("the Debian package {package} brought no `{name}`"))
}

/// A kubectl whose kustomize reads what `deploy/kubernetes` is written in.
pub(crate) async fn kubectl() -> anyhow::Result<PathBuf> {
    let kubectl = debian("kubectl", "kubernetes-client").await.context(KUBECTL)?;
    let mut asked = program(&kubectl, &["version", "--client", "--output=json"]);
    let answer = asked.stdout(Stdio::piped()).output().await.context("kubectl can't be started")?;
    let version = kustomize_version(&answer.stdout).unwrap_or_default();
    ensure!(version >= KUSTOMIZE_MAJOR, "this kubectl is too old. {KUBECTL}");
    Ok(kubectl)
}

/// The major version of the kustomize inside; kubectl before 1.27 doesn't say.
fn kustomize_version(answer: &[u8]) -> Option<u32> {
    let answer: serde_json::Value = serde_json::from_slice(answer).ok()?;
    let version = answer.get("kustomizeVersion")?.as_str()?;
    version.strip_prefix('v')?.split('.').next()?.parse().ok()
}

/// Installs a Debian package.
pub(crate) async fn install_debian(package: &str) -> anyhow::Result<()> {
    if find("apt-get").is_none() || !rustix::process::geteuid().is_root() {
        bail!(
            "install it (Debian: `apt-get install {package}`), or run this as root where apt-get may do it"
        );
    }
    eprintln!("installing the Debian package {package} …");
    succeed(program("apt-get", &["update", "-qq"])).await?;
    let mut install = program("apt-get", &["install", "-y", "-qq", "--no-install-recommends", package]);
    install.env("DEBIAN_FRONTEND", "noninteractive");
    succeed(install).await
}

/// Looks a program up in `PATH`.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| is_program(file))
}

fn is_program(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;

    file.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_programs_and_nothing_else() {
        assert!(find("sh").is_some_and(|path| path.is_absolute()));
        assert_eq!(find("no-such-program"), None);
        assert!(!is_program(Path::new("/etc/passwd")));
    }

    #[test]
    fn an_old_kubectl_is_told_by_its_kustomize() {
        assert_eq!(kustomize_version(br#"{"clientVersion":{},"kustomizeVersion":"v5.5.0"}"#), Some(5));
        assert_eq!(kustomize_version(br#"{"clientVersion":{"minor":"20"}}"#), None);
        assert_eq!(kustomize_version(b"unknown flag"), None);
    }
}
