//! A plane on real databases of one backend, gone when it is dropped.

use cellzero::*;
use cellzero_test_support::{Engine, TestDatabase, create_database};

pub(crate) const IMAGE: &str = "70a599e0-31e7-49b7-b260-868f441e862b";

/// A plane with cell0 and its databases.
pub(crate) struct TestPlane {
    pub(crate) plane: ControlPlane,
    pub(crate) api: TestDatabase,
    pub(crate) cell0: TestDatabase,
    pub(crate) cells: Vec<(CellUuid, TestDatabase)>,
    pub(crate) config: Config,
    engine: Engine,
}

impl TestPlane {
    /// An empty plane; none where the backend is left out.
    pub(crate) async fn new(engine: Engine) -> Option<TestPlane> {
        TestPlane::with(engine, |config| config).await
    }

    pub(crate) async fn with(
        engine: Engine,
        configure: impl FnOnce(Config) -> Config,
    ) -> Option<TestPlane> {
        let api = create_database(engine, "api")?;
        let cell0 = create_database(engine, "cell0")?;
        let config = configure(Config::new(api.url()).cell0(cell0.url()).without_worker());
        let plane = ControlPlane::open(config.clone()).await.expect("a new plane opens");
        Some(TestPlane { plane, api, cell0, cells: Vec::new(), config, engine })
    }

    /// The same with cells that have these hosts each: vcpus, memory in MiB, disk in GiB.
    pub(crate) async fn with_cells(
        engine: Engine,
        hosts: &[&[(i32, i32, i32)]],
    ) -> Option<TestPlane> {
        let mut test = TestPlane::new(engine).await?;
        for hosts in hosts {
            test.add_cell(hosts).await;
        }
        for (id, memory_mb, vcpus) in [("1", 512, 1), ("2", 1024, 1), ("huge", 9_999_999, 9_999)] {
            let flavor = Flavor::new(id, &format!("flavor-{id}"), vcpus, memory_mb, 1);
            test.plane.flavors().create(&flavor).await.expect("a new flavor");
        }
        Some(test)
    }

    pub(crate) async fn add_cell(&mut self, hosts: &[(i32, i32, i32)]) -> CellUuid {
        let number = self.cells.len() + 1;
        let name = format!("cell{number}");
        let database = create_database(self.engine, &name).expect("the backend is there");
        let cell = self
            .plane
            .cells()
            .create(NewCell::new(&name, database.url()))
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

    pub(crate) fn cell(&self, index: usize) -> CellUuid {
        self.cells[index].0
    }

    /// Boots and drives to the end.
    pub(crate) async fn boot(&self, ctx: &RequestContext, request: BootRequest) -> Accepted {
        let accepted = self.plane.boot(ctx, request).await.expect("accepted");
        self.plane.settle().await.expect("settled");
        accepted
    }
}

/// A user of project `a`.
pub(crate) fn user() -> RequestContext {
    RequestContext::new("project-a", "user-a")
}

pub(crate) fn request(name: &str, flavor: &str) -> BootRequestBuilder {
    BootRequest::builder(name, flavor, IMAGE)
}
