//! The whole plane, on each of the three backends.

mod bad_input;
mod before;
mod boot;
mod cell0_down;
mod concurrency;
mod cost;
mod delete;
mod dispatch;
mod down_cell;
mod fsck;
mod halved;
mod hung_server;
mod identity;
mod lifetime;
mod list;
mod list_order;
mod live_cells;
mod multi_create;
mod nova;
mod placement;
mod races;
mod recovery;
mod refused_rows;
mod retry;
mod schema;
mod support;
