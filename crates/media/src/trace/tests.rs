//! Recording and replay of small planes.
