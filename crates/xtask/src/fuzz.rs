//! `cargo xtask fuzz`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context as _, bail, ensure};
use testkit::paths;
use tokio::process::Command;

use crate::{
    run::{Steps, program, succeed},
    tools,
};

pub(crate) const HELP: &str = "\
Searches for bytes for which a property does not hold: what crates/properties says of each reader of strangers' bytes
(signature headers, callbacks, queries, manifests, ZIPs, tokens, URLs). Each property has a fuzz target of its name in
fuzz/fuzz_targets and its seeds in fuzz/seeds.

    cargo xtask fuzz                            # each target for a minute, one after the other
    cargo xtask fuzz manifest --seconds 3600    # one of them for an hour
    cargo xtask fuzz --list

It needs a nightly toolchain and cargo-fuzz; what is missing is installed by rustup, and into the target directory. A line
is printed for each target, with its executions. What a run finds interesting is kept in fuzz/corpus for the next run and
is not committed. A crash ends the target, and its input lies in fuzz/artifacts: mend what broke, and add the input to
fuzz/seeds/<target> under a name that says what that was. `cargo xtask test` tries all seeds, without a fuzzer.";

/// The cargo-fuzz that fuzz/ is laid out for.
const CARGO_FUZZ: &str = "0.13.2";
const TOOLCHAIN: &str = "nightly";
/// An input that takes longer, in seconds, or more memory, in MiB, is a crash.
const LONGEST_SECONDS: u32 = 10;
const MOST_MEMORY: u32 = 1024;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only this target
    target: Option<String>,
    /// How long each target runs
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// Only name the targets
    #[arg(long)]
    list: bool,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let targets = chosen(targets(&folder())?, args.target.as_deref())?;
    if args.list {
        println!("{}", targets.join("\n"));
        return Ok(());
    }
    let tools = Tools::find().await?;
    let mut steps = Steps::default();
    let built = steps.step("build", succeed(tools.cargo_fuzz(&["build"])?)).await;
    for target in targets.iter().filter(|_| built) {
        let search = search(&tools, target, args.seconds);
        steps
            .step(target, async {
                search.await.map(|executions| println!("{target}: {executions} executions"))
            })
            .await;
    }
    steps.close()
}

fn folder() -> PathBuf {
    paths::workspace_root().join("fuzz")
}

/// The names of the targets, sorted.
fn targets(folder: &Path) -> anyhow::Result<Vec<String>> {
    let files = fs::read_dir(folder.join("fuzz_targets")).context("fuzz/fuzz_targets can't be read")?;
    let paths = files.map(|file| Ok(file?.path())).collect::<anyhow::Result<Vec<_>>>()?;
    let mut names: Vec<String> =
        paths.iter().filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned())).collect();
    names.sort();
    Ok(names)
}

fn chosen(all: Vec<String>, wanted: Option<&str>) -> anyhow::Result<Vec<String>> {
    let Some(wanted) = wanted else { return Ok(all) };
    ensure!(all.iter().any(|name| name == wanted), "there is no such target; there are {}", all.join(", "));
    Ok(vec![wanted.to_owned()])
}

struct Tools {
    cargo_fuzz: PathBuf,
}

impl Tools {
    async fn find() -> anyhow::Result<Self> {
        let mut asked = program("rustup", &["run", TOOLCHAIN, "rustc", "--version"]);
        asked.stdout(Stdio::null()).stderr(Stdio::null());
        if !asked.status().await.context("fuzzing needs rustup")?.success() {
            succeed(program("rustup", &["toolchain", "install", TOOLCHAIN, "--profile", "minimal"])).await?;
        }
        Ok(Self { cargo_fuzz: tools::cargo_tool("cargo-fuzz", CARGO_FUZZ).await? })
    }

    fn cargo_fuzz(&self, args: &[&str]) -> anyhow::Result<Command> {
        let mut command = program(&self.cargo_fuzz, args);
        command.env("RUSTUP_TOOLCHAIN", TOOLCHAIN).env_remove("CARGO");
        command.env("CARGO_TARGET_DIR", paths::target_dir()?.join("fuzz"));
        Ok(command)
    }
}

/// Runs one target, and answers how many inputs it has tried.
async fn search(tools: &Tools, target: &str, seconds: u32) -> anyhow::Result<u64> {
    let [corpus, seeds] = ["corpus", "seeds"].map(|kind| folder().join(kind).join(target));
    fs::create_dir_all(&corpus)?;
    let log = paths::target_dir()?.join(format!("fuzz/{target}.log"));
    let mut command = tools.cargo_fuzz(&["run", target])?;
    command.arg(&corpus).arg(&seeds).arg("--");
    command.args([
        format!("-max_total_time={seconds}"),
        format!("-timeout={LONGEST_SECONDS}"),
        format!("-rss_limit_mb={MOST_MEMORY}"),
        "-print_final_stats=1".to_owned(),
    ]);
    command.stderr(fs::File::create(&log)?);
    let ended = succeed(command).await;
    let told = fs::read_to_string(&log).unwrap_or_default();
    if ended.is_err() {
        bail!("{}\nall of it: {}", last_lines(&told), log.display());
    }
    executions(&told).context("the fuzzer told no count of executions")
}

fn executions(log: &str) -> Option<u64> {
    let count = log.lines().rev().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"))?;
    count.trim().parse().ok()
}

/// Where a crash is told.
fn last_lines(log: &str) -> String {
    const LINES: usize = 30;
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn targets_are_found_by_their_files_and_a_wrong_name_is_told_the_right_ones() {
        let all = targets(&folder()).unwrap();
        assert!(all.iter().any(|name| name == "manifest") && all.is_sorted());
        assert_eq!(chosen(all.clone(), Some("manifest")).unwrap(), ["manifest"]);
        assert!(chosen(all, Some("manifst")).unwrap_err().to_string().contains("manifest"));
    }

    #[test]
    fn the_count_of_executions_is_read_from_what_the_fuzzer_tells() {
        let log = "#2097152\tpulse  cov: 12\nDone 2612345 runs in 4 second(s)\n\
                   stat::number_of_executed_units: 2612345\nstat::average_exec_per_sec:     522469\n";
        assert_eq!(executions(log), Some(2_612_345));
        assert_eq!(executions("==1== ERROR: libFuzzer: deadly signal"), None);
        assert_eq!(last_lines("a\nb"), "a\nb");
    }
}
