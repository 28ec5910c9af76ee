"""Conformance: whatever stands in the table of material laws obeys these."""

from __future__ import annotations

import numpy as np
import pytest

from openbct.materials import KOPPERDAHL_2002, MATERIALS, side_artefact
from openbct.records import MaterialLaw

LAWS = list(MATERIALS.values())


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.name)
class TestLaw:
    def test_reads_the_paper(self, law: MaterialLaw) -> None:
        rho, modulus, stress = law.check
        assert float(law.youngs_modulus(np.array([rho]))[0]) == pytest.approx(modulus, rel=2e-4)
        assert float(law.yield_stress(np.array([rho]))[0]) == pytest.approx(stress, rel=2e-4)

    def test_is_elementwise_rising_and_positive(self, law: MaterialLaw) -> None:
        rho = np.linspace(*law.clip, 200).reshape(10, 20)
        for function in (law.youngs_modulus, law.yield_stress):
            values = function(rho)
            assert values.shape == rho.shape
            assert (values > 0).all()
            assert (np.diff(values.ravel()) > 0).all()

    def test_stays_physical_at_its_ceiling(self, law: MaterialLaw) -> None:
        assert float(law.youngs_modulus(np.array([law.clip[1]]))[0]) < 25_000
        assert 0.1 < law.tension_ratio <= 1.0
        assert 0.0 <= law.poisson_ratio < 0.5

    def test_names_its_source_and_range(self, law: MaterialLaw) -> None:
        assert len(law.reference.text) > 20
        assert law.clip[0] < law.valid[0] < law.valid[1] <= law.clip[1] + 0.05

    def test_is_listed_by_its_name(self, law: MaterialLaw) -> None:
        assert MATERIALS[law.name] is law


def test_side_artefact_is_named_and_scales_both() -> None:
    law = side_artefact(KOPPERDAHL_2002)
    rho = np.array([0.05, 0.1, 0.3])
    assert law.name == "kopperdahl2002+side-artefact"
    np.testing.assert_allclose(law.youngs_modulus(rho), 3814.4 * rho**1.05, rtol=1e-12)
    np.testing.assert_allclose(law.yield_stress(rho), 57.4464 * rho**1.39, rtol=1e-12)
