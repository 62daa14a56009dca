//! One process of a plane in `cargo xtask upgrade`. It takes orders on its standard input, a line of
//! JSON each, and answers on its standard output; its workers bring home what any process accepted.
//!
//! The same source is built with the library of the version before and with this one, so it uses
//! what both have, and nothing else of its crate.

use std::io::BufRead as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use cellzero::{
    BootRequest, CellUuid, ComputeNode, Config, ControlPlane, Flavor, FsckOptions, InstanceUuid,
    ListQuery, NewCell, OrchestratorOptions, RequestContext,
};
use serde_json::{Value, json};

/// The variables with the URLs of the API database and of cell0, which hold passwords.
const API_URL: &str = "CELLZERO_PEER_API_URL";
const CELL0_URL: &str = "CELLZERO_PEER_CELL0_URL";
const IMAGE: &str = "70a599e0-31e7-49b7-b260-868f441e862b";
const PAGE: u32 = 100;
const WORKERS: usize = 2;

fn main() -> anyhow::Result<()> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(2).enable_all().build().context("no runtime")?;
    runtime.block_on(work())
}

async fn work() -> anyhow::Result<()> {
    let plane = Arc::new(open().await?);
    let workers = plane.run_workers(WORKERS)?;
    println!("{}", json!({ "open": true }));
    // Orders come one after another: reading them in between holds nobody up.
    for line in std::io::stdin().lock().lines() {
        let order: Value = serde_json::from_str(&line?).context("not an order")?;
        let answer = match perform(&plane, &order).await {
            Ok(answer) => json!({ "ok": answer }),
            Err(error) => json!({ "error": format!("{error:#}") }),
        };
        println!("{answer}");
    }
    workers.shutdown().await.context("the workers did not end")?;
    plane.close().await.context("the plane was not closed")
}

async fn open() -> anyhow::Result<ControlPlane> {
    let url = std::env::var(API_URL).with_context(|| format!("{API_URL} is not set"))?;
    let orchestrator = OrchestratorOptions {
        lease: Duration::from_secs(5),
        back_off: Duration::from_millis(100),
        back_off_max: Duration::from_secs(1),
        ..OrchestratorOptions::default()
    };
    let mut config = Config::new(url).orchestrator(orchestrator).without_worker();
    if let Ok(cell0) = std::env::var(CELL0_URL) {
        config = config.cell0(cell0);
    }
    Ok(ControlPlane::open(config).await?)
}

fn user() -> RequestContext {
    RequestContext::new("upgrade", "user").with_timeout(Duration::from_secs(20))
}

fn text<'a>(order: &'a Value, name: &str) -> anyhow::Result<&'a str> {
    order[name].as_str().with_context(|| format!("{name} is missing in {order}"))
}

async fn perform(plane: &ControlPlane, order: &Value) -> anyhow::Result<Value> {
    match text(order, "do")? {
        "make" => make(plane, order).await,
        "boot" => boot(plane, order).await,
        "delete" => {
            let uuid: InstanceUuid = text(order, "uuid")?.parse()?;
            plane.delete(&user(), uuid).await?;
            Ok(Value::Null)
        }
        "show" => {
            let uuid: InstanceUuid = text(order, "uuid")?.parse()?;
            let shown = plane.show(&user(), uuid).await?;
            Ok(json!({ "status": shown.status(), "host": shown.host }))
        }
        "list" => list(plane).await,
        "settle" => Ok(json!(format!("{:?}", plane.settle().await?))),
        "fsck" => {
            let report = plane.fsck(FsckOptions::default()).await?;
            let findings: Vec<String> = report.findings.iter().map(|f| format!("{f:?}")).collect();
            Ok(json!(findings))
        }
        other => bail!("{other} is no order"),
    }
}

/// Cells, hosts with room for all, and flavors of which one fits nowhere.
async fn make(plane: &ControlPlane, order: &Value) -> anyhow::Result<Value> {
    let urls = order["cells"].as_array().context("cells are missing")?;
    for (url, number) in urls.iter().zip(1..) {
        let url = url.as_str().context("a URL is text")?;
        let cell: CellUuid =
            plane.cells().create(NewCell::new(format!("cell{number}"), url)).await?;
        for host in 1..=2 {
            let host = format!("cell{number}-host{host}");
            plane.hosts().report(cell, &ComputeNode::new(host, 4_000, 4_000_000, 400_000)).await?;
        }
    }
    plane.flavors().create(&Flavor::new("fits", "fits", 1, 512, 1)).await?;
    plane.flavors().create(&Flavor::new("huge", "huge", 999_999, 512, 1)).await?;
    Ok(Value::Null)
}

async fn boot(plane: &ControlPlane, order: &Value) -> anyhow::Result<Value> {
    let count = order["count"].as_u64().and_then(|count| u32::try_from(count).ok()).unwrap_or(1);
    let request = BootRequest::builder(text(order, "name")?, text(order, "flavor")?, IMAGE);
    let accepted = plane.boot(&user(), request.count(count).build()?).await?;
    let uuids: Vec<String> = accepted.instances.iter().map(ToString::to_string).collect();
    Ok(json!(uuids))
}

/// Every instance, page by page, with its status.
async fn list(plane: &ControlPlane) -> anyhow::Result<Value> {
    let mut all = Vec::new();
    let mut query = ListQuery::default().limit(PAGE);
    loop {
        let page = plane.list(&user(), &query).await?;
        if !page.is_complete() {
            bail!("a cell did not answer");
        }
        let rows = page.instances.iter();
        all.extend(rows.map(|instance| json!([instance.uuid.to_string(), instance.status()])));
        match page.next {
            Some(next) => query = ListQuery::default().limit(PAGE).after(next),
            None => return Ok(json!(all)),
        }
    }
}
