"""``python -m bench``: what recording costs, against plain mitmdump that only streams; or what tracing adds to it.

Where LiteLLM's proxy is installed (see :mod:`bench.litellm`) it takes part in the same rounds, with its logging on.

Exit status 0 when everything was answered and stored, whatever the figures say; 1 when something was
lost, failed or could not be measured; 2 for wrong usage.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from pathlib import Path

from bench import litellm, machine
from bench.proxies import BenchError
from bench.report import as_json, summarize, table
from bench.rounds import Laboratory, Plan

HERE = Path(__file__).parent
DEFAULT = ("json", "json-no-ids", "sse50", "sse1000", "eventstream", "socket", "300k", "2m", "paced")
NOT_QUICK = ("eventstream", "socket")
"""Left out of ``--quick`` where they are not named."""
EXTRA = ("300k-no-ids",)
HOOKS = ("json", "sse50", "sse1000", "300k")
TRACING = {"requests": 0.95}
"""What tracing may cost of the throughput with recording."""
QUIET = 0.15
"""Cores that others may use before a comparison of a few per cent means nothing."""


def _plan() -> tuple[Plan, Path]:
    """What the command line asks for, and where the JSON goes. Exits with status 2 for wrong usage."""
    parser = argparse.ArgumentParser("python -m bench", description="Measure the recorder against plain mitmdump.")
    parser.add_argument("--rounds", type=int, help="how often each case visits each variant (default 8; --quick 2)")
    parser.add_argument(
        "--only",
        metavar="NAMES",
        help=f"comma-separated: {', '.join((*DEFAULT, *EXTRA, 'many', 'hooks'))} (the default is all but {EXTRA[0]})",
    )
    parser.add_argument(
        "--quick", action="store_true", help="a look within a minute: short slices, fewer cases, 100 slow streams"
    )
    parser.add_argument("--control", action="store_true", help="plain against plain: what the machine's noise makes")
    parser.add_argument("--tracing", action="store_true", help="recording with traces against recording without")
    parser.add_argument(
        "--litellm",
        type=Path,
        metavar="VENV",
        help=f"where LiteLLM's proxy is installed, if not in .venv-litellm; to make that: {litellm.HOW}",
    )
    parser.add_argument("--no-litellm", action="store_true", help="leave LiteLLM's proxy out")
    parser.add_argument("--addon", type=Path, default=HERE.parent / "addon", help="the addon to measure")
    parser.add_argument("-o", "--output", type=Path, default=HERE / "results.json", help="where the JSON goes")
    arguments = parser.parse_args()
    default = [name for name in (*DEFAULT, "many", "hooks") if not (arguments.quick and name in NOT_QUICK)]
    names = arguments.only.split(",") if arguments.only else default
    if unknown := [name for name in names if name not in (*DEFAULT, *EXTRA, "many", "hooks")]:
        parser.error(f"--only knows no {unknown[0]!r}")
    if arguments.control and arguments.tracing:
        parser.error("--control and --tracing are two comparisons: give one")
    if not arguments.addon.is_file():
        parser.error(f"there is no addon at {arguments.addon}")
    gateway = None
    if not (arguments.no_litellm or arguments.control or arguments.tracing) and set(names) & set(litellm.CASES):
        try:
            gateway = litellm.found(arguments.litellm)
        except FileNotFoundError as error:
            parser.error(str(error))
        if gateway is None:
            print(f"without LiteLLM's proxy; to have it compared, too: {litellm.HOW}", file=sys.stderr)
    quick = arguments.quick
    rounds = arguments.rounds or (2 if quick else 8)
    plan = Plan(
        addon=arguments.addon.resolve(),
        rounds=max(1, rounds),
        seconds=0.25 if quick else 0.8,
        cases=tuple(name for name in (*DEFAULT, *EXTRA) if name in names),
        crowd=("many-quick" if quick else "many") if "many" in names else None,
        alone=0.3 if quick else 1.0,
        hooks=(HOOKS[:2] if quick else HOOKS)
        if "hooks" in names and not (arguments.control or arguments.tracing)
        else (),
        hook_requests=1.0 if quick else 2.0,
        control=arguments.control,
        tracing=arguments.tracing,
        litellm=gateway,
    )
    return plan, arguments.output


def _header(about: dict[str, object], plan: Plan) -> str:
    where = (
        "mitmdump on one core; load, upstream and the recorder process on another"
        if about["pinned"]
        else "processes not pinned"
    )
    foreign = about["foreign_load"]
    noise = ": too much to trust small differences" if isinstance(foreign, float) and foreign > QUIET else ""
    return (
        f"{about['cpus']} CPUs ({about['processor']}), load average {about['load_average']}, {where}\n"
        f"Python {about['python']}, mitmproxy {about['mitmproxy']}, peewee {about['peewee']}, "
        f"msgspec {about['msgspec']}; {plan.rounds} rounds\n"
        f"others used {about['foreign_load']} of a core meanwhile{noise}\n"
    )


def main() -> int:
    plan, output = _plan()
    machine.raise_file_limit()
    about = machine.describe()
    start = time.monotonic()

    def say(what: str) -> None:
        print(f"{time.monotonic() - start:5.0f} s  {what}", file=sys.stderr, flush=True)

    # Ended from outside, the proxies must not stay behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    busy, own = machine.busy_seconds(), machine.own_seconds()
    try:
        with Laboratory(plan, say) as laboratory:
            if plan.cases:
                laboratory.rounds()
            laboratory.crowd()
            laboratory.hooks()
            laboratory.traced()
            measured = laboratory.measured
            first, second = (variant.name for variant in laboratory.variants)
    except (BenchError, EOFError) as error:
        print(f"bench: {error or 'the load generator ended'}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    # Valid now that all children have ended.
    seconds = time.monotonic() - start
    foreign = (machine.busy_seconds() - busy) - (machine.own_seconds() - own)
    about["foreign_load"] = round(max(0.0, foreign) / seconds, 3) if busy else None
    summary = summarize(measured, (first, second), TRACING if plan.tracing else None)
    print(_header(about, plan))
    print(table(summary, measured))
    result = {"machine": about, "seconds": round(seconds), **as_json(summary, measured)}
    output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(f"\nwritten to {output}")
    return 1 if summary.problems else 0


if __name__ == "__main__":
    sys.exit(main())
