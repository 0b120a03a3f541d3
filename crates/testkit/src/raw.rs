//! A server that is handed each connection itself, to answer in ways that no HTTP library would.

pub mod http2;

use std::{
    fmt, io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::{AbortHandle, JoinSet},
};

use crate::local_address;

/// No request of a test is longer.
const LONGEST_REQUEST: usize = 64 * 1024;

/// On a free port of the loopback address; ends with this value, and all its connections with it.
pub struct RawServer {
    address: SocketAddr,
    connections: Arc<Connections>,
    task: AbortHandle,
}

#[derive(Default)]
struct Connections {
    accepted: AtomicUsize,
    ended: AtomicUsize,
}

impl fmt::Debug for RawServer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("RawServer").field("address", &self.address).finish_non_exhaustive()
    }
}

impl RawServer {
    /// Serves each connection by `serve`; what it fails with is the connection's end.
    pub async fn start<F>(serve: impl Fn(TcpStream) -> F + Send + Sync + 'static) -> anyhow::Result<Self>
    where
        F: Future<Output = io::Result<()>> + Send + 'static,
    {
        let listener = TcpListener::bind(local_address(0)).await?;
        let address = listener.local_addr()?;
        let connections = Arc::new(Connections::default());
        let task = tokio::spawn(accept(listener, serve, Arc::clone(&connections))).abort_handle();
        Ok(Self { address, connections, task })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections so far.
    #[must_use]
    pub fn accepted(&self) -> usize {
        self.connections.accepted.load(Ordering::SeqCst)
    }

    /// Connections that are still being served.
    #[must_use]
    pub fn open(&self) -> usize {
        let ended = self.connections.ended.load(Ordering::SeqCst);
        self.accepted().saturating_sub(ended)
    }
}

impl Drop for RawServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept<F>(listener: TcpListener, serve: impl Fn(TcpStream) -> F, connections: Arc<Connections>)
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let mut open = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.accepted.fetch_add(1, Ordering::SeqCst);
        let (served, connections) = (serve(stream), Arc::clone(&connections));
        open.spawn(async move {
            // However it ends, it has ended.
            drop(served.await);
            connections.ended.fetch_add(1, Ordering::SeqCst);
        });
        while open.try_join_next().is_some() {}
    }
}

/// Reads one HTTP/1.1 request, whole.
pub async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let mut request = Vec::new();
    while length_of(&request).is_none_or(|length| request.len() < length) {
        let read = stream.read_buf(&mut request).await?;
        if read == 0 || request.len() > LONGEST_REQUEST {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(request)
}

/// Of a request whose head is there: how long it is.
fn length_of(request: &[u8]) -> Option<usize> {
    let head = request.windows(4).position(|end| end == b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&request[..head]).to_ascii_lowercase();
    let body = text.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    Some(head + body.unwrap_or(0))
}

/// Writes the same bytes again and again, some kilobytes and then a pause, until the other side closes. (Without a pause it
/// tests the machine as well, which has to read what it writes.)
pub async fn flood(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8], pause: Duration) -> io::Result<()> {
    let many = bytes.repeat((2 * 1024 / bytes.len().max(1)).max(1));
    loop {
        stream.write_all(&many).await?;
        stream.flush().await?;
        tokio::time::sleep(pause).await;
    }
}

/// Writes the same bytes again and again, one byte at a time with a pause after each, until the other side closes.
pub async fn trickle(
    stream: &mut (impl AsyncWrite + Unpin),
    bytes: &[u8],
    pause: Duration,
) -> io::Result<()> {
    for byte in bytes.iter().cycle() {
        stream.write_all(std::slice::from_ref(byte)).await?;
        stream.flush().await?;
        tokio::time::sleep(pause).await;
    }
    Ok(())
}

/// Says nothing, and reads until the other side closes.
pub async fn hold(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<()> {
    let mut taken = [0; 4096];
    while stream.read(&mut taken).await? > 0 {}
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[tokio::test]
    async fn a_request_is_read_to_the_end_of_its_body_and_connections_are_counted() {
        let server = RawServer::start(async |mut stream| {
            let request = read_request(&mut stream).await?;
            stream.write_all(&request).await
        });
        let server = server.await.unwrap();
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        stream.write_all(b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\na").await.unwrap();
        stream.write_all(b"bc").await.unwrap();
        let mut echo = String::new();
        stream.read_to_string(&mut echo).await.unwrap();
        assert!(echo.ends_with("\r\n\r\nabc"), "{echo}");
        let ended = async || (server.open() == 0).then_some(());
        crate::eventually("its end", Duration::from_secs(5), ended).await.unwrap();
        assert_eq!(server.accepted(), 1);
    }
}
