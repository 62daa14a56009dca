//! A list of a project, page by page, against the history.

use std::collections::HashSet;

use cellzero::{ControlPlane, InstanceUuid, ListQuery, RequestContext};

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
        Some(Listed { partial: true, .. }) => history.count(|counts| counts.partial_lists += 1),
        Some(listed) => {
            for uuid in history.expected(project, began) {
                if !listed.uuids.contains(&uuid) {
                    history.not_found(uuid, "list");
                }
            }
        }
    }
}

struct Listed {
    uuids: HashSet<InstanceUuid>,
    /// Whether a cell did not answer: what is missing then is unknown.
    partial: bool,
}

/// All pages; none where one failed, or where its marker was deleted meanwhile.
async fn read(
    plane: &ControlPlane,
    history: &History,
    project: &str,
    began: Moment,
) -> Option<Listed> {
    let mut listed = Listed { uuids: HashSet::new(), partial: false };
    let mut query = ListQuery::default().limit(PAGE);
    loop {
        let ctx: RequestContext = user(project);
        let page = plane.list(&ctx, &query).await.ok()?;
        listed.partial |= !page.down_cells.is_empty();
        for instance in &page.instances {
            let uuid = instance.uuid;
            if !listed.uuids.insert(uuid) {
                history.wrong(Wrong::Doubled, format!("{uuid} stands twice in a list"));
            }
            history.found(uuid, project, began, instance.home.is_cell0());
        }
        match page.next {
            Some(marker) => query = query.after(marker),
            None => return Some(listed),
        }
    }
}
