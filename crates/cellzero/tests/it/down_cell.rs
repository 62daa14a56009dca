//! A list while a cell does not answer: what the API database knows stands at its place, the page
//! says what is missing, and the cell is asked again when it answers.

use std::time::{Duration, Instant};

use cellzero::*;
use cellzero_database::{ErrorKind, Stop, with_gate};
use cellzero_test_support::Engine;
use rstest::rstest;

use crate::before::Before;
use crate::halved::{Halved, Silence};
use crate::support::{TestPlane, both_ways, by_name, report, request, user, uuids};

/// Probes so often that a test can wait for some.
const PROBED_OFTEN: BreakerOptions = BreakerOptions {
    probe_timeout: Duration::from_millis(100),
    backoff_min: Duration::from_millis(50),
    backoff_max: Duration::from_millis(400),
};

/// A plane with instances in both cells.
async fn halved(engine: Engine, silence: Silence) -> Option<Halved> {
    let halved = Halved::new(engine, silence, 3, |config| config).await?;
    for name in ["a", "b", "c"] {
        let asked = request(name, "1").count(2).tag(name).availability_zone("nova");
        halved.test.boot(&user(), asked.build().unwrap()).await;
    }
    Some(halved)
}

fn hurried() -> RequestContext {
    user().with_timeout(Duration::from_millis(500))
}

fn names(page: &Page) -> Vec<&str> {
    page.instances.iter().filter_map(|instance| instance.display_name.as_deref()).collect()
}

#[rstest]
#[case::postgres(Engine::Postgres)]
#[case::mariadb(Engine::MariaDb)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_silent_cell_holds_is_listed_by_what_is_known(
    #[case] engine: Engine,
    #[values(Silence::StoppedServer, Silence::Listener)] silence: Silence,
) {
    let Some(halved) = halved(engine, silence).await else { return };
    let (test, hung) = (&halved.test, halved.hung);
    let whole = test.plane.list(&user(), &ListQuery::default()).await.unwrap();
    assert!(whole.is_complete());
    halved.fall_silent();

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
    halved.answer();
    test.plane.close().await.unwrap();
}

#[rstest]
#[case::postgres(Engine::Postgres)]
#[case::mariadb(Engine::MariaDb)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_cell_costs_the_deadline_once_then_nothing_and_is_asked_again_when_it_answers(
    #[case] engine: Engine,
    #[values(Silence::StoppedServer, Silence::Listener)] silence: Silence,
) {
    let Some(halved) = halved(engine, silence).await else { return };
    let (test, hung) = (&halved.test, halved.hung);
    halved.fall_silent();
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
    halved.answer();
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
    assert_eq!(uuids(&resumed), unknown);
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

#[rstest]
#[case::postgres(Engine::Postgres)]
#[case::mariadb(Engine::MariaDb)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_cell_is_probed_with_a_back_off_and_not_asked(#[case] engine: Engine) {
    let configure = |config: Config| config.breaker(Some(PROBED_OFTEN));
    let Some(halved) = Halved::new(engine, Silence::Listener, 3, configure).await else { return };
    let held = halved.boot_into_hung("a", 2).await;
    halved.fall_silent();
    let plane = &halved.test.plane;
    let first = plane.list(&hurried(), &ListQuery::default()).await.unwrap();
    assert!(report(&first, halved.hung).answered.is_down());
    let (began, before) = (Instant::now(), halved.connections());
    // Twenty lists and shows are no question to it; the probes of two seconds are a few.
    for _ in 0..20 {
        for query in [ListQuery::default(), by_name()] {
            let page = plane.list(&hurried(), &query).await.unwrap();
            let answered = &report(&page, halved.hung).answered;
            assert!(matches!(answered, CellAnswered::Skipped(SkipReason::Silent)), "{answered:?}");
        }
        let shown = plane.show(&hurried(), held[0]).await;
        assert!(matches!(shown, Err(ReadError::CellUnavailable { .. })), "{shown:?}");
    }
    tokio::time::sleep(Duration::from_secs(2).saturating_sub(began.elapsed())).await;
    let probes = halved.connections() - before;
    let seconds = began.elapsed().as_secs() as usize;
    assert!((2..=8 * seconds).contains(&probes), "{probes} probes in {seconds} s");
    halved.answer();
    plane.close().await.unwrap();
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_cell_costs_nothing_and_what_it_holds_is_listed(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let hosts: &[&[(i32, i32, i32)]] = &[&[(3, 4096, 40)], &[(3, 4096, 40)]];
    let Some(test) = TestPlane::with_cells(engine, hosts).await else { return };
    test.boot(&user(), request("a", "1").count(6).build().unwrap()).await;
    let refused = test.cell(1);
    let nowhere = match engine {
        Engine::Sqlite => "sqlite:///no/such/folder/cell.db".to_owned(),
        _ => format!("{}://u:p@127.0.0.1:1/none", engine.scheme()),
    };
    test.point(refused, &nowhere);
    for round in 0..2 {
        for query in [ListQuery::default(), by_name()] {
            let began = Instant::now();
            let page = test.plane.list(&user(), &query).await.unwrap();
            // Far less than the deadline of a minute.
            assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
            let unknown = page.instances.iter().filter(|one| one.known_at.is_some()).count();
            assert_eq!((page.instances.len(), unknown), (6, 3), "round {round}");
            let answered = &report(&page, refused).answered;
            assert!(matches!(
                answered,
                CellAnswered::Refused(_) | CellAnswered::Skipped(SkipReason::Silent)
            ));
        }
    }
    let [_, asks_cells] = both_ways();
    let page = test.plane.list(&user(), &asks_cells).await.unwrap();
    assert_eq!((page.instances.len(), report(&page, refused).left_out), (3, 3));
}

/// A silent cell, and then the API database answers this question when the time is up.
async fn list_while_late(
    halved: &Halved,
    late: &'static str,
    query: &ListQuery,
) -> Result<Page, ReadError> {
    halved.fall_silent();
    let is_late = move |stop: &Stop| matches!(stop, Stop::Operation { name, .. } if *name == late);
    let gate = Before::new(is_late, async { tokio::time::sleep(Duration::from_millis(450)).await });
    let began = Instant::now();
    let listed = with_gate(gate.clone(), halved.test.plane.list(&hurried(), query)).await;
    assert!(gate.has_happened());
    // It was late for 450 ms after at most 300 of 500; the rest is slack.
    assert!(began.elapsed() < Duration::from_millis(1_000), "{:?}", began.elapsed());
    halved.answer();
    listed
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_the_api_database_is_late_too_an_instance_is_listed_by_its_mapping() {
    let Some(halved) = halved(Engine::Postgres, Silence::Listener).await else { return };
    let whole = halved.test.plane.list(&user(), &ListQuery::default()).await.unwrap();
    let page = list_while_late(&halved, "read_outlines", &ListQuery::default()).await.unwrap();
    assert_eq!(uuids(&page), uuids(&whole));
    assert_eq!(page.down_cells().map(|report| report.cell).collect::<Vec<_>>(), [halved.hung]);
    for (known, before) in page.instances.iter().zip(&whole.instances) {
        if before.home != Home::Cell(halved.hung) {
            assert_eq!(known, before);
            continue;
        }
        assert!(known.known_at.is_some() && known.status() == "UNKNOWN");
        assert_eq!((known.home, known.created_at), (before.home, before.created_at));
        assert_eq!((&known.project_id, &known.user_id), (&before.project_id, &before.user_id));
        assert_eq!((&known.display_name, &known.flavor), (&None, &None));
    }
    halved.test.plane.close().await.unwrap();
}

/// In an order that the mappings do not have, nobody knows then where an instance would stand.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_another_order_a_list_fails_by_its_deadline_where_the_api_database_is_late_too() {
    let Some(halved) = halved(Engine::Postgres, Silence::Listener).await else { return };
    let listed = list_while_late(&halved, "scan_outlines", &by_name()).await;
    let Err(ReadError::Database(error)) = listed else { panic!("it was listed") };
    assert_eq!(error.kind(), ErrorKind::DeadlineExceeded);
    halved.test.plane.close().await.unwrap();
}
