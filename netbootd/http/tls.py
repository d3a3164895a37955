# mypy: allow-untyped-calls
"""
HTTPS: Twisted's TLS around the ordinary channel, and the certificate that may change meanwhile.

A certificate is read in a thread (``prepared``) and taken in the reactor (``Secure.take``):
connections that are open keep theirs, new ones get the new.  One that cannot be used leaves the old
in force, and is a trouble that the daemon tells.

What a client may cost us before it has said anything: HANDSHAKE_S for the handshake, and with
others HANDSHAKES a second, for a handshake is the dearest thing that a stranger can ask for (an
RSA-2048 signature, 0.6 ms of the reactor's time).  Who comes beyond that waits in the kernel.
Nobody may renegotiate, and nothing is compressed.

Suites: those with forward secrecy.  iPXE has them since 2024; a build of before knows the exchange
of keys by RSA alone, which ``tls.old_clients`` allows (iPXE, crypto/mishmash; TLS 1.2 at most).
"""

from __future__ import annotations

import socket
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IHandshakeListener, IOpenSSLServerConnectionCreator
from twisted.internet.protocol import Factory, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from netbootd.config import Tls
from netbootd.errors import Unusable
from netbootd.http.channel import Channel

if TYPE_CHECKING:
    from netbootd.certificate import Pair

#: Seconds that a client has for its handshake.  The slowest seen is iPXE in an emulator without
#: hardware help, 3 s.
HANDSHAKE_S = 20
#: Handshakes begun within one second, by all clients together.
HANDSHAKES = 200
_SUITES = b"ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES:!SHA1"
#: For iPXE before 2024, and the firmware of the same age.
_OLD_SUITES = _SUITES + b":AES256-GCM-SHA384:AES128-GCM-SHA256:AES256-SHA256:AES128-SHA256"


@dataclass(frozen=True, slots=True)
class Prepared:
    """What came of reading a certificate: *trouble*, or OpenSSL's *context* with its *pair*."""

    context: Any = None
    pair: Pair | None = None
    trouble: str = ""


def prepared(settings: Tls) -> Prepared:
    """Read what *settings* name, for a thread: it waits for the disk."""
    if settings.certificate is None:
        return Prepared()
    from netbootd import certificate  # noqa: PLC0415  as below

    try:
        pair = certificate.read(settings.certificate, settings.key)
        return Prepared(context_of(pair, old_clients=settings.old_clients), pair)
    except Unusable as problem:
        return Prepared(trouble=str(problem))


def context_of(pair: Pair, *, old_clients: bool = False) -> Any:
    """The settings of OpenSSL for *pair*; raises Unusable where OpenSSL does not want it."""
    from OpenSSL import SSL  # noqa: PLC0415  a tenth of a second, which who has no HTTPS is spared

    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_options(
        SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION | SSL.OP_CIPHER_SERVER_PREFERENCE
    )
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)  # tickets do, and cost no memory
    context.set_cipher_list(_OLD_SUITES if old_clients else _SUITES)
    try:
        context.use_certificate(pair.chain[0])
        for signer in pair.chain[1:]:
            context.add_extra_chain_cert(signer)
        context.use_privatekey(pair.key)
        context.check_privatekey()
    except SSL.Error as problem:
        reasons = ", ".join(dict.fromkeys(str(one[-1]) for one in problem.args[0]))
        raise Unusable(f"{pair.file}: {reasons}; RSA of 2048 bits and SHA-256 will do") from None
    return context


@implementer(IOpenSSLServerConnectionCreator)
class Secure:
    """The certificate in force, None for none; *trouble* is why there is no newer one."""

    def __init__(self) -> None:
        self.pair: Pair | None = None
        self.trouble = ""
        self._context: Any = None

    def take(self, new: Prepared) -> None:
        """Use it from now on; one that is in trouble leaves the old in force."""
        kept = "; the certificate from before stays in force" if self.pair else ""
        self.trouble = f"HTTPS: {new.trouble}{kept}" if new.trouble else ""
        if not new.trouble:
            self._context, self.pair = new.context, new.pair

    def expiring(self, now: float) -> str:
        """What to say of the end of the one in force; empty while there is time."""
        if self.pair is None:
            return ""
        from netbootd.certificate import expiring  # noqa: PLC0415  it is loaded

        return expiring(self.pair.ends, now)

    @property
    def ends(self) -> float:
        """When the certificate in force expires, in Unix seconds; 0 where there is none."""
        return self.pair.ends if self.pair else 0.0

    def serverConnectionForTLS(self, _protocol: Any) -> Any:
        """As Twisted asks, for each connection."""
        from OpenSSL.SSL import Connection  # noqa: PLC0415  it is loaded

        return Connection(self._context, None)


@implementer(IHandshakeListener)
class SecureChannel(Channel):
    """One connection, whose handshake must come to an end."""

    _patience: Any = None

    def connectionMade(self) -> None:
        self._patience = self.callLater(HANDSHAKE_S, self.transport.abortConnection)
        super().connectionMade()

    def handshakeCompleted(self) -> None:
        """As Twisted calls it."""
        self._patient()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._patient()
        super().connectionLost(reason)

    def _patient(self) -> None:
        if self._patience is not None and self._patience.active():
            self._patience.cancel()


class SecureChannels(Factory):
    """Channels of *site*; *begins* is called for each."""

    noisy = False

    def __init__(self, site: Any, begins: Any) -> None:
        self._site = site
        self._begins = begins

    def buildProtocol(self, addr: Any) -> Any:
        self._begins()
        return self._site.buildProtocol(addr, SecureChannel)


class SecurePort:
    """One listening socket (*opened*), with HTTPS for *site*; in what Twisted's own has of it."""

    def __init__(self, reactor: Any, site: Any, secure: Secure, opened: socket.socket) -> None:
        from twisted.protocols.tls import TLSMemoryBIOFactory  # noqa: PLC0415  as above

        self._reactor = reactor
        self._begun = 0
        self._resumes: Any = None
        channels: Any = SecureChannels(site, self._begins)
        creator: Any = secure
        factory = TLSMemoryBIOFactory(creator, False, channels, clock=reactor)
        factory.noisy = False
        self._port = reactor.adoptStreamPort(opened.fileno(), opened.family, factory)

    def getHost(self) -> Any:
        """Where it is."""
        return self._port.getHost()

    def stopListening(self) -> Any:
        """No new connections; those that are there may stay."""
        if self._resumes is not None and self._resumes.active():
            self._resumes.cancel()
        return self._port.stopListening()

    def _begins(self) -> None:
        """Another handshake; too many within a second, and the next wait for the next."""
        self._begun += 1
        if self._resumes is None or not self._resumes.active():
            self._resumes = self._reactor.callLater(1.0, self._resume)
        if self._begun >= HANDSHAKES:
            self._port.pauseProducing()

    def _resume(self) -> None:
        held, self._begun = self._begun >= HANDSHAKES, 0
        if held:
            with suppress(OSError):
                self._port.resumeProducing()
