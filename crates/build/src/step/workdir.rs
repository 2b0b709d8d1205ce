use onlay_dockerfile::{Instruction, Located};
use onlay_image::ImageError;
use onlay_layer::{ImagePath, LastLink, ResolveError, Resolved, Tree};

use super::owner::{OwnerError, owner};
use crate::stage::{StageBuild, StepOutcome};
use crate::step::{StepError, place};
use crate::transfer::{Fault, Transfer, Treatment};

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
            Ok((after, warning)) => match stage.commit(line, after, &mut outcome).await? {
                Some(layer) => {
                    if let Some(warning) = warning {
                        stage.warn_at(line, &warning);
                    }
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

impl From<Fault> for MakeError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::UnreadDestination | Fault::UnreadSource => Self::Unknown,
            Fault::NotFound(path) => Self::Message(format!("`{path}` does not exist")),
            Fault::Message(message) => Self::Message(message),
        }
    }
}

/// Makes what is missing of the directory; gives a warning too if that is root's for want of a better owner.
fn make_directories(tree: &Tree, directory: &str, user: &str) -> Result<(Tree, Option<String>), MakeError> {
    let path =
        ImagePath::clamped(directory.as_bytes()).map_err(|error| MakeError::Message(error.to_string()))?;
    let absolute = [b"/", path.as_bytes()].concat();
    match tree.resolve(&absolute, &ImagePath::root(), LastLink::Follow) {
        Ok(Resolved { node: Some(node), .. }) if node.is_directory() => return Ok((tree.clone(), None)),
        Err(ResolveError::Unknown(_)) => return Err(MakeError::Unknown),
        // What is missing is made; what is in the way is found again on the way.
        Ok(_) | Err(_) => {}
    }
    let (owner, warning) = match owner(tree, user) {
        Ok(owner) => (owner, None),
        Err(OwnerError::NoSuchName(message)) => ((0, 0), Some(format!("{message}; `{directory}` is root's"))),
        Err(OwnerError::Message(message)) => return Err(MakeError::Message(message)),
        Err(OwnerError::Unknown) => return Err(MakeError::Unknown),
    };
    let treatment = Treatment::of_owner(owner);
    let mut transfer = Transfer::new(tree, &treatment);
    transfer.make(&path)?;
    Ok((transfer.finish(), warning))
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
        let changes = onlay_layer::changes(&Tree::scratch(), &after.0).unwrap();
        let owners: Vec<_> = changes
            .iter()
            .map(|change| (change.path.to_string(), change.metadata.gid))
            .collect();
        assert_eq!(owners, [("/a".to_owned(), 1000), ("/a/b".to_owned(), 1000)]);
        let (_, warning) = make_directories(&Tree::scratch(), "/a", "app").ok().unwrap();
        assert!(warning.is_some_and(|warning| warning.contains("no /etc/passwd")));
    }
}
