//! Shops and their keys.

use std::time::Duration;

use platform::{Code, Principal};
use proto::{
    events::{TenantChanged, purpose, subject},
    license::{
        CreateSharedKeyRequest, GetInstanceRequest, InstanceCredentials, KeyKind, ListInstancesRequest,
        RegisterInstanceRequest, ResolveKeyRequest, RotateInstanceRequest, SetInstanceDisabledRequest,
        ShopApi, UpdateInstanceRequest, instances_client::InstancesClient,
    },
};

use crate::harness::{World, answer, over_both, registration};

over_both! {
    a_registered_shop_is_found_by_both_of_its_keys
    a_shop_is_registered_once_however_many_try
    a_registration_that_cannot_work_says_what_would
    a_shop_may_bring_its_own_webhook_secret
    a_rotation_lets_the_old_keys_live_for_the_overlap
    a_rotated_webhook_secret_is_told_beside_the_old_one
    a_disabled_instance_has_no_keys_until_it_is_enabled
    an_update_is_told_with_the_whole_state
    a_shared_key_belongs_to_nobody
    each_call_is_for_those_whom_it_concerns
    instances_are_listed_newest_first
}

async fn tenant(world: &World, instance_id: &str, revision: u32) -> TenantChanged {
    let fits = |event: &TenantChanged| event.instance_id == instance_id && event.revision == revision;
    world.told(subject::TENANT_CHANGED, "the tenant's change", fits).await
}

fn secrets(world: &World, event: &TenantChanged) -> Vec<String> {
    let open = |sealed: &[u8]| world.bus_sealer.open_text(purpose::WEBHOOK_SECRET, sealed).unwrap();
    event.secrets.iter().map(|secret| open(&secret.sealed_secret).expose().to_owned()).collect()
}

async fn a_registered_shop_is_found_by_both_of_its_keys(world: World) {
    let shop = world.register("alpha").await;
    let publishable = world.resolve(&shop.publishable_key).await.unwrap();
    assert_eq!((publishable.kind(), &publishable.instance_id), (KeyKind::Publishable, &shop.id));
    let secret = world.resolve(&shop.secret_key).await.unwrap();
    assert_eq!((secret.kind(), &secret.instance_id), (KeyKind::Secret, &shop.id));
    assert_eq!(world.resolve("pk_unknown").await.unwrap_err().code(), Code::NotFound);

    let told = tenant(&world, &shop.id, 1).await;
    assert_eq!((told.base_url.as_str(), told.disabled), ("https://alpha.example", false));
    assert_eq!(secrets(&world, &told), [shop.webhook_secret]);
    assert_eq!(told.secrets[0].expires_at_ms, None);
    world.stop().await;
}

async fn a_shop_is_registered_once_however_many_try(world: World) {
    let tries = (0..10).map(|_| {
        let (mut client, request) = (world.instances(), world.operator(registration("alpha")));
        tokio::spawn(async move { answer(client.register_instance(request).await).map_err(|e| e.code()) })
    });
    let mut outcomes = Vec::new();
    for one in tries.collect::<Vec<_>>() {
        outcomes.push(one.await.unwrap());
    }
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Err(Code::Conflict)).count(), 9);
    assert_eq!((world.count("instances").await, world.count("instance_keys").await), (1, 2));
}

async fn a_registration_that_cannot_work_says_what_would(world: World) {
    let good = registration("alpha");
    let api = |base_url: &str, min_version, max_version| {
        Some(ShopApi { base_url: base_url.to_owned(), min_version, max_version })
    };
    let bad = [
        (RegisterInstanceRequest { base_url: "shop.example".into(), ..good.clone() }, "base_url"),
        (RegisterInstanceRequest { base_url: "ftp://hunter2.example".into(), ..good.clone() }, "base_url"),
        (RegisterInstanceRequest { site_url: "/hunter2".into(), ..good.clone() }, "site_url"),
        (RegisterInstanceRequest { shop: "hunter2 x".into(), ..good.clone() }, "shop"),
        (RegisterInstanceRequest { api: None, ..good.clone() }, "api"),
        (RegisterInstanceRequest { api: api("https://a.example", 4, 3), ..good.clone() }, "api.min_version"),
        (RegisterInstanceRequest { api: api("hunter2", 1, 3), ..good.clone() }, "api.base_url"),
        (RegisterInstanceRequest { webhook_secret: Some("hunter2".into()), ..good.clone() }, "whsec_"),
        (RegisterInstanceRequest { webhook_secret: Some("whsec_aHVudGVyMg==".into()), ..good }, "24"),
    ];
    for (request, what) in bad {
        let error = answer(world.instances().register_instance(world.operator(request)).await).unwrap_err();
        assert_eq!(error.code(), Code::InvalidData);
        assert!(error.message().contains(what) && !error.message().contains("hunter2"), "{error:?}");
    }
    assert_eq!(world.count("instances").await, 0);
}

async fn a_shop_may_bring_its_own_webhook_secret(world: World) {
    let own = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let request = RegisterInstanceRequest { webhook_secret: Some(own.to_owned()), ..registration("alpha") };
    let made = answer(world.instances().register_instance(world.operator(request)).await).unwrap();
    assert_eq!(made.webhook_secret.as_deref(), Some(own));
    let told = tenant(&world, &made.instance.unwrap().instance_id, 1).await;
    assert_eq!(secrets(&world, &told), [own]);
}

async fn rotate(world: &World, request: RotateInstanceRequest) -> InstanceCredentials {
    answer(world.instances().rotate_instance(world.operator(request)).await).unwrap()
}

async fn a_rotation_lets_the_old_keys_live_for_the_overlap(world: World) {
    let shop = world.register("alpha").await;
    let request = RotateInstanceRequest {
        instance_id: shop.id.clone(),
        publishable_key: true,
        secret_key: true,
        webhook_secret: false,
        overlap_seconds: 60,
    };
    let made = rotate(&world, request.clone()).await;
    let (new_public, new_secret) = (made.instance.unwrap().publishable_key, made.secret_key.unwrap());
    assert_eq!(made.webhook_secret, None);
    for key in [&shop.publishable_key, &shop.secret_key, &new_public, &new_secret] {
        assert_eq!(world.resolve(key).await.unwrap().instance_id, shop.id);
    }
    world.clock.advance(Duration::from_mins(1));
    for old in [&shop.publishable_key, &shop.secret_key] {
        assert_eq!(world.resolve(old).await.unwrap_err().code(), Code::NotFound);
    }
    assert!(world.resolve(&new_public).await.is_ok() && world.resolve(&new_secret).await.is_ok());

    rotate(&world, RotateInstanceRequest { publishable_key: false, overlap_seconds: 0, ..request.clone() })
        .await;
    assert!(world.resolve(&new_secret).await.is_err(), "without an overlap it ends at once");
    assert!(world.resolve(&new_public).await.is_ok(), "only what is named is rotated");

    let nothing = RotateInstanceRequest { publishable_key: false, secret_key: false, ..request.clone() };
    let too_long = RotateInstanceRequest { overlap_seconds: u64::MAX, ..request.clone() };
    for bad in [nothing, too_long] {
        let error = answer(world.instances().rotate_instance(world.operator(bad)).await).unwrap_err();
        assert_eq!(error.code(), Code::InvalidData);
    }
    let unknown = RotateInstanceRequest { instance_id: "inst_unknown".into(), ..request };
    let error = answer(world.instances().rotate_instance(world.operator(unknown)).await).unwrap_err();
    assert_eq!(error.code(), Code::NotFound);
}

async fn a_rotated_webhook_secret_is_told_beside_the_old_one(world: World) {
    let shop = world.register("alpha").await;
    let request = RotateInstanceRequest {
        instance_id: shop.id.clone(),
        webhook_secret: true,
        overlap_seconds: 60,
        ..RotateInstanceRequest::default()
    };
    let new = rotate(&world, request.clone()).await.webhook_secret.unwrap();
    let told = tenant(&world, &shop.id, 2).await;
    assert_eq!(secrets(&world, &told), [new.clone(), shop.webhook_secret], "newest first");
    let ends = world.clock.now_ms() + 60_000;
    assert_eq!(
        told.secrets.iter().map(|secret| secret.expires_at_ms).collect::<Vec<_>>(),
        [None, Some(ends)]
    );

    world.clock.advance(Duration::from_secs(61));
    let newest = rotate(&world, request).await.webhook_secret.unwrap();
    let told = tenant(&world, &shop.id, 3).await;
    assert_eq!(secrets(&world, &told), [newest, new], "what has ended is told no more");
}

async fn set_disabled(world: &World, instance_id: &str, disabled: bool) {
    let request = SetInstanceDisabledRequest { instance_id: instance_id.to_owned(), disabled };
    let now = answer(world.instances().set_instance_disabled(world.operator(request)).await).unwrap();
    assert_eq!(now.disabled, disabled);
}

async fn a_disabled_instance_has_no_keys_until_it_is_enabled(world: World) {
    let shop = world.register("alpha").await;
    set_disabled(&world, &shop.id, true).await;
    set_disabled(&world, &shop.id, true).await;
    for key in [&shop.publishable_key, &shop.secret_key] {
        assert_eq!(world.resolve(key).await.unwrap_err().code(), Code::NotFound);
    }
    assert!(tenant(&world, &shop.id, 2).await.disabled);
    set_disabled(&world, &shop.id, false).await;
    assert!(world.resolve(&shop.publishable_key).await.is_ok());
    assert!(!tenant(&world, &shop.id, 3).await.disabled, "disabling twice is one change");
    assert_eq!(world.announced::<TenantChanged>(subject::TENANT_CHANGED).len(), 3);
}

async fn an_update_is_told_with_the_whole_state(world: World) {
    let shop = world.register("alpha").await;
    let request = UpdateInstanceRequest {
        instance_id: shop.id.clone(),
        base_url: Some("https://new.example/shop/".into()),
        site_url: None,
        api: Some(ShopApi { base_url: "https://new.example/api".into(), min_version: 2, max_version: 5 }),
    };
    let now = answer(world.instances().update_instance(world.operator(request.clone())).await).unwrap();
    assert_eq!(
        (now.base_url.as_str(), now.site_url.as_str()),
        ("https://new.example/shop", "https://www.alpha.example/")
    );
    assert_eq!(now.api.as_ref().map(|api| (api.min_version, api.max_version)), Some((2, 5)));
    let told = tenant(&world, &shop.id, 2).await;
    assert_eq!(told.base_url, "https://new.example/shop");
    assert_eq!(secrets(&world, &told), [shop.webhook_secret]);

    let get = GetInstanceRequest { instance_id: shop.id.clone() };
    assert_eq!(answer(world.instances().get_instance(world.operator(get)).await).unwrap(), now);
    let bad = [
        UpdateInstanceRequest { base_url: Some("nowhere".into()), ..request.clone() },
        UpdateInstanceRequest { base_url: None, api: None, ..request },
    ];
    for bad in bad {
        let error = answer(world.instances().update_instance(world.operator(bad)).await).unwrap_err();
        assert_eq!(error.code(), Code::InvalidData);
    }
}

async fn a_shared_key_belongs_to_nobody(world: World) {
    let request = CreateSharedKeyRequest { label: "central".into() };
    let shared = answer(world.instances().create_shared_key(world.operator(request)).await).unwrap();
    assert!(shared.publishable_key.starts_with("pk_") && shared.label == "central");
    let resolved = world.resolve(&shared.publishable_key).await.unwrap();
    assert_eq!((resolved.kind(), resolved.instance_id.as_str()), (KeyKind::Shared, ""));
    let unnamed = CreateSharedKeyRequest { label: " ".into() };
    let error = answer(world.instances().create_shared_key(world.operator(unnamed)).await).unwrap_err();
    assert_eq!(error.code(), Code::InvalidData);
}

async fn each_call_is_for_those_whom_it_concerns(world: World) {
    let (shop, other) = (world.register("alpha").await, world.register("beta").await);
    let mut client = world.instances();
    let strangers = [
        Principal::Anonymous,
        Principal::Shared,
        Principal::Vendor("vnd_1".into()),
        other.manages(),
        shop.reads(),
    ];
    for principal in strangers {
        let get = GetInstanceRequest { instance_id: shop.id.clone() };
        let refused = answer(client.get_instance(world.by(&principal, get)).await).unwrap_err();
        assert_eq!(refused.code(), Code::NotAllowed, "{principal:?}");
        let refused =
            answer(client.register_instance(world.by(&principal, registration("gamma"))).await).unwrap_err();
        assert_eq!(refused.code(), Code::NotAllowed);
        let refused =
            answer(client.list_instances(world.by(&principal, ListInstancesRequest::default())).await);
        assert_eq!(refused.unwrap_err().code(), Code::NotAllowed);
    }
    let get = GetInstanceRequest { instance_id: shop.id.clone() };
    assert!(client.get_instance(world.by(&shop.manages(), get)).await.is_ok(), "a shop may see itself");
    let request = SetInstanceDisabledRequest { instance_id: shop.id.clone(), disabled: true };
    let refused = answer(client.set_instance_disabled(world.by(&shop.manages(), request)).await).unwrap_err();
    assert_eq!(refused.code(), Code::NotAllowed);

    let mut stranger = InstancesClient::new(world.channel());
    let refused =
        answer(stranger.resolve_key(ResolveKeyRequest { key_hash: vec![0; 32] }).await).unwrap_err();
    assert_eq!(refused.code(), Code::Unauthorized, "a service without a credential");
    let short = world.by(&Principal::Anonymous, ResolveKeyRequest { key_hash: vec![0; 31] });
    assert_eq!(answer(client.resolve_key(short).await).unwrap_err().code(), Code::InvalidData);
}

async fn instances_are_listed_newest_first(world: World) {
    for shop in ["alpha", "beta", "gamma"] {
        world.register(shop).await;
        world.clock.advance(Duration::from_secs(1));
    }
    let request = ListInstancesRequest { limit: 2, offset: 1 };
    let list = answer(world.instances().list_instances(world.operator(request)).await).unwrap();
    let shops: Vec<_> = list.instances.iter().map(|instance| instance.shop.as_str()).collect();
    assert_eq!((list.count, shops), (3, vec!["beta", "alpha"]));
    let too_many = ListInstancesRequest { limit: 101, offset: 0 };
    let error = answer(world.instances().list_instances(world.operator(too_many)).await).unwrap_err();
    assert_eq!(error.code(), Code::InvalidData);
}
