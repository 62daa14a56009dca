//! A plane whose second cell can fall silent, in either way in which a server does.

use std::sync::Arc;

use cellzero::*;
use cellzero_test_support::{
    Engine, PrivateServer, ServerOptions, SilentListener, TestDatabase, create_database, private,
    silent_listener,
};

use crate::support::{TestPlane, admin_of, request, user};

/// How a cell falls silent.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Silence {
    /// Its server is stopped: its port takes connections, and nobody answers, also on those that
    /// were open.
    StoppedServer,
    /// Its mapping leads to a listener that never answers.
    Listener,
}

/// Who is silent where the cell is.
enum Place {
    Server(Arc<PrivateServer>),
    Listener(SilentListener),
}

/// A plane with its API database, cell0 and first cell in SQLite, and its second on a server.
pub(crate) struct Halved {
    pub(crate) test: TestPlane,
    pub(crate) hung: CellUuid,
    place: Place,
    pub(crate) database: TestDatabase,
}

impl Halved {
    /// Each of the two cells has one host, with room for so many instances of the first flavor:
    /// `cell1-host1` and `hung-host`. None where the backend is left out.
    pub(crate) async fn new(
        engine: Engine,
        silence: Silence,
        room: i32,
        configure: impl FnOnce(Config) -> Config,
    ) -> Option<Halved> {
        let (place, database) = match silence {
            Silence::StoppedServer => {
                let server = private(engine, ServerOptions::default())?;
                let database = server.create_database("hung").unwrap();
                (Place::Server(Arc::new(server)), database)
            }
            Silence::Listener => {
                (Place::Listener(silent_listener()), create_database(engine, "hung")?)
            }
        };
        let (memory_mb, disk_gb) = (room * 512, room * 10);
        let mut test = TestPlane::with(Engine::Sqlite, configure).await?;
        test.fill(&[&[(room, memory_mb, disk_gb)]]).await;
        let hung = test.plane.cells().create(NewCell::new("hung", database.url())).await.unwrap();
        let node = ComputeNode::new("hung-host", room, memory_mb, disk_gb);
        test.plane.hosts().report(hung, &node.with_ratios(1.0, 1.0, 1.0)).await.unwrap();
        Some(Halved { test, hung, place, database })
    }

    /// Boots so many into the second cell.
    pub(crate) async fn boot_into_hung(&self, name: &str, count: u32) -> Accepted {
        self.boot_onto("hung-host", name, count).await
    }

    /// Boots so many onto a host.
    pub(crate) async fn boot_onto(&self, host: &str, name: &str, count: u32) -> Accepted {
        let asked = request(name, "1").count(count).force_host(host).build().unwrap();
        self.test.boot(&admin_of(&user()), asked).await
    }

    /// From now on the second cell does not answer.
    pub(crate) fn fall_silent(&self) {
        match &self.place {
            Place::Server(server) => server.pause().unwrap(),
            Place::Listener(listener) => {
                self.test.point(self.hung, &listener.url(self.database.engine()));
            }
        }
    }

    /// From now on it answers again.
    pub(crate) fn answer(&self) {
        match &self.place {
            Place::Server(server) => server.resume().unwrap(),
            Place::Listener(_) => {
                self.test.point(self.hung, self.database.url());
            }
        }
    }

    /// The server of the second cell, which can be stopped.
    pub(crate) fn server(&self) -> Arc<PrivateServer> {
        match &self.place {
            Place::Server(server) => Arc::clone(server),
            Place::Listener(_) => panic!("it has no server of its own"),
        }
    }

    /// How many connections the listener has ever taken.
    pub(crate) fn connections(&self) -> usize {
        match &self.place {
            Place::Server(_) => panic!("it has no listener"),
            Place::Listener(listener) => listener.accepted(),
        }
    }
}
