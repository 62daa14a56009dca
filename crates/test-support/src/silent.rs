//! A listener that accepts every connection and never says a word.

use std::io::{ErrorKind, Read as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;

use crate::Engine;

/// A port of 127.0.0.1 that looks like a server that hangs, as long as this value exists.
#[derive(Debug)]
pub struct SilentListener {
    address: SocketAddr,
    accepted: Arc<Mutex<Accepted>>,
    ended: Arc<AtomicBool>,
}

/// The connections that are held, and how many there were.
#[derive(Debug, Default)]
struct Accepted {
    ever: usize,
    held: Vec<TcpStream>,
}

impl Accepted {
    /// Keeps a connection. What clients have closed is let go from time to time, so that a long test
    /// does not run out of files.
    fn keep(&mut self, stream: TcpStream) {
        const LET_GO_AT: usize = 256;
        self.ever += 1;
        self.held.push(stream);
        if self.held.len().is_multiple_of(LET_GO_AT) {
            self.held.retain_mut(is_open);
        }
    }
}

/// Starts a listener that accepts and never answers, for tests of deadlines.
///
/// # Panics
/// When no port can be had.
pub fn silent_listener() -> SilentListener {
    match SilentListener::start() {
        Ok(listener) => listener,
        Err(error) => panic!("no silent listener for a test: {error:#}"),
    }
}

impl SilentListener {
    fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("no port is free")?;
        let address = listener.local_addr().context("a listener has no address")?;
        let accepted = Arc::new(Mutex::new(Accepted::default()));
        let ended = Arc::new(AtomicBool::new(false));
        let (keep, end) = (Arc::clone(&accepted), Arc::clone(&ended));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if end.load(Ordering::SeqCst) {
                    break;
                }
                keep.lock().unwrap_or_else(PoisonError::into_inner).keep(stream);
            }
        });
        Ok(Self { address, accepted, ended })
    }

    /// The port to connect to.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The URL of a database on this server that never answers.
    pub fn url(&self, engine: Engine) -> String {
        format!("{}://nobody:secret@127.0.0.1:{}/silent", engine.scheme(), self.port())
    }

    /// How many connections were ever accepted.
    pub fn accepted(&self) -> usize {
        self.accepted.lock().unwrap_or_else(PoisonError::into_inner).ever
    }

    /// How many of the accepted connections the client has not closed yet.
    pub fn open(&self) -> usize {
        let mut accepted = self.accepted.lock().unwrap_or_else(PoisonError::into_inner);
        accepted.held.iter_mut().map(is_open).filter(|open| *open).count()
    }
}

impl Drop for SilentListener {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        // Wakes the thread, which waits for a connection; without it, it ends with the process.
        let _ = TcpStream::connect(self.address);
    }
}

fn is_open(stream: &mut TcpStream) -> bool {
    let mut buffer = [0; 4096];
    if stream.set_nonblocking(true).is_err() {
        return false;
    }
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return false,
            // What the client said is read away, to see whether it closed after that.
            Ok(_) => continue,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) => return false,
        }
    }
}
