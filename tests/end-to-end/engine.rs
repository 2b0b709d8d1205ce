//! An engine loads and runs what was made.
