use std::sync::Arc;

use onlay_base::BaseFiles;
use onlay_dockerfile::{Instruction, Located};
use onlay_image::NewLayer;
use onlay_layer::{
    BaseFile, Change, ChangeError, ChangeKind, Content, LayerOptions, Tree, WrittenLayer, changes,
    write_layer,
};
use onlay_oci::{Descriptor, Family, MediaType};
use onlay_store::{Blob, Spool};

use crate::BuildEvent;
use crate::event::StepLayer;
use crate::inputs::Contents;
use crate::stage::{StageBuild, StepOutcome};
use crate::step::{StepError, place};
use crate::unchanged::{Doubtful, doubtful, restored};

/// A layer made by an instruction, with its bytes.
#[derive(Clone)]
pub(crate) struct MadeLayer {
    pub(crate) layer: WrittenLayer,
    pub(crate) blob: Blob,
}

impl MadeLayer {
    /// The layer as a descriptor, whose family does not matter, with its bytes.
    pub(crate) fn described(self) -> (Descriptor, Blob) {
        (self.descriptor(), self.blob)
    }

    fn descriptor(&self) -> Descriptor {
        let media_type = MediaType::Layer(Family::Oci, self.layer.compression);
        Descriptor::new(media_type, self.layer.digest.clone(), self.layer.size)
    }
}

impl StageBuild<'_> {
    /// Writes what differs between the tree and `after` as a layer, and goes on from `after`.
    ///
    /// `None` means that a further layer of the base must be read first, and nothing was done.
    pub(crate) async fn commit(
        &mut self,
        line: &Located<Instruction>,
        after: Tree,
        outcome: &mut StepOutcome,
    ) -> Result<Option<NewLayer>, StepError> {
        let before = self.files.tree.clone();
        let compare = |after: &Tree| match changes(&before, after) {
            Ok(changes) => Ok(Some(changes)),
            Err(ChangeError::Unknown(_)) => Ok(None),
            Err(source) => Err(not_a_layer(line, source)),
        };
        let Some(changes) = compare(&after)? else {
            return Ok(None);
        };
        let (after, changes) = match doubtful(&before, &changes) {
            none if none.is_empty() => (after, changes),
            doubtful => {
                let after = self.restored(after, doubtful).await?;
                let changes = compare(&after)?.unwrap_or(changes);
                (after, changes)
            }
        };
        let new = self.add_layer(line, changes, outcome).await?;
        self.files.tree = after;
        Ok(Some(new))
    }

    async fn restored(&self, after: Tree, doubtful: Vec<Doubtful>) -> Result<Tree, StepError> {
        let inputs = self.inputs.clone();
        tokio::task::spawn_blocking(move || restored(&after, doubtful, &inputs))
            .await
            .map_err(|_| StepError::Worker)
    }

    /// Writes a tree of its own as a layer, and lays it over what is there, seen or not.
    pub(crate) async fn commit_linked(
        &mut self,
        line: &Located<Instruction>,
        linked: &Tree,
        outcome: &mut StepOutcome,
    ) -> Result<NewLayer, StepError> {
        let changes = changes(&Tree::scratch(), linked).map_err(|source| not_a_layer(line, source))?;
        let new = self.add_layer(line, changes, outcome).await?;
        self.files.tree = linked.as_layer_over(&self.files.tree);
        Ok(new)
    }

    async fn add_layer(
        &mut self,
        line: &Located<Instruction>,
        changes: Vec<Change>,
        outcome: &mut StepOutcome,
    ) -> Result<NewLayer, StepError> {
        let entries = changes.len();
        let files = self.copy_up(&changes, outcome).await?;
        let made = self.write(line, changes, files).await?;
        outcome.layer = Some(StepLayer {
            digest: made.layer.digest.clone(),
            size: made.layer.size,
            entries,
        });
        let new = NewLayer {
            descriptor: made.descriptor(),
            diff_id: made.layer.diff_id.clone(),
        };
        self.made.push(made);
        Ok(new)
    }

    /// Fetches the files of the base that the layer holds again.
    async fn copy_up(&self, changes: &[Change], outcome: &mut StepOutcome) -> Result<BaseFiles, StepError> {
        let mut wanted = Vec::new();
        changes.iter().for_each(|change| {
            if let ChangeKind::File(content) = &change.kind {
                base_files(content, &mut wanted);
            }
        });
        let files = BaseFiles::new(self.options.temporary_directory.clone());
        outcome.copied_up = (wanted.len(), wanted.iter().map(|file| file.size).sum());
        Ok(self.inputs.fetch(files, &wanted).await?)
    }

    async fn write(
        &self,
        line: &Located<Instruction>,
        changes: Vec<Change>,
        files: BaseFiles,
    ) -> Result<MadeLayer, StepError> {
        let options = LayerOptions {
            build_time: self.options.time.map(|time| time.seconds()),
            compression: self.options.compression,
        };
        let spool = self.spool();
        let inputs = self.inputs.clone();
        let written = tokio::task::spawn_blocking(move || {
            let mut contents = Contents { inputs, files };
            let (layer, spool) = write_layer(&changes, &mut contents, &options, spool)?;
            Ok((layer, spool))
        });
        let (layer, spool) =
            written
                .await
                .map_err(|_| StepError::Worker)?
                .map_err(|source| StepError::Layer {
                    place: place(line),
                    source,
                })?;
        let digest = layer.digest.clone();
        Ok(MadeLayer {
            layer,
            blob: spool.finish_as(digest),
        })
    }

    /// Where the next layer's bytes go. One that belongs to the image is announced when it grows large.
    fn spool(&self) -> Spool {
        let spool = Spool::new(self.options.temporary_directory.clone());
        if !self.graph.plan.is_published(self.position) {
            return spool;
        }
        let (inputs, events) = (self.inputs.clone(), self.events.clone());
        let (stage, layer) = (self.position, self.made.len());
        spool.with_listener(move |blob| {
            if inputs.is_first_announced(stage, layer) {
                events.send(BuildEvent::LayerGrows(blob));
            }
        })
    }
}

fn not_a_layer(line: &Located<Instruction>, source: ChangeError) -> StepError {
    StepError::Changes {
        place: place(line),
        source,
    }
}

pub(crate) fn base_files(content: &Content, wanted: &mut Vec<Arc<BaseFile>>) {
    match content {
        Content::Base(file) => wanted.push(file.clone()),
        Content::Concatenation(parts) => parts.iter().for_each(|part| base_files(part, wanted)),
        Content::Bytes(_) | Content::Context { .. } | Content::Held { .. } => {}
    }
}
