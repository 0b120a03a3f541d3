//! The command line.

use std::{net::SocketAddr, path::PathBuf};

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use platform::{lifecycle, secret::Secret};
use tokio::net::TcpListener;
use url::Url;
use wire::standard_webhooks::WebhookSecret;

use super::{Agent, AgentConfig};
use crate::client::ClientConfig;

/// What a shop runs: the marketplace tab, the receiver of licences, the installer of apps.
#[derive(Debug, Parser)]
#[command(name = "tenant", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the shop's marketplace tab, and receive and install what was bought, until SIGTERM.
    ///
    /// Without CARPHACOM_FEDERATION_URL and CARPHACOM_FEDERATION_PK the tab shows local plugins only. With them it shows
    /// the marketplace. To buy, it also needs TENANT_INSTANCE_ID, TENANT_ADMIN_EMAIL and TENANT_WEBHOOK_SECRET.
    ///
    /// The marketplace's operator registers the shop under TENANT_PUBLIC_URL, and hands out the two keys, the instance id
    /// and the webhook secret. Hosted and static apps also need TENANT_SECRET_KEY.
    ///
    /// All that is kept lies in TENANT_DATA: state.json, the plugins under plugins/, and static apps under static/. The
    /// agent serves none of them: plugins are for the shop's backend to load, static apps for its front end to show.
    #[command(after_help = EXAMPLE)]
    Serve(Box<ServeArgs>),
}

const EXAMPLE: &str = "\
Example:
  CARPHACOM_FEDERATION_URL=https://marketplace.example CARPHACOM_FEDERATION_PK=pk_… \\
  TENANT_INSTANCE_ID=inst_… TENANT_WEBHOOK_SECRET=whsec_… TENANT_ADMIN_EMAIL=you@shop.example \\
    tenant serve
  Then open http://127.0.0.1:4000/admin/marketplace";

#[derive(Debug, Args)]
struct ServeArgs {
    /// The marketplace's address.
    #[arg(long, env = "CARPHACOM_FEDERATION_URL", value_name = "URL", requires = "publishable_key")]
    federation_url: Option<Url>,
    /// The shop's publishable key, pk_….
    #[arg(long, env = "CARPHACOM_FEDERATION_PK", value_name = "PK", value_parser = secret, hide_env_values = true, requires = "federation_url")]
    publishable_key: Option<Secret>,
    /// Address to listen on; port 0 takes a free one.
    #[arg(long, env = "TENANT_LISTEN", default_value = "127.0.0.1:4000")]
    listen: SocketAddr,
    /// How browsers and the marketplace reach the shop, where that is not the address itself.
    #[arg(long, env = "TENANT_PUBLIC_URL", value_name = "URL")]
    public_url: Option<Url>,
    /// Folder for the state and the plugins.
    #[arg(long, env = "TENANT_DATA", value_name = "FOLDER", default_value = "tenant-data")]
    data: PathBuf,
    /// The shop's id at the marketplace, inst_…; it only leaves the shop encrypted.
    #[arg(long, env = "TENANT_INSTANCE_ID", value_parser = secret, hide_env_values = true)]
    instance_id: Option<Secret>,
    /// Verifies what the marketplace posts, whsec_…; several with commas between during a rotation.
    #[arg(long, env = "TENANT_WEBHOOK_SECRET", value_delimiter = ',', value_parser = webhook_secret, hide_env_values = true)]
    webhook_secret: Vec<WebhookSecret>,
    /// The shop's secret key, sk_…; lets the administrator install hosted and static apps, and ask for the shop's
    /// licences.
    #[arg(long, env = "TENANT_SECRET_KEY", value_parser = secret, hide_env_values = true)]
    secret_key: Option<Secret>,
    /// The buyer's e-mail address at checkout.
    #[arg(long, env = "TENANT_ADMIN_EMAIL", value_parser = secret, hide_env_values = true)]
    admin_email: Option<Secret>,
    /// Asked for on the administrator's pages, with the user name admin.
    #[arg(long, env = "TENANT_ADMIN_PASSWORD", value_parser = secret, hide_env_values = true)]
    admin_password: Option<Secret>,
    /// Says that the pages lie behind the shop's own login, so that they may be open on a public address.
    #[arg(long, env = "TENANT_BEHIND_LOGIN")]
    behind_login: bool,
}

#[expect(clippy::unnecessary_wraps, reason = "the form that clap asks of a parser")]
fn secret(text: &str) -> Result<Secret, String> {
    Ok(Secret::new(text))
}

fn webhook_secret(text: &str) -> Result<WebhookSecret, String> {
    text.trim().parse().map_err(|error: wire::standard_webhooks::WebhookSecretError| error.to_string())
}

/// Does what the command line says, until interrupted.
pub async fn run(cli: Cli) -> anyhow::Result<()> {
    let Command::Serve(args) = cli.command;
    args.check()?;
    let listener =
        TcpListener::bind(args.listen).await.with_context(|| format!("cannot listen on {}", args.listen))?;
    let config = args.config(listener.local_addr()?)?;
    let running = Agent::start(config, listener, lifecycle::on_signals()?).await?;
    tracing::info!(url = format!("{}/admin/marketplace", running.url()), "the shop is ready");
    running.stopped().await
}

impl ServeArgs {
    /// Pages that buy and install must not be open to everyone by mistake.
    fn check(&self) -> anyhow::Result<()> {
        let guarded = self.admin_password.is_some() || self.behind_login || self.listen.ip().is_loopback();
        anyhow::ensure!(
            guarded,
            "TENANT_LISTEN is reachable from other machines: set TENANT_ADMIN_PASSWORD, or TENANT_BEHIND_LOGIN=true if the pages lie behind the shop's own login"
        );
        Ok(())
    }

    fn config(self, address: SocketAddr) -> anyhow::Result<AgentConfig> {
        let public_url = match self.public_url {
            Some(url) => url,
            None => Url::parse(&format!("http://{address}"))?,
        };
        let marketplace = match (self.federation_url, self.publishable_key) {
            (Some(url), Some(publishable_key)) => {
                let (secret_key, instance_id) = (self.secret_key, self.instance_id);
                Some(ClientConfig { url, publishable_key, secret_key, instance_id })
            }
            _ => None,
        };
        Ok(AgentConfig {
            marketplace,
            webhook_secrets: self.webhook_secret,
            admin_email: self.admin_email,
            admin_password: self.admin_password,
            ..AgentConfig::new(self.data, public_url)
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn parse(args: &[&str]) -> ServeArgs {
        let Command::Serve(args) =
            Cli::try_parse_from([&["tenant", "serve"], args].concat()).unwrap().command;
        *args
    }

    #[test]
    fn the_command_line_is_consistent() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn pages_are_not_opened_to_everyone_by_mistake() {
        assert!(parse(&[]).check().is_ok());
        assert!(parse(&["--listen", "0.0.0.0:4000"]).check().is_err());
        assert!(parse(&["--listen", "0.0.0.0:4000", "--behind-login"]).check().is_ok());
        assert!(parse(&["--listen", "0.0.0.0:4000", "--admin-password", "x"]).check().is_ok());
    }

    #[test]
    fn a_secret_is_not_in_what_is_printed() {
        let args = parse(&["--admin-password", "hunter2"]);
        assert!(!format!("{args:?}").contains("hunter2"));
    }
}
