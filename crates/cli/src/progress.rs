use std::sync::{Arc, Mutex, PoisonError};

use onlay_build::{BuildEvent, Events, How, StageBases, StepReport};

use crate::options::{ProgressChoice, WorkOptions};
use crate::{explain, terminal};

/// Shows on standard error what happens, and keeps what `--explain` prints in the end.
#[derive(Clone)]
pub(crate) struct Progress {
    shows: Shows,
    steps: Arc<Mutex<Vec<StepReport>>>,
    bases: Arc<Mutex<StageBases>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shows {
    Nothing,
    Lines,
}

impl Progress {
    /// Shows as much as was asked for.
    pub(crate) fn new(options: &WorkOptions) -> Self {
        let quiet = options.quiet || options.progress == ProgressChoice::Quiet;
        Self {
            shows: if quiet { Shows::Nothing } else { Shows::Lines },
            steps: Arc::default(),
            bases: Arc::default(),
        }
    }

    /// Gives the engine a place to send its events to.
    pub(crate) fn events(&self) -> Events {
        let progress = self.clone();
        Events::new(move |event| progress.receive(event))
    }

    /// Says something, unless it shows nothing.
    pub(crate) fn say(&self, text: &str) {
        if self.shows == Shows::Lines {
            terminal::say(text);
        }
    }

    /// The images that stages started from so far.
    pub(crate) fn stage_bases(&self) -> StageBases {
        self.bases.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Prints for each instruction what it needed and cost.
    pub(crate) fn explain(&self) {
        let steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        terminal::say(explain::render(&steps).trim_end());
    }

    fn receive(&self, event: BuildEvent) {
        match event {
            BuildEvent::Base {
                name,
                digest,
                platforms,
            } => {
                let platforms: Vec<String> = platforms.iter().map(ToString::to_string).collect();
                self.say(&format!("base {name}@{digest} for {}", platforms.join(", ")));
            }
            BuildEvent::Step(report) => {
                self.step(&report);
                self.steps
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(report);
            }
            BuildEvent::StageBase { stage, base } => {
                let mut bases = self.bases.lock().unwrap_or_else(PoisonError::into_inner);
                bases.entry(stage).or_insert(base);
            }
            BuildEvent::Warning(warning) => self.say(&format!("warning: {warning}")),
            _ => {}
        }
    }

    fn step(&self, report: &StepReport) {
        let how = match report.how {
            How::Configured => "configured",
            How::Copied => "copied",
            How::Interpreted => "interpreted",
        };
        let layer = match &report.layer {
            Some(layer) => format!(", layer of {} bytes", layer.size),
            None => String::new(),
        };
        self.say(&format!(
            "[{}] {} {}: {how}{layer}",
            report.platform,
            report.place,
            first_line(&report.text)
        ));
        for line in String::from_utf8_lossy(&report.output).lines() {
            self.say(&format!("[{}]   | {line}", report.platform));
        }
    }
}

/// Heredocs and long lines are shown by their beginning.
pub(crate) fn first_line(text: &str) -> String {
    const WIDTH: usize = 80;
    let line = text.lines().next().unwrap_or_default();
    match line.char_indices().nth(WIDTH) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line.to_owned(),
    }
}
