//! Planes that Nova made: a healthy one has nothing wrong, a damaged one what was planted.

use std::collections::BTreeSet;

use cellzero::*;
use cellzero_test_support::{Engine, damaged_nova_plane};
use rstest::rstest;

use crate::nova::Nova;

/// The class by which we name each of the planted ones.
const PLANTED: &[(&str, Class)] = &[
    ("a_ghost_row_mapping_null", Class::UndecidedRow),
    ("a2_row_mapping_null_build_request", Class::RowBesideBuildRequest),
    ("b_mapped_no_row", Class::InNoPlace),
    ("c_build_request_beside_mapping", Class::BuildRequestBesideMapping),
    ("d_in_two_cells", Class::InTwoCells),
    ("e_mapping_null_nothing", Class::MappingWithoutAnything),
    ("f_spec_without_mapping", Class::RequestSpecWithoutMapping),
    ("f2_build_request_without_mapping", Class::BuildRequestWithoutMapping),
    ("g1_row_deleted_mapping_not_queued", Class::DeletedRowLiveMapping),
    ("g2_row_live_mapping_queued", Class::LiveRowDeadMapping),
    ("h_cell0_not_error_no_fault", Class::HalfBuried),
    ("i1_host_mapping_without_compute_node", Class::HostMappingWithoutNode),
    ("i2_compute_node_not_mapped", Class::NodeWithoutHostMapping),
    ("j_host_in_other_cell", Class::HostInAnotherCell),
];

#[rstest]
#[tokio::test]
async fn a_healthy_plane_of_nova_has_nothing_wrong(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(nova) = Nova::open(engine).await else { return };
    for slice in [2, 7, 1_000] {
        let options = FsckOptions { slice, ..FsckOptions::default() };
        let report = nova.plane.fsck(options).await.unwrap();
        assert!(report.is_clean(), "{report:#?}");
        assert_eq!((report.uuids_checked, report.hosts_checked), (71, 8));
    }
}

#[tokio::test]
async fn a_damaged_plane_of_nova_has_wrong_what_was_planted_and_nothing_else() {
    let files = damaged_nova_plane();
    let config = Config::new(&files.api_url).base_url(&files.base_url);
    let plane = ControlPlane::open_read_only(config).await.unwrap();
    let classes = files.expected["classes"].as_object().unwrap();
    assert_eq!(classes.len(), PLANTED.len());
    let planted: BTreeSet<(Class, String)> = PLANTED
        .iter()
        .flat_map(|(name, class)| {
            let subjects = classes[*name].as_array().unwrap();
            subjects.iter().map(|subject| (*class, subject.as_str().unwrap().to_owned()))
        })
        .collect();
    for slice in [2, 10, 1_000] {
        let options = FsckOptions { slice, ..FsckOptions::default() };
        let report = plane.fsck(options).await.unwrap();
        let found: Vec<(Class, String)> =
            report.findings.iter().map(|f| (f.class, f.subject.clone())).collect();
        assert_eq!(found.len(), planted.len(), "each is named once: {:#?}", report.findings);
        assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), planted);
    }
    let young = FsckOptions { age: std::time::Duration::MAX, ..FsckOptions::default() };
    let report = plane.fsck(young).await.unwrap();
    let instances = report.findings.iter().filter(|f| !f.subject.contains("host"));
    assert_eq!(instances.count(), 0, "what may be under way is not named before its age");
}

#[tokio::test]
async fn what_follows_from_an_anomaly_of_nova_is_a_note_under_it() {
    let files = damaged_nova_plane();
    let config = Config::new(&files.api_url).base_url(&files.base_url);
    let plane = ControlPlane::open_read_only(config).await.unwrap();
    let report = plane.fsck(Repair::No).await.unwrap();
    let notes = |subject: &str| {
        let finding = report.findings.iter().find(|finding| finding.subject == subject);
        finding.unwrap().notes.join("; ")
    };
    let half_buried = text(&files.expected["classes"]["h_cell0_not_error_no_fault"][1]);
    assert!(notes(half_buried).starts_with("build-request-beside-mapping"));
    let unmapped = text(&files.expected["classes"]["i2_compute_node_not_mapped"][0]);
    assert!(notes(unmapped).contains("6 instances"), "{}", notes(unmapped));
}

fn text(value: &serde_json::Value) -> &str {
    value.as_str().unwrap()
}

#[rstest]
#[tokio::test]
async fn a_plane_that_nova_made_is_not_repaired(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(nova) = Nova::open(engine).await else { return };
    let refused = nova.plane.fsck(Repair::Yes).await.unwrap_err();
    assert!(matches!(refused, Write::ReadOnly(ReadOnlyPlane)), "{refused}");
}
