# SPDX-License-Identifier: MIT
"""agent_case.py - what the tests of the agent share: a folder, and the list that they are put on. See agent.py."""

import os
import select
import tempfile

import agent_client as A

BUILD = os.environ.get("CAPSA_BUILD", ".")
PROGRAM = os.environ.get("CAPSA_AGENT", os.path.join(BUILD, "agent", "capsa-agent"))
WORK = tempfile.mkdtemp(prefix="capsa-agent.")
ROOT = os.geteuid() == 0
SEED = int(os.environ.get("SEED", "1"))
TESTS = []
# A sanitizer keeps what was freed: not so much that it looks like a leak.
os.environ["ASAN_OPTIONS"] = "quarantine_size_mb=1:" + os.environ.get("ASAN_OPTIONS", "")


class Skip(Exception):
    pass


def test(f):
    TESTS.append(f)
    return f


def lives(pid):
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def wait_gone(pid):
    """Until that process has ended. As an event: a descriptor of it."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    assert poll.poll(A.LIMIT * 1000), "process %d lives on" % pid
    os.close(fd)


def here(name):
    return os.path.join(WORK, name)


def put(name, data=b"", mode=0o644):
    with open(here(name), "wb") as f:
        f.write(data)
    os.chmod(here(name), mode)
    return here(name)


def get(name):
    with open(here(name), "rb") as f:
        return f.read()


def error_of(channel):
    return channel.result[0]
