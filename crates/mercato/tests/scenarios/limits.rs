//! How much one caller may ask when nothing is configured.

use std::sync::Arc;

use testkit::market::{Limits, Options};
use wire::license_key::LicenseKey;

use crate::stage::{Outcome, Stage, assert_refused};

scenarios! {
    Options { limits: Limits::AsShipped, ..Options::default() };
    who_asks_too_much_without_a_key_is_told_when_to_come_back,
}

async fn who_asks_too_much_without_a_key_is_told_when_to_come_back(stage: Arc<Stage>) -> Outcome {
    let shop = stage.shop().await?;
    let question = shop.question(&LicenseKey::from_entropy([1; 12]).to_string(), "@v/p");
    let mut refused = None;
    // The window may end in between; so many are too many for one of two.
    for _ in 0..=120 {
        let answer = shop.anyone().post("/store/marketplace/license/verify", &question).await?;
        if answer.status != 200 {
            refused = Some(answer);
            break;
        }
        assert!(!answer.header("x-ratelimit-remaining").is_empty(), "{:?}", answer.headers);
    }
    let refused = refused.expect("sixty questions a minute, and no more");
    assert_refused(&refused, 429, "rate_limited", "come back");
    let wait: u64 = refused.header("retry-after").parse()?;
    assert!((1..=60).contains(&wait), "{wait}");
    assert_eq!(refused.header("x-ratelimit-remaining"), "0");
    let with_its_key = shop.reader().post("/store/marketplace/license/verify", &question).await?;
    assert_eq!(with_its_key.status, 200, "a shop with its key is not held up by who has none");
    Ok(())
}
