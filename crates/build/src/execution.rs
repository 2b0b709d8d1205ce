//! RUN lines that have to be executed: the stage's files as a directory, a sandbox around the command, and what it
//! changed as a tree.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use onlay_base::BaseFiles;
use onlay_context::DirectoryContext;
use onlay_layer::{Content, EditError, LayerOptions, Tree, read_listing};
use onlay_sandbox::{Command, Root, RootError, Rung, Sandbox, SandboxError, Status, Stop, UserError};

use crate::commit::{MadeLayer, base_files};
use crate::inputs::{Contents, Inputs};
use crate::mounting::Mounting;
use crate::options::RunMode;
use crate::room::Room;
use crate::stage::StageBuild;
use crate::{BuildEvent, BuildOptions};

/// Why a line could not be executed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExecutionError {
    /// The command could not be run.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// The root filesystem could not be made, or not be read again.
    #[error("the root filesystem could not be kept")]
    Root(#[from] RootError),
    /// `USER` names nobody.
    #[error(transparent)]
    User(#[from] UserError),
    /// There is no place for a root filesystem.
    #[error("there is no place for a root filesystem")]
    Room {
        /// What happened.
        source: io::Error,
    },
    /// An SSH agent could not be passed on.
    #[error("the SSH agent could not be passed on")]
    Agent {
        /// What happened.
        source: io::Error,
    },
    /// A file that the command left could not be read.
    #[error("what the command left could not be read")]
    Left {
        /// What happened.
        source: io::Error,
    },
}

/// The root filesystem of a stage; it goes with the stage.
#[derive(Debug)]
pub(crate) struct Execution {
    root: Root,
    /// What its files are called in contents.
    number: usize,
    _room: Room,
}

impl Execution {
    fn new(inputs: &Inputs, options: &BuildOptions, rung: Rung) -> Result<Self, ExecutionError> {
        let room = |source| ExecutionError::Room { source };
        let place = options.temporary_directory.as_deref();
        let place = place.ok_or_else(|| {
            room(io::Error::other(
                "no temporary directory is known; name one with `--tmp-dir`",
            ))
        })?;
        let directory = Room::new(place).map_err(room)?;
        let root = directory.path().join("root");
        fs_err::create_dir(&root).map_err(room)?;
        // Whatever the caller's umask: it is the root directory of users who are not root.
        fs_err::set_permissions(&root, Permissions::from_mode(0o755)).map_err(room)?;
        let files = DirectoryContext::open(&root).map_err(|error| room(io::Error::other(error)))?;
        Ok(Self {
            number: inputs.add_directory(Arc::new(files)),
            root: Root::new(root, rung),
            _room: directory,
        })
    }
}

/// Kills the command when the build is dropped, and waits until the root filesystem is gone.
struct StopOnDrop {
    stop: Stop,
    ended: mpsc::Receiver<()>,
}

/// How long is waited for that.
const PATIENCE: Duration = Duration::from_secs(10);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.stop.stop();
        // Nothing is ever sent: it ends when the thread does.
        _ = self.ended.recv_timeout(PATIENCE);
    }
}

/// The longest line that is kept back until it ends, in bytes.
const LONGEST_LINE: usize = 16 * 1024;

/// Cuts what a command prints into lines.
struct Lines<F> {
    begun: Vec<u8>,
    line: F,
}

impl<F: FnMut(&[u8])> Lines<F> {
    fn new(line: F) -> Self {
        Self {
            begun: Vec::new(),
            line,
        }
    }

    fn add(&mut self, text: &[u8]) {
        for piece in text.split_inclusive(|&byte| byte == b'\n') {
            self.begun.extend(piece);
            if piece.ends_with(b"\n") {
                self.begun.pop();
                self.flush();
            } else if self.begun.len() > LONGEST_LINE {
                self.flush();
            }
        }
    }

    fn flush(&mut self) {
        (self.line)(&self.begun);
        self.begun.clear();
    }

    fn finish(mut self) {
        if !self.begun.is_empty() {
            self.flush();
        }
    }
}

/// What a command did.
pub(crate) struct Executed {
    pub(crate) status: Status,
    pub(crate) after: Tree,
    pub(crate) execution: Execution,
}

impl StageBuild<'_> {
    /// The sandbox of this build, which is looked for once.
    pub(crate) async fn sandbox(&self) -> Result<Sandbox, ExecutionError> {
        let wanted = match self.options.run {
            RunMode::Execute(rung) => Some(rung),
            RunMode::Auto | RunMode::Interpret | RunMode::Never => None,
        };
        let found = self.inputs.sandbox.get_or_try_init(|| async {
            let found = tokio::task::spawn_blocking(move || Sandbox::find(wanted)).await;
            found.map_err(|error| SandboxError::Supervisor {
                source: io::Error::other(error),
            })?
        });
        Ok(found.await?.clone())
    }

    /// Runs a command over the stage's files, which are all known, and finds out what it changed.
    pub(crate) async fn execute(
        &mut self,
        sandbox: Sandbox,
        mounting: &Mounting,
        command: impl FnOnce(&Root) -> Result<Command, UserError> + Send + 'static,
        files: BaseFiles,
        place: String,
    ) -> Result<Executed, ExecutionError> {
        let execution = match self.execution.take() {
            Some(execution) => execution,
            None => Execution::new(&self.inputs, self.options, sandbox.rung())?,
        };
        let (tree, lent, agents) = (mounting.tree.clone(), mounting.lent(), mounting.agents.clone());
        let runtime = tokio::runtime::Handle::current();
        let inputs = self.inputs.clone();
        let (events, platform) = (self.events.clone(), self.platform.clone());
        let build_time = LayerOptions {
            build_time: self.options.time.map(|time| time.seconds()),
            compression: self.options.compression,
        }
        .made_up_time();
        let stop = Stop::default();
        let (running, ended) = mpsc::channel::<()>();
        let stopped = stop.clone();
        let guard = StopOnDrop { stop, ended };
        let work = tokio::task::spawn_blocking(move || {
            // Dropped last, when nothing is left of the root filesystem if that goes.
            let _running = running;
            let mut execution = execution;
            let mut contents = Contents { inputs, files };
            execution.root.update(&tree, &mut contents, build_time)?;
            let command = command(&execution.root)?;
            let mut lines = Lines::new(|line: &[u8]| {
                events.send(BuildEvent::Output {
                    platform: platform.clone(),
                    place: place.clone(),
                    line: line.to_vec(),
                });
            });
            let serving = {
                let _runtime = runtime.enter();
                let started = agents.iter().map(|agent| agent.start(&mut execution.root));
                let started: Vec<_> = started.collect::<Result<_, _>>()?;
                started.into_iter().collect::<io::Result<Vec<_>>>()
            };
            let serving = serving.map_err(|source| ExecutionError::Agent { source })?;
            let ran = sandbox.run(&mut execution.root, &command, &stopped, &mut |text| {
                lines.add(text)
            });
            drop(serving);
            // Whatever came of it: secrets do not stay.
            for path in &lent {
                execution.root.discard(path)?;
            }
            let status = ran?;
            lines.finish();
            if stopped.is_stopped() {
                let source = io::ErrorKind::Interrupted.into();
                return Err(SandboxError::Supervisor { source }.into());
            }
            let number = execution.number;
            let after = execution.root.changed(&|path, size| Content::Context {
                context: number,
                path: path.clone(),
                size,
            })?;
            Ok(Executed {
                status,
                after,
                execution,
            })
        });
        let executed = work.await;
        drop(guard);
        executed.map_err(|error| SandboxError::Supervisor {
            source: io::Error::other(error),
        })?
    }

    /// What of the stage's files the root filesystem lacks, to be fetched.
    pub(crate) fn lacking(&self, tree: &Tree) -> Result<Vec<Arc<onlay_layer::BaseFile>>, ExecutionError> {
        let scratch;
        let root = match &self.execution {
            Some(execution) => &execution.root,
            None => {
                scratch = Root::new(std::path::PathBuf::new(), Rung::Namespaces);
                &scratch
            }
        };
        let mut wanted = Vec::new();
        for change in root.missing(tree)? {
            if let onlay_layer::ChangeKind::File(content) = &change.kind {
                base_files(content, &mut wanted);
            }
        }
        Ok(wanted)
    }

    /// Goes on from the layer that was made of a command's changes: from here on its files are those of the layer, since
    /// the next command may change them on disk.
    pub(crate) async fn settle(
        &mut self,
        before: &Tree,
        made: &MadeLayer,
        mut execution: Execution,
        on_disk: impl FnOnce(&Tree) -> Result<Tree, EditError>,
    ) -> Result<(), ExecutionError> {
        let left = |source| ExecutionError::Left { source };
        let (blob, diff_id) = (made.blob.clone(), made.layer.diff_id.clone());
        let expected = diff_id.clone();
        let listing = tokio::task::spawn_blocking(move || read_listing(blob.reader(), &expected));
        let listing = listing.await.map_err(|error| left(io::Error::other(error)))?;
        let listing = listing.map_err(|error| left(io::Error::other(error)))?;
        let held = self.inputs.hold(made.layer.digest.clone(), made.blob.clone());
        self.inputs.add_archive(diff_id, held);
        let after = before.with_layer(&listing);
        execution.root.settle(on_disk(&after).map_err(RootError::from)?);
        self.files.tree = after;
        self.execution = Some(execution);
        Ok(())
    }
}
