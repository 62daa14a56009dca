//! Fsck: each class is named where it is planted, and nothing is named where nothing is wrong.

mod nova;
mod planted;
mod sound;

use cellzero::*;

use crate::support::TestPlane;

/// What is checked in tests: whatever is older than now is old.
pub(crate) fn options(repair: Repair) -> FsckOptions {
    let none = std::time::Duration::ZERO;
    FsckOptions { repair, age: none, claim_age: none, slice: 3, ..FsckOptions::default() }
}

/// What a check without repair finds: class and subject.
pub(crate) async fn found(test: &TestPlane) -> Vec<(Class, String)> {
    let report = test.plane.fsck(options(Repair::No)).await.expect("a check");
    assert!(report.unreachable.is_empty() && report.moving.is_empty(), "{report:?}");
    assert!(report.dumps.is_empty() && report.findings.iter().all(|f| !f.repaired));
    report.findings.into_iter().map(|finding| (finding.class, finding.subject)).collect()
}
