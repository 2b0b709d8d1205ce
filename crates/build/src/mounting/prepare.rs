//! Puts what a line mounts into the tree.

use std::sync::Arc;

use onlay_dockerfile::{ExpandedRun, Instruction, Located, Mount, MountType};
use onlay_layer::{
    Content, Edit, ImagePath, LastLink, Lookup, Metadata, ModificationTime, Node, ResolveError, Tree,
};
use onlay_oci::Digest;
use onlay_sandbox::SecretText;

use super::agent::Agent;
use super::cache::Cache;
use super::{Mounted, Mounting, What};
use crate::stage::StageBuild;
use crate::step::{StepError, copy};

/// Where secrets are, unless a line says otherwise (dockerfile.md 1.10).
const SECRETS: &str = "/run/secrets";
/// Where sockets of agents are, before their number.
const AGENTS: &str = "/run/buildkit/ssh_agent.";
/// The variable that names the agent's socket.
pub(crate) const AGENT_VARIABLE: &str = "SSH_AUTH_SOCK";

const DIRECTORY_MODE: u32 = 0o755;
const SECRET_MODE: u32 = 0o400;
const SOCKET_MODE: u32 = 0o600;
/// As the kernel makes it.
const MEMORY_MODE: u32 = 0o1777;

impl Mounting {
    /// Mounts what a line asks for; all layers must have been read if that is anything.
    pub(crate) async fn prepare(
        stage: &StageBuild<'_>,
        line: &Located<Instruction>,
        command: &ExpandedRun,
    ) -> Result<Self, StepError> {
        let mut mounting = Self::none(&stage.files.tree);
        mounting.caches = Cache::hold_all(stage, line, &command.mounts).await?;
        for mount in &command.mounts {
            Preparation {
                stage,
                line,
                mounting: &mut mounting,
                mount,
            }
            .mount()
            .await?;
        }
        Ok(mounting)
    }
}

/// One mount in the making.
struct Preparation<'a, 'b> {
    stage: &'a StageBuild<'b>,
    line: &'a Located<Instruction>,
    mounting: &'a mut Mounting,
    mount: &'a Mount,
}

impl Preparation<'_, '_> {
    async fn mount(&mut self) -> Result<(), StepError> {
        match self.mount.mount_type {
            MountType::Bind => self.bind().await,
            MountType::Cache => self.cache().await,
            MountType::Tmpfs => {
                let node = directory(MEMORY_MODE, 0, 0);
                self.put(&self.target()?, node, What::Memory(self.mount.size))
            }
            MountType::Secret => self.secret(),
            MountType::Ssh => self.agent(),
        }
    }

    async fn bind(&mut self) -> Result<(), StepError> {
        let node = self.source().await?;
        let read_only = self.mount.read_only;
        self.put(&self.target()?, node, What::Files { read_only })
    }

    async fn cache(&mut self) -> Result<(), StepError> {
        let key = Cache::key(self.mount);
        let kept = self.mounting.caches.iter().find(|cache| cache.is(&key));
        let kept = match kept {
            Some(cache) => cache.load(self.stage).await.map_err(|error| {
                self.refuse(format!(
                    "the cache of `{}` could not be read: {error}",
                    self.mount_id()
                ))
            })?,
            None => None,
        };
        let node = match kept {
            Some(node) => node,
            None if self.mount.from.is_some() => self.source().await?,
            None => {
                let mount = self.mount;
                let mode = mount.mode.unwrap_or(DIRECTORY_MODE);
                directory(mode, mount.uid.unwrap_or(0), mount.gid.unwrap_or(0))
            }
        };
        let target = self.target()?;
        let read_only = self.mount.read_only;
        let place = self.put(&target, node, What::Cache { read_only });
        let resolved = self.mounting.mounted.last().map(|mounted| mounted.target.clone());
        if let (Some(resolved), Some(cache)) = (
            resolved,
            self.mounting.caches.iter_mut().find(|cache| cache.is(&key)),
        ) {
            cache.target.get_or_insert(resolved);
        }
        place
    }

    fn mount_id(&self) -> String {
        self.mount
            .id
            .clone()
            .or_else(|| self.mount.target.clone())
            .unwrap_or_default()
    }

    /// What `from` and `source` name.
    async fn source(&self) -> Result<Node, StepError> {
        let mut files = match &self.mount.from {
            None => copy::context(self.stage, self.line).await?,
            // To BuildKit it is the name of an image, which nobody means (its convert_runmount.go).
            Some(from) if from.bytes().all(|byte| byte.is_ascii_digit()) => {
                return Err(self
                    .refuse(format!("`from={from}` of a mount is not the number of a stage"))
                    .with_hint("give the stage a name, with `FROM image AS name`, and mount from that"));
            }
            Some(from) => copy::named(self.stage, self.line, from).await?,
        };
        if !files.tree.is_complete() {
            files.read_more(true).await?;
        }
        let source = self.mount.source.as_deref().unwrap_or("/");
        let path = format!("/{source}");
        let found = files
            .tree
            .resolve(path.as_bytes(), &ImagePath::root(), LastLink::Follow);
        match found.map(|found| found.node) {
            Ok(Some(node)) => Ok(node.as_ref().clone()),
            Ok(None) | Err(ResolveError::NotFound | ResolveError::NotADirectory) => {
                let origin = match &self.mount.from {
                    None => "the build context".to_owned(),
                    Some(from) => format!("`{from}`"),
                };
                Err(self.refuse(format!("`{source}` is not in {origin}")))
            }
            Err(error) => Err(self.refuse(format!("`{source}`: {error}"))),
        }
    }

    fn secret(&mut self) -> Result<(), StepError> {
        let mount = self.mount;
        // `source` is another name of the id.
        let id = mount.id.as_deref().or(mount.source.as_deref());
        let id = id.or(mount.target.as_deref().map(base_name)).unwrap_or_default();
        let Some(secret) = self.stage.options.lent.secrets.get(id) else {
            if mount.required {
                return Err(self
                    .refuse(format!("there is no secret `{id}`, which the line requires"))
                    .with_hint(&format!(
                        "give it with `--secret id={id},src=FILE` or `--secret id={id},env=VARIABLE`"
                    )));
            }
            return Ok(());
        };
        let secret = secret.reveal().clone();
        if let Some(name) = &mount.env {
            let name = if name.is_empty() { id } else { name };
            let text = String::from_utf8(secret.to_vec())
                .ok()
                .filter(|text| !text.contains('\0'));
            let text = text.ok_or_else(|| {
                self.refuse(format!("the secret `{id}` is not text, which `env={name}` needs"))
            })?;
            self.mounting
                .environment
                .push((name.to_owned(), SecretText::new(text)));
            if mount.target.is_none() {
                return Ok(());
            }
        }
        let target = match &mount.target {
            Some(_) => self.target()?,
            None => format!("{SECRETS}/{}", base_name(id)),
        };
        let digest = Digest::of(&secret);
        // By its digest, so that no message can show it.
        let content = self.stage.inputs.hold(digest, secret.into());
        let owner = (mount.uid.unwrap_or(0), mount.gid.unwrap_or(0));
        let metadata = Metadata::owned(mount.mode.unwrap_or(SECRET_MODE), owner.0, owner.1);
        let node = Node::file(metadata, ModificationTime::Build, content);
        self.put(&target, node, What::Lent)
    }

    fn agent(&mut self) -> Result<(), StepError> {
        let mount = self.mount;
        let id = mount.id.as_deref().unwrap_or("default");
        let target = match &mount.target {
            Some(_) => self.target()?,
            None => format!("{AGENTS}{}", self.mounting.agents.len()),
        };
        // BuildKit names the socket whether there is one or not.
        let is_set = |name: &str| name == AGENT_VARIABLE;
        if !self.mounting.environment.iter().any(|(name, _)| is_set(name)) {
            let variable = (AGENT_VARIABLE.to_owned(), SecretText::new(target.clone()));
            self.mounting.environment.push(variable);
        }
        let Some(socket) = self.stage.options.lent.agents.get(id) else {
            if mount.required {
                return Err(self
                    .refuse(format!("there is no SSH agent `{id}`, which the line requires"))
                    .with_hint(&format!("give it with `--ssh {id}` or `--ssh {id}=SOCKET`")));
            }
            return Ok(());
        };
        // An empty file until the command runs, so that the socket finds its directory.
        let metadata = Metadata::owned(SOCKET_MODE, 0, 0);
        let content = Content::Bytes(Arc::from([]));
        self.put(
            &target,
            Node::file(metadata, ModificationTime::Build, content),
            What::Lent,
        )?;
        let Some(mounted) = self.mounting.mounted.last() else {
            return Ok(());
        };
        self.mounting.agents.push(Agent {
            place: mounted.target.clone(),
            socket: socket.clone(),
            mode: mount.mode.unwrap_or(SOCKET_MODE),
            uid: mount.uid.unwrap_or(0),
            gid: mount.gid.unwrap_or(0),
        });
        Ok(())
    }

    /// Where it is mounted, as an absolute path.
    fn target(&self) -> Result<String, StepError> {
        let target = self.mount.target.as_deref().unwrap_or_default();
        let directory = self
            .stage
            .image
            .working_dir()
            .map_err(|source| StepError::Image {
                place: crate::step::place(self.line),
                source,
            })?;
        let path = match target.starts_with('/') {
            true => target.to_owned(),
            false => format!("/{directory}/{target}"),
        };
        let place = ImagePath::clamped(path.as_bytes());
        match place {
            Ok(place) if !place.is_root() && !target.is_empty() => Ok(path),
            Ok(_) => Err(self
                .refuse(format!("`{target}` cannot be mounted over"))
                .with_hint("name a directory or file with `target=PATH`")),
            Err(error) => Err(self.refuse(format!("`{target}` is no place for a mount: {error}"))),
        }
    }

    /// Puts something at a place of the tree, and makes directories on the way there.
    fn put(&mut self, target: &str, node: Node, what: What) -> Result<(), StepError> {
        let placed = place(&self.mounting.tree, target, node);
        let (tree, target, made) = placed
            .map_err(|reason| self.refuse(format!("nothing can be mounted at `{target}`: {reason}")))?;
        self.mounting.tree = tree;
        self.mounting.mounted.push(Mounted { target, made, what });
        Ok(())
    }

    fn refuse(&self, message: String) -> StepError {
        StepError::at(self.line, message)
    }
}

/// Finds the place that a path names, following links as a runtime does, and puts a node there.
fn place(tree: &Tree, target: &str, node: Node) -> Result<(Tree, ImagePath, Vec<ImagePath>), String> {
    let wrong = |error: &dyn std::fmt::Display| error.to_string();
    let mut edit = Edit::new(tree);
    let mut made = Vec::new();
    let mut current = ImagePath::root();
    let mut names = target.split('/').filter(|name| !name.is_empty()).peekable();
    while let Some(name) = names.next() {
        let found = edit.tree().resolve(name.as_bytes(), &current, LastLink::Follow);
        let found = found.map_err(|error| wrong(&error))?;
        let is_last = names.peek().is_none();
        let missing = found.node.is_none();
        let (path, is_directory) = (found.path, found.node.as_deref().is_some_and(Node::is_directory));
        if !is_last && missing {
            edit.put(&path, directory(DIRECTORY_MODE, 0, 0))
                .map_err(|error| wrong(&error))?;
            made.push(path.clone());
        } else if !is_last && !is_directory {
            return Err(format!("`{path}` is no directory"));
        }
        if is_last {
            let of_a_kind = is_directory == node.is_directory();
            if !missing && !of_a_kind {
                return Err(
                    "a directory can only be mounted over a directory, and a file over a file".to_owned(),
                );
            }
        }
        current = path;
    }
    if current.is_root() {
        return Err("it is the root directory".to_owned());
    }
    edit.put(&current, node).map_err(|error| wrong(&error))?;
    Ok((edit.finish(), current, made))
}

fn directory(mode: u32, uid: u32, gid: u32) -> Node {
    Node::directory(Metadata::owned(mode, uid, gid), ModificationTime::Build)
}

fn base_name(path: &str) -> &str {
    path.trim_end_matches('/').rsplit('/').next().unwrap_or(path)
}

impl super::Mounting {
    /// Keeps what the line left in its caches; those that did not change stay as they are.
    pub(crate) async fn keep_caches(
        &self,
        stage: &StageBuild<'_>,
        after: &Tree,
    ) -> Result<(), std::io::Error> {
        let changed = super::changed(&self.tree, after);
        for cache in &self.caches {
            let Some(target) = &cache.target else { continue };
            if !changed.iter().any(|path| path.is_within(target)) {
                continue;
            }
            if let Lookup::Found(node) = after.lookup(target) {
                cache.save(stage, node.as_ref().clone()).await?;
            }
        }
        Ok(())
    }
}
