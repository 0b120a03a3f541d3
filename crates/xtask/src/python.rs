//! Python environments with pinned packages, below cargo's target directory.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use sha2::{Digest as _, Sha256};

use crate::{
    run::{program, succeed},
    tools,
};

/// A Python with the pinned packages; made anew when the pins change.
pub(crate) async fn environment(dir: &Path, requirements: &[PathBuf]) -> anyhow::Result<PathBuf> {
    let venv = dir.join(format!("python-{}", digest(requirements)?));
    let (python, complete) = (venv.join("bin/python"), venv.join("complete"));
    if complete.is_file() {
        return Ok(python);
    }
    let system = tools::debian("python3", "python3").await?;
    make_venv(&system, &venv).await?;
    if !requirements.is_empty() {
        let quiet = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"];
        let mut install = program(&python, &quiet);
        install.args(["--require-hashes", "--only-binary=:all:"]);
        for file in requirements {
            install.arg("--requirement").arg(file);
        }
        succeed(install).await.context("the pinned Python packages can't be installed")?;
    }
    fs::write(complete, "")?;
    Ok(python)
}

/// Debian keeps `venv` in a package of its own.
async fn make_venv(python: &Path, venv: &Path) -> anyhow::Result<()> {
    let make = || {
        let mut make = program(python, &["-m", "venv", "--clear"]);
        make.arg(venv);
        make
    };
    if succeed(make()).await.is_err() {
        tools::install_debian("python3-venv").await.context("Python's `venv` is missing")?;
        succeed(make()).await?;
    }
    Ok(())
}

fn digest(files: &[PathBuf]) -> anyhow::Result<String> {
    let mut hash = Sha256::new();
    for file in files {
        hash.update(fs::read(file).with_context(|| format!("{} can't be read", file.display()))?);
    }
    Ok(hex::encode(&hash.finalize()[..8]))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[tokio::test]
    async fn an_environment_is_made_once_for_the_same_pins() {
        let dir = tempfile::tempdir().unwrap();
        let python = environment(dir.path(), &[]).await.unwrap();
        assert!(python.is_file());
        let made = fs::metadata(&python).unwrap().modified().unwrap();
        assert_eq!(environment(dir.path(), &[]).await.unwrap(), python);
        assert_eq!(fs::metadata(&python).unwrap().modified().unwrap(), made);
    }
}
