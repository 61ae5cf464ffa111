"""The dashboard, the alerts and docs/operating.md name what the service exposes; each alert fires when it should."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from prometheus import ALERTS, DASHBOARD, Offered, missing, offered, panels, rules

from service.core.session import SessionRules
from service.metrics import STATUSES, Metrics
from service.server.metrics_exchange import MetricsExchange
from service.stores.redis import RedisStore

OPERATING = (ALERTS.parents[1] / "operating.md").read_text()
NO_PROMTOOL = "NOT RUN: promtool on the alert rules – not on the PATH (Debian's package prometheus)"

# Series at rest, one value each 15 s: what a busy service shows that nobody has to be called for.
AT_REST = {
    "leaderboard_connections": "100x80",
    'leaderboard_worker_up{worker="0"}': "1x80",
    "leaderboard_degraded": "0x80",
    "leaderboard_redis_queue": "40x80",
    "leaderboard_redis_restores_total": "3x80",
    "leaderboard_background_failures_total": "0x80",
    'leaderboard_http_requests_total{method="GET",code="500"}': "1x80",
    'leaderboard_http_requests_total{method="POST",code="401"}': "0+1x80",
    'leaderboard_update_to_board_seconds_bucket{le="0.1"}': "0+100x80",
    'leaderboard_update_to_board_seconds_bucket{le="5"}': "0+100x80",
    'leaderboard_update_to_board_seconds_bucket{le="+Inf"}': "0+100x80",
    'leaderboard_loop_lag_seconds_bucket{le="0.01"}': "0+150x80",
    'leaderboard_loop_lag_seconds_bucket{le="2.5"}': "0+150x80",
    'leaderboard_loop_lag_seconds_bucket{le="+Inf"}': "0+150x80",
    'leaderboard_connections_closed_total{closed_by="client",code="1006"}': "0+100x80",
    'leaderboard_connections_closed_total{closed_by="client",code="other"}': "0+100x80",
    'leaderboard_connections_closed_total{closed_by="server",code="4503"}': "5x80",
    'leaderboard_connections_closed_total{closed_by="server",code="4408"}': "0+1x80",
    'leaderboard_connections_closed_total{closed_by="server",code="4429"}': "0+1x80",
    'leaderboard_handshakes_refused_total{reason="origin"}': "0+1x80",
    'leaderboard_handshakes_refused_total{reason="path"}': "0+100x80",
    "process_start_time_seconds": "1764000000x80",
    "process_open_fds": "200x80",
    "process_max_fds": "20000x80",
}
# What is different when an alert fires.
IN_TROUBLE = {
    "LeaderboardAbsent": dict.fromkeys(AT_REST, ""),
    "LeaderboardWorkerSilent": {'leaderboard_worker_up{worker="0"}': "1x10 0x70"},
    "LeaderboardRestarts": {"process_start_time_seconds": "1764000000+30x80"},
    "LeaderboardInternalErrors": {"leaderboard_background_failures_total": "0x50 1x30"},
    "LeaderboardDegraded": {"leaderboard_degraded": "0x50 1x30"},
    "LeaderboardRedisQueue": {"leaderboard_redis_queue": "1000+10x80"},
    "LeaderboardRedisLostData": {"leaderboard_redis_restores_total": "0x50 40x30"},
    "LeaderboardSlowBoards": {'leaderboard_update_to_board_seconds_bucket{le="0.1"}': "0+97x80"},
    "LeaderboardLoopLag": {'leaderboard_loop_lag_seconds_bucket{le="0.01"}': "0+140x80"},
    "LeaderboardFull": {'leaderboard_connections_closed_total{closed_by="server",code="4503"}': "5x65 6x15"},
    "LeaderboardSlowReaders": {'leaderboard_connections_closed_total{closed_by="server",code="4408"}': "0+30x80"},
    "LeaderboardMisbehavingClients": {
        'leaderboard_connections_closed_total{closed_by="server",code="4429"}': "0+30x80"
    },
    "LeaderboardHandshakesRefused": {'leaderboard_handshakes_refused_total{reason="origin"}': "0+30x80"},
    "LeaderboardWrongTokens": {'leaderboard_http_requests_total{method="POST",code="401"}': "0+30x80"},
    "LeaderboardFewFilesLeft": {"process_open_fds": "19000x80"},
}


@pytest.fixture
async def page(tmp_path: Path) -> Offered:
    """The page of a worker of several, over Redis."""
    metrics = Metrics()
    RedisStore("redis://127.0.0.1:1", rules=SessionRules(), metrics=metrics)
    exchange = MetricsExchange(metrics.page, workers=2, folder=lambda: tmp_path / "workers")
    await exchange.start()
    found = offered((await exchange.page()).decode())
    await exchange.stop()
    found["leaderboard_http_requests_total"]["code"] |= set(map(str, STATUSES))  # each appears with its first answer
    return found


def test_the_alerts_name_what_the_service_exposes(page: Offered) -> None:
    """Each metric, label and value in a rule exists."""
    assert missing(rules().values(), page) == []


def test_the_dashboard_names_what_the_service_exposes(page: Offered) -> None:
    """Each metric, label and value in a panel exists."""
    assert missing((expr for exprs in panels().values() for expr in exprs), page) == []


@pytest.mark.parametrize(
    ("expression", "fault"),
    [
        ("rate(leaderboard_bords_total[5m]) > 0", "no metric leaderboard_bords_total"),
        (
            'sum by (job) (leaderboard_errors_sent_total{kind="limit"})',
            "no label kind of leaderboard_errors_sent_total",
        ),
        ('leaderboard_errors_sent_total{code=~"limit|lmit"}', "no code=lmit of leaderboard_errors_sent_total"),
        ("up and on (job) leaderboard_users", "no metric up"),
    ],
)
def test_a_wrong_name_in_an_expression_is_found(page: Offered, expression: str, fault: str) -> None:
    """A metric, a label or a value that does not exist is reported."""
    assert missing([expression], page) == [fault]


def test_operating_explains_every_metric(page: Offered) -> None:
    """The table of metrics has each one of the service's own, and no other."""
    own = {re.sub(r"_(bucket|sum|count)$", "", name) for name in page if name.startswith("leaderboard_")}
    assert set(re.findall(r"^\| `(leaderboard_\w+)", OPERATING, re.MULTILINE)) == own


def test_operating_explains_every_alert() -> None:
    """The table of alerts has each rule, and the rules are in its order."""
    assert re.findall(r"^\| `(Leaderboard\w+)", OPERATING, re.MULTILINE) == list(rules())


def test_each_panel_of_the_dashboard_has_its_own_place() -> None:
    """No two panels share an id or overlap, and each is within the 24 columns of Grafana."""
    found = json.loads(DASHBOARD.read_text())["panels"]
    assert len({panel["id"] for panel in found}) == len(found)
    places = [panel["gridPos"] for panel in found]
    cells = [
        (x, y) for at in places for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert all(at["x"] + at["w"] <= 24 for at in places)


def test_each_alert_has_a_case_in_which_it_fires() -> None:
    """No rule goes untested."""
    assert list(IN_TROUBLE) == list(rules())


@pytest.fixture
def promtool() -> str:
    """Prometheus' own checker, else a loud skip."""
    found = shutil.which("promtool")
    if found is None:
        pytest.skip(NO_PROMTOOL)
    return found


@pytest.mark.starts_process
def test_prometheus_accepts_the_rules_and_the_dashboards_expressions(promtool: str, tmp_path: Path) -> None:
    """Both are valid PromQL; what Grafana fills in stands for itself here."""
    filled = [
        re.sub(r"\$__rate_interval", "5m", expr).replace('"$job"', '".*"').replace('"$instance"', '".*"')
        for exprs in panels().values()
        for expr in exprs
    ]
    recording = [{"record": f"panel:{number}", "expr": expr} for number, expr in enumerate(filled)]
    file = tmp_path / "panels.yml"
    file.write_text(json.dumps({"groups": [{"name": "panels", "rules": recording}]}))
    run(promtool, "check", "rules", "--lint-fatal", ALERTS)
    run(promtool, "check", "rules", file)


@pytest.mark.starts_process
def test_each_alert_fires_when_it_should_and_at_no_other_time(promtool: str, tmp_path: Path) -> None:
    """At rest none fires; in the trouble that it is for, each one fires, and no other."""
    cases = {"nothing": {}, **IN_TROUBLE}
    file = tmp_path / "cases.yml"
    file.write_text(
        json.dumps(
            {
                "rule_files": [str(ALERTS)],
                "evaluation_interval": "1m",
                "tests": [case(alert, AT_REST | changed) for alert, changed in cases.items()],
            }
        )
    )
    run(promtool, "test", "rules", file)


def case(alert: str, series: dict[str, str]) -> dict[str, object]:
    """A case of `promtool test rules`: which alerts fire after 20 minutes."""
    fires = [{"labels": f'{{alertname="{alert}"}}', "value": 1}] if alert in IN_TROUBLE else []
    return {
        "name": alert,
        "interval": "15s",
        "input_series": [{"series": name, "values": values} for name, values in series.items() if values],
        "promql_expr_test": [
            {
                "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
                "eval_time": "20m",
                "exp_samples": fires,
            }
        ],
    }


def run(*command: object) -> None:
    ended = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
