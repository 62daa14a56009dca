//! The boot: accept, place, create in a cell or bury in cell0, decide, dispatch, delete.
