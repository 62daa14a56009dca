//! A list while a cell does not answer: what the API database knows stands at its place, the page
//! says what is missing, and the cell is asked again when it answers.

use std::time::{Duration, Instant};

use cellzero::*;
use cellzero_test_support::{Engine, PrivateServer, ServerOptions, TestDatabase, private};
use rstest::rstest;

use crate::support::{TestPlane, request, user};

/// A plane whose second cell is on a server of its own, and the instances in both cells.
struct Halved {
    test: TestPlane,
    server: PrivateServer,
    hung: CellUuid,
    _database: TestDatabase,
}

async fn halved(engine: Engine) -> Option<Halved> {
    let server = private(engine, ServerOptions::default())?;
    let cells: &[&[(i32, i32, i32)]] = &[&[(3, 4096, 40)]];
    let test = TestPlane::with_cells(Engine::Sqlite, cells).await?;
    let database = server.create_database("hung").unwrap();
    let hung = test.plane.cells().create(NewCell::new("hung", database.url())).await.unwrap();
    let node = ComputeNode::new("hung-host", 3, 4096, 40).with_ratios(1.0, 1.0, 1.0);
    test.plane.hosts().report(hung, &node).await.unwrap();
    for name in ["a", "b", "c"] {
        let asked = request(name, "1").count(2).tag(name).availability_zone("nova");
        test.boot(&user(), asked.build().unwrap()).await;
    }
    Some(Halved { test, server, hung, _database: database })
}

fn hurried() -> RequestContext {
    user().with_timeout(Duration::from_millis(500))
}

fn names(page: &Page) -> Vec<&str> {
    page.instances.iter().filter_map(|instance| instance.display_name.as_deref()).collect()
}

fn by_name() -> ListQuery {
    ListQuery::default().sort_by([(SortKey::DisplayName, SortDirection::Ascending)])
}

fn report(page: &Page, cell: CellUuid) -> &CellReport {
    page.cells.iter().find(|report| report.cell == cell).expect("a report for each cell")
}

#[rstest]
#[case::postgres(Engine::Postgres)]
#[case::mariadb(Engine::MariaDb)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_silent_cell_holds_is_listed_by_what_is_known(#[case] engine: Engine) {
    let Some(Halved { test, server, hung, _database }) = halved(engine).await else { return };
    let whole = test.plane.list(&user(), &ListQuery::default()).await.unwrap();
    assert!(whole.is_complete());
    let uuids = |page: &Page| page.instances.iter().map(|i| i.uuid).collect::<Vec<_>>();
    server.pause().unwrap();

    // Each at its place, in the default order and in one that asks the cells.
    let page = test.plane.list(&hurried(), &ListQuery::default()).await.unwrap();
    assert_eq!(uuids(&page), uuids(&whole));
    for (known, before) in page.instances.iter().zip(&whole.instances) {
        if before.home != Home::Cell(hung) {
            assert_eq!(known, before);
            continue;
        }
        assert_eq!(known.status(), "UNKNOWN");
        assert!(known.known_at.is_some());
        assert_eq!(known.display_name, before.display_name);
        assert_eq!(known.flavor, before.flavor);
        assert_eq!(known.image_ref, before.image_ref);
        assert_eq!(known.availability_zone.as_deref(), Some("nova"));
        assert_eq!(known.created_at, before.created_at);
        assert_eq!((known.host.as_ref(), known.vm_state.as_ref()), (None, None));
    }
    assert_eq!(page.down_cells().map(|report| report.cell).collect::<Vec<_>>(), [hung]);
    let page = test.plane.list(&hurried(), &by_name()).await.unwrap();
    assert_eq!(names(&page), ["a-1", "a-2", "b-1", "b-2", "c-1", "c-2"]);

    // A filter on what is known works, one on what is not leaves them out and counts them.
    let filter = |filters| by_name().filter(filters);
    let known = filter(ListFilters::default().name("^[bc]").unwrap());
    let page = test.plane.list(&hurried(), &known).await.unwrap();
    assert_eq!(names(&page), ["b-1", "b-2", "c-1", "c-2"]);
    assert_eq!(report(&page, hung).left_out, 0);
    let held = whole.instances.iter().filter(|i| i.home == Home::Cell(hung)).count();
    for unknown in [
        ListFilters::default().status("ACTIVE").unwrap(),
        ListFilters::default().host("hung-host"),
        ListFilters::default().ip("10.").unwrap(),
        ListFilters::default().tag("c"),
    ] {
        let page = test.plane.list(&hurried(), &filter(unknown)).await.unwrap();
        assert!(page.instances.iter().all(|instance| instance.known_at.is_none()));
        assert_eq!(report(&page, hung).left_out, held as u64);
    }

    // Pages go on over them, by cursor and by a marker that is in the silent cell.
    for query in [ListQuery::default(), by_name()] {
        let whole = uuids(&test.plane.list(&hurried(), &query).await.unwrap());
        let mut walked = Vec::new();
        let mut next = query.clone().limit(1);
        loop {
            let page = test.plane.list(&hurried(), &next).await.unwrap();
            walked.extend(uuids(&page));
            match (page.next, walked.last()) {
                (Some(_), Some(last)) if walked.len() % 2 == 0 => next = next.after(*last),
                (Some(cursor), _) => next = next.after(cursor),
                (None, _) => break,
            }
        }
        assert_eq!(walked, whole);
    }
    server.resume().unwrap();
    test.plane.close().await.unwrap();
}

#[rstest]
#[case::postgres(Engine::Postgres)]
#[case::mariadb(Engine::MariaDb)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_cell_costs_the_deadline_once_then_nothing_and_is_asked_again_when_it_answers(
    #[case] engine: Engine,
) {
    let Some(Halved { test, server, hung, _database }) = halved(engine).await else { return };
    server.pause().unwrap();
    let first = test.plane.list(&hurried(), &ListQuery::default()).await.unwrap();
    assert!(matches!(report(&first, hung).answered, CellAnswered::TimedOut(_)), "{first:?}");
    for query in [ListQuery::default(), by_name()] {
        let began = Instant::now();
        let page = test.plane.list(&user(), &query).await.unwrap();
        assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
        let answered = &report(&page, hung).answered;
        assert!(matches!(answered, CellAnswered::Skipped(SkipReason::Silent)), "{answered:?}");
        assert!(page.instances.iter().any(|instance| instance.known_at.is_some()));
    }
    let shown = test.plane.show(&user(), first.instances[0].uuid).await;
    match first.instances[0].known_at {
        Some(_) => assert!(matches!(shown, Err(ReadError::CellUnavailable { .. }))),
        None => assert!(shown.is_ok()),
    }

    // What is missing is read again by itself, once the cell answers.
    server.resume().unwrap();
    let missing = first.missing().expect("something is missing").clone();
    let began = Instant::now();
    let resumed = loop {
        let page = test.plane.list(&user(), &missing).await.unwrap();
        if page.is_complete() {
            break page;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{page:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let unknown = first.instances.iter().filter(|instance| instance.known_at.is_some());
    let unknown: Vec<InstanceUuid> = unknown.map(|instance| instance.uuid).collect();
    assert_eq!(resumed.instances.iter().map(|i| i.uuid).collect::<Vec<_>>(), unknown);
    assert!(resumed.instances.iter().all(|instance| instance.known_at.is_none()));
    let other = report(&resumed, test.cell(0));
    assert!(matches!(other.answered, CellAnswered::Skipped(SkipReason::NotWanted)));
    test.plane.close().await.unwrap();
}

#[rstest]
#[tokio::test]
async fn a_project_asks_only_the_cells_that_hold_its_instances(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let hosts: &[&[(i32, i32, i32)]] = &[&[(4, 4096, 40)], &[(4, 4096, 40)]];
    let Some(test) = TestPlane::with_cells(engine, hosts).await else { return };
    let admin = crate::support::admin_of(&user());
    let here = request("here", "1").force_host("cell1-host1").build().unwrap();
    test.boot(&admin, here).await;
    for query in [ListQuery::default(), by_name()] {
        let page = test.plane.list(&user(), &query).await.unwrap();
        assert_eq!(names(&page), ["here"]);
        assert!(matches!(report(&page, test.cell(0)).answered, CellAnswered::Answered { .. }));
        for other in [test.cell(1), CellUuid::CELL0] {
            let answered = &report(&page, other).answered;
            assert!(matches!(answered, CellAnswered::Skipped(SkipReason::NothingInIt)));
        }
    }
}
