//! Boot and delete, as transactions of prepared statements.

use anyhow::Context as _;
use cellzero::CellUuid;
use cellzero_test_support::Engine;

use super::session::{Sent, Session};
use super::template::{Names, Statement, Template, marks};
use super::value::Value;

/// What accept writes, read back before the boot goes on.
const ACCEPTED: [(&str, &str); 4] = [
    ("request_specs", "instance_uuid"),
    ("build_requests", "instance_uuid"),
    ("instance_mappings", "instance_uuid"),
    ("boot_states", "instance_uuid"),
];
/// An instance in a cell and what belongs to it, in the order of its foreign keys: the tables, with
/// the column that names it.
pub(crate) const TABLES_OF_INSTANCE: [(&str, &str); 8] = [
    ("instance_fences", "instance_uuid"),
    ("instances", "uuid"),
    ("instance_extra", "instance_uuid"),
    ("instance_info_caches", "instance_uuid"),
    ("instance_metadata", "instance_uuid"),
    ("tags", "resource_id"),
    ("block_device_mapping", "instance_uuid"),
    ("security_group_instance_association", "instance_uuid"),
];
/// What is written beside it by every boot.
const ACTIONS: (&str, &str) = ("instance_actions", "instance_uuid");
/// What is written into cell0 beside it.
const FAULTS: (&str, &str) = ("instance_faults", "instance_uuid");
/// The tables beside `instances` whose rows a delete marks.
const MARKED: [&str; 6] = [
    "instance_extra",
    "instance_info_caches",
    "instance_faults",
    "instance_metadata",
    "security_group_instance_association",
    "block_device_mapping",
];
/// Connections to the API database and to one cell of a plane.
pub(crate) struct Pair {
    /// To the API database.
    pub(crate) api: Session,
    /// To the cell.
    pub(crate) cell: Session,
}

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Database {
    Api,
    Cell,
}

/// Transactions that follow one another.
#[derive(Debug)]
pub(crate) struct Work(Vec<Part>);

#[derive(Debug)]
struct Part {
    database: Database,
    statements: Vec<Statement>,
}

impl Pair {
    /// Connects to both.
    pub(crate) async fn open(engine: Engine, api: &str, cell: &str) -> anyhow::Result<Pair> {
        let (api, cell) = (Session::open(engine, api).await?, Session::open(engine, cell).await?);
        Ok(Pair { api, cell })
    }

    /// Does the work: a transaction for each part, but none for a single statement.
    pub(crate) async fn run(&mut self, work: &Work) -> anyhow::Result<()> {
        for part in &work.0 {
            let session = match part.database {
                Database::Api => &mut self.api,
                Database::Cell => &mut self.cell,
            };
            if let [one] = part.statements.as_slice() {
                session.execute(&one.sql, &one.values).await?;
                continue;
            }
            session.begin().await?;
            for statement in &part.statements {
                session.execute(&statement.sql, &statement.values).await?;
            }
            session.commit().await?;
        }
        Ok(())
    }

    /// What was sent to both so far.
    pub(crate) fn sent(&self) -> Sent {
        let (api, cell) = (self.api.sent(), self.cell.sent());
        Sent { statements: api.statements + cell.statements, commits: api.commits + cell.commits }
    }
}

/// The rows of one boot of the plane, to be written again.
#[derive(Clone)]
pub(crate) struct Boot {
    engine: Engine,
    old: Names,
    accepted: Vec<Template>,
    intent: Template,
    /// The claim on a host of a live cell.
    claim: Option<Template>,
    written: Vec<Template>,
    event: Template,
    security_group: Template,
    cell: String,
    cell_id: Value,
}

impl Boot {
    /// Reads what accept has written, before the boot goes on.
    pub(crate) async fn capture_accepted(
        plane: &mut Pair,
        engine: Engine,
        instance: &str,
    ) -> anyhow::Result<Vec<Template>> {
        let mut accepted = Vec::new();
        for table in ACCEPTED {
            accepted.push(Template::capture(&mut plane.api, engine, table, instance).await?);
        }
        Ok(accepted)
    }

    /// Reads what the rest of the boot has written, into this cell.
    pub(crate) async fn capture(
        plane: &mut Pair,
        engine: Engine,
        (names, cell): (Names, CellUuid),
        accepted: Vec<Template>,
    ) -> anyhow::Result<Boot> {
        let (api, instance) = (&mut plane.api, names.instance.as_str());
        let mapping = ("instance_mappings", "instance_uuid");
        let mapping = Template::capture(api, engine, mapping, instance).await?;
        let claim = match cell.is_cell0() {
            true => None,
            false => {
                Some(Template::capture(api, engine, ("claims", "instance_uuid"), instance).await?)
            }
        };
        let state = accepted.last().context("accept writes boot states")?;
        let intent = Template::of(
            "boot_intents",
            vec![
                ("instance_uuid", state.value("instance_uuid")?.clone()),
                ("epoch", state.value("epoch")?.clone()),
                ("cell_uuid", Value::text(engine, &cell.to_string())),
                ("created_at", state.value("created_at")?.clone()),
            ],
        );
        let mut written = Vec::new();
        let beside = [ACTIONS].into_iter().chain(cell.is_cell0().then_some(FAULTS));
        for table in TABLES_OF_INSTANCE.into_iter().chain(beside) {
            written.push(Template::capture(&mut plane.cell, engine, table, instance).await?);
        }
        let device = written
            .iter()
            .find_map(|rows| rows.value("uuid").ok().filter(|_| rows.is("block_device_mapping")));
        let device = device.and_then(Value::as_text).context("a block device has a uuid")?;
        let device = device.to_owned();
        let event = capture_event(plane, engine, instance).await?;
        let group_of = ("security_groups", "name");
        let security_group =
            Template::capture_with_id(&mut plane.cell, engine, group_of, "default").await?;
        Ok(Boot {
            engine,
            old: Names { device, ..names },
            accepted,
            intent,
            claim,
            written,
            event,
            security_group,
            cell: cell.to_string(),
            cell_id: mapping.value("cell_id")?.clone(),
        })
    }

    /// What has to stand before the first boot: the security group that each instance joins.
    pub(crate) fn prepare(&self) -> Work {
        let statement =
            self.security_group.insert(self.engine, &self.old, std::slice::from_ref(&self.old));
        Work(vec![Part { database: Database::Cell, statements: vec![statement] }])
    }

    /// The boot of these instances of one request.
    pub(crate) fn boot(&self, new: &[Names]) -> Work {
        let insert = |rows: &Template, names: &[Names]| rows.insert(self.engine, &self.old, names);
        let all = |rows: &[Template]| rows.iter().map(|rows| insert(rows, new)).collect::<Vec<_>>();
        let mut placed = vec![insert(&self.intent, new)];
        if let [first, _, ..] = new {
            placed.push(self.group(first));
        }
        if let Some(claim) = &self.claim {
            placed.push(insert(claim, new));
            placed.push(self.take_room(claim));
        }
        let mut written = all(&self.written);
        written.push(self.event.insert_for_actions(self.engine, &new[0]));
        let outbox = self.claim.as_ref().map(|_| self.outbox(new));
        let (queue, sent) = outbox.unwrap_or_default();
        written.extend(queue);
        let parts = [
            (Database::Api, all(&self.accepted)),
            (Database::Api, placed),
            (Database::Cell, written),
            (Database::Api, self.decide(new)),
        ];
        let sent = sent.into_iter().map(|one| (Database::Cell, vec![one]));
        let parts = parts.into_iter().chain(sent);
        Work(parts.map(|(database, statements)| Part { database, statements }).collect())
    }

    /// The verdict of a group of several: one row, however many instances.
    fn group(&self, names: &Names) -> Statement {
        let (fits, marks) = (self.claim.is_some(), marks(self.engine, 1, 2));
        let columns = "uuid, created_at, min_count_met";
        let sql = format!("INSERT INTO boot_groups ({columns}) VALUES ({marks}, {fits})");
        Statement { sql, values: vec![Value::text(self.engine, &names.group), self.now()] }
    }

    /// What a claim takes of its host.
    fn take_room(&self, claim: &Template) -> Statement {
        let mark = marks(self.engine, 1, 1);
        let sql = format!(
            "UPDATE host_capacity SET vcpus_used = vcpus_used + 1, \
             memory_mb_used = memory_mb_used + 512, disk_gb_used = disk_gb_used + 1 \
             WHERE host = {mark}"
        );
        Statement { sql, values: claim.value("host").into_iter().cloned().collect() }
    }

    /// The order to the host to build: into the outbox in the same transaction, and once it is sent,
    /// out of it.
    fn outbox(&self, new: &[Names]) -> (Vec<Statement>, Vec<Statement>) {
        let text = |text: &str| Value::text(self.engine, text);
        let row = |names: &Names| {
            format!("('{0}', '{0}', 1, 'build', '{{}}', 0, '2026-01-01 00:00:00')", names.instance)
        };
        let rows: Vec<String> = new.iter().map(row).collect();
        let columns = "id, instance_uuid, sequence, operation, payload, attempts, created_at";
        let queue = Statement {
            sql: format!("INSERT INTO outbox ({columns}) VALUES {}", rows.join(", ")),
            values: Vec::new(),
        };
        let of = format!("WHERE id IN ({})", marks(self.engine, 1, new.len()));
        let ids: Vec<Value> = new.iter().map(|names| text(&names.instance)).collect();
        let attempt = format!("UPDATE outbox SET attempts = attempts + 1 {of}");
        let forget = format!("DELETE FROM outbox {of}");
        let sent = [attempt, forget].map(|sql| Statement { sql, values: ids.clone() });
        (vec![queue], sent.into())
    }

    fn decide(&self, new: &[Names]) -> Vec<Statement> {
        let uuids: Vec<Value> =
            new.iter().map(|names| Value::text(self.engine, &names.instance)).collect();
        let of = |first| format!("instance_uuid IN ({})", marks(self.engine, first, uuids.len()));
        let with = |before: &[Value]| [before, uuids.as_slice()].concat();
        let mark = |at| marks(self.engine, at, 1);
        let now = self.now();
        vec![
            Statement {
                sql: format!(
                    "UPDATE boot_states SET decided_epoch = epoch, owner = NULL, \
                     lease_until = NULL, updated_at = {} WHERE {}",
                    mark(1),
                    of(2)
                ),
                values: with(std::slice::from_ref(&now)),
            },
            Statement {
                sql: format!(
                    "UPDATE instance_mappings SET cell_id = {}, updated_at = {} WHERE {}",
                    mark(1),
                    mark(2),
                    of(3)
                ),
                values: with(&[self.cell_id.clone(), now]),
            },
            Statement {
                sql: format!("DELETE FROM build_requests WHERE {}", of(1)),
                values: with(&[]),
            },
            Statement {
                sql: format!("DELETE FROM boot_intents WHERE {}", of(1)),
                values: with(&[]),
            },
        ]
    }

    /// The delete of a buried instance.
    pub(crate) fn delete(&self, names: &Names) -> Work {
        let uuid = Value::text(self.engine, &names.instance);
        let forget = Statement {
            sql: format!(
                "DELETE FROM boot_intents WHERE instance_uuid = {} AND epoch = 2",
                marks(self.engine, 1, 1)
            ),
            values: vec![uuid.clone()],
        };
        Work(vec![
            Part { database: Database::Api, statements: self.queue_for_delete(&uuid) },
            Part { database: Database::Cell, statements: self.delete_in_cell(&uuid, names) },
            Part { database: Database::Api, statements: vec![forget] },
        ])
    }

    fn queue_for_delete(&self, uuid: &Value) -> Vec<Statement> {
        let mark = |at| marks(self.engine, at, 1);
        let (now, uuid) = (self.now(), uuid.clone());
        let (one, two, three) = (mark(1), mark(2), mark(3));
        vec![
            Statement {
                sql: format!(
                    "UPDATE boot_states SET epoch = epoch + 1, owner = NULL, lease_until = NULL, \
                     updated_at = {one} WHERE instance_uuid = {two}"
                ),
                values: vec![now.clone(), uuid.clone()],
            },
            Statement {
                sql: format!(
                    "UPDATE instance_mappings SET queued_for_delete = TRUE, updated_at = {one} \
                     WHERE instance_uuid = {two}"
                ),
                values: vec![now.clone(), uuid.clone()],
            },
            Statement {
                sql: format!(
                    "INSERT INTO boot_intents (instance_uuid, epoch, cell_uuid, created_at) \
                     VALUES ({one}, 2, {two}, {three})"
                ),
                values: vec![uuid, Value::text(self.engine, &self.cell), now],
            },
        ]
    }

    fn delete_in_cell(&self, uuid: &Value, names: &Names) -> Vec<Statement> {
        let (one, two) = (marks(self.engine, 1, 1), marks(self.engine, 2, 1));
        let dated = || vec![self.now(), uuid.clone()];
        let mut statements = vec![Statement {
            sql: format!(
                "UPDATE instance_fences SET fence = 2, updated_at = {one} WHERE instance_uuid = {two}"
            ),
            values: dated(),
        }];
        let times = marks(self.engine, 1, 3);
        let times: Vec<&str> = times.split(", ").collect();
        statements.push(Statement {
            sql: format!(
                "UPDATE instances SET deleted = id, deleted_at = {}, updated_at = {}, \
                 terminated_at = {}, vm_state = 'deleted', task_state = NULL \
                 WHERE uuid = {} AND deleted = 0",
                times[0],
                times[1],
                times[2],
                marks(self.engine, 4, 1)
            ),
            values: vec![self.now(), self.now(), self.now(), uuid.clone()],
        });
        statements.extend(MARKED.iter().map(|table| Statement {
            sql: format!(
                "UPDATE {table} SET deleted = id, deleted_at = {one} \
                 WHERE instance_uuid = {two} AND deleted = 0"
            ),
            values: dated(),
        }));
        statements.push(Statement {
            sql: format!("DELETE FROM tags WHERE resource_id = {one}"),
            values: vec![uuid.clone()],
        });
        let action = self.written.iter().find(|rows| rows.is("instance_actions")).map(|rows| {
            let rows = rows.clone().without("finish_time").without("updated_at").without("message");
            let rows = rows.with("action", Value::text(self.engine, "delete"));
            rows.insert(self.engine, &self.old, std::slice::from_ref(names))
        });
        statements.extend(action);
        statements
    }

    /// The time that stands for "now": when the plane's own boot was accepted.
    fn now(&self) -> Value {
        // The intent was put together with it.
        self.intent.value("created_at").cloned().unwrap_or_else(|_| Value::text(self.engine, ""))
    }
}

async fn capture_event(
    plane: &mut Pair,
    engine: Engine,
    instance: &str,
) -> anyhow::Result<Template> {
    let sql = format!(
        "SELECT e.* FROM instance_actions_events e JOIN instance_actions a ON a.id = e.action_id \
         WHERE a.instance_uuid = {}",
        marks(engine, 1, 1)
    );
    let key = Value::text(engine, instance);
    let (columns, rows) = plane.cell.query_named(&sql, &[key]).await?;
    Ok(Template::from_rows("instance_actions_events", columns, rows)
        .without("action_id")
        .without("id"))
}
