# SPDX-License-Identifier: MIT
"""net-far.py - the far side of net.sh: an HTTP server that says which address it was reached at, and a name server.

    net-far.py ADDRESS... [-- NAME=ADDRESS...]

HTTP on port 80 of all addresses, names on port 53 (UDP). Says "ready" when both are there.
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
    if name in NAMES and kind == 1:
        records = b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 60, 4) + socket.inet_aton(NAMES[name])
    flags = 0x8180 if name in NAMES else 0x8183  # NXDOMAIN
    return question[:2] + struct.pack(">HHHHH", flags, 1, 1 if records else 0, 0, 0) + question[12:end] + records


def serve_names(s):
    while True:
        question, peer = s.recvfrom(4096)
        s.sendto(answer(question), peer)


for address in sys.argv[1:split]:
    web = http.server.ThreadingHTTPServer((address, 80), Web)
    threading.Thread(target=web.serve_forever, daemon=True).start()
names = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
names.bind((sys.argv[1], 53))
print("ready", flush=True)
serve_names(names)
