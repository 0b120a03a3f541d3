/// What a permission acts on: the text between `api:` and the last dot, and what a shopkeeper calls it.
const THINGS: [(&str, &str); 21] = [
    ("analytics", "sales figures"),
    ("carts", "customers’ carts"),
    ("categories", "categories"),
    ("customers", "customers"),
    ("discounts", "discounts"),
    ("files", "files"),
    ("inventory", "stock"),
    ("invoices", "invoices"),
    ("notifications", "messages to customers"),
    ("orders", "orders"),
    ("pages", "pages"),
    ("payments", "payments"),
    ("prices", "prices"),
    ("products", "products"),
    ("returns", "returns"),
    ("reviews", "reviews"),
    ("settings", "settings"),
    ("shipments", "shipments"),
    ("shipping", "shipping methods"),
    ("taxes", "taxes"),
    ("themes", "themes"),
];

/// What it does there: the text after the last dot.
const ACTIONS: [(&str, &str); 6] = [
    ("create", "Add"),
    ("delete", "Delete your"),
    ("read", "Read your"),
    ("send", "Send"),
    ("update", "Change your"),
    ("write", "Read and change your"),
];

/// What a permission of the manifest, such as `api:orders.read`, means to a shopkeeper. One that is not in the tables
/// is shown as it is: a guess could say less than it allows.
pub(crate) fn in_plain_words(permission: &str) -> String {
    find_words(permission).unwrap_or_else(|| permission.to_owned())
}

fn find_words(permission: &str) -> Option<String> {
    let (thing, action) = permission.strip_prefix("api:")?.rsplit_once('.')?;
    let thing = THINGS.iter().find(|(name, _)| *name == thing)?.1;
    let action = ACTIONS.iter().find(|(name, _)| *name == action)?.1;
    Some(format!("{action} {thing}"))
}

/// What of `wanted` is not in `granted`.
pub(crate) fn added(wanted: &[String], granted: &[String]) -> Vec<String> {
    wanted.iter().filter(|permission| !granted.contains(permission)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_permissions_read_as_sentences() {
        for (permission, words) in [
            ("api:orders.read", "Read your orders"),
            ("api:orders.write", "Read and change your orders"),
            ("api:inventory.update", "Change your stock"),
            ("api:products.create", "Add products"),
            ("api:notifications.send", "Send messages to customers"),
        ] {
            assert_eq!(in_plain_words(permission), words);
        }
    }

    #[test]
    fn unknown_ones_are_shown_as_they_are() {
        for permission in [
            "api:orders.refund",
            "api:product-tags.delete",
            "webhooks",
            "storefront:orders.read",
            "api:orders",
        ] {
            assert_eq!(in_plain_words(permission), permission);
        }
    }
}
