//! Cache mounts: directories that are kept between builds, each as one archive. A directory would be faster to come by
//! and could not hold other users' files where onlay is not root.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use onlay_base::BaseFiles;
use onlay_dockerfile::{Instruction, Located, Mount, MountType, Sharing};
use onlay_layer::{
    ChangeKind, CompressionOptions, Edit, ImagePath, LayerOptions, Lookup, Node, Tree, changes, read_archive,
    write_layer,
};
use onlay_oci::Digest;
use onlay_store::Blob;
use tempfile::NamedTempFile;

use crate::archive;
use crate::commit::base_files;
use crate::inputs::Contents;
use crate::stage::StageBuild;
use crate::step::StepError;

/// A cache that nobody else uses as long as this is held.
///
/// Where BuildKit lets several commands write at a time (`sharing=shared`), here they take turns.
pub(super) struct Cache {
    key: String,
    /// Where it is kept, if anywhere.
    kept: Option<Kept>,
    /// Where it is mounted, once it is.
    pub(super) target: Option<ImagePath>,
}

struct Kept {
    archive: PathBuf,
    _lock: File,
}

/// How often a lock is tried that somebody else has.
const PAUSE: Duration = Duration::from_millis(50);

/// After what time it is said that somebody is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// How many commands at a time may each have a cache of their own (`sharing=private`).
const MOST_PRIVATE: usize = 256;

/// What the cache's directory is called in its archive.
const NAME: &[u8] = b"cache";

impl Cache {
    /// What tells caches apart: the id, which is the target unless the line says otherwise, and what they start from
    /// (dockerfile.md 1.10).
    pub(super) fn key(mount: &Mount) -> String {
        let target = || {
            let target = mount.target.as_deref().unwrap_or_default();
            let is_absolute = target.starts_with('/');
            let names = target.split('/').filter(|name| !matches!(*name, "" | "."));
            let names: Vec<&str> = names.collect();
            format!("{}{}", if is_absolute { "/" } else { "" }, names.join("/"))
        };
        let id = mount.id.clone().unwrap_or_else(target);
        let from = mount.from.as_deref().unwrap_or_default();
        let source = mount.source.as_deref().unwrap_or_default();
        format!("{id}\0{from}\0{source}")
    }

    pub(super) fn is(&self, key: &str) -> bool {
        self.key == key
    }

    /// Takes all caches of a line, in an order that is the same for every line, so that none waits for another that
    /// waits for it.
    pub(super) async fn hold_all(
        stage: &StageBuild<'_>,
        line: &Located<Instruction>,
        mounts: &[Mount],
    ) -> Result<Vec<Self>, StepError> {
        let of_caches = mounts.iter().filter(|mount| mount.mount_type == MountType::Cache);
        let wanted: BTreeMap<String, Sharing> =
            of_caches.map(|mount| (Self::key(mount), mount.sharing)).collect();
        let Some(directory) = &stage.options.lent.caches else {
            if !wanted.is_empty() {
                stage.warn_at(
                    line,
                    "cache mounts are not kept: there is no cache directory (`--cache-dir`)",
                );
            }
            let unkept = wanted.into_keys().map(|key| Self {
                key,
                kept: None,
                target: None,
            });
            return Ok(unkept.collect());
        };
        let mut held = Vec::new();
        for (key, sharing) in wanted {
            let kept = hold(stage, line, directory, &key, sharing).await;
            let kept = kept.map_err(|error| {
                StepError::at(
                    line,
                    format!(
                        "a cache mount cannot be kept in `{}`: {error}",
                        directory.display()
                    ),
                )
            })?;
            held.push(Self {
                key,
                kept: Some(kept),
                target: None,
            });
        }
        Ok(held)
    }

    /// What the last command left in it.
    pub(super) async fn load(&self, stage: &StageBuild<'_>) -> io::Result<Option<Node>> {
        let Some(kept) = &self.kept else { return Ok(None) };
        let file = match fs_err::File::open(&kept.archive) {
            Ok(file) => file.into_file(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let blob = Blob::from_file(file)?;
        let reader = blob.reader();
        let read = tokio::task::spawn_blocking(move || {
            read_archive(archive::decompressed(Box::new(reader))?).map_err(io::Error::other)
        });
        let listing = read.await.map_err(io::Error::other)??;
        let diff_id = listing.diff_id.clone();
        let held = stage.inputs.hold(diff_id.digest().clone(), blob);
        stage.inputs.add_archive(diff_id, held);
        let tree = Tree::unread().over(&listing).completed();
        match tree.lookup(&place()?) {
            Lookup::Found(node) => Ok(Some(node.as_ref().clone())),
            Lookup::Absent | Lookup::Unknown => Ok(None),
        }
    }

    /// Keeps what is in it now.
    pub(super) async fn save(&self, stage: &StageBuild<'_>, node: Node) -> io::Result<()> {
        let Some(kept) = &self.kept else { return Ok(()) };
        let mut edit = Edit::new(&Tree::scratch());
        edit.put(&place()?, node).map_err(io::Error::other)?;
        let changes = changes(&Tree::scratch(), &edit.finish()).map_err(io::Error::other)?;
        let mut wanted = Vec::new();
        for change in &changes {
            if let ChangeKind::File(content) = &change.kind {
                base_files(content, &mut wanted);
            }
        }
        let files = BaseFiles::new(stage.options.temporary_directory.clone());
        let files = stage
            .inputs
            .fetch(files, &wanted)
            .await
            .map_err(io::Error::other)?;
        let inputs = stage.inputs.clone();
        let archive = kept.archive.clone();
        let written = tokio::task::spawn_blocking(move || {
            let directory = archive.parent().unwrap_or(Path::new("."));
            let file = NamedTempFile::new_in(directory)?;
            let options = LayerOptions {
                build_time: None,
                compression: CompressionOptions::zstd(),
            };
            let mut contents = Contents { inputs, files };
            let (_, file) = write_layer(&changes, &mut contents, &options, file).map_err(io::Error::other)?;
            file.persist(&archive).map_err(|error| error.error).map(drop)
        });
        written.await.map_err(io::Error::other)?
    }
}

fn place() -> io::Result<ImagePath> {
    ImagePath::root().join(NAME).map_err(io::Error::other)
}

/// Waits for a cache. Of a private one, a further one is made where all are in use.
async fn hold(
    stage: &StageBuild<'_>,
    line: &Located<Instruction>,
    directory: &Path,
    key: &str,
    sharing: Sharing,
) -> io::Result<Kept> {
    fs_err::create_dir_all(directory)?;
    let name = Digest::of(key.as_bytes()).encoded().to_owned();
    let most = match sharing {
        Sharing::Private => MOST_PRIVATE,
        Sharing::Shared | Sharing::Locked => 1,
    };
    let mut waited = Duration::ZERO;
    loop {
        for number in 0..most {
            let name = if number == 0 {
                name.clone()
            } else {
                format!("{name}.{number}")
            };
            let options = fs_err::OpenOptions::new();
            let lock = { options }
                .create(true)
                .truncate(false)
                .write(true)
                .open(directory.join(format!("{name}.lock")))?
                .into_file();
            match lock.try_lock() {
                Ok(()) => {
                    let archive = directory.join(format!("{name}.tar.zst"));
                    return Ok(Kept { archive, _lock: lock });
                }
                Err(std::fs::TryLockError::WouldBlock) => {}
                Err(std::fs::TryLockError::Error(error)) => return Err(error),
            }
        }
        if waited == PATIENCE {
            let id = key.split('\0').next().unwrap_or_default();
            stage.warn_at(
                line,
                &format!("waiting for another build that uses the cache `{id}`"),
            );
        }
        tokio::time::sleep(PAUSE).await;
        waited += PAUSE;
    }
}
