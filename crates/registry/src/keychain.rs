use std::path::PathBuf;

use onlay_oci::{Registry, Repository};

use crate::auth_file::AuthFile;
use crate::helper::{Answers, Freshness};
use crate::{Credential, CredentialHelper, CredentialSource, EntryNames, Secret, Trail, TrailStep};

/// Finds credentials: in what was given for a registry and in the texts of docker's and containers' configuration files,
/// in the order in which they were added.
///
/// In each file, helpers named for a registry come first, then entries from the longest path to the host, then the general
/// helper. The first that has a credential counts, Docker Hub is found under each of its names, and what fails is an
/// error: it must not pass for "no credential". What helpers answer is kept for an hour at most, and asked for again
/// when it was refused.
///
/// Source: docker/cli `config.json`; containers-auth.json(5) for paths; registry.md §3.3.
#[derive(Clone, Debug, Default)]
pub struct Keychain {
    sources: Vec<Source>,
    helpers_in: Option<PathBuf>,
    answers: Answers,
}

#[derive(Clone, Debug)]
enum Source {
    Given {
        by: String,
        name: String,
        credential: Credential,
    },
    File(AuthFile),
    Absent(String),
}

/// A credential, and where it is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) credential: Credential,
    pub(crate) source: CredentialSource,
}

impl Keychain {
    /// Adds a user's name and password for a registry, or a path below it; `by` is what trails and errors call it.
    #[must_use]
    pub fn with_password(mut self, by: &str, name: &str, username: &str, password: Secret) -> Self {
        self.sources.push(Source::Given {
            by: by.to_owned(),
            name: name.to_owned(),
            credential: Credential::Password {
                username: username.to_owned(),
                password,
            },
        });
        self
    }

    /// Adds the text of a configuration file.
    ///
    /// # Errors
    /// The text is not a configuration file; `name` is what the error calls it.
    pub fn with_config(mut self, name: &str, text: &[u8]) -> Result<Self, KeychainError> {
        self.sources.push(Source::File(AuthFile::parse(name, text)?));
        Ok(self)
    }

    /// Notes a configuration file that is not there, for the trail.
    #[must_use]
    pub fn with_absent(mut self, name: &str) -> Self {
        self.sources.push(Source::Absent(name.to_owned()));
        self
    }

    /// The registries, and paths below them, that something is said of, each with the flag or file that does. What a
    /// general helper knows is not asked for.
    pub fn names(&self) -> Vec<(String, String)> {
        let mut names = Vec::new();
        for source in &self.sources {
            match source {
                Source::Given { by, name, .. } => names.push((name.clone(), by.clone())),
                Source::File(file) => {
                    names.extend(file.names().map(|name| (name.to_owned(), file.name.clone())))
                }
                Source::Absent(_) => {}
            }
        }
        names
    }

    /// Looks for credential helpers in this directory, instead of where the system looks for programs.
    #[must_use]
    pub fn with_helpers_in(mut self, directory: impl Into<PathBuf>) -> Self {
        self.helpers_in = Some(directory.into());
        self
    }

    /// Tells where the credential for a repository, or for a whole registry, is from, and what was asked before. Helpers
    /// are run as for a request.
    pub async fn explain(&self, registry: &Registry, repository: Option<&Repository>) -> Trail {
        let mut trail = Trail::default();
        let names = EntryNames::of(registry, repository);
        // What fails stands in the trail.
        let _ = self.search(&names, Freshness::Kept, &mut trail).await;
        trail
    }

    /// Finds the credential for a repository, or for a whole registry; none means that it is asked without.
    ///
    /// # Errors
    /// An entry does not decode, or a helper fails.
    pub(crate) async fn credential(
        &self,
        registry: &Registry,
        repository: Option<&Repository>,
        freshness: Freshness,
    ) -> Result<Option<Found>, KeychainError> {
        let names = EntryNames::of(registry, repository);
        self.search(&names, freshness, &mut Trail::default()).await
    }

    async fn search(
        &self,
        names: &EntryNames,
        freshness: Freshness,
        trail: &mut Trail,
    ) -> Result<Option<Found>, KeychainError> {
        for source in &self.sources {
            let asked_before = trail.0.len();
            let found = match source {
                Source::Given { by, name, credential } => Ok(names.includes(name).then(|| Found {
                    credential: credential.clone(),
                    source: CredentialSource::Given {
                        by: by.clone(),
                        name: name.clone(),
                    },
                })),
                Source::File(file) => self.search_file(file, names, freshness, trail).await,
                Source::Absent(place) => {
                    trail.0.push(TrailStep::Absent { place: place.clone() });
                    continue;
                }
            };
            let step = match &found {
                Ok(Some(Found { credential, source })) => TrailStep::Chosen {
                    source: source.clone(),
                    kind: credential.kind(),
                },
                Err(error) => TrailStep::Failed {
                    reason: error.to_string(),
                },
                Ok(None) if trail.0.len() > asked_before => continue,
                Ok(None) => TrailStep::Silent {
                    place: source.place().to_owned(),
                },
            };
            trail.0.push(step);
            if !matches!(found, Ok(None)) {
                return found;
            }
        }
        Ok(None)
    }

    async fn search_file(
        &self,
        file: &AuthFile,
        names: &EntryNames,
        freshness: Freshness,
        trail: &mut Trail,
    ) -> Result<Option<Found>, KeychainError> {
        let named = |key: &String| Some((file.helper(key)?.to_owned(), names.servers(key)));
        if let Some((helper, servers)) = names.keys().iter().find_map(named) {
            // Whoever names a helper for a registry does not mean another entry.
            return self.ask(file, &helper, &servers, freshness, trail).await;
        }
        for key in names.keys() {
            let Some((name, credential)) = file.entry(key)? else {
                continue;
            };
            let source = CredentialSource::Entry {
                file: file.name.clone(),
                name: name.to_owned(),
            };
            match credential {
                Some(credential) => return Ok(Some(Found { credential, source })),
                None => trail.0.push(TrailStep::Empty { source }),
            }
        }
        match file.general_helper() {
            Some(helper) => {
                self.ask(file, helper, &names.servers(names.host()), freshness, trail)
                    .await
            }
            None => Ok(None),
        }
    }

    /// Asks a helper for each name of one server.
    async fn ask(
        &self,
        file: &AuthFile,
        helper: &str,
        servers: &[String],
        freshness: Freshness,
        trail: &mut Trail,
    ) -> Result<Option<Found>, KeychainError> {
        let helper = match &self.helpers_in {
            Some(directory) => CredentialHelper::new(helper).in_directory(directory),
            None => CredentialHelper::new(helper),
        };
        for server in servers {
            let source = CredentialSource::Helper {
                file: file.name.clone(),
                program: helper.program(),
                server: server.clone(),
            };
            match self.answers.get(&helper, server, freshness).await? {
                Some(credential) => return Ok(Some(Found { credential, source })),
                None => trail.0.push(TrailStep::Empty { source }),
            }
        }
        Ok(None)
    }
}

impl Source {
    fn place(&self) -> &str {
        match self {
            Self::Given { by, .. } => by,
            Self::File(file) => &file.name,
            Self::Absent(name) => name,
        }
    }
}

impl Found {
    /// Tells whether the same place may give another credential when this one was refused.
    pub(crate) fn is_renewable(&self) -> bool {
        match self.source {
            CredentialSource::Helper { .. } | CredentialSource::Extension => true,
            CredentialSource::Given { .. } | CredentialSource::Entry { .. } => false,
        }
    }

    pub(crate) fn is_of_extension(&self) -> bool {
        self.source == CredentialSource::Extension
    }
}

/// Why a credential could not be looked up. The texts have no secret in them.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeychainError {
    /// Not a configuration file. What stands there is not shown: it may be a secret in the wrong place.
    #[error("`{name}` is not a docker configuration file: line {line}, column {column}")]
    Malformed {
        /// The file, or where else the text is from.
        name: String,
        /// The line, counted from 1.
        line: usize,
        /// The column, counted from 1.
        column: usize,
    },
    /// An entry that does not decode.
    #[error("the `auth` of `{name}` in `{file}` is not base64 of `user:password`")]
    Auth {
        /// The file.
        file: String,
        /// The entry's name.
        name: String,
    },
    /// A helper that failed. Its own words are not shown: they may have a secret in them.
    #[error("{program} {operation}: {what}")]
    Helper {
        /// The program.
        program: String,
        /// What it was asked to do.
        operation: &'static str,
        /// How it failed.
        what: String,
    },
}

#[cfg(test)]
mod tests;
