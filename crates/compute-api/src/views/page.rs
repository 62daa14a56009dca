//! A page of servers as JSON, written in two steps: what instances have by themselves while what is
//! known beside them is still being read, and that in a second step.

use serde::Serialize;

use crate::call::Link;
use crate::views::server::{Beside, Rest, Server, Shown};

/// What a server takes, roughly, so that a page is made without being moved many times.
const SERVER_BYTES: usize = 2_048;

/// A page whose first step is done.
pub(crate) struct Page<'a> {
    servers: Vec<Shown<'a>>,
    /// The objects of the servers, one after another.
    json: Vec<u8>,
    /// Where each of them ends.
    ends: Vec<usize>,
}

impl<'a> Page<'a> {
    /// Writes what these instances have by themselves.
    pub(crate) fn begin(servers: impl Iterator<Item = Shown<'a>>) -> Page<'a> {
        let servers: Vec<Shown<'a>> = servers.collect();
        let mut json = Vec::with_capacity(servers.len() * SERVER_BYTES);
        let ends = servers.iter().map(|server| {
            write(&mut json, server);
            json.len()
        });
        let ends = ends.collect();
        Page { servers, json, ends }
    }

    /// The page whole: with what is known beside each instance, in the same order, and the link to
    /// the next one.
    pub(crate) fn end(self, beside: &[Beside], next: Option<&[Link; 1]>) -> Vec<u8> {
        let mut page = Vec::with_capacity(self.json.len() + self.servers.len() * SERVER_BYTES / 16);
        page.extend_from_slice(b"{\"servers\":[");
        let mut start = 0;
        for ((shown, end), beside) in self.servers.into_iter().zip(self.ends).zip(beside) {
            if start > 0 {
                page.push(b',');
            }
            page.extend_from_slice(&self.json[start..end]);
            append(&mut page, &Rest(Server { shown, beside }));
            start = end;
        }
        page.push(b']');
        if let Some(links) = next {
            page.extend_from_slice(b",\"servers_links\":");
            write(&mut page, links);
        }
        page.push(b'}');
        page
    }
}

/// Adds the keys of an object to the one that stands last, which has some.
fn append(page: &mut Vec<u8>, object: &impl Serialize) {
    let brace = page.len() - 1;
    write(page, object);
    match page.len() - brace {
        // It has no keys.
        3 => page.truncate(brace + 1),
        _ => drop(page.splice(brace..brace + 2, *b",")),
    }
}

/// # Panics
/// Where the value is none of JSON: a bug of its view.
fn write(json: &mut Vec<u8>, value: &impl Serialize) {
    serde_json::to_writer(json, value).expect("a view is JSON");
}
