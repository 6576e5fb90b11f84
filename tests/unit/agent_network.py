# SPDX-License-Identifier: MIT
"""agent_network.py - AGENT_NETWORK, by an agent with a network, a root and mounts of its own. See agent.py.

The card is one end of a veth pair: an Ethernet card like another one. Whoever may not do so (user namespaces) skips it.
"""

import errno
import os
import subprocess
import tempfile

import agent_client as A
from agent_case import PROGRAM, WORK, Skip, error_of, here, test
from agent_client import s, u32

MAC, FAR_MAC = "52:54:00:12:34:56", "52:54:00:65:43:21"

# $1: the root, a folder; $2: the folder of the socket, /socket inside; $3: the agent; $4: what is done to the root.
PREPARE = """
set -e
mount -t tmpfs none "$1"
cd "$1"
mkdir -p dev proc sys run tmp socket etc shared/etc
for d in /bin /sbin /lib* /usr; do
    [ -L "$d" ] && cp -P "$d" . && continue
    mkdir ".$d" && mount --rbind "$d" ".$d"
done
mount --rbind /proc proc
mount --rbind /dev dev
mount -t tmpfs own-run run
mount --bind "$2" socket
cp "$3" agent
ip link add net0 address %s type veth peer name far0 address %s
ip link set far0 up
eval "$4"
""" % (MAC, FAR_MAC)

# A folder that is not in memory, as a host's is that was made the guest's root.
ON_DISK = 'mount --bind "$2/etc" etc'


class Box(A.Agent):
    def __init__(self, more="", files=None):
        folder, root = tempfile.mkdtemp(dir=WORK), tempfile.mkdtemp(dir=WORK)
        os.mkdir(os.path.join(folder, "etc"))
        for name, text in (files or {}).items():
            with open(os.path.join(folder, "etc", name), "w") as f:
                f.write(text)
        program = here("networked-agent")
        with open(program, "w") as f:
            f.write("#!/bin/sh\nexec unshare -Urnm --uts sh -c '%s\nexec chroot . /agent --socket /socket/agent.sock' sh %s %s %s '%s'\n"
                    % (PREPARE.replace("'", "'\\''"), root, folder, PROGRAM, more))
        os.chmod(program, 0o755)
        super().__init__(program, folder)
        self.etc = os.path.join(folder, "etc")


def networked(more="", files=None):
    def wrap(f):
        def run(agent, c):
            if subprocess.call(["unshare", "-Urnm", "--uts", "sh", "-c", "ip link add net0 type veth peer name far0"],
                               stderr=subprocess.DEVNULL):
                raise Skip("it takes user namespaces and ip(8)")
            box = Box(more, files)
            try:
                k = box.client()
                f(k, box)
                k.close()
            finally:
                assert box.stop() == 0

        run.__name__ = f.__name__
        return test(run)
    return wrap


def words(*texts):
    return u32(len(texts)) + b"".join(s(t) for t in texts)


def network(c, mac=MAC, mtu=0, addresses=(), gateways=(), servers=(), search=(), name=""):
    return c.ask(A.NETWORK, s(mac) + u32(mtu) + words(*addresses) + words(*gateways) + words(*servers) +
                 words(*search) + s(name))


def output(c, *argv):
    r = c.run(list(argv))
    assert r.exit[:2] == (0, 0), (argv, r.exit, r.err)
    return r.out.decode()


ALL = dict(addresses=("10.0.2.2/24", "fd00::2/64"), gateways=("10.0.2.1", "fd00::1"),
           servers=("10.0.2.1", "fd00::1"), search=("a.test", "b.test"), name="box7")


@networked()
def a_card_is_set_up_and_may_be_again(c, box):
    for _ in range(2):
        r = network(c, mtu=1400, **ALL)
        assert error_of(r) == 0, r.result
    link = output(c, "ip", "-o", "link", "show", "dev", "net0")
    assert "mtu 1400" in link and ",UP" in link.replace("<UP", ",UP"), link
    assert "UP" in output(c, "ip", "-o", "link", "show", "dev", "lo").split(">")[0]
    address = output(c, "ip", "address", "show", "dev", "net0")
    assert "inet 10.0.2.2/24 brd 10.0.2.255" in address and "inet6 fd00::2/64" in address, address
    # Of use at once.
    assert "tentative" not in [l for l in address.splitlines() if "fd00::2" in l][0]
    assert output(c, "ip", "-4", "route", "show", "default").split() == ["default", "via", "10.0.2.1", "dev", "net0"]
    assert "via fd00::1 dev net0" in output(c, "ip", "-6", "route", "show", "default")
    assert output(c, "cat", "/etc/resolv.conf") == "search a.test b.test\nnameserver 10.0.2.1\nnameserver fd00::1\n"
    assert output(c, "uname", "-n") == "box7\n"
    hosts = output(c, "cat", "/etc/hosts")
    assert hosts.count("box7") == 1 and hosts.count("127.0.0.1\tlocalhost") == 1, hosts


@networked()
def a_card_without_a_way_out_leaves_the_others_alone(c, box):
    only = dict(mac=FAR_MAC, addresses=("10.0.3.2/24", "fd03::2/64"))
    # It needs no gateway and no names, which leaves the files as they are.
    assert error_of(network(c, **only)) == 0
    assert output(c, "ip", "route", "show", "default") == ""
    assert output(c, "ip", "route", "show", "10.0.3.0/24").split()[:3] == ["10.0.3.0/24", "dev", "far0"]
    assert output(c, "sh", "-c", "ls /etc/resolv.conf /etc/hosts 2>/dev/null || true") == ""
    # Before and behind one that has all.
    for _ in range(2):
        assert error_of(network(c, **ALL)) == 0
        assert error_of(network(c, **only)) == 0
        assert output(c, "ip", "route", "show", "default").split() == ["default", "via", "10.0.2.1", "dev", "net0"]
        assert output(c, "cat", "/etc/resolv.conf") == "search a.test b.test\nnameserver 10.0.2.1\nnameserver fd00::1\n"
    # A second way out does not take the first one's place.
    assert error_of(network(c, gateways=("10.0.3.1", "fd03::1"), **only)) == 0
    assert output(c, "ip", "route", "show", "default").split() == ["default", "via", "10.0.2.1", "dev", "net0"]
    assert "via fd00::1 dev net0" in output(c, "ip", "-6", "route", "show", "default")


@networked()
def what_is_wrong_is_said(c, box):
    r = network(c, mac="52:54:00:00:00:01")
    assert error_of(r) == errno.ENODEV and "52:54:00:00:00:01" in r.result[2], r.result
    r = network(c, mac="nonsense")
    assert error_of(r) == errno.EINVAL and "nonsense" in r.result[2]
    r = network(c, mac="")
    assert error_of(r) == errno.ENOTUNIQ and "2 network cards" in r.result[2], r.result
    for wrong in ("10.0.2.2", "10.0.2.2/33", "10.0.2/24", "10.0.2.2/", "::g/64"):
        r = network(c, addresses=(wrong,))
        assert error_of(r) == errno.EINVAL and wrong in r.result[2], r.result
    r = network(c, addresses=("10.0.2.2/24",), gateways=("10.9.9.9",))
    assert error_of(r) == errno.ENETUNREACH and "10.9.9.9" in r.result[2], r.result
    r = network(c, servers=("10.0.2.1\nnameserver 6.6.6.6",))
    assert error_of(r) == errno.EINVAL
    assert error_of(c.ask(A.NETWORK, s(MAC) + u32(0) + u32(9))) == errno.EPROTO


@networked(ON_DISK, {"resolv.conf": "nameserver 192.0.2.1\n", "hosts": "127.0.0.1 localhost"})
def files_of_a_host_stay_as_they_are(c, box):
    for _ in range(2):
        r = network(c, **ALL)
        assert error_of(r) == 0, r.result
    assert "nameserver 10.0.2.1" in output(c, "cat", "/etc/resolv.conf")
    assert output(c, "cat", "/etc/hosts") == "127.0.0.1 localhost\n127.0.1.1\tbox7\n"
    with open(os.path.join(box.etc, "resolv.conf")) as f:
        assert f.read() == "nameserver 192.0.2.1\n"
    with open(os.path.join(box.etc, "hosts")) as f:
        assert f.read() == "127.0.0.1 localhost"


@networked(ON_DISK)
def no_file_is_made_in_a_folder_of_a_host(c, box):
    r = network(c, **ALL)
    assert error_of(r) == errno.EROFS and "/etc/resolv.conf" in r.result[2], r.result
    assert os.listdir(box.etc) == []


@networked("ln -s ../run/systemd/resolve/stub-resolv.conf etc/resolv.conf")
def a_link_that_leads_nowhere_yet_is_followed(c, box):
    assert error_of(network(c, **ALL)) == 0
    assert "nameserver 10.0.2.1" in output(c, "cat", "/run/systemd/resolve/stub-resolv.conf")
    assert "nameserver 10.0.2.1" in output(c, "cat", "/etc/resolv.conf")
