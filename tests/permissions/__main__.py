"""Command that plays every story and writes docs/permissions.md anew."""

from __future__ import annotations

from tests.permissions import jobs, objects, services  # noqa: F401 - they tell their stories when they are imported
from tests.permissions.page import PAGE, page
from tests.permissions.scene import SISTERS, STORIES, Asked, account, look


def main() -> None:
    """Play every story, and write the page."""
    asked: Asked = {}
    with account() as pai:
        for name in sorted(STORIES, key=lambda name: name in SISTERS):
            asked[name] = look(pai, name, asked)
    PAGE.write_text(page(PAGE.read_text(), asked))


if __name__ == "__main__":
    main()
