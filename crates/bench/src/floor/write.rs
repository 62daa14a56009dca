//! Boot to cell0 and delete, as transactions of prepared statements.

use anyhow::Context as _;
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
/// What is written into cell0, in the order of its foreign keys.
const BURIED: [(&str, &str); 10] = [
    ("instance_fences", "instance_uuid"),
    ("instances", "uuid"),
    ("instance_extra", "instance_uuid"),
    ("instance_info_caches", "instance_uuid"),
    ("instance_metadata", "instance_uuid"),
    ("tags", "resource_id"),
    ("block_device_mapping", "instance_uuid"),
    ("security_group_instance_association", "instance_uuid"),
    ("instance_faults", "instance_uuid"),
    ("instance_actions", "instance_uuid"),
];
/// The tables beside `instances` whose rows a delete marks.
const MARKED: [&str; 6] = [
    "instance_extra",
    "instance_info_caches",
    "instance_faults",
    "instance_metadata",
    "security_group_instance_association",
    "block_device_mapping",
];
/// The uuid of cell0.
const CELL0: &str = "00000000-0000-0000-0000-000000000000";

/// Connections to the API database and to cell0 of one plane.
pub(crate) struct Pair {
    /// To the API database.
    pub(crate) api: Session,
    /// To cell0.
    pub(crate) cell0: Session,
}

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Database {
    Api,
    Cell0,
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
    pub(crate) async fn open(engine: Engine, api: &str, cell0: &str) -> anyhow::Result<Pair> {
        let (api, cell0) = (Session::open(engine, api).await?, Session::open(engine, cell0).await?);
        Ok(Pair { api, cell0 })
    }

    /// Does the work: a transaction for each part, but none for a single statement.
    pub(crate) async fn run(&mut self, work: &Work) -> anyhow::Result<()> {
        for part in &work.0 {
            let session = match part.database {
                Database::Api => &mut self.api,
                Database::Cell0 => &mut self.cell0,
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
        let (api, cell0) = (self.api.sent(), self.cell0.sent());
        Sent { statements: api.statements + cell0.statements, commits: api.commits + cell0.commits }
    }
}

/// The rows of one boot of the plane, to be written again.
pub(crate) struct Boot {
    engine: Engine,
    old: Names,
    accepted: Vec<Template>,
    placed: Vec<Template>,
    buried: Vec<Template>,
    event: Template,
    security_group: Template,
    cell0_id: Value,
}

impl Boot {
    /// Reads what accept has written; `buried` gets the rest once the boot has gone on.
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

    /// Reads what the rest of the boot has written.
    pub(crate) async fn capture(
        plane: &mut Pair,
        engine: Engine,
        old: Names,
        accepted: Vec<Template>,
    ) -> anyhow::Result<Boot> {
        let group =
            Template::capture(&mut plane.api, engine, ("boot_groups", "uuid"), &old.group).await?;
        let state = accepted.last().context("accept writes boot states")?;
        let intent = Template::of(
            "boot_intents",
            vec![
                ("instance_uuid", state.value("instance_uuid")?.clone()),
                ("epoch", state.value("epoch")?.clone()),
                ("cell_uuid", Value::text(engine, CELL0)),
                ("created_at", state.value("created_at")?.clone()),
            ],
        );
        let mut buried = Vec::new();
        for table in BURIED {
            buried.push(Template::capture(&mut plane.cell0, engine, table, &old.instance).await?);
        }
        let device = buried
            .iter()
            .find_map(|rows| rows.value("uuid").ok().filter(|_| rows.is("block_device_mapping")));
        let device = device.and_then(Value::as_text).context("a block device has a uuid")?;
        let old = Names { device: device.to_owned(), ..old };
        let event = capture_event(plane, engine, &old.instance).await?;
        let group_of = ("security_groups", "name");
        let security_group =
            Template::capture_with_id(&mut plane.cell0, engine, group_of, "default").await?;
        let mapping = ("instance_mappings", "instance_uuid");
        let mapping = Template::capture(&mut plane.api, engine, mapping, &old.instance).await?;
        let cell0_id = mapping.value("cell_id")?.clone();
        let placed = vec![group, intent];
        Ok(Boot { engine, old, accepted, placed, buried, event, security_group, cell0_id })
    }

    /// What has to stand before the first boot: the security group that each instance joins.
    pub(crate) fn prepare(&self) -> Work {
        let statement =
            self.security_group.insert(self.engine, &self.old, std::slice::from_ref(&self.old));
        Work(vec![Part { database: Database::Cell0, statements: vec![statement] }])
    }

    /// The boot of these instances of one request.
    pub(crate) fn boot(&self, new: &[Names]) -> Work {
        let insert = |rows: &Template, names: &[Names]| rows.insert(self.engine, &self.old, names);
        let all = |rows: &[Template]| rows.iter().map(|rows| insert(rows, new)).collect::<Vec<_>>();
        // The group has one row, however many instances.
        let placed = vec![insert(&self.placed[0], &new[..1]), insert(&self.placed[1], new)];
        let mut buried = all(&self.buried);
        buried.push(self.event.insert_for_actions(self.engine, &new[0]));
        Work(vec![
            Part { database: Database::Api, statements: all(&self.accepted) },
            Part { database: Database::Api, statements: placed },
            Part { database: Database::Cell0, statements: buried },
            Part { database: Database::Api, statements: self.decide(new) },
        ])
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
                values: with(&[self.cell0_id.clone(), now]),
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
            Part { database: Database::Cell0, statements: self.delete_in_cell0(&uuid, names) },
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
                values: vec![uuid, Value::text(self.engine, CELL0), now],
            },
        ]
    }

    fn delete_in_cell0(&self, uuid: &Value, names: &Names) -> Vec<Statement> {
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
        let action = self.buried.last().map(|rows| {
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
        self.placed[1].value("created_at").cloned().unwrap_or_else(|_| Value::text(self.engine, ""))
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
    let (columns, rows) = plane.cell0.query_named(&sql, &[key]).await?;
    Ok(Template::from_rows("instance_actions_events", columns, rows)
        .without("action_id")
        .without("id"))
}
