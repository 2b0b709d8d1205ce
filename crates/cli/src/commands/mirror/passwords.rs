//! Passwords that the configuration of a mirror says where to find.

use anyhow::Context;
use onlay_ecr::AwsServices;
use onlay_mirror::{Host, RegistryRule};
use onlay_registry::Secret;
use serde_json::Value;

use crate::credentials::FoundPassword;
use crate::environment;
use crate::failure::Usage;

/// Where a password is.
enum Place<'a> {
    Secret(&'a str),
    Parameter(&'a str),
    Variable(&'a str),
}

/// What a registry is logged in to with; none if the rule says nothing of that.
pub(super) async fn find(
    host: &Host,
    rule: &RegistryRule,
    aws: &AwsServices,
) -> anyhow::Result<Option<FoundPassword>> {
    let Some(place) = place(host, rule)? else {
        return Ok(None);
    };
    let (by, text) = match place {
        Place::Secret(id) => (
            format!("secret `{id}`"),
            aws.secret(id).await.map_err(anyhow::Error::new),
        ),
        Place::Parameter(name) => (
            format!("parameter `{name}`"),
            aws.parameter(name).await.map_err(anyhow::Error::new),
        ),
        Place::Variable(name) => {
            let text = environment::text(name).map(Secret::new);
            let missing = || Usage(format!("`{name}` is not set")).into();
            (format!("variable `{name}`"), text.ok_or_else(missing))
        }
    };
    let text = text.with_context(|| format!("the password for {} cannot be had from {by}", host.0))?;
    let (username, password) = split(&text, rule.username.as_deref());
    let username = username.ok_or_else(|| {
        Usage(format!(
            "`registries`: nobody says who the user of {} is; add `username`",
            host.0
        ))
    })?;
    Ok(Some(FoundPassword {
        by,
        host: host.0.to_string(),
        username,
        password,
    }))
}

fn place<'a>(host: &Host, rule: &'a RegistryRule) -> Result<Option<Place<'a>>, Usage> {
    let RegistryRule {
        username,
        secret,
        parameter,
        variable,
    } = rule;
    match (secret, parameter, variable) {
        (Some(id), None, None) => Ok(Some(Place::Secret(id))),
        (None, Some(name), None) => Ok(Some(Place::Parameter(name))),
        (None, None, Some(name)) => Ok(Some(Place::Variable(name))),
        (None, None, None) if username.is_none() => Ok(None),
        _ => Err(Usage(format!(
            "`registries`: {} needs one of `secret`, `parameter` and `variable`, which say where the password is",
            host.0
        ))),
    }
}

/// A password, or what pull-through caches of ECR keep: JSON with `username` and `accessToken`.
///
/// Source: ECR user guide, "Storing your upstream repository credentials in an AWS Secrets Manager secret".
fn split(text: &Secret, username: Option<&str>) -> (Option<String>, Secret) {
    let username = username.map(str::to_owned);
    let document = serde_json::from_str::<Value>(text.reveal()).unwrap_or_default();
    let member = |names: &[&str]| {
        let found = names.iter().find_map(|name| document.get(name)?.as_str());
        found.map(str::to_owned)
    };
    match member(&["accessToken", "password", "token"]) {
        Some(password) => (username.or_else(|| member(&["username"])), Secret::new(password)),
        None => (username, Secret::new(text.reveal().trim_end_matches('\n'))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_passwords_or_documents() {
        let split = |text: &str, username| {
            let (username, password) = split(&Secret::new(text), username);
            (username, password.reveal().to_owned())
        };
        let known = |text: &str| Some(text.to_owned());
        assert_eq!(
            split("hunter2\n", Some("me")),
            (known("me"), "hunter2".to_owned())
        );
        assert_eq!(split("hunter2", None), (None, "hunter2".to_owned()));
        let document = r#"{"username": "team", "accessToken": "dckr_pat"}"#;
        assert_eq!(split(document, None), (known("team"), "dckr_pat".to_owned()));
        assert_eq!(split(document, Some("me")), (known("me"), "dckr_pat".to_owned()));
        assert_eq!(split("1234", Some("me")), (known("me"), "1234".to_owned()));
    }

    #[test]
    fn a_password_is_in_one_place() {
        let host: Host = Host::try_from("docker.io".to_owned()).unwrap();
        let rule = |secret: Option<&str>, variable: Option<&str>, username: Option<&str>| RegistryRule {
            username: username.map(str::to_owned),
            secret: secret.map(str::to_owned),
            variable: variable.map(str::to_owned),
            parameter: None,
        };
        assert!(place(&host, &rule(Some("a"), Some("b"), None)).is_err());
        assert!(place(&host, &rule(None, None, Some("me"))).is_err());
        assert!(matches!(place(&host, &rule(None, None, None)), Ok(None)));
        assert!(matches!(
            place(&host, &rule(None, Some("V"), None)),
            Ok(Some(Place::Variable("V")))
        ));
    }
}
