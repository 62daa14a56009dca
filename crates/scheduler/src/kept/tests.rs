//! What is kept is the same whenever it was taken, stays small, and says what has changed.

use std::collections::BTreeSet;
use std::time::Duration;

use cellzero_types::{CellUuid, Resources};
use chrono::TimeDelta;

use super::*;

const NOW: NaiveDateTime = DateTime::from_timestamp(1_800_000_000, 0).unwrap().naive_utc();

fn host(index: i64) -> HostState {
    HostState {
        host: format!("rack{}-host{index}", index / 40),
        node: format!("rack{}-host{index}.example.org", index / 40),
        cell: CellUuid(Uuid::from_u128(0x7000 + index as u128 / 100)),
        limit: Resources { vcpus: 128, memory_mb: 524_288, disk_gb: 4_000 },
        used: Resources {
            vcpus: index * 7 % 128,
            memory_mb: index * 7_919 % 524_288,
            disk_gb: index * 31 % 4_000,
        },
        traits: BTreeSet::from(["HW_CPU_X86_AVX2".to_owned(), "STORAGE_DISK_SSD".to_owned()]),
        service_disabled: index % 50 == 0,
        forced_down: false,
        last_seen_up: Some(NOW - TimeDelta::seconds(index % 60)),
        generation: index,
        aggregates: Vec::new(),
    }
}

fn snapshot(hosts: i64) -> Snapshot {
    let options = SelectOptions {
        now: NOW,
        service_down_after: Duration::from_secs(300),
        default_availability_zone: "nova".into(),
        alternates_max: 2,
    };
    let hosts = (0..hosts).map(host).collect();
    Snapshot { hosts, unasked: Vec::new(), group: None, options, generation: 1 }
}

#[test]
fn a_snapshot_of_the_same_hosts_is_the_same_whenever_it_was_taken() {
    let first = snapshot(20);
    let mut later = first.clone();
    later.options.now += TimeDelta::seconds(77);
    for host in &mut later.hosts {
        host.last_seen_up = host.last_seen_up.map(|seen| seen + TimeDelta::seconds(70));
    }
    assert_eq!(first.uuid(), later.uuid());
    assert_eq!(first.encode(), later.encode());
    assert_eq!(Snapshot::decode(&first.encode()).unwrap().uuid(), first.uuid());
    later.hosts[3].last_seen_up = None;
    assert_ne!(first.uuid(), later.uuid(), "one is down");
}

#[test]
fn whatever_a_filter_sees_makes_another_snapshot() {
    let first = snapshot(3);
    let changes: [fn(&mut Snapshot); 8] = [
        |snapshot| snapshot.hosts[1].used.vcpus += 1,
        |snapshot| snapshot.hosts[1].traits.clear(),
        |snapshot| snapshot.hosts[1].service_disabled = true,
        |snapshot| snapshot.hosts[1].generation += 1,
        |snapshot| {
            snapshot.hosts[1]
                .aggregates
                .push(crate::Aggregate { name: "a".into(), metadata: Default::default() })
        },
        |snapshot| snapshot.hosts.truncate(2),
        |snapshot| snapshot.generation += 1,
        |snapshot| snapshot.options.default_availability_zone = "other".into(),
    ];
    for change in changes {
        let mut other = first.clone();
        change(&mut other);
        assert_ne!(other.uuid(), first.uuid());
        assert_ne!(other.encode(), first.encode());
    }
}

#[test]
fn ten_thousand_hosts_take_less_than_a_megabyte() {
    let bytes = snapshot(10_000).encode().len();
    println!("{bytes} bytes");
    assert!(bytes < 1 << 20, "{bytes}");
}

#[test]
fn damaged_bytes_are_an_error() {
    let bytes = snapshot(100).encode();
    assert!(Snapshot::decode(&bytes[..bytes.len() / 2]).is_err());
    assert!(Snapshot::decode(b"").is_err());
}

#[test]
fn changes_name_whom_they_help() {
    let before = snapshot(5);
    let mut after = before.clone();
    after.options.now += TimeDelta::seconds(10);
    assert_eq!(before.changes_to(&after), Changes::default());
    after.hosts.remove(0);
    after.hosts[0].used.vcpus += 1;
    after.hosts[1].used.vcpus -= 1;
    after.hosts[1].generation += 1;
    after.hosts.push(host(9));
    let helped = vec![after.hosts[1].host.clone(), after.hosts[4].host.clone()];
    let expected = Changes { added: 1, gone: 1, changed: 2, helped };
    assert_eq!(before.changes_to(&after), expected);
}
