//! Scatter-gather: one question to many cells at once, with a deadline for each.

use std::sync::Arc;

use cellzero_cell_db::CellConnection;
use cellzero_database::{DatabaseError, Deadline};
use cellzero_types::CellUuid;
use futures_util::future::join_all;

use crate::cells::{CellError, CellHandle};

/// What one cell answered.
#[derive(Debug)]
pub enum CellAnswer<T> {
    /// It answered.
    Up(T),
    /// It is a down cell: it failed, or did not answer by the deadline.
    Down(CellError),
}

/// The cells that did not answer, with why.
pub type DownCells = Vec<(CellUuid, CellError)>;

/// The answers of all cells that were asked, in the order in which they were asked. Whether a
/// partial answer is good enough is for the caller to decide.
#[derive(Debug)]
pub struct Gathered<T> {
    /// Each cell and its answer.
    pub answers: Vec<(CellUuid, CellAnswer<T>)>,
}

impl<T> Gathered<T> {
    /// The answers of the cells that answered, and the cells that did not, with why.
    pub fn split(self) -> (Vec<(CellUuid, T)>, DownCells) {
        let mut up = Vec::new();
        let mut down = Vec::new();
        for (cell, answer) in self.answers {
            match answer {
                CellAnswer::Up(value) => up.push((cell, value)),
                CellAnswer::Down(error) => down.push((cell, error)),
            }
        }
        (up, down)
    }
}

/// Counts that a cell did not answer a reader.
pub(crate) fn count_down(cell: CellUuid) {
    metrics::counter!("cellzero_down_cell_answers_total", "cell" => cell.text()).increment(1);
}

/// Asks every cell the same at once. One cell's failure is its own answer and never the others'.
pub async fn scatter_gather<T, W>(
    cells: &[Arc<CellHandle>],
    name: &'static str,
    deadline: Deadline,
    work: W,
) -> Gathered<T>
where
    T: Send + 'static,
    W: Fn(&mut CellConnection, &CellHandle) -> Result<T, DatabaseError> + Clone + Send + 'static,
{
    let asked = cells.iter().map(|cell| {
        let work = work.clone();
        let handle = Arc::clone(cell);
        async move {
            let uuid = handle.uuid();
            let asked = Arc::clone(&handle);
            match asked.ask(name, deadline, move |conn| work(conn, &handle)).await {
                Ok(value) => (uuid, CellAnswer::Up(value)),
                Err(source) => {
                    count_down(uuid);
                    (uuid, CellAnswer::Down(CellError::Database { cell: uuid, source }))
                }
            }
        }
    });
    Gathered { answers: join_all(asked).await }
}
