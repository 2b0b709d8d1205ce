//! The registry client: what the distribution specification offers, made safe to rely on.
//!
//! A [`Client`] holds what is shared (connections, credentials, limits), a [`RepositoryClient`] speaks to one
//! repository: manifests, blobs, mounts, uploads. Every request goes through one place, which
//!
//! - adds credentials only where they belong: to the origin they were given for, never to where a redirect or an upload's
//!   `Location` leads;
//! - renews credentials that died, once, and repeats the request with its body from the start;
//! - waits and tries again where that helps, and never before a registry's `Retry-After` is over;
//! - keeps to the rates that are known, and finds out how much each host takes of each kind of request;
//! - says to an [`Observer`] what is tried again;
//! - counts.
//!
//! Everything that is read is verified: digest, size, media type. A download that is cut or stalls goes on where it
//! stopped.
//!
//! What registries do differently is data, a [`Profile`] each; what no request of the specification can do is an
//! [`Extension`]. It does not read files or the
//! environment: a [`Keychain`] is made of texts.

mod action;
mod answer;
mod auth;
mod auth_file;
mod authorization;
mod blob;
mod body;
mod bucket;
mod client;
mod counters;
mod digest_tags;
mod endpoint;
mod entry_names;
mod error;
mod event;
mod extension;
mod helper;
mod hosts_toml;
mod identity;
mod keychain;
mod limiter;
mod link;
mod login;
mod mirrors;
mod outgoing;
mod patience;
mod profile;
mod pull_limit;
mod readers;
mod referrers;
mod registries_conf;
mod repository;
mod retry;
mod scope;
mod secret;
mod tags;
mod token;
mod trail;
mod transport;
mod upload;
mod userinfo;
mod window;

pub use action::Action;
pub use blob::BlobStream;
pub use body::BlobBody;
pub use client::{Client, ClientOptions};
pub use counters::{Counters, Traffic};
pub use digest_tags::DigestTags;
pub use entry_names::EntryNames;
pub use error::RegistryError;
pub use event::{Event, Observer, Retry};
pub use extension::{Extension, ExtensionError, ExtensionFuture, Pace, Presence, StoredImage};
pub use helper::CredentialHelper;
pub use identity::Identity;
pub use keychain::{Keychain, KeychainError};
pub use login::LoginCheck;
pub use mirrors::{MalformedText, MirrorError, Mirrors};
pub use onlay_http::{
    Authorities, CertificateError, ClientCertificate, ClientError, HostOptions, ProxyError, ProxyOptions,
    Verification,
};
pub use profile::{Profile, ProfileError, ReferrersForm, UploadForm};
pub use pull_limit::PullLimit;
pub use repository::RepositoryClient;
pub use secret::{Credential, CredentialKind, Secret};
pub use trail::{CredentialSource, Trail, TrailStep};
pub use upload::{Mount, UploadSession};
