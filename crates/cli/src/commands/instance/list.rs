//! `instance list`.

mod certificate;
pub(super) mod filters;

use cellzero::{CellUuid, Cursor, Home, InstanceUuid, ListQuery, Page, SortDirection, SortKey};
use chrono::NaiveDateTime;
use comfy_table::Cell;
use serde::Serialize;

use self::certificate::CellAnswer;
use self::filters::Filters;
use crate::command::{Run, help};
use crate::commands::cells::{Names, find_cell};
use crate::exit::Exit;
use crate::output::{Style, View, lines, or_dash, table, time};
use crate::session::Session;

/// Lists instances of all cells, of cell0, and those that have no home yet, in one order.
#[derive(Debug, clap::Args)]
#[command(after_help = help::<List>())]
pub(crate) struct List {
    /// Of every project, also where --project or the settings name one
    #[arg(long)]
    all_projects: bool,

    #[command(flatten)]
    filters: Filters,

    /// Only what stands in this cell, by name or uuid; may be given several times
    #[arg(long)]
    cell: Vec<String>,

    /// Sort by this column, `:asc` or `:desc` behind it; may be given several times
    #[arg(long, value_name = "COLUMN[:WAY]", default_value = "created_at:desc")]
    sort: Vec<String>,

    /// The most instances; 1000 at most
    #[arg(long, default_value_t = ListQuery::LIMIT_MAX)]
    limit: u32,

    /// Begin behind this instance, or at the cursor that an earlier page ended with
    #[arg(long, value_name = "UUID|CURSOR")]
    after: Option<String>,
}

impl Run for List {
    const EXAMPLES: &'static [(&'static str, &'static str)] = &[
        ("cellzero instance list", "all instances of the plane, the newest first"),
        ("cellzero instance list --cell cell0 --project demo", "what is buried of one project"),
        (
            "cellzero instance list --status error --sort host --sort created_at:desc --json",
            "what failed, by host",
        ),
    ];
    const EXITS: &'static [Exit] = &[Exit::NotFound, Exit::Incomplete];

    async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        let plane = session.plane().await?;
        let ctx = session.context()?;
        let names = Names::read(plane).await?;
        let mut query = self.query(session, &names)?;
        query.all_projects &= ctx.is_admin;
        let page = match plane.list(&ctx, &query).await {
            Err(error @ cellzero::ReadError::MarkerNotFound { .. }) => {
                return Err(crate::failure::ended(Exit::NotFound, error));
            }
            page => page?,
        };
        let exit = if page.is_complete() { Exit::Success } else { Exit::Incomplete };
        session.out.show(&Listed::new(page, &names, query.all_projects))?;
        Ok(exit)
    }
}

impl List {
    fn query(&self, session: &Session, names: &Names) -> anyhow::Result<ListQuery> {
        let settings = session.settings()?;
        let mut filters = self.filters.to_filters()?;
        let all_projects = self.all_projects || settings.project.is_none();
        if !all_projects {
            filters.project_id = settings.project;
        }
        let mut query = ListQuery::default().filter(filters).limit(self.limit);
        query.all_projects = all_projects;
        query.sort = self.sort.iter().map(|text| order(text)).collect::<Result<_, _>>()?;
        if !self.cell.is_empty() {
            let cells = self.cell.iter().map(|text| find_cell(names, text));
            query.cells = Some(cells.collect::<anyhow::Result<_>>()?);
        }
        if let Some(after) = &self.after {
            query = match after.parse::<InstanceUuid>() {
                Ok(marker) => query.after(marker),
                Err(_) => query.after(after.parse::<Cursor>()?),
            };
        }
        Ok(query)
    }
}

/// A sort column with its way; times and numbers come as they are asked for, ascending by default.
fn order(text: &str) -> Result<(SortKey, SortDirection), cellzero::InvalidField> {
    let (column, way) = text.split_once(':').unwrap_or((text, "asc"));
    Ok((column.parse()?, way.parse()?))
}

/// A page of instances.
#[derive(Debug, Serialize)]
struct Listed {
    instances: Vec<Row>,
    /// Whether every cell that was needed has answered.
    complete: bool,
    cells: Vec<CellAnswer>,
    /// The cursor of the next page.
    next: Option<String>,
    #[serde(skip)]
    with_project: bool,
}

/// One instance.
#[derive(Debug, Serialize)]
struct Row {
    uuid: InstanceUuid,
    name: Option<String>,
    status: &'static str,
    task_state: Option<String>,
    /// None while it has no home.
    cell_uuid: Option<CellUuid>,
    cell: Option<String>,
    host: Option<String>,
    project_id: String,
    user_id: String,
    flavor: Option<String>,
    created_at: Option<NaiveDateTime>,
    /// Where its cell does not answer: since when what stands here is known.
    known_at: Option<NaiveDateTime>,
}

impl Listed {
    fn new(page: Page, names: &Names, with_project: bool) -> Listed {
        let complete = page.is_complete();
        let listed = |instance: cellzero::Instance| {
            let cell = match instance.home {
                Home::Cell(cell) => Some(cell),
                Home::BuildRequest => None,
            };
            Row {
                uuid: instance.uuid,
                status: instance.status(),
                task_state: instance.task_state.map(|state| state.as_str().to_owned()),
                cell_uuid: cell,
                cell: cell.map(|cell| names.of(cell)),
                host: instance.host,
                name: instance.display_name,
                project_id: instance.project_id,
                user_id: instance.user_id,
                flavor: instance.flavor.map(|flavor| flavor.name),
                created_at: instance.created_at,
                known_at: instance.known_at,
            }
        };
        Listed {
            complete,
            next: page.next.as_ref().map(ToString::to_string),
            cells: page.cells.iter().map(CellAnswer::new).collect(),
            instances: page.instances.into_iter().map(listed).collect(),
            with_project,
        }
    }
}

impl View for Listed {
    fn text(&self, style: Style) -> String {
        if self.instances.is_empty() {
            return "no instances\n".to_owned();
        }
        let mut header = vec!["uuid", "name", "status", "cell", "host", "flavor", "created"];
        if self.with_project {
            header.insert(2, "project");
        }
        let mut table = table(&header);
        for row in &self.instances {
            let mut cells = vec![
                Cell::new(row.uuid),
                Cell::new(or_dash(row.name.as_ref())),
                status(style, row.status),
                Cell::new(or_dash(row.cell.as_ref())),
                Cell::new(or_dash(row.host.as_ref())),
                Cell::new(or_dash(row.flavor.as_ref())),
                Cell::new(time(row.created_at)),
            ];
            if self.with_project {
                cells.insert(2, Cell::new(&row.project_id));
            }
            table.add_row(cells);
        }
        lines(&table)
    }

    fn notes(&self) -> String {
        let mut notes: String = self.cells.iter().filter_map(CellAnswer::note).collect();
        if !self.complete {
            let shown = self.instances.iter().filter(|row| row.known_at.is_some()).count();
            notes += &format!(
                "the list is not complete: {shown} instances stand here as the API database knows \
                 them, as UNKNOWN\n"
            );
        }
        if let Some(next) = &self.next {
            notes += &format!("there are more; the next page: --after {next}\n");
        }
        notes
    }
}

/// A status in the color that it has.
pub(super) fn status(style: Style, status: &str) -> Cell {
    match status {
        "ACTIVE" => style.good(status),
        "ERROR" => style.bad(status),
        "UNKNOWN" | "BUILD" => style.doubtful(status),
        _ => Cell::new(status),
    }
}
