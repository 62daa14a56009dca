//! What is asked, of the library and over HTTP.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use cellzero::*;

use crate::plane::user;

/// What is asked, of the library and over HTTP.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Call {
    Show(InstanceUuid),
    /// A page of so many, without details.
    Names(u32),
    /// A page of so many, with details.
    List(u32),
}

impl Call {
    pub(crate) fn name(self) -> String {
        match self {
            Call::Show(_) => "show".to_owned(),
            Call::Names(limit) => format!("list of {limit} without details"),
            Call::List(limit) => format!("list of {limit}"),
        }
    }

    pub(crate) fn path(self) -> String {
        match self {
            Call::Show(uuid) => format!("/v2.1/servers/{uuid}"),
            Call::Names(limit) => format!("/v2.1/servers?limit={limit}"),
            Call::List(limit) => format!("/v2.1/servers/detail?limit={limit}"),
        }
    }

    /// A path that asks no database, and answers as much as a show, or more than any list.
    pub(crate) fn floor(self) -> &'static str {
        match self {
            Call::Show(_) => "/v2.1/",
            Call::Names(_) | Call::List(_) => "/openapi.json",
        }
    }

    /// The middle of what the library alone takes, asked again and again for a while in a task, as an
    /// embedder does: for what an admin is shown at the latest microversion.
    pub(crate) async fn alone(
        self,
        plane: ControlPlane,
        time: Duration,
    ) -> anyhow::Result<Duration> {
        let ask = async move {
            let (mut times, end) = (Vec::new(), Instant::now() + time);
            while Instant::now() < end {
                let began = Instant::now();
                match self {
                    Call::Show(uuid) => show(&plane, uuid).await?,
                    Call::Names(limit) => names(&plane, limit).await?,
                    Call::List(limit) => list(&plane, limit).await?,
                }
                times.push(began.elapsed());
            }
            anyhow::Ok(middle(times))
        };
        tokio::spawn(ask).await?
    }
}

/// As a process that calls the library is told it.
impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Call::Show(uuid) => write!(f, "show {uuid}"),
            Call::Names(limit) => write!(f, "names {limit}"),
            Call::List(limit) => write!(f, "list {limit}"),
        }
    }
}

impl FromStr for Call {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Call> {
        let (kind, of) = text.split_once(' ').with_context(|| format!("{text:?} is no call"))?;
        Ok(match kind {
            "show" => Call::Show(of.parse()?),
            "names" => Call::Names(of.parse()?),
            "list" => Call::List(of.parse()?),
            _ => bail!("{kind}: show, names and list are known"),
        })
    }
}

/// A show as the API does it for an admin.
async fn show(plane: &ControlPlane, uuid: InstanceUuid) -> anyhow::Result<()> {
    let (user, uuids) = (user(), [uuid]);
    let (instance, specs) =
        tokio::try_join!(plane.show(&user, uuid), plane.request_specs(&user, &uuids))?;
    let statuses = plane.host_statuses(&user, &hosts([&instance])).await?;
    ensure!((specs.len(), statuses.len()) == (1, 1), "both are known");
    Ok(())
}

/// A list without details.
async fn names(plane: &ControlPlane, limit: u32) -> anyhow::Result<()> {
    let query = ListQuery { bare: true, ..ListQuery::default().limit(limit) };
    let page = plane.list(&user(), &query).await?;
    ensure!(page.instances.len() == limit as usize, "a full page");
    Ok(())
}

/// A list with details, as the API does it for an admin.
async fn list(plane: &ControlPlane, limit: u32) -> anyhow::Result<()> {
    let user = user();
    let page = plane.list(&user, &ListQuery::default().limit(limit)).await?;
    let uuids: Vec<InstanceUuid> = page.instances.iter().map(|one| one.uuid).collect();
    let hosts = hosts(&page.instances);
    let (specs, statuses) =
        tokio::try_join!(plane.request_specs(&user, &uuids), plane.host_statuses(&user, &hosts))?;
    let found = (specs.len(), statuses.len());
    ensure!(found == (limit as usize, hosts.len()), "a full page, and all are known");
    Ok(())
}

/// The hosts of these instances, each once.
fn hosts<'a>(instances: impl IntoIterator<Item = &'a Instance>) -> Vec<String> {
    let hosts = instances.into_iter().filter_map(|instance| instance.host.clone());
    hosts.collect::<BTreeSet<String>>().into_iter().collect()
}

/// The middle of times, of which there are some.
pub(crate) fn middle(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_told_as_it_is_read() {
        for call in
            [Call::Show(InstanceUuid(uuid::Uuid::new_v4())), Call::Names(100), Call::List(10)]
        {
            assert_eq!(call.to_string().parse::<Call>().unwrap(), call);
        }
        assert!("shows all".parse::<Call>().is_err());
    }
}
