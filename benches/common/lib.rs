//! What the comparisons share: measuring a command, describing the machine, and judging what was found.

pub mod machine;
pub mod measure;
pub mod statistics;
pub mod target;
