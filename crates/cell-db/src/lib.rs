//! The cell schema, shared by cell0 and every live cell.
