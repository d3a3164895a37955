"""Which ports are open follows what is wanted; what stays never closes."""

from __future__ import annotations

import errno
import socket
from types import SimpleNamespace

import pytest
from twisted.internet.testing import MemoryReactorClock

from netbootd.config import Tls
from netbootd.events.stream import Stream
from netbootd.http import tls
from netbootd.http.service import HttpService
from tests.certificates import signed


class Door:
    """Remembers what was opened and closed; *taken* are ports that others have."""

    taken = ()

    def __init__(self):
        self.log = []

    def open(self, number):
        if number in self.taken:
            raise OSError(errno.EADDRINUSE, "in use")
        self.log.append(f"+{number}")
        made = SimpleNamespace()
        made.getHost = lambda: SimpleNamespace(port=number)
        made.stopListening = lambda: self.log.append(f"-{number}")
        return made

    def close(self):
        self.log.append("closed")


@pytest.fixture
def reactor():
    return MemoryReactorClock()


@pytest.fixture
def service(rig, reactor):
    made = HttpService(reactor, rig.live, Stream(print), dict)
    made._door = Door()
    return made


def test_ports_follow_what_is_wanted(service):
    assert service.listen((3000, 80)) == []
    assert service.listen((80, 8080)) == []
    assert service.listen((80, 8080)) == []
    assert service._door.log == ["+80", "+3000", "-3000", "+8080"]
    assert service.ports == (80, 8080)


def test_a_port_that_is_taken_is_named_and_tried_again_next_time(service):
    service._door.taken = (80,)
    ((port, problem),) = service.listen((80, 3000))
    assert (port, problem.errno) == (80, errno.EADDRINUSE)
    assert service.ports == (3000,)
    service._door.taken = ()
    assert service.listen((80, 3000)) == []


def test_a_port_taken_by_a_real_socket(rig):
    from twisted.internet import reactor

    with socket.create_server(("0.0.0.0", 0)) as other:
        number = other.getsockname()[1]
        service = HttpService(reactor, rig.live, Stream(print), dict)
        ((port, problem),) = service.listen((number,))
    assert (port, problem.errno) == (number, errno.EADDRINUSE)


def test_start_and_stop_leave_no_thread_and_no_timer(service, reactor):
    service.startService()
    service.listen((3000,))
    done = []
    service.stopService().addCallback(done.append)
    assert done
    assert service._door.log == ["+3000", "-3000", "closed"]
    assert service.ports == ()
    assert reactor.getDelayedCalls() == []


def test_ipv6_has_sockets_of_its_own(rig):
    from twisted.internet import reactor

    with socket.create_server(("0.0.0.0", 0)) as other:  # whoever has the port in IPv4
        number = other.getsockname()[1]
        service = HttpService(reactor, rig.live, Stream(print), dict)
        assert service.listen6((number,)) == []
        assert service.listen6((number,)) == []
        with socket.socket(socket.AF_INET6) as again, pytest.raises(OSError, match="in use"):
            again.bind(("::", number))
        assert service.listen6(()) == []
        assert service.ports == ()


def test_a_port_of_ipv6_that_is_taken_is_named(rig):
    from twisted.internet import reactor

    with socket.create_server(("::", 0), family=socket.AF_INET6) as other:
        number = other.getsockname()[1]
        service = HttpService(reactor, rig.live, Stream(print), dict)
        ((port, problem),) = service.listen6((number,))
    assert (port, problem.errno) == (number, errno.EADDRINUSE)


def test_https_listens_by_ipv4_and_ipv6_while_there_is_a_certificate(rig, tmp_path):
    from twisted.internet import reactor

    service = HttpService(reactor, rig.live, Stream(print), dict)
    assert service.listen_securely([0], by_ipv6=True) == []
    assert service.secure_ports == ()
    file = signed("server", "192.0.2.1").write(tmp_path / "pair.pem")
    service.secure.take(tls.prepared(Tls(certificate=file)))
    assert service.listen_securely([0], by_ipv6=True) == []
    assert len(service.secure_ports) == 2
    first = min(service.secure_ports)
    with socket.create_server(("0.0.0.0", 0)) as other:
        taken = other.getsockname()[1]
        ((port, problem),) = service.listen_securely([0, taken], by_ipv6=False)
        assert (port, problem.errno) == (taken, errno.EADDRINUSE)
    assert len(service.secure_ports) == 1
    assert service.secure_ports[0] >= first
    service.listen_securely([], by_ipv6=True)
    assert service.secure_ports == ()
