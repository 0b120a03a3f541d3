//! Names and addresses that lead inside.

use webhook_dispatcher::domain::{
    address::AddressPolicy,
    answer::Outcome::{Dns, ForbiddenAddress, Success},
};

use testkit::receiver::Receiver;

use super::{TIMEOUT, attempt, client, client_of, settings};

/// However it is written, an address of the inside is not called: what is checked is what would be connected to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_notation_of_an_address_leads_inside() {
    let inside = Receiver::start().await.unwrap();
    let port = inside.address().port();
    let policy = AddressPolicy { allow_http: true, allow_ports: vec![port], ..AddressPolicy::default() };
    let client = client_of(&webhook_dispatcher::sender::ClientSettings { policy, ..settings(TIMEOUT) });
    for host in [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "017700000001",
        "127.0.0.1.",
        "０１７７.1",
        "①②⑦.0.0.1",
        "%31%32%37.0.0.1",
        "0",
        "0.0.0.0",
        "localhost",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::127.0.0.1]",
        "[64:ff9b:1::127.0.0.1]",
        "[2002:7f00:1::]",
    ] {
        let answer = attempt(&client, &format!("http://{host}:{port}")).await;
        assert_eq!(answer.outcome, ForbiddenAddress, "{host}");
    }
    // Whether that is a name depends on the resolver.
    let answer = attempt(&client, &format!("http://LOCALHOST.:{port}")).await;
    assert!(matches!(answer.outcome, ForbiddenAddress | Dns), "{:?}", answer.outcome);
    assert!(inside.requests().is_empty());
}

/// A receiver that is allowed stays so by its address, not by its name or its notation.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_allowed_network_is_reached_in_every_notation() {
    let receiver = Receiver::start().await.unwrap();
    let client = client(TIMEOUT);
    for host in ["127.0.0.1", "127.1", "2130706433", "localhost"] {
        let answer = attempt(&client, &format!("http://{host}:{}", receiver.address().port())).await;
        assert_eq!(answer.outcome, Success, "{host}");
    }
}
