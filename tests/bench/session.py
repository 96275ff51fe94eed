# SPDX-License-Identifier: LGPL-2.1-or-later
"""The rounds of one case: every tool once, then every tool again."""

import contextlib
import dataclasses

import cases
import measure
import report
import tools
import world


class Session:
    def __init__(self, toolbox, target, images, web):
        self._toolbox = toolbox
        self._web = web
        self._target = target
        self._images = images
        self._checked = set()

    def run_case(self, case, result, rounds):
        source = self._images / case.image
        with contextlib.ExitStack() as stack:
            if case.written:
                source = stack.enter_context(world.written_anew(source))
            elif not case.cold and case.source != cases.RBD:
                self._warm_up(case)
            name = str(source)
            if case.source == cases.RBD:
                name = self._target.imported(source)
            elif case.source == cases.WEB:
                name = f"{self._web}/{source.name}"
            elif case.source == cases.NBD:
                name = stack.enter_context(world.served(source, case.format, self._target.path.parent))
            self._run_rounds(case, name, result, rounds)

    def _warm_up(self, case):
        for name in filter(None, (case.image, case.other)):
            if not world.is_all_hole(self._images / name):
                world.warm_up(self._images / name)

    def _run_rounds(self, case, source, result, rounds):
        result.size = (self._images / case.reference).stat().st_size
        competitors = self._toolbox.tools_for(case, source, result.size)
        result.tools = {tool.name: tool for tool in competitors}
        if case.action == "map":
            world.check_same_output([tool.steps[0] for tool in competitors])
        try:
            for number in range(1, rounds + 1):
                first = (number - 1) % len(competitors)  # none is always the first
                for tool in competitors[first:] + competitors[:first]:
                    run = self._run_once(case, tool, is_first=number == 1)
                    result.runs.setdefault(tool.name, []).append(run)
                    report.say(f"  round {number}/{rounds}  {tool.name:26} {run.seconds:8.3f} s")
        finally:
            if case.target != cases.NOTHING:
                self._target.remove(case.makes_volume)

    def _run_once(self, case, tool, is_first):
        if case.target != cases.NOTHING:
            self._target.remove(case.makes_volume)
        for command in tool.before:
            world.must(*command)
        world.settle(case.cold)
        run = measure.run_tool(tool)
        if case.makes != "raw":
            run = dataclasses.replace(run, file_bytes=self._target.allocated())
        if tool.name == tools.RADOS_BENCH:
            self._target.remove_bench_objects()
        elif tool.makes_target and is_first:
            self._check(case, tool)
        return run

    def _check(self, case, tool):
        """Once for every command, since a check takes longer than the run; for vmferry in every case."""
        if tool.name != tools.VMFERRY and tool.steps[0] in self._checked:
            return
        try:
            self._target.check(case, self._images / case.reference)
        except measure.BenchError as error:
            raise measure.BenchError(f"{tool.name}: {error}") from None
        self._checked.add(tool.steps[0])
