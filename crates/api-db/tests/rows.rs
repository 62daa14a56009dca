//! The guards of the API database: claims, leases, decisions, deletes.

use std::time::Duration;

use cellzero_api_db::boot_group::{self, GroupVerdict};
use cellzero_api_db::boot_state::{self, NewBootState};
use cellzero_api_db::claim::{self, Claim, ClaimError};
use cellzero_api_db::client_token::TokenHolder;
use cellzero_api_db::quota::{self, QuotaLimits, QuotaOf, QuotaResource};
use cellzero_api_db::schema::{build_requests, quota_locks};
use cellzero_api_db::{
    ApiConnection, ApiDatabase, CellMapping, build_request, cell_mapping, client_token,
    host_capacity, instance_mapping, retry,
};
use cellzero_database::{
    DatabaseError, DatabaseErrorSource, DatabaseUrl, Deadline, ErrorKind, Options, savepoint,
    transaction,
};
use cellzero_test_support::{Engine, TestDatabase, create_database};
use cellzero_types::{BlockDevice, CellUuid, ComputeNode, GroupUuid, InstanceUuid, Resources};
use chrono::TimeDelta;
use diesel::prelude::*;
use rstest::rstest;
use uuid::Uuid;

/// Runs `work` on a fresh API database; not at all where the backend is left out.
async fn on_fresh(
    engine: Engine,
    work: impl FnOnce(&mut ApiConnection) -> Result<(), DatabaseError> + Send + 'static,
) {
    let Some(test): Option<TestDatabase> = create_database(engine, "api") else { return };
    let database = ApiDatabase::new(DatabaseUrl::parse(test.url()).unwrap(), Options::default());
    let deadline = Deadline::after(Duration::from_secs(30));
    database.migrate(deadline).await.unwrap();
    database.run("test", deadline, work).await.unwrap();
}

fn uuid(number: u128) -> InstanceUuid {
    InstanceUuid(Uuid::from_u128(number))
}

fn claim_of(number: u128, vcpus: i64) -> Claim {
    Claim {
        instance_uuid: uuid(number),
        epoch: 1,
        host: "h".into(),
        resources: Resources { vcpus, memory_mb: 1, disk_gb: 1 },
        alternates: Vec::new(),
    }
}

#[rstest]
#[tokio::test]
async fn claims_are_taken_all_or_none_and_freed_once(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    on_fresh(engine, |conn| {
        let now = conn.now();
        let node = ComputeNode::new("h", 4, 100, 100).with_ratios(1.0, 1.0, 1.0);
        host_capacity::report(conn, CellUuid(Uuid::from_u128(1)), &node, TimeDelta::days(1), now)?;
        let used = |conn: &mut ApiConnection| {
            Ok::<_, DatabaseError>(host_capacity::find(conn, "h")?.unwrap().used.vcpus)
        };
        claim::take(conn, &[claim_of(1, 3)], now).unwrap();
        let too_much = transaction(conn, "take", |conn| {
            claim::take(conn, &[claim_of(2, 1), claim_of(3, 1)], now)
        });
        assert!(matches!(too_much, Err(ClaimError::Conflict { host }) if host == "h"));
        assert_eq!(used(conn)?, 3);
        claim::free(conn, &[uuid(1), uuid(2)], now)?;
        claim::free(conn, &[uuid(1)], now)?;
        assert_eq!(used(conn)?, 0);
        // A report changes the size, never what is claimed.
        claim::take(conn, &[claim_of(1, 3)], now).unwrap();
        host_capacity::report(conn, CellUuid(Uuid::from_u128(1)), &node, TimeDelta::days(1), now)?;
        assert_eq!(used(conn)?, 3);
        Ok(())
    })
    .await;
}

fn accept(conn: &mut ApiConnection, numbers: &[u128]) -> Result<GroupUuid, DatabaseError> {
    let now = conn.now();
    let group = GroupUuid(Uuid::from_u128(99));
    let uuids: Vec<InstanceUuid> = numbers.iter().map(|number| uuid(*number)).collect();
    instance_mapping::insert(conn, &uuids, ("p", "u"), now)?;
    let states: Vec<NewBootState> = uuids
        .iter()
        .zip(0..)
        .map(|(uuid, index)| NewBootState {
            instance_uuid: *uuid,
            group,
            group_index: index,
            group_min: 1,
            lease: ("first".into(), now + TimeDelta::seconds(60)),
            vcpus: 2,
            memory_mb: 512,
            outline: Default::default(),
        })
        .collect();
    boot_state::insert(conn, &states, now)?;
    for uuid in &uuids {
        plant_build_request(conn, *uuid)?;
    }
    Ok(group)
}

/// A build request with as little in it as Nova's envelope allows.
fn plant_build_request(conn: &mut ApiConnection, uuid: InstanceUuid) -> Result<(), DatabaseError> {
    let now = conn.now();
    let bare = cellzero_types::Instance::new(uuid, "p", "u");
    let instance = cellzero_types::Instance { display_name: Some("web".into()), ..bare };
    build_request::insert(conn, &[instance], now)
}

#[rstest]
#[tokio::test]
async fn a_lease_holds_until_its_time_and_the_next_is_a_new_epoch(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    on_fresh(engine, |conn| {
        let group = accept(conn, &[1, 2])?;
        let now = conn.now();
        assert!(boot_state::due_groups(conn, now, 10)?.is_empty());
        assert!(boot_state::lease(conn, group, "second", now, now)?.is_empty());
        let later = now + TimeDelta::seconds(61);
        assert_eq!(boot_state::due_groups(conn, later, 10)?, [group]);
        let until = later + TimeDelta::seconds(60);
        let leased = boot_state::lease(conn, group, "second", until, later)?;
        assert_eq!(leased.iter().map(|state| state.epoch).collect::<Vec<_>>(), [2, 2]);
        // Another worker of the same owner, at the very same moment, wins nothing.
        assert!(boot_state::lease(conn, group, "second", until, later)?.is_empty());
        assert_eq!(boot_state::release_all(conn, "second", later)?, 2);
        assert_eq!(boot_state::due_groups(conn, later, 10)?, [group]);
        Ok(())
    })
    .await;
}

#[rstest]
#[tokio::test]
async fn the_verdict_of_a_group_is_the_last_that_was_made(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    on_fresh(engine, |conn| {
        let group = accept(conn, &[1, 2])?;
        let now = conn.now();
        let verdict = |met| GroupVerdict { min_count_met: met, verdict: None };
        boot_group::insert(conn, group, &verdict(true), now)?;
        assert!(boot_group::find(conn, group)?.is_some_and(|found| found.min_count_met));
        boot_group::replace(conn, group, &verdict(false), now)?;
        assert!(boot_group::find(conn, group)?.is_some_and(|found| !found.min_count_met));
        Ok(())
    })
    .await;
}

#[rstest]
#[tokio::test]
async fn a_host_is_disabled_only_where_it_is_known_and_forgotten_only_in_cell0(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    on_fresh(engine, |conn| {
        let now = conn.now();
        let node = ComputeNode::new("h", 4, 100, 100);
        host_capacity::report(conn, CellUuid(Uuid::from_u128(1)), &node, TimeDelta::days(1), now)?;
        assert!(host_capacity::set_disabled(conn, "h", true, now)?);
        assert!(!host_capacity::set_disabled(conn, "nobody", true, now)?);
        host_capacity::forget_in_cell0(conn, "h")?;
        assert!(host_capacity::find(conn, "h")?.is_some());
        let misplaced = ComputeNode::new("misplaced", 4, 100, 100);
        host_capacity::report(conn, CellUuid::CELL0, &misplaced, TimeDelta::days(1), now)?;
        host_capacity::forget_in_cell0(conn, "misplaced")?;
        assert!(host_capacity::find(conn, "misplaced")?.is_none());
        Ok(())
    })
    .await;
}

#[rstest]
#[tokio::test]
async fn a_build_request_names_the_source_of_each_device_as_nova_does_and_is_deleted_once(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    on_fresh(engine, |conn| {
        let now = conn.now();
        let device = |kind: &str, number: u128| BlockDevice {
            source_type: kind.into(),
            destination_type: "volume".into(),
            source_id: Some(Uuid::from_u128(number)),
            ..BlockDevice::default()
        };
        let devices = vec![device("image", 7), device("volume", 8), device("snapshot", 9)];
        let bare = cellzero_types::Instance::new(uuid(1), "p", "u");
        let instance = cellzero_types::Instance {
            display_name: Some("web".into()),
            block_devices: devices.clone(),
            ..bare
        };
        build_request::insert(conn, &[instance], now)?;
        let read = build_request::find(conn, uuid(1))?.unwrap();
        assert_eq!(read.block_devices, devices);
        let text = build_requests::table
            .select(build_requests::block_device_mappings)
            .first::<Option<String>>(conn.sql())?
            .unwrap();
        let list: serde_json::Value = serde_json::from_str(&text).unwrap();
        for (index, (kind, number)) in
            [("image", 7), ("volume", 8), ("snapshot", 9)].into_iter().enumerate()
        {
            let data = &list["nova_object.data"]["objects"][index]["nova_object.data"];
            for name in ["image", "volume", "snapshot"] {
                let expected = (name == kind).then(|| Uuid::from_u128(number).to_string());
                assert_eq!(data[format!("{name}_id")].as_str(), expected.as_deref(), "{kind}");
            }
        }
        assert_eq!(build_request::delete(conn, &[uuid(1), uuid(2)])?, 1);
        assert_eq!(build_request::delete(conn, &[uuid(1)])?, 0);
        Ok(())
    })
    .await;
}

#[test]
fn an_error_that_holds_the_databases_says_so() {
    let error = || DatabaseError::damaged("planted");
    assert!(ClaimError::from(error()).database_error().is_some());
    assert!(ClaimError::Conflict { host: "h".into() }.database_error().is_none());
}

#[rstest]
#[tokio::test]
async fn only_the_present_epoch_of_an_open_cell_decides(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    on_fresh(engine, |conn| {
        accept(conn, &[1, 2])?;
        let now = conn.now();
        let cell = CellUuid(Uuid::from_u128(5));
        let mapping = CellMapping {
            id: 0,
            uuid: cell,
            name: None,
            transport_url: None,
            database_connection: None,
            disabled: false,
        };
        cell_mapping::insert(conn, &mapping, now)?;
        let cell_id = cell_mapping::all(conn)?[0].id;
        let both = [uuid(1), uuid(2)];
        assert_eq!(boot_state::decide(conn, &both, (2, 1), cell, now)?, 0, "another epoch");
        assert_eq!(boot_state::decide(conn, &both, (1, 2), cell, now)?, 0, "another version");
        cell_mapping::set_disabled(conn, cell, true, now)?;
        assert_eq!(boot_state::decide(conn, &both, (1, 1), cell, now)?, 0, "a disabled cell");
        cell_mapping::set_disabled(conn, cell, false, now)?;
        build_request::delete(conn, &[uuid(2)])?;
        assert_eq!(boot_state::decide(conn, &both, (1, 1), cell, now)?, 1, "no build request");
        assert_eq!(instance_mapping::decide(conn, &[uuid(1)], cell_id, now)?, 1);
        assert_eq!(instance_mapping::decide(conn, &[uuid(1)], cell_id, now)?, 0, "decided before");
        // A delete that read another cell than the mapping names starts over.
        assert!(!instance_mapping::queue_for_delete(conn, uuid(1), None, now)?);
        assert!(instance_mapping::queue_for_delete(conn, uuid(1), Some(cell), now)?);
        assert!(!instance_mapping::queue_for_delete(conn, uuid(1), Some(cell), now)?);
        Ok(())
    })
    .await;
}

#[rstest]
#[tokio::test]
async fn a_projects_own_limit_goes_before_the_class_and_the_fallback(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    on_fresh(engine, |conn| {
        let now = conn.now();
        let fallback =
            QuotaLimits { instances: Some(10), cores: Some(20), ram_mb: None, auto_retry: None };
        assert_eq!(quota::limits(conn, "p", fallback)?, fallback);
        let project = QuotaOf::Project("p".into());
        transaction(conn, "set", |conn| {
            quota::set(conn, &project, QuotaResource::Instances, 3, now)?;
            quota::set(conn, &project, QuotaResource::Cores, -1, now)
        })?;
        let limits = quota::limits(conn, "p", fallback)?;
        assert_eq!((limits.instances, limits.cores), (Some(3), None));
        assert_eq!(quota::limits(conn, "other", fallback)?, fallback);
        accept(conn, &[1, 2])?;
        let usage = quota::usage(conn, "p")?;
        assert_eq!((usage.instances, usage.cores, usage.ram_mb), (2, 4, 1024));
        // The lock is a row of the project that each accept changes, and each limit that is set.
        for generation in 3..=5_i64 {
            transaction(conn, "lock", |conn| quota::lock(conn, "p"))?;
            let stands: Vec<i64> =
                quota_locks::table.select(quota_locks::generation).load(conn.sql())?;
            assert_eq!(stands, [generation]);
        }
        Ok(())
    })
    .await;
}

#[rstest]
#[tokio::test]
async fn retries_are_numbered_in_the_order_of_their_commits(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    on_fresh(engine, |conn| {
        let now = conn.now();
        for number in 1..=3 {
            assert_eq!(retry::counter(conn)?, number - 1);
            transaction(conn, "retry", |conn| retry::record(conn, uuid(number as u128), now))?;
        }
        let mut since = retry::since(conn, 1)?;
        since.sort();
        assert_eq!(since, [uuid(2), uuid(3)]);
        Ok(())
    })
    .await;
}

#[rstest]
#[tokio::test]
async fn a_token_is_taken_once_for_each_project(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    on_fresh(engine, |conn| {
        let now = conn.now();
        let holder = |number, digest: &str| TokenHolder {
            group: GroupUuid(Uuid::from_u128(number)),
            digest: digest.to_owned(),
        };
        let (one, two) = (holder(1, "a"), holder(2, "b"));
        transaction(conn, "tokens", |conn| {
            client_token::insert(conn, "p", "t", &one, now)?;
            let again = savepoint(conn, |conn| client_token::insert(conn, "p", "t", &two, now));
            assert_eq!(again.unwrap_err().kind(), ErrorKind::UniqueViolation);
            client_token::insert(conn, "q", "t", &two, now)?;
            let soon = now + client_token::TOKEN_LIFETIME - TimeDelta::seconds(1);
            assert!(!client_token::take_over(conn, "p", "t", &two, soon)?);
            assert_eq!(client_token::find(conn, "p", "t")?, Some(one.clone()));
            let later = now + client_token::TOKEN_LIFETIME;
            assert!(client_token::take_over(conn, "p", "t", &two, later)?);
            assert_eq!(client_token::find(conn, "p", "t")?, Some(two.clone()));
            Ok(())
        })
    })
    .await;
}
