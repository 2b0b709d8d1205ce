//! A server of uploads that keeps what arrived before a cut, as the distribution specification allows and Debian's
//! `docker-registry` does not: it forgets a session whose request was cut (GET of it answers 404; found with curl and
//! version 2.8). It is particular in the ways that registries are (`UploadRules`), and holds blobs in memory only.

use std::collections::BTreeMap;
use std::io::{self, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::http::{Body, Framing, Head};

/// What a server of uploads takes, and what goes wrong there.
#[derive(Debug, Clone, Default)]
pub struct UploadRules {
    /// The connection of each of the first requests with a body ends after so many bytes of it, which are kept.
    pub cuts: Vec<u64>,
    /// `OCI-Chunk-Min-Length`: a smaller PATCH with a range is refused with 416, unless it is the last.
    pub least_part: Option<u64>,
    /// A larger body is refused with 413.
    pub largest_request: Option<u64>,
    /// A PUT with a body is refused with 405.
    pub refuses_put_bodies: bool,
    /// A body of unknown length is refused with 411.
    pub wants_lengths: bool,
    /// Nobody is told what a session has: GET answers 404.
    pub hides_sessions: bool,
    /// As ECR: PATCH answers 201, and what comes with every PATCH after the first is dropped.
    pub drops_later_parts: bool,
    /// Sessions have another address after each request, and the old one is gone.
    pub moves_sessions: bool,
}

/// A request to a server of uploads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadRequest {
    /// `POST`, `PATCH`, ...
    pub method: String,
    /// `Content-Range`.
    pub range: Option<String>,
    /// How many bytes of its body arrived.
    pub bytes: u64,
}

/// A server of uploads; its threads end with the process.
#[derive(Debug)]
pub struct UploadServer {
    host: String,
    shared: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    rules: UploadRules,
    sessions: BTreeMap<String, Session>,
    blobs: BTreeMap<String, Vec<u8>>,
    requests: Vec<UploadRequest>,
    addresses: usize,
}

#[derive(Debug, Default, Clone)]
struct Session {
    bytes: Vec<u8>,
    patches: usize,
}

impl UploadServer {
    /// Starts a server on the loopback.
    pub fn start(rules: UploadRules) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback has a free port");
        let host = listener.local_addr().unwrap().to_string();
        let state = State {
            rules,
            ..State::default()
        };
        let shared = Arc::new(Mutex::new(state));
        let accepted = Arc::clone(&shared);
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let shared = Arc::clone(&accepted);
                // A connection that breaks is the peer's business.
                thread::spawn(move || serve(connection, &shared));
            }
        });
        Self { host, shared }
    }

    /// `127.0.0.1:<port>`.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The bytes of a blob, by its digest.
    pub fn blob(&self, digest: &str) -> Option<Vec<u8>> {
        lock(&self.shared).blobs.get(digest).cloned()
    }

    /// The requests so far, in the order they arrived.
    pub fn requests(&self) -> Vec<UploadRequest> {
        lock(&self.shared).requests.clone()
    }
}

fn serve(connection: TcpStream, shared: &Mutex<State>) -> io::Result<()> {
    let mut reader = BufReader::new(connection.try_clone()?);
    while let Some(head) = Head::read(&mut reader)? {
        let framing = head.request_framing();
        let place = {
            let mut state = lock(shared);
            state.requests.push(UploadRequest {
                method: head.method().to_owned(),
                range: head.header("Content-Range").map(str::to_owned),
                bytes: 0,
            });
            state.requests.len() - 1
        };
        let cut = take_cut(shared, framing);
        let mut body = Vec::new();
        let limit = cut.unwrap_or(u64::MAX);
        Body::new(&mut reader, framing)
            .take(limit)
            .read_to_end(&mut body)?;
        lock(shared).requests[place].bytes = body.len() as u64;
        let answer = lock(shared).answer(&head, framing, &body, cut.is_some());
        if cut.is_some() {
            return connection.shutdown(Shutdown::Both);
        }
        answer.write(&mut &connection, head.method())?;
    }
    Ok(())
}

fn take_cut(shared: &Mutex<State>, framing: Framing) -> Option<u64> {
    let mut state = lock(shared);
    let has_body = framing != Framing::Length(0);
    (has_body && !state.rules.cuts.is_empty()).then(|| state.rules.cuts.remove(0))
}

struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Answer {
    fn new(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.headers.push((name, value.to_string()));
        self
    }

    fn write(&self, writer: &mut impl Write, method: &str) -> io::Result<()> {
        let mut head = Head::new(&format!("HTTP/1.1 {} Testkit", self.status));
        for (name, value) in &self.headers {
            head.set(name, value);
        }
        if self.status != 204 {
            head.set("Content-Length", &self.body.len().to_string());
        }
        head.write(writer)?;
        match method {
            "HEAD" => Ok(()),
            _ => writer.write_all(&self.body),
        }
    }
}

impl State {
    fn answer(&mut self, head: &Head, framing: Framing, body: &[u8], was_cut: bool) -> Answer {
        let (path, query) = head.path().split_once('?').unwrap_or((head.path(), ""));
        let name = path.rsplit('/').next().unwrap_or_default().to_owned();
        match (head.method(), path.contains("/blobs/uploads/")) {
            ("POST", true) => {
                let address = self.address();
                self.sessions.insert(address.clone(), Session::default());
                let answer =
                    Answer::new(202).with("Location", format!("/v2/a/blobs/uploads/{address}?state=x"));
                match self.rules.least_part {
                    Some(least) => answer.with("OCI-Chunk-Min-Length", least),
                    None => answer,
                }
            }
            ("HEAD", false) => match self.blobs.get(&name) {
                Some(_) => Answer::new(200),
                None => Answer::new(404),
            },
            (method, true) => match self.sessions.remove(&name) {
                Some(session) => {
                    self.continued(method, &name, session, head, query, (framing, body, was_cut))
                }
                None => Answer::new(404),
            },
            _ => Answer::new(404),
        }
    }

    fn continued(
        &mut self,
        method: &str,
        name: &str,
        mut session: Session,
        head: &Head,
        query: &str,
        (framing, body, was_cut): (Framing, &[u8], bool),
    ) -> Answer {
        let refusal = self.refusal(method, &session, head, framing, body);
        let (status, is_done) = match (method, refusal) {
            _ if was_cut => {
                session.bytes.extend(body);
                (202, false)
            }
            (_, Some(status)) => (status, false),
            ("GET", None) if self.rules.hides_sessions => (404, false),
            ("GET", None) => (204, false),
            ("DELETE", None) => (204, true),
            ("PATCH", None) => {
                if session.patches == 0 || !self.rules.drops_later_parts {
                    session.bytes.extend(body);
                }
                session.patches += 1;
                (if self.rules.drops_later_parts { 201 } else { 202 }, false)
            }
            ("PUT", None) => {
                session.bytes.extend(body);
                let digest = query
                    .rsplit("digest=")
                    .next()
                    .unwrap_or_default()
                    .replace("%3A", ":");
                if crate::sha256(&session.bytes) != digest {
                    (400, false)
                } else {
                    self.blobs.insert(digest, std::mem::take(&mut session.bytes));
                    (201, true)
                }
            }
            _ => (405, false),
        };
        let mut answer = Answer::new(status);
        if !is_done {
            let address = match self.rules.moves_sessions && !was_cut {
                true => self.address(),
                false => name.to_owned(),
            };
            answer = answer
                .with("Location", format!("/v2/a/blobs/uploads/{address}?state=y"))
                .with("Range", format!("0-{}", session.bytes.len().saturating_sub(1)));
            self.sessions.insert(address, session);
        }
        answer
    }

    /// What the rules have against a request.
    fn refusal(
        &self,
        method: &str,
        session: &Session,
        head: &Head,
        framing: Framing,
        body: &[u8],
    ) -> Option<u16> {
        let size = body.len() as u64;
        let rules = &self.rules;
        if framing == Framing::Chunked && rules.wants_lengths {
            return Some(411);
        }
        if rules.largest_request.is_some_and(|largest| size > largest) {
            return Some(413);
        }
        if method == "PUT" && rules.refuses_put_bodies && size > 0 {
            return Some(405);
        }
        let (start, last) = head.header("Content-Range")?.split_once('-')?;
        let (start, last): (u64, u64) = (start.parse().ok()?, last.parse().ok()?);
        let follows = start == session.bytes.len() as u64 || rules.drops_later_parts;
        (!follows || last + 1 - start != size).then_some(416)
    }

    fn address(&mut self) -> String {
        self.addresses += 1;
        format!("session-{}", self.addresses)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
