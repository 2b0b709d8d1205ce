//! A server on the loopback that gives one scripted answer after the other and remembers what it was asked.

use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// What is sent for one request, byte for byte; then the connection ends.
#[derive(Clone)]
pub(crate) struct Answer {
    head: String,
    body: Vec<u8>,
    /// How long nothing comes after the body before the connection ends.
    silence: Duration,
}

impl Answer {
    pub(crate) fn new(status: &str) -> Self {
        Self {
            head: format!("HTTP/1.1 {status}\r\nConnection: close\r\n"),
            body: Vec::new(),
            silence: Duration::ZERO,
        }
    }

    /// A file, and how long it is.
    pub(crate) fn file(body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        let mut answer = Self::new("200 OK").header("Content-Length", &body.len().to_string());
        answer.body = body.to_vec();
        answer
    }

    /// What is left of a file.
    pub(crate) fn rest(body: impl AsRef<[u8]>, start: usize) -> Self {
        let (all, rest) = (body.as_ref().len(), &body.as_ref()[start..]);
        let mut answer = Self::new("206 Partial Content")
            .header("Content-Length", &rest.len().to_string())
            .header("Content-Range", &format!("bytes {start}-{}/{all}", all - 1));
        answer.body = rest.to_vec();
        answer
    }

    pub(crate) fn redirect(location: &str) -> Self {
        Self::new("302 Found")
            .header("Location", location)
            .header("Content-Length", "0")
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.head.push_str(&format!("{name}: {value}\r\n"));
        self
    }

    pub(crate) fn body(mut self, body: &str) -> Self {
        self.body = body.into();
        self
    }

    /// Sends no more of the body than this.
    pub(crate) fn cut(mut self, length: usize) -> Self {
        self.body.truncate(length);
        self
    }

    pub(crate) fn silence(mut self, silence: Duration) -> Self {
        self.silence = silence;
        self
    }

    fn send(&self, mut stream: TcpStream) {
        // A client that has gone is the client's business.
        let _ = stream.write_all(format!("{}\r\n", self.head).as_bytes());
        let _ = stream.write_all(&self.body);
        thread::sleep(self.silence);
        let _ = stream.shutdown(Shutdown::Both);
    }
}

pub(crate) struct Server {
    host: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) line: String,
    headers: Vec<(String, String)>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    fn read(stream: &TcpStream) -> Option<Self> {
        let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
        let line = lines.next()?;
        let headers = lines
            .take_while(|line| !line.is_empty())
            .filter_map(|line| {
                line.split_once(": ")
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
            })
            .collect();
        Some(Self { line, headers })
    }
}

impl Server {
    /// Starts a server; the last answer is given again and again.
    pub(crate) fn start(answers: impl IntoIterator<Item = Answer>) -> Self {
        let answers: Vec<Answer> = answers.into_iter().collect();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&requests);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let Some(request) = Request::read(&stream) else {
                    continue;
                };
                let mut log = log.lock().unwrap();
                let answer = answers[log.len().min(answers.len() - 1)].clone();
                log.push(request);
                thread::spawn(move || answer.send(stream));
            }
        });
        Self { host, requests }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.host)
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}
