//! The command line.

use std::{fs, path::PathBuf, sync::Arc, time::SystemTime};

use anyhow::{Context as _, anyhow, bail};
use clap::{Parser, Subcommand};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use wire::open2b::{self, Accepted, Callback, Operation, ShopApi};

use crate::Settings;

/// The backend of a hosted app: takes the marketplace's Install, Update and Remove callbacks and keeps its shops.
///
/// Publish the app first (docs/hosted-apps.md): the marketplace shows its secret once.
#[derive(Parser)]
#[command(name = "hosted-app", version, after_help = EXAMPLES)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Try it without a marketplace:
  export APP_SECRET=$(openssl rand -base64 32 | tr '+/' '-_' | tr -d =)
  hosted-app serve --data ./shops &
  curl -d \"$(hosted-app sign install --shop TN81S9AUB1)\" http://127.0.0.1:8090/install
  curl http://127.0.0.1:8090/
  curl -d \"$(hosted-app sign remove --shop TN81S9AUB1)\" http://127.0.0.1:8090/install

What it answers to a callback:
  200  saved; only this installs, updates and removes
  400  no form with one `auth`, or signed data that is no callback
  401  the signature fits no secret of the app, or the request has expired
  404  an Update of a shop that it does not know
  413  larger than 64 KiB
  415  not application/x-www-form-urlencoded
  500  could not be saved
No answer, the connection is closed: the rest of the request did not come, or it can't be said whether it is saved.
The marketplace then tells it again.";

#[derive(Subcommand)]
enum Command {
    /// Take callbacks at /install until interrupted; / shows the shops.
    Serve(ServeArgs),
    /// Print the form of a callback, signed as the marketplace signs it, to try an endpoint with curl.
    Sign(SignArgs),
}

#[derive(clap::Args)]
struct SecretArgs {
    /// The app's secret, as the marketplace showed it. During a rotation the old one too, with the time until which
    /// it is taken: `NEW,OLD@2026-12-01T12:00:00Z`. Others on this machine can read a command line: better use the
    /// variable or the file.
    #[arg(long, env = "APP_SECRET", hide_env_values = true, value_delimiter = ',')]
    secret: Vec<String>,
    /// A file with the secrets, one a line, written as for --secret.
    #[arg(long, env = "APP_SECRET_FILE", conflicts_with = "secret")]
    secret_file: Option<PathBuf>,
}

#[derive(clap::Args)]
struct ServeArgs {
    /// Address to listen on; port 0 takes a free one.
    #[arg(long, env = "APP_LISTEN", default_value = "127.0.0.1:8090")]
    listen: String,
    #[command(flatten)]
    secrets: SecretArgs,
    /// The folder for what the shops send; made if it is missing. It will hold API keys.
    #[arg(long, env = "APP_DATA", default_value = "hosted-app-data")]
    data: PathBuf,
}

#[derive(clap::Args)]
struct SignArgs {
    /// install, update or remove
    #[arg(value_parser = parse_operation)]
    operation: Operation,
    /// The shop's identifier
    #[arg(long, default_value = "TN81S9AUB1")]
    shop: String,
    /// The version that the shop installs or moves to
    #[arg(long = "app-version", default_value = "1.0.0")]
    version: String,
    /// For how many seconds it is good
    #[arg(long, default_value_t = 600, allow_hyphen_values = true)]
    expires_in: i64,
    #[command(flatten)]
    secrets: SecretArgs,
}

/// Does what the command line asks for.
pub async fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.command {
        Command::Serve(args) => serve(args).await,
        Command::Sign(args) => {
            println!("{}", sign(args)?);
            Ok(())
        }
    }
}

async fn serve(args: ServeArgs) -> anyhow::Result<()> {
    let secrets = args.secrets.read()?;
    let listener = TcpListener::bind(&args.listen)
        .await
        .with_context(|| format!("{} can't be listened on; choose another --listen", args.listen))?;
    println!("listening on http://{}", listener.local_addr()?);
    let settings = Settings { secrets, data_dir: args.data.clone(), clock: Arc::new(unix_time) };
    let shutdown = CancellationToken::new();
    tokio::spawn(cancel_on_signal(shutdown.clone()));
    crate::serve(listener, settings, shutdown)
        .await
        .with_context(|| format!("{} can't be used; choose another --data", args.data.display()))
}

fn sign(args: SignArgs) -> anyhow::Result<String> {
    let secrets = args.secrets.read()?;
    let secret = secrets.first().context("there is no secret to sign with")?;
    let (shop, version) = (args.shop, args.version);
    let site_url = "https://www.store.example/".to_owned();
    let api = ShopApi { base_url: "https://myshop.example/api/".to_owned(), max_version: 3, min_version: 1 };
    let callback = match args.operation {
        Operation::Install => Callback::Install { shop, site_url, api, key: "0123456789".repeat(5), version },
        Operation::Update => Callback::Update { shop, site_url, api, version },
        Operation::Remove => Callback::Remove { shop },
    };
    Ok(open2b::form(&callback.sign(&secret.secret, unix_time().saturating_add(args.expires_in))))
}

impl SecretArgs {
    fn read(self) -> anyhow::Result<Vec<Accepted>> {
        let lines = match self.secret_file {
            None => self.secret,
            Some(path) => fs::read_to_string(&path)
                .with_context(|| format!("{} can't be read; it must hold the secret", path.display()))?
                .lines()
                .map(str::to_owned)
                .collect(),
        };
        let lines = lines.iter().map(|line| line.trim()).filter(|line| !line.is_empty());
        let secrets = lines.map(parse_secret).collect::<anyhow::Result<Vec<_>>>()?;
        if secrets.is_empty() {
            bail!("the app's secret is missing; give it by APP_SECRET, --secret-file or --secret");
        }
        Ok(secrets)
    }
}

/// `SECRET`, or `SECRET@TIME` for one that is taken until then. Read here and not by clap, which repeats what is wrong.
fn parse_secret(text: &str) -> anyhow::Result<Accepted> {
    let (secret, until) = text.split_once('@').map_or((text, None), |(secret, until)| (secret, Some(until)));
    let until = until
        .map(|until| OffsetDateTime::parse(until, &Rfc3339).map(OffsetDateTime::unix_timestamp))
        .transpose()
        .map_err(|_| anyhow!("the time after `@` must be written like 2026-12-01T12:00:00Z"))?;
    Ok(Accepted { secret: secret.parse()?, until })
}

fn parse_operation(text: &str) -> Result<Operation, String> {
    let operations = Operation::ALL.into_iter();
    let mut named = operations.filter(|operation| operation.as_str().eq_ignore_ascii_case(text));
    named.next().ok_or_else(|| "an operation is install, update or remove".to_owned())
}

#[expect(clippy::disallowed_methods, reason = "the one place where this program asks the clock")]
fn unix_time() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

async fn cancel_on_signal(shutdown: CancellationToken) {
    let interrupted = tokio::signal::ctrl_c();
    let Ok(mut terminated) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) else {
        return;
    };
    tokio::select! {
        _ = interrupted => {}
        _ = terminated.recv() => {}
    }
    shutdown.cancel();
}
