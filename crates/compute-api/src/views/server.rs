//! A server: which of its keys are shown from which microversion on, to whom and where.

use std::collections::BTreeMap;

use cellzero::{BlockDevice, Instance, RequestSpec};
use data_encoding::HEXLOWER;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha224};
use uuid::Uuid;

use crate::call::{Call, Link};
use crate::views::field::Field::{
    self, Flag, Hints, Items, Links, Made, MaybeText, Number, Other, Text, Texts,
};
use crate::views::field::{Image, PlainTime, Time};
use crate::views::flavor;

/// Where a server is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// By itself.
    Show,
    /// In a list with details.
    Detail,
    /// After a change; before 2.75 that is a narrow view.
    Changed,
}

/// What is known of a server beside its instance.
#[derive(Debug, Default)]
pub(crate) struct Beside {
    /// What was asked of the scheduler; from 2.71 on.
    pub(crate) spec: Option<RequestSpec>,
    /// Whether its host is up: for an admin, from 2.16 on.
    pub(crate) host_status: Option<&'static str>,
}

/// What the value of a key is made of.
struct Shown<'a> {
    call: &'a Call,
    instance: &'a Instance,
}

/// Who sees a key.
#[derive(PartialEq, Eq)]
enum Who {
    All,
    Admin,
    /// Admins, and everybody from this microversion on.
    AdminUntil(u16),
}

/// Where a key is shown.
#[derive(PartialEq, Eq)]
enum Views {
    /// Everywhere.
    All,
    /// Not in the narrow view after a change.
    Wide,
    /// Not in lists.
    Single,
}

/// A key: its name, its first microversion, who sees it, where, and its value.
type Key<F> = (&'static str, u16, Who, Views, F);
type OfInstance = for<'a> fn(&Shown<'a>) -> Option<Field<'a>>;
type OfBeside = for<'a> fn(&'a Beside) -> Option<Field<'a>>;

/// The keys that an instance has by itself.
const KEYS: &[Key<OfInstance>] = &[
    ("id", 1, Who::All, Views::All, |s| Some(Made(s.instance.uuid.text()))),
    ("name", 1, Who::All, Views::All, |s| Some(Field::or_null(&s.instance.display_name))),
    ("status", 1, Who::All, Views::All, |s| Some(Text(s.instance.status()))),
    ("tenant_id", 1, Who::All, Views::All, |s| Some(Text(&s.instance.project_id))),
    ("user_id", 1, Who::All, Views::All, |s| Some(Text(&s.instance.user_id))),
    ("metadata", 1, Who::All, Views::All, |s| Some(Items(&s.instance.metadata))),
    ("hostId", 1, Who::All, Views::All, |s| {
        Some(Made(host_id(&s.instance.project_id, s.instance.host.as_deref())))
    }),
    ("image", 1, Who::All, Views::All, |s| Some(image(s))),
    ("flavor", 1, Who::All, Views::All, |s| Some(size(s))),
    ("created", 1, Who::All, Views::All, |s| Some(Field::Time(Time(s.instance.created_at)))),
    ("updated", 1, Who::All, Views::All, |s| {
        Some(Field::Time(Time(s.instance.updated_at.or(s.instance.created_at))))
    }),
    ("addresses", 1, Who::All, Views::All, |s| Some(Other(addresses(&s.instance.network_info)))),
    ("accessIPv4", 1, Who::All, Views::All, |s| Some(Field::or_empty(&s.instance.access_ip_v4))),
    ("accessIPv6", 1, Who::All, Views::All, |s| Some(Field::or_empty(&s.instance.access_ip_v6))),
    ("links", 1, Who::All, Views::All, |s| Some(Links(links(s.call, &s.instance.uuid.text())))),
    ("OS-DCF:diskConfig", 1, Who::All, Views::All, |s| {
        Some(Text(if s.instance.auto_disk_config { "AUTO" } else { "MANUAL" }))
    }),
    ("progress", 1, Who::All, Views::All, progress),
    ("fault", 1, Who::All, Views::All, fault),
    ("OS-EXT-AZ:availability_zone", 1, Who::All, Views::Wide, |s| Some(Text(zone(s.instance)))),
    ("config_drive", 1, Who::All, Views::Wide, |s| Some(Field::or_empty(&s.instance.config_drive))),
    ("key_name", 1, Who::All, Views::Wide, |s| Some(Field::or_null(&s.instance.key_name))),
    ("OS-SRV-USG:launched_at", 1, Who::All, Views::Wide, |s| {
        Some(Field::PlainTime(PlainTime(s.instance.launched_at)))
    }),
    ("OS-SRV-USG:terminated_at", 1, Who::All, Views::Wide, |s| {
        Some(Field::PlainTime(PlainTime(s.instance.terminated_at)))
    }),
    ("security_groups", 1, Who::All, Views::Wide, security_groups),
    ("OS-EXT-STS:task_state", 1, Who::All, Views::Wide, |s| {
        Some(MaybeText(s.instance.task_state.as_ref().map(|state| state.as_str())))
    }),
    ("OS-EXT-STS:vm_state", 1, Who::All, Views::Wide, |s| {
        Some(MaybeText(s.instance.vm_state.as_ref().map(|state| state.as_str())))
    }),
    ("OS-EXT-STS:power_state", 1, Who::All, Views::Wide, |s| {
        Some(Number(s.instance.power_state.map_or(0, |state| state.0)))
    }),
    ("os-extended-volumes:volumes_attached", 1, Who::All, Views::Wide, |s| Some(Other(volumes(s)))),
    ("OS-EXT-SRV-ATTR:host", 1, Who::Admin, Views::Wide, |s| {
        Some(Field::or_null(&s.instance.host))
    }),
    ("OS-EXT-SRV-ATTR:instance_name", 1, Who::Admin, Views::Wide, |s| {
        Some(Made(instance_name(s.instance)))
    }),
    ("OS-EXT-SRV-ATTR:hypervisor_hostname", 1, Who::Admin, Views::Wide, |s| {
        Some(Field::or_null(&s.instance.node))
    }),
    ("OS-EXT-SRV-ATTR:reservation_id", 3, Who::Admin, Views::Wide, |s| {
        Some(Field::or_null(&s.instance.reservation_id))
    }),
    ("OS-EXT-SRV-ATTR:launch_index", 3, Who::Admin, Views::Wide, |s| {
        Some(Number(s.instance.launch_index.unwrap_or(0)))
    }),
    ("OS-EXT-SRV-ATTR:hostname", 3, Who::AdminUntil(90), Views::Wide, |s| {
        Some(Field::or_null(&s.instance.hostname))
    }),
    ("OS-EXT-SRV-ATTR:kernel_id", 3, Who::Admin, Views::Wide, |s| {
        Some(Field::or_empty(&s.instance.kernel_id))
    }),
    ("OS-EXT-SRV-ATTR:ramdisk_id", 3, Who::Admin, Views::Wide, |s| {
        Some(Field::or_empty(&s.instance.ramdisk_id))
    }),
    ("OS-EXT-SRV-ATTR:root_device_name", 3, Who::Admin, Views::Wide, |s| {
        Some(Field::or_null(&s.instance.root_device_name))
    }),
    ("OS-EXT-SRV-ATTR:user_data", 3, Who::Admin, Views::Wide, |s| {
        Some(Field::or_null(&s.instance.user_data))
    }),
    ("locked", 9, Who::All, Views::All, |s| Some(Flag(s.instance.locked))),
    ("description", 19, Who::All, Views::All, |s| {
        Some(Field::or_null(&s.instance.display_description))
    }),
    ("tags", 26, Who::All, Views::All, |s| Some(Texts(&s.instance.tags))),
    ("trusted_image_certificates", 63, Who::All, Views::All, |_| Some(MaybeText(None))),
    ("locked_reason", 73, Who::All, Views::All, |s| Some(MaybeText(s.instance.locked_reason()))),
];

/// The keys of what is known beside an instance.
const BESIDE_KEYS: &[Key<OfBeside>] = &[
    ("host_status", 16, Who::Admin, Views::Wide, |beside| beside.host_status.map(Text)),
    ("server_groups", 71, Who::All, Views::Single, |beside| Some(Field::Uuids(groups(beside)))),
    ("pinned_availability_zone", 96, Who::All, Views::All, |beside| {
        let spec = beside.spec.as_ref();
        Some(MaybeText(spec.and_then(|spec| spec.availability_zone.as_deref())))
    }),
    ("scheduler_hints", 100, Who::All, Views::All, |beside| Some(Hints(beside.spec.as_ref()))),
];

/// How a call sees servers in one place: which keys, once for all servers of a page.
pub(crate) struct View<'a> {
    call: &'a Call,
    place: Place,
    keys: Vec<(&'static str, OfInstance)>,
    beside_keys: Vec<(&'static str, OfBeside)>,
}

impl<'a> View<'a> {
    pub(crate) fn new(call: &'a Call, place: Place) -> View<'a> {
        let (keys, beside_keys) = (shown(KEYS, call, place), shown(BESIDE_KEYS, call, place));
        View { call, place, keys, beside_keys }
    }

    /// Gives each key that an instance has by itself; of one whose cell does not answer, those that
    /// are known, as from 2.69 on.
    pub(crate) fn own(
        &self,
        instance: &'a Instance,
        mut take: impl FnMut(&'static str, Field<'a>),
    ) {
        let shown = Shown { call: self.call, instance };
        if instance.known_at.is_some() {
            return shadow(&shown, self.place, take);
        }
        for (name, value) in &self.keys {
            if let Some(value) = value(&shown) {
                take(name, value);
            }
        }
    }

    /// Gives each key of what is known beside it.
    pub(crate) fn beside<'b>(
        &self,
        instance: &Instance,
        beside: &'b Beside,
        mut take: impl FnMut(&'static str, Field<'b>),
    ) {
        if instance.known_at.is_some() {
            // Of what an instance was asked with, a server whose cell does not answer has its groups.
            if self.place != Place::Detail && self.call.since(71) {
                take("server_groups", Field::Uuids(groups(beside)));
            }
            return;
        }
        for (name, value) in &self.beside_keys {
            if let Some(value) = value(beside) {
                take(name, value);
            }
        }
    }

    /// The server whole, to be added to.
    pub(crate) fn value(&self, instance: &'a Instance, beside: &Beside) -> Value {
        let mut view = Map::new();
        self.own(instance, |name, value| drop(view.insert(name.to_owned(), json!(value))));
        self.beside(instance, beside, |name, value| {
            view.insert(name.to_owned(), json!(value));
        });
        Value::Object(view)
    }
}

/// The names and values of those of these keys that are shown.
fn shown<F: Copy>(keys: &[Key<F>], call: &Call, place: Place) -> Vec<(&'static str, F)> {
    let is_shown = |(_, first, who, views, _): &&Key<F>| {
        call.since(*first)
            && match who {
                Who::All => true,
                Who::Admin => call.ctx.is_admin,
                Who::AdminUntil(open) => call.ctx.is_admin || call.since(*open),
            }
            && match views {
                Views::All => true,
                Views::Wide => place != Place::Changed || call.since(75),
                Views::Single => place != Place::Detail,
            }
    };
    keys.iter().filter(is_shown).map(|(name, .., value)| (*name, *value)).collect()
}

/// Gives the keys that are known of a server whose cell does not answer.
fn shadow<'a>(s: &Shown<'a>, place: Place, mut take: impl FnMut(&'static str, Field<'a>)) {
    take("id", Made(s.instance.uuid.text()));
    take("status", Text("UNKNOWN"));
    take("tenant_id", Text(&s.instance.project_id));
    take("created", Field::Time(Time(s.instance.created_at)));
    take("links", Links(links(s.call, &s.instance.uuid.text())));
    if place != Place::Detail {
        let zone = s.instance.availability_zone.as_deref().unwrap_or("UNKNOWN");
        take("user_id", Text(&s.instance.user_id));
        take("image", image(s));
        take("flavor", size(s));
        take("OS-EXT-AZ:availability_zone", Text(zone));
        take("OS-EXT-STS:power_state", Number(0));
    }
}

/// Where the server of this id is found.
pub(crate) fn links(call: &Call, id: &str) -> [Link; 2] {
    call.links(&["/servers/", id].concat())
}

/// The same for all servers of a project on one host, and for no others; empty without a host.
pub(crate) fn host_id(project: &str, host: Option<&str>) -> String {
    let digest = |host| Sha224::new().chain_update(project).chain_update(host).finalize();
    host.map(|host: &str| HEXLOWER.encode(&digest(host))).unwrap_or_default()
}

/// What the hypervisor calls it.
fn instance_name(instance: &Instance) -> String {
    match instance.id {
        Some(id) => format!("instance-{id:08x}"),
        None => instance.uuid.text(),
    }
}

fn zone(instance: &Instance) -> &str {
    // Hosts without a zone of their own are in Nova's default one.
    let default = if instance.host.is_some() { "nova" } else { "" };
    instance.availability_zone.as_deref().unwrap_or(default)
}

fn image<'a>(s: &Shown<'a>) -> Field<'a> {
    let Some(id) = s.instance.image_ref.as_deref().filter(|id| !id.is_empty()) else {
        return Text("");
    };
    let properties = s.call.since(98).then(|| {
        let properties = s.instance.system_metadata.iter();
        let of_image = |(key, value): (&'a String, &'a String)| {
            Some((key.strip_prefix("image_")?, value.as_str()))
        };
        properties.filter_map(of_image).collect()
    });
    Field::Image(Image { id, links: s.call.bookmark(&["/images/", id].concat()), properties })
}

fn size<'a>(s: &Shown<'a>) -> Field<'a> {
    Field::Flavor(flavor::embedded(s.call, s.instance.flavor.as_ref()))
}

fn progress<'a>(s: &Shown<'a>) -> Option<Field<'a>> {
    let moves = ["ACTIVE", "BUILD", "REBUILD", "RESIZE", "VERIFY_RESIZE", "MIGRATING"];
    let progress = s.instance.progress.unwrap_or(0);
    moves.contains(&s.instance.status()).then_some(Number(progress))
}

fn fault<'a>(s: &Shown<'a>) -> Option<Field<'a>> {
    let fault = s.instance.fault.as_ref();
    let fault = fault.filter(|_| ["ERROR", "DELETED"].contains(&s.instance.status()))?;
    let mut view = json!({
        "code": fault.code,
        "created": Time(fault.created_at),
        "message": fault.message,
    });
    if s.call.ctx.is_admin
        && fault.code == 500
        && let Some(details) = &fault.details
    {
        view["details"] = json!(details);
    }
    Some(Other(view))
}

fn security_groups<'a>(s: &Shown<'a>) -> Option<Field<'a>> {
    s.instance.host.as_ref()?;
    Some(Field::Named(&s.instance.security_groups))
}

/// The addresses by network, from Nova's network_info.
pub(crate) fn addresses(network_info: &Value) -> Value {
    let mut networks: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for port in network_info.as_array().into_iter().flatten() {
        let label = port["network"]["label"].as_str().unwrap_or_default();
        let addresses = networks.entry(label).or_default();
        let subnets = port["network"]["subnets"].as_array().into_iter().flatten();
        for ip in subnets.flat_map(|subnet| subnet["ips"].as_array().into_iter().flatten()) {
            let floating = ip["floating_ips"].as_array().into_iter().flatten();
            for (ip, kind) in
                std::iter::once((ip, "fixed")).chain(floating.map(|ip| (ip, "floating")))
            {
                let Some(address) = ip["address"].as_str() else { continue };
                addresses.push(json!({
                    "version": if address.contains(':') { 6 } else { 4 },
                    "addr": address,
                    "OS-EXT-IPS:type": kind,
                    "OS-EXT-IPS-MAC:mac_addr": port["address"],
                }));
            }
        }
    }
    json!(networks)
}

fn volumes(s: &Shown<'_>) -> Value {
    let is_volume = |device: &&BlockDevice| device.destination_type == "volume";
    let devices = s.instance.block_devices.iter().filter(is_volume);
    let with_id = devices.filter_map(|device| {
        let id = device.source_id.filter(|_| device.source_type == "volume")?;
        let mut view = json!({"id": id});
        if s.call.since(3) {
            view["delete_on_termination"] = json!(device.delete_on_termination);
        }
        Some(view)
    });
    with_id.collect()
}

/// The server groups that it was asked for: one at most.
fn groups(beside: &Beside) -> Vec<Uuid> {
    beside.spec.iter().filter_map(|spec| spec.server_group).collect()
}

/// Every key that a server may have.
pub(crate) fn keys() -> impl Iterator<Item = &'static str> {
    let own = KEYS.iter().map(|(name, ..)| *name);
    own.chain(BESIDE_KEYS.iter().map(|(name, ..)| *name))
}
