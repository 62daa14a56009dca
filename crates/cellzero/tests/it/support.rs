//! A plane on real databases of one backend, gone when it is dropped.

use cellzero::*;
use cellzero_test_support::{Engine, Row, TestDatabase, create_database};

pub(crate) const IMAGE: &str = "70a599e0-31e7-49b7-b260-868f441e862b";

/// An SSH public key.
pub(crate) const PUBLIC_KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f me";

/// A plane with cell0 and its databases.
pub(crate) struct TestPlane {
    pub(crate) plane: ControlPlane,
    pub(crate) api: TestDatabase,
    pub(crate) cell0: TestDatabase,
    pub(crate) cells: Vec<(CellUuid, TestDatabase)>,
    pub(crate) config: Config,
    engine: Engine,
    way: Way,
}

/// The URL by which a plane reaches a database.
pub(crate) type Way = std::sync::Arc<dyn Fn(&str) -> String + Send + Sync>;

impl TestPlane {
    /// An empty plane; none where the backend is left out.
    pub(crate) async fn new(engine: Engine) -> Option<TestPlane> {
        TestPlane::with(engine, |config| config).await
    }

    pub(crate) async fn with(
        engine: Engine,
        configure: impl FnOnce(Config) -> Config,
    ) -> Option<TestPlane> {
        TestPlane::with_way(engine, std::sync::Arc::new(str::to_owned), configure).await
    }

    /// The same with databases that are reached in this way.
    pub(crate) async fn with_way(
        engine: Engine,
        way: Way,
        configure: impl FnOnce(Config) -> Config,
    ) -> Option<TestPlane> {
        let api = create_database(engine, "api")?;
        let cell0 = create_database(engine, "cell0")?;
        let config =
            configure(Config::new(way(api.url())).cell0(way(cell0.url())).without_worker());
        let plane = ControlPlane::open(config.clone()).await.expect("a new plane opens");
        Some(TestPlane { plane, api, cell0, cells: Vec::new(), config, engine, way })
    }

    /// The same with cells that have these hosts each: vcpus, memory in MiB, disk in GiB.
    pub(crate) async fn with_cells(
        engine: Engine,
        hosts: &[&[(i32, i32, i32)]],
    ) -> Option<TestPlane> {
        let mut test = TestPlane::new(engine).await?;
        test.fill(hosts).await;
        Some(test)
    }

    /// Adds cells that have these hosts each, and the flavors.
    pub(crate) async fn fill(&mut self, hosts: &[&[(i32, i32, i32)]]) {
        for hosts in hosts {
            self.add_cell(hosts).await;
        }
        for (id, memory_mb, vcpus) in [("1", 512, 1), ("2", 1024, 1), ("huge", 9_999_999, 9_999)] {
            let flavor = Flavor::new(id, &format!("flavor-{id}"), vcpus, memory_mb, 1);
            self.plane.flavors().create(&flavor).await.expect("a new flavor");
        }
    }

    pub(crate) async fn add_cell(&mut self, hosts: &[(i32, i32, i32)]) -> CellUuid {
        let number = self.cells.len() + 1;
        let name = format!("cell{number}");
        let database = create_database(self.engine, &name).expect("the backend is there");
        let cell = self
            .plane
            .cells()
            .create(NewCell::new(&name, (self.way)(database.url())))
            .await
            .expect("a new cell");
        for ((vcpus, memory_mb, disk_gb), index) in hosts.iter().zip(1..) {
            let host = format!("{name}-host{index}");
            let node =
                ComputeNode::new(host, *vcpus, *memory_mb, *disk_gb).with_ratios(1.0, 1.0, 1.0);
            self.plane.hosts().report(cell, &node).await.expect("a host's report");
        }
        self.cells.push((cell, database));
        cell
    }

    pub(crate) fn is_mariadb(&self) -> bool {
        self.engine == Engine::MariaDb
    }

    pub(crate) fn cell(&self, index: usize) -> CellUuid {
        self.cells[index].0
    }

    /// Points a cell to another database, as an operator does, past our own code; says where it
    /// pointed.
    pub(crate) fn point(&self, cell: CellUuid, url: &str) -> String {
        let of_cell = format!("WHERE uuid = '{cell}'");
        let read = format!("SELECT database_connection FROM cell_mappings {of_cell}");
        let before = self.api.query(&read).expect("an answer")[0][0].clone().expect("a URL");
        let write = format!("UPDATE cell_mappings SET database_connection = '{url}' {of_cell}");
        self.api.execute(&write).expect("an update");
        before
    }

    /// Boots and drives to the end.
    pub(crate) async fn boot(&self, ctx: &RequestContext, request: BootRequest) -> Accepted {
        let accepted = self.plane.boot(ctx, request).await.expect("accepted");
        self.plane.settle().await.expect("settled");
        accepted
    }
}

/// The cells that fail a list that asks them all, with why.
pub(crate) async fn failing_cells(plane: &ControlPlane) -> Vec<(CellUuid, CellError)> {
    let page =
        plane.list(&RequestContext::admin(), &by_name().all_projects()).await.expect("a page");
    let failing = page.cells.into_iter().filter_map(|report| match report.answered {
        CellAnswered::TimedOut(error) | CellAnswered::Refused(error) => Some((report.cell, error)),
        CellAnswered::Answered { .. } | CellAnswered::Skipped(_) => None,
    });
    failing.collect()
}

/// The default list in the two ways to it: from the mappings, and, for a filter that only cells can
/// judge and that all pass, merged of the cells.
pub(crate) fn both_ways() -> [ListQuery; 2] {
    let all = ListFilters { not_tags: vec!["none".into()], ..ListFilters::default() };
    [ListQuery::default(), ListQuery::default().filter(all)]
}

/// The list by name, which is merged of the cells.
pub(crate) fn by_name() -> ListQuery {
    ListQuery::default().sort_by([(SortKey::DisplayName, SortDirection::Ascending)])
}

/// What a page says of a cell.
pub(crate) fn report(page: &Page, cell: CellUuid) -> &CellReport {
    page.cells.iter().find(|report| report.cell == cell).expect("a report for each cell")
}

pub(crate) fn uuids(page: &Page) -> Vec<InstanceUuid> {
    page.instances.iter().map(|instance| instance.uuid).collect()
}

/// A user of project `a`.
pub(crate) fn user() -> RequestContext {
    RequestContext::new("project-a", "user-a")
}

/// An admin who acts in the project of `ctx`.
pub(crate) fn admin_of(ctx: &RequestContext) -> RequestContext {
    RequestContext { is_admin: true, ..ctx.clone() }
}

pub(crate) fn request(name: &str, flavor: &str) -> BootRequestBuilder {
    BootRequest::builder(name, flavor, IMAGE)
}

/// How many rows a statement finds.
pub(crate) fn count(database: &TestDatabase, from: &str) -> i64 {
    let rows = database.query(&format!("SELECT COUNT(*) FROM {from}")).expect("a count");
    rows[0][0].as_deref().and_then(|text| text.parse().ok()).expect("a number")
}

/// What the API database says of a plane at rest, in one row.
const API_AT_REST: &str = "SELECT \
    (SELECT COUNT(*) FROM build_requests), \
    (SELECT COUNT(*) FROM boot_intents), \
    (SELECT COUNT(*) FROM host_capacity WHERE vcpus_used > vcpus_limit OR \
        memory_mb_used > memory_mb_limit OR disk_gb_used > disk_gb_limit), \
    (SELECT COALESCE(SUM(vcpus), 0) FROM claims), \
    (SELECT COALESCE(SUM(vcpus_used), 0) FROM host_capacity), \
    (SELECT COUNT(*) FROM claims), \
    (SELECT COUNT(*) FROM instance_mappings im JOIN cell_mappings cm ON cm.id = im.cell_id \
        WHERE cm.uuid = '00000000-0000-0000-0000-000000000000' AND NOT im.queued_for_delete)";

impl TestPlane {
    /// Invariants of a plane at rest, read from the databases past our own code.
    pub(crate) fn check_at_rest(&self) {
        self.check_at_rest_by(|database, text| database.query(text).expect("an answer"));
    }

    /// The same, by whoever asks a database.
    pub(crate) fn check_at_rest_by(&self, ask: impl Fn(&TestDatabase, &str) -> Vec<Row>) {
        let numbers = |database: &TestDatabase, text: &str| -> Vec<i64> {
            let row = ask(database, text).remove(0).into_iter();
            row.map(|value| value.expect("a number").parse().expect("a number")).collect()
        };
        let alive = |database: &TestDatabase, with: &str| {
            numbers(database, &format!("SELECT COUNT(*) FROM instances WHERE deleted = 0{with}"))[0]
        };
        let api = numbers(&self.api, API_AT_REST);
        let [requests, intents, over, claimed, used, claims, buried] = api[..] else {
            panic!("{api:?}");
        };
        assert_eq!(requests, 0, "build requests");
        assert_eq!(intents, 0, "intents");
        assert_eq!(over, 0, "hosts over their limit");
        assert_eq!(claimed, used, "claims and what hosts say is used");
        // What no host could build stands in its cell on none, and claims nothing.
        let on_a_host = |cell| alive(cell, " AND host IS NOT NULL");
        let live: i64 = self.cells.iter().map(|(_, cell)| on_a_host(cell)).sum();
        assert_eq!(claims, live, "claims and live instances");
        assert_eq!(alive(&self.cell0, ""), buried, "rows of cell0 and mappings to it");
    }
}

/// What was asked for, of which instance, under which id.
type Noted = (&'static str, InstanceUuid, OperationUuid);

/// A dispatch that notes what it was given, and does it at once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Recorder(std::sync::Arc<std::sync::Mutex<Vec<Noted>>>);

impl Recorder {
    fn note(&self, operation: &'static str, uuid: InstanceUuid, id: OperationUuid) {
        self.0.lock().unwrap().push((operation, uuid, id));
    }

    pub(crate) fn of(&self, operation: &str) -> Vec<InstanceUuid> {
        let all = self.0.lock().unwrap();
        all.iter().filter(|(name, _, _)| *name == operation).map(|(_, uuid, _)| *uuid).collect()
    }

    pub(crate) fn released(&self) -> Vec<InstanceUuid> {
        self.of("release")
    }
}

#[async_trait::async_trait]
impl Dispatch for Recorder {
    async fn build(&self, o: &BuildOperation) -> Result<Dispatched, DispatchError> {
        self.note("build", o.instance_uuid, o.id);
        Ok(Dispatched::Done)
    }

    async fn destroy(&self, o: &DestroyOperation) -> Result<Dispatched, DispatchError> {
        self.note("destroy", o.instance_uuid, o.id);
        Ok(Dispatched::Done)
    }

    async fn release(&self, o: &ReleaseOperation) -> Result<Dispatched, DispatchError> {
        self.note("release", o.instance_uuid, o.id);
        Ok(Dispatched::Done)
    }

    async fn act(&self, o: &ActionOperation) -> Result<Dispatched, DispatchError> {
        self.note(o.action.name(), o.instance_uuid, o.id);
        Ok(Dispatched::Done)
    }
}
