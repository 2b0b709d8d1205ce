use std::sync::Arc;

use onlay_base::ReadLayer;
use onlay_context::Ignore;
use onlay_dockerfile::{ExpandedTransfer, Instruction, Located};
use onlay_image::history;
use onlay_layer::{
    ChangeKind, Content, ImagePath, Listing, Lookup, Metadata, ModificationTime, Node, Tree, changes,
};

use super::owner::{OwnerError, owner};
use crate::files::Files;
use crate::stage::{StageBuild, StepOutcome};
use crate::step::{StepError, place};
use crate::transfer::{Destination, Fault, FileMode, Selection, Transfer, Treatment, select};

/// What one COPY or ADD brings, and where.
pub(crate) struct Delivery {
    /// `COPY` or `ADD`.
    pub(crate) keyword: &'static str,
    pub(crate) parents: bool,
    /// What it copies, in order.
    pub(crate) goods: Vec<Goods>,
    /// The line's own words.
    pub(crate) transfer: ExpandedTransfer,
}

/// One source, with the tree that it is in.
pub(crate) struct Goods {
    pub(crate) files: Files,
    pub(crate) what: What,
    /// How errors call the tree: `the build context`.
    pub(crate) origin: String,
    /// Whether what is missing may have been left out by an ignore file.
    pub(crate) may_be_ignored: bool,
}

/// What of a tree is copied.
pub(crate) enum What {
    /// What a source of the line says, wildcards and all.
    Text(String),
    /// A path as it is.
    Path(ImagePath),
    /// What is in an archive.
    Archive(Arc<Listing>),
}

/// A file whose content the line gives.
const INLINE_MODE: u32 = 0o644;

impl Goods {
    /// The heredocs of a line, each a file of its own.
    pub(crate) fn inline(transfer: &ExpandedTransfer) -> Result<Vec<Self>, Fault> {
        let files = transfer.files.iter().map(|file| {
            let path = ImagePath::clamped(file.name.as_bytes())?;
            let content = Content::Bytes(file.content.as_bytes().into());
            let node = Node::file(
                Metadata::root_owned(INLINE_MODE),
                ModificationTime::Build,
                content,
            );
            Self::file(path, node)
        });
        files.collect()
    }

    /// One file, in a tree of its own.
    pub(crate) fn file(path: ImagePath, node: Node) -> Result<Self, Fault> {
        let name = ImagePath::root().join(path.name().unwrap_or_default())?;
        let mut edit = onlay_layer::Edit::new(&Tree::scratch());
        edit.put(&name, node)?;
        Ok(Self {
            files: Files::of_tree(edit.finish()),
            what: What::Path(name),
            origin: "the line".to_owned(),
            may_be_ignored: false,
        })
    }
}

/// Why one of the goods was not delivered, and which.
struct Refusal {
    index: usize,
    fault: Fault,
}

/// Puts everything where the line says, as one layer.
pub(crate) async fn deliver(
    stage: &mut StageBuild<'_>,
    line: &Located<Instruction>,
    mut delivery: Delivery,
) -> Result<StepOutcome, StepError> {
    let mut outcome = StepOutcome::default();
    let is_linked = delivery.transfer.link && delivery.transfer.chmod.is_none();
    let layer = if is_linked {
        let linked = attempt(stage, line, &mut delivery, &mut outcome, Some(&Tree::scratch())).await?;
        warn_of_breakage(stage, line, &linked);
        stage.commit_linked(line, &linked, &mut outcome).await?
    } else {
        loop {
            let after = attempt(stage, line, &mut delivery, &mut outcome, None).await?;
            if let Some(layer) = stage.commit(line, after, &mut outcome).await? {
                break layer;
            }
            outcome.layers.extend(stage.read_more(true).await?);
        }
    };
    let created_by = created_by(&delivery);
    stage.image = stage
        .image
        .clone()
        .with_layer(layer, created_by)
        .map_err(|source| StepError::Image {
            place: place(line),
            source,
        })?;
    Ok(outcome)
}

/// Copies until no question is left, into what the stage has or into another tree; each answer makes it start again.
async fn attempt(
    stage: &mut StageBuild<'_>,
    line: &Located<Instruction>,
    delivery: &mut Delivery,
    outcome: &mut StepOutcome,
    other: Option<&Tree>,
) -> Result<Tree, StepError> {
    let mut has_read = false;
    loop {
        let into = other.unwrap_or(&stage.files.tree);
        let refusal = match copy_all(stage, line, delivery, into) {
            Ok(tree) => return Ok(tree),
            Err(refusal) => refusal,
        };
        let read: Vec<ReadLayer> = match refusal.fault {
            Fault::UnreadDestination if !stage.files.tree.is_complete() => {
                // What is there is mostly decided by the topmost layers; what is not, by all of them.
                let read = stage.read_more(has_read).await?;
                has_read = true;
                read
            }
            Fault::UnreadSource => match delivery.goods.get_mut(refusal.index) {
                Some(goods) if !goods.files.tree.is_complete() => goods.files.read_more(true).await?,
                _ => return Err(refused(stage, line, delivery, refusal)),
            },
            _ => return Err(refused(stage, line, delivery, refusal)),
        };
        outcome.layers.extend(read);
    }
}

fn copy_all(
    stage: &StageBuild<'_>,
    line: &Located<Instruction>,
    delivery: &Delivery,
    into: &Tree,
) -> Result<Tree, Refusal> {
    let of_line = |fault| Refusal { index: 0, fault };
    let treatment = treatment(stage, &delivery.transfer, into).map_err(of_line)?;
    let working_directory = stage
        .image
        .working_dir()
        .map_err(|error| of_line(Fault::Message(error.to_string())))?;
    let destination =
        Destination::new(&delivery.transfer.destination, &working_directory).map_err(of_line)?;
    let mut transfer = Transfer::new(into, &treatment);
    for (index, goods) in delivery.goods.iter().enumerate() {
        let copied = copy_goods(&mut transfer, goods, delivery.parents, &destination);
        match copied {
            Ok(true) => {}
            Ok(false) => stage.warn_at(line, "a source matches nothing, so nothing is copied for it"),
            Err(fault) => return Err(Refusal { index, fault }),
        }
    }
    Ok(transfer.finish())
}

/// Copies one source; tells whether there was anything to copy.
fn copy_goods(
    transfer: &mut Transfer<'_>,
    goods: &Goods,
    parents: bool,
    destination: &Destination,
) -> Result<bool, Fault> {
    let source = &goods.files.tree;
    match &goods.what {
        What::Path(path) => transfer.copy(source, path, destination)?,
        What::Archive(archive) => transfer.unpack(archive, destination)?,
        What::Text(text) if parents => {
            return transfer.copy_with_parents(source, text.as_bytes(), destination);
        }
        What::Text(text) => match select(source, text.as_bytes())? {
            Selection::Path(path) => transfer.copy(source, &path, destination)?,
            Selection::Matches(paths) => {
                for path in &paths {
                    transfer.copy(source, path, destination)?;
                }
                return Ok(!paths.is_empty());
            }
        },
    }
    Ok(true)
}

fn treatment(stage: &StageBuild<'_>, transfer: &ExpandedTransfer, into: &Tree) -> Result<Treatment, Fault> {
    let owner = transfer.chown.as_deref().map(|chown| match owner(into, chown) {
        Ok(owner) => Ok(owner),
        Err(OwnerError::Unknown) => Err(Fault::UnreadDestination),
        Err(OwnerError::NoSuchName(message) | OwnerError::Message(message)) => Err(Fault::Message(message)),
    });
    let mode = transfer.chmod.as_deref().map(FileMode::parse);
    let exclude = Ignore::from_patterns(transfer.exclude.iter().map(String::as_bytes));
    Ok(Treatment {
        owner: owner.transpose()?,
        mode: mode
            .transpose()
            .map_err(|error| Fault::Message(error.to_string()))?,
        exclude: exclude.map_err(|error| Fault::Message(error.to_string()))?,
        latest: stage.options.time.map(|time| time.seconds()),
    })
}

/// The history's text.
fn created_by(delivery: &Delivery) -> String {
    let transfer = &delivery.transfer;
    let heredocs: Vec<String> = transfer.files.iter().map(|file| file.name.clone()).collect();
    history::transfer(&history::Transfer {
        keyword: delivery.keyword,
        parents: delivery.parents,
        chown: transfer.chown.as_deref(),
        chmod: transfer.chmod.as_deref(),
        sources: &transfer.sources,
        heredocs: &heredocs,
        destination: &transfer.destination,
    })
}

fn refused(
    stage: &StageBuild<'_>,
    line: &Located<Instruction>,
    delivery: &Delivery,
    Refusal { index, fault }: Refusal,
) -> StepError {
    let goods = delivery.goods.get(index);
    let text = match goods.map(|goods| &goods.what) {
        Some(What::Text(text)) => text.as_str(),
        _ => "",
    };
    match fault {
        Fault::Message(message) => StepError::at(line, message),
        Fault::UnreadSource | Fault::UnreadDestination => {
            StepError::at(line, "what is in the image cannot be known".to_owned())
        }
        Fault::NotFound(path) => {
            let origin = goods.map_or("the source", |goods| goods.origin.as_str());
            let error = StepError::blame(line, text, format!("`{path}` is not in {origin}"));
            let is_ignored = goods.is_some_and(|goods| goods.may_be_ignored)
                && stage.graph.builder.contexts.ignores(&path);
            if is_ignored {
                error.with_hint("the ignore file (`.dockerignore`) leaves it out")
            } else {
                error
            }
        }
    }
}

/// Says what `--link` breaks, as far as the image's files are known by now; nothing is read to find out.
///
/// Source: dockerfile.md §5.3.
fn warn_of_breakage(stage: &StageBuild<'_>, line: &Located<Instruction>, linked: &Tree) {
    for change in changes(&Tree::scratch(), linked).unwrap_or_default() {
        let Lookup::Found(node) = stage.files.tree.lookup(&change.path) else {
            continue;
        };
        let (was, is) = (node.is_directory(), change.kind == ChangeKind::Directory);
        if was != is {
            let path = &change.path;
            stage.warn_at(
                line,
                &format!("`--link` replaces `{path}` of the image, with all below it"),
            );
        } else if is && node.metadata != change.metadata {
            let (path, mode) = (&change.path, change.metadata.mode);
            stage.warn_at(
                line,
                &format!(
                    "`--link` gives `{path}` of the image mode {mode:o} and owner 0:0 or that of `--chown`"
                ),
            );
        }
    }
}
