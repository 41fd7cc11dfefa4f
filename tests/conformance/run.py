"""Runs Autobahn's cases between kosoku, which fuzzes, and the echo in echo.cjs.

run.py SHAPE CASES PARALLEL LIMIT

SHAPE     dials: the fuzzer dials the echo; serves: the echo dials the fuzzer; meets: both dial somebody
CASES     ids and globs, with commas between them
PARALLEL  how many cases at once
LIMIT     seconds that a case may take

Every line on standard output is JSON. The first one says what was selected and the port of the one that listens. Then
a line is read with what to dial: {"fuzzer": URL, "echo": URL}, of which `serves` and `dials` take one; `{case}` in it
becomes the id of the case. Every result is a line, and `serves` has one of progress for each case before.
"""

import asyncio
import json
import os
import sys
from fnmatch import fnmatchcase
from itertools import count
from pathlib import Path

from kosoku import FailureError, run_fuzzingclient, run_fuzzingserver
from kosoku.cases import CASES

HERE = Path(__file__).parent


def say(**line):
    print(json.dumps(line), flush=True)


def say_result(result):
    code, reason = result.remote_close_code, result.remote_close_reason
    closed = f"its Close: {code} {reason or ''}".rstrip() if code else "no Close with a code"
    said = " / ".join(part for part in (result.result, result.result_close, closed) if part)
    say(case=result.case_id, behavior=result.behavior.value, closing=result.behavior_close.value, said=said)


def say_failed(case, said):
    say(case=case, behavior="ERROR", closing="FAILED", said=said)


class Echo:
    """The process with the echo."""

    async def start(self):
        self.process = await asyncio.create_subprocess_exec(
            "node", HERE / "echo.cjs", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        first = await self.process.stdout.readline()
        if not first:
            sys.exit("the echo did not start")
        self.port = int(first.split()[1])
        self.numbers = count()
        self.waiting = {}
        self.reader = asyncio.create_task(self.read())
        return self

    async def read(self):
        async for line in self.process.stdout:
            event, number = line.decode().split()
            opened, closed = self.waiting[int(number)]
            if not opened.done():
                opened.set_result(event == "open")
            if event == "closed":
                closed.set_result(None)
        # Nobody is left to talk to; what has no result yet will get none.
        print("the echo is gone", file=sys.stderr)
        os._exit(1)

    def tell(self, *words):
        self.process.stdin.write((" ".join(map(str, words)) + "\n").encode())

    def dial(self, url):
        """Its number, and two futures: whether it was opened, and its end."""
        number, loop = next(self.numbers), asyncio.get_running_loop()
        self.waiting[number] = loop.create_future(), loop.create_future()
        self.tell("dial", number, url)
        return number, *self.waiting[number]


async def fuzz(case, url, limit):
    try:
        results = await asyncio.wait_for(run_fuzzingclient(url, [case]), limit)
    except FailureError as failure:
        results = failure.results
    except asyncio.TimeoutError:  # not TimeoutError before Python 3.11
        return say_failed(case, f"the case was not over after {limit} s")
    for result in results:
        say_result(result)


async def dials(cases, parallel, limit):
    echo = await Echo().start()
    say(selected=cases, port=echo.port)
    url = json.loads(sys.stdin.readline())["fuzzer"]
    free = asyncio.Semaphore(parallel)

    async def run(case):
        async with free:
            await fuzz(case, url.format(case=case), limit)

    await asyncio.gather(*map(run, cases))


async def meets(cases, parallel, limit):
    echo = await Echo().start()
    say(selected=cases, port=None)
    urls = json.loads(sys.stdin.readline())
    free = asyncio.Semaphore(parallel)

    async def run(case):
        async with free:
            number, opened, closed = echo.dial(urls["echo"].format(case=case))
            if not await opened:
                return say_failed(case, "the echo was refused")
            await fuzz(case, urls["fuzzer"].format(case=case), limit)
            done, _ = await asyncio.wait([closed], timeout=limit)
            if not done:
                echo.tell("cut", number)
                say_failed(case, f"the echo was not told of the end within {limit} s")

    await asyncio.gather(*map(run, cases))


async def serves(cases, parallel, limit):
    echo = await Echo().start()
    async with run_fuzzingserver(cases, port=0) as fuzzer:
        say(selected=cases, port=fuzzer.port)
        url = json.loads(sys.stdin.readline())["echo"]
        free = asyncio.Semaphore(parallel)
        late = set()

        async def run(index, case):
            async with free:
                number, _, closed = echo.dial(f"{url.format(case=case)}?case={index}&agent=echo")
                done, _ = await asyncio.wait([closed], timeout=limit)
                if not done:
                    echo.tell("cut", number)
                    late.add(case)
                say(over=case)

        await asyncio.gather(*(run(index, case) for index, case in enumerate(cases, 1)))
        # This is how the fuzzer learns that no more will come.
        echo.dial(f"ws://127.0.0.1:{fuzzer.port}/updateReports")
        try:
            results = await asyncio.wait_for(fuzzer.get_result(), limit)
        except FailureError as failure:
            results = failure.results
        for result in results:
            if result.case_id not in late:
                say_result(result)
        for case in late:
            say_failed(case, f"the case was not over after {limit} s")


async def main():
    shape, patterns, parallel, limit = sys.argv[1:]
    patterns = patterns.split(",")
    cases = [case for case in CASES if any(fnmatchcase(case, pattern) for pattern in patterns)]
    if not cases:
        sys.exit(f"there is no case {','.join(patterns)}")
    shapes = {"dials": dials, "serves": serves, "meets": meets}
    await shapes[shape](cases, int(parallel), int(limit))
    # At once: kosoku's threads do not always survive the interpreter's end.
    os._exit(0)


asyncio.run(main())
