"""A finite-element model as a VTK unstructured grid (VTU), readable by ParaView and 3D Slicer: our own writer.

Arrays are appended, compressed with zlib and base64-coded, so that the file stays valid XML. Points are patient LPS [mm].
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Float, Shaped

from ..errors import OutputError
from ..volume import Affine, to_patient

Array = np.ndarray
BLOCK = 2**20
"""Uncompressed size of a block [bytes]; VTK reads any."""
HEXAHEDRON = 12
"""VTK cell type."""
CORNERS = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1]])
"""Node order of a VTK hexahedron: around the lower face, then around the upper one."""
TYPES = {"<f4": "Float32", "<i4": "Int32", "|u1": "UInt8"}


def vtu_bytes(
    elements: Bool[Array, "i j k"],
    to_lps: Affine,
    *,
    cells: Mapping[str, Shaped[Array, "i j k"]],
    points: Mapping[str, Float[Array, "i1 j1 k1 3"]],
) -> bytes:
    """Return a VTU file of the elements that exist.

    Parameters
    ----------
    elements
        Where there is an element.
    to_lps
        Element index (its centre) to patient LPS [mm].
    cells, points
        Fields by name, on the elements and on the nodes; vectors in specimen axes are turned into the patient's.

    Raises
    ------
    OutputError
        No element at all.
    """
    index = np.argwhere(elements)
    if len(index) == 0:
        raise OutputError("found a model without elements, expected at least one; nothing to write")
    nodes_shape = tuple(n + 1 for n in elements.shape)
    corners = CORNERS if np.linalg.det(to_lps[:3, :3]) > 0 else CORNERS[[4, 5, 6, 7, 0, 1, 2, 3]]
    corner_nodes = np.ravel_multi_index(tuple((index[:, None, :] + corners).reshape(-1, 3).T), nodes_shape)
    touched = np.zeros(int(np.prod(nodes_shape)), dtype=bool)
    touched[corner_nodes] = True
    used = np.flatnonzero(touched)
    connectivity = (np.cumsum(touched, dtype=np.int32) - 1)[corner_nodes]
    place = np.array(np.unravel_index(used, nodes_shape)).T - 0.5
    turn = to_lps[:3, :3] / np.linalg.norm(to_lps[:3, :3], axis=0)
    count = len(index)
    arrays: list[tuple[str, str, int, Array]] = [
        ("Points", "Points", 3, to_patient(to_lps, place).astype("<f4")),
        ("Cells", "connectivity", 1, connectivity.reshape(-1).astype("<i4")),
        ("Cells", "offsets", 1, np.arange(8, 8 * count + 1, 8, dtype="<i4")),
        ("Cells", "types", 1, np.full(count, HEXAHEDRON, dtype="|u1")),
    ]
    for name, field in cells.items():
        arrays.append(("CellData", name, 1, field[elements].astype("|u1" if field.dtype == bool else "<f4")))
    for name, vectors in points.items():
        arrays.append(("PointData", name, 3, (vectors.reshape(-1, 3)[used] @ turn.T).astype("<f4")))
    return _file(arrays, len(used), count)


def _file(arrays: list[tuple[str, str, int, Array]], n_points: int, n_cells: int) -> bytes:
    """Return the XML with its appended data."""
    offset, encoded, sections = 0, [], dict[str, list[str]]()
    for section, name, components, array in arrays:
        data = _encode(array)
        sections.setdefault(section, []).append(
            f'<DataArray type="{TYPES[array.dtype.str]}" Name="{name}" NumberOfComponents="{components}"'
            f' format="appended" offset="{offset}"/>'
        )
        encoded.append(data)
        offset += len(data)
    body = "".join(f"<{name}>{''.join(lines)}</{name}>" for name, lines in sections.items())
    head = (
        '<?xml version="1.0"?>\n<VTKFile type="UnstructuredGrid" version="1.0" byte_order="LittleEndian" header_type="UInt32"'
        ' compressor="vtkZLibDataCompressor"><UnstructuredGrid>'
        f'<Piece NumberOfPoints="{n_points}" NumberOfCells="{n_cells}">{body}</Piece></UnstructuredGrid>'
        '<AppendedData encoding="base64">_'
    )
    return head.encode() + b"".join(encoded) + b"</AppendedData></VTKFile>\n"


def _encode(array: Array) -> bytes:
    """Return one array as VTK's compressed blocks: a header of sizes, then the blocks, each part base64-coded."""
    raw = np.ascontiguousarray(array).tobytes()
    blocks = [zlib.compress(raw[start : start + BLOCK], 1) for start in range(0, len(raw), BLOCK)]
    last = len(raw) % BLOCK
    header = np.array([len(blocks), BLOCK, last, *(len(block) for block in blocks)], dtype="<u4")
    return base64.b64encode(header.tobytes()) + base64.b64encode(b"".join(blocks))
