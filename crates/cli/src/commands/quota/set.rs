//! `quota set`.

use std::str::FromStr;

use cellzero::QuotaResource;
use serde::Serialize;

use super::show::Shown;
use crate::command::{Run, help};
use crate::exit::Exit;
use crate::output::{Style, View};
use crate::session::Session;

/// Sets limits of a project, or of the class that holds for every project without its own.
///
/// A limit is a number; -1 says that there is none; `default` takes the limit away, so that the
/// class's holds, and for the class the configuration's. What is left out stays.
#[derive(Debug, clap::Args)]
#[command(after_help = help::<Set>())]
#[command(group(clap::ArgGroup::new("what").required(true).multiple(true)))]
pub(crate) struct Set {
    /// The project's id
    #[arg(value_name = "PROJECT", required_unless_present = "class")]
    of: Option<String>,

    /// Instead of a project, the class; `default` is the only one that is read
    #[arg(long, value_name = "CLASS", value_parser = ["default"], conflicts_with = "of")]
    class: Option<String>,

    /// Instances
    #[arg(long, value_name = "LIMIT", allow_hyphen_values = true, group = "what")]
    instances: Option<Limit>,

    /// Vcpus
    #[arg(long, value_name = "LIMIT", allow_hyphen_values = true, group = "what")]
    cores: Option<Limit>,

    /// Memory, in MiB
    #[arg(long, value_name = "LIMIT", allow_hyphen_values = true, group = "what")]
    ram: Option<Limit>,

    /// Whether what is buried is retried by itself, where the request does not say: true, false, or
    /// default
    #[arg(long, value_name = "BOOL", group = "what")]
    auto_retry: Option<Switch>,
}

/// What is said of one limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Limit {
    At(i32),
    Unlimited,
    Default,
}

impl FromStr for Limit {
    type Err = String;

    fn from_str(text: &str) -> Result<Limit, String> {
        match (text, text.parse()) {
            ("default", _) => Ok(Limit::Default),
            ("unlimited", _) | (_, Ok(-1)) => Ok(Limit::Unlimited),
            (_, Ok(limit)) if limit >= 0 => Ok(Limit::At(limit)),
            _ => Err("a limit is a number, -1 for none, or `default`".to_owned()),
        }
    }
}

/// What is said of automatic retry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Switch {
    True,
    False,
    Default,
}

impl From<Switch> for Limit {
    fn from(switch: Switch) -> Limit {
        match switch {
            Switch::True => Limit::At(1),
            Switch::False => Limit::At(0),
            Switch::Default => Limit::Default,
        }
    }
}

impl Run for Set {
    const EXAMPLES: &'static [(&'static str, &'static str)] = &[
        (
            "cellzero quota set 1e2feb89414c343c1027c4d1c386bbc4 --instances 100 --cores 400",
            "of one project",
        ),
        ("cellzero quota set --class default --instances 10", "of all that have no own limit"),
        (
            "cellzero quota set 1e2feb89414c343c1027c4d1c386bbc4 --ram -1 --instances default",
            "no limit of memory, and the class's of instances",
        ),
    ];
    const EXITS: &'static [Exit] = &[];

    async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        let plane = session.plane().await?;
        let quotas = plane.quotas();
        let wanted = [
            (QuotaResource::Instances, self.instances),
            (QuotaResource::Cores, self.cores),
            (QuotaResource::Ram, self.ram),
            (QuotaResource::AutoRetry, self.auto_retry.map(Limit::from)),
        ];
        let given = wanted.into_iter().filter_map(|(resource, limit)| Some((resource, limit?)));
        let mut set = Vec::new();
        for (resource, limit) in given {
            let name = resource.as_str();
            match (&self.of, limit) {
                (Some(project), Limit::At(at)) => quotas.set(project, name, Some(at)).await?,
                (Some(project), Limit::Unlimited) => quotas.set(project, name, None).await?,
                (Some(project), Limit::Default) => {
                    quotas.unset(project, name).await?;
                }
                (None, Limit::At(at)) => quotas.set_default(name, Some(at)).await?,
                (None, Limit::Unlimited) => quotas.set_default(name, None).await?,
                (None, Limit::Default) => {
                    quotas.unset_default(name).await?;
                }
            }
            set.push(name);
        }
        match &self.of {
            Some(project) => session.out.show(&Shown::new(&quotas.show(project).await?))?,
            None => session.out.show(&OfClass { class: "default", set })?,
        }
        Ok(Exit::Success)
    }
}

#[derive(Debug, Serialize)]
struct OfClass {
    class: &'static str,
    /// The limits that were set or taken away.
    set: Vec<&'static str>,
}

impl View for OfClass {
    fn text(&self, _: Style) -> String {
        format!("class {}: {} set\n", self.class, self.set.join(", "))
    }
}
