# SPDX-License-Identifier: LGPL-2.1-or-later
"""From runs to medians, ratios, verdicts and tables."""

import json
import os
import platform
import shlex
import statistics
import subprocess
import sys

import cases
import tools

MEMORY_LIMIT = 200 << 20
NOTES = (
    "Times are of whole processes; of rados bench, its own. A ratio is the median over the rounds of peer / vmferry in "
    "the same round, so more than 1 means that vmferry was faster; the best peer is the one with the smallest ratio.",
    "as it is: the peer as people run it, which leaves a file's data in memory, to be written some time later. "
    "durable: what is done will survive a power cut: for files the peer followed by sync FILE (vmferry itself always "
    "does an fsync before it names its file), for volumes the peer itself, since Ceph acknowledges what it has written.",
)


def say(text):
    print(text, file=sys.stderr, flush=True)


class Result:
    """All runs of one case, in rounds."""

    def __init__(self, case):
        self.case = case
        self.tools = {}
        self.runs = {}
        self.size = 0  # of the guest's disk
        self.error = None

    @property
    def complete(self):
        return bool(self.runs) and not self.error

    def add(self, tool, run):
        self.tools[tool.name] = tool
        self.runs.setdefault(tool.name, []).append(run)

    def median(self, name):
        return statistics.median(run.seconds for run in self.runs[name])

    def ratio(self, name):
        pairs = zip(self.runs[name], self.runs[tools.VMFERRY])
        return statistics.median(peer.seconds / own.seconds for peer, own in pairs)

    def peak(self):
        return max((run.peak_bytes for run in self.runs.get(tools.VMFERRY, ())), default=0)

    def best_peer(self, durable):
        peers = [name for name, tool in self.tools.items()
                 if tool.durable == durable and name not in (tools.VMFERRY, tools.RADOS_BENCH)]
        return min(peers, key=self.ratio, default=None)

    def verdicts(self):
        """What became of the expectation: pairs of what was looked at, and pass or short."""
        expect = self.case.expect
        if not self.complete:
            return [("", "failed")]
        if isinstance(expect, cases.Within):
            return [("", _verdict(self.median(tools.VMFERRY) < expect.seconds))]
        if isinstance(expect, cases.OfRadosBench):
            return [("", _verdict(self.ratio(tools.RADOS_BENCH) >= expect.ratio))]
        if expect is None:
            return []
        peers = [("durable", self.best_peer(True)), ("as it is", self.best_peer(False))]
        judged = [(kind, _verdict(self.ratio(name) >= expect.ratio)) for kind, name in peers if name]
        return [("", judged[0][1])] if len(judged) == 1 else judged


def _verdict(passed):
    return "pass" if passed else "short"


# ---- tables --------------------------------------------------------------------------------------------------------

SUMMARY_HEAD = ("case", "vmferry", "best peer, durable", "ratio", "best peer, as it is", "ratio", "expected", "verdict")
DETAIL_HEAD = ("case", "tool", "durable", "median", "fastest", "slowest", "ratio", "peak MiB", "MB/s")


def _summary_row(result):
    row = [result.case.name]
    if result.complete:
        row.append(_seconds(result.median(tools.VMFERRY)))
        for durable in (True, False):
            name = result.best_peer(durable)
            row += [f"{name}: {_seconds(result.median(name))}", f"{result.ratio(name):.2f}"] if name else ["-", "-"]
    else:
        row += ["-"] * 5
    return row + [_expected(result), _verdict_text(result)]


def _expected(result):
    expect = result.case.expect
    if isinstance(expect, cases.OfRadosBench) and result.complete:
        return f"{expect}: {result.ratio(tools.RADOS_BENCH):.2f}"
    return str(expect) if expect else "-"


def _verdict_text(result):
    verdicts = result.verdicts()
    if len({verdict for _, verdict in verdicts}) == 1:
        return verdicts[0][1]
    return ", ".join(f"{verdict} ({kind})" for kind, verdict in verdicts) or "-"


def _memory(results):
    """The largest peak of vmferry in any run, and what to say of it. The timer's own few MiB are within it."""
    peak = max((result.peak() for result in results), default=0)
    return peak, _verdict(peak < MEMORY_LIMIT) if peak else "failed"


def _memory_row(results):
    peak, verdict = _memory(results)
    return ["peak memory", f"{peak / (1 << 20):.0f} MiB", "-", "-", "-", "-", f"< {MEMORY_LIMIT >> 20} MiB", verdict]


def _detail_rows(result):
    for name, tool in result.tools.items():
        times = [run.seconds for run in result.runs[name]]
        median = result.median(name)
        peak = max(run.peak_bytes for run in result.runs[name])
        # Where there are holes, bytes per second would say nothing.
        rate = f"{result.size / median / 1e6:.0f}" if result.case.image == "dense.raw" else "-"
        yield [result.case.name, name, "yes" if tool.durable else "no", _seconds(median), _seconds(min(times)),
               _seconds(max(times)), "-" if name == tools.VMFERRY else f"{result.ratio(name):.2f}", f"{peak / (1 << 20):.0f}",
               rate]


def _tables(results):
    summary = [_summary_row(result) for result in results] + [_memory_row(results)]
    details = [row for result in results if result.complete for row in _detail_rows(result)]
    return (("Summary", SUMMARY_HEAD, summary), ("All tools", DETAIL_HEAD, details))


def _seconds(value):
    return f"{value:.2f} s"


def _aligned(head, rows):
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in (head, *rows)]
    return [lines[0], "-" * max(map(len, lines)), *lines[1:]]


def _failures(results):
    return [f"{result.case.name} failed: {result.error}" for result in results if result.error]


def as_text(results, about):
    lines = []
    for title, head, rows in _tables(results):
        lines += ["", f"== {title}", "", *_aligned(head, rows)]
    lines += ["", *NOTES, "", *(f"{key}: {value}" for key, value in about.items()), *_failures(results)]
    return "\n".join(lines)


def as_markdown(results, about):
    lines = []
    for title, head, rows in _tables(results):
        lines += [f"## {title}", "", f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
        lines += [f"| {' | '.join(row)} |" for row in rows] + [""]
    lines += [line for note in NOTES for line in (note, "")]
    lines += [f"- {key}: {value}" for key, value in about.items()]
    lines += [f"- {failure}" for failure in _failures(results)]
    return "\n".join(lines) + "\n"


def as_json(results, about):
    peak, verdict = _memory(results)
    document = {
        "about": about,
        "memory": {"peak_bytes": peak, "limit_bytes": MEMORY_LIMIT, "verdict": verdict},
        "cases": [_case_document(result) for result in results],
    }
    return json.dumps(document, indent=2) + "\n"


def _command_text(step):
    """Without the directories of the machine it ran on."""
    return shlex.join(word.rsplit("/", 1)[-1] if word.startswith("/") else word for word in step)


def _case_document(result):
    case = result.case
    document = {"name": case.name, "title": case.title, "cold": case.cold, "error": result.error,
                "expected": str(case.expect) if case.expect else None, "tools": []}
    if result.complete:
        document["verdicts"] = [{"against": kind or None, "verdict": verdict} for kind, verdict in result.verdicts()]
        document["best_durable_peer"] = result.best_peer(True)
        document["best_peer_as_it_is"] = result.best_peer(False)
        for name, tool in result.tools.items():
            document["tools"].append({
                "name": name, "durable": tool.durable, "commands": [_command_text(step) for step in tool.steps],
                "seconds": [run.seconds for run in result.runs[name]],
                "peak_bytes": [run.peak_bytes for run in result.runs[name]],
                "median_seconds": result.median(name), "ratio": result.ratio(name)})
    return document


# ---- where it ran --------------------------------------------------------------------------------------------------

def _first_line(*command):
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
    except OSError:
        return "unknown"
    return done.stdout.splitlines()[0] if done.returncode == 0 and done.stdout else "unknown"


def _processor():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.machine()


def about_machine(vmferry, rounds, dense_mib):
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "rounds": rounds,
        "machine": f"{_processor()}, {len(os.sched_getaffinity(0))} cores, {memory / (1 << 30):.0f} GiB of memory",
        "kernel": platform.release(),
        "vmferry": _first_line(vmferry, "--version"),
        "qemu-img": _first_line("qemu-img", "--version"),
        "nbdcopy": _first_line("nbdcopy", "--version"),
        "ceph": _first_line("rbd", "--version"),
        "dense image": f"{dense_mib} MiB",
    }
