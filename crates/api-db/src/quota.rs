//! Quotas: how many instances, cores and memory a project may have.
//!
//! Usage is counted, never kept: every accepted instance that is not queued for delete and not
//! buried in cell0. A row of `quota_locks` makes the accepts of one project take turns, so that a
//! limit is never exceeded; without a limit nothing is locked or counted.

use cellzero_database::{DatabaseError, ErrorKind, each, savepoint};
use cellzero_types::CellUuid;
use chrono::NaiveDateTime;
use diesel::prelude::*;
use diesel::sql_types::BigInt;

use crate::ApiConnection;
use crate::schema::{
    boot_states, cell_mappings, instance_mappings, quota_classes, quota_locks, quotas,
};

/// Upper limits of one project; `None` means no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QuotaLimits {
    /// Instances.
    pub instances: Option<i64>,
    /// Vcpus.
    pub cores: Option<i64>,
    /// Memory, in MiB.
    pub ram_mb: Option<i64>,
    /// Whether its instances that are buried are retried by themselves, where the request does not
    /// say: 0 for no, anything else for yes.
    pub auto_retry: Option<bool>,
}

impl QuotaLimits {
    /// Whether there is no limit at all.
    pub fn is_unlimited(&self) -> bool {
        (self.instances, self.cores, self.ram_mb) == (None, None, None)
    }

    fn set(&mut self, resource: &str, limit: Option<i32>) {
        // Nova writes -1 for "no limit".
        let limit = limit.filter(|limit| *limit >= 0).map(i64::from);
        match resource {
            "auto_retry" => self.auto_retry = limit.map(|limit| limit != 0),
            "instances" => self.instances = limit,
            "cores" => self.cores = limit,
            "ram" => self.ram_mb = limit,
            _ => {}
        }
    }
}

/// What a project uses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Instances.
    pub instances: i64,
    /// Vcpus.
    pub cores: i64,
    /// Memory, in MiB.
    pub ram_mb: i64,
}

/// The limits of a project: its own rows, or those of the class `default`, or `fallback`. One
/// statement.
///
/// # Errors
/// The database's.
pub fn limits(
    conn: &mut ApiConnection,
    project_id: &str,
    fallback: QuotaLimits,
) -> Result<QuotaLimits, DatabaseError> {
    // Rank 0 goes first, so that the project's own rows overwrite the class's.
    let mut rows: Vec<(i64, Option<String>, Option<i32>)> = each!(conn.sql(), c => {
        let class = quota_classes::table
            .filter(quota_classes::class_name.eq("default"))
            .select((0.into_sql::<BigInt>(), quota_classes::resource, quota_classes::hard_limit));
        let own = quotas::table
            .filter(quotas::project_id.eq(project_id))
            .select((1.into_sql::<BigInt>(), quotas::resource.nullable(), quotas::hard_limit));
        class.union_all(own).load(c)
    })?;
    rows.sort_by_key(|(rank, _, _)| *rank);
    let mut limits = fallback;
    for (_, resource, limit) in rows {
        limits.set(resource.as_deref().unwrap_or_default(), limit);
    }
    Ok(limits)
}

/// Makes the accepts of one project take turns until the end of the transaction. One statement,
/// a few more for a project's first.
///
/// # Errors
/// The database's.
pub fn lock(conn: &mut ApiConnection, project_id: &str) -> Result<(), DatabaseError> {
    if raise_generation(conn, project_id)? {
        return Ok(());
    }
    let first = savepoint(conn, |conn| {
        diesel::insert_into(quota_locks::table)
            .values((quota_locks::project_id.eq(project_id), quota_locks::generation.eq(1)))
            .execute(conn.sql())
            .map_err(DatabaseError::from)
    });
    match first {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::UniqueViolation => {
            raise_generation(conn, project_id).map(|_| ())
        }
        Err(error) => Err(error),
    }
}

fn raise_generation(conn: &mut ApiConnection, project_id: &str) -> Result<bool, DatabaseError> {
    let raised = diesel::update(quota_locks::table.find(project_id))
        .set(quota_locks::generation.eq(quota_locks::generation + 1))
        .execute(conn.sql())?;
    Ok(raised == 1)
}

/// What a project uses. One statement.
///
/// # Errors
/// The database's.
pub fn usage(conn: &mut ApiConnection, project_id: &str) -> Result<Usage, DatabaseError> {
    // Sums of 32-bit columns are 64-bit on every backend, but MySQL makes decimals of them; so the
    // rows are added up here. A project has hundreds of instances, rarely thousands.
    let rows: Vec<(i32, i32)> = instance_mappings::table
        .inner_join(
            boot_states::table.on(boot_states::instance_uuid.eq(instance_mappings::instance_uuid)),
        )
        .left_join(cell_mappings::table)
        .filter(instance_mappings::project_id.eq(project_id))
        .filter(instance_mappings::queued_for_delete.eq(false))
        .filter(
            cell_mappings::uuid
                .is_null()
                .or(cell_mappings::uuid.ne(CellUuid::CELL0.text()))
                .assume_not_null(),
        )
        .select((boot_states::vcpus, boot_states::memory_mb))
        .load(conn.sql())?;
    let mut usage = Usage::default();
    for (vcpus, memory_mb) in rows {
        usage.instances += 1;
        usage.cores += i64::from(vcpus);
        usage.ram_mb += i64::from(memory_mb);
    }
    Ok(usage)
}

#[derive(Insertable)]
#[diesel(table_name = quotas, treat_none_as_default_value = false)]
struct NewQuota<'a> {
    created_at: NaiveDateTime,
    project_id: &'a str,
    resource: &'a str,
    hard_limit: i32,
}

/// Sets one limit of a project: `instances`, `cores` or `ram`, -1 for no limit; or `auto_retry`. One statement, two
/// for a new one.
///
/// # Errors
/// The database's.
pub fn set(
    conn: &mut ApiConnection,
    project_id: &str,
    resource: &str,
    hard_limit: i32,
    now: NaiveDateTime,
) -> Result<(), DatabaseError> {
    let known = quotas::table
        .filter(quotas::project_id.eq(project_id))
        .filter(quotas::resource.eq(resource));
    let updated = diesel::update(known)
        .set((quotas::hard_limit.eq(hard_limit), quotas::updated_at.eq(now)))
        .execute(conn.sql())?;
    if updated == 0 {
        let row = NewQuota { created_at: now, project_id, resource, hard_limit };
        diesel::insert_into(quotas::table).values(&row).execute(conn.sql())?;
    }
    Ok(())
}
