//! Show and list, as selects of the same columns that the plane reads.

use std::collections::HashMap;

use anyhow::{Context as _, bail};
use cellzero_test_support::Engine;
use futures_util::FutureExt as _;
use futures_util::future::try_join_all;

use super::session::{Rows, Sent, Session};
use super::template::marks;
use super::value::Value;
use super::write::Pair;

/// What the plane reads of an instance, with flavor and network info.
const INSTANCE_COLUMNS: &str = "i.id, i.uuid, i.project_id, i.user_id, i.display_name, \
    i.display_description, i.hostname, i.vm_state, i.task_state, i.power_state, i.host, i.node, \
    i.availability_zone, i.instance_type_id, i.image_ref, i.kernel_id, i.ramdisk_id, i.progress, \
    i.key_name, i.key_data, \
    i.reservation_id, i.launch_index, i.user_data, i.config_drive, i.auto_disk_config, \
    i.root_device_name, i.locked, i.hidden, i.created_at, i.updated_at, i.launched_at, \
    i.terminated_at, i.deleted, i.deleted_at, i.access_ip_v4, i.access_ip_v6, x.flavor, \
    c.network_info";
const INSTANCE_TABLES: &str = "instances i \
    LEFT JOIN instance_extra x ON x.instance_uuid = i.uuid \
    LEFT JOIN instance_info_caches c ON c.instance_uuid = i.uuid";

/// What the plane reads beside it: what instances carry by name, in one statement, their block
/// devices, and their faults. `{}` stands for the uuids.
const BESIDE: [&str; 3] = [
    "SELECT 0, id, instance_uuid, {key}, value FROM instance_metadata \
     WHERE instance_uuid IN ({}) AND deleted = 0 UNION ALL \
     SELECT 1, id, instance_uuid, {key}, value FROM instance_system_metadata \
     WHERE instance_uuid IN ({}) AND deleted = 0 UNION ALL \
     SELECT 2, 0, resource_id, tag, NULL FROM tags WHERE resource_id IN ({}) UNION ALL \
     SELECT 3, a.id, a.instance_uuid, g.name, NULL FROM security_group_instance_association a \
     JOIN security_groups g ON g.id = a.security_group_id \
     WHERE a.instance_uuid IN ({}) AND a.deleted = 0 AND g.deleted = 0",
    "SELECT device_name, delete_on_termination, snapshot_id, volume_id, volume_size, \
     instance_uuid, source_type, destination_type, guest_format, device_type, disk_bus, \
     boot_index, image_id, tag, attachment_id, volume_type FROM block_device_mapping \
     WHERE instance_uuid IN ({}) AND deleted = 0 ORDER BY id",
    "SELECT instance_uuid, code, message, details, host, created_at FROM instance_faults \
     WHERE instance_uuid IN ({}) AND deleted = 0 ORDER BY created_at, id",
];
const MAPPING_COLUMNS: &str =
    "m.instance_uuid, c.uuid, m.project_id, m.user_id, m.queued_for_delete, m.created_at";
const MAPPING_TABLES: &str = "instance_mappings m LEFT JOIN cell_mappings c ON c.id = m.cell_id";

/// The selects beside the instances of these uuids.
fn beside(engine: Engine, uuids: &[Value]) -> Vec<Question> {
    let key = if engine == Engine::MariaDb { "`key`" } else { "\"key\"" };
    let marks = marks(engine, 1, uuids.len());
    let question = |sql: &&str| {
        // PostgreSQL counts its placeholders, so that one value stands for all of its places.
        let times = if engine == Engine::Postgres { 1 } else { sql.matches("{}").count() };
        (sql.replace("{key}", key).replace("{}", &marks), vec![uuids; times].concat())
    };
    BESIDE.iter().map(question).collect()
}

fn mappings(engine: Engine, count: usize) -> String {
    let marks = marks(engine, 1, count);
    format!("SELECT {MAPPING_COLUMNS} FROM {MAPPING_TABLES} WHERE m.instance_uuid IN ({marks})")
}

/// Reads one buried instance: its mapping, then cell0.
pub(crate) struct ShowReader {
    engine: Engine,
    mapping: String,
    instance: String,
}

impl ShowReader {
    /// Makes its statements.
    pub(crate) fn new(engine: Engine) -> ShowReader {
        ShowReader { engine, mapping: mappings(engine, 1), instance: instances(engine, 1) }
    }

    /// The rows of one instance.
    pub(crate) async fn show(&self, plane: &mut Pair, instance: &str) -> anyhow::Result<Vec<Rows>> {
        let key = [Value::text(self.engine, instance)];
        let mut all = vec![plane.api.query(&self.mapping, &key).await?];
        all.push(plane.cell.query(&self.instance, &key).await?);
        for (sql, keys) in beside(self.engine, &key) {
            all.push(plane.cell.query(&sql, &keys).await?);
        }
        if all[1].len() != 1 {
            bail!("{} rows of instance {instance}", all[1].len());
        }
        Ok(all)
    }
}

/// Reads the newest instances of a project: the mappings are the list, as ours.
pub(crate) struct ListReader {
    engine: Engine,
    api: Session,
    /// Each cell by its uuid.
    cells: Vec<(String, Session)>,
}

/// A place in the order of the list: the time and the uuid of an instance.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) created_at: String,
    pub(crate) uuid: String,
}

/// What a page of the floor read.
pub(crate) struct Read {
    /// Its instances.
    pub(crate) instances: usize,
    /// How many rows of instances were read from cells.
    pub(crate) rows: u64,
    /// Where the next page begins.
    pub(crate) last: Option<Place>,
}

/// A statement and what is bound to it.
type Question = (String, Vec<Value>);

impl ListReader {
    /// Connects to the API database and to each cell, by its uuid and its URL.
    pub(crate) async fn open(
        engine: Engine,
        api: &str,
        cells: &[(String, &str)],
    ) -> anyhow::Result<ListReader> {
        let api = Session::open(engine, api).await?;
        let open = async |(uuid, url): &(String, &str)| {
            Ok::<_, anyhow::Error>((uuid.clone(), Session::open(engine, url).await?))
        };
        let cells = try_join_all(cells.iter().map(open)).await?;
        Ok(ListReader { engine, api, cells })
    }

    /// One page in the default order; `bare` without what stands beside the instances.
    pub(crate) async fn page(
        &mut self,
        project: &str,
        after: Option<&Place>,
        limit: usize,
        bare: bool,
    ) -> anyhow::Result<Read> {
        let (engine, mark) = (self.engine, marks(self.engine, 1, 1));
        let place = after.map(|Place { created_at, uuid }| {
            format!(
                "AND m.created_at <= '{created_at}' \
                 AND (m.created_at < '{created_at}' OR m.instance_uuid < '{uuid}') "
            )
        });
        let text = if engine == Engine::MariaDb { "CHAR" } else { "TEXT" };
        // As the index has it.
        let nulls = if engine == Engine::Postgres { " NULLS LAST" } else { "" };
        let sql = format!(
            "SELECT m.instance_uuid, CAST(m.cell_id AS {text}), CAST(m.created_at AS {text}) \
             FROM instance_mappings m WHERE m.project_id = {mark} AND m.queued_for_delete = {} {}\
             ORDER BY m.created_at DESC{nulls}, m.instance_uuid DESC LIMIT {limit}",
            no(engine),
            place.unwrap_or_default(),
        );
        let rows = self.api.query(&sql, &[Value::text(engine, project)]).await?;
        let last = rows.last().map(|row| {
            let text = |at: usize| row[at].as_text().unwrap_or_default().to_owned();
            Place { created_at: text(2), uuid: text(0) }
        });
        let sql = format!("SELECT CAST(id AS {text}), uuid FROM cell_mappings");
        let cells: HashMap<String, Value> = (self.api.query(&sql, &[]).await?.into_iter())
            .filter_map(|mut row| Some((row[0].as_text()?.to_owned(), row.swap_remove(1))))
            .collect();
        let listed = rows.into_iter().filter_map(|mut row| {
            let cell = cells.get(row[1].as_text()?)?;
            Some((cell.clone(), row.swap_remove(0)))
        });
        let instances = self.details(listed.collect(), bare).await?;
        Ok(Read { instances, rows: instances as u64, last })
    }

    /// The first page in the order of a column that no index has: so many keys of each cell, merged,
    /// looked up in the mappings, and read whole.
    pub(crate) async fn page_by(
        &mut self,
        project: &str,
        column: &str,
        limit: usize,
    ) -> anyhow::Result<Read> {
        let (engine, mark) = (self.engine, marks(self.engine, 1, 1));
        let sql = format!(
            "SELECT i.uuid, i.{column} FROM instances i WHERE i.project_id = {mark} \
             AND i.deleted = 0 ORDER BY i.{column}, i.uuid LIMIT {limit}"
        );
        let of_project = vec![(sql, vec![Value::text(engine, project)])];
        let questions = vec![of_project; self.cells.len()];
        let answers = ask_all(engine, &mut self.cells, questions).await?;
        let read: u64 = answers.iter().flatten().map(|rows| rows.len() as u64).sum();
        let mut keys: Vec<Vec<Value>> = answers.into_iter().flatten().flatten().collect();
        let text = |row: &[Value], at: usize| row[at].as_text().map(str::to_owned);
        keys.sort_by_cached_key(|row| (text(row, 1), text(row, 0)));
        keys.truncate(limit);
        let uuids: Vec<Value> = keys.into_iter().map(|mut row| row.swap_remove(0)).collect();
        let confirmed = self.api.query(&mappings(engine, uuids.len()), &uuids).await?;
        let listed = confirmed.into_iter().map(|mut row| (row.swap_remove(1), row.swap_remove(0)));
        let instances = self.details(listed.collect(), false).await?;
        Ok(Read { instances, rows: read + instances as u64, last: None })
    }

    /// The instances, each cell's at once; says how many there are. They are given as cell and uuid.
    async fn details(&mut self, listed: Vec<(Value, Value)>, bare: bool) -> anyhow::Result<usize> {
        let mut by_cell: HashMap<String, Vec<Value>> = HashMap::new();
        for (cell, uuid) in listed {
            by_cell.entry(cell.as_text().unwrap_or_default().to_owned()).or_default().push(uuid);
        }
        let engine = self.engine;
        let questions = self.cells.iter().map(|(cell, _)| {
            let Some(uuids) = by_cell.remove(cell) else { return Vec::new() };
            let mut all = if bare { Vec::new() } else { beside(engine, &uuids) };
            all.insert(0, (instances(engine, uuids.len()), uuids));
            all
        });
        let questions = questions.collect();
        let answers = ask_all(engine, &mut self.cells, questions).await?;
        Ok(answers.iter().filter_map(|rows| rows.first()).map(Vec::len).sum())
    }

    /// What was sent so far.
    pub(crate) fn sent(&self) -> Sent {
        let mut all = self.api.sent();
        for (_, cell) in &self.cells {
            all.statements += cell.sent().statements;
        }
        all
    }
}

fn instances(engine: Engine, count: usize) -> String {
    let marks = marks(engine, 1, count);
    format!(
        "SELECT {INSTANCE_COLUMNS} FROM {INSTANCE_TABLES} WHERE i.uuid IN ({marks}) AND i.deleted = 0"
    )
}

fn no(engine: Engine) -> &'static str {
    if engine == Engine::Postgres { "FALSE" } else { "0" }
}

/// Asks each cell its own questions, one after another, and all cells at once: a server's on one
/// thread, SQLite's on as many as the machine runs.
async fn ask_all(
    engine: Engine,
    cells: &mut [(String, Session)],
    questions: Vec<Vec<Question>>,
) -> anyhow::Result<Vec<Vec<Rows>>> {
    let pairs = cells.iter_mut().map(|(_, session)| session).zip(questions);
    if engine != Engine::Sqlite {
        return try_join_all(pairs.map(|(session, questions)| ask(session, questions))).await;
    }
    let mut pairs: Vec<(&mut Session, Vec<Question>)> = pairs.collect();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let share = pairs.len().div_ceil(threads).max(1);
    std::thread::scope(|scope| {
        let mut running = Vec::new();
        while !pairs.is_empty() {
            let part = pairs.split_off(pairs.len().saturating_sub(share));
            running.push(scope.spawn(move || part.into_iter().map(ask_now).collect::<Vec<_>>()));
        }
        // The last part was started first.
        running.reverse();
        let answers = running.into_iter().flat_map(|thread| match thread.join() {
            Ok(answers) => answers,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        answers.collect()
    })
}

async fn ask(session: &mut Session, questions: Vec<Question>) -> anyhow::Result<Vec<Rows>> {
    let mut answers = Vec::with_capacity(questions.len());
    for (sql, values) in questions {
        answers.push(session.query(&sql, &values).await?);
    }
    Ok(answers)
}

/// SQLite never makes a future wait.
fn ask_now((session, questions): (&mut Session, Vec<Question>)) -> anyhow::Result<Vec<Rows>> {
    ask(session, questions).now_or_never().context("SQLite's answer is there at once")?
}
