"""Everything that opens a path: scans and labels in, results out."""

from .dicom_write import write_ct_series
from .files import prepare_folder, write_bytes, write_json, write_table, write_volume
from .labels import check_grid, read_labels
from .scan import read_density, read_scan
from .toml_text import to_toml

__all__ = [
    "check_grid",
    "prepare_folder",
    "read_density",
    "read_labels",
    "read_scan",
    "to_toml",
    "write_bytes",
    "write_ct_series",
    "write_json",
    "write_table",
    "write_volume",
]
