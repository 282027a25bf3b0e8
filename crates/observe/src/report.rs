//! Trees of figures, with their windows and error bounds, and the verdict over them.
