//! Cells are changed and removed: only what was asked for, and nothing that is needed.

use cellzero::*;
use cellzero_test_support::{Engine, TestDatabase, create_database};
use rstest::rstest;

use crate::support::{TestPlane, count, request, user};

const HOSTS: &[(i32, i32, i32)] = &[(4, 4096, 40)];

fn update_error(error: Write<UpdateCellError>) -> UpdateCellError {
    match error {
        Write::Failed(error) => error,
        Write::ReadOnly(error) => panic!("{error:?}"),
    }
}

fn delete_error(error: Write<DeleteCellError>) -> DeleteCellError {
    match error {
        Write::Failed(error) => error,
        Write::ReadOnly(error) => panic!("{error:?}"),
    }
}

async fn mapping(plane: &ControlPlane, cell: CellUuid) -> CellMapping {
    plane.cells().find(&cell.to_string()).await.unwrap()
}

#[rstest]
#[tokio::test]
async fn an_update_changes_what_was_given_and_nothing_else(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::with_cells(engine, &[HOSTS]).await else { return };
    let (cells, cell) = (test.plane.cells(), test.cell(0));
    let before = mapping(&test.plane, cell).await;
    let change = |mapping: MappingChange| cells.update(cell, mapping);

    change(MappingChange { name: Some("north".into()), ..MappingChange::default() }).await.unwrap();
    let named = CellMapping { name: Some("north".into()), ..before.clone() };
    assert_eq!(mapping(&test.plane, cell).await, named);
    assert_eq!(cells.find("north").await.unwrap(), named);

    let queue = "rabbit://nova:s3cret@mq1:5672/north";
    change(MappingChange { transport_url: Some(queue.into()), ..MappingChange::default() })
        .await
        .unwrap();
    let queued = CellMapping { transport_url: Some(queue.into()), ..named };
    assert_eq!(mapping(&test.plane, cell).await, queued);

    change(MappingChange { disabled: Some(true), ..MappingChange::default() }).await.unwrap();
    assert_eq!(mapping(&test.plane, cell).await, CellMapping { disabled: true, ..queued.clone() });
    let buried = test.boot(&user(), request("web", "1").build().unwrap()).await[0];
    assert_eq!(test.plane.show(&user(), buried).await.unwrap().home, Home::Cell(CellUuid::CELL0));
    change(MappingChange { disabled: Some(false), ..MappingChange::default() }).await.unwrap();
    assert_eq!(mapping(&test.plane, cell).await, queued);
    let built = test.boot(&user(), request("web", "1").build().unwrap()).await[0];
    assert_eq!(test.plane.show(&user(), built).await.unwrap().home, Home::Cell(cell));

    change(MappingChange::default()).await.unwrap();
    assert_eq!(mapping(&test.plane, cell).await, queued);
    // Cell0 may be renamed and moved, and no more.
    let renamed = MappingChange { name: Some("graveyard".into()), ..MappingChange::default() };
    cells.update(CellUuid::CELL0, renamed).await.unwrap();
    assert!(cells.find("graveyard").await.unwrap().is_cell0());
}

#[rstest]
#[tokio::test]
async fn an_update_that_would_mislead_is_refused_whole(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::with_cells(engine, &[HOSTS, HOSTS]).await else { return };
    let theirs = TestPlane::with_cells(engine, &[HOSTS]).await.unwrap();
    let empty = create_database(engine, "empty").unwrap();
    let cells = test.plane.cells();
    let queue = "rabbit://nova:s3cret@mq1:5672/two";
    let taken = MappingChange { transport_url: Some(queue.into()), ..MappingChange::default() };
    cells.update(test.cell(1), taken).await.unwrap();
    let before = mapping(&test.plane, test.cell(0)).await;
    // The name beside what is refused must not be changed either.
    let refused = async |change: MappingChange| {
        let change = MappingChange { name: Some("other".into()), ..change };
        let error = update_error(cells.update(test.cell(0), change).await.unwrap_err());
        assert_eq!(mapping(&test.plane, test.cell(0)).await, before);
        error
    };
    let database = |url: &str| MappingChange {
        database_connection: Some(url.into()),
        ..MappingChange::default()
    };
    for url in [test.cells[1].1.url(), test.cell0.url(), test.api.url()] {
        let error = refused(database(url)).await;
        let taken = matches!(&error, UpdateCellError::Taken(CreateCellError::DatabaseTaken { .. }));
        assert!(taken, "{error:?}");
    }
    match refused(database(theirs.cells[0].1.url())).await {
        UpdateCellError::NotThisCell { source, .. } => {
            assert_eq!(source.kind(), ErrorKind::WrongIdentity);
        }
        error => panic!("{error:?}"),
    }
    match refused(database(empty.url())).await {
        UpdateCellError::NotThisCell { source, .. } => {
            let kinds = [ErrorKind::SchemaVersion, ErrorKind::Unreachable];
            assert!(kinds.contains(&source.kind()), "{source:?}");
        }
        error => panic!("{error:?}"),
    }
    let same = "amqp://other:pw@MQ1/two".to_owned();
    let error =
        refused(MappingChange { transport_url: Some(same), ..MappingChange::default() }).await;
    let text = format!("{error} {error:?}");
    let taken = matches!(&error, UpdateCellError::Taken(CreateCellError::QueueTaken { .. }));
    assert!(taken && !text.contains("pw"), "{text}");

    for disabled in [true, false] {
        let change = MappingChange { disabled: Some(disabled), ..MappingChange::default() };
        let error = update_error(cells.update(CellUuid::CELL0, change).await.unwrap_err());
        assert!(matches!(error, UpdateCellError::Cell0 { .. }), "{error:?}");
    }
    let queue = MappingChange { transport_url: Some("none:///".into()), ..Default::default() };
    let error = update_error(cells.update(CellUuid::CELL0, queue).await.unwrap_err());
    assert!(matches!(error, UpdateCellError::Cell0 { .. }), "{error:?}");
    for change in [MappingChange::default(), database(empty.url())] {
        let unknown = cells.update(CellUuid(SystemUuids.row()), change).await;
        let error = update_error(unknown.unwrap_err());
        assert!(matches!(error, UpdateCellError::NotFound { .. }), "{error:?}");
    }
}

/// The same database under another name of its server: planes that run find it there.
#[rstest]
#[case::postgres(Engine::Postgres)]
#[case::mariadb(Engine::MariaDb)]
#[tokio::test]
async fn a_cell_that_moves_is_found_by_planes_that_run(#[case] engine: Engine) {
    let Some(test) = TestPlane::with_cells(engine, &[HOSTS]).await else { return };
    let uuid = test.boot(&user(), request("web", "1").build().unwrap()).await[0];
    let other = ControlPlane::open(test.config.clone()).await.unwrap();
    other.show(&user(), uuid).await.unwrap();
    let moved = test.cells[0].1.url().replace("@127.0.0.1:", "@localhost:");
    let change = MappingChange { database_connection: Some(moved.clone()), ..Default::default() };
    test.plane.cells().update(test.cell(0), change).await.unwrap();
    assert_eq!(mapping(&other, test.cell(0)).await.database_connection, Some(moved));
    other.list(&user(), &ListQuery::default()).await.unwrap();
    assert_eq!(other.show(&user(), uuid).await.unwrap().vm_state, Some(VmState::Active));
    // A cell that was renamed or closed keeps its connections in every process.
    let more = test.boot(&user(), request("more", "1").build().unwrap()).await[0];
    assert_eq!(other.show(&user(), more).await.unwrap().home, Home::Cell(test.cell(0)));
}

#[rstest]
#[tokio::test]
async fn two_cells_never_share_a_queue(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::new(engine).await else { return };
    let database = |name: &str| create_database(engine, name).unwrap();
    let (one, two, three) = (database("one"), database("two"), database("three"));
    let new = |name: &str, database: &TestDatabase, queue: &str| {
        let mut new = NewCell::new(name, database.url());
        new.transport_url = queue.to_owned();
        new.disabled = name == "three";
        let plane = test.plane.clone();
        async move { plane.cells().create(new).await }
    };
    new("one", &one, "rabbit://u:s3cret@mq/one").await.unwrap();
    let error = match new("two", &two, "rabbit://v:w@mq:5672/one").await.unwrap_err() {
        Write::Failed(error) => error,
        Write::ReadOnly(error) => panic!("{error:?}"),
    };
    let CreateCellError::QueueTaken { url, owner } = &error else { panic!("{error:?}") };
    assert_eq!(url, "rabbit://v:***@mq:5672/one");
    assert!(owner.contains("(one)"), "{owner}");
    // No queue is nobody's.
    new("two", &two, "none:///").await.unwrap();
    let three = new("three", &three, "none:///").await.unwrap();
    assert!(mapping(&test.plane, three).await.disabled);
}

#[rstest]
#[tokio::test]
async fn a_cell_goes_once_nothing_names_it(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::with_cells(engine, &[HOSTS]).await else { return };
    let (cells, cell) = (test.plane.cells(), test.cell(0));
    let uuid = test.boot(&user(), request("web", "1").build().unwrap()).await[0];
    let refused = async |removal| delete_error(cells.delete(cell, removal).await.unwrap_err());

    let error = refused(Removal::Empty).await;
    assert!(matches!(error, DeleteCellError::HasHosts { hosts: 1, .. }), "{error:?}");
    match refused(Removal::Force).await {
        DeleteCellError::InUse { live: 1, claims: 1, intents: 0, .. } => {}
        error => panic!("{error:?}"),
    }
    test.plane.delete(&user(), uuid).await.unwrap();
    test.plane.settle().await.unwrap();
    let error = refused(Removal::Empty).await;
    assert!(matches!(error, DeleteCellError::HasHosts { .. }), "{error:?}");
    test.plane.hosts().unmap("cell1-host1").await.unwrap();
    match refused(Removal::Empty).await {
        DeleteCellError::HasDeletedInstances { deleted: 1, .. } => {}
        error => panic!("{error:?}"),
    }
    let node = ComputeNode::new("cell1-host1", 4, 4096, 40);
    test.plane.hosts().report(cell, &node).await.unwrap();
    let removed = cells.delete(cell, Removal::Force).await.unwrap();
    assert_eq!((removed.hosts, removed.deleted_instances), (1, 1));
    assert!(removed.nodes_stay_mapped.is_none(), "{removed:?}");
    let error = refused(Removal::Force).await;
    assert!(matches!(error, DeleteCellError::NotFound { .. }), "{error:?}");
    for table in ["cell_mappings WHERE name = 'cell1'", "host_mappings", "host_capacity"] {
        assert_eq!(count(&test.api, table), 0, "{table}");
    }
    for table in ["instance_mappings", "boot_states", "request_specs", "claims"] {
        assert_eq!(count(&test.api, table), 0, "{table}");
    }
    assert_eq!(count(&test.cells[0].1, "compute_nodes WHERE mapped = 1"), 0);
    assert!(test.plane.fsck(FsckOptions::default()).await.unwrap().findings.is_empty());

    // Its database still says which cell it is: of this plane alone.
    let theirs = TestPlane::new(engine).await.unwrap();
    let url = test.cells[0].1.url();
    match theirs.plane.cells().create(NewCell::new("cell1", url)).await.unwrap_err() {
        Write::Failed(CreateCellError::Cell { source, .. }) => {
            assert_eq!(source.kind(), ErrorKind::WrongIdentity);
        }
        error => panic!("{error:?}"),
    }
    assert_eq!(cells.create(NewCell::new("again", url)).await.unwrap(), cell);
}

#[rstest]
#[tokio::test]
async fn a_cell0_in_use_is_never_removed(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::new(engine).await else { return };
    test.plane.flavors().create(&Flavor::new("1", "small", 1, 512, 1)).await.unwrap();
    test.boot(&user(), request("web", "1").build().unwrap()).await;
    let cells = test.plane.cells();
    for removal in [Removal::Empty, Removal::Force] {
        match delete_error(cells.delete(CellUuid::CELL0, removal).await.unwrap_err()) {
            DeleteCellError::InUse { live: 1, .. } => {}
            error => panic!("{error:?}"),
        }
    }
    let unused = TestPlane::new(engine).await.unwrap();
    unused.plane.cells().delete(CellUuid::CELL0, Removal::Empty).await.unwrap();
    assert!(unused.plane.cells().list().await.unwrap().is_empty());
    assert!(unused.plane.cells().map_cell0(Some(unused.cell0.url())).await.unwrap().is_new);
}

/// Boots race the removal of the only cell, by force: each instance ends in a cell that is there.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn no_boot_is_lost_to_a_cell_that_is_removed(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(mut test) = TestPlane::with_cells(engine, &[]).await else { return };
    test.plane.flavors().create(&Flavor::new("9", "race", 1, 16, 0)).await.unwrap();
    let mut was_removed = 0;
    for _ in 0..6 {
        let cell = test.add_cell(&[(2, 512, 40)]).await;
        let booting = (0..4).map(|number| {
            let plane = test.plane.clone();
            tokio::spawn(async move {
                let asked = request(&format!("web{number}"), "9").build().unwrap();
                let accepted = plane.boot(&user(), asked).await.unwrap();
                plane.settle().await.unwrap();
                accepted[0]
            })
        });
        let booting: Vec<_> = booting.collect();
        let removed = test.plane.cells().delete(cell, Removal::Force).await;
        let mut uuids = Vec::new();
        for one in booting {
            uuids.push(one.await.unwrap());
        }
        test.plane.settle().await.unwrap();
        match removed {
            Ok(_) => was_removed += 1,
            Err(Write::Failed(DeleteCellError::InUse { .. })) => {}
            Err(error) => panic!("{error:?}"),
        }
        let standing = test.plane.cells().list().await.unwrap();
        for uuid in uuids {
            let shown = test.plane.show(&user(), uuid).await.unwrap();
            let Home::Cell(home) = shown.home else { panic!("{shown:?}") };
            assert!(standing.iter().any(|mapping| mapping.uuid == home), "{uuid} in {home}");
        }
        let found = test.plane.fsck(FsckOptions::default()).await.unwrap();
        assert!(found.findings.is_empty(), "{found:?}");
    }
    println!("{}: removed {was_removed} times of 6", engine.name());
}
