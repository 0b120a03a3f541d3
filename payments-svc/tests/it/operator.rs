//! What the operator sees.

use platform::{Code, Principal};
use proto::payments as api;
use serde_json::json;

use crate::harness::{APP, EMAIL, Marketplace, purchase, session_event};

over_both!(orders_are_listed_by_page_and_filter, only_the_operator_sees_orders);

async fn orders_are_listed_by_page_and_filter(market: Marketplace) {
    let mut ids = Vec::new();
    for instance in ["inst_1", "inst_2", "inst_3"] {
        ids.push(market.buy(purchase(instance)).await.unwrap().order_id);
        // Ids sort by their millisecond.
        market.clock.advance(std::time::Duration::from_millis(1));
    }
    let other = api::CreateSessionRequest { marketplace_id: "@acme/other".into(), ..purchase("inst_1") };
    ids.push(market.buy(other).await.unwrap().order_id);
    assert_eq!(market.tell(&session_event("completed", &ids[1], json!({}))).await.0, 200);
    ids.reverse();
    let list = async |request| {
        let page = market.orders(&Principal::Operator, request).await.unwrap();
        assert!(!format!("{page:?}").contains(EMAIL));
        let ids: Vec<String> = page.orders.into_iter().map(|order| order.order_id).collect();
        (ids, page.count)
    };
    let all = api::ListOrdersRequest::default();
    assert_eq!(list(all.clone()).await, (ids.clone(), 4));
    let page = api::ListOrdersRequest { limit: 2, offset: 1, ..all.clone() };
    assert_eq!(list(page).await, (ids[1..3].to_vec(), 4));
    let paid = api::ListOrdersRequest { state: Some("paid".into()), ..all.clone() };
    assert_eq!(list(paid).await, (vec![ids[2].clone()], 1));
    let shop = api::ListOrdersRequest { instance_id: Some("inst_1".into()), ..all.clone() };
    assert_eq!(list(shop.clone()).await, (vec![ids[0].clone(), ids[3].clone()], 2));
    let app = api::ListOrdersRequest { marketplace_id: Some(APP.into()), ..shop };
    assert_eq!(list(app).await, (vec![ids[3].clone()], 1));
    let beyond = api::ListOrdersRequest { offset: 9, ..all };
    assert_eq!(list(beyond).await, (vec![], 4));
}

async fn only_the_operator_sees_orders(market: Marketplace) {
    let id = market.buy(purchase("inst_1")).await.unwrap().order_id;
    for principal in
        [Principal::Anonymous, Principal::InstanceAdmin("inst_1".into()), Principal::Vendor("vnd_1".into())]
    {
        assert_eq!(market.order_as(&principal, &id).await.unwrap_err().code(), Code::NotAllowed);
        let list = market.orders(&principal, api::ListOrdersRequest::default()).await;
        assert_eq!(list.unwrap_err().code(), Code::NotAllowed);
    }
    let unknown = market.order_as(&Principal::Operator, "ord_1").await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
    let state = api::ListOrdersRequest { state: Some("sold".into()), ..Default::default() };
    let refused = market.orders(&Principal::Operator, state).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidData);
    assert!(refused.message().contains("created, open, processing"), "{refused}");
}
