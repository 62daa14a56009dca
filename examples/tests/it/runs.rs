//! Each example runs to its end.

use cellzero_examples::databases::Databases;
use cellzero_test_support::{Engine, create_database, shared};
use rstest::rstest;

use crate::{boot_flow, embed, mixed_engines, own_scheduler, why};

/// Removes what boot_flow leaves on a server on purpose.
fn drop_databases(engine: Engine, databases: &Databases) {
    let Some(by) = create_database(engine, "drop") else { return };
    let force = if engine == Engine::Postgres { " WITH (FORCE)" } else { "" };
    for name in databases.all().filter_map(|url| url.database_name()) {
        by.execute(&format!("DROP DATABASE {name}{force}")).expect("a database is dropped");
    }
}

#[rstest]
#[tokio::test]
async fn boot_flow_ends_in_the_same_line_on_each_backend(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let mut args = boot_flow::Args::default();
    if engine != Engine::Sqlite {
        let Some(server) = shared(engine) else { return };
        args.database.push(server.url("boot_flow"));
    }
    let mut told = Vec::new();
    let ended = boot_flow::run(&args, &mut told).await;
    let told = String::from_utf8(told).unwrap();
    let databases = ended.unwrap_or_else(|error| panic!("{error:#}, after\n{told}"));
    assert_eq!(
        told.lines().last(),
        Some("accepted 95, in cells 62, in cell0 33, refused 23"),
        "{told}"
    );
    for cell in ["cell1", "cell2"] {
        assert!(told.contains(&format!(" {cell} ")), "{cell} has no instance in\n{told}");
    }
    match engine {
        Engine::Sqlite => {
            let path = databases.api.path().unwrap();
            assert!(!path.exists(), "{} stays behind", path.display());
        }
        _ => drop_databases(engine, &databases),
    }
}

#[tokio::test]
async fn boot_flow_leaves_the_directory_that_it_was_given() {
    let directory = tempfile::tempdir().unwrap();
    let new = directory.path().join("new");
    let args = boot_flow::Args { directory: Some(new.clone()), ..Default::default() };
    boot_flow::run(&args, &mut Vec::new()).await.unwrap();
    assert!(new.join("cell0.db").exists());
    let error = boot_flow::run(&args, &mut Vec::new()).await.unwrap_err().to_string();
    assert!(error.ends_with("has a plane; give a directory without one"), "{error}");
}

#[tokio::test]
async fn a_bad_url_is_refused_without_its_password() {
    let database = vec!["postgres://user:secret@host".to_owned()];
    let args = boot_flow::Args { database, ..Default::default() };
    let error = boot_flow::run(&args, &mut Vec::new()).await.unwrap_err();
    let error = format!("{error:#}");
    assert!(error.contains("names no database") && !error.contains("secret"), "{error}");
}

#[tokio::test]
async fn the_embedders_monday_runs_to_its_end() {
    let directory = tempfile::tempdir().unwrap();
    embed::monday(directory.path()).await.unwrap();
}

#[tokio::test]
async fn mixed_engines_runs_without_arguments() {
    let mut told = Vec::new();
    mixed_engines::run(&Default::default(), &mut told).await.unwrap();
    let told = String::from_utf8(told).unwrap();
    assert!(told.ends_with("6 instances, one list.\n"), "{told}");
    for cell in ["cell1", "cell2", "cell0"] {
        assert_eq!(told.matches(&format!("in {cell} ")).count(), 2, "{cell} in\n{told}");
    }
}

/// The API database, cell0 and the first cell on three different engines, in every rotation.
#[rstest]
#[tokio::test]
async fn mixed_engines_runs_with_each_part_on_another_engine(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let first = Engine::ALL.iter().position(|known| *known == engine).unwrap();
    let engines = [0, 1, 2, 0].map(|turn| Engine::ALL[(first + turn) % Engine::ALL.len()]);
    let names = ["api", "cell0", "cell1", "cell2"];
    let made = engines.iter().zip(names).map(|(engine, name)| create_database(*engine, name));
    let Some(made) = made.collect::<Option<Vec<_>>>() else { return };
    let url = |index: usize| made[index].url().to_owned();
    let args =
        mixed_engines::Args { api: Some(url(0)), cell0: Some(url(1)), cell: vec![url(2), url(3)] };
    let mut told = Vec::new();
    mixed_engines::run(&args, &mut told).await.unwrap();
    let told = String::from_utf8(told).unwrap();
    assert!(told.ends_with("6 instances, one list.\n"), "{told}");
}

#[tokio::test]
async fn an_embedders_own_scheduler_and_dispatch_do_the_whole_boot() {
    let directory = tempfile::tempdir().unwrap();
    let mut told = Vec::new();
    let ended = own_scheduler::run(directory.path(), &mut told).await;
    let told = String::from_utf8(told).unwrap();
    ended.unwrap_or_else(|error| panic!("{error:#}, after\n{told}"));
    for words in [
        "All 2 hosts of the round are full.",
        "is out of date: it was placed anew",
        "taken: ant has built",
        "taken: bee has built",
        "taken: ant has destroyed",
    ] {
        assert!(told.contains(words), "{words:?} is missing in\n{told}");
    }
}

/// `docs/verdict.md` shows what the example prints.
#[tokio::test]
async fn why_says_what_the_document_shows() {
    let directory = tempfile::tempdir().unwrap();
    let mut told = Vec::new();
    let ended = why::run(directory.path(), &mut told).await;
    let told = String::from_utf8(told).unwrap();
    ended.unwrap_or_else(|error| panic!("{error:#}, after\n{told}"));
    let (reasons, back) = told.split_once("\nA host with 64 GB joins").unwrap();
    let document = include_str!("../../../docs/verdict.md");
    assert!(document.contains(reasons), "{reasons}");
    assert!(back.ends_with(" is ACTIVE on cell3-host5\n"), "{back}");
}
