//! What every HTTP client of onlay needs, whether it speaks to registries or downloads files.
//!
//! - [`Connections`]: one pool for all hosts, and one for each that is spoken to in its own way. Redirects are not
//!   followed there: who asks decides where an answer may lead, and what is sent along.
//! - TLS is rustls with ring; the public [`Authorities`] are built in, others are added, for all hosts or for one
//!   ([`HostOptions`]).
//! - [`ProxyOptions`] has the meaning of `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY`.
//! - No connection is made to an address where a cloud hands out credentials, by whatever name: [`is_forbidden`] tells it
//!   of a URL, and the resolver leaves such addresses out. What carries a password where an answer of the public internet
//!   leads is kept out of private networks as well ([`Reach`]).
//! - [`pause`] and [`retry_after`] say how long to wait; whether to try again is for the caller to know.
//!
//! It deliberately sends no request, follows no redirect and reads neither files nor the environment.

mod address;
mod connections;
mod origin;
mod proxy;
mod resolver;
mod tls;
mod trouble;
mod wait;

pub use address::{Reach, is_forbidden};
pub use connections::{ClientError, ConnectionOptions, Connections};
pub use origin::Origin;
pub use proxy::{ProxyError, ProxyOptions};
pub use tls::{Authorities, CertificateError, ClientCertificate, HostOptions, Verification};
pub use trouble::Trouble;
pub use wait::{MAX_PAUSE, MAX_RETRY_AFTER, pause, retry_after};
