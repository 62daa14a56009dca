//! The walk through an archive: it fails at each place in turn, another process runs it again, and
//! then each deleted instance stands in the shadow tables once, and nothing else has changed.

use std::time::{Duration, Instant};

use cellzero::*;
use cellzero_test_support::Engine;
use rstest::rstest;

use crate::script::{Fault, Where};
use crate::stage::Stage;
use crate::support::user;
use crate::walked::{FITS, NEVER_FITS, asked};
use crate::{BACKENDS, PLACES_MAX, is_whole};

/// Everything that is deleted by now, one instance in a batch.
fn at_once() -> ArchiveOptions {
    ArchiveOptions { age_min: Duration::ZERO, batch: 2, ..ArchiveOptions::default() }
}

/// One deleted in a cell, one in cell0, and one before it had a home.
async fn dead(stage: &Stage) -> [InstanceUuid; 3] {
    let plane = &stage.test.plane;
    let mut dead = Vec::new();
    for flavor in [FITS, NEVER_FITS] {
        let accepted = plane.boot(&user(), asked(flavor).build().unwrap()).await.unwrap();
        plane.settle().await.unwrap();
        dead.extend(accepted.instances);
    }
    let accepted = plane.boot(&user(), asked(FITS).build().unwrap()).await.unwrap();
    dead.extend(accepted.instances);
    for uuid in &dead {
        plane.delete(&user(), *uuid).await.unwrap();
    }
    plane.settle().await.unwrap();
    dead.try_into().expect("three")
}

async fn check(stage: &Stage, dead: [InstanceUuid; 3], live: InstanceUuid) {
    let plane = &stage.test.plane;
    for uuid in dead {
        let shown = plane.show(&user(), uuid).await;
        assert!(matches!(shown, Err(ReadError::InstanceNotFound { .. })), "{shown:?}");
        let of = |table: &str| format!("{table} WHERE instance_uuid = '{uuid}'");
        let api = &stage.test.api;
        for table in ["shadow_instance_mappings", "shadow_request_specs"] {
            assert_eq!(stage.count(api, &of(table)), 1, "{table} of {uuid}");
        }
        for table in ["instance_mappings", "request_specs", "boot_states"] {
            assert_eq!(stage.count(api, &of(table)), 0, "{table} of {uuid}");
        }
    }
    let (cell, cell0) = (&stage.test.cells[0].1, &stage.test.cell0);
    for (uuid, database, faults) in [(dead[0], cell, 0), (dead[1], cell0, 1), (dead[2], cell, 0)] {
        let has_home = i64::from(uuid != dead[2]);
        let of = |table: &str| format!("{table} WHERE instance_uuid = '{uuid}'");
        for (table, rows) in [
            ("shadow_instance_extra", has_home),
            ("shadow_instance_info_caches", has_home),
            ("shadow_instance_actions", 2 * has_home),
            ("shadow_instance_faults", faults),
            ("instance_extra", 0),
            ("instance_actions", 0),
            ("instance_fences", 0),
        ] {
            assert_eq!(stage.count(database, &of(table)), rows, "{table} of {uuid}");
        }
        let row = format!("shadow_instances WHERE uuid = '{uuid}'");
        assert_eq!(stage.count(database, &row), has_home, "the row of {uuid}");
    }
    let shown = plane.show(&user(), live).await.expect("it lives");
    assert_eq!(shown.vm_state, Some(VmState::Active));
    let report = plane.fsck(Repair::No).await.unwrap();
    assert!(report.is_clean(), "{:?}", report.findings);
}

/// One run with a fault at one place; says whether it was met.
async fn strike(stage: &Stage, fault: Fault, place: u64, live: InstanceUuid) -> bool {
    let dead = dead(stage).await;
    stage.script.arm(fault, Where::Place(place));
    let victim = stage.victim.clone();
    let ended = tokio::spawn(async move { victim.archive(&at_once(), |_| {}).await }).await;
    stage.script.disarm();
    let struck = stage.script.has_struck();
    assert_eq!(ended.is_err(), struck && fault == Fault::Panic);
    if !struck {
        let report = ended.unwrap().expect("an archive");
        assert_eq!((report.instances, report.complete), (3, true), "{report:?}");
    }
    let again = stage.test.plane.archive(&at_once(), |_| {}).await.expect("an archive");
    assert!(again.complete && again.left.is_empty() && again.unsettled == 0, "{again:?}");
    check(stage, dead, live).await;
    struck
}

#[rstest]
#[tokio::test]
async fn a_fault_at_any_place_of_an_archive_is_survived(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(stage) = Stage::open(engine).await else { return };
    let began = Instant::now();
    let asked = asked(FITS).build().unwrap();
    let live = stage.test.plane.boot(&user(), asked).await.unwrap()[0];
    stage.test.plane.settle().await.unwrap();
    stage.test.plane.archive(&at_once(), |_| {}).await.unwrap();
    let turn = Engine::ALL.into_iter().zip(0..).find(|(known, _)| *known == engine).unwrap().1;
    let mut faults = 0;
    for place in 0..PLACES_MAX {
        let all = [Fault::Crash, Fault::Break, Fault::Panic];
        let mine = all.into_iter().zip(0..).filter(|(_, nth)| {
            // Each fault comes at every place of one backend or another.
            is_whole() || (place + nth) % BACKENDS == turn
        });
        for (fault, _) in mine {
            if !strike(&stage, fault, place, live).await {
                let seconds = began.elapsed().as_secs_f64();
                let name = engine.name();
                println!(
                    "{name}: Archive: {faults} faults at {place} places survived, {seconds:.1} s"
                );
                assert!(place > 80, "an archive has more places than {place}");
                return;
            }
            faults += 1;
        }
    }
    panic!("the walk does not end");
}
