//! A list of a project, page by page, against the history.

use std::collections::HashSet;

use cellzero::{ControlPlane, InstanceUuid, ListQuery, RequestContext, SortDirection, SortKey};

use crate::history::{History, Moment, Wrong};
use crate::order::user;

/// Instances of one page: small, so that a list has several.
const PAGE: u32 = 40;

/// Lists a project and holds the answer against the history.
pub(crate) async fn list(plane: &ControlPlane, history: &History, project: &str) {
    let began = history.now();
    history.count(|counts| counts.lists += 1);
    match read(plane, history, project, began).await {
        None => history.count(|counts| counts.unknown += 1),
        // One whose cell does not answer is listed too.
        Some(listed) => {
            for uuid in history.expected(project, began) {
                if !listed.contains(&uuid) {
                    history.not_found(uuid, "list");
                }
            }
        }
    }
}

/// All pages; none where one failed. Every other list is one that asks all cells.
async fn read(
    plane: &ControlPlane,
    history: &History,
    project: &str,
    began: Moment,
) -> Option<HashSet<InstanceUuid>> {
    let mut listed = HashSet::new();
    let mut partial = false;
    let mut query = ListQuery::default().limit(PAGE);
    if history.lists().is_multiple_of(2) {
        query = query.sort_by([(SortKey::DisplayName, SortDirection::Ascending)]);
    }
    loop {
        let ctx: RequestContext = user(project);
        let page = plane.list(&ctx, &query).await.ok()?;
        partial |= !page.is_complete();
        for instance in &page.instances {
            let uuid = instance.uuid;
            if !listed.insert(uuid) {
                history.wrong(Wrong::Doubled, format!("{uuid} stands twice in a list"));
            }
            history.found(uuid, project, began, instance.home.is_cell0());
        }
        match page.next {
            Some(next) => query = query.after(next),
            None => {
                history.count(|counts| counts.partial_lists += u64::from(partial));
                return Some(listed);
            }
        }
    }
}
