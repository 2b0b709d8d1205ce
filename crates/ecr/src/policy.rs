//! The least that AWS has to allow for some work on registries, as policies of IAM.

mod document;

use std::collections::{BTreeMap, BTreeSet};

use onlay_oci::{Registry, Repository};
use serde::Serialize;

use crate::host::Service;
use crate::{EcrHost, RepositoryTemplate, Role};

use document::Grants;
pub use document::Policy;

/// What is done with repositories. Those of other registries do not matter here.
#[derive(Clone, Debug, Default)]
pub struct Needs {
    /// What repositories that are pushed to and missing are created with; none if they are not created.
    pub create_repositories: Option<RepositoryTemplate>,
    /// Roles that are taken on to speak to registries.
    pub roles: BTreeMap<Registry, Role>,
    /// Whether ECR Public is pulled from with credentials too.
    pub public_credentials: bool,
    /// Rights beside registries, by what they are on.
    pub others: Vec<(&'static str, String)>,
    repositories: BTreeMap<(Registry, Repository), BTreeSet<Use>>,
}

/// What is done with a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Use {
    /// Its images are read.
    Pull,
    /// It is read in place of another registry, whose images ECR may first have to import.
    PullThrough,
    /// Its tags are listed.
    ListTags,
    /// Its tags are listed with what they name.
    DescribeTags,
    /// Blobs are mounted from it.
    MountFrom,
    /// Images are written.
    Push,
    /// Images are deleted.
    Delete,
}

/// Policies, by who needs them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Policies {
    /// What whoever runs the command line needs.
    pub caller: Policy,
    /// What the roles need that it takes on, by their ARNs.
    #[serde(flatten)]
    pub roles: BTreeMap<String, Policy>,
}

impl Needs {
    /// Adds something that is done with a repository.
    pub fn add(&mut self, registry: &Registry, repository: &Repository, what: Use) {
        let key = (registry.clone(), repository.clone());
        self.repositories.entry(key).or_default().insert(what);
    }

    /// The repositories that are spoken to as one principal: with a role, by its ARN, or with none.
    fn policy_of(&self, role: Option<&str>) -> Policy {
        let mut grants = Grants::default();
        for ((registry, repository), uses) in &self.repositories {
            if self.roles.get(registry).map(Role::arn) != role {
                continue;
            }
            match Service::of(registry) {
                Some(Service::Private(host)) => self.private(&host, repository, uses, &mut grants),
                Some(Service::Public) => self.public(repository, uses, &mut grants),
                None => {}
            }
        }
        if role.is_none() {
            let roles = self.roles.iter().filter(|(registry, _)| self.speaks_to(registry));
            for (_, role) in roles {
                grants.allow(&["sts:AssumeRole"], role.arn().to_owned());
            }
            for (right, resource) in &self.others {
                grants.allow(&[*right], resource.clone());
            }
        }
        grants.policy()
    }

    fn speaks_to(&self, registry: &Registry) -> bool {
        self.repositories.keys().any(|(known, _)| known == registry)
    }

    fn private(&self, host: &EcrHost, repository: &Repository, uses: &BTreeSet<Use>, grants: &mut Grants) {
        grants.allow(&["ecr:GetAuthorizationToken"], "*".to_owned());
        let mut actions: BTreeSet<&'static str> =
            uses.iter().flat_map(|what| what.actions()).copied().collect();
        let template = self.create_repositories.as_ref();
        if let Some(template) = template.filter(|_| uses.contains(&Use::Push)) {
            actions.extend(creating(template));
            if let Some(encryption) = &template.encryption {
                grants.allow_key(host, encryption);
            }
        }
        let actions: Vec<_> = actions.into_iter().collect();
        grants.allow(&actions, host.arn(repository));
    }

    fn public(&self, repository: &Repository, uses: &BTreeSet<Use>, grants: &mut Grants) {
        let pushes = uses.contains(&Use::Push);
        if pushes || self.public_credentials {
            grants.allow(
                &["ecr-public:GetAuthorizationToken", "sts:GetServiceBearerToken"],
                "*".to_owned(),
            );
        }
        if !pushes {
            return;
        }
        let mut actions = PUSHING_TO_PUBLIC.to_vec();
        if let Some(template) = &self.create_repositories {
            actions.push("ecr-public:CreateRepository");
            if !template.tags().is_empty() {
                actions.push("ecr-public:TagResource");
            }
        }
        // The alias says whose it is, but not which account that is.
        let name = repository.as_str();
        let name = name.split_once('/').map_or(name, |(_, name)| name);
        grants.allow(&actions, format!("arn:aws:ecr-public::*:repository/{name}"));
    }
}

/// Works out the policies; a role that is not needed is not among them.
pub fn policies(needs: &Needs) -> Policies {
    let roles = needs
        .roles
        .iter()
        .filter(|(registry, _)| needs.speaks_to(registry));
    Policies {
        caller: needs.policy_of(None),
        roles: roles
            .map(|(_, role)| (role.arn().to_owned(), needs.policy_of(Some(role.arn()))))
            .collect(),
    }
}

impl Use {
    /// Source: ECR user guide "Required IAM permissions for pushing an image", "Pull through cache: required IAM
    /// permissions", "Blob mounting"; aws.md §1.5, §1.6, §1.9.
    fn actions(self) -> &'static [&'static str] {
        match self {
            Self::Pull => &["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
            Self::PullThrough => &[
                "ecr:BatchGetImage",
                "ecr:BatchImportUpstreamImage",
                "ecr:CreateRepository",
                "ecr:GetDownloadUrlForLayer",
            ],
            Self::ListTags => &["ecr:ListImages"],
            Self::DescribeTags => &["ecr:DescribeImages"],
            Self::Delete => &["ecr:BatchDeleteImage"],
            Self::MountFrom => &["ecr:GetDownloadUrlForLayer"],
            // That an image is there already is seen by BatchGetImage, that a blob is by the first.
            Self::Push => &[
                "ecr:BatchCheckLayerAvailability",
                "ecr:BatchGetImage",
                "ecr:CompleteLayerUpload",
                "ecr:InitiateLayerUpload",
                "ecr:PutImage",
                "ecr:UploadLayerPart",
            ],
        }
    }
}

/// Source: ECR Public user guide "Pushing an image", "Required IAM permissions".
const PUSHING_TO_PUBLIC: [&str; 5] = [
    "ecr-public:BatchCheckLayerAvailability",
    "ecr-public:CompleteLayerUpload",
    "ecr-public:InitiateLayerUpload",
    "ecr-public:PutImage",
    "ecr-public:UploadLayerPart",
];

fn creating(template: &RepositoryTemplate) -> impl Iterator<Item = &'static str> {
    let rights = [
        ("ecr:CreateRepository", true),
        ("ecr:TagResource", !template.tags().is_empty()),
        ("ecr:PutLifecyclePolicy", template.lifecycle_policy().is_some()),
        ("ecr:SetRepositoryPolicy", template.repository_policy().is_some()),
    ];
    rights
        .into_iter()
        .filter(|(_, is_needed)| *is_needed)
        .map(|(right, _)| right)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const HOST: &str = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";
    const CHINA: &str = "210987654321.dkr.ecr.cn-north-1.amazonaws.com.cn";

    fn needs(uses: &[(&str, &str, Use)]) -> Needs {
        let mut needs = Needs::default();
        for (registry, repository, what) in uses {
            needs.add(&registry.parse().unwrap(), &repository.parse().unwrap(), *what);
        }
        needs
    }

    fn caller(needs: &Needs) -> Value {
        let policies = policies(needs);
        assert_eq!(policies.roles, BTreeMap::new());
        serde_json::to_value(policies.caller).unwrap()
    }

    #[test]
    fn an_image_of_docker_hub_goes_to_ecr() {
        let needs = needs(&[
            ("docker.io", "hashicorp/vault", Use::Pull),
            (HOST, "team/vault", Use::Push),
        ]);
        let expected = r#"{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Action": [
        "ecr:GetAuthorizationToken"
      ],
      "Resource": [
        "*"
      ]
    },
    {
      "Effect": "Allow",
      "Action": [
        "ecr:BatchCheckLayerAvailability",
        "ecr:BatchGetImage",
        "ecr:CompleteLayerUpload",
        "ecr:InitiateLayerUpload",
        "ecr:PutImage",
        "ecr:UploadLayerPart"
      ],
      "Resource": [
        "arn:aws:ecr:eu-west-1:123456789012:repository/team/vault"
      ]
    }
  ]
}"#;
        let found = serde_json::to_string_pretty(&policies(&needs).caller).unwrap();
        assert_eq!(found, expected);
    }

    #[test]
    fn pulls_mounts_and_pushes_in_two_partitions() {
        let needs = needs(&[
            (HOST, "base", Use::Pull),
            (HOST, "hub/library/alpine", Use::PullThrough),
            (HOST, "team/a", Use::Push),
            (HOST, "team/b", Use::Push),
            (HOST, "team/c", Use::MountFrom),
            (HOST, "team/d", Use::ListTags),
            (CHINA, "base", Use::Pull),
        ]);
        let push = [
            "ecr:BatchCheckLayerAvailability",
            "ecr:BatchGetImage",
            "ecr:CompleteLayerUpload",
            "ecr:InitiateLayerUpload",
            "ecr:PutImage",
            "ecr:UploadLayerPart",
        ];
        let expected = json!({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": ["ecr:GetAuthorizationToken"], "Resource": ["*"]},
            {"Effect": "Allow", "Action": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"], "Resource": [
                "arn:aws:ecr:eu-west-1:123456789012:repository/base",
                "arn:aws-cn:ecr:cn-north-1:210987654321:repository/base",
            ]},
            {"Effect": "Allow", "Action": [
                "ecr:BatchGetImage", "ecr:BatchImportUpstreamImage", "ecr:CreateRepository", "ecr:GetDownloadUrlForLayer",
            ], "Resource": ["arn:aws:ecr:eu-west-1:123456789012:repository/hub/library/alpine"]},
            {"Effect": "Allow", "Action": push, "Resource": [
                "arn:aws:ecr:eu-west-1:123456789012:repository/team/a",
                "arn:aws:ecr:eu-west-1:123456789012:repository/team/b",
            ]},
            {"Effect": "Allow", "Action": ["ecr:GetDownloadUrlForLayer"], "Resource": [
                "arn:aws:ecr:eu-west-1:123456789012:repository/team/c",
            ]},
            {"Effect": "Allow", "Action": ["ecr:ListImages"], "Resource": [
                "arn:aws:ecr:eu-west-1:123456789012:repository/team/d",
            ]},
        ]});
        assert_eq!(caller(&needs), expected);
    }

    #[test]
    fn creating_repositories_needs_what_the_template_says() {
        let policy = "x".repeat(100);
        let template = format!(
            "encryption = {{ type = 'KMS', key = 'alias/images' }}\ntags = {{ a = 'b' }}\n\
             lifecycle-policy = {{ x = '{policy}' }}\nrepository-policy = {{ x = 'y' }}"
        );
        let mut needs = needs(&[(HOST, "base", Use::Pull), (HOST, "team/vault", Use::Push)]);
        needs.create_repositories = Some(RepositoryTemplate::parse("t", &template).unwrap());
        let expected = json!({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": ["ecr:GetAuthorizationToken"], "Resource": ["*"]},
            {"Effect": "Allow", "Action": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"], "Resource": [
                "arn:aws:ecr:eu-west-1:123456789012:repository/base",
            ]},
            {"Effect": "Allow", "Action": ["kms:CreateGrant", "kms:DescribeKey", "kms:RetireGrant"],
             "Resource": ["arn:aws:kms:eu-west-1:123456789012:key/*"],
             "Condition": {"ForAnyValue:StringEquals": {"kms:ResourceAliases": "alias/images"}}},
            {"Effect": "Allow", "Action": [
                "ecr:BatchCheckLayerAvailability",
                "ecr:BatchGetImage",
                "ecr:CompleteLayerUpload",
                "ecr:CreateRepository",
                "ecr:InitiateLayerUpload",
                "ecr:PutImage",
                "ecr:PutLifecyclePolicy",
                "ecr:SetRepositoryPolicy",
                "ecr:TagResource",
                "ecr:UploadLayerPart",
            ], "Resource": ["arn:aws:ecr:eu-west-1:123456789012:repository/team/vault"]},
        ]});
        assert_eq!(caller(&needs), expected);
    }

    #[test]
    fn keys_are_named_as_policies_name_them() {
        let cases = [
            ("abc-1", "arn:aws:kms:eu-west-1:123456789012:key/abc-1", None),
            (
                "arn:aws:kms:eu-west-1:999999999999:key/abc",
                "arn:aws:kms:eu-west-1:999999999999:key/abc",
                None,
            ),
            (
                "arn:aws:kms:eu-west-1:123456789012:alias/x",
                "arn:aws:kms:eu-west-1:123456789012:key/*",
                Some("alias/x"),
            ),
        ];
        for (key, resource, alias) in cases {
            let mut needs = needs(&[(HOST, "a/b", Use::Push)]);
            let template = format!("encryption = {{ type = 'KMS', key = '{key}' }}");
            needs.create_repositories = Some(RepositoryTemplate::parse("t", &template).unwrap());
            let statement = &caller(&needs)["Statement"][1];
            assert_eq!(statement["Resource"], json!([resource]), "{key}");
            let condition = &statement["Condition"]["ForAnyValue:StringEquals"]["kms:ResourceAliases"];
            assert_eq!(condition.as_str(), alias, "{key}");
        }
    }

    #[test]
    fn what_a_role_needs_is_the_roles() {
        let mut needs = needs(&[
            (HOST, "base", Use::Pull),
            (CHINA, "team/vault", Use::Pull),
            ("docker.io", "library/alpine", Use::Pull),
        ]);
        let role: Role = "arn:aws-cn:iam::210987654321:role/onlay,secret".parse().unwrap();
        needs.roles.insert(CHINA.parse().unwrap(), role);
        // A role for a registry that is not spoken to is not taken on.
        let other: Role = "arn:aws:iam::111111111111:role/other".parse().unwrap();
        let elsewhere = "111111111111.dkr.ecr.eu-west-1.amazonaws.com";
        needs.roles.insert(elsewhere.parse().unwrap(), other);
        let read = |arn: &str| {
            json!([
                {"Effect": "Allow", "Action": ["ecr:GetAuthorizationToken"], "Resource": ["*"]},
                {"Effect": "Allow", "Action": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"], "Resource": [arn]},
            ])
        };
        let mut caller = read("arn:aws:ecr:eu-west-1:123456789012:repository/base");
        caller.as_array_mut().unwrap().push(json!(
            {"Effect": "Allow", "Action": ["sts:AssumeRole"], "Resource": ["arn:aws-cn:iam::210987654321:role/onlay"]}
        ));
        let expected = json!({
            "caller": {"Version": "2012-10-17", "Statement": caller},
            "arn:aws-cn:iam::210987654321:role/onlay": {
                "Version": "2012-10-17",
                "Statement": read("arn:aws-cn:ecr:cn-north-1:210987654321:repository/team/vault"),
            },
        });
        assert_eq!(serde_json::to_value(policies(&needs)).unwrap(), expected);
    }

    #[test]
    fn ecr_public_is_pulled_from_by_everybody() {
        let mut needs = needs(&[("public.ecr.aws", "docker/library/alpine", Use::Pull)]);
        assert!(policies(&needs).caller.is_empty());
        let tokens = json!({
            "Effect": "Allow",
            "Action": ["ecr-public:GetAuthorizationToken", "sts:GetServiceBearerToken"],
            "Resource": ["*"],
        });
        needs.public_credentials = true;
        assert_eq!(caller(&needs)["Statement"], json!([tokens]));
        needs.public_credentials = false;
        needs.create_repositories = Some(RepositoryTemplate::parse("t", "tags = { a = 'b' }").unwrap());
        let (registry, repository) = ("public.ecr.aws", "alias/team/vault");
        needs.add(
            &registry.parse().unwrap(),
            &repository.parse().unwrap(),
            Use::Push,
        );
        let push = json!({"Effect": "Allow", "Action": [
            "ecr-public:BatchCheckLayerAvailability",
            "ecr-public:CompleteLayerUpload",
            "ecr-public:InitiateLayerUpload",
            "ecr-public:PutImage",
            "ecr-public:UploadLayerPart",
            "ecr-public:CreateRepository",
            "ecr-public:TagResource",
        ], "Resource": ["arn:aws:ecr-public::*:repository/team/vault"]});
        assert_eq!(caller(&needs)["Statement"], json!([tokens, push]));
    }
}
