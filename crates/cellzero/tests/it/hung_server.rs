//! A cell whose server is stopped, or never answers: the caller is free in time, the other cells
//! answer, and the cell works again when the server does, all without a restart.

use std::time::{Duration, Instant};

use cellzero::*;
use cellzero_test_support::{Engine, ServerOptions, private, silent_listener};
use rstest::rstest;

use crate::support::{TestPlane, admin_of, request, user};

/// What an operation with a deadline of one second may take.
const FREE_BY: Duration = Duration::from_millis(1_100);

async fn timed<T>(operation: impl Future<Output = T>) -> (T, Duration) {
    let began = Instant::now();
    let value = operation.await;
    (value, began.elapsed())
}

#[rstest]
#[case::postgres(Engine::Postgres)]
#[case::mariadb(Engine::MariaDb)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_cell_costs_its_caller_no_more_than_the_deadline(#[case] engine: Engine) {
    let Some(server) = private(engine, ServerOptions::default()) else { return };
    let cells: &[&[(i32, i32, i32)]] = &[&[(4, 4096, 40)]];
    let Some(test) = TestPlane::with_cells(Engine::Sqlite, cells).await else { return };
    let database = server.create_database("hung").unwrap();
    let hung = test.plane.cells().create(NewCell::new("hung", database.url())).await.unwrap();
    let big = ComputeNode::new("hung-host", 64, 65_536, 400);
    test.plane.hosts().report(hung, &big).await.unwrap();
    let ctx = user();
    let accepted = test.boot(&ctx, request("web", "1").build().unwrap()).await;
    assert_eq!(test.plane.show(&ctx, accepted[0]).await.unwrap().home, Home::Cell(hung));
    let elsewhere = request("here", "1").force_host("cell1-host1").build().unwrap();
    let elsewhere = test.boot(&admin_of(&ctx), elsewhere).await;

    server.pause().unwrap();
    let hurried = ctx.clone().with_timeout(Duration::from_secs(1));
    let (shown, took) = timed(test.plane.show(&hurried, accepted[0])).await;
    assert!(matches!(shown, Err(ReadError::CellUnavailable { .. })), "{shown:?}");
    assert!(took <= FREE_BY, "show took {took:?}");
    let (page, took) = timed(test.plane.list(&hurried, &ListQuery::default())).await;
    let page = page.unwrap();
    assert!(took <= FREE_BY, "list took {took:?}");
    assert_eq!(page.down_cells().map(|report| report.cell).collect::<Vec<_>>(), [hung]);
    let (shown, took) = timed(test.plane.show(&hurried, elsewhere[0])).await;
    assert_eq!(shown.unwrap().home, Home::Cell(test.cell(0)));
    assert!(took < Duration::from_secs(1), "another cell took {took:?}");

    server.resume().unwrap();
    // It is probed, and asked again when it answers.
    let began = Instant::now();
    let shown = loop {
        match test.plane.show(&ctx, accepted[0]).await {
            Ok(shown) => break shown,
            Err(error) => assert!(began.elapsed() < Duration::from_secs(20), "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(shown.home, Home::Cell(hung));
    assert!(test.plane.list(&ctx, &ListQuery::default()).await.unwrap().is_complete());
    test.plane.close().await.unwrap();
}

#[rstest]
#[case::postgres(Engine::Postgres)]
#[case::mariadb(Engine::MariaDb)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cell_that_never_answers_is_a_down_cell_in_time(#[case] engine: Engine) {
    let cells: &[&[(i32, i32, i32)]] = &[&[(4, 4096, 40)]];
    let Some(test) = TestPlane::with_cells(Engine::Sqlite, cells).await else { return };
    let listener = silent_listener();
    let insert = format!(
        "INSERT INTO cell_mappings (uuid, name, database_connection, disabled) \
         VALUES ('{}', 'mute', '{}', 0)",
        uuid::Uuid::from_u128(77),
        listener.url(engine)
    );
    test.api.execute(&insert).unwrap();
    let hurried = user().with_timeout(Duration::from_secs(1));
    let hurried = RequestContext { is_admin: true, ..hurried };
    let by_name = [(SortKey::DisplayName, SortDirection::Ascending)];
    let everywhere = ListQuery::default().all_projects().sort_by(by_name);
    let (page, took) = timed(test.plane.list(&hurried, &everywhere)).await;
    assert_eq!(page.unwrap().down_cells().count(), 1);
    assert!(took <= FREE_BY, "list took {took:?}");
}
