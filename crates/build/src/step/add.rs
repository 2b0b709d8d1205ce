use std::sync::Arc;

use onlay_context::{CheckoutOptions, GitSource};
use onlay_dockerfile::{ExpandedAdd, Instruction, Located, SourceKind};
use onlay_fetch::Fetcher;
use onlay_layer::{
    Content, ImagePath, LastLink, Listing, Metadata, ModificationTime, Node, NodeKind, Tree, read_archive,
};
use onlay_oci::Digest;

use super::copy::{context, inline};
use super::deliver::{Delivery, Goods, What, deliver};
use crate::archive;
use crate::files::Files;
use crate::inputs::Inputs;
use crate::stage::{StageBuild, StepOutcome};
use crate::step::StepError;
use crate::transfer::{Fault, Selection, select};

/// What ADD gives to a file that it downloaded (Dockerfile reference, "ADD").
const DOWNLOAD_MODE: u32 = 0o600;

/// An ADD: files of the context, archives of it unpacked, downloads and git repositories.
pub(crate) async fn add(
    stage: &mut StageBuild<'_>,
    line: &Located<Instruction>,
    add: ExpandedAdd,
) -> Result<StepOutcome, StepError> {
    let mut goods = Vec::new();
    for source in &add.transfer.sources {
        match SourceKind::of(source) {
            SourceKind::Path => goods.extend(local(stage, line, &add, source).await?),
            SourceKind::Http => goods.push(download(stage, line, &add, source).await?),
            SourceKind::Git => goods.push(repository(stage, line, &add, source).await?),
        }
    }
    goods.extend(inline(line, &add.transfer)?);
    let delivery = Delivery {
        keyword: "ADD",
        parents: false,
        goods,
        transfer: add.transfer,
    };
    deliver(stage, line, delivery).await
}

/// Files of the context; of those that are archives what is in them, unless `--unpack=false`.
async fn local(
    stage: &StageBuild<'_>,
    line: &Located<Instruction>,
    add: &ExpandedAdd,
    source: &str,
) -> Result<Vec<Goods>, StepError> {
    let files = context(stage, line).await?;
    let goods = |what| Goods {
        files: files.clone(),
        what,
        origin: "the build context".to_owned(),
        may_be_ignored: true,
    };
    if add.unpack == Some(false) {
        return Ok(vec![goods(What::Text(source.to_owned()))]);
    }
    let selected = select(&files.tree, source.as_bytes());
    let paths = match selected {
        Ok(Selection::Path(path)) => vec![path],
        Ok(Selection::Matches(paths)) if !paths.is_empty() => paths,
        // Copying says what is wrong with it.
        Ok(Selection::Matches(_)) | Err(_) => return Ok(vec![goods(What::Text(source.to_owned()))]),
    };
    let mut all = Vec::new();
    for path in paths {
        let what = match file_at(&files.tree, &path) {
            Some(content) => unpacked(stage, line, source, content).await?,
            None => None,
        };
        all.push(goods(what.unwrap_or(What::Path(path))));
    }
    Ok(all)
}

/// The content of a regular file, links followed.
fn file_at(tree: &Tree, path: &ImagePath) -> Option<Content> {
    let absolute = [b"/", path.as_bytes()].concat();
    let resolved = tree
        .resolve(&absolute, &ImagePath::root(), LastLink::Follow)
        .ok()?;
    match &resolved.node?.kind {
        NodeKind::File(content) => Some(content.clone()),
        _ => None,
    }
}

async fn download(
    stage: &StageBuild<'_>,
    line: &Located<Instruction>,
    add: &ExpandedAdd,
    url: &str,
) -> Result<Goods, StepError> {
    let expected = add.checksum.as_deref().map(str::parse::<Digest>).transpose();
    let expected = expected.map_err(|error| StepError::blame(line, url, error.to_string()))?;
    let failed = |source| StepError::Download {
        place: super::place(line),
        source: Box::new(source),
    };
    let fetcher = Fetcher::new(stage.graph.builder.fetch.clone()).map_err(failed)?;
    let download = fetcher.download(url, expected.as_ref()).await.map_err(failed)?;
    let content = stage.inputs.hold(download.digest, download.content);
    let name = ImagePath::clamped(&download.file_name);
    let name = name.map_err(|error| StepError::blame(line, url, error.to_string()))?;
    let mtime = ModificationTime::Seconds(download.last_modified.unwrap_or(0));
    let node = Node::file(Metadata::root_owned(DOWNLOAD_MODE), mtime, content.clone());
    let mut goods = Goods::file(name, node).map_err(|fault| match fault {
        Fault::Message(message) => StepError::blame(line, url, message),
        other => StepError::blame(line, url, format!("{other:?}")),
    })?;
    if add.unpack == Some(true)
        && let Some(what) = unpacked(stage, line, url, content).await?
    {
        goods.what = what;
    }
    Ok(goods)
}

/// The files of a git repository, or of a directory in it.
async fn repository(
    stage: &StageBuild<'_>,
    line: &Located<Instruction>,
    add: &ExpandedAdd,
    address: &str,
) -> Result<Goods, StepError> {
    let refuse = |message: String| StepError::blame(line, address, message);
    let source = GitSource::parse(address).map_err(|error| refuse(error.to_string()))?;
    let source = source.ok_or_else(|| refuse("this is no address of a git repository".to_owned()))?;
    let options = CheckoutOptions {
        keep_git_dir: add.keep_git_dir,
        checksum: add.checksum.clone(),
    };
    let directory = stage.options.temporary_directory.clone().ok_or_else(|| {
        refuse("there is no temporary directory to check the repository out into".to_owned())
    })?;
    let inputs = stage.inputs.clone();
    let checked_out = tokio::task::spawn_blocking(move || inputs.check_out(&source, &options, &directory));
    let tree = checked_out.await.map_err(|_| StepError::Worker)?;
    let tree = tree.map_err(|source| StepError::Repository {
        place: super::place(line),
        source,
    })?;
    Ok(Goods {
        files: Files::of_tree(tree),
        what: What::Path(ImagePath::root()),
        origin: format!("`{address}`"),
        may_be_ignored: false,
    })
}

/// The content as an archive, if it is one.
async fn unpacked(
    stage: &StageBuild<'_>,
    line: &Located<Instruction>,
    source: &str,
    content: Content,
) -> Result<Option<What>, StepError> {
    let inputs = stage.inputs.clone();
    let listed = tokio::task::spawn_blocking(move || list(&inputs, content));
    match listed.await.map_err(|_| StepError::Worker)? {
        Ok(listing) => Ok(listing.map(|listing| What::Archive(Arc::new(listing)))),
        Err(error) => Err(StepError::Archive {
            place: super::place(line),
            archive: source.to_owned(),
            source: error,
        }),
    }
}

fn list(inputs: &Inputs, content: Content) -> Result<Option<Listing>, onlay_layer::LayerReadError> {
    let failed = onlay_layer::LayerReadError::Stream;
    if !archive::is_tar(inputs.open(&content).map_err(failed)?).map_err(failed)? {
        return Ok(None);
    }
    let tar = inputs
        .open(&content)
        .and_then(archive::decompressed)
        .map_err(failed)?;
    let listing = read_archive(tar)?;
    inputs.add_archive(listing.diff_id.clone(), content);
    Ok(Some(listing))
}
