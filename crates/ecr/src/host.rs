use onlay_oci::{Registry, Repository};

use crate::partition::partition;

/// The host of a private ECR registry, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EcrHost {
    account: String,
    endpoint: Endpoint,
}

/// Which of ECR's API endpoints speaks for a registry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Endpoint {
    pub(crate) region: String,
    pub(crate) fips: bool,
    pub(crate) dual_stack: bool,
}

/// Which of ECR's services a registry belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    Private(EcrHost),
    Public,
}

/// The hosts of ECR Public.
///
/// Source: amazon-ecr-credential-helper 0.12; aws.md §1.7.
const PUBLIC_HOSTS: [&str; 2] = ["public.ecr.aws", "ecr-public.aws.com"];

/// What a host ends in, by partition, and whether it is reached over IPv6 too.
///
/// Source: amazon-ecr-credential-helper 0.12; aws.md §1.7.
const SUFFIXES: &[(&str, bool)] = &[
    ("amazonaws.com", false),
    ("amazonaws.com.cn", false),
    ("amazonaws.eu", false),
    ("on.aws", true),
    ("on.amazonwebservices.com.cn", true),
    ("c2s.ic.gov", false),
    ("sc2s.sgov.gov", false),
    ("cloud.adc-e.uk", false),
    ("csp.hci.ic.gov", false),
];

/// How many digits an account has.
const ACCOUNT_LENGTH: usize = 12;

impl EcrHost {
    /// Recognises `ACCOUNT.dkr.ecr[-fips].REGION.SUFFIX`, and the same with `dkr-ecr`; none for all other hosts, ECR
    /// Public's and hosts with a port included.
    pub fn parse(registry: &Registry) -> Option<Self> {
        let host = registry.as_str().to_ascii_lowercase();
        let (account, rest) = host.split_once('.')?;
        if account.len() != ACCOUNT_LENGTH || !account.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let rest = rest
            .strip_prefix("dkr.ecr")
            .or_else(|| rest.strip_prefix("dkr-ecr"))?;
        let (fips, rest) = match rest.strip_prefix("-fips") {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        let (region, suffix) = rest.strip_prefix('.')?.split_once('.')?;
        let (_, dual_stack) = SUFFIXES.iter().find(|(known, _)| *known == suffix)?;
        is_region(region).then(|| Self {
            account: account.to_owned(),
            endpoint: Endpoint {
                region: region.to_owned(),
                fips,
                dual_stack: *dual_stack,
            },
        })
    }

    /// The account that the registry belongs to, twelve digits.
    pub fn account(&self) -> &str {
        &self.account
    }

    /// The region that the registry is in.
    pub fn region(&self) -> &str {
        &self.endpoint.region
    }

    /// A repository of this registry, as policies name it.
    pub(crate) fn arn(&self, repository: &Repository) -> String {
        let region = self.region();
        format!(
            "arn:{}:ecr:{region}:{}:repository/{repository}",
            partition(region),
            self.account
        )
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }
}

/// Tells whether a registry is ECR's, private or public.
pub fn is_ecr(registry: &Registry) -> bool {
    Service::of(registry).is_some()
}

impl Service {
    /// Recognises a host of either service; none for all others.
    pub(crate) fn of(registry: &Registry) -> Option<Self> {
        let host = registry.as_str();
        if PUBLIC_HOSTS
            .iter()
            .any(|public| host.eq_ignore_ascii_case(public))
        {
            return Some(Self::Public);
        }
        EcrHost::parse(registry).map(Self::Private)
    }
}

/// Letters, digits and hyphens between letters and digits. The region becomes part of the host that is sent signed
/// requests, so nothing else may be in it.
fn is_region(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.bytes().all(allowed) && !text.starts_with('-') && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(host: &str) -> Option<EcrHost> {
        EcrHost::parse(&host.parse().unwrap())
    }

    #[test]
    fn hosts_of_every_partition() {
        let cases = [
            ("dkr.ecr.eu-west-1.amazonaws.com", "eu-west-1", false, false),
            ("dkr-ecr.eu-west-1.amazonaws.com", "eu-west-1", false, false),
            (
                "dkr.ecr-fips.us-gov-west-1.amazonaws.com",
                "us-gov-west-1",
                true,
                false,
            ),
            ("dkr.ecr.cn-north-1.amazonaws.com.cn", "cn-north-1", false, false),
            (
                "dkr.ecr.eusc-de-east-1.amazonaws.eu",
                "eusc-de-east-1",
                false,
                false,
            ),
            ("dkr-ecr.us-west-2.on.aws", "us-west-2", false, true),
            ("dkr-ecr-fips.us-east-1.on.aws", "us-east-1", true, true),
            (
                "dkr-ecr.cn-northwest-1.on.amazonwebservices.com.cn",
                "cn-northwest-1",
                false,
                true,
            ),
            ("dkr.ecr.us-iso-east-1.c2s.ic.gov", "us-iso-east-1", false, false),
            (
                "dkr.ecr.us-isob-east-1.sc2s.sgov.gov",
                "us-isob-east-1",
                false,
                false,
            ),
            (
                "dkr.ecr.eu-isoe-west-1.cloud.adc-e.uk",
                "eu-isoe-west-1",
                false,
                false,
            ),
            (
                "dkr.ecr.us-isof-south-1.csp.hci.ic.gov",
                "us-isof-south-1",
                false,
                false,
            ),
            ("DKR.ECR.EU-WEST-1.AMAZONAWS.COM", "eu-west-1", false, false),
        ];
        for (rest, region, fips, dual_stack) in cases {
            let host = parse(&format!("123456789012.{rest}")).unwrap_or_else(|| panic!("{rest}"));
            assert_eq!(
                (host.account(), host.region()),
                ("123456789012", region),
                "{rest}"
            );
            assert_eq!(
                (host.endpoint.fips, host.endpoint.dual_stack),
                (fips, dual_stack),
                "{rest}"
            );
        }
    }

    #[test]
    fn hosts_that_only_look_like_it() {
        let cases = [
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com.fake.example.com",
            "123456789012.dkr.ecr.eu-west-1.fakeamazonaws.com",
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com.au",
            "123456789012.dkr.ecr.evil.example.eu-west-1.amazonaws.com",
            "fake.123456789012.dkr.ecr.eu-west-1.amazonaws.com",
            "123456789012.dkr.ecr.amazonaws.com",
            "123456789012.dkr.ecr-fipsx.eu-west-1.amazonaws.com",
            "123456789012.dkrecr.eu-west-1.amazonaws.com",
            "12345678901.dkr.ecr.eu-west-1.amazonaws.com",
            "1234567890123.dkr.ecr.eu-west-1.amazonaws.com",
            "12345678901a.dkr.ecr.eu-west-1.amazonaws.com",
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com:8443",
            "public.ecr.aws",
            "ecr-public.aws.com",
            "docker.io",
            "localhost:5000",
        ];
        for host in cases {
            assert_eq!(parse(host), None, "{host}");
        }
    }

    #[test]
    fn services() {
        let private = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";
        let cases = [
            ("public.ecr.aws", Some(Service::Public)),
            ("ECR-PUBLIC.AWS.COM", Some(Service::Public)),
            ("public.ecr.aws:443", None),
            ("x.public.ecr.aws", None),
            (private, parse(private).map(Service::Private)),
            ("docker.io", None),
        ];
        for (host, expected) in cases {
            assert_eq!(Service::of(&host.parse().unwrap()), expected, "{host}");
        }
    }
}
