//! The metrics that docs/metrics.md describes are those that are exported.

use cellzero::{BootRequest, ListQuery, RequestContext};
use cellzero_test_support::Engine;
use metrics_exporter_prometheus::PrometheusBuilder;

use crate::support::{IMAGE, NOWHERE, TestPlane};

/// The names in the table.
fn documented() -> Vec<String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/metrics.md");
    let text = std::fs::read_to_string(path).expect("docs/metrics.md");
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `cellzero_"));
    rows.map(|row| format!("cellzero_{}", row.split('`').next().expect("a name"))).collect()
}

/// The names that a recorder has.
fn exported(text: &str) -> Vec<&str> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    types.map(|rest| rest.split(' ').next().expect("a name")).collect()
}

#[test]
fn what_is_documented_is_exported_and_nothing_else() {
    let recorded = PrometheusBuilder::new().install_recorder().expect("the one recorder");
    let test = TestPlane::new(Engine::Sqlite, 1).expect("SQLite is always there");
    let ctx = RequestContext::new("a", "u");
    let boot = |name: &str, flavor: &str, auto_retry: bool| {
        let request = BootRequest::builder(name, flavor, IMAGE).auto_retry(auto_retry);
        let request = request.build().expect("a request");
        let accepted = test.wait(test.plane.boot(&ctx, request)).expect("accepted");
        test.wait(test.plane.settle()).expect("settled");
        accepted[0]
    };
    let web = boot("web", "1", false);
    // One that is retried by hand, and one that is woken by itself.
    let giant = boot("giant", "2", false);
    let patient = boot("patient", "2", true);
    test.wait(test.plane.retry(&ctx, giant)).expect("retried");
    test.wait(test.plane.settle()).expect("settled");
    let node = cellzero::ComputeNode::new("giant-host", 999, 9_999_999, 999);
    test.wait(test.plane.hosts().report(test.cells[0].0, &node)).expect("a report");
    test.wait(test.plane.settle()).expect("settled");
    test.wait(test.plane.delete(&ctx, web)).expect("deleted");
    test.wait(test.plane.settle()).expect("settled");
    test.point(Some(test.cells[0].0), NOWHERE);
    let down = format!("cellzero_down_cell_answers_total{{cell=\"{}\"}}", test.cells[0].0);
    // The list shows what is known of the instances there; it, the show and the count say so.
    let page = test.wait(test.plane.list(&ctx, &ListQuery::default())).expect("a page");
    assert!(page.instances.iter().any(|instance| instance.known_at.is_some()), "{page:?}");
    assert!(recorded.render().contains(&format!("{down} 1\n")), "{}", recorded.render());
    test.wait(test.plane.show(&ctx, patient)).expect_err("its cell does not answer");
    assert!(recorded.render().contains(&format!("{down} 2\n")), "{}", recorded.render());
    test.wait(test.plane.count(&ctx)).expect("counts");
    assert!(recorded.render().contains(&format!("{down} 3\n")), "{}", recorded.render());

    let text = recorded.render();
    let exported = exported(&text);
    let documented = documented();
    // It takes two that write the same row at once.
    let rare = ["cellzero_transaction_repeats_total"];
    for name in &documented {
        assert!(exported.contains(&&**name) || rare.contains(&&**name), "{name} is not exported");
    }
    for name in exported {
        assert!(documented.iter().any(|known| known == name), "{name} is not documented");
    }
    for said in [
        "cellzero_operations_total{operation=\"boot\",outcome=\"ok\"} 3",
        "cellzero_decided_instances_total{home=\"cell0\"} 3",
        "cellzero_accepted_instances_total 3",
    ] {
        assert!(text.contains(said), "{said}:\n{text}");
    }
}
