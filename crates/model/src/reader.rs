//! Readers in several steps: show and list of instance 0.
//!
//! Each answer is judged when it is given: never twice, never absent while the instance stands, and
//! nothing that was deleted before the read began. `Unavailable` is always allowed.

use crate::protocol::Protocol;
use crate::state::{Cell, Flaw, List, ListStep, Reader, Row, Show, ShowStep, State};

/// How often a show looks before it answers `Unavailable`.
const LOOKS_MAX: u8 = 3;

impl Protocol {
    pub(crate) fn begin_show(state: &mut State) {
        let dead = state.instances[0].queued;
        state.reader = Reader::Show(Show { looks: 1, dead, at: ShowStep::Mapping });
    }

    pub(crate) fn begin_list(state: &mut State) {
        let (dead, retries) = (state.instances[0].queued, state.instances[0].retries);
        let list = List { dead, retries, request: false, rows: 0, count: 0, home: None };
        state.reader = Reader::List(list, ListStep::Requests);
    }

    pub(crate) fn list_cell(state: &mut State, cell: Cell) {
        let Reader::List(mut list, ListStep::Cells(left)) = state.reader else { return };
        if state.instances[0].cells[usize::from(cell)].row == Row::Live {
            list.rows |= 1 << cell;
        }
        let left = left & !(1 << cell);
        let next = if left == 0 { ListStep::Mapping } else { ListStep::Cells(left) };
        state.reader = Reader::List(list, next);
    }

    pub(crate) fn read(&self, state: &mut State) {
        match state.reader {
            Reader::Idle => {}
            Reader::Show(show) => self.show_step(state, show, Reader::Show),
            Reader::Resolve(show) => self.show_step(state, show, Reader::Resolve),
            Reader::List(list, step) => self.list_step(state, list, step),
        }
    }

    /// How often the reader finds the instance if its next step is its last; none where that says
    /// nothing.
    pub(crate) fn answer_of(&self, state: &State) -> Option<u8> {
        match state.reader {
            Reader::Show(show) | Reader::Resolve(show) => {
                let instance = &state.instances[0];
                match show.at {
                    ShowStep::Mapping => Some(0),
                    ShowStep::Request => instance.request.then_some(1),
                    ShowStep::Row(cell) => {
                        (instance.cells[usize::from(cell)].row == Row::Live).then_some(1)
                    }
                }
            }
            Reader::List(list, _) => Some(list.count),
            Reader::Idle => None,
        }
    }

    fn show_step(&self, state: &mut State, mut show: Show, then: fn(Show) -> Reader) {
        let instance = &state.instances[0];
        let found = match show.at {
            ShowStep::Mapping if instance.queued => return answer(state, 0, show.dead),
            ShowStep::Mapping => {
                show.at = instance.mapping.map_or(ShowStep::Request, ShowStep::Row);
                state.reader = then(show);
                return;
            }
            ShowStep::Request => instance.request,
            ShowStep::Row(cell) => instance.cells[usize::from(cell)].row == Row::Live,
        };
        if found {
            answer(state, 1, show.dead);
        } else if !self.guards.look_again {
            answer(state, 0, show.dead);
        } else if show.looks == LOOKS_MAX {
            state.reader = Reader::Idle; // Unavailable.
        } else {
            state.reader = then(Show { looks: show.looks + 1, at: ShowStep::Mapping, ..show });
        }
    }

    fn list_step(&self, state: &mut State, mut list: List, step: ListStep) {
        let instance = &state.instances[0];
        let next = match step {
            ListStep::Requests => {
                list.request = instance.request;
                ListStep::Cells((1 << self.bounds.cells()) - 1)
            }
            // Asked by `list_cell`, in any order.
            ListStep::Cells(_) => return,
            ListStep::Mapping => {
                list.count = self.confirmed(state, list);
                list.home = instance.mapping.filter(|cell| list.rows & (1 << cell) != 0);
                ListStep::Counter
            }
            ListStep::Counter => {
                let moved = instance.retries != list.retries && self.guards.retry_counter;
                match list.home {
                    _ if moved => return resolve(state, list),
                    Some(home) if list.count > 0 => ListStep::Whole(home),
                    _ => return answer(state, list.count, list.dead),
                }
            }
            ListStep::Whole(home) => {
                // A row that is gone from its cell by now has moved.
                if instance.cells[usize::from(home)].row == Row::Absent {
                    return resolve(state, list);
                }
                return answer(state, list.count, list.dead);
            }
        };
        state.reader = Reader::List(list, next);
    }

    /// How often the list shows the instance: the row of the cell that the mapping names, else its
    /// build request.
    fn confirmed(&self, state: &State, list: List) -> u8 {
        let instance = &state.instances[0];
        if !self.guards.mapping_check {
            return u8::from(list.request) + list.rows.count_ones() as u8;
        }
        let in_home = instance.mapping.is_some_and(|cell| list.rows & (1 << cell) != 0);
        u8::from(!instance.queued && (in_home || list.request))
    }
}

/// What moved while the list was read is looked at by itself.
fn resolve(state: &mut State, list: List) {
    let show = Show { looks: 1, dead: list.dead, at: ShowStep::Mapping };
    state.reader = Reader::Resolve(show);
}

fn answer(state: &mut State, count: u8, dead: bool) {
    state.reader = Reader::Idle;
    state.flaw = match count {
        0 if !state.instances[0].queued => Some(Flaw::ReadAbsent),
        0 => state.flaw,
        _ if dead => Some(Flaw::ReadDead),
        1 => state.flaw,
        _ => Some(Flaw::ReadTwice),
    };
}
