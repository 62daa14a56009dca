//! A server to try things on by hand: `throwaway-server postgres` or `throwaway-server mariadb`.
//!
//! It prints where the server is, and the server goes away with this program, however that ends.

use anyhow::{Context as _, bail};
use cellzero_test_support::{Engine, PrivateServer, ServerOptions};

fn main() -> anyhow::Result<()> {
    let name = std::env::args().nth(1).context("usage: throwaway-server postgres|mariadb")?;
    let Some(engine) = Engine::ALL.into_iter().find(|engine| engine.name() == name) else {
        bail!("no engine is named {name:?}; there are postgres and mariadb");
    };
    let server = PrivateServer::launch(engine, ServerOptions::default())?;
    println!("url {}", server.admin_url());
    println!("home {}", server.home().display());
    println!("pid {}", server.pid().context("the server has just started")?);
    loop {
        std::thread::park();
    }
}
