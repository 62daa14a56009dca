//! The spans that the steps of a boot leave, for whoever follows one.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use cellzero::ControlPlane;
use cellzero_test_support::Engine;
use rstest::rstest;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::support::{TestPlane, request, user};

/// A span: its name and its fields.
#[derive(Debug, Clone, Default)]
struct Span {
    name: &'static str,
    fields: BTreeMap<&'static str, String>,
}

impl Visit for Span {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.fields.insert(field.name(), format!("{value:?}"));
    }
}

/// Keeps each span of the orchestrator.
#[derive(Clone, Default)]
struct Spans {
    last: Arc<AtomicU64>,
    kept: Arc<Mutex<BTreeMap<u64, Span>>>,
}

impl Spans {
    /// The spans of this name.
    fn of(&self, name: &str) -> Vec<Span> {
        let kept = self.kept.lock().unwrap();
        kept.values().filter(|span| span.name == name).cloned().collect()
    }
}

impl Subscriber for Spans {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_span() && metadata.target().starts_with("cellzero_orchestrator")
    }

    fn new_span(&self, of: &Attributes<'_>) -> Id {
        assert_eq!(*of.metadata().level(), Level::DEBUG, "{}", of.metadata().name());
        let mut span = Span { name: of.metadata().name(), ..Span::default() };
        of.record(&mut span);
        let id = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        self.kept.lock().unwrap().insert(id, span);
        Id::from_u64(id)
    }

    fn record(&self, id: &Id, values: &Record<'_>) {
        if let Some(span) = self.kept.lock().unwrap().get_mut(&id.into_u64()) {
            values.record(span);
        }
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &Event<'_>) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[rstest]
#[tokio::test]
async fn each_step_of_a_boot_leaves_a_span_with_its_instance_and_cell(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::with_cells(engine, &[&[(4, 2_048, 40)]]).await else { return };
    let spans = Spans::default();
    let listening = tracing::subscriber::set_default(spans.clone());
    let accepted = test.boot(&user(), request("web", "1").build().unwrap()).await;
    test.boot(&user(), request("giants", "huge").count(2).build().unwrap()).await;
    drop(listening);

    let (instance, cell) = (accepted[0].to_string(), test.cell(0).to_string());
    let group = accepted.group.to_string();
    for name in ["accept", "settle", "place", "create", "decide", "dispatch", "send"] {
        assert!(!spans.of(name).is_empty(), "{name}: {:?}", spans.kept);
    }
    let fields = |name: &str, key: &str| -> Vec<Option<String>> {
        spans.of(name).iter().map(|span| span.fields.get(key).cloned()).collect()
    };
    for name in ["accept", "settle", "place", "create"] {
        assert_eq!(fields(name, "group")[0].as_ref(), Some(&group), "{name}");
        // Several of a request have their group in common.
        assert_eq!(fields(name, "instance"), [Some(instance.clone()), None], "{name}");
    }
    let cell0 = cellzero::CellUuid::CELL0.to_string();
    assert_eq!(fields("create", "cell"), [Some(cell.clone()), Some(cell0)]);
    assert_eq!(fields("create", "instances"), [Some("1".to_owned()), Some("2".to_owned())]);
    assert!(fields("dispatch", "cell").contains(&Some(cell)));
    assert_eq!(fields("send", "instance"), [Some(instance)]);
}

#[rstest]
#[tokio::test]
async fn a_sweep_leaves_a_span_with_its_cell(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::with_cells(engine, &[&[(4, 2_048, 40)]]).await else { return };
    let accepted = test.boot(&user(), request("web", "1").build().unwrap()).await;
    // Deleted by a process that does not reach the cell.
    let url = test.point(test.cell(0), "sqlite:/nowhere/cell.db");
    let other = ControlPlane::open(test.config.clone()).await.unwrap();
    other.delete(&user(), accepted[0]).await.unwrap();
    other.close().await.unwrap();
    test.point(test.cell(0), &url);
    let spans = Spans::default();
    let listening = tracing::subscriber::set_default(spans.clone());
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while test.plane.recover().await.unwrap().swept == 0 {
        assert!(std::time::Instant::now() < deadline, "nothing was swept in 30 s");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    drop(listening);
    let cell = test.cell(0).to_string();
    assert!(spans.of("sweep").iter().any(|span| span.fields["cell"] == cell), "{:?}", spans.kept);
}
