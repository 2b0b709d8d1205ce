use onlay_dockerfile::{ExpandedCopy, Instruction, Located};
use onlay_layer::Tree;

use super::deliver::{Delivery, Goods, What, deliver};
use crate::files::Files;
use crate::plan::CopySource;
use crate::stage::{StageBuild, StepOutcome};
use crate::step::StepError;
use crate::transfer::Fault;

/// A COPY: out of the context, a stage, an image or a context with a name.
pub(crate) async fn copy(
    stage: &mut StageBuild<'_>,
    line: &Located<Instruction>,
    copy: ExpandedCopy,
) -> Result<StepOutcome, StepError> {
    let mut goods = Vec::new();
    if !copy.transfer.sources.is_empty() {
        let (files, origin) = match &copy.from {
            None => (context(stage, line).await?, "the build context".to_owned()),
            Some(from) => (named(stage, line, from).await?, format!("`{from}`")),
        };
        let source = |text: &String| Goods {
            files: files.clone(),
            what: What::Text(text.clone()),
            origin: origin.clone(),
            may_be_ignored: copy.from.is_none(),
        };
        goods.extend(copy.transfer.sources.iter().map(source));
    }
    goods.extend(inline(line, &copy.transfer)?);
    let delivery = Delivery {
        keyword: "COPY",
        parents: copy.parents,
        goods,
        transfer: copy.transfer,
    };
    deliver(stage, line, delivery).await
}

pub(crate) fn inline(
    line: &Located<Instruction>,
    transfer: &onlay_dockerfile::ExpandedTransfer,
) -> Result<Vec<Goods>, StepError> {
    Goods::inline(transfer).map_err(|fault| match fault {
        Fault::Message(message) => StepError::at(line, message),
        other => StepError::at(line, format!("{other:?}")),
    })
}

/// The files of the build context.
pub(crate) async fn context(stage: &StageBuild<'_>, line: &Located<Instruction>) -> Result<Files, StepError> {
    let contexts = &stage.graph.builder.contexts;
    match contexts.files(None, &stage.inputs).await? {
        Some(tree) => Ok(Files::of_tree(tree)),
        None => Err(
            StepError::at(line, "there is no build context to copy from".to_owned())
                .with_hint("name a directory with `--context DIR`"),
        ),
    }
}

/// The files that `--from` names.
pub(crate) async fn named(
    stage: &StageBuild<'_>,
    line: &Located<Instruction>,
    from: &str,
) -> Result<Files, StepError> {
    let graph = stage.graph;
    let source = graph.plan.copy_source(from, stage.position).map_err(|error| {
        let refusal = StepError::blame(line, from, error.message);
        match error.hint {
            Some(hint) => refusal.with_hint(&hint),
            None => refusal,
        }
    })?;
    match source {
        CopySource::Empty => Ok(Files::of_tree(Tree::scratch())),
        CopySource::Stage(position) => Ok(graph.stage(position).await.map_err(Box::new)?.files.clone()),
        CopySource::Image(location) => {
            let (source, image) = graph.image(&location, None).await.map_err(Box::new)?;
            Ok(graph.files(&source, &image))
        }
        CopySource::Context(name) => {
            let files = graph.builder.contexts.files(Some(&name), &stage.inputs).await?;
            Ok(Files::of_tree(files.unwrap_or_else(Tree::scratch)))
        }
    }
}
