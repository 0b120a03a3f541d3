//! `cargo xtask chaos`.

use anyhow::Context as _;
use testkit::paths;

use crate::run::{cargo, program, succeed};

pub(crate) const HELP: &str = "\
Runs the whole marketplace on PostgreSQL, NATS and Valkey of its own, with two dispatchers, sells and installs through
the gateway, and lets things go wrong, for ten minutes if nothing else is said.

A seed decides every fault: what happens, to whom, when, for how long. The same seed is the same plan on every machine.

    SIGKILL and SIGSTOP    of each of our processes; of NATS, Valkey and PostgreSQL, there of all its processes at once
    shutdowns              of NATS and Valkey; of PostgreSQL in order and immediately; started on the same data and port
    connections            cut, stalled and slowed between a process, or all, and PostgreSQL, NATS, Valkey
    Stripe                 its events to payments-svc and the calls of payments-svc to it: connections cut, stalled and
                           slowed; refused by 503; taken, and the answer lost; repeated; events out of order
    NATS's disk            no room for another message (a limit of its store, not of this machine's disk)
    receivers              500, 503 with Retry-After, silence, resets, half an answer, lateness, 410 and enabled again
    clocks                 of one process, or PostgreSQL's, up to a minute fast or slow, stepped while it runs (Linux)

Meanwhile buyers pay by card and by debit, and the operator suspends, reinstates and revokes licences.

Then all is mended, and when nothing is on its way any more it is judged: every session that is paid at Stripe has one
licence, every licence is what the operator's last act says, in the list and when it is checked, every shop was told of
each of its licences and of each act with right signatures, every installation of a hosted app has one key, every
delivery is settled, every request that a shop received is an attempt on record, outboxes and dead letters are empty.
What a shop was told again after it had taken it is counted and listed by its delivery id. It ends with failure unless
all of that holds. docs/chaos.md tells more.

    cargo xtask chaos                          # ten minutes, a seed by chance, which it prints
    cargo xtask chaos --minutes 3 --seed 42    # the faults of seed 42
    cargo xtask chaos --seed 42 --plan         # only tell them, and what the operator will do
    cargo xtask chaos --short --seed 42        # the form that the tests run

Everything is on the loopback address, and about two sales a second. The report (text and JSON) and what each process
wrote are in `chaos/seed-<seed>/` of cargo's target directory. A seed that fails becomes a line of `seeds!` in
crates/mercato/tests/chaos.rs, by the name of what broke.";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// For how many minutes faults happen
    #[arg(long, default_value_t = 10)]
    minutes: u64,
    /// Decides every fault; by chance without it
    #[arg(long)]
    seed: Option<u64>,
    /// The form that the tests run: seconds instead of minutes
    #[arg(long)]
    short: bool,
    /// Print the plan of the seed and end
    #[arg(long)]
    plan: bool,
    /// Run the release build
    #[arg(long)]
    release: bool,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let (profile, build) = if args.release { ("release", &["--release"][..]) } else { ("debug", &[][..]) };
    succeed(cargo(&[&["build", "--workspace", "--bins"], build].concat())).await?;
    let mut command = program(paths::target_dir()?.join(profile).join("chaos"), &[]);
    if args.short {
        command.arg("--short");
    } else {
        command.arg("--minutes").arg(args.minutes.to_string());
    }
    command.args(args.seed.map(|seed| format!("--seed={seed}"))).args(args.plan.then_some("--plan"));
    succeed(command).await.context("it does not hold")
}
