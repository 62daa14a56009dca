//! A plane with many instances in many cells, filled past the plane: it boots one in each cell, and
//! each database copies that one's rows under other names, times and uuids.
//!
//! For lists, what they read is there: the API database has mappings and boot states, cells have
//! fences, instances and all that belongs to them but actions ([`LISTED`]).

use anyhow::{Context as _, bail};
use cellzero::{CellUuid, Home, InstanceUuid, ListQuery};
use cellzero_test_support::Engine;
use chrono::{NaiveDate, NaiveDateTime, TimeDelta};
use futures_util::{StreamExt as _, TryStreamExt as _};

use crate::floor::{Place, Session, TABLES_OF_INSTANCE};
use crate::plane::{self, Plane};

/// Tables, each with the column that names the instance.
type Tables = &'static [(&'static str, &'static str)];

/// Which rows are copied.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Copied {
    /// Tables of the API database.
    pub(crate) api: Tables,
    /// Tables of a cell.
    pub(crate) cell: Tables,
}

/// What a list reads.
pub(crate) const LISTED: Copied = Copied {
    api: &[("boot_states", "instance_uuid"), ("instance_mappings", "instance_uuid")],
    cell: &TABLES_OF_INSTANCE,
};
/// Spreads the first part of a uuid as chance would: Knuth's multiplier.
const SPREAD: u64 = 2_654_435_761;
/// How many instances of a cell are copied by one statement.
const CHUNK: u32 = 10_000;
/// How many cells are filled at once.
const AT_ONCE: usize = 2;

/// The instance of each cell that is copied.
pub(crate) struct Seeds(Vec<(CellUuid, InstanceUuid)>);

/// Instances of one project, evenly in the first `cells` cells, one second after another.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Crowd {
    /// How many cells.
    pub(crate) cells: usize,
    /// How many instances in each.
    pub(crate) per_cell: u32,
}

impl Crowd {
    /// The project of these instances, whatever their number.
    pub(crate) fn project(&self) -> String {
        format!("bench-over-{}", self.cells)
    }

    /// The place of the instance that so many are newer than.
    pub(crate) fn place(&self, newer: u32) -> Place {
        let cells = self.cells as u32;
        let rank = cells * self.per_cell - 1 - newer;
        let (number, cell) = (rank / cells, rank % cells);
        let hash = spread_of(cell, number);
        Place {
            created_at: (epoch() + TimeDelta::seconds(rank.into())).to_string(),
            uuid: format!("{hash:08x}-{cell:04x}-4{:03x}-8000-{number:012x}", self.cells),
        }
    }
}

fn epoch() -> NaiveDateTime {
    NaiveDate::from_ymd_opt(2026, 1, 1).unwrap_or_default().into()
}

fn spread_of(cell: u32, number: u32) -> u64 {
    ((u64::from(cell) * 100_000 + u64::from(number)) * SPREAD) % (1 << 32)
}

impl Seeds {
    /// The instance of each cell, in the order of the cells.
    pub(crate) fn uuids(&self) -> impl Iterator<Item = InstanceUuid> + '_ {
        self.0.iter().map(|(_, uuid)| *uuid)
    }

    /// Boots one instance in each cell; every host has room for just one.
    pub(crate) async fn boot(plane: &Plane) -> anyhow::Result<Seeds> {
        let cells = plane.cells.len();
        plane.fill(u32::try_from(cells)?).await?;
        let page = plane.plane.list(&plane::user(), &ListQuery::default()).await?;
        let of = |cell: &CellUuid| {
            let here = page.instances.iter().find(|one| one.home == Home::Cell(*cell));
            here.map(|one| (*cell, one.uuid)).context("every cell has its instance")
        };
        Ok(Seeds(plane.cell_uuids().iter().map(of).collect::<anyhow::Result<_>>()?))
    }

    /// Makes the crowd larger, from `before` in each cell to what it is.
    pub(crate) async fn grow(
        &self,
        plane: &Plane,
        crowd: Crowd,
        before: u32,
        copied: Copied,
    ) -> anyhow::Result<()> {
        let engine = plane.api.engine();
        let cells = self.0.iter().take(crowd.cells).zip(&plane.cells).enumerate();
        let mut api = session(engine, plane.api.url()).await?;
        for (number, (cell, seed)) in self.0.iter().take(crowd.cells).enumerate() {
            let copies = Copies { engine, crowd, before, cell: number as u32, seed: *seed };
            copies.write(&mut api, copied.api).await.with_context(|| format!("cell {cell}"))?;
        }
        let fill = cells.map(|(number, ((_, seed), database))| async move {
            let copies = Copies { engine, crowd, before, cell: number as u32, seed: *seed };
            copies.write(&mut session(engine, database.url()).await?, copied.cell).await
        });
        futures_util::stream::iter(fill).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
        plane.analyze()
    }
}

/// A connection that fills fast, since nothing is lost with what it writes, and that may make as many
/// numbers as it needs.
async fn session(engine: Engine, url: &str) -> anyhow::Result<Session> {
    let mut session = Session::open(engine, url).await?;
    let settings: &[&str] = match engine {
        Engine::Sqlite => &["PRAGMA synchronous = OFF", "PRAGMA cache_size = -200000"],
        Engine::Postgres => &["SET synchronous_commit = off"],
        Engine::MariaDb => &[
            "SET SESSION max_recursive_iterations = 1000000",
            "SET SESSION unique_checks = 0",
            "SET SESSION foreign_key_checks = 0",
        ],
    };
    for setting in settings {
        session.execute(setting, &[]).await?;
    }
    Ok(session)
}

/// The copies of the seed of one cell.
struct Copies {
    engine: Engine,
    crowd: Crowd,
    before: u32,
    cell: u32,
    seed: InstanceUuid,
}

impl Copies {
    async fn write(&self, session: &mut Session, tables: &[(&str, &str)]) -> anyhow::Result<()> {
        let mut columns = Vec::new();
        for (table, key) in tables {
            let sql = format!("SELECT * FROM {table} WHERE {key} = '{}'", self.seed);
            let (names, rows) = session.query_named(&sql, &[]).await?;
            if rows.is_empty() {
                bail!("the plane wrote no row of {} into {table}", self.seed);
            }
            columns.push(names);
        }
        let mut from = self.before;
        while from < self.crowd.per_cell {
            let to = (from + CHUNK).min(self.crowd.per_cell);
            session.begin().await?;
            for ((table, key), names) in tables.iter().zip(&columns) {
                let sql = self.copy(table, key, names, (from, to));
                session.execute(&sql, &[]).await?;
            }
            session.commit().await?;
            from = to;
        }
        Ok(())
    }

    /// Copies the rows of the seed for the instances of these numbers.
    fn copy(&self, table: &str, key: &str, names: &[String], (from, to): (u32, u32)) -> String {
        let mark = if self.engine == Engine::MariaDb { '`' } else { '"' };
        let kept: Vec<&String> = names.iter().filter(|name| *name != "id").collect();
        let columns: Vec<String> = kept.iter().map(|name| format!("{mark}{name}{mark}")).collect();
        let values = kept.iter().map(|name| match name.as_str() {
            name if name == key => self.uuid(4),
            "uuid" => self.uuid(5),
            "created_at" => self.time(),
            "project_id" => format!("'{}'", self.crowd.project()),
            // Names spread over all cells; the host names of a cell follow one another, and the
            // descriptions of ten cells do.
            "display_name" => format!("CONCAT('bench-', {})", self.hash()),
            "hostname" => format!("CONCAT('host-', {}, '-', {})", self.cell + 1_000, self.number()),
            "display_description" => {
                format!("CONCAT({}, '-', {})", self.cell / 10 + 1_000, self.hash())
            }
            name => format!("t.{mark}{name}{mark}"),
        });
        let values: Vec<String> = values.collect();
        format!(
            "INSERT INTO {table} ({}) WITH RECURSIVE n (i) AS \
             (SELECT {from} UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {to}) \
             SELECT {} FROM n, {table} t WHERE t.{key} = '{}'",
            columns.join(", "),
            values.join(", "),
            self.seed
        )
    }

    /// The number of an instance as text of one length.
    fn number(&self) -> &'static str {
        match self.engine {
            Engine::Postgres => "CAST(i + 1000000 AS TEXT)",
            Engine::Sqlite | Engine::MariaDb => "i + 1000000",
        }
    }

    /// What a uuid begins with, as text of one length.
    fn hash(&self) -> String {
        let number = format!("(({} + i) * {SPREAD}) % 4294967296", u64::from(self.cell) * 100_000);
        match self.engine {
            Engine::Sqlite => format!("printf('%08x', {number})"),
            Engine::Postgres => format!("LPAD(TO_HEX({number}), 8, '0')"),
            Engine::MariaDb => format!("LOWER(LPAD(HEX({number}), 8, '0'))"),
        }
    }

    fn uuid(&self, version: u8) -> String {
        let number = match self.engine {
            Engine::Sqlite => "printf('%012x', i)",
            Engine::Postgres => "LPAD(TO_HEX(i), 12, '0')",
            Engine::MariaDb => "LOWER(LPAD(HEX(i), 12, '0'))",
        };
        let (cell, cells) = (self.cell, self.crowd.cells);
        let middle = format!("-{cell:04x}-{version}{cells:03x}-8000-");
        format!("CONCAT({}, '{middle}', {number})", self.hash())
    }

    fn time(&self) -> String {
        let seconds = format!("(i * {} + {})", self.crowd.cells, self.cell);
        match self.engine {
            Engine::Sqlite => format!("datetime('{}', {seconds} || ' seconds')", epoch()),
            Engine::Postgres => {
                format!("TIMESTAMP '{}' + {seconds} * INTERVAL '1 second'", epoch())
            }
            Engine::MariaDb => {
                format!("DATE_ADD('{}', INTERVAL {seconds} SECOND)", epoch())
            }
        }
    }
}
