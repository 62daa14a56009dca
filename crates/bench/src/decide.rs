//! What a decision costs by itself, over ten thousand hosts in a hundred cells: no database has a
//! part in it, and one core does it.

use std::time::{Duration, Instant};

use anyhow::ensure;
use cellzero::{CellUuid, Flavor, InstanceUuid, Networks, RequestSpec};
use cellzero_scheduler::{HostState, SelectOptions, Snapshot, select};
use chrono::{DateTime, NaiveDateTime, TimeDelta};
use uuid::Uuid;

const HOSTS: u32 = 10_000;
const CELLS: u32 = 100;
/// How many equal requests come at once.
const BURST: usize = 10_000;
/// How often each is measured.
const RUNS: usize = 50;

/// A figure with the most that it should be.
pub(crate) struct Decided {
    pub(crate) what: String,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    pub(crate) most: Duration,
}

/// Measures all.
pub(crate) fn run() -> anyhow::Result<Vec<Decided>> {
    let snapshot = snapshot();
    let fits = spec(512, None);
    let one = measure("one that fits".into(), Duration::from_millis(1), || {
        ensure!(select(&snapshot, std::slice::from_ref(&fits))[0].is_ok(), "it fits");
        Ok(())
    })?;
    let burst = vec![fits.clone(); BURST];
    let many = measure(format!("a burst of {BURST} that fit"), Duration::from_secs(1), || {
        ensure!(select(&snapshot, &burst).iter().all(Result::is_ok), "all fit");
        Ok(())
    })?;
    let hopeless = spec(9_999_999, Some("nowhere"));
    let verdict =
        measure("a verdict with the least changes".into(), Duration::from_millis(20), || {
            ensure!(
                select(&snapshot, std::slice::from_ref(&hopeless))[0].is_err(),
                "it fits nowhere"
            );
            Ok(())
        })?;
    let hopeless = vec![hopeless; BURST];
    let verdicts =
        measure(format!("a burst of {BURST} that fit nowhere"), Duration::from_secs(1), || {
            ensure!(select(&snapshot, &hopeless).iter().all(Result::is_err), "none fits");
            Ok(())
        })?;
    Ok(vec![one, many, verdict, verdicts])
}

fn measure(
    what: String,
    most: Duration,
    mut decide: impl FnMut() -> anyhow::Result<()>,
) -> anyhow::Result<Decided> {
    decide()?;
    let mut times = Vec::with_capacity(RUNS);
    for _ in 0..RUNS {
        let began = Instant::now();
        decide()?;
        times.push(began.elapsed());
    }
    times.sort();
    Ok(Decided { what, p50: times[RUNS / 2], p99: times[RUNS - 1], most })
}

fn now() -> NaiveDateTime {
    DateTime::UNIX_EPOCH.naive_utc() + TimeDelta::days(20_000)
}

/// Hosts of several sizes, used to different degrees; one in ten is disabled, one in ten is down.
fn snapshot() -> Snapshot {
    let host = |number: u32| {
        let name = format!("host{number:05}");
        let vcpus = 16 + i64::from(number % 3) * 16;
        let used = i64::from(number % 7);
        HostState {
            node: name.clone(),
            host: name,
            cell: CellUuid(Uuid::from_u128(u128::from(number % CELLS) + 1)),
            limit: cellzero::Resources { vcpus, memory_mb: vcpus * 4_096, disk_gb: vcpus * 50 },
            used: cellzero::Resources { vcpus: used, memory_mb: used * 4_096, disk_gb: used * 50 },
            traits: ["HW_CPU_X86_AVX2".to_owned(), "STORAGE_SSD".to_owned()].into(),
            service_disabled: number % 10 == 3,
            forced_down: number % 10 == 7,
            last_seen_up: Some(now()),
            generation: 1,
            aggregates: Vec::new(),
        }
    };
    Snapshot {
        hosts: (0..HOSTS).map(host).collect(),
        unasked: Vec::new(),
        group: None,
        options: SelectOptions {
            now: now(),
            service_down_after: Duration::from_secs(300),
            default_availability_zone: "nova".to_owned(),
            alternates_max: 2,
        },
        generation: i64::from(HOSTS),
    }
}

fn spec(memory_mb: i32, zone: Option<&str>) -> RequestSpec {
    RequestSpec {
        instance_uuid: InstanceUuid(Uuid::from_u128(1)),
        request_id: "req-bench".to_owned(),
        project_id: "bench-project".to_owned(),
        user_id: "bench-user".to_owned(),
        flavor: Flavor::new("bench", "bench", 1, memory_mb, 1),
        image: None,
        num_instances: 1,
        availability_zone: zone.map(str::to_owned),
        force_host: None,
        server_group: None,
        scheduler_hints: Default::default(),
        security_groups: Vec::new(),
        networks: Networks::Auto,
        is_boot_from_volume: false,
        auto_retry: false,
    }
}
