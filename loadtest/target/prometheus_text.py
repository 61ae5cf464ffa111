"""The page of metrics that a server shows to Prometheus."""

from __future__ import annotations

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
        """The sample of this name that has no labels. Raises KeyError."""
        return {sample.name: sample.value for sample in self.all if not sample.labels}[name]

    def by(self, name: str, label: str) -> dict[str, float]:
        """The samples of this name that have this label, by its value."""
        return {
            sample.labels[label]: sample.value for sample in self.all if sample.name == name and label in sample.labels
        }
