"""Chromium's own trace of a page, taken over its debugging port."""
import asyncio
import contextlib
import json
import threading
import urllib.request

import websockets

CATEGORIES = ("toplevel",)  # whole tasks only: each event that is traced costs the page time


class Trace:
    """`with Trace.of(driver) as trace: ...`; afterwards trace.events has the browser's events."""

    def __init__(self, driver):
        host = driver.capabilities["goog:chromeOptions"]["debuggerAddress"]
        with urllib.request.urlopen(f"http://{host}/json/version") as answer:
            self.address = json.load(answer)["webSocketDebuggerUrl"]
        self.events = []

    @classmethod
    @contextlib.contextmanager
    def of(cls, driver):
        trace = cls(driver)
        started, stop = threading.Event(), threading.Event()
        thread = threading.Thread(target=lambda: asyncio.run(trace._record(started, stop)))
        thread.start()
        assert started.wait(20), "the trace did not start"
        try:
            yield trace
        finally:
            stop.set()
            thread.join()

    async def _record(self, started, stop):
        async with websockets.connect(self.address, max_size=None, ping_interval=None) as browser:
            await browser.send(json.dumps({"id": 1, "method": "Tracing.start", "params": {
                "traceConfig": {"includedCategories": CATEGORIES},
                "transferMode": "ReportEvents"}}))
            while json.loads(await browser.recv()).get("id") != 1:
                pass
            started.set()
            await asyncio.get_running_loop().run_in_executor(None, stop.wait)
            await browser.send(json.dumps({"id": 2, "method": "Tracing.end"}))
            while True:
                message = json.loads(await browser.recv())
                if message.get("method") == "Tracing.dataCollected":
                    self.events += message["params"]["value"]
                elif message.get("method") == "Tracing.tracingComplete":
                    return

    def main_thread(self):
        """(pid, tid) of the page's main thread: the renderer that ran the page's scripts most."""
        names = {(e["pid"], e["tid"]) for e in self.events
                 if e.get("name") == "thread_name" and e["args"]["name"] == "CrRendererMain"}
        work = {name: 0 for name in names}
        for event in self.events:
            if event.get("ph") == "X" and (event["pid"], event["tid"]) in names:
                work[event["pid"], event["tid"]] += event.get("dur", 0)
        return max(work, key=work.get)

    def tasks(self):
        """(start, wall, cpu) in ms of each task of the page's main thread: whole tasks, not what
        is nested in them."""
        thread = self.main_thread()
        mine = [e for e in self.events if e.get("ph") == "X" and (e["pid"], e["tid"]) == thread
                and e["name"] in ("RunTask", "ThreadControllerImpl::RunTask")]
        tasks, end = [], 0
        for event in sorted(mine, key=lambda e: (e["ts"], -e.get("dur", 0))):
            if event["ts"] < end:
                continue
            end = event["ts"] + event.get("dur", 0)
            tasks.append((event["ts"] / 1e3, event.get("dur", 0) / 1e3, event.get("tdur")))
        return [(start, wall, wall if cpu is None else cpu / 1e3) for start, wall, cpu in tasks]
