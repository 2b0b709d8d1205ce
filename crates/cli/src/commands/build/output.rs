use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;

use onlay_oci::Reference;
use onlay_store::Destination;

/// The value of `--output`: where the result goes in buildx's words.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Output {
    /// `type=registry`, or `type=image,push=true`: these names, else those of `-t`.
    Registry { names: Vec<String> },
    /// `type=oci,dest=FILE`: a layout, in a tar unless `tar=false`.
    Oci { path: PathBuf, tar: bool },
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
            "registry" => Self::Registry { names: keys.names() },
            "image" if keys.take("push").as_deref() == Some("true") => Self::Registry { names: keys.names() },
            "image" => {
                return Err(
                    "there is no daemon to keep an image in; use `type=registry` or `push=true`".into(),
                );
            }
            "oci" => Self::Oci {
                path: keys.file("type=oci")?,
                tar: keys.take("tar").is_none_or(|tar| tar != "false"),
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
        let or_tags = |names: &[String]| {
            if names.is_empty() {
                tags.to_vec()
            } else {
                names.to_vec()
            }
        };
        let parse = |text: String| text.parse::<Destination>().map_err(|error| error.to_string());
        let (scheme, path) = match self {
            Self::Registry { names } => return or_tags(names).into_iter().map(parse).collect(),
            Self::Nowhere | Self::DockerLoad { .. } => return Ok(Vec::new()),
            Self::Oci { path, tar: true } => ("oci-archive", path),
            Self::Oci { path, tar: false } => ("oci", path),
            Self::DockerArchive { file, names } => {
                let name = or_tags(names)
                    .first()
                    .map(|name| format!(":{}", tagged(name)))
                    .unwrap_or_default();
                return Ok(vec![parse(format!("docker-archive:{}{name}", file.display()))?]);
            }
        };
        // The tag of the name becomes the tag in the layout, as buildx has it.
        let tag = tags.first().map(|name| tagged(name)).and_then(|name| {
            let reference = name.parse::<Reference>().ok()?;
            Some(format!(":{}", reference.tag()?))
        });
        let tag = tag.unwrap_or_default();
        Ok(vec![parse(format!("{scheme}:{}{tag}", path.display()))?])
    }

    /// The names under which Docker is to load the result, if it is.
    pub(crate) fn loaded_names<'a>(&'a self, tags: &'a [String]) -> Option<&'a [String]> {
        match self {
            Self::DockerLoad { names } if names.is_empty() => Some(tags),
            Self::DockerLoad { names } => Some(names),
            _ => None,
        }
    }
}

/// A name with a tag: `latest` where it has none.
pub(crate) fn tagged(name: &str) -> String {
    match name.parse::<Reference>() {
        Ok(reference) => reference.with_default_tag().familiar().to_string(),
        Err(_) => name.to_owned(),
    }
}

/// `KEY=VALUE,KEY=VALUE`, a value in double quotes if it has a comma.
struct Keys(BTreeMap<String, String>);

impl Keys {
    fn parse(text: &str) -> Result<Self, String> {
        if text == "-" || !text.contains('=') {
            return Err(
                "files of an image are not exported; expected `type=registry`, `type=oci,dest=FILE` or \
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
        // A registry is what images are pushed to.
        self.0.remove("push");
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
            ("type=docker,dest=out.tar", "docker-archive:out.tar:h.io/a:1"),
            ("type=cacheonly", ""),
        ];
        for (text, expected) in cases {
            let output: Output = text.parse().unwrap();
            let destinations = output.destinations(&["h.io/a:1".to_owned()]).unwrap();
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
        ];
        for (text, expected) in cases {
            let error = text.parse::<Output>().unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
