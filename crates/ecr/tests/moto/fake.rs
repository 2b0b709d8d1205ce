//! A server that speaks the JSON protocol of AWS's services and answers what a test wants, where moto does not do what
//! AWS does (aws.md §6.1).

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};

/// A server on a loopback port of its own. Its thread ends with the test's process.
pub(crate) struct Fake {
    endpoint: String,
    log: Arc<Mutex<Vec<Call>>>,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// The action, without the service's name.
    pub(crate) action: String,
    /// What stands before it.
    pub(crate) service: String,
    /// Who asks, with a signature.
    pub(crate) authorization: String,
    pub(crate) body: Value,
}

/// What is answered: a status, and JSON.
pub(crate) type Answer = (u16, Value);

impl Fake {
    /// Starts a server. GetAuthorizationToken is answered as ECR does; `answer` answers the rest, and is told how often
    /// the action was asked for before.
    pub(crate) fn start(answer: impl Fn(&Call, usize) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let log = Arc::new(Mutex::new(Vec::new()));
        let (answer, calls) = (Arc::new(answer), Arc::clone(&log));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (answer, calls) = (Arc::clone(&answer), Arc::clone(&calls));
                thread::spawn(move || serve(stream.unwrap(), answer.as_ref(), &calls));
            }
        });
        Self { endpoint, log }
    }

    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The requests for an action, in their order.
    pub(crate) fn calls(&self, action: &str) -> Vec<Call> {
        let log = self.log.lock().unwrap();
        log.iter().filter(|call| call.action == action).cloned().collect()
    }

    /// Every action that was asked for, in order.
    pub(crate) fn actions(&self) -> Vec<String> {
        let log = self.log.lock().unwrap();
        log.iter().map(|call| call.action.clone()).collect()
    }
}

/// An error as AWS's JSON protocol has it.
pub(crate) fn error(code: &str, message: &str) -> Answer {
    (400, json!({"__type": code, "message": message}))
}

/// What ECR says when a quota is used up.
pub(crate) fn throttled() -> Answer {
    error("ThrottlingException", "Rate exceeded")
}

fn serve(stream: TcpStream, answer: &dyn Fn(&Call, usize) -> Answer, log: &Mutex<Vec<Call>>) {
    // A connection that is opened and closed without a request is nobody's mistake.
    let Some(call) = read(&stream) else { return };
    let before = {
        let mut log = log.lock().unwrap();
        let before = log.iter().filter(|other| other.action == call.action).count();
        log.push(call.clone());
        before
    };
    let (status, body) = match call.action.as_str() {
        "GetAuthorizationToken" if call.service.starts_with("AmazonEC2") => (200, token()),
        _ => answer(&call, before),
    };
    let body = body.to_string();
    let head = format!(
        "HTTP/1.1 {status} x\r\nContent-Type: application/x-amz-json-1.1\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    // The other side may have gone.
    _ = (&stream).write_all(format!("{head}{body}").as_bytes());
}

fn read(stream: &TcpStream) -> Option<Call> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|length| *length > 0)?;
    let (mut target, mut authorization, mut length) = (String::new(), String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        match name.to_ascii_lowercase().as_str() {
            "x-amz-target" => target = value.to_owned(),
            "authorization" => authorization = value.to_owned(),
            "content-length" => length = value.parse().ok()?,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let (service, action) = target.split_once('.')?;
    Some(Call {
        action: action.to_owned(),
        service: service.to_owned(),
        authorization,
        body: serde_json::from_slice(&body).ok()?,
    })
}

/// `AWS:password`, which ends in the year 2100.
fn token() -> Value {
    json!({"authorizationData": [{
        "authorizationToken": "QVdTOnBhc3N3b3Jk",
        "expiresAt": 4102444800_u64,
        "proxyEndpoint": "https://123456789012.dkr.ecr.eu-west-1.amazonaws.com",
    }]})
}
