//! `cargo xtask lint`.

use anyhow::bail;
use testkit::paths;

use crate::{
    kubernetes, rules,
    run::{Steps, cargo, program, succeed},
    tools,
};

pub(crate) const HELP: &str = "\
Checks what can be checked without running the code:

1. the format (`cargo fmt`);
2. the project's own rules: a service's rooms and their sizes, what the domain may not name, that services don't depend
   on each other, that every crate takes versions and lints from the workspace, that nothing is left undone;
3. clippy, for all targets, warnings are errors;
4. dependencies: banned crates, licences and sources (`cargo deny`; installed into the target directory if missing);
5. each overlay of deploy/kubernetes: `kubectl kustomize`, the schemas of Kubernetes, and rules of our own
   (crates/xtask/src/kubernetes/rules). kubectl is installed from Debian where it is missing and this runs as root.

The rules are written and tested in crates/xtask/src/rules. The reasons are in ARCHITECTURE.md.";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only the project's own rules, which take no time
    #[arg(long)]
    rules: bool,
    /// Only what deploy/kubernetes holds
    #[arg(long, conflicts_with = "rules")]
    kubernetes: bool,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let mut steps = Steps::default();
    if args.kubernetes {
        kubernetes::check(&mut steps).await?;
        return steps.close();
    }
    if !args.rules {
        steps.step("format", succeed(cargo(&["fmt", "--all", "--check"]))).await;
    }
    steps.step("rules of the house", async { house_rules() }).await;
    if !args.rules {
        let clippy = ["clippy", "--workspace", "--all-targets", "--keep-going", "--", "-D", "warnings"];
        steps.step("clippy", succeed(cargo(&clippy))).await;
        steps.step("dependencies", dependencies()).await;
        kubernetes::check(&mut steps).await?;
    }
    steps.close()
}

fn house_rules() -> anyhow::Result<()> {
    let findings = rules::check(paths::workspace_root())?;
    for finding in &findings {
        eprintln!("{finding}");
    }
    match findings.len() {
        0 => Ok(()),
        count => bail!("{count} findings"),
    }
}

/// Advisories need a database from the network; the public build looks at them.
async fn dependencies() -> anyhow::Result<()> {
    let deny = tools::cargo_deny().await?;
    succeed(program(deny, &["--workspace", "check", "--hide-inclusion-graph", "bans", "licenses", "sources"]))
        .await
}
