use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::below::{open_file_as_inside, open_root};

/// Who runs a command, in numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// The user's number.
    pub uid: u32,
    /// The group's number.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// The home directory.
    pub home: String,
}

/// Why a user is nobody.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UserError {
    /// There is no entry of that name.
    #[error("unable to find {what} {name}: no matching entries in {what_file} file")]
    Unknown {
        /// `user` or `group`.
        what: &'static str,
        /// The name.
        name: String,
        /// `passwd` or `group`.
        what_file: &'static str,
    },
    /// The file could not be read.
    #[error("`{file}` of the image could not be read")]
    File {
        /// The file.
        file: &'static str,
        /// What happened.
        source: io::Error,
    },
}

const PASSWD: &str = "etc/passwd";
const GROUP: &str = "etc/group";

/// How much of these files is read, in bytes; BuildKit's limit, too (dockerfile.md 1.8).
const MAX_SIZE: u64 = 10 * 1024 * 1024;

impl User {
    /// Root, with nothing looked up.
    pub fn root() -> Self {
        Self {
            uid: 0,
            gid: 0,
            groups: Vec::new(),
            home: "/root".to_owned(),
        }
    }

    /// Finds out who `USER` names, `user[:group]`, by the files of a root filesystem: a number need not have an entry, and
    /// has group 0 then; a name has the supplementary groups that list it, unless a group is given (dockerfile.md 1.10).
    ///
    /// # Errors
    /// There is no such entry.
    pub fn find(root: &Path, text: &str) -> Result<Self, UserError> {
        let (user, group) = text
            .split_once(':')
            .map_or((text, None), |(user, group)| (user, Some(group)));
        let user = if user.is_empty() { "root" } else { user };
        let passwd = read(root, PASSWD)?;
        let groups = read(root, GROUP)?;
        let number = user.parse::<u32>().ok();
        let entry = entries(&passwd)
            .find(|fields| fields.first() == Some(&user))
            .or_else(|| {
                let number = number?.to_string();
                entries(&passwd).find(|fields| fields.get(2) == Some(&number.as_str()))
            });
        let uid = entry.as_ref().and_then(|fields| fields.get(2)?.parse().ok());
        let uid = match uid.or(number) {
            Some(uid) => uid,
            None if user == "root" => 0,
            None => return Err(unknown("user", user, "passwd")),
        };
        let field = |index: usize| entry.as_ref().and_then(|fields| fields.get(index).copied());
        let name = field(0);
        let own_group = field(3).and_then(|gid| gid.parse().ok()).unwrap_or(0);
        Ok(Self {
            uid,
            gid: match group {
                Some(group) => group_number(&groups, group)?,
                None => own_group,
            },
            groups: match (group, name) {
                (None, Some(name)) => supplementary(&groups, name),
                _ => Vec::new(),
            },
            home: field(5).filter(|home| !home.is_empty()).unwrap_or("/").to_owned(),
        })
    }
}

fn group_number(groups: &str, group: &str) -> Result<u32, UserError> {
    let entry = entries(groups).find(|fields| fields.first() == Some(&group));
    let listed = entry.and_then(|fields| fields.get(2)?.parse().ok());
    listed
        .or_else(|| group.parse().ok())
        .ok_or_else(|| unknown("group", group, "group"))
}

fn supplementary(groups: &str, user: &str) -> Vec<u32> {
    let lists = |fields: &Vec<&str>| {
        let members = fields.get(3).copied().unwrap_or_default();
        members.split(',').any(|member| member == user)
    };
    entries(groups)
        .filter(lists)
        .filter_map(|fields| fields.get(2)?.parse().ok())
        .collect()
}

fn unknown(what: &'static str, name: &str, what_file: &'static str) -> UserError {
    UserError::Unknown {
        what,
        name: name.to_owned(),
        what_file,
    }
}

fn entries(text: &str) -> impl Iterator<Item = Vec<&str>> {
    text.lines().map(|line| line.split(':').collect())
}

/// A file of the image; one that is not there is empty.
fn read(root: &Path, file: &'static str) -> Result<String, UserError> {
    let failed = |source| UserError::File { file, source };
    let root = open_root(root).map_err(failed)?;
    let opened = match open_file_as_inside(root.as_fd(), file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(String::new()),
        opened => opened.map_err(failed)?,
    };
    let mut bytes = Vec::new();
    opened.take(MAX_SIZE).read_to_end(&mut bytes).map_err(failed)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
