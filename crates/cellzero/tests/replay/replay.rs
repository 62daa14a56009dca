//! A trace, step by step: the real counterpart of each action of the model.

use cellzero::*;
use cellzero_database::CommitFate;
use cellzero_model::trace::{Held, ReadAt, Step};
use cellzero_model::{Action, Commit};
use cellzero_orchestrator::Orchestrator;

use crate::actor::{Actor, DELETE_DECIDES, DELIVER, PROPOSE};
use crate::world::World;

/// How often an operation is begun again, where a lease of another connection's clock is not over.
const BEGUN_MAX: u32 = 50;

/// One trace on its way.
pub(crate) struct Replay<'w> {
    world: &'w World,
    ctx: RequestContext,
    /// What each orchestrator of the model is here, and what it is doing.
    orchestrators: [(Orchestrator, Option<Actor<()>>); 2],
    dispatchers: [Option<Actor<()>>; 2],
    deleter: Option<Actor<()>>,
    reader: Option<Actor<Option<u8>>>,
    accepted: Option<Accepted>,
    retries_before: i64,
    urls: [String; 2],
    /// How many intents each cell has of the sweep of each orchestrator.
    to_sweep: [[usize; 2]; 2],
}

fn fate(commit: Commit) -> CommitFate {
    match commit {
        Commit::Done => CommitFate::Real,
        Commit::Unacknowledged => CommitFate::Unacknowledged,
        Commit::Lost => CommitFate::Lost,
    }
}

impl<'w> Replay<'w> {
    /// Replays a trace and compares after each step; then lets the plane come to rest, and checks it.
    pub(crate) async fn run(world: &'w World, name: &str, steps: Vec<Step>) {
        let mut replay = Replay {
            world,
            ctx: RequestContext::new(name, "user"),
            orchestrators: [(world.process(), None), (world.process(), None)],
            dispatchers: [None, None],
            deleter: None,
            reader: None,
            accepted: None,
            retries_before: world.retries().await,
            urls: [world.url(0).await, world.url(1).await],
            to_sweep: [[0; 2]; 2],
        };
        let mut done: Vec<String> = Vec::new();
        let mut before = Held::default();
        for step in &steps {
            done.push(format!("{:?}", step.action));
            println!("{name}: {}", done[done.len() - 1]);
            replay.take(step, &before).await;
            replay.end_what_ended(step).await;
            if let Some(uuid) = replay.uuid() {
                let held = world.held(uuid, replay.retries_before).await;
                assert_eq!(held, step.held[0], "{name} after {done:#?}");
            }
            before = step.held[0].clone();
        }
        replay.end().await;
    }

    fn uuid(&self) -> Option<InstanceUuid> {
        self.accepted.as_ref().map(|accepted| accepted[0])
    }

    /// Everything crashes, the rest is brought to its end, and nothing may be wrong then.
    async fn end(mut self) {
        for (_, actor) in &mut self.orchestrators {
            crash(actor).await;
        }
        for actor in &mut self.dispatchers {
            crash(actor).await;
        }
        crash(&mut self.deleter).await;
        crash(&mut self.reader).await;
        self.world.rest().await;
        self.world.check().await;
        if let Some(uuid) = self.uuid() {
            // Room for the next trace.
            match self.world.plane.delete(&self.ctx, uuid).await {
                Ok(()) => {}
                Err(error) => {
                    let gone = matches!(error.failed(), Some(DeleteError::InstanceNotFound { .. }));
                    assert!(gone, "{error}");
                }
            }
            self.world.rest().await;
        }
    }

    /// Where the model holds nothing any more, the real task has nothing of interest left to do: what
    /// follows in it is another step, which the model takes anew.
    async fn end_what_ended(&mut self, step: &Step) {
        for (busy, (_, actor)) in step.busy.iter().zip(&mut self.orchestrators) {
            if !busy {
                crash(actor).await;
            }
        }
        for (carrying, actor) in step.carrying.iter().zip(&mut self.dispatchers) {
            if !carrying {
                crash(actor).await;
            }
        }
    }

    async fn take(&mut self, step: &Step, before: &Held) {
        match step.action {
            Action::Accept { orchestrator } => self.accept(orchestrator).await,
            Action::Lease { orchestrator, .. } => self.lease(orchestrator).await,
            Action::Place { orchestrator, targets } => {
                *self.world.told.buries.lock().unwrap() = targets[0] == Some(0);
                self.go(orchestrator, PROPOSE, CommitFate::Real).await;
                self.go(orchestrator, "place", CommitFate::Real).await;
            }
            Action::Write { orchestrator, commit, .. } => {
                self.go(orchestrator, "create_instances", fate(commit)).await;
            }
            Action::Decide { orchestrator, commit, .. } => {
                self.go(orchestrator, "decide", fate(commit)).await;
            }
            Action::ReadDecided { orchestrator, .. } => {
                self.go(orchestrator, "read_decided", CommitFate::Real).await;
            }
            Action::ReadIntents { orchestrator, .. } => {
                self.read_intents(orchestrator, before).await;
            }
            Action::SweepCell { orchestrator, cell, commit, .. } => {
                self.sweep_cell(orchestrator, cell, fate(commit)).await;
            }
            Action::ForgetIntents { orchestrator, .. } => {
                self.go(orchestrator, "forget_intents", CommitFate::Real).await;
            }
            Action::Crash { orchestrator } => {
                crash(&mut self.orchestrators[orchestrator].1).await;
                self.orchestrators[orchestrator].0 = self.world.process();
            }
            _ => self.take_other(step).await,
        }
    }

    async fn take_other(&mut self, step: &Step) {
        match step.action {
            Action::ReadBuild { dispatcher, cell, .. }
            | Action::ReadDestroy { dispatcher, cell, .. } => {
                self.read_outbox(dispatcher, cell).await;
            }
            Action::ConfirmBuild { dispatcher } => self.carry(dispatcher, "confirm_builds").await,
            Action::TakeEffect { dispatcher } => self.carry(dispatcher, "take_operations").await,
            Action::DeliverBuild { dispatcher } | Action::DeliverDestroy { dispatcher } => {
                self.carry(dispatcher, DELIVER).await;
            }
            Action::FreeClaim { dispatcher } => self.carry(dispatcher, "free_claim").await,
            Action::ForgetEffect { dispatcher } => self.forget_effect(dispatcher).await,
            Action::CrashDispatcher { dispatcher } => {
                crash(&mut self.dispatchers[dispatcher]).await
            }
            Action::ReadForDelete { .. } => self.read_for_delete().await,
            Action::Delete => {
                let actor = self.deleter.take().expect("a delete that was begun");
                actor.go(DELETE_DECIDES, None, CommitFate::Real).await;
                // What it does in cells is a sweep, which the model takes as an orchestrator's.
                actor.crash().await;
            }
            Action::CrashDelete => crash(&mut self.deleter).await,
            Action::Retry { .. } => {
                let uuid = self.uuid().expect("accepted");
                self.world.process().retry(&self.ctx, uuid).await.expect("it is buried");
            }
            Action::Show => self.begin_show().await,
            Action::List => self.begin_list().await,
            Action::ListCell { cell } => {
                let url = self.urls[usize::from(cell)].clone();
                let reader = self.reader.as_ref().expect("a list");
                reader.go("list_instances", Some(&url), CommitFate::Real).await;
            }
            Action::Read => self.read(step).await,
            other => panic!("{other:?} has no counterpart"),
        }
    }

    async fn go(&self, orchestrator: usize, name: &str, fate: CommitFate) {
        let actor = self.orchestrators[orchestrator].1.as_ref();
        actor.expect("it works").go(name, None, fate).await;
    }

    async fn accept(&mut self, o: usize) {
        let process = self.orchestrators[o].0.clone();
        let accepted = process.accept(&self.ctx, World::request()).await.unwrap();
        let group = accepted.group;
        self.accepted = Some(accepted);
        // It holds the group in memory, under the first lease.
        self.orchestrators[o].1 =
            Some(Actor::start(async move { drop(process.settle_group(group).await) }).await);
    }

    async fn lease(&mut self, o: usize) {
        let group = self.accepted.as_ref().expect("accepted").group;
        for _ in 0..BEGUN_MAX {
            let process = self.world.process();
            let actor = Actor::start(async move { drop(process.settle_group(group).await) }).await;
            actor.go("lease", None, CommitFate::Real).await;
            if !actor.has_ended() {
                self.orchestrators[o].1 = Some(actor);
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
        panic!("nothing is leased");
    }

    async fn read_intents(&mut self, o: usize, before: &Held) {
        let process = self.world.process();
        let actor = Actor::start(async move { drop(process.sweep().await) }).await;
        actor.go("find_intents_to_sweep", None, CommitFate::Real).await;
        self.orchestrators[o].1 = Some(actor);
        self.to_sweep[o] = [0; 2];
        for (epoch, cell) in &before.intents {
            if *epoch < before.epoch || !before.request {
                self.to_sweep[o][usize::from(*cell)] += 1;
            }
        }
    }

    async fn sweep_cell(&mut self, o: usize, cell: u8, fate: CommitFate) {
        let actor = self.orchestrators[o].1.as_ref().expect("it sweeps");
        let url = &self.urls[usize::from(cell)];
        if actor.stops_at("sweep", Some(url)) {
            actor.go("sweep", Some(url), fate).await;
            return;
        }
        // A delete is ended once for each intent; the first does it.
        actor.go("delete_instance", Some(url), fate).await;
        if fate == CommitFate::Real {
            for _ in 1..self.to_sweep[o][usize::from(cell)] {
                actor.go("delete_instance", Some(url), CommitFate::Real).await;
            }
        }
    }

    async fn read_outbox(&mut self, d: usize, cell: u8) {
        let cell = self.world.cells[usize::from(cell)];
        for _ in 0..BEGUN_MAX {
            let process = self.world.process();
            let actor = Actor::start(async move { drop(process.dispatch_cell(cell).await) }).await;
            actor.go("read_outbox", None, CommitFate::Real).await;
            if !actor.has_ended() {
                self.dispatchers[d] = Some(actor);
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
        panic!("nothing is read from the outbox");
    }

    async fn carry(&self, dispatcher: usize, name: &str) {
        let actor = self.dispatchers[dispatcher].as_ref().expect("it carries");
        actor.go(name, None, CommitFate::Real).await;
    }

    async fn forget_effect(&self, dispatcher: usize) {
        let actor = self.dispatchers[dispatcher].as_ref().expect("it carries");
        let left_out = actor.stops_at("leave_out_operations", None);
        let name = if left_out { "leave_out_operations" } else { "settle_operations" };
        actor.go(name, None, CommitFate::Real).await;
    }

    async fn read_for_delete(&mut self) {
        // An admin's: it does not ask first whether the instance is locked, which the model leaves out.
        let ctx = RequestContext { is_admin: true, ..self.ctx.clone() };
        let process = self.world.process();
        let uuid = self.uuid().expect("accepted");
        let actor = Actor::start(async move { drop(process.delete(&ctx, uuid).await) }).await;
        actor.go("delete", None, CommitFate::Real).await;
        self.deleter = Some(actor);
    }

    async fn begin_show(&mut self) {
        let (router, ctx) = (self.world.router.clone(), self.ctx.clone());
        let uuid = self.uuid().expect("accepted");
        let show = async move {
            match router.show(&ctx, uuid).await {
                Ok(_) => Some(1),
                Err(ReadError::InstanceNotFound { .. }) => Some(0),
                Err(_) => None,
            }
        };
        self.reader = Some(Actor::start(show).await);
    }

    async fn begin_list(&mut self) {
        let (router, ctx) = (self.world.router.clone(), self.ctx.clone());
        let uuid = self.uuid().expect("accepted");
        // The model is of the list that asks all cells.
        let by_name = [(SortKey::DisplayName, SortDirection::Ascending)];
        let query = ListQuery::default().all_projects().sort_by(by_name);
        let ctx = RequestContext { is_admin: true, ..ctx };
        let list = async move {
            let page = router.list(&ctx, &query).await.ok()?;
            let found = page.instances.iter().filter(|instance| instance.uuid == uuid).count();
            u8::try_from(found).ok()
        };
        self.reader = Some(Actor::start(list).await);
    }

    async fn read(&mut self, step: &Step) {
        let reader = self.reader.as_ref().expect("a read");
        let at = step.read.expect("what it reads");
        let whole = "read_listed";
        // What moved is read whole all the same, before it is shown by itself.
        if matches!(at, ReadAt::Mapping) && reader.stops_at(whole, None) {
            reader.go(whole, None, CommitFate::Real).await;
        }
        let (name, cell) = match at {
            ReadAt::Mapping => ("show_instance", None),
            ReadAt::Row(cell) => ("show_instance", Some(cell)),
            ReadAt::Requests => ("list_build_requests", None),
            ReadAt::Mappings => ("confirm_mappings", None),
            ReadAt::Whole(cell) => (whole, Some(cell)),
            // Read in one go with what was read before.
            ReadAt::Request | ReadAt::Counter => ("", None),
        };
        if !name.is_empty() {
            let url = cell.map(|cell| self.urls[usize::from(cell)].as_str());
            reader.go(name, url, CommitFate::Real).await;
        }
        if let Some(answer) = step.answer {
            let reader = self.reader.take().expect("a read");
            if !reader.has_ended() && reader.stops_at(whole, None) {
                reader.go(whole, None, CommitFate::Real).await;
            }
            assert_eq!(reader.result().await, Some(answer), "the answer of {step:?}");
        }
    }
}

async fn crash<T: Send + 'static>(actor: &mut Option<Actor<T>>) {
    if let Some(actor) = actor.take() {
        actor.crash().await;
    }
}
