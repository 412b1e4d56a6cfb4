"""kill -9 while batches are logged: what ended more than 250 ms before must be in the database."""
import asyncio
import os
import random
import sqlite3
import time

import websockets
from client import connect
from conftest import Service

ROUNDS = 100 if os.environ.get("HYDRAGLOT_LONG") else 3
PROMISED_S = 0.25
TARGETS = ["de", "ja", "sv"]


async def translate_until_killed(server, ended, kill_after_s):
    """Sentence after sentence on one connection; notes when each batch.done came."""
    killed = []

    def kill():
        killed.append(time.monotonic())
        server.process.kill()

    try:
        async with connect(server) as client:
            asyncio.get_running_loop().call_later(kill_after_s, kill)
            for n in range(1_000_000):
                events = await client.translate(
                    f"s{n}", 1, f"{n}. Hello there.", TARGETS, source="en", final=True
                )
                ended.append((time.monotonic(), events[-1]["batch"]))
    except (websockets.ConnectionClosed, OSError):
        pass
    return killed[0]


def check_database(data, must):
    database = sqlite3.connect(f"{data}/hydraglot.db")
    try:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []
        lanes = dict(
            database.execute("SELECT batch_id, count(*) FROM lane GROUP BY batch_id").fetchall()
        )
        for (id,) in database.execute("SELECT id FROM batch").fetchall():
            assert lanes[id] == len(TARGETS), "a batch is there with all its lanes or not at all"
        missing = [id for id in must if id not in lanes]
        assert not missing, f"lost although older than {PROMISED_S} s: {missing}"
        return set(lanes)
    finally:
        database.close()


def test_kill_during_batches(request, tmp_path):
    binary = request.config.getoption("--binary")
    dice = random.Random(20260131)
    logged = set()
    promised = 0
    for _ in range(ROUNDS):
        server = Service(binary, tmp_path)
        try:
            server.wait_ready()
            ended = []
            killed = asyncio.run(
                translate_until_killed(server, ended, dice.uniform(0.4, 1.2))
            )
        finally:
            server.process.kill()
            server.process.wait()
        ids = {id for _, id in ended}
        assert not ids & logged, "no id is given twice, killed or not"
        must = [id for at, id in ended if at < killed - PROMISED_S]
        promised += len(must)
        logged |= check_database(tmp_path, must)
    assert promised, "some batches ended early enough to be promised"
