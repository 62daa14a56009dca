//! Quotas: how many instances, cores and memory a project may have.
//!
//! A limit is the project's own row in `quotas`, else that of the class `default` in
//! `quota_classes`, else the configuration's, else there is none; -1 says that there is none.
//!
//! Usage is counted, never kept: every accepted instance that is not queued for delete and not
//! buried in cell0. A row of `quota_locks` makes the accepts of one project take turns, so that a
//! limit is never exceeded; without a limit nothing is locked or counted.

use std::collections::BTreeMap;

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

/// What can be limited, and `auto_retry`, which is no amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum QuotaResource {
    /// Instances.
    Instances,
    /// Vcpus.
    Cores,
    /// Memory, in MiB.
    Ram,
    /// Whether what is buried is retried by itself: 0 for no, anything else for yes.
    AutoRetry,
}

impl QuotaResource {
    /// All of them.
    pub const ALL: [QuotaResource; 4] = [
        QuotaResource::Instances,
        QuotaResource::Cores,
        QuotaResource::Ram,
        QuotaResource::AutoRetry,
    ];

    /// Its name in the tables, as in Nova.
    pub fn as_str(self) -> &'static str {
        match self {
            QuotaResource::Instances => "instances",
            QuotaResource::Cores => "cores",
            QuotaResource::Ram => "ram",
            QuotaResource::AutoRetry => "auto_retry",
        }
    }

    /// The resource of this name, where there is one.
    pub fn named(name: &str) -> Option<QuotaResource> {
        QuotaResource::ALL.into_iter().find(|resource| resource.as_str() == name)
    }
}

/// Where a limit comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitSource {
    /// The project's own row.
    Project,
    /// The row of the class `default`.
    Class,
    /// The configuration of the plane; without a limit there, there is none.
    Configuration,
}

/// What a limit is set for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QuotaOf {
    /// One project.
    Project(String),
    /// Every project without a row of its own: the class `default`, the only one that is read.
    DefaultClass,
}

/// The class of every project, as in Nova.
pub const DEFAULT_CLASS: &str = "default";

/// Rank of the source, resource and limit.
type Row = (i64, Option<String>, Option<i32>);

fn limit_rows(conn: &mut ApiConnection, project_id: &str) -> Result<Vec<Row>, DatabaseError> {
    // Rank 0 goes first, so that the project's own rows overwrite the class's.
    let mut rows: Vec<Row> = each!(conn.sql(), c => {
        let class = quota_classes::table
            .filter(quota_classes::class_name.eq(DEFAULT_CLASS))
            .select((0.into_sql::<BigInt>(), quota_classes::resource, quota_classes::hard_limit));
        let own = quotas::table
            .filter(quotas::project_id.eq(project_id))
            .select((1.into_sql::<BigInt>(), quotas::resource.nullable(), quotas::hard_limit));
        class.union_all(own).load(c)
    })?;
    rows.sort_by_key(|(rank, _, _)| *rank);
    Ok(rows)
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
    let mut limits = fallback;
    for (_, resource, limit) in limit_rows(conn, project_id)? {
        limits.set(resource.as_deref().unwrap_or_default(), limit);
    }
    Ok(limits)
}

/// The limits of a project as [`limits`] gives them, and where each comes from. One statement.
///
/// # Errors
/// The database's.
pub fn limits_with_sources(
    conn: &mut ApiConnection,
    project_id: &str,
    fallback: QuotaLimits,
) -> Result<(QuotaLimits, BTreeMap<QuotaResource, LimitSource>), DatabaseError> {
    let mut limits = fallback;
    let mut sources: BTreeMap<QuotaResource, LimitSource> = QuotaResource::ALL
        .into_iter()
        .map(|resource| (resource, LimitSource::Configuration))
        .collect();
    for (rank, resource, limit) in limit_rows(conn, project_id)? {
        let name = resource.as_deref().unwrap_or_default();
        limits.set(name, limit);
        if let Some(resource) = QuotaResource::named(name) {
            let source = if rank == 0 { LimitSource::Class } else { LimitSource::Project };
            sources.insert(resource, source);
        }
    }
    Ok((limits, sources))
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

#[derive(Insertable)]
#[diesel(table_name = quota_classes, treat_none_as_default_value = false)]
struct NewClassQuota<'a> {
    created_at: NaiveDateTime,
    class_name: &'a str,
    resource: &'a str,
    hard_limit: i32,
}

/// Sets one limit, -1 for no limit. Two statements, three for a new one. To be called in a
/// transaction.
///
/// # Errors
/// The database's.
pub fn set(
    conn: &mut ApiConnection,
    of: &QuotaOf,
    resource: QuotaResource,
    hard_limit: i32,
    now: NaiveDateTime,
) -> Result<(), DatabaseError> {
    // Two that set the same limit take turns: classes have no unique key in Nova's layout.
    lock(conn, of.lock_name())?;
    let resource = resource.as_str();
    match of {
        QuotaOf::Project(project_id) => {
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
        }
        QuotaOf::DefaultClass => {
            let known = quota_classes::table
                .filter(quota_classes::class_name.eq(DEFAULT_CLASS))
                .filter(quota_classes::resource.eq(resource));
            let updated = diesel::update(known)
                .set((quota_classes::hard_limit.eq(hard_limit), quota_classes::updated_at.eq(now)))
                .execute(conn.sql())?;
            if updated == 0 {
                let class_name = DEFAULT_CLASS;
                let row = NewClassQuota { created_at: now, class_name, resource, hard_limit };
                diesel::insert_into(quota_classes::table).values(&row).execute(conn.sql())?;
            }
        }
    }
    Ok(())
}

/// Forgets one limit, so that the next source holds; says whether there was one. Two statements. To
/// be called in a transaction.
///
/// # Errors
/// The database's.
pub fn unset(
    conn: &mut ApiConnection,
    of: &QuotaOf,
    resource: QuotaResource,
) -> Result<bool, DatabaseError> {
    lock(conn, of.lock_name())?;
    let resource = resource.as_str();
    let gone = match of {
        QuotaOf::Project(project_id) => diesel::delete(
            quotas::table
                .filter(quotas::project_id.eq(project_id))
                .filter(quotas::resource.eq(resource)),
        )
        .execute(conn.sql())?,
        QuotaOf::DefaultClass => diesel::delete(
            quota_classes::table
                .filter(quota_classes::class_name.eq(DEFAULT_CLASS))
                .filter(quota_classes::resource.eq(resource)),
        )
        .execute(conn.sql())?,
    };
    Ok(gone > 0)
}

impl QuotaOf {
    /// Whose row of `quota_locks` two that set a limit take turns by.
    fn lock_name(&self) -> &str {
        match self {
            QuotaOf::Project(project_id) => project_id,
            QuotaOf::DefaultClass => DEFAULT_CLASS,
        }
    }
}
