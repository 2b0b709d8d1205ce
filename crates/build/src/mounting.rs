//! The mounts of a RUN as an edit of trees: what is mounted is put into the tree before the line is carried out, and what
//! was there before is put back afterwards. So a mount means the same whether the line is interpreted or executed, on
//! every rung.

mod agent;
mod cache;
mod prepare;

use onlay_layer::{ChangeError, Edit, EditError, ImagePath, Lookup, Tree, changes};
use onlay_sandbox::{MountKind, MountPoint, SecretText};

pub(crate) use agent::Agent;
use cache::Cache;
pub(crate) use prepare::AGENT_VARIABLE;

/// What one RUN mounts.
pub(crate) struct Mounting {
    /// The files without mounts.
    before: Tree,
    /// The files as the line finds them.
    pub(crate) tree: Tree,
    /// In the order in which they are mounted.
    mounted: Vec<Mounted>,
    /// Variables that secrets and agents come in.
    pub(crate) environment: Vec<(String, SecretText)>,
    pub(crate) agents: Vec<Agent>,
    caches: Vec<Cache>,
}

/// Something that is mounted.
struct Mounted {
    /// Where, through no symbolic link.
    target: ImagePath,
    /// The directories that were made on the way there, outermost first.
    made: Vec<ImagePath>,
    what: What,
}

/// What becomes of a mount when the line is done.
#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    /// It is thrown away, with what was written to it.
    Files { read_only: bool },
    /// It is thrown away.
    Memory(Option<u64>),
    /// It is kept for the next build.
    Cache { read_only: bool },
    /// It is removed as soon as the command has ended.
    Lent,
}

/// Why what a line did cannot be kept.
#[derive(Debug)]
pub(crate) enum Misuse {
    /// It wrote to what is read-only there.
    ReadOnly { path: ImagePath, target: ImagePath },
    /// It removed the place of a mount.
    Removed(ImagePath),
}

impl Mounting {
    /// No mounts.
    pub(crate) fn none(tree: &Tree) -> Self {
        Self {
            before: tree.clone(),
            tree: tree.clone(),
            mounted: Vec::new(),
            environment: Vec::new(),
            agents: Vec::new(),
            caches: Vec::new(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.mounted.is_empty() && self.environment.is_empty()
    }

    /// Whether the line can be interpreted: caches are kept and secrets are shown only by executing.
    pub(crate) fn is_interpretable(&self) -> bool {
        let is_plain = |mounted: &Mounted| matches!(mounted.what, What::Files { .. } | What::Memory(_));
        self.environment.is_empty() && self.mounted.iter().all(is_plain)
    }

    /// What the sandbox is told.
    pub(crate) fn points(&self) -> Vec<MountPoint> {
        let kind = |what| match what {
            What::Files { read_only } | What::Cache { read_only } if read_only => Some(MountKind::ReadOnly),
            What::Files { .. } | What::Cache { .. } => Some(MountKind::Writable),
            What::Memory(size) => Some(MountKind::Memory(size)),
            What::Lent => None,
        };
        let points = self.mounted.iter().filter_map(|mounted| {
            Some(MountPoint {
                path: mounted.target.to_string(),
                kind: kind(mounted.what)?,
            })
        });
        points.collect()
    }

    /// What must be gone as soon as the command has ended.
    pub(crate) fn lent(&self) -> Vec<ImagePath> {
        let lent = self.mounted.iter().filter(|mounted| mounted.what == What::Lent);
        lent.map(|mounted| mounted.target.clone()).collect()
    }

    /// The files without what was mounted, and with what the line did to all others.
    pub(crate) fn unmounted(&self, after: &Tree) -> Result<Tree, Misuse> {
        self.check(after)?;
        let mut edit = Edit::new(after);
        for mounted in self.mounted.iter().rev() {
            self.put_back(&mut edit, mounted)
                .map_err(|_| Misuse::Removed(mounted.target.clone()))?;
        }
        Ok(edit.finish())
    }

    fn put_back(&self, edit: &mut Edit, mounted: &Mounted) -> Result<(), EditError> {
        if mounted.what == What::Lent && is_absent(edit.tree(), &mounted.target) {
            // It may have gone with its directory.
            if is_absent(&self.before, &mounted.target) {
                return remove_empty(edit, &mounted.made);
            }
        }
        match self.before.lookup(&mounted.target) {
            Lookup::Found(node) => edit.put(&mounted.target, node.as_ref().clone())?,
            Lookup::Absent | Lookup::Unknown => edit.remove(&mounted.target)?,
        }
        remove_empty(edit, &mounted.made)
    }

    /// Looks for what a mount would not have allowed.
    fn check(&self, after: &Tree) -> Result<(), Misuse> {
        for mounted in self.mounted.iter().filter(|mounted| mounted.what != What::Lent) {
            if !matches!(after.lookup(&mounted.target), Lookup::Found(_)) {
                return Err(Misuse::Removed(mounted.target.clone()));
            }
        }
        for path in changed(&self.tree, after) {
            // Of mounts in one another the last counts.
            let over = self
                .mounted
                .iter()
                .rev()
                .find(|mounted| path.is_within(&mounted.target));
            if let Some(mounted) = over
                && matches!(
                    mounted.what,
                    What::Files { read_only: true } | What::Cache { read_only: true }
                )
            {
                let target = mounted.target.clone();
                return Err(Misuse::ReadOnly { path, target });
            }
        }
        Ok(())
    }

    /// The files that a root directory holds, of which `settled` is known to be what it holds beside mounts.
    pub(crate) fn remounted(&self, settled: &Tree, after: &Tree) -> Result<Tree, EditError> {
        let mut edit = Edit::new(settled);
        for mounted in &self.mounted {
            for path in &mounted.made {
                if let (Lookup::Found(node), true) = (after.lookup(path), is_absent(edit.tree(), path)) {
                    let empty = onlay_layer::Node::directory(node.metadata.clone(), node.mtime);
                    edit.put(path, empty)?;
                }
            }
            match after.lookup(&mounted.target) {
                Lookup::Found(node) => edit.put(&mounted.target, node.as_ref().clone())?,
                Lookup::Absent | Lookup::Unknown if mounted.what == What::Lent => {
                    // Its directory may have gone with it.
                    _ = edit.remove(&mounted.target);
                }
                Lookup::Absent | Lookup::Unknown => edit.remove(&mounted.target)?,
            }
        }
        Ok(edit.finish())
    }
}

/// The paths that differ.
fn changed(before: &Tree, after: &Tree) -> Vec<ImagePath> {
    let compared: Result<_, ChangeError> = changes(before, after);
    // Both are complete, so that nothing is unknown.
    let compared = compared.unwrap_or_default();
    compared.into_iter().map(|change| change.path).collect()
}

/// Removes directories that were made for a mount, but for those that something was put into.
fn remove_empty(edit: &mut Edit, made: &[ImagePath]) -> Result<(), EditError> {
    for path in made.iter().rev() {
        match edit.tree().children(path) {
            Some(children) if children.is_empty() => edit.remove(path)?,
            _ => return Ok(()),
        }
    }
    Ok(())
}

fn is_absent(tree: &Tree, path: &ImagePath) -> bool {
    matches!(tree.lookup(path), Lookup::Absent)
}
