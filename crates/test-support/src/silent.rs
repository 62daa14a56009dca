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
    accepted: Arc<Mutex<Vec<TcpStream>>>,
    ended: Arc<AtomicBool>,
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
        let accepted = Arc::new(Mutex::new(Vec::new()));
        let ended = Arc::new(AtomicBool::new(false));
        let (keep, end) = (Arc::clone(&accepted), Arc::clone(&ended));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if end.load(Ordering::SeqCst) {
                    break;
                }
                keep.lock().unwrap_or_else(PoisonError::into_inner).push(stream);
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
        self.accepted.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// How many of the accepted connections the client has not closed yet.
    pub fn open(&self) -> usize {
        let mut streams = self.accepted.lock().unwrap_or_else(PoisonError::into_inner);
        streams.iter_mut().map(is_open).filter(|open| *open).count()
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
