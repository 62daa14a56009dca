//! Servers as JSON. A page is written in two steps: what instances have by themselves while what is
//! known beside them is still being read, and that in a second step.

use cellzero::Instance;
use serde::Serialize;

use crate::call::{Call, Link};
use crate::views::server::{self, Beside, View};

/// What a server takes, roughly, so that a page is made without being moved many times.
const SERVER_BYTES: usize = 2_048;

/// The same without details.
const BRIEF_BYTES: usize = 384;

/// A page whose first step is done.
pub(crate) struct Page<'a> {
    view: &'a View<'a>,
    instances: &'a [&'a Instance],
    /// The objects of the servers, one after another; none of them is closed.
    json: Vec<u8>,
    /// Where each of them ends.
    ends: Vec<usize>,
}

impl<'a> Page<'a> {
    /// Writes what these instances have by themselves.
    pub(crate) fn begin(view: &'a View<'a>, instances: &'a [&'a Instance]) -> Page<'a> {
        let mut json = Vec::with_capacity(instances.len() * SERVER_BYTES);
        let ends = instances.iter().map(|instance| {
            json.push(b'{');
            view.own(instance, |name, value| key(&mut json, name, &value));
            json.len()
        });
        let ends = ends.collect();
        Page { view, instances, json, ends }
    }

    /// The page whole: with what is known beside each instance, in the same order, and the link to
    /// the next one.
    pub(crate) fn end(self, beside: &[Beside], next: Option<&[Link; 1]>) -> Vec<u8> {
        let more = self.instances.len() * SERVER_BYTES / 16;
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let parts = starts.zip(&self.ends).zip(self.instances).zip(beside);
        page(self.json.len() + more, parts, next, |page, (((start, end), instance), beside)| {
            page.extend_from_slice(&self.json[start..*end]);
            self.view.beside(instance, beside, |name, value| key(page, name, &value));
        })
    }
}

/// A page of servers without details.
pub(crate) fn brief(call: &Call, instances: &[&Instance], next: Option<&[Link; 1]>) -> Vec<u8> {
    page(instances.len() * BRIEF_BYTES, instances, next, |page, instance| {
        page.push(b'{');
        server::brief(call, instance, |name, value| key(page, name, &value));
    })
}

/// A page of so many bytes, roughly, and the link to the next one; each server is written as an
/// object that is not closed.
fn page<T>(
    bytes: usize,
    servers: impl IntoIterator<Item = T>,
    next: Option<&[Link; 1]>,
    mut write: impl FnMut(&mut Vec<u8>, T),
) -> Vec<u8> {
    let mut page = Vec::with_capacity(bytes);
    page.extend_from_slice(b"{\"servers\":[");
    for (at, server) in servers.into_iter().enumerate() {
        if at > 0 {
            page.push(b',');
        }
        write(&mut page, server);
        page.push(b'}');
    }
    page.push(b']');
    if let Some(links) = next {
        key(&mut page, "servers_links", links);
    }
    page.push(b'}');
    page
}

/// A server by itself, whole.
pub(crate) fn one<'a>(view: &View<'a>, instance: &'a Instance, beside: &Beside) -> Vec<u8> {
    let mut json = Vec::with_capacity(SERVER_BYTES);
    json.extend_from_slice(b"{\"server\":{");
    view.own(instance, |name, value| key(&mut json, name, &value));
    view.beside(instance, beside, |name, value| key(&mut json, name, &value));
    json.extend_from_slice(b"}}");
    json
}

/// Adds a key to the object that stands last, and is not closed. The name is one of ours, in which
/// nothing is to be escaped: as a page has thousands of them, it is not looked through.
///
/// # Panics
/// Where the value is none of JSON: a bug of its view.
fn key(json: &mut Vec<u8>, name: &'static str, value: &impl Serialize) {
    let before: &[u8] = if json.last() == Some(&b'{') { b"\"" } else { b",\"" };
    for part in [before, name.as_bytes(), b"\":"] {
        json.extend_from_slice(part);
    }
    serde_json::to_writer(json, value).expect("a view is JSON");
}
