//! The reference of `verify` and `feed`: an axum handler that reads the request and answers bytes it was given.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use axum::{Router, extract::State, http::header};
use bytes::Bytes;
use testkit::{free_port, local_address, process::Process};
use tokio::net::TcpListener;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where it listens
    #[arg(long)]
    listen: SocketAddr,
    /// What it answers to everything
    #[arg(long)]
    answer: PathBuf,
}

/// The handler as a process of its own, like the gateway; it ends with this value.
pub(crate) struct Bare {
    pub(crate) address: SocketAddr,
    _process: Process,
}

impl Bare {
    pub(crate) async fn start(answer: &[u8], folder: &Path) -> anyhow::Result<Self> {
        let (file, port) = (folder.join("answer"), free_port()?);
        std::fs::write(&file, answer)?;
        let (address, program) = (local_address(port), std::env::current_exe()?);
        let (listen, file) = (address.to_string(), file.to_str().context("not a name in UTF-8")?);
        let args = ["bare", "--listen", &listen, "--answer", file];
        let process = Process::start_program(&program, &args, [], port).await?;
        Ok(Self { address, _process: process })
    }
}

/// Answers until it is killed.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let answer = Bytes::from(std::fs::read(&args.answer)?);
    let router = Router::new().fallback(handle).with_state(answer);
    Ok(axum::serve(TcpListener::bind(args.listen).await?, router).await?)
}

async fn handle(
    State(answer): State<Bytes>,
    _body: Bytes,
) -> ([(header::HeaderName, &'static str); 1], Bytes) {
    ([(header::CONTENT_TYPE, "application/json")], answer)
}
