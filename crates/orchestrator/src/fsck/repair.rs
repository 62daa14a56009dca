//! The repairs.
use super::class::Plan;
use super::judge::Sighting;
use super::report::Dump;
use crate::Orchestrator;
use cellzero_database::DatabaseError;
use cellzero_types::CellUuid;

impl Orchestrator {
    pub(super) async fn repair_instance(
        &self,
        _: &Sighting,
        _: &Plan,
        _: &mut Vec<Dump>,
    ) -> Result<(), DatabaseError> {
        Ok(())
    }
    pub(super) async fn repair_host(
        &self,
        _: &str,
        _: &Plan,
        _: &mut Vec<Dump>,
    ) -> Result<(), DatabaseError> {
        Ok(())
    }
    pub(super) async fn send_overdue(&self, _: Option<CellUuid>) -> Result<(), DatabaseError> {
        Ok(())
    }
}
