//! How ECR says no.

use crate::front::Misbehaviour;
use serde_json::{Value, json};

/// An error of the registry's protocol.
pub(super) fn refused(status: u16, code: &str, message: &str) -> Misbehaviour {
    answered(
        status,
        "application/json",
        &json!({ "errors": [{ "code": code, "message": message }] }),
    )
}

/// A repository that is not there (aws.md 1.3).
pub(super) fn missing(repository: &str, account: &str) -> Misbehaviour {
    refused(404, "NAME_UNKNOWN", &missing_words(repository, account))
}

pub(super) fn missing_words(repository: &str, account: &str) -> String {
    format!("The repository with name '{repository}' does not exist in the registry with id '{account}'")
}

/// A quota that is used up (aws.md 1.2).
pub(super) fn throttled() -> Misbehaviour {
    refused(429, "TOOMANYREQUESTS", "Rate exceeded")
}

/// An answer of the API, as JSON 1.1 of AWS has it.
pub(super) fn api_answer(body: &Value) -> Misbehaviour {
    answered(200, "application/x-amz-json-1.1", body)
}

/// An error of the API.
pub(super) fn api_refused(kind: &str, message: &str) -> Misbehaviour {
    answered(
        400,
        "application/x-amz-json-1.1",
        &json!({ "__type": kind, "message": message }),
    )
}

/// An answer with a body of JSON.
pub(super) fn answered(status: u16, media_type: &str, body: &Value) -> Misbehaviour {
    Misbehaviour::Answer {
        status,
        headers: vec![("Content-Type".to_owned(), media_type.to_owned())],
        body: body.to_string().into_bytes(),
    }
}
