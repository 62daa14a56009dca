//! `recover`.

use cellzero::Settled;
use serde::Serialize;

use crate::command::{Run, help};
use crate::exit::Exit;
use crate::output::{Style, View};
use crate::progress::Progress;
use crate::session::Session;

/// The most passes of `--all`.
const PASSES_MAX: usize = 10_000;

/// Finishes or undoes what a crash, a stall or a down cell left, in one bounded pass.
///
/// Safe at any time, beside workers, and any number of times. Workers do the same every second.
#[derive(Debug, clap::Args)]
#[command(after_help = help::<Recover>())]
pub(crate) struct Recover {
    /// Pass after pass, until one finds nothing to do
    #[arg(long)]
    all: bool,
}

impl Run for Recover {
    const EXAMPLES: &'static [(&'static str, &'static str)] =
        &[("cellzero recover --all", "brings home whatever waits, where no worker runs")];
    const EXITS: &'static [Exit] = &[Exit::Waiting];

    async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        let plane = session.plane().await?;
        let progress = Progress::spinner("recovering");
        let mut done = Done::default();
        loop {
            let pass = plane.recover().await?;
            done.add(&pass);
            let found = pass.in_cells
                + pass.in_cell0
                + pass.woken
                + pass.unwanted
                + pass.dispatched
                + pass.swept;
            progress.say(format!("{} passes", done.passes));
            if !self.all || found == 0 || done.passes == PASSES_MAX {
                break;
            }
        }
        drop(progress);
        session.out.show(&done)?;
        Ok(if done.waiting > 0 { Exit::Waiting } else { Exit::Success })
    }
}

/// What the passes did.
#[derive(Debug, Default, Serialize)]
struct Done {
    passes: usize,
    /// Instances that were decided into live cells.
    in_cells: usize,
    /// Instances that were buried in cell0.
    in_cell0: usize,
    /// Instances that waited at the last pass: cell0 or the API database could not be written.
    waiting: usize,
    /// Instances that were taken out of cell0, since they may fit now.
    woken: usize,
    /// Instances that were deleted after their time in cell0.
    unwanted: usize,
    /// Effects that were handed over.
    dispatched: usize,
    /// Instances of which left-over rows were swept, or a delete was finished.
    swept: usize,
}

impl Done {
    fn add(&mut self, pass: &Settled) {
        self.passes += 1;
        self.in_cells += pass.in_cells;
        self.in_cell0 += pass.in_cell0;
        self.waiting = pass.waiting;
        self.woken += pass.woken;
        self.unwanted += pass.unwanted;
        self.dispatched += pass.dispatched;
        self.swept += pass.swept;
    }
}

impl View for Done {
    fn text(&self, _: Style) -> String {
        format!(
            "{} into cells, {} into cell0, {} waiting, {} woken, {} deleted after their time, \
             {} effects sent, {} swept\n",
            self.in_cells,
            self.in_cell0,
            self.waiting,
            self.woken,
            self.unwanted,
            self.dispatched,
            self.swept
        )
    }
}
