//! A response on its way to the client, and what a fault makes of it.

use super::fault::Misbehaviour;
use crate::http::{Framing, Head};
use std::io::{self, Read};
use std::time::Duration;

/// A response: its head, its body, and how much of the body is sent.
pub(super) struct Reply<'a> {
    pub(super) head: Head,
    pub(super) body: Box<dyn Read + 'a>,
    pub(super) sent: Sent,
}

/// How much of a response body is sent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Sent {
    /// As the head declares it.
    AsDeclared,
    /// At most this many bytes, whatever the head declares; then the connection ends.
    Only(u64),
    /// The same, and the connection is reset.
    Reset(u64),
    /// The same, after a silence.
    Silence(u64, Duration),
    /// In pieces of so many bytes, with a pause after each.
    Slowly(usize, Duration),
}

impl<'a> Reply<'a> {
    /// A reply of the front itself.
    pub(super) fn new(status: u16, headers: &[(String, String)], body: &'a [u8]) -> Self {
        let mut head = Head::new(&format!("HTTP/1.1 {status} Testkit"));
        for (name, value) in headers {
            head.set(name, value);
        }
        head.set("Content-Length", &body.len().to_string());
        Self {
            head,
            body: Box::new(body),
            sent: Sent::AsDeclared,
        }
    }

    /// The registry's reply, passed on.
    pub(super) fn of_registry(mut head: Head, body: impl Read + 'a, framing: Framing) -> Self {
        head.remove("Connection");
        let sent = if framing == Framing::UntilClose {
            Sent::Only(u64::MAX)
        } else {
            Sent::AsDeclared
        };
        Self {
            head,
            body: Box::new(body),
            sent,
        }
    }

    /// Without the body, as HEAD is answered.
    pub(super) fn without_body(self) -> Self {
        Self {
            body: Box::new(io::empty()),
            ..self
        }
    }

    /// Does the wrong that is meant for responses; the other kinds have been done before there is one.
    pub(super) fn bent(mut self, fault: Misbehaviour) -> Self {
        match fault {
            Misbehaviour::ReplaceBody(bytes) => {
                self.head.remove("Transfer-Encoding");
                self.head.set("Content-Length", &bytes.len().to_string());
                Self {
                    body: Box::new(io::Cursor::new(bytes)),
                    ..self
                }
            }
            Misbehaviour::ReplaceHeader { name, value } => {
                self.head.set(&name, &value);
                self
            }
            Misbehaviour::ReplaceHead { status, set, removed } => {
                if let Some(status) = status {
                    self.head.first_line = format!("HTTP/1.1 {status} Testkit");
                }
                removed.iter().for_each(|name| self.head.remove(name));
                set.iter().for_each(|(name, value)| self.head.set(name, value));
                self
            }
            Misbehaviour::CutBody { after } => Self {
                sent: Sent::Only(after),
                ..self
            },
            Misbehaviour::ResetBody { after } => Self {
                sent: Sent::Reset(after),
                ..self
            },
            Misbehaviour::StallBody { after, silence } => Self {
                sent: Sent::Silence(after, silence),
                ..self
            },
            Misbehaviour::SlowBody { piece, pause } => Self {
                sent: Sent::Slowly(piece, pause),
                ..self
            },
            Misbehaviour::LieAboutLength { by } => {
                self.head.set(
                    "Content-Length",
                    &self.length().saturating_add_signed(by).to_string(),
                );
                Self {
                    sent: Sent::Only(u64::MAX),
                    ..self
                }
            }
            Misbehaviour::CorruptByte { at } => Self {
                body: Box::new(Corrupted {
                    inner: self.body,
                    at,
                    position: 0,
                }),
                ..self
            },
            Misbehaviour::Answer { .. }
            | Misbehaviour::Repeat { .. }
            | Misbehaviour::CutRequest { .. }
            | Misbehaviour::Stall(_) => self,
        }
    }

    fn length(&self) -> u64 {
        self.head
            .header("Content-Length")
            .and_then(|length| length.parse().ok())
            .unwrap_or_default()
    }
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
