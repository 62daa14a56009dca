//! The aggregates of a plane: sets of hosts, availability zones among them.

use std::collections::BTreeMap;

use cellzero_api_db::aggregate::{self, AggregateWithHosts};
use cellzero_api_db::{ApiConnection, host_mapping};
use cellzero_types::{InvalidField, text};

use crate::{AdminError, ControlPlane};

const KIND: &str = "aggregate";

/// The aggregates of a plane.
///
/// Each change that can help a request that waits raises the generation of the hosts that it is
/// about, so that it is looked at again.
#[derive(Debug)]
pub struct Aggregates<'a>(pub(super) &'a ControlPlane);

impl Aggregates<'_> {
    /// Adds an aggregate of these hosts. The metadata `availability_zone` makes it a zone. Up to
    /// seven statements.
    ///
    /// # Errors
    /// [`AdminError::Invalid`] for a bad name, or where a host is in another zone already;
    /// [`AdminError::Exists`] where the name is taken.
    pub async fn create(
        &self,
        name: &str,
        metadata: &BTreeMap<String, String>,
        hosts: &[&str],
    ) -> Result<(), AdminError> {
        self.0.writer()?;
        text::check_name("aggregate name", name)?;
        for (key, value) in metadata {
            check_item(key, Some(value))?;
        }
        let taken = name.to_owned();
        let (name, metadata) = (name.to_owned(), metadata.clone());
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        self.0
            .change("create_aggregate", move |conn| {
                let now = conn.now();
                let others = aggregate::all_locked(conn)?;
                let zone = metadata.get(aggregate::ZONE_KEY).map(String::as_str);
                check_zone(&others, None, zone, &hosts)?;
                Ok(aggregate::insert(conn, &name, &metadata, &hosts, now)?)
            })
            .await
            .map_err(|error| error.or_exists(KIND, &taken))
    }

    /// All aggregates, with metadata and hosts, in the order in which they were made. Three
    /// statements.
    ///
    /// # Errors
    /// The API database's.
    pub async fn list(&self) -> Result<Vec<AggregateWithHosts>, AdminError> {
        self.0.look("list_aggregates", aggregate::all).await
    }

    /// The aggregate of this name or uuid. Three statements.
    ///
    /// # Errors
    /// [`AdminError::NotFound`].
    pub async fn show(&self, name: &str) -> Result<AggregateWithHosts, AdminError> {
        named(self.list().await?, name)
    }

    /// Deletes an aggregate. Five statements.
    ///
    /// # Errors
    /// [`AdminError::NotFound`]; [`AdminError::InUse`] while it has hosts.
    pub async fn delete(&self, name: &str) -> Result<(), AdminError> {
        self.alter("delete_aggregate", name, |conn, _, found| {
            if !found.hosts.is_empty() {
                let by = format!("it has the hosts {}", found.hosts.join(", "));
                return Err(AdminError::InUse { kind: KIND, name: found.name.clone(), by });
            }
            Ok(aggregate::delete(conn, found.id)?)
        })
        .await
    }

    /// Adds a host; says whether it was not in it before. Six statements.
    ///
    /// # Errors
    /// [`AdminError::NotFound`] for the aggregate, or a host that no cell has;
    /// [`AdminError::Invalid`] where the host is in another zone already.
    pub async fn add_host(&self, name: &str, host: &str) -> Result<bool, AdminError> {
        let host = host.to_owned();
        self.alter("add_host_to_aggregate", name, move |conn, others, found| {
            if found.hosts.contains(&host) {
                return Ok(false);
            }
            if host_mapping::cells_of(conn, std::slice::from_ref(&host))?.is_empty() {
                return Err(AdminError::not_found("host", &host));
            }
            check_zone(others, Some(found.id), found.zone(), std::slice::from_ref(&host))?;
            let now = conn.now();
            aggregate::add_host(conn, found.id, &host, now)?;
            Ok(true)
        })
        .await
    }

    /// Takes a host out. What lives on it stays. Five statements.
    ///
    /// # Errors
    /// [`AdminError::NotFound`] for the aggregate, or a host that is not in it.
    pub async fn remove_host(&self, name: &str, host: &str) -> Result<(), AdminError> {
        let host = host.to_owned();
        self.alter("remove_host_from_aggregate", name, move |conn, _, found| {
            let now = conn.now();
            match aggregate::remove_host(conn, found.id, &host, now)? {
                true => Ok(()),
                false => Err(AdminError::not_found("host of the aggregate", &host)),
            }
        })
        .await
    }

    /// Sets one item of metadata, or takes it away with none. `availability_zone` makes the
    /// aggregate a zone; what lives on its hosts keeps the zone that it was made in. Five statements.
    ///
    /// # Errors
    /// [`AdminError::NotFound`]; [`AdminError::Invalid`] for a key or value that cannot be used, or
    /// a zone where a host is in another one already.
    pub async fn set(&self, name: &str, key: &str, value: Option<&str>) -> Result<(), AdminError> {
        check_item(key, value)?;
        let (key, value) = (key.to_owned(), value.map(str::to_owned));
        self.alter("set_aggregate_metadata", name, move |conn, others, found| {
            if key == aggregate::ZONE_KEY {
                check_zone(others, Some(found.id), value.as_deref(), &found.hosts)?;
            }
            let now = conn.now();
            Ok(aggregate::set_metadata(conn, found, (&key, value.as_deref()), now)?)
        })
        .await
    }

    /// Changes one aggregate while nobody changes any.
    async fn alter<T: Send + 'static>(
        &self,
        operation: &'static str,
        name: &str,
        work: impl Fn(
            &mut ApiConnection,
            &[AggregateWithHosts],
            &AggregateWithHosts,
        ) -> Result<T, AdminError>
        + Send
        + 'static,
    ) -> Result<T, AdminError> {
        let name = name.to_owned();
        self.0
            .change(operation, move |conn| {
                let all = aggregate::all_locked(conn)?;
                let found = named(all.clone(), &name)?;
                work(conn, &all, &found)
            })
            .await
    }
}

fn named(all: Vec<AggregateWithHosts>, name: &str) -> Result<AggregateWithHosts, AdminError> {
    let mut all = all.into_iter();
    all.find(|one| one.name == name || one.uuid.as_deref() == Some(name))
        .ok_or_else(|| AdminError::not_found(KIND, name))
}

fn check_item(key: &str, value: Option<&str>) -> Result<(), InvalidField> {
    text::check_name("aggregate metadata key", key)?;
    let Some(value) = value else { return Ok(()) };
    if key == aggregate::ZONE_KEY {
        return text::check_name(aggregate::ZONE_KEY, value);
    }
    text::check("aggregate metadata value", value, text::TEXT_LENGTH_MAX)
}

/// A host is in one availability zone, as in Nova: a request that names a zone must mean one place.
fn check_zone(
    all: &[AggregateWithHosts],
    id: Option<i32>,
    zone: Option<&str>,
    hosts: &[String],
) -> Result<(), AdminError> {
    let Some(zone) = zone else { return Ok(()) };
    for other in all.iter().filter(|other| Some(other.id) != id) {
        let Some(theirs) = other.zone().filter(|theirs| *theirs != zone) else { continue };
        if let Some(host) = hosts.iter().find(|host| other.hosts.contains(host)) {
            let expected =
                format!("in one zone; it is in {theirs} by the aggregate {}", other.name);
            return Err(InvalidField::new("host", host, expected).into());
        }
    }
    Ok(())
}
