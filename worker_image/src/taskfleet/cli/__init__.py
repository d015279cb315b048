"""The operators' command, `fleet`: AWS's APIs only, read-only unless told `--yes`."""
