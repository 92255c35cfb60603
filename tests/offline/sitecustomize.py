"""Put first on PYTHONPATH, this takes the network away from a Python process; loopback stays."""

import socket

_connect, _resolve = socket.socket.connect, socket.getaddrinfo


def _is_local(host) -> bool:
    return host in (None, "", "localhost", "::1") or str(host).startswith("127.")


def connect(self, address):
    if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_local(address[0]):
        raise OSError(f"the network is off in this test: {address}")
    return _connect(self, address)


def getaddrinfo(host, *args, **kwargs):
    if not _is_local(host):
        raise socket.gaierror(socket.EAI_NONAME, "the network is off in this test")
    return _resolve(host, *args, **kwargs)


socket.socket.connect, socket.getaddrinfo = connect, getaddrinfo
