"""
Inputs that nobody thought of, for everything that reads a stranger's bytes.

``decoders`` lists what is fed and what may come of it; ``make fuzz`` looks for more, led by what
the code does with what it gets (atheris, https://github.com/google/atheris).  In ``corpus`` are
real packets and whatever once went wrong; ``make test`` feeds these, and a few thousand more.
"""
