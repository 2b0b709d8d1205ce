//! The place of the comparison: a registry with the base in it, and what every builder is given.

use std::path::{Path, PathBuf};

use anyhow::Result;
use fs_err as fs;
use onlay_testkit::{Front, FrontAuth, LargeBase, Layer, Layout, Registry, entry, upload_layout};
use tempfile::TempDir;

/// The static program that makes the base one in which RUN lines can be executed; Debian's `busybox-static`.
const BUSYBOX: &str = "/bin/busybox";

/// The lines of the vault case.
pub(crate) const VAULT_LINES: [&str; 3] = [
    "RUN mkdir /etc/vault",
    "RUN chmod 777 /etc/vault",
    r#"VOLUME ["/etc/vault"]"#,
];

/// A line that needs nothing but the configuration.
pub(crate) const CONFIG_LINES: [&str; 1] = [r#"VOLUME ["/etc/vault"]"#];

/// A registry that holds the base, a front before it that counts, and a directory that goes when this does.
pub(crate) struct Site {
    registry: Registry,
    front: Front,
    directory: TempDir,
}

/// Where one run takes the base from and pushes to.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// `127.0.0.1:<port>` of the registry or of the front before it.
    pub(crate) host: String,
    /// A repository that was never used before.
    pub(crate) repository: String,
    /// A directory with the Dockerfile of the vault case.
    pub(crate) context: PathBuf,
}

impl Target {
    /// The reference of the base.
    pub(crate) fn base(&self) -> String {
        format!("{}/base:1", self.host)
    }

    /// The reference to push to.
    pub(crate) fn destination(&self) -> String {
        format!("{}/{}:1", self.host, self.repository)
    }
}

impl Site {
    /// Starts the registry and fills it.
    pub(crate) fn start(megabytes: u16) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("versus-").tempdir()?;
        let registry = Registry::start();
        let layout = directory.path().join("base");
        let base = LargeBase {
            megabytes: megabytes.into(),
            busybox: Some(BUSYBOX.into()),
        };
        base.write(&Layout::create(&layout), "1");
        upload_layout(&layout, "1", registry.host(), "base", "1", None);
        fs::remove_dir_all(&layout)?;
        let front = Front::start(registry.host(), FrontAuth::Registry);
        let site = Self {
            registry,
            front,
            directory,
        };
        for host in [site.registry.host(), site.front.host()] {
            site.write_context(host)?;
        }
        fs::write(site.ready_layer(), vault_layer().blob())?;
        Ok(site)
    }

    /// A target at the registry itself, for runs that are timed.
    pub(crate) fn direct(&self, repository: &str) -> Target {
        self.target(self.registry.host(), repository)
    }

    /// A target behind the front, for the run that is counted.
    pub(crate) fn counted(&self, repository: &str) -> Target {
        self.target(self.front.host(), repository)
    }

    /// The counting front.
    pub(crate) fn front(&self) -> &Front {
        &self.front
    }

    /// The registry itself.
    pub(crate) fn registry(&self) -> &Registry {
        &self.registry
    }

    /// A directory for caches and storages.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The layer of the vault case as a gzip file, for tools that only append.
    pub(crate) fn ready_layer(&self) -> PathBuf {
        self.directory().join("layer.tar.gz")
    }

    fn target(&self, host: &str, repository: &str) -> Target {
        Target {
            host: host.to_owned(),
            repository: repository.to_owned(),
            context: self.context(host),
        }
    }

    fn context(&self, host: &str) -> PathBuf {
        self.directory().join("context").join(host.replace(':', "-"))
    }

    fn write_context(&self, host: &str) -> Result<()> {
        let context = self.context(host);
        fs::create_dir_all(&context)?;
        let dockerfile = format!("FROM {host}/base:1\n{}\n", VAULT_LINES.join("\n"));
        fs::write(context.join("Dockerfile"), dockerfile)?;
        Ok(())
    }
}

fn vault_layer() -> Layer {
    Layer::new(&[entry::dir("etc"), entry::dir("etc/vault").with_mode(0o777)])
}
