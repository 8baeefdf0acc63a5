"""Every command of the command line, as it is declared."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from typer.main import get_command

from healthreports.cli.main import app


class Command(NamedTuple):
    path: str
    command: Any

    @property
    def says(self) -> str:
        """The first paragraph of its help."""
        return " ".join(self.command.help.split("\n\n")[0].split())

    @property
    def example(self) -> str:
        return self.command.epilog.removeprefix("Example: ")


def _below(group: Any, path: tuple[str, ...]) -> Iterator[Command]:
    for name, one in group.commands.items():
        if hasattr(one, "commands"):
            yield from _below(one, (*path, name))
        else:
            yield Command(" ".join((*path, name)), one)


WHOLE = get_command(app)
COMMANDS = tuple(_below(WHOLE, ()))
