//! `status check`: its exit codes, its JSON and its table.

use cellzero_test_support::Engine;
use rstest::rstest;

use crate::support::{TestPlane, check_golden};

#[rstest]
fn status_check_ends_with_the_worst_of_its_checks(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::new(engine, 1) else { return };
    let check = || test.run(&["status", "check", "--json"]);
    // The servers of tests do not sync what they commit, and that is a warning.
    let well = if engine == Engine::Sqlite { 0 } else { 1 };
    let shown = check().ends(well).json_of("status-check");
    let failed = shown["checks"].as_array().unwrap().iter().filter(|c| c["result"] == "failure");
    assert_eq!(failed.count(), 0);
    test.api.execute("UPDATE cell_mappings SET disabled = NULL WHERE name = 'cell1'").unwrap();
    check().ends(well);
    test.api.execute("DELETE FROM host_mappings").unwrap();
    let shown = check().ends(2).json_of("status-check");
    assert_eq!(shown["result"], "failure");
    test.wait(async {
        let node = cellzero::ComputeNode::new("cell1-host1", 4, 4_096, 100);
        test.plane.hosts().report(test.cells[0].0, &node).await.unwrap();
        let node = cellzero::ComputeNode::new("cell1-host2", 4, 4_096, 100);
        test.plane.hosts().report(test.cells[0].0, &node).await.unwrap();
    });
    test.api.execute("DELETE FROM host_mappings WHERE host = 'cell1-host2'").unwrap();
    let ran = test.run(&["status", "check"]).ends(1);
    assert!(ran.stdout.contains("- cell1-host2 in cell1 ("), "{}", ran.stdout);
    if engine == Engine::Sqlite {
        // How many files a process may open is the machine's.
        let files = regex::Regex::new(r"the \d+ files").unwrap();
        check_golden("status-check", &files.replace(&ran.stdout, "the N files"));
    }
}
