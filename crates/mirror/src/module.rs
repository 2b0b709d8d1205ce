//! What comes from the Terraform module `ecs-dockerhub-clone`: its inputs as files, and the environment of its job.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::config::Config;

/// Why something of the module's is not understood.
#[derive(Debug, thiserror::Error)]
pub enum ModuleError {
    /// It is no HCL or JSON.
    #[error("{name}: {message}")]
    Syntax {
        /// The file.
        name: String,
        /// What is wrong.
        message: String,
    },
    /// It does not have what it should.
    #[error("{0}")]
    Content(String),
}

/// Reads the module's inputs, from a .tfvars, a .tf with a call of the module, or either as JSON, and writes our configuration.
///
/// # Errors
/// It is not understood, has no `containers`, or values that are not written out.
pub fn import(text: &str, name: &str) -> Result<String, ModuleError> {
    let values = match name.ends_with(".json") || text.trim_start().starts_with('{') {
        true => serde_json::from_str(text).map_err(|error| syntax(name, &error))?,
        false => of_hcl(text, name)?,
    };
    let inputs = find(&values).ok_or_else(|| {
        ModuleError::Content(format!(
            "{name}: there is no `containers`, neither at the top nor in a `module`"
        ))
    })?;
    write(inputs, name)
}

fn syntax(name: &str, error: &dyn std::fmt::Display) -> ModuleError {
    ModuleError::Syntax {
        name: name.to_owned(),
        message: error.to_string(),
    }
}

fn of_hcl(text: &str, name: &str) -> Result<serde_json::Value, ModuleError> {
    let body: hcl::Body = hcl::from_str(text).map_err(|error| syntax(name, &error))?;
    let value: hcl::Value = body.into();
    serde_json::to_value(value).map_err(|error| syntax(name, &error))
}

/// The object that has `containers`: the top, or a call of a module.
fn find(value: &serde_json::Value) -> Option<&serde_json::Map<String, serde_json::Value>> {
    match value {
        serde_json::Value::Object(object) if object.contains_key("containers") => Some(object),
        serde_json::Value::Object(object) => object.get("module").and_then(find_below),
        _ => None,
    }
}

fn find_below(value: &serde_json::Value) -> Option<&serde_json::Map<String, serde_json::Value>> {
    match value {
        serde_json::Value::Object(object) if object.contains_key("containers") => Some(object),
        serde_json::Value::Object(object) => object.values().find_map(find_below),
        serde_json::Value::Array(values) => values.iter().find_map(find_below),
        _ => None,
    }
}

type Lists = BTreeMap<String, Vec<String>>;

fn lists(
    inputs: &serde_json::Map<String, serde_json::Value>,
    key: &str,
    name: &str,
) -> Result<Lists, ModuleError> {
    let Some(value) = inputs.get(key) else {
        return Ok(Lists::new());
    };
    serde_json::from_value(value.clone()).map_err(|_| {
        ModuleError::Content(format!(
            "{name}: `{key}` is no map of lists of texts, written out; references to other values cannot be followed"
        ))
    })
}

fn write(inputs: &serde_json::Map<String, serde_json::Value>, name: &str) -> Result<String, ModuleError> {
    let containers = lists(inputs, "containers", name)?;
    let commands = lists(inputs, "build_commands", name)?;
    let namespace = match inputs.get("namespace") {
        Some(serde_json::Value::String(namespace)) if !namespace.contains("${") => namespace.clone(),
        Some(_) => {
            return Err(ModuleError::Content(format!(
                "{name}: `namespace` is no text, written out"
            )));
        }
        // The module's own default.
        None => "ecsclone".to_owned(),
    };
    // JSON texts are YAML texts.
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let mut written = String::from(
        "# Where images are kept: ACCOUNT.dkr.ecr.REGION.amazonaws.com, or give it with --registry.\n# registry: \n",
    );
    let _ = writeln!(
        written,
        "namespace: {}\nnaming: module\nimages:",
        quoted(&namespace)
    );
    for (image, tags) in &containers {
        let _ = writeln!(written, "  - source: {}", quoted(image));
        let tags: Vec<String> = tags.iter().map(|tag| quoted(tag)).collect();
        let _ = writeln!(written, "    tags: [{}]", tags.join(", "));
        let prefix = format!("{image}:");
        let mut of_image = commands
            .iter()
            .filter_map(|(key, lines)| Some((key.strip_prefix(&prefix)?, lines)))
            .peekable();
        if of_image.peek().is_some() {
            written.push_str("    tag_lines:\n");
        }
        for (tag, lines) in of_image {
            let _ = writeln!(written, "      {}:", quoted(tag));
            for line in lines {
                let _ = writeln!(written, "        - {}", quoted(line));
            }
        }
    }
    Config::parse(&written, name).map_err(|error| ModuleError::Content(error.to_string()))?;
    Ok(written)
}

/// What the module gives to its job: `REPOLIST` as `image:tag,image:tag`, `BUILDSTRINGS` as JSON, and `NAMESPACE`.
///
/// # Errors
/// One of them is not understood.
pub fn from_environment(
    repolist: &str,
    buildstrings: Option<&str>,
    namespace: Option<&str>,
) -> Result<Config, ModuleError> {
    let mut containers: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for image in repolist.split([',', ' ']).filter(|image| !image.is_empty()) {
        let (name, tag) = match image.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, tag),
            _ => (image, "latest"),
        };
        containers.entry(name).or_default().push(tag);
    }
    let commands: Lists = match buildstrings.filter(|text| !text.trim().is_empty()) {
        Some(text) => serde_json::from_str(text).map_err(|error| {
            ModuleError::Content(format!("BUILDSTRINGS is no JSON map of lists of lines: {error}"))
        })?,
        None => Lists::new(),
    };
    // The module has an empty list for every image without lines.
    let commands: Lists = commands
        .into_iter()
        .filter(|(_, lines)| !lines.is_empty())
        .collect();
    let text = serde_json::json!({
        "namespace": namespace.unwrap_or_default(),
        "containers": containers,
        "build_commands": commands,
    });
    Config::parse(&text.to_string(), "REPOLIST").map_err(|error| ModuleError::Content(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TFVARS: &str = r#"
namespace = "team"
containers = {
  "mongo"           = ["latest"],
  "hashicorp/vault" = ["1.14", "1.13.3"],
}
build_commands = {
  "hashicorp/vault:1.14" = ["RUN mkdir /etc/vault", "VOLUME [\"/etc/vault\"]"]
}
"#;

    #[test]
    fn inputs_become_a_configuration() {
        let written = import(TFVARS, "terraform.tfvars").unwrap();
        let config = Config::parse(&written, "-").unwrap();
        assert_eq!((config.namespace.as_str(), config.images.len()), ("team", 2));
        let vault = &config.images[0];
        assert_eq!(vault.source.to_string(), "hashicorp/vault");
        let lines: Vec<&str> = vault.tag_lines["1.14"].iter().map(crate::Line::as_str).collect();
        assert_eq!(lines, ["RUN mkdir /etc/vault", "VOLUME [\"/etc/vault\"]"]);

        let call = format!("module \"clone\" {{\n  source = \"x\"\n{TFVARS}\n}}\n");
        assert_eq!(import(&call, "main.tf").unwrap(), written);
        let json = r#"{"module": {"clone": [{"containers": {"mongo": ["latest"]}}]}}"#;
        assert!(import(json, "main.tf.json").unwrap().contains("ecsclone"));
    }

    #[test]
    fn what_cannot_be_followed_is_said() {
        for (text, words) in [
            ("a = 1", "no `containers`"),
            ("containers = var.containers", "written out"),
            ("containers = {", "main.tf"),
            ("containers = {}\nnamespace = var.x", "namespace"),
        ] {
            let error = import(text, "main.tf").unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn the_jobs_environment_is_understood() {
        let strings = r#"{"mongo:latest": [], "hashicorp/vault:1.14": ["RUN mkdir /etc/vault"]}"#;
        let config = from_environment("mongo:latest,hashicorp/vault:1.14", Some(strings), Some("n")).unwrap();
        assert_eq!((config.containers.len(), config.build_commands.len()), (2, 1));
        assert_eq!(config.namespace, "n");
        assert!(from_environment("mongo", Some("nonsense"), None).is_err());
    }
}
