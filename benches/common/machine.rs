//! The machine that something was measured on.

use std::num::NonZero;
use std::thread;

use fs_err as fs;
use jiff::Timestamp;

/// Date, processor and kernel, in one line: a number without them says nothing.
pub fn describe() -> String {
    let date = Timestamp::now().strftime("%Y-%m-%d");
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{date}, {processors} × {}, Linux {}", processor(), kernel.trim())
}

fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find_map(|line| line.strip_prefix("model name"));
    let model = model.and_then(|rest| rest.split_once(':'));
    model.map_or_else(
        || "unknown processor".to_owned(),
        |(_, name)| name.trim().to_owned(),
    )
}
