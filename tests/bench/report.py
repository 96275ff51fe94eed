# SPDX-License-Identifier: LGPL-2.1-or-later
"""From runs to medians, ratios, verdicts and tables."""

import dataclasses
import json
import os
import platform
import shlex
import statistics
import subprocess
import sys

import cases
import tools

NOTES = (
    "Times are of whole processes; of rados bench, its own. A ratio is the median over the rounds of vmferry / peer in "
    "the same round, so less than 1 means that vmferry was faster; the best peer is the one with the largest ratio. "
    "Processor time is what both processors spent, of vmferry and of qemu-img (the thriftier of its two runs), and not what "
    "an OSD or qemu-nbd spent for them.",
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
        self.tools = {}  # in the order of the tables
        self.runs = {}
        self.size = 0  # of the guest's disk
        self.error = None

    @property
    def complete(self):
        return bool(self.runs) and not self.error

    def median(self, name):
        return statistics.median(run.seconds for run in self.runs[name])

    def cpu(self, name):
        return statistics.median(run.cpu_seconds for run in self.runs[name])

    def ratio(self, name):
        pairs = zip(self.runs[tools.VMFERRY], self.runs[name])
        return statistics.median(own.seconds / peer.seconds for own, peer in pairs)

    def cpu_ratio(self):
        """Of qemu-img, the way that spends less; None where it did not run."""
        names = [name for name in self.runs if name.startswith("qemu-img") and not name.endswith("sync")]
        thrifty = min(names, key=self.cpu, default=None)
        if not thrifty or self.cpu(thrifty) == 0:
            return None
        return self.cpu(tools.VMFERRY) / self.cpu(thrifty)

    def size_ratio(self):
        """Of the smallest file of qemu-img's; None where no size is looked at."""
        sizes = {name: statistics.median(run.file_bytes for run in runs) for name, runs in self.runs.items()}
        peers = [size for name, size in sizes.items() if name.startswith("qemu-img")]
        return sizes[tools.VMFERRY] / min(peers) if peers and min(peers) > 0 else None

    def peak(self):
        return max((run.peak_bytes for run in self.runs.get(tools.VMFERRY, ())), default=0)

    def best_peer(self, durable):
        peers = [name for name, tool in self.tools.items()
                 if tool.durable == durable and name not in (tools.VMFERRY, tools.RADOS_BENCH)]
        return max(peers, key=self.ratio, default=None)

    def _judged(self):
        """Pairs of what was measured, and the most that it may be."""
        limits = self.case.limits
        for kind, limit, name in (("durable", limits.durable, self.best_peer(True)),
                                  ("as it is", limits.as_is, self.best_peer(False))):
            if limit is not None and name:
                yield kind, self.ratio(name), limit
        if limits.cpu is not None and self.cpu_ratio() is not None:
            yield "processor", self.cpu_ratio(), limits.cpu
        if limits.rados is not None:
            yield "rados bench", self.ratio(tools.RADOS_BENCH), limits.rados
        if limits.seconds is not None:
            yield "seconds", self.median(tools.VMFERRY), limits.seconds
        if limits.size is not None and self.size_ratio() is not None:
            yield "size", self.size_ratio(), limits.size
        if self.case.target in cases.MEMORY:
            yield "memory", self.peak(), cases.MEMORY[self.case.target]

    def verdicts(self):
        """What became of the expectations: what was looked at, and pass or short."""
        if not self.complete:
            return {"": "failed"}
        return {kind: "pass" if value <= limit else "short" for kind, value, limit in self._judged()}


# ---- tables --------------------------------------------------------------------------------------------------------

SUMMARY_HEAD = ("case", "vmferry", "best peer, durable", "ratio", "best peer, as it is", "ratio", "processor", "of qemu-img's",
                "peak MiB", "expected", "verdict")
DETAIL_HEAD = ("case", "tool", "durable", "median", "fastest", "slowest", "ratio", "processor", "peak MiB", "MB/s")


def _summary_row(result):
    row = [result.case.title]
    if not result.complete:
        return row + ["-"] * 8 + [str(result.case.limits), _verdict_text(result)]
    row.append(_seconds(result.median(tools.VMFERRY)))
    for durable in (True, False):
        name = result.best_peer(durable)
        row += [f"{name}: {_seconds(result.median(name))}", f"{result.ratio(name):.2f}"] if name else ["-", "-"]
    cpu = result.cpu_ratio()
    row += [_seconds(result.cpu(tools.VMFERRY)), "-" if cpu is None else f"{cpu:.2f}", f"{result.peak() >> 20}"]
    return row + [str(result.case.limits), _verdict_text(result)]


def _verdict_text(result):
    verdicts = result.verdicts()
    short = [kind for kind, verdict in verdicts.items() if verdict != "pass"]
    if short == [""]:
        return "failed"
    return f"short: {', '.join(short)}" if short else "pass" if verdicts else "-"


def _detail_rows(result):
    for name, tool in result.tools.items():
        times = [run.seconds for run in result.runs[name]]
        median = result.median(name)
        peak = max(run.peak_bytes for run in result.runs[name])
        # Where there are holes, bytes per second would say nothing.
        rate = f"{result.size / median / 1e6:.0f}" if result.case.image == "dense.raw" else "-"
        yield [result.case.name, name, "yes" if tool.durable else "no", _seconds(median), _seconds(min(times)),
               _seconds(max(times)), "-" if name == tools.VMFERRY else f"{result.ratio(name):.2f}",
               _seconds(result.cpu(name)), f"{peak >> 20}", rate]


def _tables(results):
    details = [row for result in results if result.complete for row in _detail_rows(result)]
    return (("Summary", SUMMARY_HEAD, [_summary_row(result) for result in results]), ("All tools", DETAIL_HEAD, details))


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
    return json.dumps({"about": about, "cases": [_case_document(result) for result in results]}, indent=2) + "\n"


def _command_text(step):
    """Without the directories of the machine it ran on."""
    return shlex.join(word.rsplit("/", 1)[-1] if word.startswith("/") else word for word in step)


def _case_document(result):
    case = result.case
    document = {"name": case.name, "title": case.title, "cold": case.cold, "error": result.error,
                "expected": {key: value for key, value in dataclasses.asdict(case.limits).items() if value is not None},
                "verdicts": result.verdicts(), "tools": []}
    if result.complete:
        document["best_durable_peer"] = result.best_peer(True)
        document["best_peer_as_it_is"] = result.best_peer(False)
        document["cpu_ratio"] = result.cpu_ratio()
        document["size_ratio"] = result.size_ratio()
        for name, tool in result.tools.items():
            document["tools"].append({
                "name": name, "durable": tool.durable, "commands": [_command_text(step) for step in tool.steps],
                "seconds": [run.seconds for run in result.runs[name]],
                "cpu_seconds": [run.cpu_seconds for run in result.runs[name]],
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
