# SPDX-License-Identifier: MIT
"""agent.py - the agent as its clients see it: every request, every rule of agent/protocol.h, and what happens when a
client breaks them or goes away. Runs the agent natively on a UNIX socket. Speaks TAP.

Each test's name is what it proves. Arguments: words that the names of the tests to run contain.
"""

import os
import shutil
import sys
import tempfile
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
sys.dont_write_bytecode = True
import agent_client as A
import agent_exec, agent_terminals, agent_files, agent_mounts, agent_network, agent_rules  # each puts its tests on the list
from agent_case import PROGRAM, TESTS, WORK, Skip, test, wait_gone


@test
def told_to_leave_it_leaves_nothing_behind(agent, c):
    other = A.Agent(PROGRAM, tempfile.mkdtemp(dir=WORK))
    k = other.client()
    r = k.open(A.EXEC, A.execute(["sleep", "1000"]))
    r.wait(lambda r: r.pid)
    assert other.stop() == 0
    wait_gone(r.pid)
    assert not os.path.exists(other.path)


def main():
    if not os.access(PROGRAM, os.X_OK):
        print("1..0 # SKIP %s is not built" % PROGRAM)
        return 0
    chosen = [t for t in TESTS if not sys.argv[1:] or any(word in t.__name__ for word in sys.argv[1:])]
    print("1..%d" % (len(chosen) + 1), flush=True)
    folder = tempfile.mkdtemp(dir=WORK)
    agent = A.Agent(PROGRAM, folder)
    failed = False
    for n, t in enumerate(chosen, 1):
        name = t.__name__.replace("_", " ")
        began = time.monotonic()
        try:
            c = agent.client()
            t(agent, c)
            c.close()
            print("ok %d - %s" % (n, name), flush=True)
        except Skip as why:
            print("ok %d - %s # SKIP %s" % (n, name, why), flush=True)
        except Exception:
            failed = True
            for line in traceback.format_exc().splitlines():
                print("# " + line)
            print("not ok %d - %s" % (n, name), flush=True)
            if agent.process.poll() is not None:
                print("# the agent has ended with status %d" % agent.process.returncode, flush=True)
                agent = A.Agent(PROGRAM, folder)
        if os.environ.get("V"):
            print("# %.2f s" % (time.monotonic() - began), flush=True)
    ended = agent.stop()
    print("%sok %d - the agent ends with status 0, a sanitizer has nothing to say" % ("" if ended == 0 else "not ", len(chosen) + 1))
    return 1 if failed or ended else 0


try:
    status = main()
finally:
    shutil.rmtree(WORK, ignore_errors=True)
sys.exit(status)
