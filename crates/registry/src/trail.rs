use std::fmt;

use crate::CredentialKind;

/// Where a credential is from. There is no secret in it, nor a user's name: some registries take tokens for names.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CredentialSource {
    /// It was given for a name.
    Given {
        /// How, such as the name of a flag.
        by: String,
        /// The registry, or a path below it.
        name: String,
    },
    /// An entry in the `auths` of a configuration file.
    Entry {
        /// The file.
        file: String,
        /// The entry.
        name: String,
    },
    /// A helper that a configuration file names.
    Helper {
        /// The file.
        file: String,
        /// The program.
        program: String,
        /// What it is asked for.
        server: String,
    },
    /// The extension that speaks for the registry.
    Extension,
}

/// How a credential was looked for: what was asked, in order, and what came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trail(pub(crate) Vec<TrailStep>);

/// One thing that was asked for a credential.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrailStep {
    /// A file that is not there.
    Absent {
        /// The file.
        place: String,
    },
    /// A place that says nothing of this registry.
    Silent {
        /// The file, or what else it is.
        place: String,
    },
    /// An entry with nothing in it, or somebody who has nothing.
    Empty {
        /// Which.
        source: CredentialSource,
    },
    /// What failed, and ended the search.
    Failed {
        /// Why.
        reason: String,
    },
    /// What was chosen; nothing is asked after it.
    Chosen {
        /// Where it is from.
        source: CredentialSource,
        /// What it is.
        kind: CredentialKind,
    },
}

impl Trail {
    /// What was asked, in order.
    pub fn steps(&self) -> &[TrailStep] {
        &self.0
    }

    /// Where the credential is from; none if requests go without.
    pub fn chosen(&self) -> Option<&CredentialSource> {
        self.0.iter().find_map(|step| match step {
            TrailStep::Chosen { source, .. } => Some(source),
            TrailStep::Absent { .. }
            | TrailStep::Silent { .. }
            | TrailStep::Empty { .. }
            | TrailStep::Failed { .. } => None,
        })
    }
}

impl fmt::Display for CredentialSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given { by, name } => write!(f, "`{by}` for `{name}`"),
            Self::Entry { file, name } => write!(f, "the entry `{name}` in `{file}`"),
            Self::Helper {
                file,
                program,
                server,
            } => write!(f, "{program} for `{server}`, which `{file}` names"),
            Self::Extension => f.write_str("the service that the registry belongs to"),
        }
    }
}

impl fmt::Display for TrailStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent { place } => write!(f, "`{place}`: not there"),
            Self::Silent { place } => write!(f, "`{place}`: nothing for this registry"),
            Self::Empty { source } => write!(f, "{source}: nothing in it"),
            Self::Failed { reason } => write!(f, "failed: {reason}"),
            Self::Chosen { source, kind } => write!(f, "{source}: {kind}"),
        }
    }
}
