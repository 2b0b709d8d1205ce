use clap::Args;
use onlay_oci::Registry;
use onlay_registry::{CredentialHelper, EntryNames};

use crate::auth_file::AuthFile;
use crate::commands::login::{FileOption, registry};
use crate::terminal::say;

/// Log out of a registry
///
/// Removes the registry from the file under every name that it has there, and from the credential helper that the file
/// names for it.
#[derive(Debug, Args)]
pub(crate) struct Logout {
    /// The registry [default: Docker Hub]
    #[arg(value_name = "HOST", value_parser = registry)]
    host: Option<Registry>,

    #[command(flatten)]
    file: FileOption,
}

impl Logout {
    /// Forgets the login, and says so if there was none.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let registry = self.host.clone().unwrap_or_else(Registry::docker_hub);
        let file = self.file.open()?;
        let path = file.path().display().to_string();
        say(&match forget(file, &registry).await? {
            true => format!("logged out of `{registry}`"),
            false => format!("there was no login to `{registry}` in `{path}`"),
        });
        self.file.warn_of_others(&registry).await;
        Ok(())
    }
}

async fn forget(mut file: AuthFile, registry: &Registry) -> anyhow::Result<bool> {
    let names = EntryNames::of(registry, None);
    let mut had_any = false;
    if let Some((helper, servers)) = file.helper(&names)? {
        let helper = CredentialHelper::new(helper);
        for server in servers {
            had_any |= helper.erase(&server).await?;
        }
    }
    if file.remove(&names)? {
        file.write()?;
        had_any = true;
    }
    Ok(had_any)
}
