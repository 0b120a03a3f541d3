//! Ports that nobody uses.

use std::{
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    ops::Range,
    process,
    sync::{
        OnceLock,
        atomic::{AtomicU16, Ordering},
    },
};

use anyhow::Context as _;

/// Below those that systems give to outgoing connections (Linux: 32768, others: 49152): a service that is killed and
/// comes back must find its port free.
const PORTS: Range<u16> = 10_000..32_000;
/// A process that tests has this many to itself.
const BLOCK: u16 = 100;

/// A TCP port of the loopback address that nobody uses, and that no other test will take.
pub fn free_port() -> anyhow::Result<u16> {
    let block = block()?;
    let free = (0..BLOCK).map(|_| block.next()).find(|port| TcpListener::bind(local_address(*port)).is_ok());
    free.context("all ports of this process's tests are in use")
}

/// Several of them, no two the same.
pub fn free_ports<const N: usize>() -> anyhow::Result<[u16; N]> {
    let mut ports = [0; N];
    for port in &mut ports {
        *port = free_port()?;
    }
    Ok(ports)
}

/// `127.0.0.1` with this port.
#[must_use]
pub fn local_address(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// Names the address of this machine at which those that are tested reach what a test receives.
pub const RECEIVE_ON: &str = "MERCATO_TEST_RECEIVE_ON";

/// Any free port of the address that [`RECEIVE_ON`] names; of the loopback address without it.
pub fn receiving_address() -> anyhow::Result<SocketAddr> {
    let Ok(address) = std::env::var(RECEIVE_ON) else { return Ok(local_address(0)) };
    let address = address.parse().with_context(|| format!("{RECEIVE_ON} must be an IP address"))?;
    Ok(SocketAddr::new(address, 0))
}

/// The ports of this process, for as long as it holds the lock.
struct Block {
    first: u16,
    taken: AtomicU16,
    _lock: File,
}

impl Block {
    fn next(&self) -> u16 {
        self.first + self.taken.fetch_add(1, Ordering::Relaxed) % BLOCK
    }
}

fn block() -> anyhow::Result<&'static Block> {
    static OURS: OnceLock<Option<Block>> = OnceLock::new();
    OURS.get_or_init(take_block).as_ref().context("all ports for tests are taken by other processes")
}

/// Tests run in many processes at once: the first block that no other one has locked.
fn take_block() -> Option<Block> {
    let folder = std::env::temp_dir().join("mercato-ports");
    fs::create_dir_all(&folder).ok()?;
    let blocks = u32::from((PORTS.end - PORTS.start) / BLOCK);
    let start = process::id() % blocks;
    (0..blocks).find_map(|at| {
        let number = u16::try_from((start + at) % blocks).ok()?;
        let lock =
            File::options().create(true).truncate(false).write(true).open(folder.join(number.to_string()));
        let lock = lock.ok().filter(|lock| lock.try_lock().is_ok())?;
        Some(Block { first: PORTS.start + number * BLOCK, taken: AtomicU16::new(0), _lock: lock })
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_free_port_can_be_bound() {
        let port = free_port().unwrap();
        let listener = TcpListener::bind(local_address(port)).unwrap();
        assert_eq!(listener.local_addr().unwrap().port(), port);
    }

    #[test]
    fn a_port_is_given_once_and_never_one_of_an_outgoing_connection() {
        let ports: BTreeSet<u16> = free_ports::<15>().unwrap().into();
        assert_eq!(ports.len(), 15);
        assert!(ports.iter().all(|port| PORTS.contains(port)));
    }

    #[test]
    fn two_processes_have_different_ports() {
        let (ours, theirs) = (block().unwrap(), take_block().unwrap());
        assert_ne!(ours.first, theirs.first);
    }
}
