mod json;
mod lines;
mod raw_json;
mod status;

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::sync::{Arc, Mutex, PoisonError};

use onlay_build::{BuildEvent, Events, StageBases, StepReport};
use onlay_oci::Registry;
use onlay_push::{GrowingUploads, LeftOut};
use onlay_registry::{Client, Event, Observer, PullLimit, Retry, Traffic};

use self::status::Status;
use crate::failure::Usage;
use crate::options::{ProgressChoice, ShowOptions};
use crate::output::Published;
use crate::{explain, terminal, time};

/// Shows on standard error what happens, and keeps what `--explain` prints in the end.
#[derive(Clone)]
pub(crate) struct Progress {
    shows: Arc<Shows>,
    steps: Arc<Mutex<Vec<StepReport>>>,
    bases: Arc<Mutex<StageBases>>,
}

/// How it is shown.
enum Shows {
    Nothing,
    Lines,
    Status(Status),
    Json,
    RawJson,
}

/// Something to show.
pub(crate) enum Notice<'a> {
    /// The engine tells it.
    Build(&'a BuildEvent),
    /// The image has this time, and why.
    Created { time: String, from: &'static str },
    /// Something is probably not what the author wants.
    Warning(String),
    /// The image is at a destination.
    Published(&'a Published),
    /// What belongs to an image is at a destination too.
    Belongings {
        /// The destination as it is named, with its tag.
        destination: &'a str,
        /// How many manifests were there.
        present: usize,
        /// How many were copied.
        copied: usize,
    },
    /// Something is not at a destination although it belongs there.
    LeftOut(&'a LeftOut),
    /// Something is tried again.
    Retry(&'a Retry),
    /// What the run cost on the network.
    Network(&'a Network),
}

/// What a run cost on the network.
pub(crate) struct Network {
    pub traffic: Traffic,
    /// What is left of what may be pulled, by registry.
    pub pull_limits: BTreeMap<Registry, PullLimit>,
}

impl Network {
    /// So far.
    pub(crate) fn of(client: &Client) -> Self {
        Self {
            traffic: client.counters().traffic(),
            pull_limits: client.pull_limits(),
        }
    }
}

impl Progress {
    /// Shows as much as was asked for; what moves is shown on terminals only.
    pub(crate) fn new(options: &ShowOptions) -> Result<Self, Usage> {
        let is_terminal = std::io::stderr().is_terminal();
        let shows = match options.progress {
            _ if options.quiet => Shows::Nothing,
            ProgressChoice::Quiet => Shows::Nothing,
            ProgressChoice::Tty if !is_terminal => {
                return Err(Usage(
                    "`--progress=tty` needs a terminal on standard error; use `--progress=plain`".to_owned(),
                ));
            }
            ProgressChoice::Auto if !is_terminal => Shows::Lines,
            ProgressChoice::Auto | ProgressChoice::Tty => Shows::Status(Status::start()),
            ProgressChoice::Plain => Shows::Lines,
            ProgressChoice::Json => Shows::Json,
            ProgressChoice::Rawjson => Shows::RawJson,
        };
        Ok(Self {
            shows: Arc::new(shows),
            steps: Arc::default(),
            bases: Arc::default(),
        })
    }

    /// Shows lines, for commands that let nobody choose.
    pub(crate) fn lines() -> Self {
        Self {
            shows: Arc::new(Shows::Lines),
            steps: Arc::default(),
            bases: Arc::default(),
        }
    }

    /// Gives the engine a place to send its events to. Layers that grow large begin their uploads there.
    pub(crate) fn events(&self, growing: Option<GrowingUploads>) -> Events {
        let progress = self.clone();
        Events::new(move |event| {
            if let (BuildEvent::LayerGrows(blob), Some(growing)) = (&event, &growing) {
                growing.begin(blob);
            }
            progress.receive(event);
        })
    }

    /// Gives registries a place to say what is tried again.
    pub(crate) fn observer(&self) -> Observer {
        let progress = self.clone();
        Observer::new(move |event| match event {
            Event::Retry(retry) => progress.tell(&Notice::Retry(&retry)),
            Event::MirrorPassedOver { mirror, why } => {
                progress.tell(&Notice::Warning(format!(
                    "mirror `{mirror}` was passed over: {why}"
                )));
            }
            Event::MirrorUnchecked { mirror, origin, why } => {
                progress.tell(&Notice::Warning(format!(
                    "mirror `{mirror}` is believed, since `{origin}` does not answer: {why}"
                )));
            }
            _ => {}
        })
    }

    /// Shows something.
    pub(crate) fn tell(&self, notice: &Notice<'_>) {
        match &*self.shows {
            Shows::Nothing => {}
            Shows::Lines => lines::render(notice).iter().for_each(|line| terminal::say(line)),
            Shows::Status(status) => lines::render(notice).iter().for_each(|line| status.print(line)),
            Shows::Json => json::render(notice)
                .iter()
                .for_each(|object| terminal::say(&object.to_string())),
            Shows::RawJson => {
                let now = time::now().map(|now| now.to_string()).unwrap_or_default();
                let object = raw_json::render(notice, &now);
                object
                    .iter()
                    .for_each(|object| terminal::say(&object.to_string()));
            }
        }
    }

    /// Says what goes on, where that is shown.
    pub(crate) fn status(&self, text: String) {
        if let Shows::Status(status) = &*self.shows {
            status.say(text);
        }
    }

    /// Shows nothing that moves any more, so that others can print.
    pub(crate) fn finish(&self) {
        if let Shows::Status(status) = &*self.shows {
            status.clear();
        }
    }

    /// The images that stages started from so far.
    pub(crate) fn stage_bases(&self) -> StageBases {
        self.bases.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Prints for each instruction what it needed and cost, which programs are told of each line anyhow.
    pub(crate) fn explain(&self, network: &Network) {
        let network = Notice::Network(network);
        match &*self.shows {
            Shows::Json | Shows::RawJson => self.tell(&network),
            Shows::Nothing | Shows::Lines | Shows::Status(_) => {
                self.finish();
                let steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
                terminal::say(explain::render(&steps).trim_end());
                lines::render(&network)
                    .iter()
                    .for_each(|line| terminal::say(line));
            }
        }
    }

    fn receive(&self, event: BuildEvent) {
        self.tell(&Notice::Build(&event));
        match event {
            BuildEvent::Step(report) => {
                let mut steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
                steps.push(report);
                self.status(format!("building, lines done: {}", steps.len()));
            }
            BuildEvent::StageBase { stage, base } => {
                let mut bases = self.bases.lock().unwrap_or_else(PoisonError::into_inner);
                bases.entry(stage).or_insert(base);
            }
            _ => {}
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
