//! The exit codes, as DESIGN.md "Command line" has them. A failing RUN's own status is printed, never passed on.

/// Done.
pub(crate) const DONE: u8 = 0;
/// Anything that failed and is none of the others, a failing RUN included.
pub(crate) const FAILED: u8 = 1;
/// Arguments, Dockerfile or configuration file are wrong, known before any I/O.
pub(crate) const USAGE: u8 = 2;
/// A mirror in which some images failed or were refused.
pub(crate) const SOME_FAILED: u8 = 3;
/// A mirror that has left work for the next run, and nothing else (`EX_TEMPFAIL` of sysexits.h).
pub(crate) const POSTPONED: u8 = 75;
/// Ended by SIGINT, as shells count it; nothing was published half.
pub(crate) const INTERRUPTED: u8 = 130;
/// Ended by SIGTERM, as shells count it; nothing was published half.
pub(crate) const TERMINATED: u8 = 143;
