//! `cargo xtask compose-test`.

mod deployment;
mod engine;
mod images;

use std::time::Duration;

use anyhow::{Context as _, ensure};

use self::{deployment::Deployment, engine::Engine, images::Programs};
use crate::run::{Steps, cargo, interrupted, program, succeed};

pub(crate) const HELP: &str = "\
Proves docker-compose.yml: brings it up unchanged with the profile `demo`, and uses what it publishes.

1. A Docker engine: the one that answers, else Debian's is installed (as root) and started, with its data in `compose/`
   of cargo's target directory. docker-compose 1.29 or Compose v2, whichever is there.
2. The base images that `.env` names: pulled; where no registry is in reach, stand-ins of the same names are made by
   deploy/docker/local-images.
3. The services' images, by deploy/docker/Dockerfile.
4. `up` with free ports, until the demo's shop has bought from the demo's vendors.
5. 200 sales, in the middle of which one container after the other is killed and started again (`kill.rs` in
   crates/mercato/tests): each service, NATS, PostgreSQL, Valkey. No sale may be lost, and none doubled.
6. The scenarios of crates/mercato/tests/scenarios. Both are the same ones that `cargo xtask test` plays with processes,
   here against the published ports. What an area of them wants different, such as a shorter schedule of deliveries, goes
   into the files of variables that `SETTINGS` in `.env` names.
7. `down`, with all volumes. The images and the engine's data are kept for the next time.

    cargo xtask compose-test                     # in the profile `dev` of cargo
    cargo xtask compose-test --programs release  # as it is shipped
    cargo xtask compose-test --programs here     # what cargo has built outside of Docker, if its C library fits
    cargo xtask compose-test --keep              # hold it until Ctrl-C, to look at it

Needs about 15 GB. Each step is timed, and ends with failure when it takes far too long. What the containers wrote is in
`compose/*.log` of the target directory when a step failed.";

/// Third-party crates are compiled in a container: the first time takes long.
const BUILD_LIMIT: Duration = Duration::from_mins(90);
const IMAGES_LIMIT: Duration = Duration::from_mins(30);
const PLAY_LIMIT: Duration = Duration::from_mins(30);

/// What plays against the containers.
const TESTS: [&str; 8] =
    ["test", "--workspace", "--no-run", "--quiet", "--test", "kill", "--test", "scenarios"];

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Which programs the images hold
    #[arg(long, value_enum, default_value_t = Programs::Dev)]
    programs: Programs,
    /// Hold what runs until Ctrl-C, and say where it is
    #[arg(long)]
    keep: bool,
    /// Play only the scenarios whose area's name holds this
    #[arg(long, value_name = "AREA")]
    only: Option<String>,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let mut steps = Steps::default();
    let mut engine = None;
    let found = async { Engine::find_or_start().await.map(|found| engine = Some(found)) };
    steps.step("engine", found).await;
    let Some(engine) = engine else { return steps.close() };
    let proved = prove(&args, &engine, &mut steps).await;
    steps.step("the engine's end", engine.stop()).await;
    proved.and(steps.close())
}

async fn prove(args: &Args, engine: &Engine, steps: &mut Steps) -> anyhow::Result<()> {
    let deployment = Deployment::plan(engine, args.programs)?;
    let mut all_well = true;
    let tried = async {
        all_well = steps.step("base images", limited(IMAGES_LIMIT, images::provide(engine))).await
            && steps.step("build", limited(BUILD_LIMIT, deployment.build(args.programs))).await
            && steps.step("tests", succeed(cargo(&TESTS))).await
            && steps.step("up", limited(PLAY_LIMIT, deployment.up())).await;
        if all_well {
            all_well &= steps.step("kills", limited(PLAY_LIMIT, deployment.play_kills())).await;
            let scenarios = deployment.play_scenarios(args.only.as_deref());
            all_well &= steps.step("scenarios", limited(PLAY_LIMIT, scenarios)).await;
        }
    };
    let is_interrupted = tokio::select! {
        () = tried => false,
        () = interrupted() => true,
    };
    if is_interrupted || !all_well {
        deployment.keep_logs().await?;
    } else if args.keep {
        eprintln!("{}\nIt runs until Ctrl-C.", deployment.how_to_use_it());
        interrupted().await;
    }
    steps.step("down", deployment.down()).await;
    ensure!(!is_interrupted, "interrupted");
    Ok(())
}

/// Whether docker-compose understands the file: it needs no engine for that.
pub(crate) async fn check_file() -> anyhow::Result<()> {
    let compose = engine::compose().await?;
    let mut check = program(&compose[0], &[]);
    check.args(&compose[1..]).args(["config", "--quiet"]).env("COMPOSE_PROFILES", "demo,consoles");
    succeed(check).await
}

async fn limited(limit: Duration, work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let ended = tokio::time::timeout(limit, work).await;
    ended.with_context(|| format!("it was not done after {} minutes", limit.as_secs() / 60))?
}
