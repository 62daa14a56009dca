//! Reach the cell of one instance, and all cells for a list.
