//! The judgement as a table: what is seen of one uuid, and the class that names it.

use std::collections::{HashMap, HashSet};

use cellzero_api_db::census::{ApiSeen, ClaimSeen, MappingSeen};
use cellzero_cell_db::census::{CellSeen, HostsSeen, RowSeen};
use cellzero_database::Whose;
use cellzero_types::CellUuid;
use chrono::{NaiveDateTime, TimeDelta};
use rstest::rstest;
use uuid::Uuid;

use super::class::{Class, Plan};
use super::hosts::unmapped_node;
use super::judge::{Sighting, Terms, judge, named};
use super::repair::highest_epoch;
use super::report::{Finding, FsckReport};

const CELL1: CellUuid = CellUuid(Uuid::from_u128(1));
const CELL2: CellUuid = CellUuid(Uuid::from_u128(2));

fn now() -> NaiveDateTime {
    chrono::DateTime::from_timestamp(1_800_000_000, 0).unwrap().naive_utc()
}

fn terms(whose: Whose) -> Terms {
    Terms {
        whose,
        old_before: now() - TimeDelta::hours(1),
        claims_old_before: now() - TimeDelta::days(1),
        cells: HashMap::from([(1, CellUuid::CELL0), (2, CELL1), (3, CELL2)]),
        hosts: HashMap::from([("h1".into(), CELL1), ("h2".into(), CELL2)]),
        capacities: HashSet::from(["h1".into(), "h2".into()]),
        down: Vec::new(),
    }
}

/// An instance with nothing but its request spec and boot state, an hour and a day old.
fn instance() -> Sighting {
    let old = now() - TimeDelta::days(2);
    let api = ApiSeen {
        mapping: Some(MappingSeen {
            cell_id: None,
            queued_for_delete: false,
            changed_at: Some(old),
        }),
        request_spec: Some(Some(old)),
        boot_state: Some((2, Some(2))),
        ..ApiSeen::default()
    };
    Sighting { uuid: Uuid::from_u128(9).to_string(), api, cells: Vec::new() }
}

impl Sighting {
    fn mapped(mut self, cell_id: i32) -> Sighting {
        self.api.mapping.as_mut().unwrap().cell_id = Some(cell_id);
        self
    }

    fn queued(mut self) -> Sighting {
        self.api.mapping.as_mut().unwrap().queued_for_delete = true;
        self
    }

    fn requested(mut self) -> Sighting {
        self.api.build_request = Some(Some(now() - TimeDelta::days(2)));
        self
    }

    fn intended(mut self, cell: CellUuid) -> Sighting {
        self.api.intents.push((2, cell.text()));
        self
    }

    fn claiming(mut self, host: &str) -> Sighting {
        let created_at = now() - TimeDelta::days(2);
        self.api.claim = Some(ClaimSeen { epoch: 2, host: host.into(), created_at });
        self
    }

    fn row(mut self, cell: CellUuid, written: i64) -> Sighting {
        let (vm_state, host) = match cell.is_cell0() {
            true => ("error", None),
            false => ("active", Some(if cell == CELL1 { "h1" } else { "h2" }.to_owned())),
        };
        let row = RowSeen {
            deleted: false,
            vm_state: Some(vm_state.into()),
            host,
            changed_at: Some(now() - TimeDelta::days(2)),
        };
        let seen = CellSeen {
            row: Some(row),
            has_extra: true,
            has_info_cache: true,
            has_fault: cell.is_cell0(),
            fence: Some((written, Some(written))),
        };
        self.cells.push((cell, seen));
        self
    }

    /// The last row, changed.
    fn with(mut self, change: impl FnOnce(&mut CellSeen)) -> Sighting {
        change(&mut self.cells.last_mut().unwrap().1);
        self
    }

    fn on_host(self, host: &str) -> Sighting {
        self.with(|seen| seen.row.as_mut().unwrap().host = Some(host.into()))
    }

    fn deleted(mut self) -> Sighting {
        self.cells.last_mut().unwrap().1.row.as_mut().unwrap().deleted = true;
        self
    }
}

#[rstest]
#[case::at_home(instance().mapped(2).row(CELL1, 2).claiming("h1"))]
#[case::buried(instance().mapped(1).row(CellUuid::CELL0, 2))]
#[case::accepted(instance().requested())]
#[case::written_and_not_decided(instance().requested().intended(CELL1).row(CELL1, 2).claiming("h1"))]
#[case::a_left_over_to_be_swept(
    instance().mapped(3).row(CELL2, 2).claiming("h2").intended(CELL1).row(CELL1, 1)
)]
#[case::deleted(instance().mapped(2).queued().row(CELL1, 2).deleted())]
#[case::its_delete_waits_for_its_cell(
    instance().mapped(2).queued().row(CELL1, 2).intended(CELL1).claiming("h1")
)]
#[case::deleted_while_building(instance().queued())]
#[case::deleted_and_its_cell_forgotten(instance().mapped(99).queued().claiming("h1"))]
#[case::deleted_with_rows_to_be_swept(instance().mapped(2).queued().claiming("h1").intended(CELL1))]
#[case::its_claim_has_moved_and_its_cell_is_to_be_told(
    instance().mapped(2).row(CELL1, 1).intended(CELL1).claiming("h3")
)]
#[case::its_claim_is_free_and_its_cell_is_to_be_told(
    instance().mapped(2).row(CELL1, 1).intended(CELL1)
)]
#[case::no_host_could_build_it(
    instance().mapped(2).row(CELL1, 2).with(|seen| seen.row.as_mut().unwrap().host = None)
)]
#[case::buried_though_it_had_a_host(instance().mapped(1).row(CellUuid::CELL0, 2).on_host("h9"))]
fn what_the_protocol_allows_is_not_named(#[case] seen: Sighting) {
    assert_eq!(judge(&seen, &terms(Whose::Ours)), []);
}

#[rstest]
#[case(Class::InNoPlace, Plan::Bury, instance().mapped(2))]
#[case(
    Class::InTwoCells,
    Plan::EraseRows { cell: CELL2, written_epoch: Some(1) },
    instance().mapped(2).row(CELL1, 2).row(CELL2, 1).claiming("h1")
)]
#[case(
    Class::InUnnamedCell,
    Plan::AdoptRow { cell: CELL1 },
    instance().mapped(3).row(CELL1, 2).claiming("h1")
)]
#[case(Class::UndecidedRow, Plan::AdoptRow { cell: CELL1 }, instance().row(CELL1, 2))]
#[case(
    Class::RowBesideBuildRequest,
    Plan::AdoptRow { cell: CELL1 },
    instance().requested().row(CELL1, 2)
)]
#[case(
    Class::RowBesideBuildRequest,
    Plan::EraseRows { cell: CELL1, written_epoch: Some(1) },
    instance().requested().row(CELL1, 1)
)]
#[case(Class::MappingWithoutAnything, Plan::Bury, instance())]
#[case(
    Class::BuildRequestBesideMapping,
    Plan::DeleteBuildRequest,
    instance().mapped(2).row(CELL1, 2).claiming("h1").requested()
)]
#[case(
    Class::DeletedRowLiveMapping,
    Plan::QueueForDelete,
    instance().mapped(2).row(CELL1, 2).deleted()
)]
#[case(
    Class::LiveRowDeadMapping,
    Plan::FinishDelete { cell: CELL1 },
    instance().mapped(2).queued().row(CELL1, 2)
)]
#[case(
    Class::InstanceWithoutClaim,
    Plan::ClaimFromRow { cell: CELL1 },
    instance().mapped(2).row(CELL1, 2)
)]
#[case(
    Class::ClaimWithoutInstance,
    Plan::FreeClaim,
    instance().mapped(2).queued().row(CELL1, 2).deleted().claiming("h1")
)]
#[case(
    Class::DeletedRowLiveMapping,
    Plan::QueueForDelete,
    instance().row(CELL1, 2).deleted()
)]
#[case(Class::InNoPlace, Plan::Bury, instance().mapped(2).row(CELL2, 2).deleted())]
#[case(
    Class::UndecidedRow,
    Plan::AdoptRow { cell: CELL1 },
    instance().row(CELL1, 2).row(CellUuid::CELL0, 2)
)]
#[case(
    Class::UndecidedRow,
    Plan::AdoptRow { cell: CellUuid::CELL0 },
    instance().row(CELL1, 2).row(CellUuid::CELL0, 3)
)]
#[case(
    Class::HalfBuried,
    Plan::CompleteBurial,
    instance().mapped(1).row(CellUuid::CELL0, 2).with(|seen| seen.has_fault = false)
)]
#[case(
    Class::HalfBuried,
    Plan::CompleteBurial,
    instance().mapped(1).row(CellUuid::CELL0, 2)
        .with(|seen| seen.row.as_mut().unwrap().vm_state = Some("building".into()))
)]
#[case(
    Class::HalfWritten,
    Plan::CompleteRows { cell: CELL1 },
    instance().mapped(2).row(CELL1, 2).claiming("h1").with(|seen| seen.has_extra = false)
)]
#[case(
    Class::HalfWritten,
    Plan::CompleteRows { cell: CELL1 },
    instance().mapped(2).row(CELL1, 2).claiming("h1").with(|seen| seen.has_info_cache = false)
)]
#[case::fenced(
    Class::InTwoCells,
    Plan::EraseRows { cell: CELL2, written_epoch: Some(2) },
    instance().mapped(2).row(CELL1, 2).claiming("h1").row(CELL2, 2)
        .with(|seen| seen.fence = Some((5, Some(2))))
)]
#[case(
    Class::HostInAnotherCell,
    Plan::TakeHostFromClaim { cell: CELL1 },
    instance().mapped(2).row(CELL1, 2).on_host("h2").claiming("h1")
)]
#[case(
    Class::ClaimWithoutInstance,
    Plan::FreeClaim,
    instance().mapped(1).row(CellUuid::CELL0, 2).claiming("h1")
)]
fn what_it_forbids_is_named_with_its_repair(
    #[case] class: Class,
    #[case] plan: Plan,
    #[case] seen: Sighting,
) {
    let finding = named(judge(&seen, &terms(Whose::Ours))).unwrap();
    assert_eq!((finding.class, finding.plan), (class, plan));
}

/// What stands in a cell that does not answer is not known, so nothing is called absent.
#[test]
fn beside_a_down_cell_nothing_is_buried_adopted_or_freed() {
    let terms = Terms { down: vec![CELL2], ..terms(Whose::Ours) };
    assert_eq!(judge(&instance().mapped(3), &terms), [], "its own cell is down");
    for seen in [instance(), instance().mapped(2), instance().row(CELL1, 2)] {
        let finding = named(judge(&seen, &terms)).unwrap();
        assert!(matches!(finding.plan, Plan::ByHand { .. }), "{finding:?}");
    }
}

#[test]
fn rows_of_an_epoch_beyond_the_api_database_are_never_erased() {
    let newer = instance().mapped(2).row(CELL1, 2).claiming("h1").row(CELL2, 7);
    let finding = named(judge(&newer, &terms(Whose::Ours))).unwrap();
    assert_eq!(finding.class, Class::InTwoCells);
    assert!(matches!(finding.plan, Plan::ByHand { .. }), "{finding:?}");
    let newer = named(judge(&instance().requested().row(CELL1, 7), &terms(Whose::Ours))).unwrap();
    assert_eq!(newer.plan, Plan::AdoptRow { cell: CELL1 });
}

/// Each with nothing that says which of two things is right.
#[rstest]
#[case::neither_row_is_older(
    Class::InTwoCells,
    instance().mapped(2).row(CELL1, 2).claiming("h1").row(CELL2, 2)
)]
#[case::its_claim_is_of_no_known_host(
    Class::HostInAnotherCell,
    instance().mapped(2).row(CELL1, 2).on_host("h2").claiming("h9")
)]
#[case::its_claim_is_of_the_foreign_host(
    Class::HostInAnotherCell,
    instance().mapped(2).row(CELL1, 2).on_host("h2").claiming("h2")
)]
#[case::its_host_never_reported(
    Class::ClaimOfUnknownHost,
    instance().mapped(2).row(CELL1, 2).on_host("h9").claiming("h9")
)]
fn what_nothing_decides_is_left_to_a_person(#[case] class: Class, #[case] seen: Sighting) {
    let finding = named(judge(&seen, &terms(Whose::Ours))).unwrap();
    assert_eq!(finding.class, class);
    assert!(matches!(finding.plan, Plan::ByHand { .. }), "{finding:?}");
}

#[test]
fn the_claim_of_a_deleted_instance_is_its_hosts_until_it_is_old() {
    let mut seen = instance().mapped(2).queued().claiming("h1");
    let terms = terms(Whose::Ours);
    let mut changed = |at| {
        seen.api.mapping.as_mut().unwrap().changed_at = Some(at);
        judge(&seen, &terms).len()
    };
    let old = terms.claims_old_before;
    assert_eq!(changed(old - TimeDelta::seconds(1)), 1);
    assert_eq!(changed(old), 1);
    assert_eq!(changed(old + TimeDelta::seconds(1)), 0);
    // While its row lives, the row is what is wrong; while its cell is down, nothing is known.
    let row = instance().mapped(2).queued().claiming("h1").row(CELL1, 2);
    let classes: Vec<Class> = judge(&row, &terms).iter().map(|finding| finding.class).collect();
    assert_eq!(classes, [Class::LiveRowDeadMapping]);
    let down = Terms { down: vec![CELL1], ..terms };
    assert_eq!(judge(&instance().mapped(2).queued().claiming("h1"), &down), []);
}

#[test]
fn a_new_epoch_is_beyond_all_that_were_seen() {
    assert_eq!(highest_epoch(&Sighting::default()), 1);
    assert_eq!(highest_epoch(&instance()), 2);
    let fenced = instance().row(CELL1, 4).with(|seen| seen.fence = Some((7, Some(4))));
    assert_eq!(highest_epoch(&fenced), 7);
    assert_eq!(highest_epoch(&fenced.row(CELL2, 9)), 9);
}

#[test]
fn a_finding_says_the_state_of_the_row() {
    let told = |seen: &Sighting| named(judge(seen, &terms(Whose::Ours))).unwrap().detail;
    let seen = instance().row(CELL1, 2);
    assert!(told(&seen).ends_with("in state active"), "{}", told(&seen));
    let without = seen.with(|seen| seen.row.as_mut().unwrap().vm_state = None);
    assert!(told(&without).ends_with("in state NULL"), "{}", told(&without));
}

#[test]
fn a_report_is_clean_only_where_all_was_seen_and_nothing_found() {
    let clean = FsckReport::default();
    assert!(clean.is_clean());
    assert!(!FsckReport { truncated: true, ..clean.clone() }.is_clean());
    let unreachable = [(CELL1, "refused".to_owned())].into();
    assert!(!FsckReport { unreachable, ..clean.clone() }.is_clean());
    let mut found = clean;
    for subject in ["a", "b"] {
        found.add(Finding::new(Class::InNoPlace, subject, Plan::Bury));
    }
    assert!(!found.is_clean());
    assert_eq!(found.counts, [(Class::InNoPlace, 2)].into());
}

#[test]
fn a_node_of_nova_is_named_once_it_was_to_be_discovered() {
    let old = now() - TimeDelta::hours(1);
    let made = |at| {
        let nodes = [("h9".to_owned(), at)].into();
        let seen = HostsSeen { nodes, services: Default::default() };
        unmapped_node("h9", &[(CELL1, seen)], old).map(|finding| finding.class)
    };
    let named = Some(Class::NodeWithoutHostMapping);
    assert_eq!(made(None), named);
    assert_eq!(made(Some(old - TimeDelta::seconds(1))), named);
    assert_eq!(made(Some(old)), named);
    assert_eq!(made(Some(old + TimeDelta::seconds(1))), None);
}

#[test]
fn on_a_plane_that_nova_made_only_what_is_old_is_named() {
    let mut seen = instance().requested().row(CELL1, 2);
    let nova = terms(Whose::Novas);
    assert_eq!(named(judge(&seen, &nova)).unwrap().class, Class::RowBesideBuildRequest);
    seen.api.build_request = Some(Some(now()));
    assert_eq!(judge(&seen, &nova), []);
    seen.api.build_request = Some(Some(nova.old_before));
    assert_eq!(judge(&seen, &nova).len(), 1);
}
