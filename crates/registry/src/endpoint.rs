use onlay_oci::Registry;
use url::Url;

/// Where a registry's API is, unless it was configured otherwise.
pub(crate) fn default_endpoint(registry: &Registry, plain_http: bool) -> Result<Url, url::ParseError> {
    // Docker Hub's name and its API's host are two.
    let host = if registry.is_docker_hub() {
        "registry-1.docker.io"
    } else {
        registry.as_str()
    };
    let scheme = if plain_http { "http" } else { "https" };
    Url::parse(&format!("{scheme}://{host}/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docker_hubs_api_has_another_host() {
        let hub = default_endpoint(&Registry::docker_hub(), false).unwrap();
        assert_eq!(hub.as_str(), "https://registry-1.docker.io/");
    }
}
