//! The sizes of a chaos run: hosts, flavors, projects, and how many instances live at once.

use cellzero::Flavor;

/// The projects of the clients.
pub(crate) const PROJECTS: [&str; 4] = ["red", "green", "blue", "grey"];
/// The flavor that fits while there is room.
pub(crate) const SMALL: &str = "small";
/// The flavor that fits nowhere.
pub(crate) const HUGE: &str = "huge";
/// The hosts of each live cell.
pub(crate) const HOSTS_OF_A_CELL: usize = 4;

/// How many clients there are, how large the plane is, and how many instances are left alive.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Population {
    pub(crate) clients: usize,
    /// The small instances that one host has room for.
    pub(crate) room: i32,
    /// The instances that live at once, about.
    pub(crate) alive: usize,
    /// The most instances of one multi-create.
    pub(crate) batch_max: u32,
}

impl Population {
    /// Room for a little less than what is asked for, so that some find none and are buried.
    pub(crate) const CHAOS: Population =
        Population { clients: 12, room: 36, alive: 360, batch_max: 8 };
    /// Room for everything that fits, and nothing is deleted.
    pub(crate) const CALM: Population =
        Population { clients: 8, room: 1_000_000, alive: usize::MAX, batch_max: 4 };
}

/// The flavors: each small instance takes one vcpu, which is what a host's room is counted in.
pub(crate) fn flavors() -> [Flavor; 2] {
    [Flavor::new(SMALL, SMALL, 1, 64, 1), Flavor::new(HUGE, HUGE, 2_000_000, 64, 1)]
}
