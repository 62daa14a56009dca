//! The messages that `docs/dispatch.md` shows are what is sent.

use cellzero::*;
use cellzero_amqp::*;
use serde_json::Value;

use crate::support::{TestPlane, request, user};

/// The JSON blocks of this kind.
fn examples(kind: &str) -> Vec<Value> {
    let document = include_str!("../../../../docs/dispatch.md");
    let opening = format!("```json {kind}\n");
    let blocks = document.split(opening.as_str()).skip(1);
    blocks.map(|rest| serde_json::from_str(rest.split_once("```").unwrap().0).unwrap()).collect()
}

#[test]
fn the_operations_and_reports_in_the_document_are_what_is_sent_and_read() {
    let operations = examples("operation");
    let expected = [("build", 1, 1 << 20), ("action", 1, (1 << 20) + 2)];
    assert_eq!(operations.len(), expected.len());
    for (shown, expected) in operations.into_iter().zip(expected) {
        let read: OperationMessage = serde_json::from_value(shown.clone()).unwrap();
        assert_eq!(serde_json::to_value(&read).unwrap(), shown);
        assert_eq!((read.name(), read.attempt(), read.sequence()), expected);
    }
    let reports = examples("report");
    let mut names = Vec::new();
    for shown in reports {
        let read: Report = serde_json::from_value(shown.clone()).unwrap();
        assert_eq!(serde_json::to_value(&read).unwrap(), shown);
        names.push(read.name());
    }
    assert_eq!(names, ["built", "failed", "destroyed", "acted", "acted", "host"]);
}

/// The names of all values, also of those within others.
fn keys(value: &Value, before: &str, all: &mut Vec<String>) {
    for (key, value) in value.as_object().into_iter().flatten() {
        let key = format!("{before}.{key}");
        keys(value, &key, all);
        all.push(key);
    }
}

fn sorted_keys(value: &Value) -> Vec<String> {
    let mut all = Vec::new();
    keys(value, "", &mut all);
    all.sort();
    all
}

#[derive(Debug, Clone, Default)]
struct Last(std::sync::Arc<std::sync::Mutex<Option<Notification>>>);

impl Notifier for Last {
    fn notify(&self, notification: &Notification) {
        *self.0.lock().unwrap() = Some(notification.clone());
    }
}

#[tokio::test]
async fn the_notification_in_the_document_has_the_fields_of_one_that_is_sent() {
    let last = Last::default();
    let listener = last.clone();
    let configure = |config: Config| config.notifier(listener).notifier(TracingNotifier);
    let test = TestPlane::new(cellzero_test_support::Engine::Sqlite, configure).await.unwrap();
    test.plane.boot(&user(), request("9").build().unwrap()).await.unwrap();
    test.plane.settle().await.unwrap();
    let sent = last.0.lock().unwrap().clone().unwrap();
    let payload = serde_json::to_value(&sent.payload).unwrap();
    let shown = examples("notification").remove(0);
    let shown: Value = serde_json::from_str(shown["oslo.message"].as_str().unwrap()).unwrap();
    assert_eq!(sorted_keys(&shown["payload"]), sorted_keys(&payload));
    for event_type in EventType::ALL {
        let document = include_str!("../../../../docs/dispatch.md");
        let priority = event_type.priority().as_str().to_uppercase();
        let row = format!("| `{event_type}` | {priority} |");
        assert!(document.contains(&row), "{row}");
    }
}
