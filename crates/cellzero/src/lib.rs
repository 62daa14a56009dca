//! Cellzero: boot instances into many cells, and lose none of them.
