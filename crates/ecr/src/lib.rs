//! Amazon ECR, as far as it differs from other registries: where its credentials come from, and that a repository must
//! exist before it is pushed to.
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use onlay_ecr::{AwsSource, Ecr, EcrOptions, Quotas, load_aws_configuration};
//! use onlay_http::ConnectionOptions;
//! use onlay_registry::{Client, ClientOptions};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let ecr = Ecr::new(EcrOptions {
//!     aws: AwsSource::on_demand(|| async { load_aws_configuration(&ConnectionOptions::default()).await }),
//!     create_repositories: None,
//!     quotas: Quotas::default(),
//!     roles: Default::default(),
//!     public_credentials: false,
//! });
//! let client = Client::new(ClientOptions {
//!     extensions: vec![Arc::new(ecr)],
//!     ..ClientOptions::default()
//! })?;
//! # Ok(())
//! # }
//! ```
//!
//! - [`EcrHost`] recognises the hosts of private registries in every partition, and nothing that only looks like one.
//! - [`Ecr`] is the [`Extension`](onlay_registry::Extension): one GetAuthorizationToken for each region and [`Role`],
//!   shared by all and renewed at half of its life; one CreateRepository for each repository, if asked to, with what a
//!   [`RepositoryTemplate`] says; blobs looked for a hundred at a time, and tags a thousand; [`Quotas`] kept to.
//! - ECR Public is pulled from without credentials, and pushed to with a token of its own API, which is spoken to without
//!   another SDK crate.
//! - [`AwsServices`] are the few calls that a run makes of other services, in the same way.
//! - [`policies`] works out what AWS has to allow for all that, and no more.
//! - [`load_aws_configuration`] is the one place where AWS's environment variables and files are read.
//!
//! The SDK's requests go over `onlay-http`, as all of onlay's do. Data goes through `onlay-registry`; here is only ECR's
//! own API. It does not change repositories that exist.

mod api;
mod calls;
mod config;
mod ecr;
mod error;
mod host;
mod http;
mod images;
mod pace;
mod partition;
mod policy;
mod presence;
mod public;
mod repositories;
mod role;
mod services;
mod signed;
mod source;
mod template;
mod token;

pub use config::load_aws_configuration;
pub use ecr::{Ecr, EcrOptions};
pub use error::EcrError;
pub use host::{EcrHost, is_ecr};
pub use pace::{EcrAction, QuotaError, Quotas};
pub use policy::{Needs, Policies, Policy, Use, policies};
pub use role::{Role, RoleError};
pub use services::AwsServices;
pub use source::AwsSource;
pub use template::{RepositoryTemplate, TemplateError};
