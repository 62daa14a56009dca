//! A disk that fails under a SQLite file: never a conflict, never a statement's own fault.

use crate::common::{Fresh, Things, insert, soon, stored};
use cellzero_database::{Connection, ErrorKind, transaction};
use cellzero_test_support::{Disk, Engine, Lasting};

#[tokio::test(flavor = "multi_thread")]
async fn what_the_disk_does_not_take_is_a_lost_connection_or_an_unknown_commit() {
    let (fresh, first) = Fresh::migrated(Engine::Sqlite).await.unwrap();
    first.close().await;
    let disk = Disk::of(&[fresh.outside.folder().unwrap()]).unwrap();
    let database = fresh.open();
    let (mut unknown, mut lost) = (0, 0);
    for number in 0.. {
        disk.fail(Lasting::Once, number);
        let name = format!("thing-{number}");
        let inserting = name.clone();
        let work = move |conn: &mut Connection<Things>| {
            transaction(conn, "insert", |conn| insert(conn, &inserting, 1))
        };
        let inserted = database.run("insert", soon(), work).await;
        let (_, has_failed) = disk.stop_failing();
        match inserted {
            Ok(()) => {
                assert!(!has_failed, "write {number} failed, and nobody was told");
                break;
            }
            Err(error) => match error.kind() {
                ErrorKind::CommitUnknown => unknown += 1,
                ErrorKind::ConnectionLost => lost += 1,
                _ => panic!("{error:?}"),
            },
        }
        let rows = stored(&database).await;
        assert!(rows.iter().filter(|row| **row == name).count() <= 1, "{rows:?}");
    }
    println!("{unknown} unknown commits, {lost} lost connections");
    assert!(unknown > 0);
    assert_eq!(database.counters().connections_broken, unknown);
    database.close().await;
}
