//! What stands on the databases: cells, hosts, flavors and two instances.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context as _;
use cellzero::{
    BootRequest, CellUuid, ComputeNode, Config, ControlPlane, FilterSchedulerOptions, Flavor, Home,
    ListQuery, NewCell, RequestContext,
};
use serde::Serialize;

use super::Step;
use super::databases::Databases;

/// Who owns what is booted.
pub(super) const PROJECT: &str = "demo";
/// Its user.
pub(super) const USER: &str = "demo";
/// The size of a simulated host: vcpus, memory in MiB, disk in GiB.
const HOST: (i32, i32, i32) = (8, 16_384, 200);
/// Nova's flavors of old, and one that no host has room for: name, vcpus, MiB, GiB.
const FLAVORS: [(&str, i32, i32, i32); 6] = [
    ("m1.tiny", 1, 512, 1),
    ("m1.small", 1, 2_048, 20),
    ("m1.medium", 2, 4_096, 40),
    ("m1.large", 4, 8_192, 80),
    ("m1.xlarge", 8, 16_384, 160),
    ("m1.huge", 32, 65_536, 640),
];
/// The instances of a new plane, with their flavors.
const INSTANCES: [(&str, &str); 2] = [("web", "m1.tiny"), ("too-large", "m1.huge")];

/// Makes the plane, or opens it.
pub(super) async fn open(
    databases: &Databases,
    timeout: Duration,
) -> anyhow::Result<(ControlPlane, Vec<Step>)> {
    let config = Config::new(databases.url("api").reveal())
        .cell0(databases.url("cell0").reveal())
        .admin_timeout(timeout)
        .filter_scheduler(FilterSchedulerOptions {
            service_down_after: Duration::MAX,
            ..FilterSchedulerOptions::default()
        })
        .without_worker();
    let plane = ControlPlane::open(config).await.context("the plane could not be made")?;
    let step =
        |what: &str, name: &str| Step::new(what, databases.is_new(name), databases.shown(name));
    Ok((plane, vec![step("API database", "api"), step("cell0", "cell0")]))
}

/// Makes cells, hosts and flavors that are missing. Hosts report again, which changes nothing.
pub(super) async fn fill(
    plane: &ControlPlane,
    databases: &Databases,
    hosts: u32,
) -> anyhow::Result<Vec<Step>> {
    let mut steps = Vec::new();
    let mapped = plane.cells().list().await?.into_iter();
    let mapped: BTreeMap<String, CellUuid> =
        mapped.filter_map(|mapping| Some((mapping.name?, mapping.uuid))).collect();
    for name in databases.cells() {
        let cell = match mapped.get(name) {
            Some(cell) => *cell,
            None => plane.cells().create(NewCell::new(name, databases.url(name).reveal())).await?,
        };
        for number in 1..=hosts {
            let (vcpus, memory_mb, local_gb) = HOST;
            let node = ComputeNode::new(format!("{name}-host{number}"), vcpus, memory_mb, local_gb);
            plane.hosts().report(cell, &node.with_ratios(1.0, 1.0, 1.0)).await?;
        }
        let detail = format!("{}, {hosts} simulated hosts", databases.shown(name));
        steps.push(Step::new(name, !mapped.contains_key(name), detail));
    }
    let known = plane.flavors().list().await?;
    let is_known = |name: &str| known.iter().any(|flavor| flavor.name == name);
    for (name, vcpus, memory_mb, root_gb) in FLAVORS {
        if !is_known(name) {
            plane.flavors().create(&Flavor::new(name, name, vcpus, memory_mb, root_gb)).await?;
        }
    }
    let is_new = FLAVORS.iter().any(|(name, ..)| !is_known(name));
    let names: Vec<&str> = FLAVORS.iter().map(|(name, ..)| *name).collect();
    steps.push(Step::new("flavors", is_new, names.join(", ")));
    Ok(steps)
}

/// An instance of a new plane.
#[derive(Debug, Serialize)]
pub(super) struct Booted {
    pub(super) name: String,
    pub(super) uuid: String,
    pub(super) status: String,
    pub(super) cell: Option<String>,
    pub(super) host: Option<String>,
}

/// Boots the first instances, unless the project has some.
pub(super) async fn boot(
    plane: &ControlPlane,
    timeout: Duration,
    image: &str,
) -> anyhow::Result<Vec<Booted>> {
    let ctx = RequestContext::new(PROJECT, USER).with_timeout(timeout);
    let is_empty = plane.list(&ctx, &ListQuery::default().limit(1)).await?.instances.is_empty();
    if is_empty {
        for (name, flavor) in INSTANCES {
            plane.boot(&ctx, BootRequest::builder(name, flavor, image).build()?).await?;
        }
    }
    // An earlier run may have been stopped before they had their homes.
    plane.settle().await?;
    let names = crate::commands::cells::Names::read(plane).await?;
    let page = plane.list(&ctx, &ListQuery::default().limit(10)).await?;
    let booted = page.instances.into_iter().rev().map(|instance| Booted {
        status: instance.status().to_owned(),
        uuid: instance.uuid.to_string(),
        cell: match instance.home {
            Home::Cell(cell) => Some(names.of(cell)),
            Home::BuildRequest => None,
        },
        host: instance.host,
        name: instance.display_name.unwrap_or_default(),
    });
    Ok(booted.collect())
}
