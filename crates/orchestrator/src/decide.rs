//! Step 5: the decision. One transaction in the API database makes what the cells hold visible:
//! the mapping names the cell, and the build request goes.
//!
//! Where a guard finds less than it should (a delete, another epoch, a cell that was disabled
//! meanwhile), the transaction starts over, looks at each instance, and decides on those that are
//! still ours. The rest is left for the sweep: its intents stand.
//!
//! Statements: four for instances that share cell, epoch and version, for each five hundred of
//! them; for each hundred that wait once they are buried, two more; for those that were retried, one
//! or two more.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use cellzero_api_db::boot_state::{self, Ticket};
use cellzero_api_db::{ApiConnection, boot_intent, build_request, cell_mapping, instance_mapping};
use cellzero_database::{DatabaseError, ErrorKind, database_error_source, transaction};
use cellzero_types::{CellUuid, InstanceUuid};

use crate::Orchestrator;
use crate::auto_retry::Waits;

/// Where each decided instance lives now.
pub(crate) type Decided = HashMap<InstanceUuid, CellUuid>;

#[derive(Debug, thiserror::Error)]
enum DecideError {
    /// Fewer rows than tickets: somebody else has decided about one.
    #[error("an instance was decided otherwise meanwhile")]
    Lost,
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

database_error_source!(DecideError);

/// Instances that share cell, epoch and version, so that one guard serves them all.
type Alike = BTreeMap<(CellUuid, i64, i64), Vec<InstanceUuid>>;

impl Orchestrator {
    /// Decides the homes of instances that their cells hold; says which were decided.
    ///
    /// # Errors
    /// The API database's. An unknown commit was read back before, so it is none of them.
    #[tracing::instrument(level = "debug", skip_all, fields(instances = written.len()))]
    pub(crate) async fn decide(
        &self,
        written: Vec<(Ticket, CellUuid)>,
        waits: Waits,
    ) -> Result<Decided, DatabaseError> {
        if written.is_empty() {
            return Ok(Decided::new());
        }
        let tickets = written.clone();
        let cell_ids = self.cell_ids(&written).await;
        let decided = self
            .api()
            .run("decide", self.step_deadline(), move |conn| {
                let all = alike(&tickets);
                match transaction(conn, "decide", |conn| decide_all(conn, &all, &cell_ids, &waits))
                {
                    Err(DecideError::Lost) => transaction(conn, "decide_ours", |conn| {
                        let ours = still_ours(conn, &tickets)?;
                        decide_all(conn, &alike(&ours), &cell_ids, &waits)
                    }),
                    done => done,
                }
            })
            .await;
        match decided {
            Ok(decided) => Ok(decided),
            // Under the lock nothing can be lost; an empty answer decides nothing.
            Err(DecideError::Lost) => Ok(Decided::new()),
            Err(DecideError::Database(error)) if error.kind() == ErrorKind::CommitUnknown => {
                self.read_decided(written).await
            }
            Err(DecideError::Database(error)) => Err(error),
        }
    }

    /// The row ids of the cells' mappings. They were just written, so all are known.
    async fn cell_ids(&self, written: &[(Ticket, CellUuid)]) -> HashMap<CellUuid, i32> {
        let mut ids = HashMap::new();
        for cell in written.iter().map(|(_, cell)| *cell).collect::<BTreeSet<_>>() {
            if let Ok(handle) = self.0.router.cells().get(cell, self.step_deadline()).await {
                ids.insert(cell, handle.mapping().id);
            }
        }
        ids
    }

    /// What was decided, read from the database: decided_epoch ours and the cell ours.
    async fn read_decided(
        &self,
        written: Vec<(Ticket, CellUuid)>,
    ) -> Result<Decided, DatabaseError> {
        self.api()
            .run("read_decided", self.step_deadline(), move |conn| {
                let mut decided = Decided::new();
                for (ticket, cell) in written {
                    let state = boot_state::find(conn, ticket.instance_uuid)?;
                    let mapping = instance_mapping::find(conn, ticket.instance_uuid)?;
                    let ours = state.is_some_and(|s| s.decided_epoch == Some(ticket.epoch))
                        && mapping.is_some_and(|m| m.cell == Some(cell));
                    if ours {
                        decided.insert(ticket.instance_uuid, cell);
                    }
                }
                Ok(decided)
            })
            .await
    }
}

fn alike(written: &[(Ticket, CellUuid)]) -> Alike {
    let mut alike = Alike::new();
    for (ticket, cell) in written {
        alike
            .entry((*cell, ticket.epoch, ticket.request_version))
            .or_default()
            .push(ticket.instance_uuid);
    }
    alike.values_mut().for_each(|uuids| uuids.sort());
    alike
}

fn decide_all(
    conn: &mut ApiConnection,
    alike: &Alike,
    cell_ids: &HashMap<CellUuid, i32>,
    waits: &Waits,
) -> Result<Decided, DecideError> {
    let now = conn.now();
    let mut decided = Decided::new();
    for ((cell, epoch, version), uuids) in alike {
        let cell_id = cell_ids.get(cell).ok_or(DecideError::Lost)?;
        // The boot states first: their rows are the lock of every decision.
        if boot_state::decide(conn, uuids, (*epoch, *version), *cell, now)? != uuids.len()
            || instance_mapping::decide(conn, uuids, *cell_id, now)? != uuids.len()
        {
            return Err(DecideError::Lost);
        }
        build_request::delete(conn, uuids)?;
        boot_intent::forget_epoch(conn, uuids, *epoch)?;
        decided.extend(uuids.iter().map(|uuid| (*uuid, *cell)));
    }
    waits.note(conn, &decided, now)?;
    Ok(decided)
}

/// Those whose epoch and version still stand and whose cell may still be written. Their rows stay
/// locked, so the guards that follow find them all.
fn still_ours(
    conn: &mut ApiConnection,
    written: &[(Ticket, CellUuid)],
) -> Result<Vec<(Ticket, CellUuid)>, DatabaseError> {
    let uuids: Vec<InstanceUuid> = written.iter().map(|(t, _)| t.instance_uuid).collect();
    let locked: HashMap<InstanceUuid, Ticket> = boot_state::lock_undecided(conn, &uuids)?
        .iter()
        .map(|state| (state.instance_uuid, state.ticket()))
        .collect();
    let open: Vec<CellUuid> = cell_mapping::all(conn)?
        .into_iter()
        .filter(|mapping| mapping.is_cell0() || !mapping.disabled)
        .map(|mapping| mapping.uuid)
        .collect();
    let mappings = instance_mapping::of_instances(conn, &uuids)?;
    let ours = written.iter().filter(|(ticket, cell)| {
        let mapping = mappings.get(&ticket.instance_uuid);
        locked.get(&ticket.instance_uuid) == Some(ticket)
            && open.contains(cell)
            && mapping.is_some_and(|m| m.cell.is_none() && !m.queued_for_delete)
    });
    Ok(ours.copied().collect())
}
