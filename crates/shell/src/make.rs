use onlay_layer::{Content, ImagePath, NodeKind};

use crate::errno::Errno;
use crate::files::{Files, Found};
use crate::halt::{Halt, Settle};
use crate::line::Tools;
use crate::outcome::Reason;

/// Whose behaviour and words a shell or a command has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Make {
    Busybox,
    Dash,
    Bash,
    Gnu,
}

impl Make {
    pub(crate) fn is_busybox(self) -> bool {
        self == Self::Busybox
    }
}

/// Distributions whose `mkdir` and the like are GNU's, by the `ID` of os-release.
const GNU_DISTRIBUTIONS: &[&str] = &[
    "almalinux",
    "amzn",
    "arch",
    "azurelinux",
    "centos",
    "debian",
    "fedora",
    "mariner",
    "ol",
    "opensuse-leap",
    "opensuse-tumbleweed",
    "rhel",
    "rocky",
    "sles",
];

/// From this release on Ubuntu has the tools of uutils, which are not GNU's.
const FIRST_UBUNTU_WITHOUT_GNU: (u32, u32) = (25, 10);

/// Where programs are looked for without a PATH: what engines set where an image says nothing.
const DEFAULT_PATH: &[u8] = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What looking for a program comes to.
pub(crate) enum Lookup {
    Found(Make),
    Missing,
}

/// Finds shells and programs in an image and tells their make.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Toolbox {
    tools: Tools,
}

impl Toolbox {
    pub(crate) fn new(tools: Tools) -> Self {
        Self { tools }
    }

    /// The make of the shell at this path.
    pub(crate) fn shell(&self, files: &Files, path: &str) -> Result<Lookup, Halt> {
        self.with_builtin(files, path.as_bytes(), |found| {
            let make = match found.path.name() {
                Some(b"dash") => Make::Dash,
                Some(b"bash") => Make::Bash,
                _ if is_busybox(files, found)? => Make::Busybox,
                _ => return Err(unknown(found)),
            };
            Ok(make)
        })
    }

    /// The make of the program that this name runs, by way of PATH unless it has a slash.
    pub(crate) fn program(&self, files: &Files, search: Option<&[u8]>, name: &str) -> Result<Lookup, Halt> {
        if self.tools == Tools::Builtin {
            return Ok(Lookup::Found(Make::Busybox));
        }
        let candidates = candidates(search, name);
        for candidate in candidates {
            if let Lookup::Found(make) = image_lookup(files, &candidate, |found| program_make(files, found))?
            {
                return Ok(Lookup::Found(make));
            }
        }
        Ok(self.missing())
    }

    fn with_builtin(
        &self,
        files: &Files,
        path: &[u8],
        make: impl Fn(&Found) -> Result<Make, Halt>,
    ) -> Result<Lookup, Halt> {
        if self.tools == Tools::Builtin {
            return Ok(Lookup::Found(Make::Busybox));
        }
        match image_lookup(files, path, make)? {
            Lookup::Found(make) => Ok(Lookup::Found(make)),
            Lookup::Missing => Ok(self.missing()),
        }
    }

    fn missing(&self) -> Lookup {
        match self.tools {
            Tools::Image => Lookup::Missing,
            Tools::Builtin | Tools::ImageElseBuiltin => Lookup::Found(Make::Busybox),
        }
    }
}

fn candidates(search: Option<&[u8]>, name: &str) -> Vec<Vec<u8>> {
    if name.contains('/') {
        return vec![name.as_bytes().to_vec()];
    }
    let directories = search.unwrap_or(DEFAULT_PATH).split(|byte| *byte == b':');
    directories
        .map(|directory| {
            if directory.is_empty() {
                b".".as_slice()
            } else {
                directory
            }
        })
        .map(|directory| [directory, b"/", name.as_bytes()].concat())
        .collect()
}

fn image_lookup(
    files: &Files,
    path: &[u8],
    make: impl Fn(&Found) -> Result<Make, Halt>,
) -> Result<Lookup, Halt> {
    // Programs stand in the lowest layer of nearly every image.
    match files.stat_in_lowest(path).settle()? {
        Ok(found) => match &found.node.kind {
            // A program that came by COPY or a heredoc is somebody's own.
            NodeKind::File(Content::Base(_)) if found.node.metadata.mode & 0o111 != 0 => {
                Ok(Lookup::Found(make(&found)?))
            }
            NodeKind::Directory(_) => Ok(Lookup::Missing),
            _ => Err(unknown(&found)),
        },
        Err(Errno::NotFound | Errno::NotADirectory) => Ok(Lookup::Missing),
        Err(_) => Err(Halt::refused(path, Reason::Command)),
    }
}

fn program_make(files: &Files, found: &Found) -> Result<Make, Halt> {
    if is_busybox(files, found)? {
        return Ok(Make::Busybox);
    }
    let elsewhere = found
        .path
        .names()
        .any(|name| name == b"cargo" || name.starts_with(b"uu") || name == b"toybox");
    if !elsewhere && is_gnu_distribution(files)? {
        Ok(Make::Gnu)
    } else {
        Err(unknown(found))
    }
}

/// Tells whether a program is busybox: by the name a link leads to, or as another name of the `busybox` beside it.
fn is_busybox(files: &Files, found: &Found) -> Result<bool, Halt> {
    if matches!(found.path.name(), Some(b"busybox" | b"busybox.static")) {
        return Ok(true);
    }
    let Some(beside) = found
        .path
        .parent()
        .and_then(|parent| parent.join(b"busybox").ok())
    else {
        return Ok(false);
    };
    let Ok(busybox) = files.node(&beside).settle()? else {
        return Ok(false);
    };
    Ok(match (&busybox.kind, &found.node.kind) {
        (NodeKind::File(Content::Base(busybox)), NodeKind::File(Content::Base(file))) => {
            busybox.digest == file.digest
        }
        _ => false,
    })
}

fn is_gnu_distribution(files: &Files) -> Result<bool, Halt> {
    let Ok(content) = files.read(b"/etc/os-release").settle()? else {
        return Ok(false);
    };
    let Content::Bytes(bytes) = content else {
        return Err(Halt::refused("/etc/os-release", Reason::Contents));
    };
    let text = String::from_utf8_lossy(&bytes);
    let field = |key: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
            .map(|value| value.trim_matches(['"', '\'']))
    };
    let id = field("ID").unwrap_or_default();
    if id == "ubuntu" {
        return Ok(version(field("VERSION_ID").unwrap_or_default())
            .is_some_and(|own| own < FIRST_UBUNTU_WITHOUT_GNU));
    }
    Ok(GNU_DISTRIBUTIONS.contains(&id))
}

fn version(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

fn unknown(found: &Found) -> Halt {
    let path: ImagePath = found.path.clone();
    let name = path.name().unwrap_or_default().to_vec();
    Halt::refused(name, Reason::Flavour { path })
}
