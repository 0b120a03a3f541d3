//! What the demo says.

use super::{Demo, NextRelease};

pub(super) const EXAMPLES: &str = "\
Examples:
  mercato demo                          click in the shop at http://127.0.0.1:8090
  mercato demo --buy                    one purchase without a browser, and nothing left behind
  mercato demo --data /tmp/d --buy      a purchase that stays; once more, and the next app is bought
  mercato demo --ephemeral              free ports; data/demo/demo.json has the addresses and keys";

/// Where to click, and what to paste.
pub(super) fn welcome(demo: &Demo) {
    println!("{}", text(demo));
}

/// Where to click, for whoever reads a container's log: the keys stay in its folder.
pub(super) fn places(demo: &Demo) {
    let Demo { gateway_url, shop_url, hosted_url, stripe_url, .. } = demo;
    println!(
        "Shop {shop_url}/admin/marketplace, Guest Book {hosted_url}, API {gateway_url}/docs, Stripe {stripe_url}/sim/"
    );
}

fn text(demo: &Demo) -> String {
    let Demo { gateway_url, shop_url, hosted_url, stripe_url, publishable_key, admin_key, ready_ms, .. } =
        demo;
    let NextRelease { version, url, manifest, vendor_signature } = &demo.next_release;
    let manifest = manifest.display();
    let data = demo.data.display();
    format!(
        "\
Mercato is open ({ready_ms} ms). Everything stays in {data}

  Shop          {shop_url}/admin/marketplace
  Guest Book    {hosted_url}    a hosted app: install it in the shop, and see the shop arrive here
  API           {gateway_url}/docs
  Stripe        {stripe_url}/sim/    a stand-in; no money moves

Paste one:
  curl '{gateway_url}/store/marketplace/feed?search=label' -H 'x-publishable-api-key: {publishable_key}'
  curl '{gateway_url}/store/marketplace/updates?versions=%7B%22@carphacom/seo-essentials%22:%221.0.0%22%7D' -H 'x-publishable-api-key: {publishable_key}'
  curl '{gateway_url}/admin/licenses' -H 'Authorization: Bearer {admin_key}'

Publish {version} of Guest Book, which asks for one permission more, and look at the shop again:
  curl '{url}' -H 'Authorization: Bearer {admin_key}' -H 'content-type: application/json' -H 'x-vendor-signature: {vendor_signature}' --data-binary '@{manifest}'

All addresses and keys: {data}/demo.json    Ctrl-C ends it."
    )
}
