use platform::{
    AppError, AppResult,
    db::Tx,
    secret::{self, Secret},
};
use proto::events::{TenantChanged, TenantSecret, purpose as bus_purpose, subject};
use sea_orm::ConnectionTrait;
use wire::standard_webhooks::WebhookSecret;

use super::{App, no_instance, purpose};
use crate::{
    domain::{
        Page,
        instance::{Changes, Instance, ShopApi},
        key::{KeyKind, Rotation},
    },
    store::{
        instances, keys,
        keys::{Holder, NewKey},
        webhook_secrets,
    },
};

/// A shop to be registered.
pub(crate) struct Registration {
    pub(crate) base_url: String,
    pub(crate) shop: String,
    pub(crate) site_url: String,
    pub(crate) api: ShopApi,
    /// The shop's own; one is made where there is none.
    pub(crate) webhook_secret: Option<WebhookSecret>,
}

/// An instance with the secrets that were just made; they are told this once.
pub(crate) struct Credentials {
    pub(crate) instance: Instance,
    pub(crate) secret_key: Option<Secret>,
    pub(crate) webhook_secret: Option<Secret>,
}

impl App {
    /// Registers a shop and makes its keys.
    pub(crate) async fn register_instance(&self, registration: Registration) -> AppResult<Credentials> {
        let publishable_key = KeyKind::Publishable.mint(self.random.bytes());
        let instance = Instance {
            id: self.ids.generate("inst"),
            base_url: registration.base_url,
            shop: registration.shop,
            site_url: registration.site_url,
            api: registration.api,
            publishable_key: publishable_key.expose().to_owned(),
            disabled: false,
            revision: 1,
            created_at_ms: self.clock.now_ms(),
        };
        let webhook_secret = registration.webhook_secret.unwrap_or_else(|| self.new_webhook_secret());
        let tx = self.db.begin().await?;
        if !instances::create_instance(&*tx, &instance).await? {
            return Err(AppError::conflict(
                "this shop is registered already; update its instance, or register under another shop",
            ));
        }
        self.save_key(&tx, &instance.id, KeyKind::Publishable, &publishable_key).await?;
        let secret_key = self.create_key(&tx, &instance.id, KeyKind::Secret).await?;
        let webhook_secret = self.save_webhook_secret(&tx, &instance, &webhook_secret).await?;
        self.announce_tenant(&tx, &instance).await?;
        tx.commit().await?;
        Ok(Credentials { instance, secret_key: Some(secret_key), webhook_secret: Some(webhook_secret) })
    }

    /// The instance.
    pub(crate) async fn get_instance(&self, id: &str) -> AppResult<Instance> {
        instances::find_instance(self.db.read(), id).await?.ok_or_else(no_instance)
    }

    /// Newest first, and how many there are.
    pub(crate) async fn list_instances(&self, page: Page) -> AppResult<(Vec<Instance>, u64)> {
        Ok(instances::list_instances(self.db.read(), page).await?)
    }

    /// Changes what an operator may change.
    pub(crate) async fn update_instance(&self, id: &str, changes: Changes) -> AppResult<Instance> {
        let tx = self.db.begin().await?;
        let instance = instances::lock_instance(&*tx, id).await?.ok_or_else(no_instance)?;
        if changes == (Changes { disabled: Some(instance.disabled), ..Changes::default() }) {
            return Ok(instance);
        }
        let instance = self.save(&tx, instance.changed(changes)).await?;
        tx.commit().await?;
        Ok(instance)
    }

    /// Makes new keys; the old ones live on for the overlap.
    pub(crate) async fn rotate_instance(&self, id: &str, rotation: Rotation) -> AppResult<Credentials> {
        let ends_at_ms = rotation.overlap.ends_at_ms(self.clock.now_ms());
        let tx = self.db.begin().await?;
        let instance = instances::lock_instance(&*tx, id).await?.ok_or_else(no_instance)?;
        let replace = |kind| self.replace_key(&tx, id, kind, ends_at_ms);
        let publishable_key = when(rotation.publishable_key, replace(KeyKind::Publishable)).await?;
        let secret_key = when(rotation.secret_key, replace(KeyKind::Secret)).await?;
        let instance = instance.changed(Changes {
            publishable_key: publishable_key.map(|key| key.expose().to_owned()),
            ..Changes::default()
        });
        let replace = self.replace_webhook_secret(&tx, &instance, ends_at_ms);
        let webhook_secret = when(rotation.webhook_secret, replace).await?;
        let instance = self.save(&tx, instance).await?;
        tx.commit().await?;
        Ok(Credentials { instance, secret_key, webhook_secret })
    }

    /// Makes a publishable key that belongs to no single instance.
    pub(crate) async fn create_shared_key(&self, label: &str) -> AppResult<Secret> {
        let key = KeyKind::Shared.mint(self.random.bytes());
        let row = NewKey {
            hash: secret::hash(&key),
            kind: KeyKind::Shared,
            instance_id: None,
            label: Some(label),
            now_ms: self.clock.now_ms(),
        };
        keys::create_key(self.db.write(), row).await?;
        Ok(key)
    }

    /// Whom a key speaks for. Looked up by its hash, so that the time it takes says nothing about other keys.
    pub(crate) async fn resolve_key(&self, key_hash: &[u8; 32]) -> AppResult<Holder> {
        let holder = keys::find_holder(self.db.read(), key_hash, self.clock.now_ms()).await?;
        holder.ok_or_else(|| {
            AppError::not_found("this key is not known, has expired, or its instance is disabled")
        })
    }

    async fn save(&self, tx: &Tx, instance: Instance) -> AppResult<Instance> {
        instances::update_instance(&**tx, &instance).await?;
        self.announce_tenant(tx, &instance).await?;
        Ok(instance)
    }

    async fn save_key(&self, tx: &Tx, instance_id: &str, kind: KeyKind, key: &Secret) -> AppResult<()> {
        let row = NewKey {
            hash: secret::hash(key),
            kind,
            instance_id: Some(instance_id),
            label: None,
            now_ms: self.clock.now_ms(),
        };
        Ok(keys::create_key(&**tx, row).await?)
    }

    async fn create_key(&self, tx: &Tx, instance_id: &str, kind: KeyKind) -> AppResult<Secret> {
        let key = kind.mint(self.random.bytes());
        self.save_key(tx, instance_id, kind, &key).await?;
        Ok(key)
    }

    async fn replace_key(&self, tx: &Tx, id: &str, kind: KeyKind, ends_at_ms: i64) -> AppResult<Secret> {
        keys::end_keys(&**tx, id, kind, ends_at_ms).await?;
        self.create_key(tx, id, kind).await
    }

    fn new_webhook_secret(&self) -> WebhookSecret {
        WebhookSecret::from_random(self.random.bytes())
    }

    async fn replace_webhook_secret(&self, tx: &Tx, of: &Instance, ends_at_ms: i64) -> AppResult<Secret> {
        webhook_secrets::end_secrets(&**tx, &of.id, ends_at_ms).await?;
        webhook_secrets::delete_ended_secrets(&**tx, &of.id, self.clock.now_ms()).await?;
        self.save_webhook_secret(tx, of, &self.new_webhook_secret()).await
    }

    async fn save_webhook_secret(&self, tx: &Tx, of: &Instance, secret: &WebhookSecret) -> AppResult<Secret> {
        let sealed = self.sealer.seal(purpose::WEBHOOK_SECRET, secret.expose().as_bytes())?;
        let brought_by = (of.id.as_str(), of.revision);
        webhook_secrets::create_secret(&**tx, brought_by, sealed, self.clock.now_ms()).await?;
        Ok(Secret::new(secret.expose()))
    }

    /// Tells the dispatcher and the gateways the instance's whole state.
    async fn announce_tenant(&self, tx: &Tx, instance: &Instance) -> AppResult<()> {
        let event = TenantChanged {
            instance_id: instance.id.clone(),
            base_url: instance.base_url.clone(),
            disabled: instance.disabled,
            secrets: self.live_secrets(&**tx, &instance.id).await?,
            revision: instance.revision.cast_unsigned(),
        };
        self.announce(tx, subject::TENANT_CHANGED, &event).await
    }

    /// Newest first, sealed anew for the way.
    async fn live_secrets(&self, db: &impl ConnectionTrait, id: &str) -> AppResult<Vec<TenantSecret>> {
        let rows = webhook_secrets::list_live_secrets(db, id, self.clock.now_ms()).await?;
        let for_the_bus = |row: webhook_secrets::Model| {
            let secret = self.sealer.open_text(purpose::WEBHOOK_SECRET, &row.sealed_secret)?;
            let sealed_secret = self.bus_sealer.seal(bus_purpose::WEBHOOK_SECRET, secret.as_bytes())?;
            Ok(TenantSecret { sealed_secret, expires_at_ms: row.expires_at_ms })
        };
        rows.into_iter().map(for_the_bus).collect()
    }
}

/// Makes it where it was asked for.
async fn when<T>(asked: bool, make: impl Future<Output = AppResult<T>>) -> AppResult<Option<T>> {
    if asked { make.await.map(Some) } else { Ok(None) }
}
