//! One client's connection: request in, fault or registry, response out.

use super::fault::Misbehaviour;
use super::{LoggedRequest, Shared};
use crate::http::{Body, Framing, Head};
use std::io::{self, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;

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
    let mut reader = BufReader::new(connection.try_clone()?);
    while let Some(request) = Head::read(&mut reader)? {
        let place = shared.log(LoggedRequest {
            method: request.method().to_owned(),
            path: request.path().to_owned(),
            status: None,
            request_bytes: 0,
            response_bytes: 0,
            authorization: authorization_scheme(&request),
        });
        let mut exchange = Exchange {
            request,
            client: &mut reader,
            writer: &connection,
            shared,
            place,
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

/// One request and its response.
struct Exchange<'a> {
    request: Head,
    client: &'a mut BufReader<TcpStream>,
    writer: &'a TcpStream,
    shared: &'a Shared,
    /// The request's place in the log.
    place: usize,
}

impl Exchange<'_> {
    fn run(&mut self) -> io::Result<After> {
        if let Some(answer) = self.shared.gate.answer(&mut self.request) {
            return self.misbehave(answer);
        }
        match self.shared.take_fault(self.request.method(), self.request.path()) {
            Some(fault) => self.misbehave(fault),
            None => self.forward(None),
        }
    }

    fn misbehave(&mut self, misbehaviour: Misbehaviour) -> io::Result<After> {
        match misbehaviour {
            Misbehaviour::Answer {
                status,
                headers,
                body,
            } => self.answer(status, &headers, &body),
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
    fn answer(&mut self, status: u16, headers: &[(String, String)], body: &[u8]) -> io::Result<After> {
        let expects = self.request.header("Expect").is_some();
        if !expects {
            self.send_request_body(&mut io::sink())?;
        }
        let mut head = Head::new(&format!("HTTP/1.1 {status} Testkit"));
        for (name, value) in headers {
            head.set(name, value);
        }
        head.set("Content-Length", &body.len().to_string());
        let body = if self.request.method() == "HEAD" {
            &[]
        } else {
            body
        };
        let after = self.respond(&head, &mut &*body, Sent::AsDeclared)?;
        Ok(if expects { After::Close } else { after })
    }

    /// Passes the request to the registry and its answer, with the fault in it, to the client.
    fn forward(&mut self, fault: Option<Misbehaviour>) -> io::Result<After> {
        self.continue_if_expected()?;
        let mut upstream = TcpStream::connect(&self.shared.upstream)?;
        let mut head = self.request.clone();
        head.remove("Expect");
        head.set("Connection", "close");
        head.write(&mut upstream)?;
        self.send_request_body(&mut upstream)?;

        let mut reader = BufReader::new(upstream);
        let head = Head::read(&mut reader)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let framing = head.response_framing(self.request.method());
        self.respond_with_fault(head, Body::new(&mut reader, framing), framing, fault)
    }

    fn respond_with_fault(
        &mut self,
        mut head: Head,
        body: impl Read,
        framing: Framing,
        fault: Option<Misbehaviour>,
    ) -> io::Result<After> {
        head.remove("Connection");
        let mut sent = Sent::AsDeclared;
        let mut body: Box<dyn Read + '_> = Box::new(body);
        match fault {
            Some(Misbehaviour::ReplaceBody(bytes)) => {
                head.remove("Transfer-Encoding");
                head.set("Content-Length", &bytes.len().to_string());
                let sent = if self.request.method() == "HEAD" {
                    Vec::new()
                } else {
                    bytes
                };
                body = Box::new(io::Cursor::new(sent));
            }
            Some(Misbehaviour::ReplaceHeader { name, value }) => head.set(&name, &value),
            Some(Misbehaviour::CutBody { after }) => sent = Sent::Only(after),
            Some(Misbehaviour::LieAboutLength { by }) => {
                let length = head
                    .header("Content-Length")
                    .and_then(|length| length.parse::<u64>().ok());
                head.set(
                    "Content-Length",
                    &length.unwrap_or_default().saturating_add_signed(by).to_string(),
                );
                sent = Sent::Only(u64::MAX);
            }
            Some(Misbehaviour::CorruptByte { at }) => {
                body = Box::new(Corrupted {
                    inner: body,
                    at,
                    position: 0,
                });
            }
            Some(Misbehaviour::Answer { .. } | Misbehaviour::CutRequest { .. } | Misbehaviour::Stall(_))
            | None => {}
        }
        if framing == Framing::UntilClose && head.header("Content-Length").is_none() {
            sent = Sent::Only(u64::MAX);
        }
        self.respond(&head, &mut *body, sent)
    }

    fn respond(&mut self, head: &Head, body: &mut dyn Read, sent: Sent) -> io::Result<After> {
        self.shared
            .update(self.place, |request| request.status = Some(head.status()));
        let mut client = self.writer;
        head.write(&mut client)?;
        self.send_response_body(head, body, sent)?;
        let close = self
            .request
            .header("Connection")
            .is_some_and(|value| value.eq_ignore_ascii_case("close"));
        Ok(if close || sent != Sent::AsDeclared {
            After::Close
        } else {
            After::KeepOpen
        })
    }

    fn send_response_body(&self, head: &Head, body: &mut dyn Read, sent: Sent) -> io::Result<()> {
        let mut client = self.writer;
        let (place, shared) = (self.place, self.shared);
        let count = |count| shared.update(place, |request| request.response_bytes += count);
        match sent {
            Sent::Only(limit) => copy(&mut body.take(limit), &mut client, count),
            Sent::AsDeclared if head.header("Transfer-Encoding").is_some() => {
                copy_chunked(body, &mut client, count)
            }
            Sent::AsDeclared => copy(body, &mut client, count),
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

/// How much of a response body is sent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sent {
    /// As the head declares it.
    AsDeclared,
    /// At most this many bytes, whatever the head declares; then the connection ends.
    Only(u64),
}

/// Inverts one byte of what is read through it.
struct Corrupted<'a> {
    inner: Box<dyn Read + 'a>,
    at: u64,
    position: u64,
}

impl Read for Corrupted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        let offset = self
            .at
            .checked_sub(self.position)
            .and_then(|offset| usize::try_from(offset).ok());
        if let Some(byte) = offset.and_then(|offset| buffer[..count].get_mut(offset)) {
            *byte ^= 0xff;
        }
        self.position += count as u64;
        Ok(count)
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
