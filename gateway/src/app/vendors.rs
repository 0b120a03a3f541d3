use std::sync::Arc;

use platform::{AppError, AppResult, Code, Principal, secret};
use proto::{
    catalog::{ProductDetail, ResolveVendorKeyRequest},
    license::{CountVersionsRequest, Installation, ListInstallationsRequest},
};
use wire::manifest::MarketplaceId;

use super::{App, services::answer};
use crate::domain::{
    adoption::{Deadline, Deadlines, VersionInUse, versions_in_use},
    page::Page,
};

/// A vendor that asks about its own apps.
pub(crate) struct VendorCaller {
    principal: Principal,
    /// The `vendor` of `@vendor/app`.
    name: String,
}

impl VendorCaller {
    /// Another vendor's app is as unknown as one that does not exist.
    fn require_own(&self, app: &MarketplaceId) -> AppResult<()> {
        if app.vendor() == self.name {
            return Ok(());
        }
        Err(AppError::not_found(
            "this vendor has no app of this name; its apps begin with @ and its own name",
        ))
    }
}

/// Which installations of an app its vendor asks for.
pub(crate) struct InUseFilter {
    pub(crate) version: Option<String>,
    /// Only those past their deadline.
    pub(crate) past_deadline: bool,
}

impl App {
    /// Whose a `vk_…` key is.
    pub(crate) async fn vendor_of(&self, key: &str) -> AppResult<Arc<VendorCaller>> {
        let hash = secret::hash(key);
        if let Some(known) = self.vendors.find(&hash) {
            return Ok(known);
        }
        let seen = self.vendors.seen();
        let question = ResolveVendorKeyRequest { key_hash: hash.to_vec() };
        let question = self.services.request(&Principal::Anonymous, question)?;
        let vendor =
            answer(self.services.catalog().resolve_vendor_key(question).await).map_err(unknown_key)?;
        let principal = Principal::Vendor(vendor.vendor_id.clone());
        let caller = Arc::new(VendorCaller { principal, name: vendor.name });
        self.vendors.keep(hash, [vendor.vendor_id], seen, caller.clone());
        Ok(caller)
    }

    /// Every version of a vendor's own app with how often it is installed.
    pub(crate) async fn list_versions_in_use(
        &self,
        vendor: &VendorCaller,
        app: &MarketplaceId,
    ) -> AppResult<Vec<VersionInUse>> {
        let (product, deadlines) = self.own_app(vendor, app).await?;
        let request = CountVersionsRequest { marketplace_id: app.to_string() };
        let request = self.services.request(&vendor.principal, request)?;
        let counts = answer(self.services.installations().count_versions(request).await)?;
        Ok(versions_in_use(&product.versions, &counts.versions, &deadlines))
    }

    /// The shops that have a vendor's own app, each with the deadline of its version, and how many there are.
    pub(crate) async fn list_in_use(
        &self,
        vendor: &VendorCaller,
        app: &MarketplaceId,
        filter: InUseFilter,
        page: Page,
    ) -> AppResult<(Vec<(Installation, Deadline)>, u32)> {
        let (_, deadlines) = self.own_app(vendor, app).await?;
        let versions = match deadlines.select(filter.version, filter.past_deadline) {
            // To license-svc, no version at all means any.
            Some(none) if none.is_empty() => return Ok((Vec::new(), 0)),
            selected => selected.unwrap_or_default(),
        };
        let request = ListInstallationsRequest {
            limit: page.limit,
            offset: page.offset,
            marketplace_id: Some(app.to_string()),
            versions,
            present: true,
            ..ListInstallationsRequest::default()
        };
        let request = self.services.request(&vendor.principal, request)?;
        let found = answer(self.services.installations().list_installations(request).await)?;
        let dated = found.installations.into_iter().map(|installation| {
            let deadline = deadlines.of_version(&installation.version);
            (installation, deadline)
        });
        Ok((dated.collect(), found.count))
    }

    pub(crate) fn forget_vendor(&self, vendor_id: String) {
        self.vendors.changed(vendor_id);
    }

    pub(super) fn forget_all_vendors(&self) {
        self.vendors.all_changed();
    }

    async fn own_app(
        &self,
        vendor: &VendorCaller,
        app: &MarketplaceId,
    ) -> AppResult<(ProductDetail, Deadlines)> {
        vendor.require_own(app)?;
        let product = self.get_product(app).await?;
        let deadlines = Deadlines::of(&product.versions, self.clock.now_ms());
        Ok((product, deadlines))
    }
}

fn unknown_key(error: AppError) -> AppError {
    match error.code() {
        Code::NotFound => AppError::unauthorized(
            "this vendor key is not known; use the key that was shown when the vendor was added",
        ),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_app_of_its_own_name_is_a_vendors_own() {
        let vendor = VendorCaller { principal: Principal::Vendor("vnd_1".into()), name: "acme".to_owned() };
        let own = |app: &str| vendor.require_own(&app.parse().unwrap());
        assert!(own("@acme/tool").is_ok());
        for other in ["@acme-two/tool", "@acm/tool", "@other/acme"] {
            assert_eq!(own(other).unwrap_err().code(), Code::NotFound, "{other}");
        }
    }
}
