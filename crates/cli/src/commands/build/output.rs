use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use onlay_oci::{Reference, Tag};
use onlay_store::{Destination, Location};

use crate::options;

/// The value of `--output`: where the result goes in buildx's words.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Output {
    /// `type=registry`, or `type=image,push=true`: these names, else those of `-t`.
    Registry { names: Vec<String> },
    /// `type=oci,dest=FILE`: a layout, in a tar unless `tar=false`.
    Oci {
        path: PathBuf,
        tar: bool,
        names: Vec<String>,
    },
    /// `type=docker,dest=FILE`: what `docker load` reads.
    DockerArchive { file: PathBuf, names: Vec<String> },
    /// `type=docker` with no file: into Docker itself.
    DockerLoad { names: Vec<String> },
    /// `type=cacheonly`: nowhere.
    Nowhere,
}

/// The keys that outputs have and that are done otherwise, or not at all.
const OTHER_KEYS: &[(&str, &str)] = &[
    ("compression", "use `--compression`"),
    ("compression-level", "gzip is written at level 6, zstd at level 3"),
    ("force-compression", "layers of the base are left as they are"),
    (
        "oci-mediatypes",
        "the result keeps the base's family of media types",
    ),
    ("rewrite-timestamp", "times follow `--timestamp`"),
];

impl FromStr for Output {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut keys = Keys::parse(text)?;
        let kind = keys.take("type").unwrap_or_default();
        let output = match kind.as_str() {
            "registry" | "image" => {
                let push = keys.flag("push")?.unwrap_or(kind == "registry");
                if !push {
                    return Err(
                        "there is no daemon to keep an image in; use `type=registry` or `push=true`".into(),
                    );
                }
                if keys.flag("unpack")? == Some(true) {
                    return Err("there is no daemon to unpack an image in; leave `unpack` out".into());
                }
                Self::Registry { names: keys.names() }
            }
            "oci" => Self::Oci {
                path: keys.file("type=oci")?,
                tar: keys.flag("tar")?.unwrap_or(true),
                names: keys.names(),
            },
            "docker" if keys.has("dest") => Self::DockerArchive {
                file: keys.file("type=docker")?,
                names: keys.names(),
            },
            "docker" => Self::DockerLoad { names: keys.names() },
            "cacheonly" => Self::Nowhere,
            "local" | "tar" => {
                return Err(format!(
                    "`type={kind}` is not supported: files of an image are not exported; write a layout (`type=oci`) and \
                     unpack it with umoci"
                ));
            }
            other => {
                return Err(format!(
                    "unknown type `{other}`, expected registry, image, oci, docker or cacheonly"
                ));
            }
        };
        keys.done()?;
        Ok(output)
    }
}

impl Output {
    /// The destinations that it stands for; `tags` are the names that `-t` gave.
    pub(crate) fn destinations(&self, tags: &[String]) -> Result<Vec<Destination>, String> {
        match self {
            Self::Registry { names } => {
                let names = either(names, tags)?;
                if names.is_empty() {
                    return Err("`type=registry` needs a name, expected -t or `name=HOST/REPOSITORY`".into());
                }
                names.iter().map(|name| options::destination(name)).collect()
            }
            Self::Nowhere | Self::DockerLoad { .. } => Ok(Vec::new()),
            Self::Oci { path, tar, names } => layouts(path, *tar, &references(either(names, tags)?)?),
            Self::DockerArchive { file, names } => {
                let name = only(references(either(names, tags)?)?)?;
                let file = file.clone();
                Ok(vec![destination(Location::DockerArchive { file, name })?])
            }
        }
    }

    /// The names under which Docker is to load the result, if it is.
    pub(crate) fn loaded_names(&self, tags: &[String]) -> Result<Option<Vec<Reference>>, String> {
        match self {
            Self::DockerLoad { names } => Ok(Some(references(either(names, tags)?)?)),
            _ => Ok(None),
        }
    }
}

/// The tag of the name becomes the tag in the layout, as buildx has it.
fn layouts(path: &Path, tar: bool, names: &[Reference]) -> Result<Vec<Destination>, String> {
    let tags: Vec<Tag> = names.iter().filter_map(|name| name.tag().cloned()).collect();
    if tar {
        let (file, tag) = (path.to_owned(), only(tags)?);
        return Ok(vec![destination(Location::OciArchive { file, tag })?]);
    }
    let layout = |tag: Option<Tag>| {
        let directory = path.to_owned();
        destination(Location::Layout { directory, tag })
    };
    if tags.is_empty() {
        return Ok(vec![layout(None)?]);
    }
    tags.into_iter().map(|tag| layout(Some(tag))).collect()
}

/// Names are given with the output or with `-t`; given twice, one of them would count for nothing.
fn either<'a>(names: &'a [String], tags: &'a [String]) -> Result<&'a [String], String> {
    match (names, tags) {
        ([], tags) => Ok(tags),
        (names, []) => Ok(names),
        _ => Err("`name` and -t both name the image; give one of them".to_owned()),
    }
}

/// An archive has one name.
fn only<T>(mut names: Vec<T>) -> Result<Option<T>, String> {
    match names.len() {
        0 | 1 => Ok(names.pop()),
        count => Err(format!(
            "an archive is written with one name, found {count}; give each name an `--output` of its own"
        )),
    }
}

fn destination(location: Location) -> Result<Destination, String> {
    Destination::try_from(location).map_err(|error| error.to_string())
}

/// Names of images, which need not be complete: they are only written down. `latest` where they have no tag.
pub(crate) fn references(names: &[String]) -> Result<Vec<Reference>, String> {
    let parse = |name: &String| match name.parse::<Reference>() {
        Ok(name) => Ok(name.with_default_tag()),
        Err(error) => Err(format!("`{name}`: {error}")),
    };
    names.iter().map(parse).collect()
}

/// `KEY=VALUE,KEY=VALUE`, a value in double quotes if it has a comma.
struct Keys(BTreeMap<String, String>);

impl Keys {
    fn parse(text: &str) -> Result<Self, String> {
        if text == "-" || !text.contains('=') {
            return Err(
                "files of an image are not exported, expected `type=registry`, `type=oci,dest=FILE` or \
                        `type=docker,dest=FILE`"
                    .to_owned(),
            );
        }
        let mut keys = BTreeMap::new();
        for field in fields(text) {
            let (key, value) = field
                .split_once('=')
                .ok_or_else(|| format!("`{field}` has no `=`, expected KEY=VALUE"))?;
            keys.insert(key.trim().to_lowercase(), value.to_owned());
        }
        Ok(Self(keys))
    }

    fn has(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    fn take(&mut self, key: &str) -> Option<String> {
        self.0.remove(key)
    }

    fn flag(&mut self, key: &str) -> Result<Option<bool>, String> {
        match self.take(key).as_deref() {
            None => Ok(None),
            Some("true" | "1") => Ok(Some(true)),
            Some("false" | "0") => Ok(Some(false)),
            Some(other) => Err(format!("`{key}={other}` is malformed, expected true or false")),
        }
    }

    fn names(&mut self) -> Vec<String> {
        let names = self.take("name").unwrap_or_default();
        names
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect()
    }

    fn file(&mut self, kind: &str) -> Result<PathBuf, String> {
        match self.take("dest").as_deref() {
            Some("-") | None => Err(format!(
                "`{kind}` needs a file, expected `dest=FILE`; standard output is for digests"
            )),
            Some(file) => Ok(file.into()),
        }
    }

    /// Nothing is swallowed: what was not taken is not known.
    fn done(mut self) -> Result<(), String> {
        let Some((key, _)) = self.0.pop_first() else {
            return Ok(());
        };
        match OTHER_KEYS.iter().find(|(other, _)| *other == key) {
            Some((_, instead)) => Err(format!("`{key}` is not supported here: {instead}")),
            None if key.starts_with("annotation") => {
                Err(format!("`{key}` is not supported here: use `--annotation`"))
            }
            None => Err(format!("unknown key `{key}`")),
        }
    }
}

/// Splits at commas outside of double quotes, and drops the quotes (RFC 4180).
fn fields(text: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut is_quoted = false;
    for character in text.chars() {
        match character {
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => fields.push(String::new()),
            other => {
                if let Some(field) = fields.last_mut() {
                    field.push(other);
                }
            }
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_become_destinations() {
        let cases = [
            ("type=registry", "h.io/a:1"),
            ("type=registry,name=h.io/b:2", "h.io/b:2"),
            (
                "type=image,\"name=h.io/b:2,h.io/c:3\",push=true",
                "h.io/b:2 h.io/c:3",
            ),
            ("type=oci,dest=out.tar", "oci-archive:out.tar:1"),
            ("type=oci,dest=out,tar=false", "oci:out:1"),
            ("type=oci,dest=out,name=app:7", "oci-archive:out:7"),
            ("type=oci,dest=a:b,tar=0", "oci:a:b:1"),
            ("type=docker,dest=out.tar", "docker-archive:out.tar:h.io/a:1"),
            ("type=cacheonly", ""),
        ];
        for (text, expected) in cases {
            let output: Output = text.parse().unwrap();
            let tags = if text.contains("name=") {
                vec![]
            } else {
                vec!["h.io/a:1".to_owned()]
            };
            let destinations = output.destinations(&tags).unwrap();
            let found: Vec<String> = destinations.iter().map(ToString::to_string).collect();
            assert_eq!(found.join(" "), expected, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_done_is_refused_by_name() {
        let cases = [
            ("out", "not exported"),
            ("-", "not exported"),
            ("type=local,dest=out", "`type=local` is not supported"),
            ("type=tar,dest=-", "`type=tar` is not supported"),
            ("type=image,name=a", "no daemon"),
            ("type=oci", "needs a file"),
            ("type=oci,dest=-", "standard output"),
            ("type=nothing", "unknown type `nothing`"),
            ("type=oci,dest=f,compression=zstd", "use `--compression`"),
            ("type=oci,dest=f,typo=1", "unknown key `typo`"),
            ("type=oci,dest", "`dest` has no `=`"),
            ("type=oci,dest=f,push=true", "unknown key `push`"),
            ("type=oci,dest=f,tar=maybe", "expected true or false"),
            ("type=registry,push=false", "no daemon"),
            ("type=image,push=true,unpack=true", "leave `unpack` out"),
        ];
        for (text, expected) in cases {
            let error = text.parse::<Output>().unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn no_name_counts_for_nothing() {
        let cases = [
            ("type=registry,name=h.io/b:2", "h.io/a:1", "give one of them"),
            ("type=registry", "", "needs a name"),
            ("type=registry", "app", "write HOST/app"),
            ("type=docker,dest=f", "a b", "one name, found 2"),
            ("type=oci,dest=f", "a:1 a:2", "one name, found 2"),
            ("type=oci,dest=f", "oci:out:v", "`oci:out:v`: "),
        ];
        for (text, tags, expected) in cases {
            let output: Output = text.parse().unwrap();
            let tags: Vec<String> = tags.split_whitespace().map(str::to_owned).collect();
            let error = output.destinations(&tags).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
