# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs commands and takes their time, processor time and memory."""

import dataclasses
import os
import subprocess
import tempfile
import threading
import time

_PATIENCE = 900  # seconds; what takes longer hangs


class BenchError(Exception):
    pass


@dataclasses.dataclass(frozen=True)
class Run:
    seconds: float
    cpu_seconds: float  # of all processors, with what the kernel did for it
    peak_bytes: int
    file_bytes: int = 0  # of what it made, where that is not a raw file


def run_process(command, log, output):
    """Waits for one process; returns what it used (getrusage). That of the children that it waited for is in it."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=log)
    brake = threading.Timer(_PATIENCE, process.kill)
    brake.start()
    try:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    finally:
        brake.cancel()
        if process.returncode is None:
            process.kill()
            process.wait()
    return process.returncode, usage


def run_tool(tool):
    with tempfile.TemporaryFile(mode="w+", encoding="utf-8", errors="replace") as log:
        peak = cpu = 0
        start = time.monotonic()
        for command in tool.steps:
            code, used = run_process(command, log, subprocess.DEVNULL if tool.discards_output else log)
            if code != 0:
                raise BenchError(f"{tool.name}: exit status {code}: {_end_of(log)}")
            peak = max(peak, used.ru_maxrss * 1024)
            cpu += used.ru_utime + used.ru_stime
        seconds = time.monotonic() - start
        if tool.output_clock:
            log.seek(0)
            seconds = tool.output_clock(log.read())
    return Run(seconds, cpu, peak)


def _end_of(log):
    log.seek(0)
    return " | ".join(log.read().strip().splitlines()[-3:])
