"""How much waits in a socket, as the kernel says it."""

from __future__ import annotations

import os
import socket

import pytest

from netbootd.unread import is_much


@pytest.mark.skipif(os.geteuid() != 0, reason="a queue of that size needs CAP_NET_ADMIN")
def test_a_queue_is_much_until_it_is_read():
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as hearing,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as saying,
    ):
        hearing.setsockopt(socket.SOL_SOCKET, 33, 4 << 20)  # SO_RCVBUFFORCE
        hearing.bind(("127.0.0.1", 0))
        assert not is_much(hearing)
        for _ in range(2000):
            saying.sendto(bytes(400), hearing.getsockname())
        assert is_much(hearing)
        for _ in range(2000):
            hearing.recv(2048)
        assert not is_much(hearing)


def test_where_the_kernel_does_not_say_it_is_not_much():
    class Old:
        def getsockopt(self, *_):
            raise OSError

    assert not is_much(Old())
