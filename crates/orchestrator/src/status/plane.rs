//! The checks of what a plane stands on beside its schemas: hosts, clocks, settings, what waits.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use cellzero_api_db::census::HostSeen;
use cellzero_api_db::{ApiDatabase, CellMapping, build_request, census};
use cellzero_cell_db::compute_node;
use cellzero_database::{DatabaseError, Deadline, ServerFacts, Whose};
use cellzero_router::{CellHandle, Cells};
use chrono::TimeDelta;
use futures_util::future::join_all;

use super::{Check, Level, StatusOptions};
use crate::sync::PlaneDatabase;

/// The checks that need a plane that can be used, of the cells that answered. Four statements in the
/// API database and three in each cell.
pub(super) async fn of_plane(
    api: &ApiDatabase,
    cells: &Cells,
    options: &StatusOptions,
    deadline: Deadline,
) -> Result<Vec<Check>, DatabaseError> {
    let (handles, _) = cells.all(deadline).await?;
    let mut servers = vec![(PlaneDatabase::Api, api.server_facts(deadline).await)];
    let asked = handles.iter().map(|cell| async move {
        (PlaneDatabase::from(cell.mapping()), cell.database().server_facts(deadline).await)
    });
    servers.extend(join_all(asked).await);
    let servers: Vec<(PlaneDatabase, ServerFacts)> =
        servers.into_iter().filter_map(|(name, facts)| Some((name, facts.ok()?))).collect();
    let hosts = hosts_check(api, &handles, deadline).await?;
    let clocks = clocks_check(&servers, options);
    let waiting = waiting_check(api, options, deadline).await?;
    Ok(vec![hosts, clocks, durability_check(&servers), waiting])
}

async fn hosts_check(
    api: &ApiDatabase,
    handles: &[Arc<CellHandle>],
    deadline: Deadline,
) -> Result<Check, DatabaseError> {
    let known = api.run("read_hosts", deadline, |conn| census::hosts(conn, Whose::Novas)).await?;
    let live = handles.iter().filter(|cell| !cell.mapping().is_cell0());
    let asked = live.clone().map(|cell| async move {
        (cell.mapping(), cell.database().run("read_nodes", deadline, compute_node::hosts).await)
    });
    let mut unmapped = Vec::new();
    let mut seen = 0;
    for (mapping, answer) in join_all(asked).await {
        // What does not answer is another check's.
        let Ok(nodes) = answer else { continue };
        let nodes: BTreeSet<String> = nodes.into_iter().collect();
        seen += nodes.len();
        unmapped.extend(
            nodes
                .into_iter()
                .filter(|host| !is_mapped(host, &known, mapping))
                .map(|host| format!("{host} in {}", PlaneDatabase::from(mapping))),
        );
    }
    let name = "hosts_mapped";
    let level = if unmapped.len() == seen { Level::Failure } else { Level::Warning };
    let wrong = "hosts are mapped to no cell and get no instances: run host discover";
    if live.count() == 0 {
        let says = "there is no live cell, so that every boot is buried: run cell create";
        return Ok(Check::new(name, Level::Warning, says));
    }
    if seen == 0 {
        let says = "no live cell has a host, so that every boot is buried until one reports";
        return Ok(Check::new(name, Level::Warning, says));
    }
    Ok(Check::of(name, unmapped, ("every host is mapped to its cell", level, wrong)))
}

fn is_mapped(host: &str, known: &BTreeMap<String, HostSeen>, cell: &CellMapping) -> bool {
    known.get(host).is_some_and(|seen| seen.mapped == Some(cell.id))
}

fn clocks_check(servers: &[(PlaneDatabase, ServerFacts)], options: &StatusOptions) -> Check {
    let mut clocks: Vec<(String, TimeDelta, Duration)> =
        vec![("this host".to_owned(), TimeDelta::zero(), Duration::ZERO)];
    for (name, facts) in servers {
        if let Some(ahead) = facts.clock_ahead {
            clocks.push((name.to_string(), ahead, facts.round_trip));
        }
    }
    let apart = |one: &(String, TimeDelta, Duration), other: &(String, TimeDelta, Duration)| {
        let known_to = (one.2 + other.2) / 2;
        (one.1 - other.1).abs().to_std().unwrap_or(Duration::MAX).saturating_sub(known_to)
    };
    let pairs = clocks.iter().flat_map(|one| clocks.iter().map(move |other| apart(one, other)));
    let worst = pairs.max().unwrap_or_default();
    let level = if worst >= options.clock_failure {
        Level::Failure
    } else if worst >= options.clock_warning {
        Level::Warning
    } else {
        Level::Ok
    };
    let says = match level {
        Level::Ok => format!("all clocks are within {} ms", worst.as_millis().max(1)),
        _ => format!(
            "clocks are up to {} ms apart, times of different cells are wrong by as much: run an \
             NTP client on every server",
            worst.as_millis()
        ),
    };
    let details = clocks.iter().skip(1).map(|(name, ahead, _)| {
        let milliseconds = ahead.num_milliseconds();
        format!("{name}: {milliseconds:+} ms beside this host")
    });
    Check { name: "clocks", level, says, details: details.collect() }
}

fn durability_check(servers: &[(PlaneDatabase, ServerFacts)]) -> Check {
    let mut details = Vec::new();
    for (name, facts) in servers {
        details.extend(facts.lossy.iter().map(|one| {
            format!("{name}: {} is {}, not {}: {}", one.name, one.value, one.wanted, one.loses)
        }));
    }
    let wrong = "servers may lose what they have answered, and with it accepted boots";
    let fine = "no server loses what it has answered";
    Check::of("durability", details, (fine, Level::Warning, wrong))
}

async fn waiting_check(
    api: &ApiDatabase,
    options: &StatusOptions,
    deadline: Deadline,
) -> Result<Check, DatabaseError> {
    let waiting_for = TimeDelta::from_std(options.waiting_for).unwrap_or(TimeDelta::MAX);
    let (count, age) = api
        .run("read_waiting", deadline, move |conn| {
            let now = conn.now();
            let since = now.checked_sub_signed(waiting_for).unwrap_or_default();
            let (count, oldest) = build_request::older_than(conn, since)?;
            Ok::<_, DatabaseError>((count, oldest.map(|oldest| now - oldest)))
        })
        .await?;
    let limit = options.waiting_for.as_secs();
    let Some(age) = age else {
        let says = format!("no request has waited for a home for more than {limit} s");
        return Ok(Check::new("waiting_requests", Level::Ok, says));
    };
    let says = format!(
        "{count} requests have waited for a home for more than {limit} s, the oldest for {} s: look \
         for a worker that runs, and for cell0",
        age.num_seconds()
    );
    Ok(Check::new("waiting_requests", Level::Warning, says))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(name: &str, ahead_ms: i64, round_trip_ms: u64) -> (PlaneDatabase, ServerFacts) {
        let cell = PlaneDatabase::Cell {
            uuid: cellzero_types::CellUuid::CELL0,
            name: Some(name.to_owned()),
        };
        let facts = ServerFacts {
            clock_ahead: Some(TimeDelta::milliseconds(ahead_ms)),
            round_trip: Duration::from_millis(round_trip_ms),
            lossy: Vec::new(),
        };
        (cell, facts)
    }

    #[test]
    fn clocks_are_compared_with_this_host_and_with_one_another() {
        let level = |servers: &[(PlaneDatabase, ServerFacts)]| {
            clocks_check(servers, &StatusOptions::default()).level
        };
        assert_eq!(level(&[]), Level::Ok);
        assert_eq!(level(&[server("a", 400, 0), server("b", -400, 0)]), Level::Ok);
        assert_eq!(level(&[server("a", 600, 0), server("b", -600, 0)]), Level::Warning);
        assert_eq!(level(&[server("a", -1_200, 0)]), Level::Warning);
        // What may be the way of the answer is no difference of clocks.
        assert_eq!(level(&[server("a", 1_200, 600)]), Level::Ok);
        assert_eq!(level(&[server("a", 20_000, 0), server("b", -20_000, 0)]), Level::Failure);
    }
}
