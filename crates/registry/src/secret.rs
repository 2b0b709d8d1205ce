use std::fmt;

/// A text that must not be seen: it prints as `[redacted]`, and has no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes a text into custody.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Gives the text to the one place that sends it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// What opens a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// A user's name and password.
    Password {
        /// The name.
        username: String,
        /// The password.
        password: Secret,
    },
    /// A token that is exchanged for others (`identitytoken` in docker's configuration).
    IdentityToken {
        /// Whose it is, for token endpoints that know no exchange; [`Credential::NOBODY`] where nobody is named.
        username: String,
        /// The token.
        token: Secret,
    },
    /// A token that is sent as it is (`registrytoken` in docker's configuration).
    RegistryToken(Secret),
}

/// What kind of credential it is, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialKind {
    /// A user's name and password.
    Password,
    /// A token that is exchanged for others.
    IdentityToken,
    /// A token that is sent as it is.
    RegistryToken,
}

impl Credential {
    /// The user's name that docker writes where the password is a token to be exchanged.
    pub const NOBODY: &str = "<token>";

    /// Takes a name and a password as docker and its helpers write them.
    pub(crate) fn of_login(username: &str, password: &str) -> Self {
        let (username, secret) = (username.to_owned(), Secret::new(password));
        match username == Self::NOBODY {
            true => Self::IdentityToken {
                username,
                token: secret,
            },
            false => Self::Password {
                username,
                password: secret,
            },
        }
    }

    /// What kind it is.
    pub fn kind(&self) -> CredentialKind {
        match self {
            Self::Password { .. } => CredentialKind::Password,
            Self::IdentityToken { .. } => CredentialKind::IdentityToken,
            Self::RegistryToken(_) => CredentialKind::RegistryToken,
        }
    }
}

impl fmt::Display for CredentialKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Password => "a password",
            Self::IdentityToken => "an identity token",
            Self::RegistryToken => "a registry token",
        })
    }
}
