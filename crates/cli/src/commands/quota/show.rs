//! `quota show`.

use cellzero::{LimitSource, Quota, QuotaResource};
use comfy_table::Cell;
use serde::Serialize;

use crate::command::{Run, help};
use crate::exit::Exit;
use crate::output::{Style, View, lines, table};
use crate::session::Session;

/// Shows the limits of a project, what it uses, and where each limit comes from.
///
/// What is buried in cell0, or deleted, counts for nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = help::<Show>())]
pub(crate) struct Show {
    /// The project's id. One that nobody has heard of has the limits that every one has
    #[arg(value_name = "PROJECT")]
    of: String,
}

impl Run for Show {
    const EXAMPLES: &'static [(&'static str, &'static str)] =
        &[("cellzero quota show 1e2feb89414c343c1027c4d1c386bbc4", "of one project")];
    const EXITS: &'static [Exit] = &[];

    async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        let plane = session.plane().await?;
        let quota = plane.quotas().show(&self.of).await?;
        session.out.show(&Shown::new(&quota))?;
        Ok(Exit::Success)
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Shown {
    project_id: String,
    resources: Vec<Row>,
    /// Whether what is buried of it is retried by itself, where the request does not say.
    auto_retry: bool,
    auto_retry_source: &'static str,
}

#[derive(Debug, Serialize)]
struct Row {
    resource: &'static str,
    used: i64,
    /// None where there is none.
    limit: Option<i64>,
    /// `project`, `class` or `configuration`.
    source: &'static str,
}

impl Shown {
    pub(super) fn new(quota: &Quota) -> Shown {
        let source = |resource| match quota.sources.get(&resource) {
            Some(LimitSource::Project) => "project",
            Some(LimitSource::Class) => "class",
            Some(LimitSource::Configuration) | None => "configuration",
        };
        let (used, limits) = (&quota.used, &quota.limits);
        let rows = [
            (QuotaResource::Instances, used.instances, limits.instances),
            (QuotaResource::Cores, used.cores, limits.cores),
            (QuotaResource::Ram, used.ram_mb, limits.ram_mb),
        ];
        let row = |(resource, used, limit): (QuotaResource, i64, Option<i64>)| Row {
            resource: resource.as_str(),
            used,
            limit,
            source: source(resource),
        };
        Shown {
            project_id: quota.project_id.clone(),
            resources: rows.into_iter().map(row).collect(),
            auto_retry: limits.auto_retry.unwrap_or(false),
            auto_retry_source: source(QuotaResource::AutoRetry),
        }
    }
}

impl View for Shown {
    fn text(&self, style: Style) -> String {
        let mut table = table(&["resource", "used", "limit", "from"]);
        for row in &self.resources {
            let limit = row.limit.map_or_else(|| "unlimited".to_owned(), |limit| limit.to_string());
            let used = match row.limit {
                Some(limit) if row.used >= limit => style.doubtful(row.used),
                _ => Cell::new(row.used),
            };
            table.add_row([Cell::new(row.resource), used, Cell::new(limit), Cell::new(row.source)]);
        }
        table.add_row([
            Cell::new("auto_retry"),
            Cell::new("-"),
            Cell::new(if self.auto_retry { "yes" } else { "no" }),
            Cell::new(self.auto_retry_source),
        ]);
        lines(&table)
    }
}
