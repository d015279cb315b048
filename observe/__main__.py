"""Write the files anew: part of ``make docs``. A test refuses one that is out of date."""

from __future__ import annotations

from observe.written import texts

if __name__ == "__main__":
    for path, text in texts().items():
        path.write_text(text)
