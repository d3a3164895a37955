"""What the operator reads when nobody answers."""

from __future__ import annotations

import socket
from threading import Thread

import pytest

from netbootd.shipping.web import Address, NoAnswer, Web


def told(url: str) -> str:
    web = Web(None)
    with pytest.raises(NoAnswer) as caught:
        web.post(Address.parse(url), "/_bulk", {}, b"{}\n")
    web.close()
    return str(caught.value)


def test_a_port_that_nobody_has():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert told(f"http://127.0.0.1:{port}") == "Connection refused"


def test_a_name_that_nobody_has(monkeypatch):
    def lookup(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    assert told("http://nowhere.invalid:9200") == "Name or service not known"


def test_a_server_that_hangs_up():
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang_up() -> None:
            connection, _ = server.accept()
            connection.recv(10)
            connection.close()

        Thread(target=hang_up, daemon=True).start()
        assert told(f"http://127.0.0.1:{server.getsockname()[1]}") == "the connection broke"


def test_a_server_that_speaks_another_language():
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet() -> None:
            connection, _ = server.accept()
            connection.recv(1000)
            connection.sendall(b"220 mail ESMTP\r\n")
            connection.close()

        Thread(target=greet, daemon=True).start()
        assert told(f"http://127.0.0.1:{server.getsockname()[1]}")


@pytest.mark.parametrize(
    ("url", "shown", "header"),
    [
        ("https://e:9200", "https://e:9200", ""),
        ("https://u:p%40w@e:9200/x", "https://e:9200/x", "Basic dTpwQHc="),
        ("http://u@[::1]:9200", "http://[::1]:9200", "Basic dTo="),
    ],
)
def test_an_address_is_shown_without_its_secret(url, shown, header):
    assert Address.parse(url) == Address(shown, header)
