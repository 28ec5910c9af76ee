"""Whether two scans of one person may be compared: the rules of ``data/followup.toml`` on two visits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ..errors import InputError, SettingsError
from ..strength_reference import recipe_digest
from ..visits import Outcome, ScanCheck, Visit
from .tables import Rule, rules

NEARLY = 0.5
"""Voltages closer than this are one [kV] [design]."""


def check_person(visits: Sequence[Visit]) -> None:
    """Refuse scans of several persons, and one scan twice.

    Raises
    ------
    InputError
        Patient numbers, dates of birth or sexes contradict each other, or two results are of the same image.
    """
    first = visits[0]
    for number, visit in enumerate(visits[1:], start=2):
        for field, words in (("identifier", "patient number"), ("birth_date", "date of birth"), ("sex", "sex")):
            one, other = getattr(first.patient, field), getattr(visit.patient, field)
            if one and other and _key(one) != _key(other):
                raise InputError(
                    f"found another {words} in result {number} than in result 1, expected scans of one person; check the folders, or correct the "
                    "patient's data where a header is wrong (--patient) and analyse again"
                )
        if any(visit.digest == earlier.digest for earlier in visits[: number - 1]):
            raise InputError(f"found the same scan again in result {number}, expected scans of several dates; check the folders")


def _key(value: str) -> str:
    return " ".join(str(value).split()).casefold()


def compare_scans(baseline: Visit, followup: Visit) -> tuple[ScanCheck, ...]:
    """Return every rule with its outcome."""
    table = rules()
    return tuple(_check(table[name], *read(baseline, followup)) for name, read in _READ.items())


Reading = tuple[str, str, bool | None]
"""Both values in words, and whether they agree; ``None``: one is not known."""


def _check(rule: Rule, before: str, now: str, same: bool | None) -> ScanCheck:
    outcome: Outcome = "ok" if same else rule.unknown if same is None else rule.outcome
    if outcome == "ok":
        return ScanCheck(rule.name, outcome, before, now, "")
    what = f"{rule.title[:1].upper()}{rule.title[1:]}: {before} at the baseline, {now} at the follow-up"
    then = {
        "all": "densities and strengths are not comparable",
        "strength": "strengths are not comparable",
        "uncontrolled": "the least significant change of uncontrolled scans is taken",
        "routine": "the least significant change of routine scans is taken",
        "caution": "look at it before a change is believed",
    }[outcome]
    return ScanCheck(rule.name, outcome, before, now, f"{what}; {rule.effect}: {then}.")


def _calibration(a: Visit, b: Visit) -> Reading:
    names = [f"{visit.calibration.method}, {visit.calibration.mineral}" for visit in (a, b)]
    corrected = [_section(visit, "calibration") for visit in (a, b)]
    same = names[0] == names[1] and all(
        corrected[0].get(key) == corrected[1].get(key)
        for key in ("site_offset_mg_cm3", "site_factor", "hardening", "contrast", "phantom")
    )
    if names[0] == names[1] and not same:
        names = [f"{name}, other settings" if n else name for n, name in enumerate(names)]
    return names[0], names[1], same


def _kvp(a: Visit, b: Visit) -> Reading:
    one, other = a.acquisition.kvp, b.acquisition.kvp
    words = [f"{value:g} kV" if value else "not known" for value in (one, other)]
    return words[0], words[1], None if not one or not other else abs(one - other) <= NEARLY


def _contrast(a: Visit, b: Visit) -> Reading:
    """Return the contrast state; where only the image speaks of an agent it is a doubt, not a difference."""
    named = [bool(visit.acquisition.contrast) for visit in (a, b)]
    with_agent = [name or visit.contrast_seen for name, visit in zip(named, (a, b))]
    words = [
        "named in the header" if n else "seen in the image" if w else "none named or seen" for n, w in zip(named, with_agent)
    ]
    if with_agent[0] != with_agent[1]:
        return words[0], words[1], None if named == [False, False] else False
    phases = [_key(visit.acquisition.contrast or "") for visit in (a, b)]
    return words[0], words[1], True if phases[0] == phases[1] else None


def _slice(a: Visit, b: Visit) -> Reading:
    limit = rules()["slice"].limit
    steps = [visit.spacing[2] for visit in (a, b)]
    thick = [visit.acquisition.slice_thickness or step for visit, step in zip((a, b), steps)]
    words = [f"{thickness:g} mm every {step:g} mm" for thickness, step in zip(thick, steps)]
    worst = max(max(pair) / max(min(pair), 1e-6) for pair in (steps, thick))
    return words[0], words[1], worst <= limit


def _named(read: Callable[[Visit], str | None]) -> Callable[[Visit, Visit], Reading]:
    def both(a: Visit, b: Visit) -> Reading:
        one, other = read(a), read(b)
        return one or "not known", other or "not known", None if not one or not other else _key(one) == _key(other)

    return both


def _scanner(visit: Visit) -> str | None:
    parts = (visit.acquisition.manufacturer, visit.acquisition.model)
    return " ".join(part for part in parts if part) or None


def _recipe(a: Visit, b: Visit) -> Reading:
    words = (a.protocol, b.protocol)
    try:
        sites = [site for site in ("vertebra", "femur") if site in a.settings and site in b.settings]
        same = bool(sites) and all(recipe_digest(a.settings, site) == recipe_digest(b.settings, site) for site in sites)
    except SettingsError:  # a plug-in, whose content nobody compares
        return *words, None
    return *words, same


def _section(visit: Visit, name: str) -> Mapping[str, object]:
    section = visit.settings.get(name)
    return section if isinstance(section, Mapping) else {}


_READ: Mapping[str, Callable[[Visit, Visit], Reading]] = {
    "scanner": _named(_scanner),
    "kvp": _kvp,
    "kernel": _named(lambda visit: visit.acquisition.kernel),
    "slice": _slice,
    "contrast": _contrast,
    "calibration": _calibration,
    "recipe": _recipe,
    "version": _named(lambda visit: visit.version),
}
