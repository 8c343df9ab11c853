"""An index of the embeddings that are not finished: without it each look at these few goes through
all of them. One of all would be taken for others' queries, too, and slow them down."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.create_index(
        "ix_embedding_unfinished",
        "embedding",
        ["encoder_id", "state"],
        sqlite_where=sa.text("state != 'indexed'"),
        postgresql_where=sa.text("state != 'indexed'"),
    )
