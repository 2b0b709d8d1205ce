//! One client's connection: request in, fault or registry, response out.

use super::fault::Misbehaviour;
use super::reply::{Reply, Sent};
use super::{LoggedRequest, Shared};
use crate::http::{Body, Framing, Head};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::io::{self, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

/// How much of a body is passed on at a time.
const BUFFER: usize = 64 * 1024;

/// Whether the connection can carry another request.
#[derive(PartialEq, Eq)]
enum After {
    KeepOpen,
    Close,
}

/// Serves a connection until either side ends it.
pub(super) fn serve(connection: TcpStream, shared: &Shared) -> io::Result<()> {
    // Heads and bodies are written apart; waiting for more would cost 40 ms for each answer.
    connection.set_nodelay(true)?;
    let mut reader = BufReader::new(connection.try_clone()?);
    while let Some(request) = Head::read(&mut reader)? {
        let place = shared.log(LoggedRequest {
            method: request.method().to_owned(),
            path: request.path().to_owned(),
            status: None,
            request_bytes: 0,
            response_bytes: 0,
            authorization: authorization_scheme(&request),
            arrived: Instant::now(),
            answered: None,
        });
        let mut exchange = Exchange {
            request,
            client: &mut reader,
            writer: &connection,
            shared,
            place,
            shown: String::new(),
            kept: None,
        };
        if exchange.run()? == After::Close {
            break;
        }
    }
    connection.shutdown(Shutdown::Both)
}

fn authorization_scheme(request: &Head) -> Option<String> {
    request
        .header("Authorization")?
        .split(' ')
        .next()
        .map(str::to_owned)
}

fn shown(request: &Head, form: &[u8]) -> String {
    let header = request.header("Authorization").unwrap_or_default();
    let decoded = header
        .strip_prefix("Basic ")
        .and_then(|encoded| STANDARD.decode(encoded).ok());
    let decoded = decoded.unwrap_or_default();
    [header.as_bytes(), &decoded, form]
        .map(String::from_utf8_lossy)
        .join("\n")
}

/// One request and its response.
struct Exchange<'a> {
    request: Head,
    client: &'a mut BufReader<TcpStream>,
    writer: &'a TcpStream,
    shared: &'a Shared,
    /// The request's place in the log.
    place: usize,
    /// The credential that came with it, as it came and as it is meant.
    shown: String,
    /// Its body, where that was read already.
    kept: Option<Vec<u8>>,
}

impl Exchange<'_> {
    fn run(&mut self) -> io::Result<After> {
        let form = self.form()?;
        self.shown = shown(&self.request, &form);
        if let Some(fault) = self.token_fault() {
            return self.misbehave(fault);
        }
        if let Some(answer) = self.shared.gate.answer(&mut self.request, &form) {
            return self.misbehave(answer);
        }
        match self.shared.take_fault(self.request.method(), self.request.path()) {
            // Late, but with its manners.
            Some(Misbehaviour::Stall(duration)) => thread::sleep(duration),
            Some(fault) => return self.misbehave(fault),
            None => {}
        }
        self.keep_body()?;
        let body = self.kept.as_deref().unwrap_or_default();
        match self.shared.manners.answer(&mut self.request, body) {
            Some(answer) => self.misbehave(answer),
            None => self.forward(None),
        }
    }

    /// Reads the body where the registry's manners want to see it.
    fn keep_body(&mut self) -> io::Result<()> {
        if !self.shared.manners.keeps_body(&self.request) {
            return Ok(());
        }
        self.continue_if_expected()?;
        self.request.remove("Expect");
        let (place, shared) = (self.place, self.shared);
        let mut body = Body::new(self.client, self.request.request_framing());
        let mut kept = Vec::new();
        copy(&mut body, &mut kept, |count| count_request(shared, place, count))?;
        self.request.remove("Transfer-Encoding");
        self.request.set("Content-Length", &kept.len().to_string());
        self.kept = Some(kept);
        Ok(())
    }

    /// The body of a request for a token, which is read before it is answered; of others, nothing.
    fn form(&mut self) -> io::Result<Vec<u8>> {
        let mut form = Vec::new();
        if self.shared.gate.reads(&self.request) {
            self.send_request_body(&mut form)?;
            self.request.remove("Transfer-Encoding");
            self.request.set("Content-Length", "0");
        }
        Ok(form)
    }

    /// A wrong that is done to a request for a token, which no registry sees.
    fn token_fault(&self) -> Option<Misbehaviour> {
        let is_meant = self.shared.gate.reads(&self.request);
        is_meant
            .then(|| self.shared.take_fault(self.request.method(), self.request.path()))
            .flatten()
    }

    fn misbehave(&mut self, misbehaviour: Misbehaviour) -> io::Result<After> {
        match misbehaviour {
            Misbehaviour::Answer {
                status,
                headers,
                body,
            } => self.answer(Reply::new(status, &headers, &body)),
            Misbehaviour::Repeat { status } => {
                let words = std::mem::take(&mut self.shown);
                self.answer(Reply::new(status, &[], words.as_bytes()))
            }
            Misbehaviour::Stall(duration) => {
                thread::sleep(duration);
                self.forward(None)
            }
            Misbehaviour::CutRequest { after } => {
                self.continue_if_expected()?;
                let place = self.place;
                let shared = self.shared;
                let mut body = Body::new(self.client, self.request.request_framing()).take(after);
                copy(&mut body, &mut io::sink(), |count| {
                    count_request(shared, place, count)
                })?;
                Ok(After::Close)
            }
            of_the_response => self.forward(Some(of_the_response)),
        }
    }

    /// Answers without the registry. The request's body is read first: a client that is still sending would see
    /// a broken connection instead of the answer.
    fn answer(&mut self, reply: Reply<'_>) -> io::Result<After> {
        if self.request.header("Expect").is_some() {
            self.respond(reply)?;
            return Ok(After::Close);
        }
        if self.kept.is_none() {
            self.send_request_body(&mut io::sink())?;
        }
        self.respond(reply)
    }

    /// Passes the request to the registry and its reply, with the fault in it, to the client.
    fn forward(&mut self, fault: Option<Misbehaviour>) -> io::Result<After> {
        self.continue_if_expected()?;
        let upstream = TcpStream::connect(&self.shared.upstream)?;
        upstream.set_nodelay(true)?;
        let mut head = self.request.clone();
        head.remove("Expect");
        head.set("Connection", "close");
        head.write(&mut &upstream)?;
        let mut upstream = UntilRefused {
            inner: upstream,
            refused: false,
        };
        match &self.kept {
            Some(body) => upstream.write_all(body)?,
            None => self.send_request_body(&mut upstream)?,
        }

        let mut reader = BufReader::new(upstream.inner);
        let head = Head::read(&mut reader)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let body = self.kept.as_deref().unwrap_or_default();
        self.shared.manners.settled(&self.request, body, head.status());
        let framing = head.response_framing(self.request.method());
        let reply = Reply::of_registry(head, Body::new(&mut reader, framing), framing);
        self.respond(match fault {
            Some(fault) => reply.bent(fault),
            None => reply,
        })
    }

    fn respond(&mut self, reply: Reply<'_>) -> io::Result<After> {
        let reply = if self.request.method() == "HEAD" {
            reply.without_body()
        } else {
            reply
        };
        self.shared.update(self.place, |request| {
            request.status = Some(reply.head.status());
            request.answered = Some(Instant::now());
        });
        let close = self
            .request
            .header("Connection")
            .is_some_and(|value| value.eq_ignore_ascii_case("close"));
        let ends = close || reply.sent != Sent::AsDeclared;
        reply.head.write(&mut self.writer)?;
        self.send_response_body(reply)?;
        Ok(if ends { After::Close } else { After::KeepOpen })
    }

    fn send_response_body(&self, Reply { head, mut body, sent }: Reply<'_>) -> io::Result<()> {
        let mut client = self.writer;
        let (place, shared) = (self.place, self.shared);
        let count = |count| shared.update(place, |request| request.response_bytes += count);
        match sent {
            Sent::Only(limit) => copy(&mut body.take(limit), &mut client, count),
            Sent::Silence(limit, silence) => {
                copy(&mut body.take(limit), &mut client, count)?;
                thread::sleep(silence);
                Ok(())
            }
            Sent::Reset(limit) => {
                copy(&mut body.take(limit), &mut client, count)?;
                // What was sent must arrive first: a reset discards it.
                thread::sleep(RESET_DELAY);
                rustix::net::sockopt::set_socket_linger(client, Some(Duration::ZERO))?;
                // Without the orderly end that follows success, dropping the connection resets it.
                Err(io::ErrorKind::ConnectionReset.into())
            }
            Sent::Slowly(piece, pause) => copy(&mut Slow { body, piece, pause }, &mut client, count),
            // HEAD may declare chunks that do not follow.
            Sent::AsDeclared if self.request.method() == "HEAD" => Ok(()),
            Sent::AsDeclared if head.header("Transfer-Encoding").is_some() => {
                copy_chunked(&mut body, &mut client, count)
            }
            Sent::AsDeclared => copy(&mut body, &mut client, count),
        }
    }

    fn send_request_body(&mut self, to: &mut impl Write) -> io::Result<()> {
        let (place, shared) = (self.place, self.shared);
        let framing = self.request.request_framing();
        let mut body = Body::new(self.client, framing);
        let count = |count| count_request(shared, place, count);
        match framing {
            Framing::Chunked => copy_chunked(&mut body, to, count),
            Framing::Length(_) | Framing::UntilClose => copy(&mut body, to, count),
        }
    }

    fn continue_if_expected(&mut self) -> io::Result<()> {
        let mut client = self.writer;
        match self.request.header("Expect") {
            Some(_) => client.write_all(b"HTTP/1.1 100 Continue\r\n\r\n"),
            None => Ok(()),
        }
    }
}

/// How long bytes get to arrive before a reset.
const RESET_DELAY: Duration = Duration::from_millis(50);

/// Gives a body in pieces, with a pause before each.
struct Slow<R> {
    body: R,
    piece: usize,
    pause: Duration,
}

impl<R: Read> Read for Slow<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        thread::sleep(self.pause);
        let limit = self.piece.min(buffer.len());
        self.body.read(&mut buffer[..limit])
    }
}

/// Discards what the registry no longer reads: it may have answered before the end of the request.
struct UntilRefused<W> {
    inner: W,
    refused: bool,
}

impl<W: Write> Write for UntilRefused<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.refused = self.refused || self.inner.write_all(bytes).is_err();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn count_request(shared: &Shared, place: usize, count: u64) {
    shared.update(place, |request| request.request_bytes += count);
}

/// Copies a body. Each piece is counted before it is written: who has read it can find it counted.
fn copy(from: &mut (impl Read + ?Sized), to: &mut impl Write, mut count: impl FnMut(u64)) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let length = from.read(&mut buffer)?;
        if length == 0 {
            return to.flush();
        }
        count(length as u64);
        to.write_all(&buffer[..length])?;
    }
}

fn copy_chunked(
    from: &mut (impl Read + ?Sized),
    to: &mut impl Write,
    mut count: impl FnMut(u64),
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let length = from.read(&mut buffer)?;
        count(length as u64);
        write!(to, "{length:x}\r\n")?;
        to.write_all(&buffer[..length])?;
        to.write_all(b"\r\n")?;
        if length == 0 {
            return to.flush();
        }
    }
}
