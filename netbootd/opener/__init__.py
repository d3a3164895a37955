"""
A second, very small process that opens what a daemon without any right cannot: ports below 1024,
packet sockets, raw sockets.

It has the two capabilities for that, and nothing else; the daemon has none, and lives in a user
namespace of its own.  ``server`` is the process, ``client`` what the daemon calls in place of
``bind`` and ``socket``, ``wire`` what passes between them.  Nobody needs it where the daemon has
the capabilities itself: started by root, in a container, by a unit that grants them.
"""
