use bstr::BString;
use onlay_context::{Pattern, has_wildcard};
use onlay_layer::{ImagePath, LastLink, ResolveError, Tree};

use super::Fault;

/// What one source of a line stands for.
#[derive(Debug, PartialEq)]
pub(crate) enum Selection {
    /// The path itself, whether it is there or not.
    Path(ImagePath),
    /// What matches the wildcards in it, in the order of a walk; perhaps nothing.
    Matches(Vec<ImagePath>),
}

/// Finds what a source stands for in the tree that is copied from.
///
/// `..` takes the name before it away and stays at the root. Symbolic links in front of the first wildcard are
/// followed, later ones not; a wildcard matches within one name.
pub(crate) fn select(source: &Tree, text: &[u8]) -> Result<Selection, Fault> {
    let names = names(text);
    let Some(first) = names.iter().position(|name| has_wildcard(name)) else {
        return Ok(Selection::Path(ImagePath::clamped(text)?));
    };
    let (fixed, patterns) = names.split_at(first);
    let patterns: Vec<Pattern> = patterns
        .iter()
        .map(|name| Pattern::parse(name))
        .collect::<Result<_, _>>()
        .map_err(|error| Fault::Message(error.to_string()))?;
    let prefix = [b"/".to_vec(), bstr::join("/", fixed)].concat();
    let mut matches = Vec::new();
    match source.resolve(&prefix, &ImagePath::root(), LastLink::Follow) {
        Ok(resolved) if resolved.node.is_some() => collect(source, &resolved.path, &patterns, &mut matches)?,
        Ok(_) | Err(ResolveError::NotFound | ResolveError::NotADirectory) => {}
        Err(error) => return Err(Fault::of_source(error, &ImagePath::clamped(&prefix)?)),
    }
    Ok(Selection::Matches(matches))
}

fn names(text: &[u8]) -> Vec<BString> {
    let mut names: Vec<BString> = Vec::new();
    for name in text.split(|byte| *byte == b'/') {
        match name {
            b"" | b"." => {}
            b".." => {
                names.pop();
            }
            name => names.push(name.into()),
        }
    }
    names
}

/// Of a pattern of three names, `a/b/c` can match and nothing below it.
fn collect(
    source: &Tree,
    directory: &ImagePath,
    patterns: &[Pattern],
    matches: &mut Vec<ImagePath>,
) -> Result<(), Fault> {
    let Some((pattern, rest)) = patterns.split_first() else {
        return Ok(());
    };
    let is_directory = matches!(
        source.lookup(directory),
        onlay_layer::Lookup::Found(node) if node.is_directory()
    );
    if !is_directory {
        return Ok(());
    }
    for (name, node) in source.children(directory).ok_or(Fault::UnreadSource)? {
        if !pattern.matches(&name) {
            continue;
        }
        let path = directory.join(&name)?;
        if rest.is_empty() {
            matches.push(path);
        } else if node.is_directory() {
            collect(source, &path, rest, matches)?;
        }
    }
    Ok(())
}
