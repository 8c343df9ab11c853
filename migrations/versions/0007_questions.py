"""A search may be made with several pictures: the log tells all of them."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "query_picture",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column(
            "query_id", sa.Integer, sa.ForeignKey("query_log.id"), nullable=False, index=True
        ),
        sa.Column("role", sa.String, nullable=False),
        sa.Column("sha256", sa.String, nullable=False),
        sa.Column("picture", sa.LargeBinary),
    )
