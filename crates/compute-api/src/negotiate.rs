//! Microversions: which one a request asks for, and what every answer says of it.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use cellzero::Microversion;

use crate::fault::Fault;

/// The header of all OpenStack services.
pub(crate) const VERSION: HeaderName = HeaderName::from_static("openstack-api-version");
/// The older one of the compute API alone.
pub(crate) const NOVA_VERSION: HeaderName = HeaderName::from_static("x-openstack-nova-api-version");

/// A microversion of major version 2.
pub(crate) const fn minor(minor: u16) -> Microversion {
    Microversion { major: 2, minor }
}

/// The microversion that a request asks for: the first where it does not say, the last for
/// `latest`.
///
/// # Errors
/// 400 for a malformed one, 406 for one that is not served.
pub(crate) fn asked(headers: &HeaderMap) -> Result<Microversion, Fault> {
    let Some(text) = text(headers)? else { return Ok(Microversion::MIN) };
    if text == "latest" {
        return Ok(Microversion::MAX);
    }
    let version: Microversion = text.parse().map_err(|_| malformed(&text))?;
    if version < Microversion::MIN || version > Microversion::MAX {
        return Err(Fault::not_acceptable(format!(
            "Version {version} is not supported by the API. Minimum is {} and maximum is {}.",
            Microversion::MIN,
            Microversion::MAX
        )));
    }
    Ok(version)
}

/// What the newer header says of `compute`, otherwise the older one.
fn text(headers: &HeaderMap) -> Result<Option<String>, Fault> {
    for value in headers.get_all(&VERSION) {
        let value = value.to_str().map_err(|_| malformed("in bytes"))?;
        for part in value.split(',') {
            let mut words = part.split_whitespace();
            // Words for other services are theirs.
            if words.next() != Some("compute") {
                continue;
            }
            return match (words.next(), words.next()) {
                (Some(version), None) => Ok(Some(version.to_owned())),
                _ => Err(malformed(value)),
            };
        }
    }
    match headers.get(&NOVA_VERSION) {
        Some(value) => {
            let value = value.to_str().map_err(|_| malformed("in bytes"))?;
            Ok(Some(value.trim().to_owned()))
        }
        None => Ok(None),
    }
}

fn malformed(text: &str) -> Fault {
    Fault::bad_request(format!(
        "API Version String {text} is of invalid format. It must be of format MajorNum.MinorNum."
    ))
}

/// Says in an answer which microversion was served, and that it depends on the headers.
pub(crate) fn say(headers: &mut HeaderMap, served: Microversion) {
    let text = format!("compute {served}");
    if let Ok(value) = HeaderValue::from_str(&text) {
        headers.insert(VERSION, value);
    }
    if let Ok(value) = HeaderValue::from_str(&served.to_string()) {
        headers.insert(NOVA_VERSION, value);
    }
    let vary = "OpenStack-API-Version, X-OpenStack-Nova-API-Version";
    headers.insert(header::VARY, HeaderValue::from_static(vary));
}
