//! A connection past all of the project's own code that stays open, for tests that ask often.

use std::sync::mpsc::{Receiver, Sender, channel};

use anyhow::Context as _;

use crate::Engine;
use crate::sql::{self, Row};

/// What is asked, and where the answer goes.
type Question = (String, Sender<anyhow::Result<Vec<Row>>>);

/// An open connection to one database. Like a [`TestDatabase`](crate::TestDatabase) it may be asked
/// from anywhere: it lives on a thread of its own, which ends with it.
#[derive(Debug)]
pub struct Session {
    questions: Sender<Question>,
}

impl Session {
    pub(crate) fn open(engine: Engine, url: &str) -> Session {
        let (questions, asked) = channel();
        let url = url.to_owned();
        std::thread::spawn(move || serve(engine, &url, &asked));
        Session { questions }
    }

    /// Runs one query; each value comes as text.
    ///
    /// # Errors
    /// Whatever the database or the way to it says, and no answer within a minute. After a connection
    /// that was lost all fail.
    pub fn query(&self, text: &str) -> anyhow::Result<Vec<Row>> {
        let (answer, answered) = channel();
        self.questions.send((text.to_owned(), answer)).context("the connection is gone")?;
        answered.recv_timeout(sql::LIMIT).context("the connection is gone, or does not answer")?
    }
}

/// Answers until nobody asks any more.
fn serve(engine: Engine, url: &str, asked: &Receiver<Question>) {
    if let Err(error) = sql::serve(engine, url, asked) {
        // Whoever waits hears that nobody answers; why is said here alone.
        eprintln!("the connection of a test ended: {error:#}");
    }
}
