//! Amazon ECR: moto's server for the API, docker-registry with a password for the data.
