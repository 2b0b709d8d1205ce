//! What repositories are called at the destination.

use onlay_oci::Reference;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

/// How a source's name becomes a repository's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Naming {
    /// As the Terraform module has it: official images without `library/` (aws.md 3.6).
    #[default]
    Module,
    /// As it is upstream, `library/` and all.
    Library,
    /// As pull-through caches have it: a prefix for each registry, and then as it is upstream.
    PullThrough,
    /// A template.
    Template(String),
}

/// The prefixes that Amazon's console offers for pull-through caches.
const PREFIXES: [(&str, &str); 5] = [
    ("docker.io", "docker-hub"),
    ("quay.io", "quay"),
    ("ghcr.io", "github"),
    ("registry.k8s.io", "kubernetes"),
    ("public.ecr.aws", "ecr-public"),
];

impl Naming {
    /// The repository's name, with the namespace in front.
    pub(crate) fn name(&self, source: &Reference, namespace: &str) -> String {
        let template = match self {
            Self::Module => "{path}",
            Self::Library => "{repository}",
            Self::PullThrough => "{prefix}/{repository}",
            Self::Template(template) => template,
        };
        let name = fill(template, source, namespace);
        if namespace.is_empty() || template.contains("{namespace}") {
            name
        } else {
            format!("{}/{name}", namespace.trim_matches('/'))
        }
    }
}

/// Puts the parts of a source's name into a template.
pub(crate) fn fill(template: &str, source: &Reference, namespace: &str) -> String {
    let repository = source.repository().as_str();
    let registry = source.registry();
    let path = match repository.strip_prefix("library/") {
        Some(path) if registry.is_docker_hub() => path,
        _ => repository,
    };
    let known = PREFIXES.iter().find(|(host, _)| *host == registry.as_str());
    let prefix = known.map_or_else(
        || registry.host().replace('.', "-"),
        |(_, prefix)| (*prefix).to_owned(),
    );
    let name = path.rsplit('/').next().unwrap_or(path);
    template
        .replace("{namespace}", namespace.trim_matches('/'))
        .replace("{registry}", registry.host())
        .replace("{prefix}", &prefix)
        .replace("{repository}", repository)
        .replace("{path}", path)
        .replace("{name}", name)
}

impl TryFrom<String> for Naming {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "module" => Ok(Self::Module),
            "library" => Ok(Self::Library),
            "pull-through" => Ok(Self::PullThrough),
            template if template.contains('{') => Ok(Self::Template(text)),
            other => Err(format!(
                "`{other}` is no way to name repositories, expected module, library, pull-through or a template with {{repository}}, {{path}}, {{name}}, {{registry}}, {{prefix}} or {{namespace}}"
            )),
        }
    }
}

impl JsonSchema for Naming {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Naming".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "What repositories are called: as the Terraform module has it, as upstream, as pull-through caches have it, or a template with {repository}, {path}, {name}, {registry}, {prefix} and {namespace}.",
            "anyOf": [
                {"enum": ["module", "library", "pull-through"]},
                {"type": "string", "pattern": "\\{(repository|path|name|registry|prefix|namespace)\\}"}
            ]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made() {
        let check = |naming: &str, source: &str, namespace: &str, expected: &str| {
            let naming = Naming::try_from(naming.to_owned()).unwrap();
            assert_eq!(
                naming.name(&source.parse().unwrap(), namespace),
                expected,
                "{naming:?}"
            );
        };
        check("module", "mongo", "ecsclone", "ecsclone/mongo");
        check(
            "module",
            "hashicorp/vault",
            "ecsclone",
            "ecsclone/hashicorp/vault",
        );
        check("module", "quay.io/library/x", "", "library/x");
        check("library", "mongo", "", "library/mongo");
        check("pull-through", "mongo", "", "docker-hub/library/mongo");
        check("pull-through", "gcr.example/a/b", "n", "n/gcr-example/a/b");
        check("{namespace}-{registry}-{name}", "quay.io/a/b", "n", "n-quay.io-b");
        assert!(Naming::try_from("other".to_owned()).is_err());
    }
}
