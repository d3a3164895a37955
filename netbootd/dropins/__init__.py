"""
A configuration file with its includes and its folder of drop-ins, read as layers.

What wins over what, highest first:

1. the drop-ins, ``machines.d/*.json`` beside the main file; a later name wins over an earlier one,
   as in systemd's ``.d`` folders, and what netbootd itself wrote (``managed-*.json``) over all that
   is written by hand: a change by command or web page is to count.  Names that begin with a dot or
   end in ``~`` are left alone;
2. the main file;
3. what it includes, an earlier include over a later one.

A drop-in or an included file may include further ones, which come directly behind it.

Nothing here knows what an entry of a section means.
"""
