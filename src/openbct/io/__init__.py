"""Everything that opens a path: scans and labels in, results out."""

from .case_json import anonymise, calibration_to_json, csv_rows
from .dicom_enhanced import write_enhanced_ct
from .dicom_header import HeaderKind, Technique
from .dicom_write import write_ct_series
from .dicom_wrong import FALSEHOODS, Falsehood, false_statements
from .faults import FAULTS, Fault, apply_fault
from .files import prepare_folder, write_bytes, write_json, write_table, write_volume
from .followup_files import comparison_schema
from .inspect import SeriesSummary, inspect_path
from .label_write import drawn_labels, write_labels
from .labels import check_grid, read_label_image, read_labels
from .reference_file import read_incidence, read_reference, write_reference
from .scan import read_density, read_scan
from .seg_write import segmentation_bytes
from .source_series import read_planes, read_source, source_series, write_source
from .store import (
    case_digest,
    read_case,
    read_result,
    result_schema,
    start_folder,
    write_bone,
    write_case,
    write_label_map,
    write_models,
    write_tables,
)
from .toml_text import to_toml

__all__ = [
    "FALSEHOODS",
    "FAULTS",
    "Falsehood",
    "Fault",
    "HeaderKind",
    "SeriesSummary",
    "Technique",
    "anonymise",
    "apply_fault",
    "calibration_to_json",
    "case_digest",
    "check_grid",
    "comparison_schema",
    "csv_rows",
    "drawn_labels",
    "false_statements",
    "inspect_path",
    "prepare_folder",
    "read_case",
    "read_density",
    "read_incidence",
    "read_label_image",
    "read_labels",
    "read_planes",
    "read_reference",
    "read_result",
    "read_scan",
    "read_source",
    "result_schema",
    "segmentation_bytes",
    "source_series",
    "start_folder",
    "to_toml",
    "write_bone",
    "write_bytes",
    "write_case",
    "write_ct_series",
    "write_enhanced_ct",
    "write_json",
    "write_label_map",
    "write_labels",
    "write_models",
    "write_reference",
    "write_source",
    "write_table",
    "write_tables",
    "write_volume",
]
