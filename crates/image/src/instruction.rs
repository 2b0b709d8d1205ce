//! One edit for each instruction that changes the configuration: what it sets, and its history entry.

use serde_json::json;

use crate::healthcheck::HealthcheckMember;
use crate::object::{extend_map, set_list, set_text};
use crate::{CommandForm, Healthcheck, Image, ImageError, NewLayer, history};

/// # Instructions
///
/// All of them fail only where a member of the base that they edit does not have its shape; what else can go wrong is
/// said with the method.
impl Image {
    /// ENV: sets variables, in the order of the line.
    pub fn with_env(self, variables: &[(String, String)]) -> Result<Self, ImageError> {
        let mut image = self.begin_edit()?;
        let mut environment = image.environment()?;
        for (name, value) in variables {
            environment.set(name, value);
        }
        image.configuration.set_runtime("Env", &environment)?;
        image.with_history(history::assignments("ENV", variables))
    }

    /// LABEL: sets labels, in the order of the line.
    pub fn with_labels(self, labels: &[(String, String)]) -> Result<Self, ImageError> {
        self.with_unrecorded_labels(labels)?
            .with_history(history::assignments("LABEL", labels))
    }

    /// The command line's `--label`: sets labels without a history entry. No labels are no edit.
    pub fn with_unrecorded_labels(self, labels: &[(String, String)]) -> Result<Self, ImageError> {
        if labels.is_empty() {
            return Ok(self);
        }
        let mut image = self.begin_edit()?;
        let entries = labels.iter().map(|(name, value)| (name.as_str(), value));
        extend_map(&mut image.configuration, "Labels", entries)?;
        Ok(image)
    }

    /// ARG: leaves a history entry only, with the values that the arguments got.
    pub fn with_arg(self, args: &[(String, Option<String>)]) -> Result<Self, ImageError> {
        self.with_history(history::arg(args))
    }

    /// EXPOSE: adds ports, written like `80/tcp`, ranges spread out, in the order of the history text.
    pub fn with_exposed_ports(self, ports: &[String]) -> Result<Self, ImageError> {
        self.with_set("ExposedPorts", ports)?
            .with_history(history::list("EXPOSE", ports))
    }

    /// VOLUME: adds volumes as written.
    pub fn with_volumes(self, volumes: &[String]) -> Result<Self, ImageError> {
        self.with_set("Volumes", volumes)?
            .with_history(history::list("VOLUME", volumes))
    }

    /// USER: sets user and perhaps group, as written.
    pub fn with_user(self, user: &str) -> Result<Self, ImageError> {
        self.with_text("User", user)?
            .with_history(history::word("USER", user))
    }

    /// WORKDIR: sets the working directory, absolute, and adds the layer that makes it. Only `/`, which needs none, and
    /// a build that puts all new changes into one layer come without.
    ///
    /// # Errors
    /// As [`with_layer`](Self::with_layer).
    pub fn with_workdir(self, directory: &str, layer: Option<NewLayer>) -> Result<Self, ImageError> {
        let created_by = history::word("WORKDIR", directory);
        let image = self.with_text("WorkingDir", directory)?;
        match layer {
            Some(layer) => image.with_layer(layer, created_by),
            None => image.with_history(created_by),
        }
    }

    /// STOPSIGNAL: sets the signal, as written.
    pub fn with_stop_signal(self, signal: &str) -> Result<Self, ImageError> {
        self.with_text("StopSignal", signal)?
            .with_history(history::word("STOPSIGNAL", signal))
    }

    /// HEALTHCHECK: replaces the health check as a whole.
    ///
    /// # Errors
    /// A time is longer than 63 bits of nanoseconds can say.
    pub fn with_healthcheck(self, healthcheck: &Healthcheck) -> Result<Self, ImageError> {
        let member = HealthcheckMember::try_from(healthcheck)?;
        let mut image = self.begin_edit()?;
        image.configuration.set_runtime("Healthcheck", &member)?;
        image.with_history(history::healthcheck(&member))
    }

    /// SHELL: sets the shell for the shell forms that follow.
    pub fn with_shell(self, shell: &[String]) -> Result<Self, ImageError> {
        let mut image = self.begin_edit()?;
        set_list(&mut image.configuration, "Shell", shell)?;
        image.with_history(history::list("SHELL", shell))
    }

    /// CMD: sets the default command; an empty list takes it away.
    pub fn with_cmd(self, command: &CommandForm) -> Result<Self, ImageError> {
        let mut image = self.begin_edit()?;
        let words = image.command_line(command)?;
        set_list(&mut image.configuration, "Cmd", &words)?;
        image.configuration.set_runtime("ArgsEscaped", &true)?;
        image.has_cmd_of_stage = true;
        image.with_history(history::command("CMD", &words))
    }

    /// ENTRYPOINT: sets the entry point. A CMD that comes from the base, made for the base's entry point, goes; one of
    /// this stage stays.
    pub fn with_entrypoint(self, command: &CommandForm) -> Result<Self, ImageError> {
        let mut image = self.begin_edit()?;
        let words = image.command_line(command)?;
        set_list(&mut image.configuration, "Entrypoint", &words)?;
        if !image.has_cmd_of_stage {
            image.configuration.remove_runtime("Cmd");
        }
        image.with_history(history::command("ENTRYPOINT", &words))
    }

    /// MAINTAINER: sets the author.
    pub fn with_maintainer(self, name: &str) -> Result<Self, ImageError> {
        let mut image = self.begin_edit()?;
        image.configuration.set("author", &name)?;
        image.with_history(history::word("MAINTAINER", name))
    }

    /// ONBUILD: adds a trigger. BuildKit gives it no history entry.
    pub fn with_onbuild(self, trigger: &str) -> Result<Self, ImageError> {
        let mut image = self.begin_edit()?;
        let mut triggers = image.onbuild()?;
        triggers.push(trigger.to_owned());
        set_list(&mut image.configuration, "OnBuild", &triggers)?;
        Ok(image)
    }

    /// Takes the triggers out of the image, as FROM does before it carries them out. No triggers are no edit.
    pub fn take_onbuild(self) -> Result<(Vec<String>, Self), ImageError> {
        let triggers = self.onbuild()?;
        if triggers.is_empty() {
            return Ok((triggers, self));
        }
        let mut image = self.begin_edit()?;
        image.configuration.remove_runtime("OnBuild");
        Ok((triggers, image))
    }

    fn with_text(self, member: &str, text: &str) -> Result<Self, ImageError> {
        let mut image = self.begin_edit()?;
        set_text(&mut image.configuration, member, text)?;
        Ok(image)
    }

    /// Adds names to a member that is a set, which Go writes as a map to empty objects.
    fn with_set(self, member: &str, names: &[String]) -> Result<Self, ImageError> {
        let mut image = self.begin_edit()?;
        let entries = names.iter().map(|name| (name.as_str(), json!({})));
        extend_map(&mut image.configuration, member, entries)?;
        Ok(image)
    }
}
