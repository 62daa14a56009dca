//! Choose a host for each instance, or say why none fits.
