//! A transparent TCP proxy that keeps every byte of both directions.

use std::{
    net::SocketAddr,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    task::{AbortHandle, JoinSet},
};

use crate::{Log, local_address, probe::contains};

const CHUNK: usize = 16 * 1024;

/// Which way bytes went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the target.
    Sent,
    /// From the target to the client.
    Received,
}

/// Bytes that passed at once.
#[derive(Debug, Clone)]
pub struct Chunk {
    /// Counts the connections from 0.
    pub connection: usize,
    /// Which way they went.
    pub direction: Direction,
    /// The bytes.
    pub bytes: Bytes,
}

/// Stands between a client and `target`; ends with this value.
#[derive(Debug)]
pub struct Capture {
    address: SocketAddr,
    chunks: Arc<Log<Chunk>>,
    connections: Arc<AtomicUsize>,
    target: Target,
    task: AbortHandle,
}

type Target = Arc<OnceLock<SocketAddr>>;

impl Capture {
    /// Listens on a free port and forwards each connection to `target`.
    pub async fn start(target: SocketAddr) -> anyhow::Result<Self> {
        let capture = Self::ahead().await?;
        capture.point_to(target);
        Ok(capture)
    }

    /// Listens before its target is known, as a server that must be told its public address needs it. Until
    /// [`Capture::point_to`], connections are closed.
    pub async fn ahead() -> anyhow::Result<Self> {
        let listener = TcpListener::bind(local_address(0)).await?;
        let address = listener.local_addr()?;
        let (chunks, connections) = (Arc::<Log<Chunk>>::default(), Arc::<AtomicUsize>::default());
        let target = Target::default();
        let accept = accept(listener, Arc::clone(&target), Arc::clone(&chunks), Arc::clone(&connections));
        let task = tokio::spawn(accept).abort_handle();
        Ok(Self { address, chunks, connections, target, task })
    }

    /// From now on connections go there; a second target changes nothing.
    pub fn point_to(&self, target: SocketAddr) {
        self.target.get_or_init(|| target);
    }

    /// Where clients connect.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The same as the base of an HTTP URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many connections there were.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// What went one way, one entry for each connection.
    #[must_use]
    pub fn streams(&self, direction: Direction) -> Vec<Vec<u8>> {
        let mut streams = vec![Vec::new(); self.connections()];
        for chunk in self.chunks.all().into_iter().filter(|chunk| chunk.direction == direction) {
            streams[chunk.connection].extend_from_slice(&chunk.bytes);
        }
        streams
    }

    /// Everything that the client sent, as text.
    #[must_use]
    pub fn sent_text(&self) -> String {
        let streams = self.streams(Direction::Sent);
        streams.iter().map(|stream| String::from_utf8_lossy(stream)).collect::<Vec<_>>().join("\n")
    }

    /// Whether these bytes went that way in any one connection, chunk borders notwithstanding.
    #[must_use]
    pub fn holds(&self, direction: Direction, bytes: &[u8]) -> bool {
        self.streams(direction).iter().any(|stream| contains(stream, bytes))
    }

    /// Waits until bytes of that direction satisfy `wanted`, which is asked at each chunk.
    pub async fn wait_for(
        &self,
        what: &str,
        limit: Duration,
        mut wanted: impl FnMut(&Chunk) -> bool,
    ) -> anyhow::Result<Chunk> {
        self.chunks.wait(what, limit, |all| all.iter().find(|chunk| wanted(chunk)).cloned()).await
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(
    listener: TcpListener,
    target: Target,
    chunks: Arc<Log<Chunk>>,
    connections: Arc<AtomicUsize>,
) {
    let mut open = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let connection = connections.fetch_add(1, Ordering::SeqCst);
        if let Some(target) = target.get() {
            open.spawn(relay(client, *target, connection, Arc::clone(&chunks)));
        }
    }
}

/// A target that refuses closes the client's connection, as it would without the proxy.
async fn relay(client: TcpStream, target: SocketAddr, connection: usize, chunks: Arc<Log<Chunk>>) {
    let Ok(server) = TcpStream::connect(target).await else { return };
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    let sent = copy(from_client, to_server, connection, Direction::Sent, &chunks);
    let received = copy(from_server, to_client, connection, Direction::Received, &chunks);
    tokio::join!(sent, received);
}

/// Recorded before it is passed on, so that whoever has seen an answer finds the question here.
async fn copy(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    connection: usize,
    direction: Direction,
    chunks: &Log<Chunk>,
) {
    let mut buffer = vec![0; CHUNK];
    while let Ok(size @ 1..) = from.read(&mut buffer).await {
        let bytes = Bytes::copy_from_slice(&buffer[..size]);
        chunks.push(Chunk { connection, direction, bytes: bytes.clone() });
        if to.write_all(&bytes).await.is_err() {
            return;
        }
    }
    // The other side may have closed already.
    drop(to.shutdown().await);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::receiver::{Answer, Receiver, tests::client};

    #[tokio::test]
    async fn both_directions_are_kept_and_passed_on() {
        let receiver = Receiver::start().await.unwrap();
        receiver.answer(Answer::status(200).body("the answer"));
        let capture = Capture::start(receiver.address()).await.unwrap();
        let answer =
            client().post(format!("{}/feed", capture.url())).body("the question").send().await.unwrap();
        assert_eq!(answer.text().await.unwrap(), "the answer");

        assert_eq!(capture.connections(), 1);
        assert!(
            capture.holds(Direction::Sent, b"the question")
                && capture.sent_text().starts_with("POST /feed HTTP/1.1")
        );
        assert!(capture.holds(Direction::Received, b"the answer"));
        assert!(!capture.holds(Direction::Sent, b"the answer"));
        let answered =
            capture.wait_for("the answer", Duration::from_secs(5), |c| c.direction == Direction::Received);
        assert_eq!(answered.await.unwrap().connection, 0);
    }

    #[tokio::test]
    async fn a_target_that_is_away_closes_the_connection() {
        let capture = Capture::start(local_address(crate::free_port().unwrap())).await.unwrap();
        let mut client = TcpStream::connect(capture.address()).await.unwrap();
        assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 0);
    }
}
