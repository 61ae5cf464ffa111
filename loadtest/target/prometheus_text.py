"""The page of metrics that a server shows to Prometheus."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Self

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample


@dataclass(frozen=True, slots=True)
class Samples:
    """The samples of one page."""

    all: tuple[Sample, ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the text of a page. Raises ValueError for any other text."""
        return cls(tuple(sample for family in text_string_to_metric_families(text) for sample in family.samples))

    def value(self, name: str) -> float:
        """The sum over all workers of the sample of this name that has no other label. Raises KeyError."""
        found = [one.value for one in self.all if one.name == name and one.labels.keys() <= {"worker"}]
        if not found:
            raise KeyError(name)
        return sum(found)

    def by(self, name: str, label: str) -> dict[str, float]:
        """The samples of this name that have this label, by its value, as sums over all other labels."""
        found: defaultdict[str, float] = defaultdict(float)
        for sample in self.all:
            if sample.name == name and label in sample.labels:
                found[sample.labels[label]] += sample.value
        return dict(found)
