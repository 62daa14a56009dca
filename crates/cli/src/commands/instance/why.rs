//! `instance why`.

use cellzero::{
    CellUuid, ControlPlane, ExplainError, Explanation, InstanceUuid, ReadError, RequestContext,
    Verdict, WaitingState, Write,
};
use chrono::NaiveDateTime;
use serde::Serialize;

use super::named::find;
use super::show;
use crate::command::{Run, help};
use crate::commands::cells::Names;
use crate::exit::Exit;
use crate::failure::{Exits as _, ended};
use crate::output::{Style, View, lines, table, time};
use crate::session::Session;

/// Says why an instance is buried, what would have fitted, and whether it would fit now.
#[derive(Debug, clap::Args)]
#[command(after_help = help::<Why>())]
pub(crate) struct Why {
    /// Its uuid, or a name that no other one has
    instance: String,
}

impl Run for Why {
    const EXAMPLES: &'static [(&'static str, &'static str)] = &[
        ("cellzero instance why web-2", "for a person"),
        ("cellzero instance why web-2 --json", "with the whole verdict, host by host"),
    ];
    const EXITS: &'static [Exit] =
        &[Exit::NotFound, Exit::NotBuried, Exit::Ambiguous, Exit::CellUnavailable];

    async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        let plane = session.plane().await?;
        let ctx = session.context()?;
        let uuid = find(plane, &ctx, &self.instance).await?;
        let explained = explain(session, plane, &ctx, uuid).await?;
        let names = Names::read(plane).await?;
        let Some((verdict, now)) = explained else {
            return not_buried(plane, &ctx, uuid, &names).await;
        };
        let waiting = plane.waiting(&ctx, uuid).await?;
        session.out.show(&Burial::new(uuid, &ctx, verdict, now, waiting, &names))?;
        Ok(Exit::Success)
    }
}

/// The verdict, and on a plane that may be written also how it looks now.
async fn explain(
    session: &Session,
    plane: &ControlPlane,
    ctx: &RequestContext,
    uuid: InstanceUuid,
) -> anyhow::Result<Option<(Verdict, Option<Explanation>)>> {
    if session.settings()?.read_only {
        let verdict = named(plane.verdict(ctx, uuid).await)?;
        return Ok(verdict.map(|verdict| (verdict, None)));
    }
    match plane.explain(ctx, uuid).await {
        Ok(found) => Ok(found.map(|now| (now.verdict.clone(), Some(now)))),
        Err(Write::Failed(ExplainError::Read(error))) => named(Err(error)),
        Err(error) => Err(error.into()),
    }
}

/// Names the exit of a read that failed.
fn named<T>(read: Result<T, ReadError>) -> anyhow::Result<T> {
    match read {
        Err(error) => match show::exit_of(&error) {
            Some(exit) => Err(error).exits(exit),
            None => Err(error.into()),
        },
        Ok(read) => Ok(read),
    }
}

async fn not_buried(
    plane: &ControlPlane,
    ctx: &RequestContext,
    uuid: InstanceUuid,
    names: &Names,
) -> anyhow::Result<Exit> {
    let instance = named(plane.show(ctx, uuid).await)?;
    let home = match instance.home {
        cellzero::Home::BuildRequest => "it is being placed".to_owned(),
        cellzero::Home::Cell(cell) if cell.is_cell0() => {
            let fault = instance.fault.map(|fault| fault.message).unwrap_or_default();
            format!("it stands in cell0 without a verdict; its fault: {fault}")
        }
        cellzero::Home::Cell(cell) => format!("it lives in {}", names.of(cell)),
    };
    Err(ended(Exit::NotBuried, format!("instance {uuid} has no verdict: {home}")))
}

/// A burial, for a person and for a program.
#[derive(Debug, Serialize)]
struct Burial {
    uuid: InstanceUuid,
    /// The whole sentence.
    sentence: String,
    /// What would have fitted, in words.
    nearest: Vec<String>,
    verdict: Verdict,
    /// How it looks now; none on a plane that is open read-only.
    now: Option<Now>,
    /// How it waits to be retried by itself; none where it does not.
    waiting: Option<Waits>,
    #[serde(skip)]
    cells: Vec<(String, Vec<(String, u32)>)>,
}

/// How it looks now.
#[derive(Debug, Serialize)]
struct Now {
    fits: bool,
    /// Where, for an admin.
    host: Option<String>,
    cell_uuid: Option<CellUuid>,
    cell: Option<String>,
    /// Why not, for an admin.
    sentence: Option<String>,
    /// Hosts that came, went, or changed since, for an admin.
    since: Option<Changed>,
}

#[derive(Debug, Serialize)]
struct Changed {
    reached_at: Option<NaiveDateTime>,
    hosts_added: u32,
    hosts_gone: u32,
    hosts_changed: u32,
    /// Hosts of which something changed in favour of a request.
    helped: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Waits {
    state: String,
    attempts: i32,
    not_before: Option<NaiveDateTime>,
    expires_at: NaiveDateTime,
}

impl Burial {
    fn new(
        uuid: InstanceUuid,
        ctx: &RequestContext,
        verdict: Verdict,
        now: Option<Explanation>,
        waiting: Option<WaitingState>,
        names: &Names,
    ) -> Burial {
        let sentence = match ctx.is_admin {
            true => verdict.admin_sentence(),
            false => verdict.to_string(),
        };
        let no_host = verdict.no_host();
        let nearest = no_host.map(|no_host| {
            let words = |suggestion: &cellzero::Suggestion| match suggestion.hosts {
                0 => suggestion.to_string(),
                1 => format!("{suggestion}: 1 host"),
                hosts => format!("{suggestion}: {hosts} hosts"),
            };
            no_host.suggestions.iter().map(words).collect()
        });
        let cells = no_host.map(|no_host| {
            let of_cell = |cell: &cellzero::CellRefusals| {
                let counts = cell.refusals.primary.iter();
                let counts = counts.map(|c| (c.refusal.predicate(c.hosts).to_owned(), c.hosts));
                (names.of(cell.cell), counts.collect())
            };
            let mut cells: Vec<(String, Vec<(String, u32)>)> =
                no_host.cells.iter().map(of_cell).collect();
            cells.sort();
            cells
        });
        Burial {
            uuid,
            sentence,
            nearest: nearest.unwrap_or_default(),
            cells: cells.unwrap_or_default(),
            now: now.map(|now| Now::new(now, names)),
            waiting: waiting.map(|waiting| Waits {
                state: waiting.state,
                attempts: waiting.attempts,
                not_before: waiting.not_before,
                expires_at: waiting.expires_at,
            }),
            verdict,
        }
    }
}

impl Now {
    fn new(now: Explanation, names: &Names) -> Now {
        let place = now.place.as_ref();
        Now {
            fits: now.fits_now,
            host: place.map(|place| place.host.clone()),
            cell_uuid: place.map(|place| place.cell),
            cell: place.map(|place| names.of(place.cell)),
            sentence: now.verdict_now.as_ref().map(Verdict::admin_sentence),
            since: now.since.map(|since| Changed {
                reached_at: since.reached_at,
                hosts_added: since.added,
                hosts_gone: since.gone,
                hosts_changed: since.changed,
                helped: since.helped,
            }),
        }
    }

    fn words(&self, uuid: InstanceUuid) -> String {
        let mut text = match (self.fits, &self.host, &self.cell) {
            (true, Some(host), Some(cell)) => {
                format!("Now it would fit on {host} of {cell}: cellzero instance retry {uuid}\n")
            }
            (true, ..) => format!("Now it would fit: cellzero instance retry {uuid}\n"),
            (false, ..) => "Now it would not fit either.\n".to_owned(),
        };
        if let Some(since) = &self.since {
            text += &format!(
                "Since {}: {} hosts came, {} went, {} changed.\n",
                time(since.reached_at),
                since.hosts_added,
                since.hosts_gone,
                since.hosts_changed
            );
            if !since.helped.is_empty() {
                text += &format!("More room is on {}.\n", since.helped.join(", "));
            }
        }
        text
    }
}

impl View for Burial {
    fn text(&self, _: Style) -> String {
        let mut text = format!("{}\n", self.sentence);
        if !self.cells.is_empty() {
            let mut table = table(&["cell", "hosts", "why not"]);
            for (cell, counts) in &self.cells {
                for (predicate, hosts) in counts {
                    table.add_row([cell, &hosts.to_string(), predicate]);
                }
            }
            text += &format!("\n{}", lines(&table));
        }
        if !self.nearest.is_empty() {
            text += "\nIt would have fitted\n";
            text.extend(self.nearest.iter().map(|change| format!("  {change}\n")));
        }
        if let Some(now) = &self.now {
            text += &format!("\n{}", now.words(self.uuid));
        }
        if let Some(waits) = &self.waiting {
            let until = time(Some(waits.expires_at));
            text += &format!(
                "\nIt is retried by itself once it may fit, until {until}; {} attempts so far.\n",
                waits.attempts
            );
        }
        text
    }
}
