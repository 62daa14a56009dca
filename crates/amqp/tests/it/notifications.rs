//! Notifications as oslo.messaging's listeners read them.

use std::time::Duration;

use cellzero::*;
use cellzero_amqp::*;
use cellzero_test_support::{Engine, shared_broker};
use lapin::options::BasicGetOptions;
use serde_json::Value;

use crate::support::{TestPlane, options, request, user};

/// The next message of a queue: the message within the message.
async fn next(connection: &lapin::Connection, queue: &str) -> Value {
    let mut last = None;
    for _ in 0..500 {
        // The first notification makes the queue, and no boot waits for that; a channel that asks
        // for a queue that is not there is ended by it.
        let channel = connection.create_channel().await.unwrap();
        let got = channel.basic_get(queue.into(), BasicGetOptions { no_ack: true }).await;
        if let Ok(Some(message)) = got {
            let envelope: Value = serde_json::from_slice(&message.delivery.data).unwrap();
            assert_eq!(envelope["oslo.version"], "2.0");
            return serde_json::from_str(envelope["oslo.message"].as_str().unwrap()).unwrap();
        }
        last = got.err();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("nothing in {queue}; the last answer was {last:?}");
}

/// An `amqp://` URL as the driver reads it.
pub(crate) fn driver_url(url: &str) -> String {
    url.replace("rabbit://", "amqp://")
}

#[tokio::test]
async fn what_listens_to_nova_reads_of_boots_burials_and_deletes() {
    let Some(broker) = shared_broker() else { return };
    let url = broker.new_vhost();
    let notifier = AmqpNotifier::new(&url, options(), NotificationOptions::default()).unwrap();
    let mut test =
        TestPlane::new(Engine::Sqlite, |config| config.notifier(notifier)).await.unwrap();
    let cell = test.add_cell("none:///", &[("ant", 9)]).await;
    let ctx = user();
    let secret = |flavor| {
        let user_data = |asked: &mut BootRequest| asked.user_data = Some("c2VjcmV0".to_owned());
        request(flavor).metadata("k", "secret").with(user_data).build().unwrap()
    };
    let live = test.plane.boot(&ctx, secret("1")).await.unwrap();
    test.plane.settle().await.unwrap();
    let buried = test.plane.boot(&ctx, secret("9")).await.unwrap();
    test.plane.settle().await.unwrap();
    for uuid in [live[0], buried[0]] {
        test.plane.delete(&ctx, uuid).await.unwrap();
        test.plane.settle().await.unwrap();
    }
    let connection =
        lapin::Connection::connect(&driver_url(&url), Default::default()).await.unwrap();
    let expected = [
        ("instance.create.start", live[0]),
        ("instance.create.end", live[0]),
        ("instance.delete.start", live[0]),
        ("instance.delete.end", live[0]),
        ("instance.delete.start", buried[0]),
        ("instance.delete.end", buried[0]),
    ];
    for (event_type, uuid) in expected {
        let message = next(&connection, "notifications.info").await;
        assert_eq!(message["event_type"], event_type, "{message}");
        assert_eq!(message["priority"], "INFO");
        let payload = &message["payload"];
        assert_eq!(payload["instance_uuid"], uuid.to_string(), "{message}");
        assert_eq!(payload["project_id"], "project-a", "{message}");
        assert_eq!(payload["user_id"], "user-a", "{message}");
        assert!(
            !message.to_string().contains("secret") && !message.to_string().contains("c2VjcmV0")
        );
    }
    let message = next(&connection, "notifications.error").await;
    assert_eq!(message["event_type"], "compute_task.build_instances.error");
    assert_eq!(message["publisher_id"], "cellzero:cellzero");
    let payload = &message["payload"];
    assert_eq!(payload["instance_uuid"], buried[0].to_string());
    assert_eq!(payload["cell"], CellUuid::CELL0.to_string());
    assert_eq!(payload["fault"]["code"], 500);
    assert!(payload["fault"]["message"].as_str().unwrap().contains("No valid host"), "{message}");
    assert_eq!(payload["request_spec"]["flavorid"], "9");
    assert_eq!(payload["request_id"], ctx.request_id);
    assert!(!message.to_string().contains("secret"));
    assert_ne!(cell, CellUuid::CELL0);
}

/// Nobody listens, the broker is away, and boots go on.
#[tokio::test]
async fn a_broker_that_is_away_holds_up_no_boot() {
    // Nothing listens on this port, which is nobody's.
    let away = "rabbit://u:p@127.0.0.1:1/";
    let mut few = NotificationOptions::default();
    few.waiting_max = 2;
    let notifier = AmqpNotifier::new(away, options(), few).unwrap();
    let mut test =
        TestPlane::new(Engine::Sqlite, |config| config.notifier(notifier)).await.unwrap();
    test.add_cell("none:///", &[("ant", 50)]).await;
    let began = std::time::Instant::now();
    let accepted = test.boot(50).await;
    assert_eq!(test.status(accepted[49]).await, "ACTIVE");
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}
