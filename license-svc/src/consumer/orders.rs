use platform::{
    Shutdown,
    bus::{Bus, BusError, ConsumeError, ConsumerSpec, Message},
};
use proto::events::{OrderPaid, OrderSnapshot, subject};
use tokio::task::JoinHandle;

use super::decode;
use crate::{app::App, domain::order::Order};

const NAME: &str = "license-orders";
/// The one state that buys a licence.
const PAID: &str = "paid";

/// Issues the licences of paid orders.
pub(crate) fn orders(app: &App, bus: &Bus, shutdown: Shutdown) -> Result<JoinHandle<()>, BusError> {
    let app = app.clone();
    let spec = ConsumerSpec::new(NAME, [subject::ORDER_PAID]);
    bus.consume(spec, shutdown, move |message| {
        let app = app.clone();
        async move { take(&app, message).await }
    })
}

async fn take(app: &App, message: Message) -> Result<(), ConsumeError> {
    let OrderPaid { order } = decode(&message)?;
    let order = order.ok_or_else(|| ConsumeError::Reject("the message holds no order".to_owned()))?;
    let order = parse(order)?;
    // A sale outlives every failure of ours: it is tried again until it is stored, and never given up.
    app.take_paid_order(NAME, &message.id, &order).await.map(drop).map_err(ConsumeError::Retry)
}

fn parse(snapshot: OrderSnapshot) -> Result<Order, ConsumeError> {
    if snapshot.state != PAID {
        return Err(ConsumeError::Reject("the order's state is not `paid`".to_owned()));
    }
    let order = Order {
        id: snapshot.order_id,
        revision: snapshot.revision.into(),
        instance_id: snapshot.instance_id,
        marketplace_id: snapshot.marketplace_id,
        version: snapshot.version,
        sealed_customer_email: snapshot.sealed_customer_email,
    };
    order.check().map_err(|error| ConsumeError::Reject(error.to_string()))
}
