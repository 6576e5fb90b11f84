# SPDX-License-Identifier: MIT
"""net-far.py - the far side of net.sh: an HTTP server that says which address it was reached at, and a name server.

    net-far.py ADDRESS... [-- NAME=ADDRESS...]

HTTP on port 80 of all addresses, of either family, names on port 53 (UDP) of the first. A name has the one address that
it is given, A or AAAA. Says "ready" when all are there.
"""

import http.server
import socket
import struct
import sys
import threading

split = sys.argv.index("--")
NAMES = dict(word.split("=") for word in sys.argv[split + 1:])


class Web(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = ("far %s for %s\n" % (self.server.server_address[0], self.headers.get("Host", "-"))).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words):
        pass


class Server(http.server.ThreadingHTTPServer):
    def __init__(self, address):
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        super().__init__((address, 80), Web)


def record_of(address):
    """Type and data of an address."""
    if ":" in address:
        return 28, socket.inet_pton(socket.AF_INET6, address)
    return 1, socket.inet_aton(address)


def name_of(question):
    labels, at = [], 12
    while question[at]:
        labels.append(question[at + 1:at + 1 + question[at]])
        at += 1 + question[at]
    return b".".join(labels).decode().lower(), at + 5


def answer(question):
    name, end = name_of(question)
    kind = struct.unpack(">H", question[end - 4:end - 2])[0]
    records = b""
    if name in NAMES and kind == record_of(NAMES[name])[0]:
        data = record_of(NAMES[name])[1]
        records = b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 60, len(data)) + data
    flags = 0x8180 if name in NAMES else 0x8183  # NXDOMAIN
    return question[:2] + struct.pack(">HHHHH", flags, 1, 1 if records else 0, 0, 0) + question[12:end] + records


def serve_names(s):
    while True:
        question, peer = s.recvfrom(4096)
        s.sendto(answer(question), peer)


for address in sys.argv[1:split]:
    threading.Thread(target=Server(address).serve_forever, daemon=True).start()
names = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
names.bind((sys.argv[1], 53))
print("ready", flush=True)
serve_names(names)
