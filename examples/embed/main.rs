//! A control plane inside a program of your own, in twenty lines.
//!
//! `cargo run --example embed`. One dependency, one type: SQLite files in a directory, a cell, a
//! host, a flavor, and an instance from its boot to its end. The plane's own worker brings it home.

use std::path::Path;

use cellzero::{BootRequest, ComputeNode, Config, ControlPlane, Flavor, ListQuery, RequestContext};

/// Images belong to the image service: any uuid is taken.
const IMAGE: &str = "70a599e0-31e7-49b7-b260-868f441e862b";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let state = tempfile::tempdir()?;
    monday(state.path()).await
}

/// All that there is to know on the first day.
pub(crate) async fn monday(state: &Path) -> anyhow::Result<()> {
    let plane = ControlPlane::open(Config::embedded(state)).await?;
    let cell = plane.cells().create_embedded("cell1").await?;
    plane.hosts().report(cell, &ComputeNode::new("host1", 8, 16_384, 200)).await?;
    plane.flavors().create(&Flavor::new("1", "m1.tiny", 1, 512, 1)).await?;

    let ctx = RequestContext::new("my-project", "me");
    let request = BootRequest::builder("web", "1", IMAGE).count(3).tag("prod").build()?;
    let accepted = plane.boot(&ctx, request).await?;
    plane.wait(&ctx, &accepted).await?;

    let instance = plane.show(&ctx, accepted[0]).await?;
    println!("{} is {} on {:?}", instance.uuid, instance.status(), instance.host);
    let page = plane.list(&ctx, &ListQuery::default().limit(100)).await?;
    println!("{} instances are listed", page.instances.len());

    plane.delete(&ctx, accepted[0]).await?;
    println!("after a delete: {}", plane.list(&ctx, &ListQuery::default()).await?.instances.len());
    plane.close().await?;
    Ok(())
}
