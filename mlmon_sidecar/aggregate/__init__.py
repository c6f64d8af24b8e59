"""From columns to integers: the pane."""

from mlmon_sidecar.aggregate.panes import PaneBuilder, RowCounter
from mlmon_sidecar.aggregate.traffic import decoded_versions

__all__ = ["PaneBuilder", "RowCounter", "decoded_versions"]
