//! What a particular registry does that others do not, as a front plays it.

use super::fault::Misbehaviour;
use crate::http::Head;
use std::fmt;

/// The manners of one registry. They see every request that has passed the gate, unless a fault took it.
pub(crate) trait Manners: fmt::Debug + Send + Sync {
    /// Tells whether the body of a request matters. It is then read whole before [`Self::answer`].
    fn keeps_body(&self, _request: &Head) -> bool {
        false
    }

    /// What is answered in the registry's place, or made of its answer; `None` passes both on. The request may be changed
    /// on its way.
    fn answer(&self, request: &mut Head, body: &[u8]) -> Option<Misbehaviour>;

    /// Learns how the registry answered.
    fn settled(&self, _request: &Head, _body: &[u8], _status: u16) {}
}

/// None of its own.
#[derive(Debug)]
pub(super) struct Plain;

impl Manners for Plain {
    fn answer(&self, _: &mut Head, _: &[u8]) -> Option<Misbehaviour> {
        None
    }
}
