//! An instance by its uuid, or by a name that no other one has.

use cellzero::{ControlPlane, InstanceUuid, ListFilters, ListQuery, RequestContext, SortKey};

use crate::exit::Exit;
use crate::failure::ended;

/// How many instances of one name are named.
const NAMED_MAX: u32 = 5;

/// The instance that `text` names. A uuid costs nothing; a name costs one list.
pub(crate) async fn find(
    plane: &ControlPlane,
    ctx: &RequestContext,
    text: &str,
) -> anyhow::Result<InstanceUuid> {
    if let Ok(uuid) = text.parse() {
        return Ok(uuid);
    }
    let filters = ListFilters::default().text(SortKey::DisplayName, text);
    let mut query = ListQuery::default().filter(filters).limit(NAMED_MAX).bare();
    query.all_projects = ctx.is_admin;
    let page = plane.list(ctx, &query).await?;
    match page.instances.as_slice() {
        [one] => Ok(one.uuid),
        [] if page.is_complete() => {
            Err(ended(Exit::NotFound, format!("no instance has the name or uuid {text:?}")))
        }
        [] => Err(ended(
            Exit::Unavailable,
            format!("no cell that answers has an instance {text:?}; give its uuid"),
        )),
        several => {
            let uuids: Vec<String> = several.iter().map(|found| found.uuid.to_string()).collect();
            let message =
                format!("several instances are named {text:?}; give a uuid: {}", uuids.join(", "));
            Err(ended(Exit::Ambiguous, message))
        }
    }
}
