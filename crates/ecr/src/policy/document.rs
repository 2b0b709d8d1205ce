use std::collections::BTreeMap;

use serde::Serialize;

use crate::EcrHost;
use crate::partition::partition;
use crate::template::Encryption;

/// A policy document of IAM, as JSON has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Policy {
    version: &'static str,
    statement: Vec<Statement>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Statement {
    effect: &'static str,
    action: Vec<&'static str>,
    resource: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    condition: Option<Condition>,
}

/// Keys are named by an alias where their identifier is not known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Condition {
    #[serde(rename = "ForAnyValue:StringEquals")]
    any_equals: BTreeMap<&'static str, String>,
}

/// Source: ECR user guide "Encryption at rest", which lists what the principal needs beside the key's own policy.
const USING_KEY: [&str; 3] = ["kms:CreateGrant", "kms:DescribeKey", "kms:RetireGrant"];

/// What is allowed so far: resources by the actions on them, in the order in which the actions first came.
#[derive(Default)]
pub(super) struct Grants {
    statements: Vec<Statement>,
}

impl Grants {
    pub(super) fn allow(&mut self, actions: &[&'static str], resource: String) {
        self.add(actions, resource, None);
    }

    fn add(&mut self, actions: &[&'static str], resource: String, condition: Option<Condition>) {
        let same =
            |statement: &&mut Statement| statement.action == actions && statement.condition == condition;
        match self.statements.iter_mut().find(same) {
            Some(statement) if statement.resource.contains(&resource) => {}
            Some(statement) => statement.resource.push(resource),
            None => self.statements.push(Statement {
                effect: "Allow",
                action: actions.to_vec(),
                resource: vec![resource],
                condition,
            }),
        }
    }

    /// The key that new repositories are encrypted with; AWS's own needs nothing.
    pub(super) fn allow_key(&mut self, host: &EcrHost, Encryption { key, .. }: &Encryption) {
        let Some(key) = key else { return };
        let region = host.region();
        let arn = |resource: &str| {
            format!(
                "arn:{}:kms:{region}:{}:{resource}",
                partition(region),
                host.account()
            )
        };
        let alias = match key.split_once(":alias/") {
            Some((_, name)) => Some(format!("alias/{name}")),
            None => Some(key.clone()).filter(|key| key.starts_with("alias/")),
        };
        match alias {
            // Policies cannot name a key by its alias; a condition can.
            Some(alias) => self.add(
                &USING_KEY,
                arn("key/*"),
                Some(Condition {
                    any_equals: BTreeMap::from([("kms:ResourceAliases", alias)]),
                }),
            ),
            None if key.starts_with("arn:") => self.allow(&USING_KEY, key.clone()),
            None => self.allow(&USING_KEY, arn(&format!("key/{key}"))),
        }
    }

    pub(super) fn policy(self) -> Policy {
        Policy {
            version: "2012-10-17",
            statement: self.statements,
        }
    }
}

impl Policy {
    /// Tells whether nothing has to be allowed.
    pub fn is_empty(&self) -> bool {
        self.statement.is_empty()
    }
}
