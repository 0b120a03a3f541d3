//! One port that leads to another host: in a container, the marketplace's public address must lead to the gateway as it
//! does for a browser outside.

use platform::Shutdown;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// Hands on what comes, byte by byte, until it is told to stop.
pub(super) async fn serve(listener: TcpListener, to: String, shutdown: Shutdown) -> anyhow::Result<()> {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => {
                // One that broke off while it waited is its own affair.
                if let Ok((from, _)) = accepted {
                    connections.spawn(hand_on(from, to.clone()));
                }
            }
        }
    }
}

/// The end of either side is the end of the other, and who asked sees it.
async fn hand_on(mut from: TcpStream, to: String) -> std::io::Result<()> {
    let mut there = TcpStream::connect(to).await?;
    copy_bidirectional(&mut from, &mut there).await.map(drop)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn what_is_said_arrives_and_so_does_the_answer() {
        let (here, there) = (
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap(),
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap(),
        );
        let (address, to) = (here.local_addr().unwrap(), there.local_addr().unwrap().to_string());
        let shutdown = Shutdown::new();
        let serving = tokio::spawn(serve(here, to, shutdown.clone()));
        let mut asking = TcpStream::connect(address).await.unwrap();
        asking.write_all(b"ask").await.unwrap();
        asking.shutdown().await.unwrap();
        let (mut answering, _) = there.accept().await.unwrap();
        let mut asked = String::new();
        answering.read_to_string(&mut asked).await.unwrap();
        answering.write_all(b"answer").await.unwrap();
        drop(answering);
        let mut answer = String::new();
        asking.read_to_string(&mut answer).await.unwrap();
        assert_eq!((asked.as_str(), answer.as_str()), ("ask", "answer"));
        shutdown.cancel();
        serving.await.unwrap().unwrap();
    }
}
