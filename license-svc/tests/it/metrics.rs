//! What is counted, as it is scraped. On one thread: there a recorder hears of nobody else's.

use metrics_exporter_prometheus::PrometheusBuilder;

use crate::harness::{World, hosted};

#[tokio::test]
async fn installations_are_counted_where_they_come_into_a_state() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _here = metrics::set_default_local_recorder(&recorder);
    let world = World::embedded().await;
    let shop = world.register("alpha").await;
    let old = world.installed(&shop, hosted("1.0.0")).await;
    world.release(hosted("1.0.1")).await;
    world.until_version(&shop, &old.installation_id, "1.0.1").await;
    world.update(&shop, &old.installation_id, hosted("1.1.0")).await.unwrap();
    world.update(&shop, &old.installation_id, hosted("1.2.0")).await.unwrap();
    world.remove(&shop, &old.installation_id).await.unwrap();
    world.install(&shop, hosted("1.0.0")).await.unwrap();
    world.install(&shop, hosted("1.0.0")).await.unwrap();
    let scraped = recorder.handle().render();
    let mut counted: Vec<&str> =
        scraped.lines().filter_map(|line| line.strip_prefix("license_installations_total")).collect();
    // Each state has its counter from the start.
    assert_eq!(counted.len(), 7, "{counted:?}");
    counted.retain(|line| !line.ends_with(" 0"));
    counted.sort_unstable();
    let expected = [
        r#"{state="installed"} 1"#,
        r#"{state="installing"} 2"#,
        r#"{state="removed"} 1"#,
        r#"{state="removing"} 1"#,
        r#"{state="updating"} 1"#,
    ];
    assert_eq!(counted, expected);
}
