//! Planes to measure: real databases of one engine, with the cells and hosts that a case needs.

use anyhow::{Context as _, bail};
use cellzero::*;
use cellzero_test_support::{Engine, TestDatabase, create_database};

/// The project of everything that is booted.
pub(crate) const PROJECT: &str = "bench-project";
const IMAGE: &str = "70a599e0-31e7-49b7-b260-868f441e862b";
/// A flavor that every host has room for.
const SMALL: &str = "small";
/// A flavor that no host has room for.
const HUGE: &str = "huge";
/// How many instances one request of a set-up makes.
const BATCH: u32 = 200;
/// After how many of them the hosts report again, as live ones do: well within five minutes.
const BATCHES_BETWEEN_REPORTS: u32 = 50;

/// A plane with its databases, gone when it is dropped.
pub(crate) struct Plane {
    /// The plane itself, without a worker.
    pub(crate) plane: ControlPlane,
    /// How it was opened.
    pub(crate) config: Config,
    /// Its API database.
    pub(crate) api: TestDatabase,
    /// Its cell0.
    pub(crate) cell0: TestDatabase,
    /// Its live cells.
    pub(crate) cells: Vec<TestDatabase>,
    /// The host of each live cell.
    hosts: Vec<(CellUuid, ComputeNode)>,
}

impl Plane {
    /// A plane with one cell for each number; its one host has room for so many small instances.
    pub(crate) async fn open(engine: Engine, rooms: &[i32]) -> anyhow::Result<Plane> {
        let database = |hint: &str| {
            create_database(engine, hint)
                .with_context(|| format!("{} is not available", engine.name()))
        };
        let (api, cell0) = (database("api")?, database("cell0")?);
        let config = Config::new(api.url()).cell0(cell0.url()).without_worker();
        let plane = ControlPlane::open(config.clone()).await?;
        plane.flavors().create(&Flavor::new(SMALL, SMALL, 1, 512, 1)).await?;
        plane.flavors().create(&Flavor::new(HUGE, HUGE, 9_999, 9_999_999, 1)).await?;
        let (cells, hosts) = (Vec::new(), Vec::new());
        let mut plane = Plane { plane, config, api, cell0, cells, hosts };
        for (room, number) in rooms.iter().zip(1..) {
            let name = format!("cell{number}");
            plane.add_cell(&name, database(&name)?, *room).await?;
        }
        Ok(plane)
    }

    /// A cell in this database; its one host has room for so many small instances.
    pub(crate) async fn add_cell(
        &mut self,
        name: &str,
        database: TestDatabase,
        room: i32,
    ) -> anyhow::Result<()> {
        let cell = self.plane.cells().create(NewCell::new(name, database.url())).await?;
        let host = format!("{name}-host");
        let node = ComputeNode::new(host, room, 4_000_000, 100_000).with_ratios(1.0, 1.0, 1.0);
        self.plane.hosts().report(cell, &node).await?;
        self.cells.push(database);
        self.hosts.push((cell, node));
        Ok(())
    }

    /// Its live cells, in the order of their databases.
    pub(crate) fn cell_uuids(&self) -> Vec<CellUuid> {
        self.hosts.iter().map(|(cell, _)| *cell).collect()
    }

    /// Points the first cells' mappings elsewhere; gives back where they pointed.
    pub(crate) fn point_to(&self, url: &str, cells: usize) -> anyhow::Result<Vec<String>> {
        let mut before = Vec::new();
        for cell in self.cell_uuids().iter().take(cells) {
            let of = format!("SELECT database_connection FROM cell_mappings WHERE uuid = '{cell}'");
            let rows = self.api.query(&of)?;
            let known = rows.into_iter().flatten().flatten().next();
            before.push(known.context("a cell mapping has a URL")?);
        }
        self.point(&vec![url.to_owned(); cells])?;
        Ok(before)
    }

    /// Points the first cells' mappings to these URLs.
    pub(crate) fn point(&self, urls: &[String]) -> anyhow::Result<()> {
        for (cell, url) in self.cell_uuids().iter().zip(urls) {
            self.api.execute(&format!(
                "UPDATE cell_mappings SET database_connection = '{url}' WHERE uuid = '{cell}'"
            ))?;
        }
        Ok(())
    }

    /// All hosts report: one that is silent for five minutes is down, and gets nothing.
    async fn report(&self) -> anyhow::Result<()> {
        for (cell, node) in &self.hosts {
            self.plane.hosts().report(*cell, node).await?;
        }
        Ok(())
    }

    /// Gives PostgreSQL's planner its statistics and its pages their final form, as a server that
    /// runs for a minute has them. The other engines keep their own.
    pub(crate) fn analyze(&self) -> anyhow::Result<()> {
        for database in [&self.api, &self.cell0].into_iter().chain(&self.cells) {
            if database.engine() == Engine::Postgres {
                database.execute("VACUUM (ANALYZE)")?;
            }
        }
        Ok(())
    }

    /// Boots as many small instances as `count`, which must be exactly what there is room for.
    pub(crate) async fn fill(&self, count: u32) -> anyhow::Result<()> {
        let (mut in_cells, mut in_cell0) = (0, 0);
        for batch in 0..count.div_ceil(BATCH) {
            if batch % BATCHES_BETWEEN_REPORTS == 0 {
                self.report().await?;
            }
            let size = BATCH.min(count - batch * BATCH);
            self.plane.boot(&user(), request(SMALL, size)?).await?;
            loop {
                let settled = self.plane.settle().await?;
                in_cells += settled.in_cells;
                in_cell0 += settled.in_cell0;
                if settled.waiting == 0 {
                    break;
                }
                eprintln!("{} instances wait", settled.waiting);
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            }
        }
        if in_cells != count as usize {
            bail!("{in_cells} of {count} instances fitted, {in_cell0} are buried");
        }
        Ok(())
    }
}

/// A user of the project, with a new request id.
pub(crate) fn user() -> RequestContext {
    RequestContext::new(PROJECT, "bench-user")
}

/// A request for instances that no host has room for.
pub(crate) fn hopeless(count: u32) -> anyhow::Result<BootRequest> {
    request(HUGE, count)
}

/// A request for instances that every host has room for.
pub(crate) fn fitting(count: u32) -> anyhow::Result<BootRequest> {
    request(SMALL, count)
}

/// The request of the benchmark: 2 tags, 2 metadata, 1 block device, the default security group.
fn request(flavor: &str, count: u32) -> anyhow::Result<BootRequest> {
    let device = BlockDevice {
        source_type: "image".into(),
        destination_type: "local".into(),
        source_id: Some(IMAGE.parse().context("the image's uuid")?),
        boot_index: Some(0),
        delete_on_termination: true,
        ..BlockDevice::default()
    };
    let request = BootRequest::builder("bench", flavor, IMAGE)
        .count(count)
        .tag("blue")
        .tag("green")
        .metadata("role", "web")
        .metadata("tier", "1")
        .block_device(device)
        .build()?;
    Ok(request)
}
