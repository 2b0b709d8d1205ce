//! A proxy before a registry that logs every request and misbehaves on request.
//!
//! HTTP/1.1 over plain TCP on the loopback, a thread for each connection, nothing held in memory but the bodies
//! that a fault replaces. `Host` is passed on, so that the registry's `Location` headers lead back here.

pub(crate) mod auth;
pub(crate) mod elsewhere;
mod exchange;
mod fault;
pub(crate) mod manners;
mod reply;

pub use auth::{FrontAuth, TokenManners};
pub use fault::{Fault, Misbehaviour};

use auth::Gate;
use manners::{Manners, Plain};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

/// A request that reached a front, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedRequest {
    /// `GET`, `HEAD`, ...
    pub method: String,
    /// Path and query.
    pub path: String,
    /// The status that was answered; `None` while there is no answer, and for good where a fault gives none.
    pub status: Option<u16>,
    /// How many bytes of request body were received.
    pub request_bytes: u64,
    /// How many bytes of response body were sent.
    pub response_bytes: u64,
    /// The first word of the `Authorization` header: `Basic`, `Bearer`.
    pub authorization: Option<String>,
    /// When its head had arrived.
    pub arrived: Instant,
    /// When the answer's head was sent; `None` while there is none.
    pub answered: Option<Instant>,
}

/// A proxy before a registry; ends when dropped, but for exchanges under way.
#[derive(Debug)]
pub struct Front {
    host: String,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

impl Front {
    /// Starts a front before the registry at `upstream` (`host:port`).
    pub fn start(upstream: &str, auth: FrontAuth) -> Self {
        Self::start_with(upstream, auth, Box::new(Plain))
    }

    /// Starts a front that has manners of its own.
    pub(crate) fn start_with(upstream: &str, auth: FrontAuth, manners: Box<dyn Manners>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback has a free port");
        let host = listener.local_addr().unwrap().to_string();
        let shared = Arc::new(Shared::new(upstream, &host, auth, manners));
        let acceptor = thread::spawn({
            let shared = Arc::clone(&shared);
            move || accept(&listener, &shared)
        });
        Self {
            host,
            shared,
            acceptor: Some(acceptor),
        }
    }

    /// `127.0.0.1:<port>`.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Makes the front misbehave. Faults that match a request are used in the order they were added, one each.
    pub fn inject(&self, fault: Fault) {
        lock(&self.shared.faults).push(fault);
    }

    /// Kills all tokens and passwords that were given out, at the `nth` request from now that comes with a good one: that
    /// request is the first to be refused.
    pub fn kill_credentials_at(&self, nth: usize) {
        self.shared.gate.kill_at(nth);
    }

    /// Tells whether there were not that many requests yet.
    pub fn is_to_kill(&self) -> bool {
        self.shared.gate.is_to_kill()
    }

    /// The requests so far, in the order they arrived.
    ///
    /// Once a client has an answer whole, its request is in here whole.
    pub fn requests(&self) -> Vec<LoggedRequest> {
        lock(&self.shared.log).clone()
    }

    /// Forgets the requests so far. Call it while no request is under way.
    pub fn clear_requests(&self) {
        lock(&self.shared.log).clear();
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // Wakes the acceptor, which then sees the flag.
        _ = TcpStream::connect(&self.host);
        _ = self.acceptor.take().map(JoinHandle::join);
    }
}

/// What the threads of a front share.
#[derive(Debug)]
struct Shared {
    upstream: String,
    gate: Gate,
    manners: Box<dyn Manners>,
    faults: Mutex<Vec<Fault>>,
    log: Mutex<Vec<LoggedRequest>>,
    stopped: AtomicBool,
}

impl Shared {
    fn new(upstream: &str, host: &str, auth: FrontAuth, manners: Box<dyn Manners>) -> Self {
        Self {
            upstream: upstream.to_owned(),
            gate: Gate::new(host, auth),
            manners,
            faults: Mutex::default(),
            log: Mutex::default(),
            stopped: AtomicBool::new(false),
        }
    }

    /// Adds a request to the log and returns its place there.
    fn log(&self, request: LoggedRequest) -> usize {
        let mut log = lock(&self.log);
        log.push(request);
        log.len() - 1
    }

    fn update(&self, place: usize, change: impl FnOnce(&mut LoggedRequest)) {
        if let Some(request) = lock(&self.log).get_mut(place) {
            change(request);
        }
    }

    fn take_fault(&self, method: &str, path: &str) -> Option<Misbehaviour> {
        lock(&self.faults)
            .iter_mut()
            .find_map(|fault| fault.take(method, path))
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for connection in listener.incoming() {
        if shared.stopped.load(Ordering::SeqCst) {
            return;
        }
        let shared = Arc::clone(shared);
        // A connection that breaks is the peer's business; the log has what was exchanged.
        thread::spawn(move || connection.and_then(|connection| exchange::serve(connection, &shared)));
    }
}

/// Locks, even after another thread of the test has panicked.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
