//! Files that a line writes just as they are: no layer holds them again.

use std::io;
use std::sync::Arc;

use onlay_layer::{Change, ChangeKind, Content, Edit, Lookup, Node, NodeKind, Tree};
use onlay_oci::{Algorithm, Digest, Digester};

use crate::inputs::Inputs;

/// A file that differs from what was there in nothing but, perhaps, its bytes.
pub(crate) struct Doubtful {
    before: Arc<Node>,
    change: Change,
}

/// Finds files whose type, mode, owner, time and size are those of the file they replace. As in BuildKit, only then do
/// the bytes decide (dockerfile.md §1.13).
pub(crate) fn doubtful(before: &Tree, changes: &[Change]) -> Vec<Doubtful> {
    let doubt = |change: &Change| {
        let ChangeKind::File(content) = &change.kind else {
            return None;
        };
        let Lookup::Found(node) = before.lookup(&change.path) else {
            return None;
        };
        let NodeKind::File(old) = &node.kind else {
            return None;
        };
        let alike =
            node.metadata == change.metadata && node.mtime == change.mtime && old.size() == content.size();
        alike.then(|| Doubtful {
            before: node.clone(),
            change: change.clone(),
        })
    };
    changes.iter().filter_map(doubt).collect()
}

/// Puts back what turns out to be the same bytes. Blocking.
pub(crate) fn restored(after: &Tree, doubtful: Vec<Doubtful>, inputs: &Inputs) -> Tree {
    let mut edit = Edit::new(after);
    for Doubtful { before, change } in doubtful {
        let (NodeKind::File(old), ChangeKind::File(new)) = (&before.kind, &change.kind) else {
            continue;
        };
        // What cannot be read here fails with a better message where it is written.
        let same = matches!((digest(old, inputs), digest(new, inputs)), (Ok(old), Ok(new)) if old == new);
        if same {
            // The parent is there: the changes were computed from it.
            let _ = edit.put(&change.path, Node::clone(&before));
        }
    }
    edit.finish()
}

fn digest(content: &Content, inputs: &Inputs) -> io::Result<Digest> {
    match content {
        Content::Base(file) => Ok(file.digest.clone()),
        Content::Held { digest, .. } => Ok(Digest::clone(digest)),
        other => {
            let mut digester = Writer(Digester::new(Algorithm::Sha256));
            io::copy(&mut inputs.open(other)?, &mut digester)?;
            Ok(digester.0.finish())
        }
    }
}

struct Writer(Digester);

impl io::Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
