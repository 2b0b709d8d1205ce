//! As much of HTTP/1.1 as a client and a proxy on the loopback need: heads, bodies by length, by chunks and
//! until the connection ends. Leaves out trailers, upgrades and keeping client connections open.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;

/// The first line and the headers of a request or a response.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub(crate) first_line: String,
    headers: Vec<(String, String)>,
}

impl Head {
    pub(crate) fn new(first_line: &str) -> Self {
        Self {
            first_line: first_line.to_owned(),
            headers: Vec::new(),
        }
    }

    /// Reads a head; `None` where the peer has ended the connection instead.
    pub(crate) fn read(reader: &mut impl BufRead) -> io::Result<Option<Self>> {
        let Some(first_line) = read_line(reader)? else {
            return Ok(None);
        };
        let mut head = Self::new(&first_line);
        while let Some(line) = read_line(reader)?.filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(':').ok_or(io::ErrorKind::InvalidData)?;
            head.headers
                .push((name.trim().to_owned(), value.trim().to_owned()));
        }
        Ok(Some(head))
    }

    pub(crate) fn write(&self, writer: &mut impl Write) -> io::Result<()> {
        let mut text = format!("{}\r\n", self.first_line);
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        writer.write_all(format!("{text}\r\n").as_bytes())?;
        writer.flush()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.remove(name);
        self.headers.push((name.to_owned(), value.to_owned()));
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.headers.retain(|(key, _)| !key.eq_ignore_ascii_case(name));
    }

    /// The method of a request.
    pub(crate) fn method(&self) -> &str {
        self.first_line.split(' ').next().unwrap_or_default()
    }

    /// The path and query of a request.
    pub(crate) fn path(&self) -> &str {
        self.first_line.split(' ').nth(1).unwrap_or_default()
    }

    /// The status of a response; 0 where there is none.
    pub(crate) fn status(&self) -> u16 {
        self.first_line
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .unwrap_or_default()
    }

    /// How the body of a request is delimited.
    pub(crate) fn request_framing(&self) -> Framing {
        self.declared_framing().unwrap_or(Framing::Length(0))
    }

    /// How the body of the response to a `method` request is delimited.
    pub(crate) fn response_framing(&self, method: &str) -> Framing {
        if method == "HEAD" || matches!(self.status(), 100..=199 | 204 | 304) {
            return Framing::Length(0);
        }
        self.declared_framing().unwrap_or(Framing::UntilClose)
    }

    fn declared_framing(&self) -> Option<Framing> {
        if self
            .header("transfer-encoding")
            .is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"))
        {
            return Some(Framing::Chunked);
        }
        self.header("content-length")?.parse().ok().map(Framing::Length)
    }
}

/// How a body is delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    Length(u64),
    Chunked,
    UntilClose,
}

/// The body that follows a head. Fails where the connection ends before the body does.
pub(crate) struct Body<'a, R> {
    reader: &'a mut R,
    framing: Framing,
    /// What is left of the body, or of the current chunk.
    left: u64,
    ended: bool,
}

impl<'a, R: BufRead> Body<'a, R> {
    pub(crate) fn new(reader: &'a mut R, framing: Framing) -> Self {
        let left = match framing {
            Framing::Length(length) => length,
            Framing::Chunked => 0,
            Framing::UntilClose => u64::MAX,
        };
        Self {
            reader,
            framing,
            left,
            ended: framing == Framing::Length(0),
        }
    }

    fn start_chunk(&mut self) -> io::Result<()> {
        let line = read_line(self.reader)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let size = line.split(';').next().unwrap_or_default().trim();
        self.left = u64::from_str_radix(size, 16).map_err(|_| io::ErrorKind::InvalidData)?;
        if self.left == 0 {
            read_line(self.reader)?;
            self.ended = true;
        }
        Ok(())
    }

    fn after_read(&mut self, count: u64) -> io::Result<()> {
        self.left -= count;
        match self.framing {
            Framing::UntilClose => self.ended = count == 0,
            _ if count == 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            Framing::Length(_) => self.ended = self.left == 0,
            Framing::Chunked if self.left == 0 => _ = read_line(self.reader)?,
            Framing::Chunked => {}
        }
        Ok(())
    }
}

impl<R: BufRead> Read for Body<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.framing == Framing::Chunked && self.left == 0 && !self.ended {
            self.start_chunk()?;
        }
        if self.ended || buffer.is_empty() {
            return Ok(0);
        }
        let limit = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.reader.read(&mut buffer[..limit])?;
        self.after_read(count as u64)?;
        Ok(count)
    }
}

/// A response that was read whole.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) head: Head,
    pub(crate) body: Vec<u8>,
}

/// Sends `GET http://<host><path>` and reads the response, whatever its status.
pub(crate) fn get(host: &str, path: &str, headers: &[(&str, &str)]) -> io::Result<Response> {
    send("GET", host, path, headers, &[])
}

/// Sends a request with a body and reads the response, whatever its status.
pub(crate) fn send(
    method: &str,
    host: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> io::Result<Response> {
    let mut stream = TcpStream::connect(host)?;
    let mut head = Head::new(&format!("{method} {path} HTTP/1.1"));
    head.set("Host", host);
    head.set("Connection", "close");
    head.set("Content-Length", &body.len().to_string());
    for (name, value) in headers {
        head.set(name, value);
    }
    head.write(&mut stream)?;
    stream.write_all(body)?;
    let mut reader = BufReader::new(stream);
    let head = Head::read(&mut reader)?.ok_or(io::ErrorKind::UnexpectedEof)?;
    let mut body = Vec::new();
    Body::new(&mut reader, head.response_framing(method)).read_to_end(&mut body)?;
    Ok(Response { head, body })
}

/// Reads a line without its end; `None` at the end of the connection.
fn read_line(reader: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = String::new();
    let count = reader.read_line(&mut line)?;
    Ok((count > 0).then(|| line.trim_end_matches(['\r', '\n']).to_owned()))
}
