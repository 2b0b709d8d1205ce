use std::sync::Arc;

use onlay_base::{BaseImage, ImageSource, ReadLayer};
use onlay_dockerfile::{ExpandedInstruction, Instruction, Located};
use onlay_image::Image;
use onlay_oci::Platform;
use onlay_sandbox::Rung;

use crate::commit::MadeLayer;
use crate::event::{How, Need, StepLayer, StepReport};
use crate::execution::Execution;
use crate::files::Files;
use crate::graph::Graph;
use crate::inputs::Inputs;
use crate::scope::StageScope;
use crate::step::{StepError, add, configure, copy, place, run, workdir};
use crate::{BuildEvent, BuildOptions, Events};

/// The image of one platform while its lines are carried out.
pub(crate) struct StageBuild<'a> {
    pub(crate) options: &'a BuildOptions,
    pub(crate) events: &'a Events,
    pub(crate) platform: Platform,
    pub(crate) image: Image,
    pub(crate) scope: StageScope,
    /// The base, if there is one.
    pub(crate) base: Option<(ImageSource, BaseImage)>,
    pub(crate) files: Files,
    /// The other stages, for lines that copy from them.
    pub(crate) graph: &'a Graph<'a>,
    /// Which stage of the file this is.
    pub(crate) position: usize,
    pub(crate) inputs: Arc<Inputs>,
    /// The layers made so far, base first.
    pub(crate) made: Vec<MadeLayer>,
    /// The root filesystem, once a line was executed.
    pub(crate) execution: Option<Execution>,
}

/// What one step did, as far as it goes beyond the configuration.
#[derive(Default)]
pub(crate) struct StepOutcome {
    pub(crate) layers: Vec<ReadLayer>,
    pub(crate) copied_up: (usize, u64),
    pub(crate) layer: Option<StepLayer>,
    pub(crate) output: Vec<u8>,
    /// Where it was executed.
    pub(crate) executed: Option<Rung>,
}

impl StageBuild<'_> {
    /// Carries out one line.
    pub(crate) async fn step(&mut self, line: &Located<Instruction>) -> Result<(), StepError> {
        let expanded = line.expand(&self.scope).map_err(StepError::Lines)?;
        let touches_files = matches!(
            expanded,
            ExpandedInstruction::Add(_)
                | ExpandedInstruction::Copy(_)
                | ExpandedInstruction::Run(_)
                | ExpandedInstruction::Workdir(_)
        );
        if touches_files && !self.platform.is_linux() {
            return Err(StepError::at(
                line,
                format!(
                    "{} cannot be carried out for {}",
                    line.value.keyword(),
                    self.platform
                ),
            )
            .with_hint(
                "choose the platforms with `--platform`: lines that touch files work on Linux images only",
            ));
        }
        let outcome = self.carry_out(line, expanded).await?;
        self.report(line, outcome, touches_files);
        Ok(())
    }

    async fn carry_out(
        &mut self,
        line: &Located<Instruction>,
        instruction: ExpandedInstruction,
    ) -> Result<StepOutcome, StepError> {
        match instruction {
            ExpandedInstruction::Add(add) => add::add(self, line, add).await,
            ExpandedInstruction::Copy(copy) => copy::copy(self, line, copy).await,
            ExpandedInstruction::Run(command) => run::run(self, line, command).await,
            ExpandedInstruction::Workdir(directory) => workdir::workdir(self, line, &directory).await,
            other => {
                let image = self.image.clone();
                self.image = configure::configure(image, &mut self.scope, other).map_err(|source| {
                    StepError::Image {
                        place: place(line),
                        source,
                    }
                })?;
                Ok(StepOutcome::default())
            }
        }
    }

    fn report(&self, line: &Located<Instruction>, outcome: StepOutcome, touches_files: bool) {
        let need = match (touches_files, outcome.copied_up.0, outcome.layers.is_empty()) {
            _ if outcome.executed.is_some() => Need::RootFilesystem,
            (false, ..) => Need::Configuration,
            (true, 0, _) => Need::Listings,
            (true, ..) => Need::Files,
        };
        self.events.send(BuildEvent::Step(StepReport {
            platform: self.platform.clone(),
            place: place(line),
            text: line.text.clone(),
            need,
            how: match line.value {
                Instruction::Add(_) | Instruction::Copy(_) => How::Copied,
                Instruction::Run(_) | Instruction::Workdir(_) => {
                    outcome.executed.map_or(How::Interpreted, How::Executed)
                }
                _ => How::Configured,
            },
            layers: outcome.layers,
            copied_up: outcome.copied_up,
            layer: outcome.layer,
            output: outcome.output,
        }));
    }

    /// Reads the next layer, or all that remain, under the tree.
    pub(crate) async fn read_more(&mut self, all: bool) -> Result<Vec<ReadLayer>, StepError> {
        Ok(self.files.read_more(all).await?)
    }

    pub(crate) fn warn_at(&self, line: &Located<Instruction>, message: &str) {
        self.events
            .send(BuildEvent::Warning(format!("{}: {message}", place(line))));
    }
}
