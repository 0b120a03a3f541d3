/// What a permission of the manifest, such as `api:orders.read`, means to a shopkeeper.
pub(crate) fn in_plain_words(permission: &str) -> String {
    let (area, rest) = permission.split_once(':').unwrap_or(("api", permission));
    let (thing, action) = rest.rsplit_once('.').unwrap_or((rest, ""));
    let thing = thing.replace(['.', '_', '-'], " ");
    let sentence = match action {
        "read" => format!("See your {thing}"),
        "write" => format!("See and change your {thing}"),
        "create" => format!("Add new {thing}"),
        "update" => format!("Change your {thing}"),
        "delete" => format!("Delete your {thing}"),
        "" => format!("Use {thing}"),
        other => format!("Use “{}” on your {thing}", other.replace(['_', '-'], " ")),
    };
    if area == "api" { sentence } else { format!("{sentence} ({area})") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_read_as_sentences() {
        for (permission, words) in [
            ("api:orders.read", "See your orders"),
            ("api:orders.write", "See and change your orders"),
            ("api:product-tags.delete", "Delete your product tags"),
            ("api:orders.refund", "Use “refund” on your orders"),
            ("webhooks", "Use webhooks"),
            ("storefront:theme.write", "See and change your theme (storefront)"),
        ] {
            assert_eq!(in_plain_words(permission), words);
        }
    }
}
