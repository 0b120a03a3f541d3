//! A proxy between two processes that cuts, stalls and slows what goes through it.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::watch,
    task::{AbortHandle, JoinSet},
};

use crate::local_address;

const CHUNK: usize = 16 * 1024;

/// What happens to the bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Weather {
    /// They pass.
    #[default]
    Clear,
    /// They pass after this long, as over a far network.
    Slow(Duration),
    /// They are kept until it clears up; nobody is told.
    Stalled,
    /// Every connection is reset, new ones too.
    Cut,
}

/// A proxy on a free port of the loopback address; ends with this value, and its connections with it.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    weather: watch::Sender<Weather>,
    task: AbortHandle,
}

impl Proxy {
    /// Passes everything on to `target`, which may be away: then its connections are reset.
    pub async fn start(target: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(local_address(0)).await?;
        let address = listener.local_addr()?;
        let (weather, now) = watch::channel(Weather::Clear);
        let task = tokio::spawn(accept(listener, target, now)).abort_handle();
        Ok(Self { address, weather, task })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes what happens to the bytes, on open connections too.
    pub fn set(&self, weather: Weather) {
        self.weather.send_replace(weather);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, target: SocketAddr, weather: watch::Receiver<Weather>) {
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            Ok((client, _)) = listener.accept() => drop(open.spawn(serve(client, target, weather.clone()))),
            Some(_) = open.join_next() => {}
        }
    }
}

async fn serve(mut client: TcpStream, target: SocketAddr, weather: watch::Receiver<Weather>) {
    let Ok(mut server) = TcpStream::connect(target).await else { return reset(&client) };
    // Small messages are not to wait for each other here.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let passed = {
        let ((from_client, to_client), (from_server, to_server)) = (client.split(), server.split());
        let both = async {
            tokio::try_join!(
                pump(from_client, to_server, weather.clone()),
                pump(from_server, to_client, weather.clone())
            )
        };
        tokio::select! {
            passed = both => passed.is_ok(),
            () = cut(weather.clone()) => false,
        }
    };
    if !passed {
        reset(&client);
        reset(&server);
    }
}

async fn pump(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    mut weather: watch::Receiver<Weather>,
) -> io::Result<()> {
    let mut bytes = vec![0; CHUNK];
    loop {
        let read = from.read(&mut bytes).await?;
        // Nobody changes the weather any more: it stays.
        let now = weather.wait_for(|now| *now != Weather::Stalled).await.map_or(Weather::Clear, |now| *now);
        if let Weather::Slow(delay) = now {
            tokio::time::sleep(delay).await;
        }
        if read == 0 {
            return to.shutdown().await;
        }
        to.write_all(&bytes[..read]).await?;
    }
}

async fn cut(mut weather: watch::Receiver<Weather>) {
    if weather.wait_for(|now| *now == Weather::Cut).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// A socket that doesn't linger says RST when it closes.
fn reset(connection: &TcpStream) {
    // It may be closed already.
    let _ = rustix::net::sockopt::set_socket_linger(connection, Some(Duration::ZERO));
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tokio::time::timeout;

    use super::*;

    /// Answers every byte with itself.
    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind(local_address(0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut connection, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = connection.split();
                    tokio::io::copy(&mut from, &mut to).await
                });
            }
        });
        address
    }

    async fn said(connection: &mut TcpStream, byte: u8) -> io::Result<u8> {
        connection.write_all(&[byte]).await?;
        connection.read_u8().await
    }

    #[tokio::test]
    async fn what_is_stalled_comes_when_it_clears_up() {
        let proxy = Proxy::start(echo().await).await.unwrap();
        let mut connection = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(said(&mut connection, 1).await.unwrap(), 1);
        proxy.set(Weather::Stalled);
        let stalled = timeout(Duration::from_millis(100), said(&mut connection, 2)).await;
        assert!(stalled.is_err());
        proxy.set(Weather::Clear);
        assert_eq!(connection.read_u8().await.unwrap(), 2);
    }

    #[tokio::test]
    async fn a_cut_resets_what_is_open_and_what_comes_until_it_is_over() {
        let proxy = Proxy::start(echo().await).await.unwrap();
        let mut open = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(said(&mut open, 1).await.unwrap(), 1);
        proxy.set(Weather::Cut);
        assert_eq!(open.read_u8().await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        let mut new = TcpStream::connect(proxy.address()).await.unwrap();
        assert!(said(&mut new, 2).await.is_err());
        proxy.set(Weather::Clear);
        let mut later = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(said(&mut later, 3).await.unwrap(), 3);
    }

    #[tokio::test]
    async fn a_slow_network_takes_its_time_both_ways() {
        let proxy = Proxy::start(echo().await).await.unwrap();
        proxy.set(Weather::Slow(Duration::from_millis(30)));
        let mut connection = TcpStream::connect(proxy.address()).await.unwrap();
        let sent = tokio::time::Instant::now();
        assert_eq!(said(&mut connection, 1).await.unwrap(), 1);
        assert!(sent.elapsed() >= Duration::from_millis(60));
    }

    #[tokio::test]
    async fn who_asks_for_a_target_that_is_away_is_reset() {
        let proxy = Proxy::start(local_address(crate::free_port().unwrap())).await.unwrap();
        let mut connection = TcpStream::connect(proxy.address()).await.unwrap();
        assert!(said(&mut connection, 1).await.is_err());
    }
}
