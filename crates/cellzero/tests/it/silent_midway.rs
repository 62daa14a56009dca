//! A list whose cell falls silent while it is read: between two batches, between the batch and the
//! details, and while an instance moves there.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cellzero::*;
use cellzero_database::{Stop, with_gate};
use cellzero_test_support::Engine;
use rstest::rstest;

use crate::before::Before;
use crate::halved::{Halved, Silence};
use crate::support::{both_ways, by_name, report, request, user, uuids};

/// A page that takes all of the second cell, and more than its first batch.
const PAGE: u32 = 60;

fn hurried() -> RequestContext {
    user().with_timeout(Duration::from_secs(2))
}

/// Four instances of the first cell, fifty of the second, eight of the first, by name.
async fn halved(engine: Engine) -> Option<Halved> {
    let halved = Halved::new(engine, Silence::StoppedServer, 60, |config| config).await?;
    halved.boot_onto("cell1-host1", "a", 4).await;
    halved.boot_into_hung("m", 50).await;
    halved.boot_onto("cell1-host1", "z", 8).await;
    Some(halved)
}

/// The second cell falls silent before its question of this name and number, from 0.
fn silent_before(halved: &Halved, name: &'static str, number: usize) -> Arc<Before> {
    let (met, of_cell) = (AtomicUsize::new(0), halved.database.name().to_owned());
    let is_here = move |stop: &Stop| {
        let Stop::Operation { name: here, database } = stop else { return false };
        *here == name && database.contains(&of_cell) && met.fetch_add(1, Ordering::SeqCst) == number
    };
    let server = halved.server();
    Before::new(is_here, async move { server.pause().unwrap() })
}

/// A list that runs into the silence of the second cell.
async fn list(halved: &Halved, query: &ListQuery, gate: Arc<Before>) -> Page {
    let ctx = hurried();
    let page = with_gate(gate.clone(), halved.test.plane.list(&ctx, query)).await.unwrap();
    assert!(gate.has_happened());
    assert_eq!(page.down_cells().map(|report| report.cell).collect::<Vec<_>>(), [halved.hung]);
    page
}

#[rstest]
#[case::postgres(Engine::Postgres)]
#[case::mariadb(Engine::MariaDb)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_stays_in_order_where_a_cell_falls_silent_while_it_is_read(
    #[case] engine: Engine,
    #[values(("list_instances", 1), ("read_listed", 0))] place: (&'static str, usize),
) {
    let Some(halved) = halved(engine).await else { return };
    let whole = halved.test.plane.list(&user(), &by_name()).await.unwrap();
    assert_eq!(whole.instances.len(), 62);
    let query = by_name().limit(PAGE);
    let page = list(&halved, &query, silent_before(&halved, place.0, place.1)).await;
    assert_eq!(uuids(&page), uuids(&whole)[..PAGE as usize]);
    for (known, before) in page.instances.iter().zip(&whole.instances) {
        assert_eq!(known.display_name, before.display_name);
        match before.home == Home::Cell(halved.hung) {
            true => assert!(known.known_at.is_some() && known.status() == "UNKNOWN"),
            false => assert_eq!(known, before),
        }
    }
    // The next page goes on where this one ended.
    let next = query.clone().after(page.next.clone().expect("a next page"));
    let rest = halved.test.plane.list(&hurried(), &next).await.unwrap();
    assert_eq!(uuids(&rest), uuids(&whole)[PAGE as usize..]);
    halved.answer();
    halved.test.plane.close().await.unwrap();
}

/// What the order goes by is not known of a silent cell: what stood there by its host has no place
/// any more, and is not listed at two.
#[rstest]
#[case::postgres(Engine::Postgres)]
#[case::mariadb(Engine::MariaDb)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_doubled_where_a_cell_falls_silent_in_an_order_that_only_it_knows(
    #[case] engine: Engine,
    #[values(("list_instances", 1), ("read_listed", 0))] place: (&'static str, usize),
) {
    let Some(halved) = halved(engine).await else { return };
    let by_host = ListQuery::default().sort_by([(SortKey::Host, SortDirection::Descending)]);
    let gate = silent_before(&halved, place.0, place.1);
    let page = list(&halved, &by_host.limit(PAGE), gate).await;
    let mut unique = uuids(&page);
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), PAGE as usize);
    halved.answer();
    halved.test.plane.close().await.unwrap();
}

#[rstest]
#[case::postgres(Engine::Postgres)]
#[case::mariadb(Engine::MariaDb)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_filter_leaves_out_is_counted_where_a_cell_falls_silent_while_it_is_read(
    #[case] engine: Engine,
    #[values(("list_instances", 0), ("list_instances", 1), ("read_listed", 0))] place: (
        &'static str,
        usize,
    ),
) {
    let Some(halved) = halved(engine).await else { return };
    let [_, asks_cells] = both_ways();
    let by_name = ListQuery { sort: by_name().sort, ..asks_cells };
    let gate = silent_before(&halved, place.0, place.1);
    let page = list(&halved, &by_name.limit(PAGE), gate).await;
    assert!(page.instances.iter().all(|one| one.home == Home::Cell(halved.test.cell(0))));
    assert_eq!(report(&page, halved.hung).left_out, 50);
    halved.answer();
    halved.test.plane.close().await.unwrap();
}

#[rstest]
#[case::postgres(Engine::Postgres)]
#[case::mariadb(Engine::MariaDb)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_moves_into_a_cell_that_falls_silent_is_listed_by_what_is_known(
    #[case] engine: Engine,
    #[values(false, true)] asks_cells: bool,
) {
    let made = Halved::new(engine, Silence::StoppedServer, 1, |config| config).await;
    let Some(halved) = made else { return };
    let plane = &halved.test.plane;
    let first = halved.boot_onto("cell1-host1", "a", 1).await;
    let filler = halved.boot_into_hung("m", 1).await;
    let moves = halved.test.boot(&user(), request("b", "1").build().unwrap()).await;
    assert!(plane.show(&user(), moves[0]).await.unwrap().home.is_cell0());
    plane.delete(&user(), filler[0]).await.unwrap();
    plane.settle().await.unwrap();

    let (other, server, uuid) = (plane.clone(), halved.server(), moves[0]);
    let confirms = |stop: &Stop| matches!(stop, Stop::Operation { name: "confirm_mappings", .. });
    let gate = Before::new(confirms, async move {
        other.retry(&user(), uuid).await.unwrap();
        assert_eq!(other.settle().await.unwrap().in_cells, 1);
        server.pause().unwrap();
    });
    let query = match asks_cells {
        true => ListQuery { sort: by_name().sort, ..both_ways()[1].clone() },
        false => by_name(),
    };
    let page = list(&halved, &query, gate).await;
    let known: &[InstanceUuid] = if asks_cells { &first.instances } else { &[first[0], moves[0]] };
    assert_eq!(uuids(&page), known);
    assert_eq!(report(&page, halved.hung).left_out, u64::from(asks_cells));
    assert_eq!(page.instances.last().unwrap().known_at.is_some(), !asks_cells);
    halved.answer();
    plane.close().await.unwrap();
}

#[rstest]
#[case::postgres(Engine::Postgres)]
#[case::mariadb(Engine::MariaDb)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_marker_that_moves_into_a_cell_that_falls_silent_is_still_a_place(
    #[case] engine: Engine,
) {
    let made = Halved::new(engine, Silence::StoppedServer, 2, |config| config).await;
    let Some(halved) = made else { return };
    let plane = &halved.test.plane;
    halved.boot_onto("cell1-host1", "a", 1).await;
    let last = halved.boot_onto("cell1-host1", "z", 1).await;
    let marker = plane.boot(&user(), request("m", "1").build().unwrap()).await.unwrap()[0];

    let (other, server) = (plane.clone(), halved.server());
    let shows = |stop: &Stop| matches!(stop, Stop::Operation { name: "show_instance", .. });
    let gate = Before::new(shows, async move {
        assert_eq!(other.settle().await.unwrap().in_cells, 1);
        server.pause().unwrap();
    });
    let page = list(&halved, &by_name().after(marker), gate).await;
    assert_eq!(uuids(&page), last.instances);
    halved.answer();
    plane.close().await.unwrap();
}
