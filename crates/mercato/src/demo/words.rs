//! What the demo says.

use super::Demo;

pub(super) const EXAMPLES: &str = "\
Examples:
  mercato demo                          click in the shop at http://127.0.0.1:8090
  mercato demo --buy                    one purchase without a browser, and nothing left behind
  mercato demo --data /tmp/d --buy      a purchase that stays; once more, and the next app is bought
  mercato demo --ephemeral              free ports; /tmp/…/demo.json has the addresses and keys";

/// Where to click, and what to paste.
pub(super) fn welcome(demo: &Demo) {
    println!("{}", text(demo));
}

fn text(demo: &Demo) -> String {
    let Demo { gateway_url, shop_url, stripe_url, publishable_key, admin_key, ready_ms, .. } = demo;
    let data = demo.data.display();
    format!(
        "\
Mercato is open ({ready_ms} ms). Everything stays in {data}

  Shop          {shop_url}/admin/marketplace
  API           {gateway_url}/docs
  Stripe        {stripe_url}/sim/    a stand-in; no money moves

Paste one:
  curl '{gateway_url}/store/marketplace/feed?search=label' -H 'x-publishable-api-key: {publishable_key}'
  curl '{gateway_url}/store/marketplace/updates?versions=%7B%22@carphacom/seo-essentials%22:%221.0.0%22%7D' -H 'x-publishable-api-key: {publishable_key}'
  curl '{gateway_url}/admin/licenses' -H 'Authorization: Bearer {admin_key}'

All addresses and keys: {data}/demo.json    Ctrl-C ends it."
    )
}
