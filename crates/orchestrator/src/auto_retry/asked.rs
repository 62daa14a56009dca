//! What is buried begins to wait when its user asks for it later, and ends when its user says so.

use cellzero_api_db::instance_mapping::InstanceMapping;
use cellzero_api_db::waiting::{self, NewWaiting};
use cellzero_api_db::{ApiConnection, boot_state, instance_mapping, request_spec};
use cellzero_database::{DatabaseError, transaction};
use cellzero_types::{InstanceUuid, RequestContext, RequestSpec};
use chrono::NaiveDateTime;

use super::{class_of, delta};
use crate::Orchestrator;
use crate::retry::RetryError;
use crate::retry::RetryError::NotBuried;

impl Orchestrator {
    /// Lets a buried instance wait, to be retried by itself once it may fit, as if its request had asked
    /// for it; says whether it did not wait before. Also one whose group was too small waits: it comes
    /// back alone. Up to nine statements in one transaction.
    ///
    /// # Errors
    /// [`RetryError::InstanceNotFound`], [`RetryError::NotBuried`], or the API database's.
    pub async fn retry_when_it_fits(
        &self,
        ctx: &RequestContext,
        uuid: InstanceUuid,
    ) -> Result<bool, RetryError> {
        let expires_after = delta(self.0.options.auto_retry.expires_after);
        let ctx = ctx.clone();
        let enter = move |conn: &mut ApiConnection| {
            transaction(conn, "retry_when_it_fits", |conn| {
                let now = conn.now();
                let mapping = seen(conn, &ctx, uuid)?;
                match mapping.cell {
                    Some(cell) if cell.is_cell0() => {}
                    Some(_) => return Err(NotBuried { uuid, reason: "it lives in a cell" }),
                    None => return Err(NotBuried { uuid, reason: "it is being built" }),
                }
                let spec = set_auto_retry(conn, uuid, true, now)?;
                if waiting::find(conn, uuid)?.is_some() {
                    return Ok(false);
                }
                let (class, expires_at) = (class_of(&spec), now + expires_after);
                waiting::enter(
                    conn,
                    &[NewWaiting { instance_uuid: uuid, class, expires_at }],
                    now,
                )?;
                Ok(true)
            })
        };
        self.api().run("retry_when_it_fits", self.step_deadline(), enter).await
    }

    /// Ends that an instance waits, and that it is retried by itself again; says whether it waited. One
    /// that is on its way goes on. Up to seven statements in one transaction.
    ///
    /// # Errors
    /// [`RetryError::InstanceNotFound`], or the API database's.
    pub async fn stop_waiting(
        &self,
        ctx: &RequestContext,
        uuid: InstanceUuid,
    ) -> Result<bool, RetryError> {
        let ctx = ctx.clone();
        let leave = move |conn: &mut ApiConnection| {
            transaction(conn, "stop_waiting", |conn| {
                let now = conn.now();
                seen(conn, &ctx, uuid)?;
                set_auto_retry(conn, uuid, false, now)?;
                let waited = waiting::find(conn, uuid)?.is_some();
                waiting::forget(conn, &[uuid])?;
                Ok(waited)
            })
        };
        self.api().run("stop_waiting", self.step_deadline(), leave).await
    }
}

/// The mapping of an instance that `ctx` may see, under the lock of its boot state.
fn seen(
    conn: &mut ApiConnection,
    ctx: &RequestContext,
    uuid: InstanceUuid,
) -> Result<InstanceMapping, RetryError> {
    boot_state::lock(conn, uuid)?;
    instance_mapping::find(conn, uuid)?
        .filter(|mapping| ctx.may_see(&mapping.project_id) && !mapping.queued_for_delete)
        .ok_or(RetryError::InstanceNotFound { uuid })
}

/// Writes down whether an instance is to be retried by itself, so that it holds when it is buried the
/// next time too.
fn set_auto_retry(
    conn: &mut ApiConnection,
    uuid: InstanceUuid,
    auto_retry: bool,
    now: NaiveDateTime,
) -> Result<RequestSpec, RetryError> {
    let spec = request_spec::of_instances(conn, &[uuid])?.pop();
    let mut spec =
        spec.ok_or_else(|| DatabaseError::damaged(format!("instance {uuid} has no request spec")))?;
    if spec.auto_retry != auto_retry {
        spec.auto_retry = auto_retry;
        request_spec::replace(conn, &spec, now)?;
    }
    Ok(spec)
}
