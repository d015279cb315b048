"""The documentation's generated pages: each module renders one page from the code that it documents."""
