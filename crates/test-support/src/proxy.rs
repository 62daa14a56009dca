//! A way to a server that may be cut at a `COMMIT`.
//!
//! It knows one message of each protocol: the text `COMMIT`, which the project sends by itself and
//! whose answer it waits for, so that it ends what was read from the client.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use anyhow::Context as _;
use url::Url;

use crate::Server;

/// `COMMIT` as a simple query of PostgreSQL.
const POSTGRES_COMMIT: &[u8] = b"Q\0\0\0\x0bCOMMIT\0";
/// `COMMIT` as a command of MariaDB: length, number of the packet, kind, text.
const MARIADB_COMMIT: &[u8] = b"\x07\0\0\0\x03COMMIT";

/// What PostgreSQL answers to it. Answers to what the driver said before may come first: it does not
/// wait for those to the closing of a prepared statement.
const POSTGRES_COMMITTED: &[u8] = b"C\0\0\0\x0bCOMMIT\0";

/// Where a connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// The `COMMIT` does not reach the server.
    Before,
    /// The server has answered it, and the answer does not reach the client.
    After,
}

/// A port of 127.0.0.1 behind which the server is, as long as this value exists; then connections
/// through it end.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    plan: Arc<Mutex<Plan>>,
    clients: Arc<Mutex<Vec<Weak<TcpStream>>>>,
    ended: Arc<AtomicBool>,
}

/// What is to be cut, and how many commits have come since that was said.
#[derive(Debug, Default)]
struct Plan {
    cut: Option<(Cut, u64)>,
    met: u64,
    was_cut: bool,
}

impl Proxy {
    /// A proxy before this server.
    ///
    /// # Errors
    /// When no port can be had.
    pub fn start(server: &Server) -> anyhow::Result<Proxy> {
        let listener = TcpListener::bind("127.0.0.1:0").context("no port is free")?;
        let address = listener.local_addr().context("a listener has no address")?;
        let (plan, ended) = (Arc::<Mutex<Plan>>::default(), Arc::new(AtomicBool::new(false)));
        let clients = Arc::<Mutex<Vec<Weak<TcpStream>>>>::default();
        let (shared, end, known) = (Arc::clone(&plan), Arc::clone(&ended), Arc::clone(&clients));
        let upstream = (server.host().to_owned(), server.port());
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if end.load(Ordering::SeqCst) {
                    break;
                }
                // A client whose server does not answer sees its connection end.
                if let Ok(server) = TcpStream::connect((upstream.0.as_str(), upstream.1)) {
                    let client = Arc::new(client);
                    lock(&known).push(Arc::downgrade(&client));
                    let _ = connect(client, Arc::new(server), &shared);
                }
            }
        });
        Ok(Proxy { address, plan, clients, ended })
    }

    /// The same database by way of this proxy.
    ///
    /// # Errors
    /// When the URL is none, or names no server.
    pub fn url(&self, url: &str) -> anyhow::Result<String> {
        let mut url = Url::parse(url).context("not a URL")?;
        url.set_host(Some("127.0.0.1")).context("the URL names no server")?;
        url.set_port(Some(self.address.port())).ok().context("the URL names no server")?;
        Ok(url.into())
    }

    /// Cuts the connection of the commit with this number, from 0, among those that come from now
    /// on.
    pub fn cut(&self, cut: Cut, number: u64) {
        *lock(&self.plan) = Plan { cut: Some((cut, number)), ..Plan::default() };
    }

    /// Cuts nothing any more; says how many commits came, and whether one was cut.
    pub fn stop_cutting(&self) -> (u64, bool) {
        let mut plan = lock(&self.plan);
        plan.cut = None;
        (plan.met, plan.was_cut)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        // Wakes the thread, which waits for a connection; without it, it ends with the process.
        let _ = TcpStream::connect(self.address);
        for client in lock(&self.clients).iter().filter_map(Weak::upgrade) {
            // It may have ended by itself.
            let _ = client.shutdown(Shutdown::Both);
        }
    }
}

fn lock<T>(shared: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What becomes of something that was said.
enum Pass {
    On,
    /// It is dropped, and the next is looked at.
    Not,
    End,
}

/// Passes on what both sides say, each on a thread of its own, until one of them ends.
fn connect(
    client: Arc<TcpStream>,
    server: Arc<TcpStream>,
    plan: &Arc<Mutex<Plan>>,
) -> std::io::Result<()> {
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let swallow = Arc::new(Mutex::new(None));
    let (from_client, to_server) = (Arc::clone(&client), Arc::clone(&server));
    let (plan, swallows) = (Arc::clone(plan), Arc::clone(&swallow));
    std::thread::spawn(move || {
        pass_on(from_client, to_server, |said| {
            match is_commit(said).then(|| met_commit(&plan)).flatten() {
                Some(Cut::Before) => Pass::End,
                Some(Cut::After) => {
                    *swallows.lock().unwrap_or_else(PoisonError::into_inner) =
                        Some(Swallowed::new(said));
                    Pass::On
                }
                None => Pass::On,
            }
        });
    });
    std::thread::spawn(move || {
        pass_on(server, client, |said| {
            match swallow.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
                None => Pass::On,
                Some(swallowed) => swallowed.after(said),
            }
        });
    });
    Ok(())
}

/// What the server has said since a commit whose answer does not pass.
struct Swallowed {
    postgres: bool,
    said: Vec<u8>,
}

impl Swallowed {
    fn new(commit: &[u8]) -> Swallowed {
        Swallowed { postgres: commit.ends_with(POSTGRES_COMMIT), said: Vec::new() }
    }

    /// Nothing passes any more, and all ends with the answer to the commit. The driver of MariaDB
    /// waits for each answer, so there the next is the commit's.
    fn after(&mut self, said: &[u8]) -> Pass {
        self.said.extend_from_slice(said);
        let mut windows = self.said.windows(POSTGRES_COMMITTED.len());
        match !self.postgres || windows.any(|window| window == POSTGRES_COMMITTED) {
            true => Pass::End,
            false => Pass::Not,
        }
    }
}

/// Passes on what is allowed; where that ends, and at the end, both connections end.
fn pass_on(from: Arc<TcpStream>, to: Arc<TcpStream>, allow: impl Fn(&[u8]) -> Pass) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let said = match (&*from).read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(length) => &buffer[..length],
        };
        match allow(said) {
            Pass::On if (&*to).write_all(said).is_err() => break,
            Pass::On | Pass::Not => {}
            Pass::End => break,
        }
    }
    // Either may have ended by itself.
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}

fn is_commit(said: &[u8]) -> bool {
    said.ends_with(POSTGRES_COMMIT) || said.ends_with(MARIADB_COMMIT)
}

/// Counts a commit; whether and how it is cut.
fn met_commit(plan: &Mutex<Plan>) -> Option<Cut> {
    let mut plan = lock(plan);
    let number = plan.met;
    plan.met += 1;
    let (cut, wanted) = plan.cut?;
    plan.was_cut |= wanted == number;
    (wanted == number).then_some(cut)
}
