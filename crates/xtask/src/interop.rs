//! `cargo xtask interop`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::ensure;
use testkit::paths;
use tokio::process::Command;

use crate::{
    python,
    run::{Steps, cargo, program, succeed},
    servers,
    test::BUILD,
    tools,
};

pub(crate) const HELP: &str = "\
Checks our bytes with other people's libraries, and our pages in a browser. The suites are found by their place:

- `<crate>/interop/verify_*.py` runs in a Python environment with what the `requirements.txt` beside it pins by hash;
- a test target named `interop` (declared with `test = false`, so that `cargo xtask test` leaves it alone) runs with the
  test servers' addresses and with MERCATO_INTEROP_PYTHON, MERCATO_INTEROP_NODE, MERCATO_INTEROP_NPM,
  MERCATO_INTEROP_PHP, MERCATO_INTEROP_CHROMIUM, MERCATO_INTEROP_PROMETHEUS and MERCATO_INTEROP_PROMTOOL, the paths of
  those programs, and MERCATO_INTEROP_DIR, a folder that is kept between runs.

Node, npm, PHP, Chromium and Prometheus are installed from Debian where they are missing and this runs as root; elsewhere the error names
the package. The Python environment lies in `interop/` of cargo's target directory. A line is printed for each suite,
and `N passed, N failed` at the end.";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only the suites whose name holds this
    filter: Option<String>,
}

/// What there is to run.
#[derive(Debug, Default, PartialEq, Eq)]
struct Suites {
    requirements: Vec<PathBuf>,
    python: Vec<PathBuf>,
    /// Folders of crates with a test target named `interop`.
    rust: Vec<PathBuf>,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let suites = Suites::find(paths::workspace_root())?.only(args.filter.as_deref().unwrap_or_default());
    ensure!(!suites.is_empty(), "there is no such suite");
    let dir = paths::target_dir()?.join("interop");
    fs::create_dir_all(&dir)?;

    let mut steps = Steps::default();
    let mut python = None;
    steps
        .step("Python environment", async {
            python::environment(&dir, &suites.requirements).await.map(|it| python = Some(it))
        })
        .await;
    if let Some(python) = &python {
        run_python(&mut steps, python, &suites.python).await;
        if !suites.rust.is_empty() {
            run_rust(&mut steps, python, &dir).await?;
        }
    }
    steps.close()
}

async fn run_python(steps: &mut Steps, python: &Path, scripts: &[PathBuf]) {
    for script in scripts {
        let mut command = program(python, &[]);
        command.arg(script);
        steps.step(shown(script), succeed(command)).await;
    }
}

async fn run_rust(steps: &mut Steps, python: &Path, dir: &Path) -> anyhow::Result<()> {
    let mut command = Command::new("");
    if !steps
        .step("Node, npm, PHP, Chromium, Prometheus", async {
            rust_suites(python, dir).await.map(|it| command = it)
        })
        .await
        || !steps.step("build", succeed(cargo(&BUILD))).await
    {
        return Ok(());
    }
    let servers = servers::start().await?;
    command.envs(servers.env());
    steps.step("tests in Rust", succeed(command)).await;
    servers.stop().await
}

async fn rust_suites(python: &Path, dir: &Path) -> anyhow::Result<Command> {
    let mut command = cargo(&["test", "--workspace", "--test", "interop", "--no-fail-fast"]);
    command
        .env("MERCATO_INTEROP_DIR", dir)
        .env("MERCATO_INTEROP_PYTHON", python)
        .env("MERCATO_INTEROP_NODE", tools::debian("node", "nodejs").await?)
        .env("MERCATO_INTEROP_NPM", tools::debian("npm", "npm").await?)
        .env("MERCATO_INTEROP_PHP", tools::debian("php", "php-cli").await?)
        .env("MERCATO_INTEROP_CHROMIUM", tools::debian("chromium", "chromium").await?)
        .env("MERCATO_INTEROP_PROMETHEUS", tools::debian("prometheus", "prometheus").await?)
        .env("MERCATO_INTEROP_PROMTOOL", tools::debian("promtool", "prometheus").await?);
    Ok(command)
}

fn shown(path: &Path) -> String {
    path.strip_prefix(paths::workspace_root()).unwrap_or(path).display().to_string()
}

impl Suites {
    fn find(root: &Path) -> anyhow::Result<Self> {
        let mut suites = Self::default();
        for krate in crate::rules::members(root)? {
            let dir = krate.join("interop");
            let scripts = crate::rules::files_of(&dir, &["py"])?;
            suites.python.extend(scripts.into_iter().filter(|script| is_suite(script)));
            suites.requirements.extend(Some(dir.join("requirements.txt")).filter(|file| file.is_file()));
            let tests = ["tests/interop.rs", "tests/interop/main.rs"];
            if tests.iter().any(|test| krate.join(test).is_file()) {
                suites.rust.push(krate);
            }
        }
        Ok(suites)
    }

    fn only(mut self, filter: &str) -> Self {
        let wanted = |path: &PathBuf| shown(path).contains(filter);
        self.python.retain(wanted);
        self.rust.retain(wanted);
        self
    }

    fn is_empty(&self) -> bool {
        self.python.is_empty() && self.rust.is_empty()
    }
}

fn is_suite(script: &Path) -> bool {
    script.file_name().is_some_and(|name| name.to_string_lossy().starts_with("verify_"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn suites_are_found_by_their_place() {
        let root = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        put("Cargo.toml", "[workspace]\nmembers = ['wire', 'shop']");
        put("wire/interop/verify_vectors.py", "");
        put("wire/interop/helper.py", "");
        put("wire/interop/requirements.txt", "");
        put("shop/tests/interop/main.rs", "");
        let suites = Suites::find(root.path()).unwrap();
        assert_eq!(suites.python, [root.path().join("wire/interop/verify_vectors.py")]);
        assert_eq!(suites.requirements, [root.path().join("wire/interop/requirements.txt")]);
        assert_eq!(suites.rust, [root.path().join("shop")]);
        assert!(suites.only("browser").is_empty());
    }
}
