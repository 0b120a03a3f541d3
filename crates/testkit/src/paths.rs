//! Where cargo puts what it builds.

use std::{
    env::consts::EXE_SUFFIX,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, ensure};

/// Cargo marks its target directory with this file.
const TARGET_MARK: &str = "CACHEDIR.TAG";

/// The target directory of the running program, whatever `CARGO_TARGET_DIR` or cargo's configuration made it.
pub fn target_dir() -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe().context("this program doesn't know its own path")?;
    target_dir_of(&program)
        .map(Path::to_path_buf)
        .with_context(|| format!("{} is not in a target directory of cargo", program.display()))
}

/// A built binary of the workspace, of the same profile as the running test.
pub fn binary(name: &str) -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe().context("this program doesn't know its own path")?;
    let path = profile_dir_of(&program).join(format!("{name}{EXE_SUFFIX}"));
    ensure!(
        path.is_file(),
        "{} has not been built: run the tests by `cargo xtask test`, or `cargo build --workspace --bins` first",
        path.display()
    );
    Ok(path)
}

/// The root of the source tree.
#[must_use]
pub fn workspace_root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here)
}

fn target_dir_of(program: &Path) -> Option<&Path> {
    program.ancestors().find(|dir| dir.join(TARGET_MARK).is_file())
}

/// Tests are built into `<profile>/deps`, binaries into `<profile>`.
fn profile_dir_of(program: &Path) -> &Path {
    let dir = program.parent().unwrap_or(program);
    match dir.file_name() {
        Some(name) if name == "deps" => dir.parent().unwrap_or(dir),
        _ => dir,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_target_directory_holds_the_running_test() {
        let target = target_dir().unwrap();
        assert!(std::env::current_exe().unwrap().starts_with(&target));
        assert!(target.join(TARGET_MARK).is_file());
    }

    #[test]
    fn binaries_lie_beside_the_folder_of_tests() {
        assert_eq!(profile_dir_of(Path::new("/t/debug/deps/it-01")), Path::new("/t/debug"));
        assert_eq!(profile_dir_of(Path::new("/t/debug/xtask")), Path::new("/t/debug"));
    }

    #[test]
    fn a_binary_that_is_not_built_is_named_in_the_error() {
        let error = binary("no-such-binary").unwrap_err().to_string();
        assert!(error.contains("no-such-binary") && error.contains("cargo xtask test"), "{error}");
    }

    #[test]
    fn the_workspace_root_holds_the_lock_file() {
        assert!(workspace_root().join("Cargo.lock").is_file());
    }
}
