use onlay_dockerfile::{Instruction, Located};
use onlay_image::ImageError;
use onlay_layer::{
    Edit, EditError, ImagePath, LastLink, Metadata, ModificationTime, Node, ResolveError, Tree,
};

use super::owner::{OwnerError, owner};
use crate::stage::{StageBuild, StepOutcome};
use crate::step::{StepError, place};

/// A WORKDIR: the directory is made, every missing component 0755 and of the current USER; a layer stands for it even
/// if it was there, unless it is the root.
///
/// Source: dockerfile.md §0 finding 12 (BuildKit, executed).
pub(crate) async fn workdir(
    stage: &mut StageBuild<'_>,
    line: &Located<Instruction>,
    directory: &str,
) -> Result<StepOutcome, StepError> {
    let failed = |source: ImageError| StepError::Image {
        place: place(line),
        source,
    };
    let directory = joined(&stage.image.working_dir().map_err(failed)?, directory);
    let mut outcome = StepOutcome::default();
    if cleaned(&directory) == "/" {
        stage.image = stage
            .image
            .clone()
            .with_workdir(&directory, None)
            .map_err(failed)?;
        return Ok(outcome);
    }
    loop {
        let user = stage.image.user().map_err(failed)?;
        let made = make_directories(&stage.files.tree, &directory, &user);
        let all = match made {
            Ok(after) => match stage.commit(line, after, &mut outcome).await? {
                Some(layer) => {
                    stage.image = stage
                        .image
                        .clone()
                        .with_workdir(&directory, Some(layer))
                        .map_err(failed)?;
                    return Ok(outcome);
                }
                None => true,
            },
            Err(MakeError::Unknown) if stage.files.tree.is_complete() => {
                return Err(StepError::at(
                    line,
                    format!("what is at `{directory}` cannot be known"),
                ));
            }
            Err(MakeError::Unknown) => false,
            Err(MakeError::Message(message)) => return Err(StepError::at(line, message)),
        };
        outcome.layers.extend(stage.read_more(all).await?);
    }
}

/// An absolute path as it is written; a relative one below the current directory, cleaned.
fn joined(current: &str, directory: &str) -> String {
    if directory.starts_with('/') {
        directory.to_owned()
    } else {
        cleaned(&format!("{current}/{directory}"))
    }
}

/// Go's `path.Clean` for absolute paths: no empty names, no `.`, and `..` taken away with the name before it.
fn cleaned(path: &str) -> String {
    let mut names: Vec<&str> = Vec::new();
    for name in path.split('/') {
        match name {
            "" | "." => {}
            ".." => {
                names.pop();
            }
            name => names.push(name),
        }
    }
    format!("/{}", names.join("/"))
}

enum MakeError {
    Unknown,
    Message(String),
}

impl From<ResolveError> for MakeError {
    fn from(error: ResolveError) -> Self {
        match error {
            ResolveError::Unknown(_) => Self::Unknown,
            other => Self::Message(other.to_string()),
        }
    }
}

impl From<EditError> for MakeError {
    fn from(error: EditError) -> Self {
        match error {
            EditError::Unknown(_) => Self::Unknown,
            other => Self::Message(other.to_string()),
        }
    }
}

impl From<OwnerError> for MakeError {
    fn from(error: OwnerError) -> Self {
        match error {
            OwnerError::Unknown => Self::Unknown,
            OwnerError::Message(message) => Self::Message(message),
        }
    }
}

fn make_directories(tree: &Tree, directory: &str, user: &str) -> Result<Tree, MakeError> {
    let mut edit = Edit::new(tree);
    let path = cleaned(directory);
    let ends = path
        .match_indices('/')
        .skip(1)
        .map(|(end, _)| end)
        .chain([path.len()]);
    for end in ends {
        let prefix = &path[..end];
        let place = edit
            .tree()
            .resolve(prefix.as_bytes(), &ImagePath::root(), LastLink::Follow)?;
        match place.node {
            Some(node) if node.is_directory() => {}
            Some(_) => {
                return Err(MakeError::Message(format!(
                    "`{prefix}` in the image is not a directory"
                )));
            }
            None => {
                let (uid, gid) = owner(edit.tree(), user)?;
                let metadata = Metadata::owned(0o755, uid, gid);
                edit.put(&place.path, Node::directory(metadata, ModificationTime::Build))?;
            }
        }
    }
    Ok(edit.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_joined_as_go_does() {
        let cases = [
            ("/", "/a//b/../c/", "/a//b/../c/"),
            ("/srv", "app", "/srv/app"),
            ("/srv", "../app/.", "/app"),
            ("/srv", "../../..", "/"),
            ("/srv/", "", "/srv"),
        ];
        for (current, directory, expected) in cases {
            assert_eq!(joined(current, directory), expected);
        }
        assert_eq!(cleaned("/a//b/../c/"), "/a/c");
    }

    #[test]
    fn missing_components_belong_to_the_user() {
        let after = make_directories(&Tree::scratch(), "/a/b", "1000").ok().unwrap();
        let changes = onlay_layer::changes(&Tree::scratch(), &after).unwrap();
        let owners: Vec<_> = changes
            .iter()
            .map(|change| (change.path.to_string(), change.metadata.gid))
            .collect();
        assert_eq!(owners, [("/a".to_owned(), 1000), ("/a/b".to_owned(), 1000)]);
        assert!(make_directories(&Tree::scratch(), "/a", "app").is_err());
    }
}
