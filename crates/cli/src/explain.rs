//! `--explain`: what each instruction needed, what it cost, and whether anything was executed.

use onlay_base::{ListedFrom, ReadLayer};
use onlay_build::{How, Need, StepReport};

use crate::progress::first_line;

/// Renders the reports, one block for each instruction, platforms together where they agree.
pub(crate) fn render(steps: &[StepReport]) -> String {
    let mut text = String::new();
    for step in steps {
        text.push_str(&format!(
            "{} {} [{}]\n",
            step.place,
            first_line(&step.text),
            step.platform
        ));
        text.push_str(&format!("    needed:   {}\n", needed(step)));
        text.push_str(&format!("    cost:     {}\n", cost(step)));
        text.push_str(&format!("    executed: {}\n", executed(step.how)));
        if let Some(layer) = &step.layer {
            text.push_str(&format!(
                "    made:     layer {} of {} bytes, {} entries\n",
                layer.digest, layer.size, layer.entries
            ));
        }
    }
    text
}

fn needed(step: &StepReport) -> &'static str {
    match step.need {
        Need::Configuration => "manifest and configuration",
        Need::Listings => "the listing of the base's files",
        Need::Files => "the listing of the base's files, and the contents of some",
        Need::RootFilesystem => "all of the base's files",
    }
}

fn executed(how: How) -> String {
    match how {
        How::Configured => "nothing (configuration edited)".to_owned(),
        How::Copied => "nothing (files copied over the listing)".to_owned(),
        How::Interpreted => "nothing (interpreted over the listing)".to_owned(),
        How::Executed(rung) => format!("the command, in a sandbox ({rung})"),
    }
}

fn cost(step: &StepReport) -> String {
    let read: Vec<&ReadLayer> = step
        .layers
        .iter()
        .filter(|read| matches!(read.from, ListedFrom::Layer { .. }))
        .collect();
    let bytes: u64 = read.iter().map(|read| read.layer.descriptor.size).sum();
    let known = step.layers.len() - read.len();
    let mut parts = Vec::new();
    if !read.is_empty() {
        parts.push(format!("{bytes} bytes of {} base layers streamed", read.len()));
    }
    if known > 0 {
        parts.push(format!("{known} listings from the cache"));
    }
    if step.copied_up.0 > 0 {
        parts.push(format!(
            "{} files of the base read again, {} bytes",
            step.copied_up.0, step.copied_up.1
        ));
    }
    if parts.is_empty() {
        "no byte of the base's layers".to_owned()
    } else {
        parts.join("; ")
    }
}
