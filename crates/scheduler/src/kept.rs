//! What is kept of a decision that buries, so that it can be made again and compared with now.
//!
//! [`Asked`] is the request without whose it is, and stands with the verdict. A [`Snapshot`] stands
//! once for all verdicts that were computed from it: it is stored as the filters see it, so that
//! two of the same hosts are one, whenever they were taken.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::io::{BufWriter, Write as _};

use cellzero_types::{Flavor, InstanceUuid, Networks, RequestSpec, Verdict};
use chrono::{DateTime, NaiveDateTime};
use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::filters::is_up;
use crate::host::HostState;
use crate::select::{SelectOptions, Snapshot, how_many_fit};

/// What stands in place of every time in a snapshot that is stored.
const TAKEN: NaiveDateTime = DateTime::UNIX_EPOCH.naive_utc();

/// A request as a verdict is about it: what hosts were asked for, and for how many instances.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    /// The size, and what a host must offer.
    pub flavor: Flavor,
    /// Only hosts of this availability zone.
    pub availability_zone: Option<String>,
    /// Only this host.
    pub force_host: Option<String>,
    /// Whether the root disk takes no local disk.
    pub is_boot_from_volume: bool,
    /// How many instances were placed together.
    pub instances: u32,
    /// Where the verdict is that of the group: how many had to fit.
    pub min_count: Option<u32>,
}

impl Asked {
    /// What these specs ask for; none where they are not all alike.
    pub fn of(specs: &[RequestSpec]) -> Option<Asked> {
        let (first, others) = specs.split_first()?;
        if !others.iter().all(|other| crate::select::asks_for_the_same(first, other)) {
            return None;
        }
        Some(Asked {
            flavor: first.flavor.clone(),
            availability_zone: first.availability_zone.clone(),
            force_host: first.force_host.clone(),
            is_boot_from_volume: first.is_boot_from_volume,
            instances: u32::try_from(specs.len()).ok()?,
            min_count: None,
        })
    }

    /// A spec that asks for the same, of nobody. A server group stands in the snapshot.
    fn spec(&self) -> RequestSpec {
        RequestSpec {
            instance_uuid: InstanceUuid(Uuid::nil()),
            request_id: String::new(),
            project_id: String::new(),
            user_id: String::new(),
            flavor: self.flavor.clone(),
            image: None,
            num_instances: self.instances,
            availability_zone: self.availability_zone.clone(),
            force_host: self.force_host.clone(),
            server_group: None,
            scheduler_hints: Default::default(),
            security_groups: Vec::new(),
            networks: Networks::Auto,
            is_boot_from_volume: self.is_boot_from_volume,
            auto_retry: false,
        }
    }
}

/// The verdict that this request gets from this snapshot; none where all of it fits.
pub fn replay(snapshot: &Snapshot, asked: &Asked) -> Option<Verdict> {
    let fit = how_many_fit(snapshot, &asked.spec(), asked.instances);
    let verdict = fit.next?;
    Some(match asked.min_count {
        Some(min_count) => verdict.of_group(fit.instances, min_count),
        None => verdict,
    })
}

/// A stored snapshot that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the stored snapshot is damaged")]
pub struct DamagedSnapshot(#[from] serde_json::Error);

impl Snapshot {
    /// The uuid of what the filters see of it: the same for the same, in one version of this crate.
    /// It costs one pass over the hosts.
    pub fn uuid(&self) -> Uuid {
        let mut digest = Digester(Sha256::new());
        let Snapshot { hosts, unasked, group, options, generation } = self;
        for host in hosts {
            seen(host, options).hash(&mut digest);
            (host.generation, &host.aggregates).hash(&mut digest);
        }
        let SelectOptions { now: _, service_down_after, default_availability_zone, alternates_max } =
            options;
        let rest = (service_down_after, default_availability_zone, alternates_max);
        (unasked, group, rest, generation).hash(&mut digest);
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest.0.finalize()[..16]);
        Uuid::new_v8(bytes)
    }

    /// It as bytes: JSON, deflated. Of each host stands whether it is up in place of when it
    /// reported.
    pub fn encode(&self) -> Vec<u8> {
        let mut kept = self.clone();
        for host in &mut kept.hosts {
            host.last_seen_up = is_up(host, &self.options).then_some(TAKEN);
        }
        kept.options.now = TAKEN;
        let deflated = || -> std::io::Result<Vec<u8>> {
            let encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
            let mut buffered = BufWriter::new(encoder);
            serde_json::to_writer(&mut buffered, &kept)?;
            buffered.flush()?;
            buffered.into_inner()?.finish()
        };
        // Writing to memory fails nowhere, and no map of it has a key that is not text.
        deflated().unwrap_or_default()
    }

    /// Reads what [`encode`](Self::encode) made.
    ///
    /// # Errors
    /// [`DamagedSnapshot`].
    pub fn decode(bytes: &[u8]) -> Result<Snapshot, DamagedSnapshot> {
        let reader = std::io::BufReader::new(ZlibDecoder::new(bytes));
        Ok(serde_json::from_reader(reader)?)
    }

    /// What has changed from this snapshot to a later one.
    pub fn changes_to(&self, later: &Snapshot) -> Changes {
        let mut before: HashMap<&str, &HostState> =
            self.hosts.iter().map(|host| (host.host.as_str(), host)).collect();
        let mut changes = Changes::default();
        for host in &later.hosts {
            let known = before.remove(host.host.as_str());
            match known {
                None => changes.added += 1,
                Some(known) if looks(known, &self.options) != looks(host, &later.options) => {
                    changes.changed += 1;
                }
                Some(_) => {}
            }
            if known.is_none_or(|known| known.generation < host.generation) {
                changes.helped.push(host.host.clone());
            }
        }
        changes.gone = u32::try_from(before.len()).unwrap_or(u32::MAX);
        changes
    }
}

/// How the hosts of a later snapshot differ from those of an earlier one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    /// Hosts that are new, or whose cell was not asked before.
    pub added: u32,
    /// Hosts that are gone, or whose cell is not asked now.
    pub gone: u32,
    /// Hosts that look different to a filter.
    pub changed: u32,
    /// Hosts of which something changed in favour of a request, by name: their generation rose.
    pub helped: Vec<String>,
}

/// What filters see of a host besides its aggregates.
type Seen<'a> = (
    (&'a str, &'a str, [u8; 16]),
    [i64; 6],
    &'a std::collections::BTreeSet<String>,
    (bool, bool, bool),
);

fn seen<'a>(host: &'a HostState, options: &SelectOptions) -> Seen<'a> {
    let HostState { host: name, node, cell, limit, used, traits, .. } = host;
    let sizes =
        [limit.vcpus, limit.memory_mb, limit.disk_gb, used.vcpus, used.memory_mb, used.disk_gb];
    let flags = (host.service_disabled, host.forced_down, is_up(host, options));
    ((name, node, *cell.0.as_bytes()), sizes, traits, flags)
}

fn looks<'a>(host: &'a HostState, options: &SelectOptions) -> (Seen<'a>, &'a [crate::Aggregate]) {
    (seen(host, options), &host.aggregates)
}

/// Feeds what is hashed to a digest.
struct Digester(Sha256);

impl Hasher for Digester {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Nobody asks for it: the whole digest is taken.
    fn finish(&self) -> u64 {
        0
    }
}

#[cfg(test)]
mod tests;
