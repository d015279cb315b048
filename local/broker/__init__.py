"""The primary broker on this machine: a real valkey-server, and TLS in front of it.

`server` is the command of the one, `front` is the other: a proxy that ends TLS and that can fail on
purpose, told so through its control socket (`control`).
"""
