"""Write the generated pages anew: ``make docs``. A test refuses a page that is out of date."""

from __future__ import annotations

from docs.pages.written import FOLDER, PAGES


def main() -> None:
    """Write each page that changed, and say which."""
    for name, render in PAGES.items():
        page, text = FOLDER / name, render()
        if not page.exists() or page.read_text() != text:
            page.write_text(text)
            print(f"docs/{name} written")


if __name__ == "__main__":
    main()
