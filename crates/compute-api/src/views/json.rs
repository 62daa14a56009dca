//! Servers as JSON. A page is written in two steps: what instances have by themselves while what is
//! known beside them is still being read, and that in a second step.

use cellzero::Instance;
use serde::Serialize;
use uuid::Uuid;

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
    /// The page up to its last server; none of the servers is closed.
    json: Vec<u8>,
    /// Where each of them ends.
    ends: Vec<usize>,
}

impl<'a> Page<'a> {
    /// Writes what these instances have by themselves.
    pub(crate) fn begin(view: &'a View<'a>, instances: &'a [&'a Instance]) -> Page<'a> {
        let mut json = opened(instances.len() * SERVER_BYTES);
        let ends = instances.iter().map(|instance| {
            open_server(&mut json);
            view.own(instance, |name, value| key(&mut json, name, &value));
            json.len()
        });
        let ends = ends.collect();
        Page { view, instances, json, ends }
    }

    /// The page whole: with what is known beside each instance, in the same order, and the link to
    /// the next one.
    pub(crate) fn end(self, beside: &[Beside], next: Option<&[Link; 1]>) -> Vec<u8> {
        let Page { view, instances, mut json, ends } = self;
        let mut rests = Vec::with_capacity(instances.len() * SERVER_BYTES / 8);
        // Every server has keys by itself, so that each of these comes after a comma.
        let rest_ends = instances.iter().zip(beside).map(|(instance, beside)| {
            view.beside(instance, beside, |name, value| key(&mut rests, name, &value));
            rests.push(b'}');
            rests.len()
        });
        let rest_ends: Vec<usize> = rest_ends.collect();
        insert(&mut json, &ends, &rests, &rest_ends);
        close(&mut json, next);
        json
    }
}

/// Inserts the parts of one text at places of another, in order, from the last to the first: a
/// second text as long as a page would have its memory fetched from the kernel, which takes longer
/// than moving the first.
fn insert(text: &mut Vec<u8>, places: &[usize], parts: &[u8], ends: &[usize]) {
    let start = |ends: &[usize], at: usize| at.checked_sub(1).map_or(0, |before| ends[before]);
    let mut to = text.len() + parts.len();
    text.resize(to, 0);
    for at in (0..places.len()).rev() {
        let part = &parts[start(ends, at)..ends[at]];
        to -= part.len();
        text[to..to + part.len()].copy_from_slice(part);
        let before = start(places, at)..places[at];
        to -= before.len();
        text.copy_within(before, to);
    }
}

/// A page of servers without details.
pub(crate) fn brief(call: &Call, instances: &[&Instance], next: Option<&[Link; 1]>) -> Vec<u8> {
    let mut json = opened(instances.len() * BRIEF_BYTES);
    let [before, between, after] = around_the_id(call);
    for instance in instances {
        let mut id = Uuid::encode_buffer();
        let id = instance.uuid.0.hyphenated().encode_lower(&mut id);
        open_server(&mut json);
        push(&mut json, &["\"id\":\"", id, "\""]);
        match instance.known_at {
            Some(_) => key(&mut json, "status", &"UNKNOWN"),
            None => key(&mut json, "name", &instance.display_name),
        }
        push(&mut json, &[",\"links\":", &before, id, &between, id, &after, "}"]);
    }
    close(&mut json, next);
    json
}

/// The links of a server as JSON: what stands before its id, between the two of it, and after them.
/// Made once for a page, as they are most of what a server is without details.
fn around_the_id(call: &Call) -> [String; 3] {
    // One that stands nowhere else, such as in the URL of the API.
    let id = Uuid::new_v4().to_string();
    let links = serde_json::to_string(&server::links(call, &id)).expect("links are JSON");
    let mut parts = links.split(&id).map(str::to_owned);
    [(); 3].map(|()| parts.next().expect("two links have two ids"))
}

/// The beginning of a page of so many bytes, roughly.
fn opened(bytes: usize) -> Vec<u8> {
    let mut json = Vec::with_capacity(bytes);
    json.extend_from_slice(b"{\"servers\":[");
    json
}

/// Adds texts that are JSON already.
fn push(json: &mut Vec<u8>, texts: &[&str]) {
    for text in texts {
        json.extend_from_slice(text.as_bytes());
    }
}

/// Opens the next server of a page.
fn open_server(json: &mut Vec<u8>) {
    let before: &[u8] = if json.last() == Some(&b'[') { b"{" } else { b",{" };
    json.extend_from_slice(before);
}

/// The end of a page, with the link to the next one.
fn close(json: &mut Vec<u8>, next: Option<&[Link; 1]>) {
    json.push(b']');
    if let Some(links) = next {
        key(json, "servers_links", links);
    }
    json.push(b'}');
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
