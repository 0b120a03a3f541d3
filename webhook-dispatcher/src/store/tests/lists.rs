//! What is listed, sent again and forgotten goes along an index: no plan reads a whole table, and none sorts one.

use platform::{
    db::{self, DatabaseConfig, Db},
    ids::floor,
    secret::Secret,
};
use sea_orm::{ConnectionTrait as _, DbBackend, QuerySelect as _, QueryTrait as _, Statement};

use super::{
    super::{
        delivery, endpoint,
        list::{Filter, MessageFilter, Span, attempts_sql},
        message,
        migrations::Migrator,
        page::{LOOKED_AT, Stretch},
        prune, replay, stats,
    },
    plan,
};
use crate::domain::{delivery::State, endpoint::Owner};

/// So many that a planner would rather not read them all.
const DELIVERIES: u32 = 60_000;
const NOW_MS: i64 = 1_800_000_000_000;
/// A delivery each millisecond until now.
const FIRST_MS: i64 = NOW_MS - DELIVERIES as i64;

/// A few shops have a great many; of a hundred deliveries one is dead, one open and one a callback.
fn rows() -> [String; 4] {
    let (dly, msg) = (&floor("dly", NOW_MS)[..10], &floor("msg", NOW_MS)[..10]);
    let message = format!("'{msg}' || lpad(n::text, 20, '0')");
    let id = format!("'{dly}' || lpad(n::text, 20, '0')");
    let shop = "CASE WHEN n % 2 = 0 THEN 'inst_0' ELSE 'inst_' || n % 500 END";
    let numbers = format!("generate_series(1, {DELIVERIES}) n");
    [
        "INSERT INTO endpoints (id, kind, instance_id, base_url, sealed_secrets, revision, tenant_disabled, \
             throttled_until_ms, created_at_ms, updated_at_ms) SELECT 'ep_' || n, 'webhook', 'inst_' || n, \
             'https://shop.example', '', 1, false, 0, 1, 1 FROM generate_series(0, 499) n"
            .to_owned(),
        format!(
            "INSERT INTO messages (id, instance_id, event, sealed_body, created_at_ms) \
             SELECT {message}, {shop}, 'license-issued', repeat('b', 300)::bytea, {FIRST_MS} + n FROM {numbers}"
        ),
        format!(
            "INSERT INTO deliveries (id, message_id, endpoint_id, instance_id, event, state, attempts, lease_token, \
             failures, next_attempt_at_ms, lease_until_ms, held_since_ms, dead_reason, created_at_ms, settled_at_ms, \
             kind, marketplace_id) \
             SELECT {id}, {message}, 'ep_' || split_part({shop}, '_', 2), {shop}, 'license-issued', \
             CASE n % 100 WHEN 1 THEN 'dead' WHEN 2 THEN 'pending' WHEN 3 THEN 'held' ELSE 'delivered' END, 1, 1, 0, \
             {FIRST_MS} + n, 0, CASE n % 100 WHEN 3 THEN 1 END, CASE n % 100 WHEN 1 THEN '6 attempts failed' END, \
             {FIRST_MS} + n, CASE WHEN n % 100 IN (2, 3) THEN NULL ELSE {FIRST_MS} + n END, \
             CASE n % 100 WHEN 4 THEN 'callback' ELSE 'webhook' END, CASE n % 100 WHEN 4 THEN '@v/app-' || n % 7 END \
             FROM {numbers}"
        ),
        format!(
            "INSERT INTO attempts (delivery_id, number, started_at_ms, duration_ms, status, outcome) \
             SELECT {id}, 1, {FIRST_MS} + n, 5, 204, 'success' FROM {numbers}"
        ),
    ]
}

fn endpoint(number: u32) -> endpoint::Model {
    let owner = Owner::Instance(format!("inst_{number}"));
    endpoint::Model::new(format!("ep_{number}"), &owner, "https://shop.example", 1)
}

fn filters() -> Vec<Filter> {
    let text = |text: &str| Some(text.to_owned());
    let of_shops = [0, 7].into_iter().flat_map(|number| {
        [
            Filter { instance_id: Some(format!("inst_{number}")), ..Filter::default() },
            Filter { endpoint: Some(endpoint(number)), ..Filter::default() },
            Filter { endpoint: Some(endpoint(number)), state: Some(State::Dead), ..Filter::default() },
            Filter { endpoint: Some(endpoint(number)), state: Some(State::Pending), ..Filter::default() },
        ]
    });
    let span = Span { since_ms: Some(NOW_MS - 30_000), until_ms: Some(NOW_MS - 10) };
    let others = [
        Filter::default(),
        Filter { span, ..Filter::default() },
        Filter { event: text("license-revoked"), ..Filter::default() },
        Filter { event: text("Install"), ..Filter::default() },
        Filter { kind: text("callback"), ..Filter::default() },
        Filter { marketplace_id: text("@v/app-3"), ..Filter::default() },
        Filter { state: Some(State::Dead), ..Filter::default() },
        Filter { state: Some(State::Dead), reason: text("timeout"), ..Filter::default() },
        Filter { state: Some(State::Held), ..Filter::default() },
        Filter { state: Some(State::Superseded), ..Filter::default() },
        Filter { state: Some(State::Delivered), instance_id: text("inst_7"), ..Filter::default() },
    ];
    of_shops.chain(others).collect()
}

/// Each with what to call it.
fn statements() -> Vec<(String, Statement)> {
    const ON: DbBackend = DbBackend::Postgres;
    let after = floor("dly", NOW_MS - 100);
    let parts = [None, Some(after.as_str())].map(|after| Stretch { limit: 20, offset: 0, after });
    let mut all = Vec::new();
    for filter in filters() {
        let list = filter.list();
        for part in parts {
            all.push((format!("list {filter:?} {part:?}"), ON.build(&list.select(part, LOOKED_AT))));
        }
        all.push((format!("count {filter:?}"), ON.build(&list.count())));
    }
    all.push((
        "list messages".to_owned(),
        ON.build(&MessageFilter::default().list().select(parts[0], LOOKED_AT)),
    ));
    let given = format!("(VALUES ('{after}'), ('{}')) AS given (id)", floor("dly", NOW_MS));
    all.push((
        "list attempts".to_owned(),
        Statement::from_sql_and_values(ON, attempts_sql(&given, None), []),
    ));
    for which in ["failed", "all"] {
        for of in [None, Some(endpoint(0)), Some(endpoint(7))] {
            for position in [None, Some(after.clone())] {
                let job = replay::Model { position, ..job(which) };
                let next = replay::next(&job, of.as_ref()).limit(500).build(ON);
                all.push((format!("replay {which} {of:?} {:?}", job.position), next));
            }
        }
    }
    let (old, ids) = (NOW_MS - 1_000, [floor("msg", NOW_MS - 5), floor("msg", NOW_MS - 9)]);
    all.extend([
        ("due replays".to_owned(), replay::due(NOW_MS).build(ON)),
        ("due deliveries".to_owned(), delivery::due(None, NOW_MS).limit(500).build(ON)),
        ("due of an endpoint".to_owned(), delivery::due(Some("ep_7"), NOW_MS).limit(500).build(ON)),
        ("forget settled".to_owned(), prune::settled_before("", old, 500).build(ON)),
        ("forget settled, then".to_owned(), prune::settled_before(&after, old, 500).build(ON)),
        ("forget bodies".to_owned(), prune::wiping(&ids).build(ON)),
        ("forget messages".to_owned(), message::pruning(&ids).build(ON)),
        ("stats".to_owned(), stats::reading(ON, NOW_MS)),
    ]);
    all
}

/// A sort of a few hundred rows, which an index has found, is no more than another way to the same page.
fn sorts_many(plan: &str) -> bool {
    let sorted = plan.lines().filter(|line| line.contains("Sort  ("));
    let mut rows =
        sorted.filter_map(|line| line.split("rows=").nth(1)?.split(' ').next()?.parse::<u32>().ok());
    rows.any(|rows| rows > 1_000)
}

fn job(which: &str) -> replay::Model {
    replay::Model {
        id: String::new(),
        request: String::new(),
        idempotency_key: None,
        endpoint_id: None,
        since_ms: FIRST_MS,
        until_ms: NOW_MS,
        which: which.to_owned(),
        rate_per_second: 1,
        state: String::new(),
        position: None,
        found: 0,
        replayed: 0,
        skipped_disabled: 0,
        skipped_settled: 0,
        skipped_in_flight: 0,
        skipped_body_gone: 0,
        next_step_at_ms: 0,
        created_at_ms: 0,
        finished_at_ms: None,
    }
}

#[tokio::test]
async fn on_postgres_no_list_replay_or_pruning_reads_or_sorts_a_table() {
    let url = Secret::new(testkit::servers::test_env().fresh_database().await.unwrap());
    let db = Db::connect(&DatabaseConfig { url, max_connections: 2 }, "webhooks").await.unwrap();
    db::migrate::<Migrator>(&db, "webhooks").await.unwrap();
    for rows in rows() {
        db.write().execute_unprepared(&rows).await.unwrap();
    }
    db.write().execute_unprepared("VACUUM ANALYZE").await.unwrap();
    let mut slow = Vec::new();
    for (name, statement) in statements() {
        let plan = plan(&db, statement).await;
        let reads_all = ["deliveries", "attempts", "messages"]
            .iter()
            .any(|table| plan.contains(&format!("Seq Scan on {table}")));
        if reads_all || sorts_many(&plan) {
            slow.push(format!("{name}:\n{plan}"));
        }
    }
    assert!(slow.is_empty(), "{}", slow.join("\n"));
}
