//! What the buyer sees and clicks.

use crate::support::Sim;

async fn html(sim: &Sim, id: &str) -> String {
    sim.client.get(format!("{}/pay/{id}", sim.url)).send().await.unwrap().text().await.unwrap()
}

fn location(answer: &reqwest::Response) -> &str {
    assert_eq!(answer.status(), 303);
    answer.headers()["location"].to_str().unwrap()
}

#[tokio::test]
async fn it_shows_the_purchase_and_takes_the_payment() {
    let sim = Sim::start().await;
    let id = sim.create_session().await;
    let page = html(&sim, &id).await;
    for shown in ["SEO &#60;Essentials&#62;", "€49.00", "ada@shop.example", "no money moves"] {
        assert!(page.contains(shown), "{shown}");
    }
    for button in ["pay", "pay-later", "decline", "cancel"] {
        assert!(page.contains(&format!("id=\"{button}\"")), "{button}");
    }
    let paid = sim.click(&id, "pay").await;
    assert_eq!(location(&paid), format!("http://127.0.0.1:9/done?s={id}"));
    let page = html(&sim, &id).await;
    assert!(page.contains("id=\"paid\"") && page.contains("id=\"continue\"") && !page.contains("id=\"pay\""));
    // A second click changes nothing and shows how it stands.
    assert_eq!(location(&sim.click(&id, "pay").await), format!("../{id}"));
}

#[tokio::test]
async fn a_declined_card_is_said_and_can_be_tried_again() {
    let sim = Sim::start().await;
    let id = sim.create_session().await;
    assert_eq!(location(&sim.click(&id, "decline").await), format!("../{id}"));
    let page = html(&sim, &id).await;
    assert!(page.contains("Your card was declined.") && page.contains("id=\"pay\""));
    let event = &sim.json("/v1/events").await["data"][0];
    assert_eq!(event["type"], "payment_intent.payment_failed");
    assert!(location(&sim.click(&id, "pay").await).starts_with("http://127.0.0.1:9/done"));
}

#[tokio::test]
async fn paying_later_offers_what_the_bank_may_do() {
    let sim = Sim::start().await;
    let id = sim.create_session().await;
    assert_eq!(location(&sim.click(&id, "pay-later").await), format!("../{id}"));
    let page = html(&sim, &id).await;
    assert!(
        page.contains("id=\"settle\"") && page.contains("id=\"fail\"") && !page.contains("id=\"cancel\"")
    );
    sim.click(&id, "fail").await;
    assert!(html(&sim, &id).await.contains("id=\"failed\""));
    assert_eq!(sim.json("/v1/events").await["data"][0]["type"], "checkout.session.async_payment_failed");
}

#[tokio::test]
async fn an_unknown_session_has_a_page_that_says_so() {
    let sim = Sim::start().await;
    let answer = sim.client.get(format!("{}/pay/cs_test_none", sim.url)).send().await.unwrap();
    assert_eq!(answer.status(), 404);
    assert!(answer.text().await.unwrap().contains("There is no such checkout"));
}
