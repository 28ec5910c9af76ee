"""``openbct protocol-sheet``: the sheet as text, HTML or PDF."""

from __future__ import annotations

from pathlib import Path

from ..errors import SettingsError

ENDINGS = (".txt", ".html", ".pdf")


def run_sheet(site: str, out: Path | None) -> None:
    """Print the sheet, or write it.

    Raises
    ------
    SettingsError
        Another site, or an ending that stands for no form.
    OutputError
        The file cannot be written.
    """
    from ..io import write_bytes
    from ..report import make_sheet, sheet_text, to_html, to_pdf

    if site not in ("hip", "spine", "both"):
        raise SettingsError(f"found --for {site!r}, expected hip, spine or both")
    sheet = make_sheet("hip" if site == "hip" else "spine" if site == "spine" else "both")
    if out is None:
        print(sheet_text(sheet), end="")
        return
    ending = out.suffix.lower()
    if ending not in ENDINGS:
        raise SettingsError(f"found the output file {out.name!r}, expected one that ends in {', '.join(ENDINGS)}; change -o")
    content = to_pdf(sheet) if ending == ".pdf" else (to_html(sheet) if ending == ".html" else sheet_text(sheet)).encode("utf-8")
    write_bytes(out, content)
    print(f"written: {out}")
