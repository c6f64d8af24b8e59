"""Nothing personal is kept or leaves the process."""
