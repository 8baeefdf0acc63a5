"""A function of PostgreSQL that looks up words in their index, whatever the caller's plans may use.

Lists are read without bitmap scans, since one written for an index would be sorted instead. But a
GIN index is read in no other way: without them all words of the account would be gone through.
"""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    op.execute(
        "CREATE FUNCTION records_with_words(of_account bigint, of_scope integer, asked text) "
        "RETURNS SETOF bigint LANGUAGE sql STABLE PARALLEL SAFE ROWS 100 "
        "SET enable_bitmapscan = on SET enable_indexscan = off AS $$ "
        # The words say of which account and scope they are: the key would find all of those.
        "SELECT record_id FROM search_words WHERE words @@ CAST(asked AS tsquery) "
        "AND account_id + 0 = of_account AND scope + 0 = of_scope $$"
    )
