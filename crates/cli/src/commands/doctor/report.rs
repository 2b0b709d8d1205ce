use std::fmt;

use serde::Serialize;

use super::machine::Machine;
use super::places::Place;
use super::registries::{Asked, Credentials};
use crate::look::size;

/// What was found out (docs/doctor.md).
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) machine: Machine,
    /// What RUN lines are executed with that cannot be interpreted; none if there is no way.
    pub(super) run: Option<&'static str>,
    pub(super) sandboxes: Vec<RungReport>,
    pub(super) temporary: Option<Place>,
    pub(super) cache: Option<Place>,
    pub(super) credentials: Credentials,
    pub(super) registries: Vec<Asked>,
}

/// A way to execute RUN lines.
#[derive(Debug, Serialize)]
pub(super) struct RungReport {
    pub(super) name: &'static str,
    /// The system call, or the step, that was refused.
    pub(super) refused: Option<String>,
    /// The system's words.
    pub(super) obstacle: Option<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.machine.fmt(f)?;
        writeln!(f, "\nRUN lines that only touch files are interpreted. Others:")?;
        for rung in &self.sandboxes {
            match (&rung.refused, &rung.obstacle) {
                (Some(step), Some(reason)) => writeln!(f, "  {:<12}no: {step}: {reason}", rung.name)?,
                _ if self.run == Some(rung.name) => writeln!(f, "  {:<12}yes, and used", rung.name)?,
                _ => writeln!(f, "  {:<12}yes", rung.name)?,
            }
        }
        writeln!(f, "\nSpace:")?;
        place(f, "temporary", self.temporary.as_ref())?;
        place(f, "cache", self.cache.as_ref())?;
        self.credentials.fmt(f)?;
        if !self.registries.is_empty() {
            writeln!(f, "\nRegistries:")?;
        }
        for asked in &self.registries {
            let Asked {
                name, milliseconds, ..
            } = asked;
            match (asked.login, &asked.error) {
                (Some("accepted"), _) => writeln!(f, "  {name}: takes the credential, {milliseconds} ms")?,
                (Some(_), _) => writeln!(f, "  {name}: asks for no credential, {milliseconds} ms")?,
                (None, Some(error)) => writeln!(f, "  {name}: {error}")?,
                (None, None) => {}
            }
        }
        Ok(())
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let yes = |is_so: bool| if is_so { "yes" } else { "no" };
        let or_none = |text: Option<String>| text.unwrap_or_else(|| "none".to_owned());
        let capabilities = self.capabilities.join(" ");
        writeln!(f, "Machine:")?;
        writeln!(f, "  kernel            {}", self.kernel)?;
        writeln!(f, "  user and group    {}:{}", self.user, self.group)?;
        writeln!(
            f,
            "  capabilities      {}",
            if capabilities.is_empty() {
                "none"
            } else {
                &capabilities
            }
        )?;
        writeln!(f, "  no new privileges {}", yes(self.no_new_privileges))?;
        writeln!(f, "  seccomp filter    {}", yes(self.seccomp))?;
        writeln!(
            f,
            "  user namespaces   {}",
            or_none(self.user_namespaces.map(|most| format!("at most {most}")))
        )?;
        writeln!(
            f,
            "  Landlock          {}",
            or_none(self.landlock.map(|version| format!("version {version}")))
        )?;
        writeln!(f, "  processors        {}", self.processors)?;
        writeln!(f, "  memory limit      {}", or_none(self.memory_limit.map(size)))?;
        writeln!(
            f,
            "  open files        {}",
            or_none(self.open_files.map(|most| most.to_string()))
        )
    }
}

impl fmt::Display for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nCredentials:")?;
        if let Some(error) = &self.error {
            writeln!(f, "  not read: {error}")?;
        }
        for entry in &self.entries {
            writeln!(f, "  {} in {}", entry.name, entry.place)?;
        }
        for variable in &self.variables {
            writeln!(f, "  {variable} is set")?;
        }
        if self.entries.is_empty() && self.variables.is_empty() && self.error.is_none() {
            writeln!(f, "  none")?;
        }
        Ok(())
    }
}

fn place(f: &mut fmt::Formatter<'_>, name: &str, place: Option<&Place>) -> fmt::Result {
    let Some(place) = place else {
        return writeln!(f, "  {name:<12}none");
    };
    write!(f, "  {name:<12}{}", place.path.display())?;
    if let Some(free) = place.free {
        write!(f, ", {} free", size(free))?;
    }
    if !place.writable {
        write!(f, ", cannot be written")?;
    }
    if !place.executable {
        write!(f, ", programs cannot be executed there")?;
    }
    writeln!(f)
}
