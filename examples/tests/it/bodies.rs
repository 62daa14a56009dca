//! Each of the 114 bodies comes to what `data/expected.tsv` says.

use cellzero::{ControlPlane, ListQuery, RequestContext};
use cellzero_examples::bodies::{self, Expected};
use cellzero_examples::databases::Databases;
use cellzero_examples::fleet;
use cellzero_examples::outcome::{self, Outcome, Summary};
use cellzero_test_support::{Engine, create_database};
use rstest::rstest;

#[rstest]
#[tokio::test]
async fn each_body_that_clients_sent_comes_to_what_the_table_says(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let names = ["api", "cell0", "cell1", "cell2"];
    let made: Option<Vec<_>> = names.iter().map(|name| create_database(engine, name)).collect();
    let Some(made) = made else { return };
    let url = |index: usize| made[index].url().parse().unwrap();
    let databases = Databases::new(url(0), url(1), vec![url(2), url(3)]);
    let plane = ControlPlane::open(databases.config()).await.unwrap();
    fleet::add_cells(&plane, &databases.cells).await.unwrap();
    fleet::add_flavors(&plane).await.unwrap();

    let ctx = RequestContext::new("project-a", "user-a");
    let outcomes = outcome::boot_all(&plane, &ctx, bodies::all().unwrap()).await.unwrap();
    let found: Vec<Expected> = outcomes
        .iter()
        .map(|outcome| Expected {
            line: outcome.body.line,
            outcome: outcome.kind(),
            instances: outcome.instances().len(),
        })
        .collect();
    assert_eq!(found, bodies::expected().unwrap());
    let fault = |outcome: &Outcome| outcome.instances().iter().all(|i| i.fault.is_some());
    for outcome in outcomes.iter().filter(|outcome| outcome.kind() == "cell0") {
        assert!(fault(outcome), "body {} is buried without a fault", outcome.body.line);
    }

    let page = plane.list(&ctx, &ListQuery::default()).await.unwrap();
    let listed: Vec<_> = page.instances.iter().map(|instance| instance.uuid).collect();
    outcome::check_listed(&outcomes, &listed).unwrap();
    let expected = Summary { accepted: 95, in_cells: 62, in_cell0: 33, refused: 23 };
    assert_eq!(Summary::of(&outcomes), expected);
    plane.close().await.unwrap();
}

#[test]
fn a_list_that_loses_or_repeats_an_instance_is_noticed() {
    let uuid = "8a0ee18f-cefc-48f2-bc87-354e9d164617".parse().unwrap();
    outcome::check_listed(&[], &[]).unwrap();
    let error = outcome::check_listed(&[], &[uuid]).unwrap_err().to_string();
    assert!(error.contains("0 instances were accepted and 1 are listed"), "{error}");
    let error = outcome::check_listed(&[], &[uuid, uuid]).unwrap_err().to_string();
    assert!(error.contains("only 1 of them are different"), "{error}");
}
