//! Databases that are created on their server.

use crate::common::server::held;
use crate::common::{Fresh, Things, insert, soon, stored};
use cellzero_database::{
    Database, DatabaseUrl, ErrorKind, Options, create_database, drop_database,
};
use cellzero_test_support::{Engine, TestDatabase};
use rstest::rstest;

/// A database that the test makes beside the one it was given, dropped with it.
struct Beside<'fresh> {
    fresh: &'fresh Fresh,
    name: String,
    url: DatabaseUrl,
}

impl<'fresh> Beside<'fresh> {
    fn new(fresh: &'fresh Fresh, suffix: &str) -> Beside<'fresh> {
        let name = format!("{}{suffix}", fresh.outside.name());
        let url = fresh.url.with_database(&name);
        Beside { fresh, name, url }
    }

    fn open(&self) -> Database<Things> {
        Database::new(self.url.clone(), Options::default())
    }
}

impl Drop for Beside<'_> {
    fn drop(&mut self) {
        let name = &self.name;
        let statement = match self.fresh.outside.engine() {
            Engine::Sqlite => return,
            Engine::Postgres => {
                let name = name.replace('"', "\"\"");
                format!("DROP DATABASE IF EXISTS \"{name}\" WITH (FORCE)")
            }
            Engine::MariaDb => format!("DROP DATABASE IF EXISTS `{}`", name.replace('`', "``")),
        };
        if let Err(error) = self.fresh.outside.execute(&statement) {
            eprintln!("the test database {name} stays behind: {error:#}");
        }
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_missing_database_is_created_once_and_can_be_used(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
    #[values("_made", "_It's \"x\"`y`; -- ü%")] suffix: &str,
) {
    let Some(fresh) = Fresh::new(engine) else { return };
    let beside = Beside::new(&fresh, suffix);
    let on_server = engine != Engine::Sqlite;
    if on_server {
        let missing = beside.open().migrate(soon()).await.unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::Unreachable, "{missing:?}");
    }
    assert_eq!(create_database(&beside.url, soon()).await.unwrap(), on_server);
    assert!(!create_database(&beside.url, soon()).await.unwrap());

    let database = beside.open();
    database.migrate(soon()).await.unwrap();
    // What another collation would take for equal or could not store.
    let texts = ["A", "a", "a ", "ä", "日本 🦀"];
    let insert_all = move |conn: &mut cellzero_database::Connection<Things>| {
        texts.iter().try_for_each(|text| insert(conn, text, 1))
    };
    database.run("insert", soon(), insert_all).await.unwrap();
    assert_eq!(stored(&database).await, texts);
    database.close().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn of_many_that_create_it_at_once_one_is_told_so(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(fresh) = Fresh::new(engine) else { return };
    let beside = Beside::new(&fresh, "_race");
    let tasks: Vec<_> = (0..6)
        .map(|_| {
            let url = beside.url.clone();
            tokio::spawn(async move { create_database(&url, soon()).await.unwrap() })
        })
        .collect();
    let mut made = 0;
    for task in tasks {
        made += usize::from(task.await.unwrap());
    }
    assert_eq!(made, usize::from(engine != Engine::Sqlite));
}

/// A user who may do nothing but log in.
fn poor_user(outside: &TestDatabase) -> DatabaseUrl {
    let statements = match outside.engine() {
        Engine::Postgres => {
            "DROP ROLE IF EXISTS poor; CREATE ROLE poor LOGIN PASSWORD 'hunter2'".to_owned()
        }
        _ => format!(
            "CREATE OR REPLACE USER poor@'%' IDENTIFIED BY 'hunter2'; \
             GRANT SELECT ON {}.* TO poor@'%'",
            outside.name()
        ),
    };
    outside.execute(&statements).unwrap();
    let place = outside.url().split_once('@').unwrap().1;
    let url = format!("{}://poor:hunter2@{place}", outside.engine().scheme());
    DatabaseUrl::parse(&url).unwrap()
}

#[rstest]
#[case::postgres(Engine::Postgres)]
#[case::mariadb(Engine::MariaDb)]
#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_may_create_nothing_is_told_and_can_use_what_is_there(#[case] engine: Engine) {
    let Some(server) = held(engine) else { return };
    let fresh = server.fresh();
    let url = poor_user(&fresh.outside);
    assert!(!create_database(&url, soon()).await.unwrap());
    let missing = url.with_database("nobody_makes_this");
    let error = create_database(&missing, soon()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Rejected, "{error:?}");
    let says = "the database \"nobody_makes_this\" cannot be created";
    assert!(error.to_string().starts_with(says), "{error}");
    assert!(!format!("{error} {error:?}").contains("hunter2"));
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_database_is_dropped_once_and_can_be_created_again(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
    #[values("_gone", "_It's \"x\"`y`; -- ü%")] suffix: &str,
) {
    let Some(fresh) = Fresh::new(engine) else { return };
    let beside = Beside::new(&fresh, suffix);
    let on_server = engine != Engine::Sqlite;
    create_database(&beside.url, soon()).await.unwrap();
    assert_eq!(drop_database(&beside.url, soon()).await.unwrap(), on_server);
    assert!(!drop_database(&beside.url, soon()).await.unwrap());
    assert_eq!(create_database(&beside.url, soon()).await.unwrap(), on_server);
    // The database beside it stands.
    fresh.outside.execute("SELECT 1").unwrap();
}
