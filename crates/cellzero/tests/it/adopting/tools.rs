//! The commands of `docs/adopting.md` that bring rows over, run as they stand there.

use std::process::Command;

use cellzero::*;
use cellzero_test_support::{Engine, TestDatabase, nova_plane};
use rstest::rstest;

use super::map;
use crate::fsck::found;
use crate::support::{TestPlane, count};

/// The lines of the shell block that begins with this word.
fn block(begins: &str) -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/adopting.md");
    let text = std::fs::read_to_string(path).expect("the document");
    let blocks = text.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    let mut found = blocks.filter(|block| block.starts_with(begins));
    found.next().unwrap_or_else(|| panic!("no block begins with {begins}")).to_owned()
}

/// How the tools of the engine reach a database.
fn reach(database: &TestDatabase) -> String {
    if database.engine() == Engine::Postgres {
        return database.url().to_owned();
    }
    let url = url::Url::parse(database.url()).expect("a URL");
    format!(
        "--host={} --port={} --protocol=tcp --user={} --password={} {}",
        url.host_str().expect("a host"),
        url.port().expect("a port"),
        url.username(),
        url.password().unwrap_or_default(),
        url.path().trim_start_matches('/'),
    )
}

#[rstest]
#[case::postgres(Engine::Postgres, "pg_dump")]
#[case::mariadb(Engine::MariaDb, "mariadb-dump")]
#[tokio::test]
async fn the_commands_of_the_document_bring_a_cell_of_novas_over(
    #[case] engine: Engine,
    #[case] tool: &str,
) {
    let Some(nova) = nova_plane(engine) else { return };
    let test = TestPlane::with_cells(engine, &[&[]]).await.expect("the backend is there");
    let script = format!("set -e\n{}\n{}", block("TABLES="), block(tool));
    let ran = Command::new("sh")
        .args(["-c", &script])
        .env("OLD", reach(nova.cell(1)))
        .env("NEW", reach(&test.cells[0].1))
        .output()
        .expect("a shell");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    assert_eq!(count(&test.cells[0].1, "instances"), 26);
    let discovery = test.plane.hosts().discover(&DiscoverOptions::default()).await.unwrap();
    assert_eq!(discovery.new.len(), 4, "{discovery:?}");
    assert_eq!(map(&test.plane, test.cell(0), MapOptions::default()).await.mapped, 26);
    assert_eq!(found(&test).await, []);
    // The next row of our own gets an id that no row has.
    let node = ComputeNode::new("own", 4, 4_096, 100);
    test.plane.hosts().report(test.cell(0), &node).await.unwrap();
    let request = crate::support::request("web", "1").force_host("own").build().unwrap();
    let admin = crate::support::admin_of(&crate::support::user());
    let booted = test.boot(&admin, request).await;
    assert_eq!(test.plane.show(&admin, booted[0]).await.unwrap().host.as_deref(), Some("own"));
}
