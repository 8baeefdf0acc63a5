"""Health checks, for a program that starts or restarts the server, or routes traffic to it."""

import asyncio
import time
from collections.abc import Mapping
from typing import Final

from healthreports.core.errors import StorageUnavailable
from healthreports.store.engine.database import Database, schema_of

OK: Final = "ok"
# With less free space, writes to a SQLite file would soon fail.
LEAST_FREE_BYTES: Final = 64 * 1024 * 1024
# Results are cached this long, so that frequent checks do not load the database.
_KNOWN_FOR_S: Final = 1.0
_ANSWERS_IN_S: Final = 2.0


class Health:
    """The checks of one process. The database must have the schema version `schema`."""

    def __init__(self, database: Database, schema: str) -> None:
        self._database = database
        self._schema = schema
        self._asking = asyncio.Lock()
        self._found: Mapping[str, str] = {}
        self._found_at = float("-inf")

    async def checks(self) -> Mapping[str, str]:
        """The result of each check by its name: `OK`, or what is wrong. At most a second old."""
        async with self._asking:
            if time.monotonic() - self._found_at > _KNOWN_FOR_S:
                self._found = await self._look()
                self._found_at = time.monotonic()
            return self._found

    async def _look(self) -> dict[str, str]:
        found = {"database": OK, "schema": OK, "disk": OK}
        try:
            async with asyncio.timeout(_ANSWERS_IN_S):
                schema = await self._database.read_long(schema_of)
            if schema != self._schema:
                found["schema"] = f"is {schema or 'missing'}, but {self._schema} is needed"
        except TimeoutError:
            found["database"] = f"did not answer within {_ANSWERS_IN_S:g} seconds"
        except StorageUnavailable:
            found["database"] = "cannot be read"
        free = self._database.free_bytes()
        if free is not None and free < LEAST_FREE_BYTES:
            found["disk"] = (
                f"{free // 1024**2} MiB are free, but {LEAST_FREE_BYTES // 1024**2} MiB are needed"
            )
        return found
