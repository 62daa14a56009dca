//! Passwords: in no text of a configuration, a mapping, a plane or an error.

use std::error::Error;
use std::fmt::{Debug, Display};

use cellzero::*;
use cellzero_test_support::Engine;
use rstest::rstest;

use super::{alias, point_to, refusal};
use crate::support::{TestPlane, failing_cells};

/// Forms that a password has in URLs, with what must never be shown of each.
const PASSWORDS: &[(&str, &str)] = &[
    ("s3cret", "s3cret"),
    ("s3%40cret", "s3%40cret"),
    ("s3,cret", "s3,cret"),
    ("s3:cret", "s3:cret"),
    ("s3@cret", "cret"),
];

/// Every text of an error: of itself and of all its sources, for people and for programmers.
fn texts(error: &(dyn Error + 'static)) -> String {
    let mut all = format!("{error}\n{error:?}\n{error:#?}\n");
    let mut source = error.source();
    while let Some(error) = source {
        all += &format!("{error}\n{error:?}\n");
        source = error.source();
    }
    all
}

fn both(shown: &(impl Display + Debug)) -> String {
    format!("{shown}\n{shown:?}\n{shown:#?}")
}

#[test]
fn a_configuration_shows_no_password() {
    for (password, secret) in PASSWORDS {
        let url =
            |scheme: &str| format!("{scheme}://nova:{password}@db:1/name?password={password}");
        let config =
            Config::new(url("postgres")).cell0(url("mysql")).base_url(url("mysql+pymysql"));
        let text = format!("{config:?}\n{config:#?}");
        assert!(!text.contains(secret), "{secret}: {text}");
        let mut new = NewCell::new("cell1", url("postgres"));
        new.transport_url = format!("rabbit://nova:{password}@one:1,nova:{password}@two:2/");
        let text = format!("{new:?}\n{new:#?}");
        assert!(!text.contains(secret) || *secret == "cret", "{secret}: {text}");
        assert!(text.contains("nova:***@"), "{text}");
    }
}

#[test]
fn a_cell_mapping_shows_no_password() {
    for (password, secret) in PASSWORDS {
        let mapping = CellMapping {
            id: 1,
            uuid: CellUuid::CELL0,
            name: Some("cell0".into()),
            transport_url: Some(format!("rabbit://nova:{password}@mq:1/")),
            database_connection: Some(format!("mysql://nova:{password}@db:1/cell0")),
            disabled: false,
        };
        let text = format!("{mapping:?}\n{mapping:#?}\n{}", mapping.identity());
        assert!(!text.contains(secret), "{secret}: {text}");
        let url = mapping.database_url(None).map(|url| both(&url));
        let text = url.unwrap_or_else(|error| texts(&error));
        assert!(!text.contains(secret), "{secret}: {text}");
    }
}

/// Nobody listens at port 1, so every operation fails with the URL in its hands.
#[rstest]
#[case("postgres")]
#[case("mysql")]
#[tokio::test]
async fn the_errors_of_an_unreachable_database_show_no_password(#[case] scheme: &str) {
    let folder = tempfile::tempdir().unwrap();
    let plane = ControlPlane::open(Config::embedded(folder.path()).without_worker()).await.unwrap();
    for (password, secret) in PASSWORDS {
        let url = format!("{scheme}://nova:{password}@127.0.0.1:1/name");
        let opened = ControlPlane::open(Config::new(&url)).await.unwrap_err();
        let read = ControlPlane::open_read_only(Config::new(&url)).await.unwrap_err();
        let refused = refusal(&plane, &url).await;
        for text in [texts(&opened), texts(&read), texts(&refused)] {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
    }
    plane.close().await.unwrap();
}

/// The server's own refusals, by a wrong password and by a wrong name.
#[rstest]
#[case::postgres(Engine::Postgres)]
#[case::mariadb(Engine::MariaDb)]
#[tokio::test]
async fn the_errors_of_a_cell_show_no_password(#[case] engine: Engine) {
    let Some(test) = TestPlane::with_cells(engine, &[&[]]).await else { return };
    let (url, cell) = (test.cells[0].1.url(), test.cell(0));
    let parsed = url::Url::parse(url).unwrap();
    let right = parsed.password().unwrap().to_owned();
    let mut wrong = parsed.clone();
    wrong.set_password(Some("s3cret")).unwrap();
    let mut nowhere = parsed.clone();
    nowhere.set_path("/no_such_database");
    for url in [wrong.as_str(), nowhere.as_str(), "postgres://nova:s3cret@h:port/d"] {
        point_to(&test, cell, url);
        let failing = failing_cells(&test.plane).await;
        let text = format!("{}\n{failing:?}\n{:?}", texts(&failing[0].1), test.plane);
        for secret in [right.as_str(), "s3cret"] {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
    }
    let taken = refusal(&test.plane, test.cell0.url()).await;
    let known = refusal(&test.plane, &alias(&test.cell0).unwrap()).await;
    for text in [texts(&taken), texts(&known)] {
        assert!(!text.contains(&right), "{text}");
    }
    let mappings = test.plane.cells().list().await.unwrap();
    assert!(!format!("{mappings:?} {:?}", test.config).contains(&right));
}
