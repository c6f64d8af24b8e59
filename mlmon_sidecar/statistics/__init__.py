"""Pure numpy: layouts, counts, distances, intervals and the sequential detector. No I/O, no clock."""
