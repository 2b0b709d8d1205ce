use std::ffi::OsString;
use std::iter;

use clap::{Args, Parser};
use onlay_ecr::{Needs, Policies, Use, is_ecr, policies};
use onlay_registry::Mirrors;
use onlay_store::{Destination, Location};

use crate::arguments::{Command, Onlay};
use crate::commands::copy::Copy;
use crate::commands::mirror::{Mirror, Wanted};
use crate::failure::Usage;
use crate::look::LookOptions;
use crate::mirrors::mirrors;
use crate::options::RegistryOptions;
use crate::publish::Request;
use crate::terminal::print;

/// Print the least that AWS has to allow for a command line
///
/// The policy is printed as JSON, ready for a role or a user; nothing is asked of AWS or of any
/// registry. It is for the registries of Amazon ECR that the command line names, mirrors included:
///
///     onlay doctor iam -- apply hashicorp/vault:1.14 'RUN mkdir /etc/vault' -t HOST/vault:1.14
///
/// Where roles are taken on (--ecr-assume-role), it is an object with a policy for the caller and
/// one for each role.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Iam {
    /// The command with its arguments, as they will be given to onlay
    #[arg(last = true, required = true, value_name = "COMMAND LINE")]
    command_line: Vec<OsString>,
}

impl Iam {
    /// Prints the policies.
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let needs = self.needs().await?;
        let Policies { caller, roles } = policies(&needs);
        let text = match roles.is_empty() {
            true => serde_json::to_string_pretty(&caller)?,
            false => serde_json::to_string_pretty(&Policies { caller, roles })?,
        };
        print(&text)
    }

    /// What the command line would do, as far as ECR is concerned.
    async fn needs(&self) -> anyhow::Result<Needs> {
        match self.parse()?.command {
            Command::Apply(apply) => {
                let (request, _held) = apply.request().await?;
                of_request(&request)
            }
            Command::Build(build) => {
                let (request, _held) = build.request().await?;
                of_request(&request)
            }
            Command::Cat(cat) => of_look(&cat.look, &[&cat.image], Use::Pull),
            Command::Copy(copy) => of_copy(&copy),
            Command::Diff(diff) => of_look(&diff.look, &[&diff.first, &diff.second], Use::Pull),
            Command::Digest(digest) => of_look(&digest.look, &[&digest.image], Use::Pull),
            Command::History(history) => of_look(&history.look, &[&history.image], Use::Pull),
            Command::Inspect(inspect) => of_look(&inspect.look, &[&inspect.image], Use::Pull),
            Command::Ls(ls) => of_look(&ls.look, &[&ls.image], Use::Pull),
            Command::Tags(tags) => {
                let repository = Location::Registry(tags.repository);
                of_look(&tags.look, &[&repository], Use::ListTags)
            }
            Command::Mirror(mirror) => of_mirror(mirror),
            Command::Login(_) | Command::Logout(_) => {
                Err(Usage("`login` and `logout` need nothing of AWS".to_owned()).into())
            }
            Command::Doctor(_) => Err(Usage("`doctor` itself needs nothing of AWS".to_owned()).into()),
        }
    }

    /// Reads the command line as onlay itself would; the program's name may stand in front of it.
    fn parse(&self) -> Result<Onlay, Usage> {
        let arguments = self.command_line.iter();
        let arguments = arguments.skip(usize::from(
            self.command_line.first().is_some_and(|name| name == "onlay"),
        ));
        let name = OsString::from("onlay");
        Onlay::try_parse_from(iter::once(&name).chain(arguments)).map_err(|error| {
            let text = error.render().to_string();
            Usage(text.trim_start_matches("error: ").trim_end().to_owned())
        })
    }
}

/// What making an image and publishing it needs.
fn of_request(request: &Request) -> anyhow::Result<Needs> {
    let mut needs = request.registry.ecr.needs()?;
    let mirrors = mirrors(&request.registry)?;
    let options = request.build_options()?;
    for image in request.recipe.images(&options, &request.contexts)? {
        read(&mut needs, &mirrors, &image, Use::Pull);
    }
    for destination in &request.destinations.published {
        write(&mut needs, destination);
    }
    Ok(needs)
}

fn of_copy(copy: &Copy) -> anyhow::Result<Needs> {
    let mut needs = copy.registry.ecr.needs()?;
    let mirrors = mirrors(&copy.registry)?;
    read(&mut needs, &mirrors, &copy.source, Use::Pull);
    write(&mut needs, &copy.place()?);
    Ok(needs)
}

/// What a mirror needs: to look at its repositories, and to make and fill them.
fn of_mirror(mut mirror: Mirror) -> anyhow::Result<Needs> {
    if let Some(pruned) = mirror.pruned() {
        return of_prune(pruned?);
    }
    let wanted = mirror.wanted()?;
    let others = mirror.other_rights(&wanted);
    let registry = mirror.registry_options();
    let (mut needs, mirrors) = (registry.ecr.needs()?, mirrors(registry)?);
    needs.others = others;
    for entry in &wanted.entries {
        read(
            &mut needs,
            &mirrors,
            &Location::Registry(entry.source().clone()),
            Use::Pull,
        );
        let (registry, repository) = entry.target();
        needs.add(registry, repository, Use::Push);
        needs.add(registry, repository, Use::DescribeTags);
    }
    Ok(needs)
}

/// What pruning needs: to list, to read what indexes name, and to delete.
fn of_prune((wanted, options): (Wanted, &RegistryOptions)) -> anyhow::Result<Needs> {
    let mut needs = options.ecr.needs()?;
    for entry in &wanted.entries {
        let (registry, repository) = entry.target();
        for what in [Use::DescribeTags, Use::Pull, Use::Delete] {
            needs.add(registry, repository, what);
        }
    }
    Ok(needs)
}

/// What a look at images needs.
fn of_look(look: &LookOptions, images: &[&Location], what: Use) -> anyhow::Result<Needs> {
    let mut needs = look.registry.ecr.needs()?;
    let mirrors = mirrors(&look.registry)?;
    for image in images {
        read(&mut needs, &mirrors, image, what);
    }
    Ok(needs)
}

/// An image is read from its mirrors, and from its own registry. A mirror of another registry in ECR may be a
/// pull-through cache, which does the reading in the caller's name.
fn read(needs: &mut Needs, mirrors: &Mirrors, image: &Location, what: Use) {
    let Location::Registry(reference) = image else {
        return;
    };
    for (registry, repository) in mirrors.repositories(reference) {
        let is_own = registry == *reference.registry() || is_ecr(reference.registry());
        let what = match what {
            Use::Pull if !is_own => Use::PullThrough,
            what => what,
        };
        needs.add(&registry, &repository, what);
    }
}

fn write(needs: &mut Needs, destination: &Destination) {
    if let Location::Registry(reference) = destination.location() {
        needs.add(reference.registry(), reference.repository(), Use::Push);
    }
}
