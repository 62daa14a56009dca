//! The plane at rest: every database is read past the project's own code, and held against the
//! history and the effects.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use cellzero::{
    CellUuid, ControlPlane, FsckOptions, FsckReport, InstanceUuid, ListQuery, Repair,
    RequestContext,
};
use cellzero_test_support::TestDatabase;

use crate::history::{History, Wrong};
use crate::orchestrator::Decided;
use crate::plane::Databases;
use crate::receiver::Receiver;

/// How long a plane may take to come to rest once nothing fails any more.
const REST_LIMIT: Duration = Duration::from_secs(120);
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// What stands in the databases.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) in_cells: usize,
    pub(crate) in_cell0: usize,
    pub(crate) orphaned: usize,
    pub(crate) over_claimed: usize,
}

/// A live row: the cell where it stands, and its host.
type Rows = HashMap<InstanceUuid, Vec<(CellUuid, Option<String>)>>;

/// How many decisions it took: one for each accepted instance, and one for each retry. For runs
/// without deletes.
pub(crate) fn to_decide(databases: &Databases) -> anyhow::Result<i64> {
    let accepted = number(&databases.api, "SELECT COUNT(*) FROM boot_states")?;
    Ok(accepted + number(&databases.api, "SELECT COUNT(*) FROM retries")?)
}

/// One number of a database.
fn number(database: &TestDatabase, query: &str) -> anyhow::Result<i64> {
    let rows = database.query(query).with_context(|| query.to_owned())?;
    let text = rows.first().and_then(|row| row.first()).and_then(Option::as_deref);
    let text = text.with_context(|| format!("{query} has no answer"))?;
    text.parse().with_context(|| format!("{query}: {text}"))
}

/// What is still to be done, by table; empty where nothing is.
fn left_to_do(databases: &Databases) -> anyhow::Result<BTreeMap<String, i64>> {
    let mut left = BTreeMap::new();
    let mut count = |database: &TestDatabase, table: &str, place: &str| -> anyhow::Result<()> {
        let rows = number(database, &format!("SELECT COUNT(*) FROM {table}"))?;
        if rows > 0 {
            left.insert(format!("{table} of {place}"), rows);
        }
        Ok(())
    };
    for table in ["build_requests", "boot_intents", "outbox"] {
        count(&databases.api, table, "the API database")?;
    }
    for (cell, database) in databases.all_cells() {
        count(database, "outbox", &format!("cell {cell}"))?;
    }
    Ok(left)
}

/// Waits until nothing is left to do: the orchestrators that run see to it.
///
/// # Errors
/// Where something is left after the limit, or a database does not answer.
pub(crate) fn wait(databases: &Databases) -> anyhow::Result<Duration> {
    let began = Instant::now();
    loop {
        let left = left_to_do(databases)?;
        if left.is_empty() {
            return Ok(began.elapsed());
        }
        if began.elapsed() > REST_LIMIT {
            bail!("not at rest {REST_LIMIT:?} after the last fault: {left:?}");
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Recovers, with nobody beside it, until nothing is left to do; adds what it decides.
///
/// # Errors
/// Where something is left after the limit, or a database does not answer.
pub(crate) async fn bring(
    plane: &ControlPlane,
    databases: &Databases,
    decided: &mut Decided,
) -> anyhow::Result<Duration> {
    let began = Instant::now();
    loop {
        decided.add(plane.recover().await?);
        let left = left_to_do(databases)?;
        if left.is_empty() {
            return Ok(began.elapsed());
        }
        if began.elapsed() > REST_LIMIT {
            bail!("not at rest {REST_LIMIT:?} after the clients ended: {left:?}");
        }
    }
}

/// Checks a plane where nothing runs any more, and recovered.
pub(crate) async fn fsck(plane: &ControlPlane) -> anyhow::Result<FsckReport> {
    let strict = FsckOptions {
        age: Duration::ZERO,
        claim_age: Duration::ZERO,
        ..FsckOptions::from(Repair::No)
    };
    Ok(plane.fsck(strict).await?)
}

/// Lists everything, shows everything that must be there, and reads every row.
pub(crate) async fn examine(
    plane: &ControlPlane,
    databases: &Databases,
    history: &History,
    effects: &Receiver,
) -> anyhow::Result<Found> {
    list_all(plane, history).await?;
    let rows = live_rows(databases)?;
    let mut found = Found { over_claimed: over_claimed(databases, &rows)?, ..Found::default() };
    compare_mappings(databases, &rows, history, &mut found)?;
    compare_history(&rows, history, effects);
    let expected: Vec<(InstanceUuid, String)> = {
        let inner = history.lock();
        let alive = inner.known.iter().filter(|(_, known)| known.must_be_found());
        alive.map(|(uuid, known)| (*uuid, known.project.clone())).collect()
    };
    for (uuid, project) in expected {
        if let Err(error) = plane.show(&crate::order::user(&project), uuid).await {
            let what = format!("{uuid} is not shown at rest: {}", crate::order::chain(&error));
            history.wrong(Wrong::Lost, what);
        }
    }
    Ok(found)
}

async fn list_all(plane: &ControlPlane, history: &History) -> anyhow::Result<()> {
    let began = history.now();
    let mut query = ListQuery::default().all_projects();
    let mut seen: HashSet<InstanceUuid> = HashSet::new();
    loop {
        let page = plane.list(&RequestContext::admin(), &query).await?;
        if !page.is_complete() {
            bail!("a cell does not answer at rest: {:?}", page.cells);
        }
        for instance in &page.instances {
            if !seen.insert(instance.uuid) {
                let what = format!("{} stands twice in the list at rest", instance.uuid);
                history.wrong(Wrong::Doubled, what);
            }
            history.found(instance.uuid, &instance.project_id, began, false);
        }
        match page.next {
            Some(next) => query = query.after(next),
            None => break,
        }
    }
    let expected: Vec<InstanceUuid> = {
        let inner = history.lock();
        let alive = inner.known.iter().filter(|(_, known)| known.must_be_found());
        alive.map(|(uuid, _)| *uuid).collect()
    };
    for uuid in expected.iter().filter(|uuid| !seen.contains(uuid)) {
        history.not_found(*uuid, "the list at rest");
    }
    Ok(())
}

fn live_rows(databases: &Databases) -> anyhow::Result<Rows> {
    let mut rows = Rows::new();
    for (cell, database) in databases.all_cells() {
        for row in database.query("SELECT uuid, host FROM instances WHERE deleted = 0")? {
            let [Some(uuid), host] = row.as_slice() else { bail!("a row without a uuid") };
            rows.entry(uuid.parse()?).or_default().push((cell, host.clone()));
        }
    }
    Ok(rows)
}

/// How many hosts have more than their limit, or claims that are not those of live instances.
fn over_claimed(databases: &Databases, rows: &Rows) -> anyhow::Result<usize> {
    let mut used: HashMap<String, i64> = HashMap::new();
    let in_cells = rows.values().flatten().filter(|(cell, _)| !cell.is_cell0());
    for host in in_cells.filter_map(|(_, host)| host.as_ref()) {
        *used.entry(host.clone()).or_default() += 1;
    }
    let query = "SELECT c.host, c.vcpus_limit, c.vcpus_used, \
                 (SELECT COUNT(*) FROM claims WHERE claims.host = c.host) FROM host_capacity c";
    let mut wrong = 0;
    for row in databases.api.query(query)? {
        let [Some(host), Some(limit), Some(claimed), Some(claims)] = row.as_slice() else {
            bail!("a host without its numbers");
        };
        let (limit, claimed, claims): (i64, i64, i64) =
            (limit.parse()?, claimed.parse()?, claims.parse()?);
        let live = used.get(host).copied().unwrap_or(0);
        if claimed > limit || claimed != live || claims != live {
            eprintln!(
                "VIOLATION: {host}: {claimed} of {limit} used by {claims} claims, {live} live"
            );
            wrong += 1;
        }
    }
    Ok(wrong)
}

/// Every live row stands where its mapping says, alone, and every mapping that lives has its row.
fn compare_mappings(
    databases: &Databases,
    rows: &Rows,
    history: &History,
    found: &mut Found,
) -> anyhow::Result<()> {
    let query = "SELECT im.instance_uuid, cm.uuid, \
                 CASE WHEN im.queued_for_delete THEN 1 ELSE 0 END \
                 FROM instance_mappings im LEFT JOIN cell_mappings cm ON cm.id = im.cell_id";
    let mut named: HashMap<InstanceUuid, Option<CellUuid>> = HashMap::new();
    for row in databases.api.query(query)? {
        let [Some(uuid), cell, Some(queued)] = row.as_slice() else { bail!("a mapping in parts") };
        let cell = cell.as_deref().map(str::parse).transpose()?;
        named.insert(uuid.parse()?, cell.filter(|_| queued == "0"));
    }
    for (uuid, places) in rows {
        if places.len() > 1 {
            history.wrong(Wrong::Doubled, format!("{uuid} has live rows in {places:?}"));
        }
        for (cell, _) in places {
            match named.get(uuid) {
                Some(Some(home)) if home == cell && cell.is_cell0() => found.in_cell0 += 1,
                Some(Some(home)) if home == cell => found.in_cells += 1,
                other => {
                    eprintln!("VIOLATION: {uuid} has a live row in {cell}, its mapping: {other:?}");
                    found.orphaned += 1;
                }
            }
        }
    }
    for (uuid, home) in &named {
        if home.is_some() && !rows.contains_key(uuid) {
            history.wrong(Wrong::Lost, format!("{uuid} is mapped to {home:?} and has no row"));
        }
    }
    Ok(())
}

/// What clients were told, and what hosts were told, against the rows.
fn compare_history(rows: &Rows, history: &History, effects: &Receiver) {
    let known = history.lock().known.clone();
    for (uuid, known) in &known {
        let received = effects.of(*uuid);
        let running = received.and_then(|received| received.running.as_deref());
        let place = rows.get(uuid).and_then(|places| places.first());
        let wrong = |kind, what: &str| history.wrong(kind, format!("{uuid}: {what}"));
        match place {
            Some(_) if known.deleted.is_some() => {
                wrong(Wrong::Resurrected, "its delete was Ok, and it has a live row");
            }
            Some((cell, _)) if cell.is_cell0() => {
                if received.is_some_and(|received| received.builds > 0) {
                    wrong(Wrong::Other, "it is buried, and was built");
                }
            }
            Some((_, host)) => {
                if running.is_none() || running != host.as_deref() {
                    let what = format!("its host is {host:?}, and it runs on {running:?}");
                    wrong(Wrong::Other, &what);
                }
            }
            None if known.must_be_found() => wrong(Wrong::Lost, "it has no row at rest"),
            None => {
                if running.is_some() {
                    wrong(Wrong::Other, "it is deleted, and still runs");
                }
                let ended = received.is_some_and(|received| received.has_ended());
                if known.volume == Some(true) && !ended {
                    wrong(Wrong::Other, "it is deleted, and its volume was never released");
                }
            }
        }
    }
}
