"""Calls drawn by schemathesis from /openapi.json: each is answered as the document says, and never with a fault."""

from __future__ import annotations

import itertools
import time

import requests
import schemathesis
from fuzz.tally import Tally
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.control import SkipTest
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
PATIENCE = 20.0  # seconds for an answer


class Caller:
    """Draws calls, and makes them over one connection that is kept."""

    def __init__(self, tally: Tally, url: str, session: requests.Session) -> None:
        self._tally = tally
        self._url = url
        self._session = session

    def play(self, chosen: int, ends: float) -> None:
        """Share the calls that are wanted out among the operations, until `ends`, with right and with wrong values.

        Some operations have nothing that could vary, so their share goes to the others, in another round.
        """
        document = self._session.get(f"{self._url}/openapi.json", timeout=PATIENCE).json()
        operations = [result.ok() for result in schemathesis.openapi.from_dict(document).get_all_operations()]
        seeds = itertools.count(chosen)
        before = -1
        while before < self._tally.done < self._tally.wanted and time.monotonic() < ends:
            before = self._tally.done
            times = -(-(self._tally.wanted - before) // (len(operations) * len(GenerationMode)))
            for operation, mode in itertools.product(operations, GenerationMode):
                self._play_one(operation, mode, times, next(seeds))

    def _play_one(self, operation, mode: GenerationMode, times: int, chosen: int) -> None:
        @seed(chosen)
        @settings(
            max_examples=times,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=[*HealthCheck],
        )
        @given(operation.as_strategy(generation_mode=mode))
        def call(case) -> None:
            self._call(case)

        try:
            call()
        except (SkipTest, Unsatisfiable):
            self._tally.outcomes["nothing to draw"] += 1

    def _call(self, case) -> None:
        self._tally.done += 1
        try:
            response = case.call(base_url=self._url, session=self._session, timeout=PATIENCE)
            self._tally.outcomes[str(response.status_code)] += 1
            case.validate_response(response, checks=CHECKS)
        except FailureGroup as failures:
            what = "; ".join(" ".join(str(one).split()) for one in failures.exceptions)
            self._tally.find(self._tally.done, what, case.as_curl_command(base_url=self._url))
        except requests.RequestException as error:
            self._tally.find(
                self._tally.done, f"{type(error).__name__}: {error}", case.as_curl_command(base_url=self._url)
            )


def play(tally: Tally, url: str, chosen: int, ends: float) -> None:
    """Make all calls, drawn by the seed `chosen`, until `ends` (monotonic seconds) at most."""
    with requests.Session() as session:
        session.trust_env = False  # no proxy of a shell is between
        Caller(tally, url, session).play(chosen, ends)
