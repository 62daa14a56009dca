//! Show and list, as selects of the same columns that the plane reads.

use anyhow::bail;
use cellzero_test_support::Engine;
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
/// The column of its uuid among them.
const UUID_AT: usize = 1;

/// What the plane reads beside it; `{}` stands for the uuids.
const BESIDE: [&str; 6] = [
    "SELECT instance_uuid, {key}, value FROM instance_metadata \
     WHERE instance_uuid IN ({}) AND deleted = 0",
    "SELECT instance_uuid, {key}, value FROM instance_system_metadata \
     WHERE instance_uuid IN ({}) AND deleted = 0",
    "SELECT resource_id, tag FROM tags WHERE resource_id IN ({}) ORDER BY resource_id, tag",
    "SELECT device_name, delete_on_termination, snapshot_id, volume_id, volume_size, \
     instance_uuid, source_type, destination_type, guest_format, device_type, disk_bus, \
     boot_index, image_id, tag, attachment_id, volume_type FROM block_device_mapping \
     WHERE instance_uuid IN ({}) AND deleted = 0 ORDER BY id",
    "SELECT a.instance_uuid, g.name FROM security_group_instance_association a \
     JOIN security_groups g ON g.id = a.security_group_id \
     WHERE a.instance_uuid IN ({}) AND a.deleted = 0 AND g.deleted = 0",
    "SELECT instance_uuid, code, message, details, host, created_at FROM instance_faults \
     WHERE instance_uuid IN ({}) AND deleted = 0 ORDER BY created_at, id",
];
const MAPPING_COLUMNS: &str =
    "m.instance_uuid, c.uuid, m.project_id, m.user_id, m.queued_for_delete, m.created_at";
const MAPPING_TABLES: &str = "instance_mappings m LEFT JOIN cell_mappings c ON c.id = m.cell_id";

/// The selects beside the instances, for so many uuids.
fn beside(engine: Engine, count: usize) -> Vec<String> {
    let key = if engine == Engine::MariaDb { "`key`" } else { "\"key\"" };
    let marks = marks(engine, 1, count);
    BESIDE.iter().map(|sql| sql.replace("{key}", key).replace("{}", &marks)).collect()
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
    beside: Vec<String>,
}

impl ShowReader {
    /// Makes its statements.
    pub(crate) fn new(engine: Engine) -> ShowReader {
        let mark = marks(engine, 1, 1);
        ShowReader {
            engine,
            mapping: mappings(engine, 1),
            instance: format!(
                "SELECT {INSTANCE_COLUMNS} FROM {INSTANCE_TABLES} \
                 WHERE i.uuid IN ({mark}) AND i.deleted = 0"
            ),
            beside: beside(engine, 1),
        }
    }

    /// The rows of one instance.
    pub(crate) async fn show(&self, plane: &mut Pair, instance: &str) -> anyhow::Result<Vec<Rows>> {
        let key = [Value::text(self.engine, instance)];
        let mut all = vec![plane.api.query(&self.mapping, &key).await?];
        all.push(plane.cell0.query(&self.instance, &key).await?);
        for sql in &self.beside {
            all.push(plane.cell0.query(sql, &key).await?);
        }
        if all[1].len() != 1 {
            bail!("{} rows of instance {instance}", all[1].len());
        }
        Ok(all)
    }
}

/// Reads the newest instances of a project from all cells.
pub(crate) struct ListReader {
    engine: Engine,
    api: Session,
    cells: Vec<Session>,
}

impl ListReader {
    /// Connects to the API database and to each cell, cell0 among them.
    pub(crate) async fn open(
        engine: Engine,
        api: &str,
        cells: &[&str],
    ) -> anyhow::Result<ListReader> {
        let api = Session::open(engine, api).await?;
        let cells = try_join_all(cells.iter().map(|url| Session::open(engine, url))).await?;
        Ok(ListReader { engine, api, cells })
    }

    /// One page; says how many instances it has.
    pub(crate) async fn list(&mut self, project: &str, limit: usize) -> anyhow::Result<usize> {
        let engine = self.engine;
        let project = [Value::text(engine, project)];
        let mark = marks(engine, 1, 1);
        let building = format!(
            "SELECT created_at, updated_at, instance_uuid, instance, block_device_mappings, tags \
             FROM build_requests WHERE project_id = {mark} ORDER BY id"
        );
        let building = self.api.query(&building, &project).await?.len();
        let page = format!(
            "SELECT {INSTANCE_COLUMNS} FROM {INSTANCE_TABLES} \
             WHERE i.project_id = {mark} AND i.deleted = 0 \
             ORDER BY i.created_at DESC, i.uuid DESC LIMIT {limit}"
        );
        let pages = self.cells.iter_mut().map(|cell| cell.query(&page, &project));
        let pages = try_join_all(pages).await?;
        let uuids: Vec<Vec<Value>> = pages
            .iter()
            .map(|rows| rows.iter().map(|row| row[UUID_AT].clone()).collect())
            .collect();
        let listed = uuids.concat();
        let confirmed = self.api.query(&mappings(engine, listed.len()), &listed).await?.len();
        let reads = self.cells.iter_mut().zip(&uuids).filter(|(_, uuids)| !uuids.is_empty());
        try_join_all(reads.map(|(cell, uuids)| read_beside(cell, engine, uuids))).await?;
        Ok(building + confirmed)
    }

    /// What was sent so far.
    pub(crate) fn sent(&self) -> Sent {
        let mut all = self.api.sent();
        for cell in &self.cells {
            all.statements += cell.sent().statements;
        }
        all
    }
}

async fn read_beside(cell: &mut Session, engine: Engine, uuids: &[Value]) -> anyhow::Result<()> {
    for sql in beside(engine, uuids.len()) {
        cell.query(&sql, uuids).await?;
    }
    Ok(())
}
