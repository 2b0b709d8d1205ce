//! What a front does wrong, and when.

use std::time::Duration;

/// A wrong that is done to matching requests.
#[derive(Debug, Clone)]
pub struct Fault {
    method: String,
    path: String,
    times: Option<usize>,
    misbehaviour: Misbehaviour,
}

/// A kind of wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Misbehaviour {
    /// Answers by itself; the registry sees nothing.
    Answer {
        /// The status.
        status: u16,
        /// Headers; `Content-Length` is added.
        headers: Vec<(String, String)>,
        /// The body.
        body: Vec<u8>,
    },
    /// Answers by itself, and repeats the credential that came with the request, decoded too.
    Repeat {
        /// The status.
        status: u16,
    },
    /// Passes the registry's answer on with another body of the right length; all other headers stay.
    ReplaceBody(Vec<u8>),
    /// Passes the registry's answer on with a header set to another value.
    ReplaceHeader {
        /// The name.
        name: String,
        /// The value.
        value: String,
    },
    /// Passes the registry's answer on with another status, and without some headers.
    ReplaceHead {
        /// The status; of the registry where there is none.
        status: Option<u16>,
        /// Headers that are set.
        set: Vec<(String, String)>,
        /// Headers that are left out.
        removed: Vec<&'static str>,
    },
    /// Ends the connection after this many bytes of the response body.
    CutBody {
        /// How many bytes are sent.
        after: u64,
    },
    /// Resets the connection after this many bytes of the response body.
    ResetBody {
        /// How many bytes are sent.
        after: u64,
    },
    /// Goes silent after this many bytes of the response body, and ends the connection after a while.
    StallBody {
        /// How many bytes are sent.
        after: u64,
        /// How long the connection stays open.
        silence: Duration,
    },
    /// Sends the response body in small pieces with pauses.
    SlowBody {
        /// How many bytes a piece has.
        piece: usize,
        /// The pause after each.
        pause: Duration,
    },
    /// Ends the connection after this many bytes of the request body, with no answer.
    CutRequest {
        /// How many bytes are received.
        after: u64,
    },
    /// Sends the true body under a `Content-Length` that is wrong by this much, then ends the connection.
    LieAboutLength {
        /// What is added to the true length.
        by: i64,
    },
    /// Inverts a byte of the response body.
    CorruptByte {
        /// The offset of the byte.
        at: u64,
    },
    /// Waits before it does what it should.
    Stall(Duration),
}

impl Misbehaviour {
    /// An answer with headers and no body.
    pub fn answer(status: u16, headers: &[(&str, &str)]) -> Self {
        let headers = headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Self::Answer {
            status,
            headers,
            body: Vec::new(),
        }
    }
}

impl Fault {
    /// A wrong that is done to the first `times` requests with this method whose path and query contain `path`.
    pub fn times(times: usize, method: &str, path: &str, misbehaviour: Misbehaviour) -> Self {
        Self {
            times: Some(times),
            ..Self::always(method, path, misbehaviour)
        }
    }

    /// A wrong that is done to every request with this method whose path and query contain `path`.
    pub fn always(method: &str, path: &str, misbehaviour: Misbehaviour) -> Self {
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            times: None,
            misbehaviour,
        }
    }

    /// Uses the fault up by one if it matches.
    pub(super) fn take(&mut self, method: &str, path: &str) -> Option<Misbehaviour> {
        if self.times == Some(0) || self.method != method || !path.contains(&self.path) {
            return None;
        }
        self.times = self.times.map(|times| times - 1);
        Some(self.misbehaviour.clone())
    }
}
