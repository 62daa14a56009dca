//! The world of a trace: a plane on real databases, with processes that share them, a scheduler that
//! proposes what the trace says, and a receiver that applies each effect once and in order.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cellzero::*;
use cellzero_database::Scope;
use cellzero_model::trace::{Held, HeldInCell, HeldRow};
use cellzero_orchestrator::Orchestrator;
use cellzero_router::{Cells, CellsOptions, Router};
use cellzero_test_support::{Engine, TestDatabase, create_database};

use crate::actor::{DELIVER, PROPOSE, stop_here};

const IMAGE: &str = "70a599e0-31e7-49b7-b260-868f441e862b";
/// The one host, which has room for one instance.
const HOST: &str = "cell1-host1";
/// How often a sequence number of the library is that of the model.
const SEQUENCES: i64 = 1 << 20;
/// The most passes until a plane is at rest.
const PASSES_MAX: u32 = 60;

/// Proposes what it was told last: the host, or to bury.
#[derive(Debug)]
pub(crate) struct Told {
    cell: CellUuid,
    pub(crate) buries: Mutex<bool>,
}

#[async_trait::async_trait]
impl Scheduler for Told {
    async fn select_destinations(
        &self,
        request: &SelectRequest,
    ) -> Result<Vec<Result<Selection, Verdict>>, SchedulerError> {
        stop_here(PROPOSE).await;
        let answer = if *self.buries.lock().unwrap() {
            let message = "the trace says so".to_owned();
            Err(Verdict::new(VerdictReason::Scheduler { message }))
        } else {
            Ok(Selection {
                host: HOST.to_owned(),
                node: HOST.to_owned(),
                cell: self.cell,
                availability_zone: None,
                alternates: Vec::new(),
            })
        };
        Ok(request.specs.iter().map(|_| answer.clone()).collect())
    }
}

/// What the receiver has applied of an instance.
#[derive(Debug, Clone, Copy, Default)]
struct Applied {
    sequence: i64,
    runs: bool,
}

/// Hosts, as they should be: an effect that does not come in order is dropped.
#[derive(Debug, Default)]
pub(crate) struct Receiver(Mutex<HashMap<InstanceUuid, Applied>>);

impl Receiver {
    fn apply(&self, uuid: InstanceUuid, sequence: i64, runs: bool) {
        let mut all = self.0.lock().unwrap();
        let applied = all.entry(uuid).or_default();
        if sequence > applied.sequence {
            *applied = Applied { sequence, runs };
        }
    }

    fn of(&self, uuid: InstanceUuid) -> Applied {
        self.0.lock().unwrap().get(&uuid).copied().unwrap_or_default()
    }
}

/// The way to the receiver.
#[derive(Debug)]
struct Way(Arc<Receiver>);

#[async_trait::async_trait]
impl Dispatch for Way {
    async fn build(&self, o: &BuildOperation) -> Result<Dispatched, DispatchError> {
        stop_here(DELIVER).await;
        self.0.apply(o.instance_uuid, o.sequence, true);
        Ok(Dispatched::Done)
    }

    async fn destroy(&self, o: &DestroyOperation) -> Result<Dispatched, DispatchError> {
        stop_here(DELIVER).await;
        self.0.apply(o.instance_uuid, o.sequence, false);
        Ok(Dispatched::Done)
    }

    async fn release(&self, _: &ReleaseOperation) -> Result<Dispatched, DispatchError> {
        Ok(Dispatched::Done)
    }

    async fn act(&self, _: &ActionOperation) -> Result<Dispatched, DispatchError> {
        Ok(Dispatched::Done)
    }
}

/// A plane with cell0 and one live cell.
pub(crate) struct World {
    pub(crate) plane: ControlPlane,
    pub(crate) router: Router,
    pub(crate) told: Arc<Told>,
    /// By their number in the model.
    pub(crate) cells: [CellUuid; 2],
    receiver: Arc<Receiver>,
    api: ApiDatabase,
    cell1: TestDatabase,
    _kept: [TestDatabase; 2],
}

fn options() -> OrchestratorOptions {
    // A lease that is over when it is taken binds nobody, as in the model.
    let now = Duration::ZERO;
    OrchestratorOptions { lease: now, back_off: now, ..OrchestratorOptions::default() }
}

impl World {
    pub(crate) async fn new(engine: Engine) -> Option<World> {
        let (api, cell0) = (create_database(engine, "api")?, create_database(engine, "cell0")?);
        let cell1 = create_database(engine, "cell1")?;
        let config = Config::new(api.url()).cell0(cell0.url()).without_worker();
        let plane = ControlPlane::open(config.clone()).await.unwrap();
        let cell = plane.cells().create(NewCell::new("cell1", cell1.url())).await.unwrap();
        let node = ComputeNode::new(HOST, 1, 512, 10).with_ratios(1.0, 1.0, 1.0);
        plane.hosts().report(cell, &node).await.unwrap();
        plane.flavors().create(&Flavor::new("1", "small", 1, 512, 1)).await.unwrap();

        let url = DatabaseUrl::parse(api.url()).unwrap();
        let database = ApiDatabase::new(url, Options::default());
        let identity = database.identity(Deadline::after(Duration::from_secs(10))).await.unwrap();
        let reached = CellsOptions {
            breaker: None,
            database: Options::default(),
            plane: identity.map(|identity| PlaneUuid(identity.plane)),
            base_url: None,
            base_dir: None,
        };
        let router = Router::new(database.clone(), Cells::new(database.clone(), reached));
        let world = World {
            plane,
            router,
            told: Arc::new(Told { cell, buries: Mutex::new(false) }),
            cells: [CellUuid::CELL0, cell],
            receiver: Arc::default(),
            api: database,
            cell1,
            _kept: [api, cell0],
        };
        Some(world)
    }

    /// A process of its own: it knows nothing but what the databases hold.
    pub(crate) fn process(&self) -> Orchestrator {
        Orchestrator::new(
            self.api.clone(),
            self.router.clone(),
            Arc::clone(&self.told) as _,
            Arc::new(Way(Arc::clone(&self.receiver))),
            Vec::new(),
            Arc::new(SystemUuids),
            options(),
        )
    }

    pub(crate) fn request() -> BootRequest {
        BootRequest::builder("web", "1", IMAGE).build().unwrap()
    }

    /// The URL of a cell's database, as a gate names it.
    pub(crate) async fn url(&self, cell: u8) -> String {
        let deadline = Deadline::after(Duration::from_secs(10));
        let handle = self.router.cells().get(self.cells[usize::from(cell)], deadline).await;
        handle.unwrap().database().url().to_string()
    }

    /// How many retries there have been.
    pub(crate) async fn retries(&self) -> i64 {
        let deadline = Deadline::after(Duration::from_secs(10));
        self.api.run("count_retries", deadline, cellzero_api_db::retry::counter).await.unwrap()
    }

    /// What all databases and the receiver hold of an instance.
    pub(crate) async fn held(&self, uuid: InstanceUuid, retries_before: i64) -> Held {
        let mut held = self.held_in_api(uuid).await;
        held.retries = small(self.retries().await - retries_before);
        for cell in 0..self.cells.len() {
            held.cells.push(self.held_in_cell(uuid, cell).await);
        }
        let applied = self.receiver.of(uuid);
        held.applied = small(applied.sequence / SEQUENCES);
        held.runs = applied.runs.then_some(1);
        held
    }

    async fn held_in_api(&self, uuid: InstanceUuid) -> Held {
        use cellzero_api_db::{boot_state, census, instance_mapping};
        let deadline = Deadline::after(Duration::from_secs(10));
        let text = uuid.text();
        let (seen, mapping, state) = self
            .api
            .run("held", deadline, move |conn| {
                let mut scope = Scope::These(vec![text.clone()]);
                let seen = census::read(conn, &mut scope, cellzero_database::Whose::Ours)?;
                let mapping = instance_mapping::find(conn, uuid)?;
                let state = boot_state::find(conn, uuid)?;
                Ok::<_, DatabaseError>((seen.get(&text).cloned(), mapping, state))
            })
            .await
            .unwrap();
        let (Some(seen), Some(mapping), Some(state)) = (seen, mapping, state) else {
            return Held::default();
        };
        let number = |cell: CellUuid| small(self.cells.iter().position(|c| *c == cell).unwrap());
        Held {
            epoch: small(state.epoch),
            decided: small(state.decided_epoch.unwrap_or(0)),
            request: seen.build_request.is_some(),
            mapping: mapping.cell.map(number),
            queued: mapping.queued_for_delete,
            claim: seen.claim.map(|_| 1),
            intents: seen
                .intents
                .iter()
                .map(|(epoch, cell)| (small(*epoch), number(cell.parse().unwrap())))
                .collect(),
            ..Held::default()
        }
    }

    async fn held_in_cell(&self, uuid: InstanceUuid, cell: usize) -> HeldInCell {
        use cellzero_cell_db::{census, fence};
        let deadline = Deadline::after(Duration::from_secs(10));
        let handle = self.router.cells().get(self.cells[cell], deadline).await.unwrap();
        let text = uuid.text();
        let (seen, fence, waits) = handle
            .run("held", deadline, move |conn| {
                let mut scope = Scope::These(vec![text.clone()]);
                let seen = census::read(conn, &mut scope, cellzero_database::Whose::Ours)?;
                let later = conn.now() + chrono::TimeDelta::days(1);
                let waits = census::overdue(conn, later, 1_000)?;
                let waits = waits.iter().any(|(waiting, _)| *waiting == text);
                let fence = fence::find(conn, uuid)?;
                Ok::<_, DatabaseError>((seen.get(&text).cloned(), fence, waits))
            })
            .await
            .unwrap();
        let row = match seen.and_then(|seen| seen.row) {
            None => HeldRow::Absent,
            Some(row) if row.deleted => HeldRow::Deleted,
            Some(_) => HeldRow::Live,
        };
        let (build, destroy) = if waits { self.outbox(uuid) } else { (0, 0) };
        HeldInCell {
            fence: fence.as_ref().map_or(0, |fence| small(fence.fence)),
            written: fence.and_then(|fence| fence.written_epoch).map_or(0, small),
            row,
            build,
            destroy,
        }
    }

    /// The sequence numbers of a build and of a destroy that wait in the live cell.
    fn outbox(&self, uuid: InstanceUuid) -> (u8, u8) {
        let select = "SELECT operation, sequence FROM outbox WHERE instance_uuid";
        let rows = self.cell1.query(&format!("{select} = '{uuid}'")).unwrap();
        let of = |name: &str| {
            let row = rows.iter().find(|row| row[0].as_deref() == Some(name));
            let sequence: Option<i64> = row.and_then(|row| row[1].as_ref()?.parse().ok());
            small(sequence.unwrap_or(0) / SEQUENCES)
        };
        (of("build"), of("destroy"))
    }

    /// Recovers until nothing is left to do.
    pub(crate) async fn rest(&self) {
        *self.told.buries.lock().unwrap() = false;
        let process = self.process();
        let mut quiet = 0;
        for _ in 0..PASSES_MAX {
            let settled = process.recover().await.unwrap();
            quiet = if settled == Settled::default() { quiet + 1 } else { 0 };
            // Twice, since two connections may disagree by a moment about what the time is.
            if quiet == 3 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        panic!("the plane does not come to rest");
    }

    /// What is wrong at rest, if anything is.
    pub(crate) async fn check(&self) {
        let report = self.plane.fsck(Repair::No).await.unwrap();
        assert!(report.findings.is_empty(), "{:#?}", report.findings);
    }
}

fn small<T>(number: T) -> u8
where
    u8: TryFrom<T>,
    <u8 as TryFrom<T>>::Error: std::fmt::Debug,
{
    u8::try_from(number).unwrap()
}
