//! The form of a layer that was written here.

use crate::member::Member;
use std::collections::{BTreeMap, BTreeSet};
use tar::EntryType;

/// Returns everything that is wrong with the entries of a layer, in their order.
pub(super) fn check(members: &[Member]) -> Vec<String> {
    let mut seen = Seen::default();
    members.iter().flat_map(|member| seen.check(member)).collect()
}

/// The entries so far.
#[derive(Default)]
struct Seen {
    kinds: BTreeMap<String, EntryType>,
    /// Directories with an entry that is not a whiteout.
    populated: BTreeSet<String>,
}

impl Seen {
    fn check(&mut self, member: &Member) -> Vec<String> {
        let problems = [
            plain_name(member),
            self.unseen(member),
            self.parent_seen(member),
            self.whiteout_first(member),
            self.link_in_layer(member),
            no_extra_metadata(member),
        ];
        let problems = problems.into_iter().flatten();
        problems
            .map(|problem| format!("`{}` {problem}", member.name))
            .collect()
    }

    fn unseen(&mut self, member: &Member) -> Option<String> {
        let before = self.kinds.insert(member.path().to_owned(), member.kind);
        before.map(|_| "has two entries".to_owned())
    }

    fn parent_seen(&self, member: &Member) -> Option<String> {
        let (parent, _) = member.split();
        match self.kinds.get(parent) {
            _ if parent.is_empty() => None,
            Some(EntryType::Directory) => None,
            Some(kind) => Some(format!("has a parent that is {kind:?}")),
            None => Some("comes before its parent directory, or without it".to_owned()),
        }
    }

    fn whiteout_first(&mut self, member: &Member) -> Option<String> {
        let (parent, name) = member.split();
        if !name.starts_with(".wh.") {
            self.populated.insert(parent.to_owned());
            return None;
        }
        if member.kind != EntryType::Regular || member.size > 0 {
            return Some("is a whiteout that is not an empty file".to_owned());
        }
        self.populated
            .contains(parent)
            .then(|| "is a whiteout after other entries of its directory".to_owned())
    }

    fn link_in_layer(&self, member: &Member) -> Option<String> {
        if member.kind != EntryType::Link {
            return None;
        }
        match self.kinds.get(&member.link) {
            Some(EntryType::Directory) | None => Some(format!(
                "is a hard link to `{}`, which is no earlier file of the layer",
                member.link
            )),
            Some(_) => None,
        }
    }
}

fn plain_name(member: &Member) -> Option<String> {
    let name = match member.kind {
        EntryType::Directory => member.name.strip_suffix('/').unwrap_or(&member.name),
        _ => &member.name,
    };
    let plain = name.split('/').all(|part| !matches!(part, "" | "." | ".."));
    (!plain).then(|| "is not a plain relative path".to_owned())
}

fn no_extra_metadata(member: &Member) -> Option<String> {
    let record = ["atime", "ctime", "uname", "gname"]
        .into_iter()
        .find(|key| member.pax.contains_key(*key));
    if let Some(record) = record {
        return Some(format!("has a PAX record `{record}`"));
    }
    (member.names != ":").then(|| format!("has user and group names `{}`", member.names))
}
