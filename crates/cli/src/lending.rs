//! What is lent to commands that ask for it with `RUN --mount`: secrets, SSH agents, and a place for caches.

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use onlay_build::{Lent, SecretBytes};

use crate::environment;
use crate::failure::Usage;

/// The largest secret, in bytes, as in BuildKit (its session/secrets, `MaxSecretSize`).
const LARGEST_SECRET: u64 = 500 * 1024;

/// What commands may ask for.
#[derive(Debug, Args)]
#[command(next_help_heading = "RUN --mount")]
pub(crate) struct LendingOptions {
    /// A secret for `RUN --mount=type=secret`: id=ID,src=FILE or id=ID,env=VARIABLE; with neither, the variable ID or else
    /// the file ID
    #[arg(long, value_name = "id=ID[,src=FILE|,env=VARIABLE]")]
    secret: Vec<String>,

    /// An SSH agent for `RUN --mount=type=ssh`: its id, mostly `default`, and its socket [default: SSH_AUTH_SOCK]
    #[arg(long, value_name = "ID[=SOCKET]")]
    ssh: Vec<String>,
}

/// Where a secret is.
#[derive(Debug, PartialEq, Eq)]
enum Source {
    File(PathBuf),
    Variable(String),
    /// A variable of the id's name, else a file.
    Either,
}

impl LendingOptions {
    /// Reads all of it.
    ///
    /// # Errors
    /// Something is not there, is too large, or is not understood.
    pub(crate) fn lent(&self, cache_directory: Option<&Path>) -> anyhow::Result<Lent> {
        let mut lent = Lent {
            caches: cache_directory.map(|directory| directory.join("mounts")),
            ..Lent::default()
        };
        for text in &self.secret {
            let (id, source) = parse(text)?;
            let bytes = read(&id, &source)?;
            lent.secrets.insert(id, SecretBytes::new(bytes));
        }
        for text in &self.ssh {
            let (id, socket) = agent(text)?;
            lent.agents.insert(id, socket);
        }
        Ok(lent)
    }
}

fn parse(text: &str) -> Result<(String, Source), Usage> {
    let wrong = |what: String| {
        Usage(format!(
            "`--secret {text}`: {what}, expected id=ID,src=FILE or id=ID,env=VARIABLE"
        ))
    };
    let (mut id, mut value, mut kind) = (None, None, None);
    let mut variable = None;
    for field in text.split(',') {
        let (key, found) = field
            .split_once('=')
            .ok_or_else(|| wrong(format!("`{field}` has no value")))?;
        let found = found.to_owned();
        match key.to_ascii_lowercase().as_str() {
            "id" => id = Some(found),
            "src" | "source" => value = Some(found),
            "env" => variable = Some(found),
            "type" if matches!(found.as_str(), "file" | "env") => kind = Some(found),
            "type" => return Err(wrong(format!("`{found}` is no type of a secret"))),
            _ => return Err(wrong(format!("`{key}` is no key of a secret"))),
        }
    }
    let id = id.or_else(|| value.as_deref().map(base_name));
    let id = id
        .filter(|id| !id.is_empty())
        .ok_or_else(|| wrong("it has no id".to_owned()))?;
    let is_variable = kind.map(|kind| kind == "env");
    let source = match (is_variable, value, variable) {
        (_, Some(_), Some(_)) => return Err(wrong("`src` and `env` exclude each other".to_owned())),
        (Some(false), None, Some(_)) => return Err(wrong("`env` is no file".to_owned())),
        (Some(true), Some(name), None) | (_, None, Some(name)) => Source::Variable(name),
        (Some(true), None, None) => Source::Variable(id.clone()),
        (_, Some(file), None) => Source::File(file.into()),
        (Some(false), None, None) => Source::File(PathBuf::from(&id)),
        (None, None, None) => Source::Either,
    };
    Ok((id, source))
}

fn base_name(path: &str) -> String {
    let name = Path::new(path).file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

fn read(id: &str, source: &Source) -> anyhow::Result<Vec<u8>> {
    let of_variable = |name: &str| environment::bytes(name);
    let found = match source {
        Source::File(path) => return read_file(id, path),
        Source::Variable(name) => of_variable(name).ok_or_else(|| {
            Usage(format!(
                "the secret `{id}` is to come from the variable {name}, which is not set"
            ))
        })?,
        Source::Either => match of_variable(id) {
            Some(value) => value,
            None => return read_file(id, Path::new(id)),
        },
    };
    check_size(id, &found)?;
    Ok(found)
}

fn read_file(id: &str, path: &Path) -> anyhow::Result<Vec<u8>> {
    let failed = |error: std::io::Error| Usage(format!("the secret `{id}` cannot be read: {error}"));
    let file = fs_err::File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(LARGEST_SECRET + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    check_size(id, &bytes)?;
    Ok(bytes)
}

fn check_size(id: &str, bytes: &[u8]) -> Result<(), Usage> {
    if bytes.len() as u64 > LARGEST_SECRET {
        return Err(Usage(format!(
            "the secret `{id}` has more than {LARGEST_SECRET} bytes, which is the most that a secret may have"
        )));
    }
    Ok(())
}

fn agent(text: &str) -> Result<(String, PathBuf), Usage> {
    let (id, socket) = match text.split_once('=') {
        Some((id, socket)) => (id, Some(PathBuf::from(socket))),
        None => (text, None),
    };
    let socket = socket
        .or_else(|| environment::path(environment::SSH_AUTH_SOCK))
        .ok_or_else(|| {
            Usage(format!(
                "`--ssh {text}`: SSH_AUTH_SOCK is not set; start an agent, or write `--ssh {id}=SOCKET`"
            ))
        })?;
    let metadata = fs_err::metadata(&socket).map_err(|error| Usage(format!("`--ssh {text}`: {error}")))?;
    if !std::os::unix::fs::FileTypeExt::is_socket(&metadata.file_type()) {
        return Err(Usage(format!(
            "`--ssh {text}`: `{}` is no socket of an agent; keys in files are not read: give them to an agent with ssh-add",
            socket.display()
        )));
    }
    Ok((id.to_owned(), socket))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_named_in_many_ways() {
        let check = |text: &str, id: &str, source: Source| {
            let parsed = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(parsed, (id.to_owned(), source), "{text}");
        };
        let file = |path: &str| Source::File(path.into());
        let variable = |name: &str| Source::Variable(name.to_owned());
        check("id=a,src=b", "a", file("b"));
        check("id=a,source=b", "a", file("b"));
        check("src=dir/b", "b", file("dir/b"));
        check("id=a,env=B", "a", variable("B"));
        check("id=a,type=env", "a", variable("a"));
        check("type=env,id=a,src=B", "a", variable("B"));
        check("type=file,id=a", "a", file("a"));
        check("id=a", "a", Source::Either);
        for wrong in [
            "",
            "a",
            "id=",
            "src=",
            "id=a,src=b,env=C",
            "id=a,kind=x",
            "id=a,type=x",
            "type=file,id=a,env=B",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
